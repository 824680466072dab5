//! What an account pays for, kind by kind, in chains of objects: so whoever ends the account finds them, and no other has to
//! be looked at.

use tessera_abi::ObjectKind;

use crate::base::effort::Effort;
use crate::object::account::Account;
use crate::object::charged::{ACCOUNT, Charged, Ends, NONE};
use crate::object::id::Object;
use crate::object::neighbour::Neighbour;
use crate::object::store::Store;

/// Notes where a new object's capabilities are listed, and puts it before the one that was first in the chain of an account,
/// as `Ends::put_first` said.
#[inline(always)]
pub fn link<T: Object>(store: &mut Store<T>, (index, list): (u32, Neighbour), account: u32, behind: u32) {
    let account = ACCOUNT | account;
    let next = if behind == NONE { account } else { behind };
    store.set_facts(index, list, Charged { before: account, behind: next });
    if behind != NONE {
        store.charged_mut(behind).before = index;
    }
}

/// An object that has left its chain: what of it is to be noted at accounts.
#[derive(Clone, Copy, Debug)]
#[must_use = "the account has it still"]
pub struct Left(Charged);

/// Takes an object out of the chain that it is in, if it is in one.
#[inline(always)]
pub fn unlink<T: Object>(store: &mut Store<T>, index: u32) -> Left {
    let charged = core::mem::replace(store.charged_mut(index), Charged::NOWHERE);
    left(store, charged)
}

/// The same of one that was at this place, and does not know it any more.
#[inline(always)]
pub fn left<T: Object>(store: &mut Store<T>, Charged { before, behind }: Charged) -> Left {
    if before & ACCOUNT == 0 {
        store.charged_mut(before).behind = behind;
    }
    if behind & ACCOUNT == 0 {
        store.charged_mut(behind).before = before;
    }
    Left(Charged { before, behind })
}

impl Left {
    /// Notes at accounts that it has gone, if it was at the end of a chain of this kind.
    #[inline(always)]
    pub fn settle(self, accounts: &mut Store<Account>, kind: ObjectKind) {
        let Left(Charged { before, behind }) = self;
        if before == NONE {
            return;
        }
        if before == behind {
            // It was alone between the two ends.
            *accounts.at_mut(before & !ACCOUNT).charges_mut(kind) = Ends::EMPTY;
            return;
        }
        let object = |number: u32| if number & ACCOUNT == 0 { number } else { NONE };
        if before & ACCOUNT != 0 {
            accounts.at_mut(before & !ACCOUNT).charges_mut(kind).first = object(behind);
        }
        if behind & ACCOUNT != 0 {
            accounts.at_mut(behind & !ACCOUNT).charges_mut(kind).last = object(before);
        }
    }
}

/// Puts all objects of a kind that one account pays for, by the ends of its chain, before those of another; gives the ends
/// of that.
pub fn splice<T: Object>(store: &mut Store<T>, account: u32, from: Ends, into: Ends) -> Ends {
    if from.first == NONE {
        return into;
    }
    let account = ACCOUNT | account;
    store.charged_mut(from.first).before = account;
    if into.first == NONE {
        store.charged_mut(from.last).behind = account;
        return from;
    }
    store.charged_mut(from.last).behind = into.first;
    store.charged_mut(into.first).before = from.last;
    Ends { first: from.first, last: into.last }
}

/// How far a check of a chain has come. It holds while the chain stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChainPlace {
    /// The last object that was seen, and what is behind it.
    last: Option<[u32; 2]>,
}

/// Effort of checking an object's place.
const PLACE_UNITS: u32 = 6;

/// Checks a chain as much further as the effort goes for, and calls `each` for what is in it; gives whether that was to the
/// end.
///
/// # Panics
/// If neighbours do not know each other.
pub fn check_further<T: Object>(
    store: &Store<T>,
    account: u32,
    ends: Ends,
    (at, effort): (&mut ChainPlace, &mut Effort),
    each: &mut dyn FnMut(&T),
) -> bool {
    let account = ACCOUNT | account;
    let [mut before, mut next] = at.last.unwrap_or([account, ends.first]);
    while next & ACCOUNT == 0 {
        if !effort.is_left() {
            at.last = Some([before, next]);
            return false;
        }
        let charged = store.charged(next);
        assert_eq!(charged.before, before, "neighbours in a chain know each other");
        each(store.at(next));
        (before, next) = (next, charged.behind);
        effort.spend(PLACE_UNITS);
    }
    let is_empty = ends == Ends::EMPTY;
    assert!(is_empty || (next == account && before == ends.last), "a chain ends at its account");
    true
}

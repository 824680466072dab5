//! The chains of what an account pays for: an object's neighbours in one, and its ends (`charge_chain`).

use tessera_abi::ObjectKind;

use crate::object::id::with_kinds;

/// Where there is no object.
pub(super) const NONE: u32 = u32::MAX;

/// Beside the number of the account at whose end of a chain an object is. There are fewer accounts, and objects, than that.
pub(super) const ACCOUNT: u32 = 1 << 31;

/// An object's neighbours in the chain: the numbers of objects of its kind, or of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    pub(super) before: u32,
    pub(super) behind: u32,
}

impl Charged {
    /// Of what is in no chain.
    pub(super) const NOWHERE: Charged = Charged { before: NONE, behind: NONE };
}

/// The first and the last object of a kind that an account pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Ends {
    /// Of a chain of nothing.
    pub const EMPTY: Ends = Ends { first: NONE, last: NONE };

    /// Puts an object first; gives what was so far, for `charge_chain::link`.
    #[inline(always)]
    #[must_use = "it is to be linked"]
    pub fn put_first(&mut self, index: u32) -> u32 {
        let behind = core::mem::replace(&mut self.first, index);
        if behind == NONE {
            self.last = index;
        }
        behind
    }

    /// The first.
    pub fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }
}

macro_rules! count_kinds {
    ([] $($kind:ident $store:ident;)*) => {
        /// The kinds of objects that accounts pay for.
        pub const CHARGED: [ObjectKind; KINDS] = [$(ObjectKind::$kind),*];

        /// How many there are.
        pub const KINDS: usize = [$(stringify!($kind)),*].len();
    };
}

with_kinds!(count_kinds);

/// Which of them a kind is.
///
/// # Panics
/// For the machine, for which nobody pays.
#[inline(always)]
pub const fn place_of(kind: ObjectKind) -> usize {
    match kind {
        ObjectKind::Machine => panic!("nobody pays for the machine"),
        // Behind the machine.
        ObjectKind::Gate | ObjectKind::Guest => kind as usize - 2,
        _ => kind as usize - 1,
    }
}

// The list and the places say the same.
const _: () = {
    let mut place = 0;
    while place < KINDS {
        assert!(place_of(CHARGED[place]) == place);
        place += 1;
    }
};

//! The check of a derivation list.

use crate::base::effort::Effort;
use crate::object::cap_table::CapTable;
use crate::object::derivation::{first_in_list, next, previous};
use crate::object::neighbour::{Neighbour, Standing};
use crate::object::store::Store;
use crate::object::use_pool::UsePool;

/// Effort of looking at one that stands in the list.
const STANDING_UNITS: u32 = 6;

/// How far a check of an object's list has come. It holds while the list stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct DerivationPlace {
    /// The last that was seen, and what stands behind it.
    last: Option<[Neighbour; 2]>,
    facts: u64,
}

/// Goes further through an object's list, as far as the effort goes, and checks that neighbours know each other; calls `each`
/// for all that stands in it, ends aside. Gives how many facts held once all were seen.
///
/// # Panics
/// If they do not.
pub fn check_further(
    tables: &Store<CapTable>,
    uses: &UsePool,
    listed: Neighbour,
    (at, effort): (&mut DerivationPlace, &mut Effort),
    each: &mut dyn FnMut(Standing, &mut Effort),
) -> Option<u64> {
    let Some(first) = first_in_list(uses, listed).map(Standing::neighbour) else { return Some(1) };
    let begin = if first == listed { Neighbour::NOBODY } else { listed };
    let [mut before, mut next_one] = at.last.unwrap_or([begin, first]);
    while next_one != begin {
        if !effort.is_left() {
            at.last = Some([before, next_one]);
            return None;
        }
        assert_eq!(previous(tables, uses, next_one), before, "neighbours know each other");
        if !matches!(next_one.standing(), Standing::End(_)) {
            each(next_one.standing(), effort);
        }
        (before, next_one) = (next_one, next(tables, uses, next_one));
        at.facts += 1;
        effort.spend(STANDING_UNITS);
    }
    let is_closed = begin == Neighbour::NOBODY || previous(tables, uses, begin) == before;
    assert!(is_closed, "neighbours know each other");
    Some(at.facts + 1)
}

//! The check of a capability table's slots.

use crate::base::effort::Effort;
use crate::cpu::cap_word::{CapSlot, CapWord};
use crate::object::cap_table::{CapTable, NO_SLOT};

/// Slots that are looked at between two looks at the effort.
const PORTION: usize = 64;

/// Effort of a portion, of each slot in it that was ever in use, of each other one; of one in the list of those that are free.
const PORTION_UNITS: u32 = 8;
const KNOWN_UNITS: u32 = 5;
const FRESH_UNITS: u32 = 2;
const LISTED_UNITS: u32 = 4;

/// How far a check of a table has come. It holds while the table stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotPlace {
    /// The next slot.
    slot: usize,
    /// Free slots that were seen, and those of them that are worn out.
    free: u32,
    worn_out: u32,
    /// Whether all were seen, and the list of those that are free is gone through: the next one, and how many were.
    is_listing: bool,
    next: u32,
    listed: u32,
}

impl CapTable {
    /// Checks that both halves of each slot tell the same, and that the list of free slots holds exactly these; gives how
    /// many facts held.
    ///
    /// # Panics
    /// If not.
    pub fn check(&self) -> u64 {
        let mut facts = 0;
        self.check_further(&mut SlotPlace::default(), &mut Effort::unlimited(), &mut facts);
        facts
    }

    /// Checks as much further as the effort goes for; gives whether that was to the end.
    ///
    /// # Panics
    /// Likewise.
    pub fn check_further(&self, at: &mut SlotPlace, effort: &mut Effort, facts: &mut u64) -> bool {
        while !at.is_listing {
            if !effort.is_left() {
                return false;
            }
            effort.spend(self.check_portion(at));
        }
        while at.next != NO_SLOT {
            if !effort.is_left() {
                return false;
            }
            let record = self.records.get(at.next as usize).expect("the list of free slots stays in the table");
            assert!(
                record.object == CapWord::FREE && at.listed < at.free,
                "the list of free slots holds each once, and no other"
            );
            (at.listed, at.next) = (at.listed + 1, record.next_free);
            effort.spend(LISTED_UNITS);
        }
        assert!(at.listed + at.worn_out >= at.free, "every free slot is in the list, but for those that are worn out");
        *facts += 3 * u64::from(self.slots()) + u64::from(at.free) + 2;
        true
    }

    /// Checks some slots; behind the last one, that as many are free as should be. Gives what effort that took.
    fn check_portion(&self, at: &mut SlotPlace) -> u32 {
        let end = self.hot.len().min(at.slot + PORTION);
        let known = self.records.len().clamp(at.slot, end);
        for (hot, record) in self.hot[at.slot..known].iter().zip(&self.records[at.slot.min(self.records.len())..]) {
            check_slot(hot, record.object);
            if record.object == CapWord::FREE {
                at.free += 1;
                at.worn_out += u32::from(hot.generation() == u32::MAX);
            }
        }
        self.hot[known..end].iter().for_each(|hot| check_slot(hot, CapWord::FREE));
        let units = PORTION_UNITS + (known - at.slot) as u32 * KNOWN_UNITS + (end - known) as u32 * FRESH_UNITS;
        at.slot = end;
        if end == self.hot.len() {
            assert_eq!(self.known_slots() - at.free, self.used(), "a table counts its capabilities");
            (at.is_listing, at.next) = (true, self.first_free);
        }
        units
    }
}

/// Checks a slot by what its record names.
#[inline(always)]
fn check_slot(hot: &CapSlot, object: CapWord) {
    let word = hot.word();
    let due = match object.kind() {
        None => CapWord::FREE,
        Some(_) if word.is_closed() && word.is_derived() => object.derived().closed(),
        Some(_) if word.is_closed() => object.closed(),
        Some(_) if word.is_derived() => object.with(word.rights()).derived(),
        Some(_) => object.with(word.rights()),
    };
    assert_eq!(word, due, "a slot's word says what its record says");
    assert!(hot.is_coherent(), "the switch reads what a slot's word says");
    assert_ne!(hot.generation(), 0, "no handle has generation 0");
}

//! Progress: where a call stands that has done a step and is made again, until it is done.
//!
//! What has been done so far is in the objects, and every rule holds between two steps. The word says where to go on. It is
//! a hint, never a promise: whoever goes on by it looks again at what others may have changed, and at what the thread
//! itself may have, by arguments that are not those of the step before.

use tessera_abi::ObjectKind;
use tessera_abi::syscall::number;

/// A word of a thread: the number of its call, and as much as that call has to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress(u64);

/// Bits that a call may use.
const WORD_BITS: u32 = 56;

impl Progress {
    /// No call is under way.
    pub const NONE: Progress = Progress(0);

    /// Where a call stands, by its number, which is not 0.
    ///
    /// # Panics
    /// If what is to be remembered is too much.
    pub fn of(call: u64, word: u64) -> Progress {
        assert!(call != 0 && call < 1 << (u64::BITS - WORD_BITS) && word < 1 << WORD_BITS, "progress fits into a word");
        Progress(call << WORD_BITS | word)
    }

    /// Whether a call is under way.
    pub fn is_any(self) -> bool {
        self != Progress::NONE
    }

    /// What a call has remembered, if it is the one under way; 0 if it begins.
    pub fn of_call(self, call: u64) -> u64 {
        if self.0 >> WORD_BITS == call { self.0 % (1 << WORD_BITS) } else { 0 }
    }

    /// The object that is being made, which nobody but this thread knows of, and which it keeps: kind and number.
    pub fn making(self) -> Option<(ObjectKind, u32)> {
        let kind = match self.0 >> WORD_BITS {
            number::segment_create => ObjectKind::Segment,
            number::table_create => ObjectKind::CapTable,
            _ => return None,
        };
        Some((kind, self.0 as u32))
    }
}

#[cfg(test)]
mod tests {
    use tessera_abi::ObjectKind;
    use tessera_abi::syscall::number;

    use super::Progress;

    #[test]
    fn a_call_remembers_for_itself_alone() {
        let progress = Progress::of(number::unmap, 77);
        assert_eq!((progress.of_call(number::unmap), progress.of_call(number::map)), (77, 0));
        assert!(progress.is_any() && Progress::of(number::unmap, 0).is_any() && !Progress::NONE.is_any());
    }

    #[test]
    fn what_is_being_made_is_told_by_its_number() {
        assert_eq!(Progress::of(number::segment_create, 0).making(), Some((ObjectKind::Segment, 0)));
        assert_eq!(Progress::of(number::table_create, 9).making(), Some((ObjectKind::CapTable, 9)));
        assert_eq!((Progress::of(number::map, 9).making(), Progress::NONE.making()), (None, None));
    }
}

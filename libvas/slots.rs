//! A set of numbered places, taken and given back by any thread.

use core::sync::atomic::{AtomicU64, Ordering};

/// `WORDS` times 64 places, numbered from 0.
pub(crate) struct Slots<const WORDS: usize>([AtomicU64; WORDS]);

impl<const WORDS: usize> Slots<WORDS> {
    /// All places free.
    pub(crate) const fn new() -> Self {
        Slots([const { AtomicU64::new(0) }; WORDS])
    }

    /// Takes the free place with the lowest number, if there is one.
    pub(crate) fn take(&self) -> Option<u64> {
        self.0.iter().zip(0..).find_map(|(word, index)| {
            let taken = word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |bits| {
                (bits != u64::MAX).then(|| bits | (bits + 1))
            });
            taken.ok().map(|bits| index * 64 + u64::from(bits.trailing_ones()))
        })
    }

    /// Gives a place back.
    pub(crate) fn give_back(&self, slot: u64) {
        if let Some(word) = self.0.get((slot / 64) as usize) {
            word.fetch_and(!(1 << (slot % 64)), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn lowest_first_until_all_are_taken() {
        let slots = Slots::<2>::new();
        assert!((0..128).all(|expected| slots.take() == Some(expected)));
        assert_eq!(slots.take(), None);
        slots.give_back(77);
        slots.give_back(3);
        assert_eq!((slots.take(), slots.take(), slots.take()), (Some(3), Some(77), None));
    }
}

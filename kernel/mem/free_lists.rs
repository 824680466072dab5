//! The check of the free lists: each is linked as it should be, and together they hold what is counted as free.

use core::sync::atomic::Ordering::Relaxed;

use tessera_arch::{Frame, table};

use crate::base::effort::Effort;
use crate::mem::frames::{FrameAllocator, NONE, ORDERS, Use};

/// Effort of looking at a block, and whether a frame holds zeros.
const BLOCK_UNITS: u32 = 5;
const ZERO_UNITS: u32 = 90;

/// The lists of frames that are kept come before those of the orders.
const KEPT: [Use; 2] = [Use::Loose, Use::Cleared];

/// How far a check of the free lists has come. It holds while they stay as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct FreeLists {
    /// Which list, and whether it was begun with.
    list: usize,
    is_begun: bool,
    /// In that list, the next block, the one before it, and how many were seen.
    next: u32,
    previous: u32,
    found: u32,
    /// Frames in all blocks that were seen.
    counted: u64,
}

impl FrameAllocator {
    /// Counts the free lists anew and checks their links; gives how many facts held.
    ///
    /// # Panics
    /// If the lists and the count disagree.
    pub fn check(&self) -> u64 {
        let mut facts = 0;
        self.check_further(&mut FreeLists::default(), &mut Effort::unlimited(), &mut facts);
        facts
    }

    /// Checks as much further as the effort goes for; gives whether that was to the end.
    ///
    /// # Panics
    /// If the lists and the count disagree.
    pub fn check_further(&self, at: &mut FreeLists, effort: &mut Effort, facts: &mut u64) -> bool {
        while at.list < KEPT.len() + ORDERS {
            if !at.is_begun {
                (at.is_begun, at.next, at.previous, at.found) = (true, self.head(at.list), NONE, 0);
            }
            while at.next != NONE {
                if !effort.is_left() {
                    return false;
                }
                effort.spend(self.check_block(at));
                *facts += 2;
            }
            let kept = [&self.loose, &self.cleared].get(at.list).copied();
            assert!(kept.is_none_or(|kept| kept.count == at.found), "frames that are kept are counted");
            (at.list, at.is_begun) = (at.list + 1, false);
        }
        assert_eq!(at.counted, self.free_frames, "the free lists hold what is counted as free");
        *facts += 1;
        true
    }

    /// The first block of a list.
    fn head(&self, list: usize) -> u32 {
        match list {
            0 => self.loose.head,
            1 => self.cleared.head,
            _ => self.heads[list - KEPT.len()],
        }
    }

    /// Checks the next block of a list; gives what effort that took.
    fn check_block(&self, at: &mut FreeLists) -> u32 {
        let record = &self.records[at.next as usize];
        let mut units = BLOCK_UNITS;
        if let Some(usage) = KEPT.get(at.list) {
            assert_eq!(record.usage, *usage, "a frame that is kept knows how");
            if *usage == Use::Cleared {
                assert!(holds_zeros(self.frame(at.next)), "a frame that is kept as cleared holds zeros");
                units += ZERO_UNITS;
            }
            at.counted += 1;
        } else {
            let order = at.list - KEPT.len();
            assert_eq!(record.usage, Use::Free(order as u8), "a free block knows its order");
            assert_eq!(record.previous, at.previous, "free lists are linked both ways");
            at.counted += 1 << order;
        }
        (at.previous, at.next, at.found) = (at.next, record.next, at.found + 1);
        units
    }
}

/// Whether a frame holds nothing else. Some words at once, as there are many.
fn holds_zeros(frame: Frame) -> bool {
    let words = table(frame).chunks(16);
    words.map(|words| words.iter().fold(0, |all, word| all | word.load(Relaxed))).all(|all| all == 0)
}

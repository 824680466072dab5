//! What segments and the frame allocator are made of, against naive lists.

use std::collections::{BTreeMap, BTreeSet};
use tessera_kernel::base::effort::Effort;
use tessera_kernel::lifecycle::check;

use host_tests::{Machine, Options, config};
use proptest::prelude::*;
use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::fake::Flavour;
use tessera_arch::{Frame, PhysAddr, PhysRange};
use tessera_kernel::mem::FrameAllocator;
use tessera_kernel::mem::frames::{FrameRecord, ORDER_MAX};
use tessera_kernel::object::id::Object;
use tessera_kernel::object::segment::{Extent, Segment};

/// The longest run from a page on, page by page.
fn naive_run(frames: &[Option<u64>], page: u64, limit: u64) -> Extent {
    let first = frames[page as usize];
    let follows = |number: u64| match (first, frames.get((page + number) as usize)) {
        (Some(first), Some(Some(frame))) => *frame == first + number,
        (None, Some(None)) => true,
        _ => false,
    };
    Extent { frame: first.map(Frame::new), pages: (0..limit).take_while(|number| follows(*number)).count() as u64 }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn segments_populated_by_touch_follow_a_list(
        pages in prop_oneof![1..20_u64, 500..530_u64, 1000..1100_u64],
        places in prop::collection::vec((any::<u64>(), 1..2000_u64), 0..60),
        asks in prop::collection::vec((any::<u64>(), 1..1200_u64), 30),
    ) {
        let account = Machine::boot(&Options::new(Flavour::X86)).account_id;
        let mut segment = Segment::new(account, pages).expect("a host has memory");
        let mut frames = vec![None; pages as usize];
        let mut fill = |segment: &mut Segment, page: u64, frame: u64| {
            if frames[page as usize].is_none() && !frames.contains(&Some(frame)) {
                segment.place_page(page, Frame::new(frame), account);
                frames[page as usize] = Some(frame);
            }
        };
        for (page, frame) in places {
            // Now and then the neighbour too, on the next frame, so that there are runs.
            let page = page % pages;
            fill(&mut segment, page, frame);
            fill(&mut segment, (page + 1).min(pages - 1), frame + 1);
        }
        prop_assert_eq!(segment.populated_pages(), frames.iter().flatten().count() as u64);
        let frame_bytes = segment.extra_bytes() - Segment::new_bytes(pages, true);
        prop_assert_eq!(frame_bytes, segment.populated_pages() * PAGE_BYTES);
        for (page, limit) in asks {
            let (page, limit) = (page % pages, limit);
            prop_assert_eq!(segment.extent(page, limit), naive_run(&frames, page, limit));
            prop_assert_eq!(segment.frame(page).map(|frame| frame.number()), frames[page as usize]);
        }
    }

    #[test]
    fn segments_populated_at_once_have_all_their_memory_cleared(
        pages in prop_oneof![1..40_u64, 500..530_u64, 1024..1100_u64],
        holes in prop::collection::vec(0..3000_u64, 0..40),
    ) {
        let mut machine = Machine::boot(&Options::new(Flavour::X86).frames(4096));
        // Free memory in pieces, so that blocks come in all sizes.
        let taken: Vec<Frame> = (0..3000).filter_map(|_| machine.kernel.frames.allocate(0)).collect();
        let holes: BTreeSet<u64> = holes.into_iter().collect();
        let freed = taken.iter().enumerate().filter(|(number, _)| !holes.contains(&(*number as u64)));
        freed.for_each(|(_, frame)| machine.kernel.frames.free(*frame, 0));
        let before = machine.kernel.frames.free_frames();
        let mut segment = Segment::new(machine.account_id, pages).expect("a host has memory");
        segment.populate(&mut machine.kernel.frames);
        prop_assert_eq!(machine.kernel.frames.free_frames(), before - pages);
        let frames: Vec<Frame> = (0..pages).filter_map(|page| segment.frame(page)).collect();
        prop_assert_eq!(frames.iter().collect::<BTreeSet<_>>().len() as u64, pages, "every page has a frame of its own");
        for frame in &frames {
            let mut bytes = [1; 64];
            tessera_arch::read_physical(frame.start(), &mut bytes);
            prop_assert_eq!(bytes, [0; 64], "memory is cleared before it is seen");
        }
        while !segment.release_frames(&mut machine.kernel.frames, &mut Effort::of_entry()) {}
        prop_assert_eq!(machine.kernel.frames.free_frames(), before);
        machine.kernel.frames.check();
    }
}

/// A frame allocator, and which of its frames are free.
struct Naive {
    allocator: FrameAllocator,
    free: BTreeSet<u64>,
    taken: BTreeMap<u64, u8>,
    first: u64,
    end: u64,
}

impl Naive {
    fn new(first: u64, frames: u64) -> Naive {
        let base = first & !((1 << ORDER_MAX) - 1);
        let records = vec![FrameRecord::OUTSIDE; (first + frames - base) as usize].leak();
        let mut allocator = FrameAllocator::new(records, Frame::new(base));
        allocator.add(PhysRange { start: PhysAddr::new(first * PAGE_BYTES), length_bytes: frames * PAGE_BYTES });
        let end = first + frames;
        Naive { allocator, free: (first..end).collect(), taken: BTreeMap::new(), first, end }
    }

    fn has_block(&self, order: u8) -> bool {
        let size = 1 << order;
        let starts =
            (self.first.next_multiple_of(size)..).step_by(size as usize).take_while(|start| start + size <= self.end);
        starts.into_iter().any(|start| self.free.range(start..start + size).count() as u64 == size)
    }

    fn allocate(&mut self, order: u8) -> Result<(), TestCaseError> {
        let Some(frame) = self.allocator.allocate(order) else {
            prop_assert!(!self.has_block(order), "a block of order {} is free", order);
            return Ok(());
        };
        let start = frame.number();
        prop_assert!(start.is_multiple_of(1 << order), "blocks are aligned");
        for number in start..start + (1 << order) {
            prop_assert!(self.free.remove(&number), "frame {} was not free", number);
        }
        self.taken.insert(start, order);
        Ok(())
    }

    /// Frees a block, or (`parts`) its halves one by one.
    fn free(&mut self, which: usize, parts: bool) {
        let Some((start, order)) = self.taken.iter().nth(which % self.taken.len().max(1)).map(|(a, b)| (*a, *b)) else {
            return;
        };
        self.taken.remove(&start);
        if parts && order > 0 {
            self.allocator.free(Frame::new(start), order - 1);
            self.allocator.free(Frame::new(start + (1 << (order - 1))), order - 1);
        } else {
            self.allocator.free(Frame::new(start), order);
        }
        self.free.extend(start..start + (1 << order));
    }
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn the_frame_allocator_follows_a_set(
        first in 1..2000_u64,
        frames in 1..1500_u64,
        steps in prop::collection::vec((any::<bool>(), 0..11_u8, any::<usize>(), any::<bool>()), 1..200),
    ) {
        let mut naive = Naive::new(first, frames);
        prop_assert_eq!(naive.allocator.managed_frames(), frames);
        for (take, order, which, parts) in steps {
            if take {
                naive.allocate(order)?;
            } else {
                naive.free(which, parts);
            }
            prop_assert_eq!(naive.allocator.free_frames(), naive.free.len() as u64);
        }
        naive.allocator.check();
        while !naive.taken.is_empty() {
            naive.free(0, false);
        }
        naive.allocator.check();
        prop_assert_eq!(naive.allocator.free_frames(), frames);
        let largest = (0..=ORDER_MAX).rev().find(|order| naive.has_block(*order));
        let found = naive.allocator.allocate_up_to(ORDER_MAX).map(|(_, order)| order);
        prop_assert_eq!(found, largest, "all buddies have merged again");
    }
}

#[test]
fn a_segment_over_foreign_memory_leaves_it_alone() {
    let mut machine = Machine::boot(&Options::new(Flavour::Arm));
    let segment = machine.borrow_frames(1 << 28, 1000);
    let free = machine.kernel.frames.free_frames();
    assert_eq!(machine.map(machine.program, segment, 0, 1 << 30, 1000 * PAGE_BYTES, Rights::READ), Ok(0));
    let unmap = tessera_abi::Call::Unmap { target: machine.program, address: 1 << 30, length_bytes: 1000 * PAGE_BYTES };
    assert_eq!(machine.call(unmap), Ok(0));
    assert_eq!(machine.call(tessera_abi::Call::CapabilityDelete { handle: segment }), Ok(0));
    assert_eq!(machine.kernel.frames.free_frames(), free);
    check::check(&machine.kernel);
}

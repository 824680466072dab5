//! Every interleaving of threads that take blocks off a free list and put them on it.

use loom_tests::atomic::{AtomicU32, AtomicU64, Ordering, set_uncounted};
use loom_tests::free_list::FreeList;
use std::sync::Arc;

/// A list of blocks 1 to 3, and who has which.
struct Heap {
    list: FreeList,
    links: [AtomicU32; 4],
    /// A bit for each block that a thread has.
    held: AtomicU64,
}

impl Heap {
    fn new() -> Arc<Heap> {
        let links = [(); 4].map(|()| AtomicU32::new(0));
        let heap = Heap { list: FreeList::empty(), links, held: AtomicU64::new(0b1110) };
        [3, 2, 1].into_iter().for_each(|block| heap.give_back(block));
        Arc::new(heap)
    }

    fn take(&self) -> Option<u32> {
        let block = self.list.pop(|block| &self.links[block as usize])?;
        let before = self.held.fetch_or(1 << block, Ordering::Relaxed);
        assert_eq!(before & 1 << block, 0, "block {block} belongs to somebody");
        // What its owner writes to it.
        self.links[block as usize].store(1, Ordering::Relaxed);
        Some(block)
    }

    fn give_back(&self, block: u32) {
        let before = self.held.fetch_and(!(1 << block), Ordering::Relaxed);
        assert_eq!(before & 1 << block, 1 << block, "who gives it back has it");
        self.list.push(block, |block| &self.links[block as usize]);
    }

    /// Gives back all that is held, and looks whether all is there.
    fn check(&self) {
        let held = self.held.load(Ordering::Relaxed);
        (1..4).filter(|block| held & 1 << block != 0).for_each(|block| self.give_back(block));
        let mut all = [(); 3].map(|()| self.take());
        all.sort_unstable();
        assert_eq!(all, [Some(1), Some(2), Some(3)]);
        assert_eq!(self.take(), None);
    }
}

fn explore(preemptions: usize, scripts: &'static [fn(&Heap)]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let heap = Heap::new();
        let threads: Vec<_> = scripts[1..]
            .iter()
            .map(|script| {
                let heap = heap.clone();
                loom::thread::spawn(move || script(&heap))
            })
            .collect();
        scripts[0](&heap);
        threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
        heap.check();
    });
}

fn take_one(heap: &Heap) {
    heap.take();
}

fn take_two_and_give_the_first_back(heap: &Heap) {
    let first = heap.take();
    heap.take();
    first.into_iter().for_each(|block| heap.give_back(block));
}

fn take_and_give_back(heap: &Heap) {
    heap.take().into_iter().for_each(|block| heap.give_back(block));
}

fn one_takes_while_the_top_goes_and_comes_back() {
    explore(3, &[take_one, take_two_and_give_the_first_back]);
}

#[test]
fn a_block_that_comes_back_is_not_mistaken() {
    one_takes_while_the_top_goes_and_comes_back();
}

#[test]
fn three_threads_take_and_give_back() {
    explore(2, &[take_and_give_back, take_and_give_back, take_one]);
}

#[test]
#[should_panic(expected = "belongs to somebody")]
fn a_list_that_does_not_count_is_caught() {
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            set_uncounted(false);
        }
    }
    let _counted = Counted;
    set_uncounted(true);
    one_takes_while_the_top_goes_and_comes_back();
}

//! Counters: what the emulator hides, in numbers that tests can assert on.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::Counters;

/// A number that one CPU writes and others may read.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts. Not one atomic step: only the owning CPU, or the holder of the kernel's lock, counts.
    #[inline(always)]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counter_block {
    ($($name:ident),* $(,)?) => {
        /// One CPU's counters; `abi::layout::Counters` says what each means.
        #[derive(Debug)]
        pub struct CounterBlock {
            /// Switches: those that flushed, those that hit.
            switches: [Counter; 2],
            $(
                #[doc = concat!("See `Counters::", stringify!($name), "`.")]
                pub $name: Counter,
            )*
        }

        impl CounterBlock {
            /// All at zero.
            #[expect(clippy::new_without_default, reason = "a default is no constant, which a static needs")]
            pub const fn new() -> CounterBlock {
                let switches = [const { Counter(AtomicU64::new(0)) }; 2];
                CounterBlock { switches, $($name: Counter(AtomicU64::new(0)),)* }
            }

            /// Counts a switch; `hits` if what the CPU held under the tag was kept. By index, as the fast path pays for a
            /// branch.
            #[inline(always)]
            pub fn count_switch(&self, hits: bool) {
                self.switches[usize::from(hits)].add(1);
            }

            /// All numbers as a program sees them. A switch either hits or flushes.
            pub fn read(&self) -> Counters {
                let [tag_flushes, tag_hits] = [self.switches[0].get(), self.switches[1].get()];
                Counters { space_switches: tag_hits + tag_flushes, tag_hits, tag_flushes, $($name: self.$name.get(),)* }
            }
        }
    };
}

counter_block! {
    tag_rollovers,
    page_flushes,
    range_flushes,
    shared_page_flushes,
    global_flushes,
    shootdowns_sent,
    shootdowns_received,
    shootdowns_spurious,
    stale_marks,
    system_calls,
    faults,
    thread_switches,
    timer_interrupts,
    spurious_interrupts,
}

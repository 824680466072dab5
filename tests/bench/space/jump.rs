//! `space_jump`: from one space into another and back, by a thread that never returns.

use crate::CPU_0;
use crate::measure::{Benchmark, last_measurement, mark_begin, mark_end};
use crate::support::runner::SpareStack;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use libvas::sync::Mutex;
use libvas::{Cap, Handle, Space, Thread, program, raw, thread};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "space_jump",
    points: &[],
    axis: "",
    what: "from the call in one space to the first instruction where it lands in another",
    leaves_out: "what the thread has to do to find its way there",
    measure: |meter, _| {
        let spaces = [program().new_space()?, program().new_space()?];
        spaces.iter().zip(&SPACES).for_each(|(space, at)| at.store(space.handle().bits(), Relaxed));
        let priority = program().thread().info()?.priority;
        let jumper = Thread::new(program().account(), program().table(), &spaces[0], priority)?;
        jumper.set_affinity(CPU_0)?;
        let stack = SpareStack::new();
        STACK_TOP.store(stack.top(), Relaxed);
        WARM_UPS.store(meter.warm_ups(), Relaxed);
        ROUNDS.store(meter.rounds(), Relaxed);
        TICKS.lock(Vec::clear);
        // SAFETY: the function is this program's, and nobody else uses the stack, which stays for good.
        unsafe { jumper.start(landed as *const () as usize as u64, stack.top(), 0)? };
        jumper.join()?;
        meter.take_all(1, TICKS.lock(core::mem::take).into_iter())
    },
}];

/// The handles of the spaces that are jumped into by turns.
static SPACES: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static STACK_TOP: AtomicU64 = AtomicU64::new(0);
/// How many jumps there are in all, and how many of them come before those that count.
static ROUNDS: AtomicUsize = AtomicUsize::new(0);
static WARM_UPS: AtomicUsize = AtomicUsize::new(0);
/// Whether the jump that is under way is one that counts.
static COUNTS: AtomicBool = AtomicBool::new(false);
/// What each jump took.
static TICKS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Where each jump lands, on the same stack again; `began` is when the jump was made.
extern "C" fn landed(began: u64, _from: u64) -> ! {
    let ticks = raw::cycles().wrapping_sub(began);
    if COUNTS.load(Relaxed) {
        mark_end();
    }
    let rounds = TICKS.lock(|all| {
        all.push(ticks);
        all.len()
    });
    // The first arrival is the thread's start.
    if rounds > ROUNDS.load(Relaxed) {
        thread::exit(0);
    }
    if rounds + 1 == ROUNDS.load(Relaxed) {
        last_measurement();
    }
    let handle = Handle::from_bits(SPACES[rounds % 2].load(Relaxed));
    let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
    let (here, top) = (landed as *const () as usize as u64, STACK_TOP.load(Relaxed));
    let counts = (WARM_UPS.load(Relaxed)..ROUNDS.load(Relaxed)).contains(&rounds);
    COUNTS.store(counts, Relaxed);
    if counts {
        mark_begin();
    }
    // SAFETY: this function is what is jumped to; nothing that is on the stack now is used again.
    let refused = unsafe { space.jump(here, top, raw::cycles()) };
    panic!("the jump was refused: {refused:?}")
}

//! `evict_revoked`: a thread that revokes what it is inside by, to the first instruction of its fallback.

use crate::CPU_0;
use crate::measure::{Benchmark, last_measurement, mark_begin, mark_end};
use crate::support::runner::SpareStack;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use libvas::sync::Mutex;
use libvas::{Cap, Error, Handle, Rights, Space, Thread, program, raw, thread};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "evict_revoked",
    points: &[],
    axis: "",
    what: "from the call that revokes what a thread is inside by to the first instruction where it falls back to",
    leaves_out: "other CPUs, and more that was lent",
    measure: |meter, _| {
        let space = program().new_space()?;
        SPACE.store(space.handle().bits(), Relaxed);
        let priority = program().thread().info()?.priority;
        let thread = Thread::new(program().account(), program().table(), program().space(), priority)?;
        thread.set_affinity(CPU_0)?;
        let (stack, landing) = (SpareStack::new(), SpareStack::new());
        STACK_TOP.store(landing.top(), Relaxed);
        WARM_UPS.store(meter.warm_ups(), Relaxed);
        ROUNDS.store(meter.rounds(), Relaxed);
        TICKS.lock(Vec::clear);
        // SAFETY: the function is this program's, and nobody else uses the stack, which stays for good.
        unsafe { thread.start(begin as *const () as usize as u64, stack.top(), 0)? };
        thread.join()?;
        meter.take_all(1, TICKS.lock(core::mem::take).into_iter())
    },
}];

static SPACE: AtomicU64 = AtomicU64::new(0);
static STACK_TOP: AtomicU64 = AtomicU64::new(0);
/// How many rounds there are in all, and how many of them come before those that count.
static ROUNDS: AtomicUsize = AtomicUsize::new(0);
static WARM_UPS: AtomicUsize = AtomicUsize::new(0);
/// Whether the round that is under way is one that counts.
static COUNTS: AtomicBool = AtomicBool::new(false);
/// When the call that is under way was made.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// What each round took.
static TICKS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

extern "C" fn begin(_: u64) -> ! {
    revoke_from_inside(0)
}

/// Where the thread lands each time.
extern "C" fn landed(_reason: u64, _: u64) -> ! {
    let ticks = raw::cycles().wrapping_sub(BEGAN.load(Relaxed));
    if COUNTS.load(Relaxed) {
        mark_end();
    }
    let rounds = TICKS.lock(|all| {
        all.push(ticks);
        all.len()
    });
    if rounds == ROUNDS.load(Relaxed) {
        thread::exit(0);
    }
    revoke_from_inside(rounds)
}

/// Goes into the space by a capability that is derived for that, and revokes it there. What the thread fell back to is
/// set anew each time, as its own stack is used again.
fn revoke_from_inside(round: usize) -> ! {
    let counts = round >= WARM_UPS.load(Relaxed);
    COUNTS.store(counts, Relaxed);
    let space = ManuallyDrop::new(Cap::<Space>::from_handle(Handle::from_bits(SPACE.load(Relaxed))));
    let entered = enter(&space);
    if round + 1 == ROUNDS.load(Relaxed) {
        last_measurement();
    }
    if counts {
        mark_begin();
    }
    BEGAN.store(raw::cycles(), Relaxed);
    let refused = entered.and_then(|()| space.revoke());
    panic!("the thread was not thrown out: {refused:?}")
}

fn enter(space: &Cap<Space>) -> Result<(), Error> {
    let (landing, top) = (landed as *const () as usize as u64, STACK_TOP.load(Relaxed));
    // SAFETY: the function is this program's; where the thread lands, nothing that is on its stack is used again.
    unsafe { thread::set_fallback(program().space(), landing, top)? };
    let lent = ManuallyDrop::new(space.derive(Rights::SWITCH, 1)?);
    lent.switch().map(|_| ())
}

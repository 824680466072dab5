//! Several CPUs: finding them, starting them, interrupting them, stopping them.
//!
//! The time-stamp counters of all CPUs are taken to be synchronised, as firmware leaves them on every machine with
//! an invariant counter (SDM volume 3, 19.17): time of two CPUs differs by no more than the counters do.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use spin::Once;
use x86_64::instructions::{hlt, interrupts as interrupt_flag};

use super::idt::{self, vector};
use super::interrupts::{self, Message};
use super::percpu::{self, cpu_index};
use super::ranges::RangeList;
use super::timer::now_ns;
use super::trampoline::{self, FRAMES};
use super::{entry, features, gdt, madt, paging, stacks};
use crate::{CPUS_MAX, Frame, Interrupt, upcall};

/// Invalidation reaches the calling CPU only.
#[inline(always)]
pub const fn broadcasts_invalidation() -> bool {
    false
}

/// Startup interrupts tell a page number of 8 bits; what is above this is not memory on a PC.
const LOW_MEMORY_END: u64 = 0xa_0000;
/// After INIT, and before a startup interrupt is repeated (SDM volume 3, 10.4.4.1).
const AFTER_INIT_NS: u64 = 10_000_000;
const BEFORE_REPETITION_NS: u64 = 200_000;
/// How long a CPU may take to come up.
const START_NS_MAX: u64 = 1_000_000_000;

/// What boot finds out for [`start_cpus`].
struct Found {
    /// Numbers of the local APICs of the other CPUs.
    others: [u32; CPUS_MAX - 1],
    count: usize,
    /// Memory for the trampoline; without it no other CPU can be started.
    frames: Option<[Frame; FRAMES]>,
}

static FOUND: Once<Found> = Once::new();
/// The number of each CPU's local APIC; filled in before the CPU runs.
static APICS: [AtomicU32; CPUS_MAX] = [const { AtomicU32::new(0) }; CPUS_MAX];
/// How many CPUs run.
static RUNNING: AtomicUsize = AtomicUsize::new(1);
/// The CPU that came up last.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
/// CPUs that came up may go on.
static ARE_RELEASED: AtomicBool = AtomicBool::new(false);
/// The CPU that stopped the others; [`NOBODY`] at first.
static STOPPER: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = usize::MAX;
/// A bit for each CPU that was stopped.
static STOPPED: AtomicUsize = AtomicUsize::new(0);
/// How long stopping the others may take: on an emulator they may not get to run at once.
const STOP_NS_MAX: u64 = 1_000_000_000;

/// Takes frames for the trampoline out of a list of free memory. They are kept for ever.
pub(super) fn take_frames(free: &mut RangeList) -> Option<[Frame; FRAMES]> {
    let mut frames = [Frame::new(0); FRAMES];
    for frame in &mut frames {
        *frame = Frame::containing(free.take_frame(LOW_MEMORY_END)?);
    }
    Some(frames)
}

/// The CPUs that firmware lists, this one included or not.
#[derive(Clone, Copy)]
pub(super) struct Listed {
    apics: [u32; LISTED_MAX],
    count: usize,
}

/// How many CPUs of firmware's list are looked at. Those that cannot be reached, and this one, are among them.
const LISTED_MAX: usize = 64;

impl Listed {
    /// Reads ACPI's table of interrupt controllers.
    pub(super) fn in_table(table: &[u8]) -> Listed {
        let mut apics = [0; LISTED_MAX];
        let count = madt::usable_cpus(table, &mut apics);
        Listed { apics, count }
    }
}

/// Takes in which CPUs there are, and says how many can run. The running CPU's APIC is on.
pub(super) fn find_cpus(listed: &Listed, frames: Option<[Frame; FRAMES]>) -> usize {
    let own = interrupts::number();
    APICS[0].store(own, Ordering::Relaxed);
    let found = FOUND.call_once(|| {
        let mut found = Found { others: [0; CPUS_MAX - 1], count: 0, frames };
        let usable = listed.apics[..listed.count].iter().copied().filter(|_| frames.is_some());
        // Nobody is listed twice, and the running CPU is not among the others: INIT would end it.
        let others = usable.filter(|number| *number != own && interrupts::can_reach(*number));
        for (place, number) in found.others.iter_mut().zip(others) {
            *place = number;
            found.count += 1;
        }
        found
    });
    found.count + 1
}

/// Starts CPUs until `count` run, this one included, and says how many do. Called once, by the boot CPU.
///
/// Each goes on in [`upcall::kernel_cpu_main`] once all are there. One that does not come up within a second is
/// left out.
pub fn start_cpus(count: usize) -> usize {
    let Some(Found { others, count: found, frames: Some(frames) }) = FOUND.get() else { return 1 };
    let others = &others[..*found];
    trampoline::prepare(*frames);
    if count > 1 {
        others.iter().for_each(|number| interrupts::send(*number, Message::Reset));
        wait_ns(AFTER_INIT_NS, || false);
    }
    let mut next = 1;
    for number in others {
        if next < count.min(CPUS_MAX) && start_cpu(next, *number, *frames) {
            next += 1;
        }
    }
    RUNNING.store(next, Ordering::Release);
    ARE_RELEASED.store(true, Ordering::Release);
    next
}

/// Starts CPU `cpu`, which has the local APIC `number` and was reset; says whether it came up.
fn start_cpu(cpu: usize, number: u32, frames: [Frame; FRAMES]) -> bool {
    APICS[cpu].store(number, Ordering::Relaxed);
    trampoline::direct(frames, stacks::tops(cpu).kernel, cpu, enter);
    let has_arrived = || ARRIVED.load(Ordering::Acquire) == cpu;
    let startup = Message::Startup(frames[0]);
    interrupts::send(number, startup);
    if wait_ns(BEFORE_REPETITION_NS, has_arrived) {
        return true;
    }
    interrupts::send(number, startup);
    let is_there = wait_ns(START_NS_MAX, has_arrived);
    if !is_there {
        // It must not come up later, when stack and parameters are another's.
        interrupts::send(number, Message::Reset);
    }
    is_there
}

/// Waits for a condition, and says whether it came true in time.
fn wait_ns(at_most_ns: u64, is_true: impl Fn() -> bool) -> bool {
    let end_ns = now_ns() + at_most_ns;
    while !is_true() {
        if now_ns() >= end_ns {
            return false;
        }
        spin_loop();
    }
    true
}

/// Where the trampoline leads: the CPU has its stack, long mode and the trampoline's tables, and nothing else.
extern "C" fn enter(cpu: u64) -> ! {
    let cpu = cpu as usize;
    gdt::load(cpu);
    percpu::install(cpu);
    idt::load();
    paging::use_kernel_root();
    features::enable();
    entry::enable_system_calls();
    interrupts::enable();
    ARRIVED.store(cpu, Ordering::Release);
    while !ARE_RELEASED.load(Ordering::Acquire) {
        spin_loop();
    }
    upcall::kernel_cpu_main()
}

/// Interrupts another CPU: [`Interrupt::Reschedule`] or [`Interrupt::Shootdown`].
///
/// Everything that this CPU wrote before is visible to the other one when it takes the interrupt.
///
/// # Panics
/// For the other interrupts, which no CPU can send.
pub fn send_interrupt(cpu: usize, interrupt: Interrupt) {
    let vector = match interrupt {
        Interrupt::Reschedule => vector::RESCHEDULE,
        Interrupt::Shootdown => vector::SHOOTDOWN,
        Interrupt::Timer | Interrupt::Spurious => panic!("{interrupt:?} is no interrupt between CPUs"),
    };
    interrupts::send(APICS[cpu].load(Ordering::Relaxed), Message::Interrupt(vector));
}

/// Interrupts every CPU, this one included, in the way that cannot be masked, for no reason.
pub(super) fn interrupt_all() {
    let count = RUNNING.load(Ordering::Acquire);
    APICS[..count].iter().for_each(|number| interrupts::send(number.load(Ordering::Relaxed), Message::NonMaskable));
}

/// Makes the calling CPU the only one that runs, for good, so that what it reports last stands alone.
///
/// A second call by the same CPU does nothing. Of several CPUs that call at once one goes on; for the others the
/// call does not return.
pub fn stop_other_cpus() {
    interrupt_flag::disable();
    let own = cpu_index();
    match STOPPER.compare_exchange(NOBODY, own, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            let count = RUNNING.load(Ordering::Acquire);
            let others = (0..count).filter(|cpu| *cpu != own);
            others.for_each(|cpu| interrupts::send(APICS[cpu].load(Ordering::Relaxed), Message::NonMaskable));
            let are_stopped = || STOPPED.load(Ordering::Acquire).count_ones() as usize >= count - 1;
            // Alone, nothing is asked of the clock, which may not run yet.
            if !are_stopped() {
                wait_ns(STOP_NS_MAX, are_stopped);
            }
        }
        Err(stopper) if stopper == own => {}
        Err(_) => stop(),
    }
}

/// Whether another CPU has stopped this one.
pub(super) fn is_to_stop() -> bool {
    let stopper = STOPPER.load(Ordering::Acquire);
    stopper != NOBODY && stopper != cpu_index()
}

/// Stops the running CPU for good.
pub(super) fn stop() -> ! {
    interrupt_flag::disable();
    STOPPED.fetch_or(1 << cpu_index(), Ordering::Release);
    loop {
        hlt();
    }
}

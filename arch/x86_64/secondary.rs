//! The other CPUs: starting them.
//!
//! The time-stamp counters of all CPUs are taken to be synchronised, as firmware leaves them on every machine with
//! an invariant counter (SDM volume 3, 19.17): time of two CPUs differs by no more than the counters do.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use spin::Once;

use super::interrupts::{self, Message};
use super::machine::CpuList;
use super::smp::wait_ns;
use super::trampoline::{self, FRAMES};
use super::{call_entry, features, gdt, idt, paging, percpu, plugin, smp, stacks};
use crate::ranges::RangeList;
use crate::{CPUS_MAX, Frame, upcall};

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
/// The CPU that came up last.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
/// CPUs that came up may go on.
static ARE_RELEASED: AtomicBool = AtomicBool::new(false);

/// Takes frames for the trampoline out of a list of free memory. They are kept for ever.
pub(super) fn take_frames(free: &mut RangeList) -> Option<[Frame; FRAMES]> {
    let mut frames = [Frame::new(0); FRAMES];
    for frame in &mut frames {
        *frame = Frame::containing(free.take_frame(LOW_MEMORY_END)?);
    }
    Some(frames)
}

/// Takes in which CPUs there are, and says how many can run, of which `most` have stacks. The running CPU's APIC is on.
pub(super) fn find_cpus(listed: &CpuList, most: usize, frames: Option<[Frame; FRAMES]>) -> usize {
    let own = interrupts::number();
    smp::set_number(0, own);
    let found = FOUND.call_once(|| {
        let mut found = Found { others: [0; CPUS_MAX - 1], count: 0, frames };
        let usable = listed.apics().iter().copied().filter(|_| frames.is_some());
        // Nobody is listed twice, and the running CPU is not among the others: INIT would end it.
        let others = usable.filter(|number| *number != own && interrupts::can_reach(*number));
        for (place, number) in found.others.iter_mut().take(most - 1).zip(others) {
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
    smp::set_running(next);
    ARE_RELEASED.store(true, Ordering::Release);
    next
}

/// Starts CPU `cpu`, which has the local APIC `number` and was reset; says whether it came up.
fn start_cpu(cpu: usize, number: u32, frames: [Frame; FRAMES]) -> bool {
    smp::set_number(cpu, number);
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

/// Where the trampoline leads: the CPU has its stack, long mode and the trampoline's tables, and nothing else.
extern "C" fn enter(cpu: u64) -> ! {
    let cpu = cpu as usize;
    gdt::load(cpu);
    percpu::install(cpu);
    idt::load();
    paging::use_kernel_root();
    features::enable();
    call_entry::enable_system_calls();
    interrupts::enable();
    plugin::begin_cpu();
    ARRIVED.store(cpu, Ordering::Release);
    while !ARE_RELEASED.load(Ordering::Acquire) {
        spin_loop();
    }
    upcall::kernel_cpu_main()
}

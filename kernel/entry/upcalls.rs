//! What the architecture calls once the machine is up: traps, the fast path, other CPUs. And how a panic ends.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use tessera_abi::Handle;
use tessera_arch::{CallResult, HandlerStart, Interrupt, Trap, UserPlace, VirtAddr};

use crate::base::console::{RING_BYTES, Ring};
use crate::base::log::{NOTHING_LEFT, end_machine, last_line, log, stand_alone};
use crate::base::sync::{BigGuard, BigLock};
use crate::bench::standby;
use crate::cpu::activations::{Activations, Last, Suspended};
use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::cpu::{gate_path, switch};
use crate::entry::{answering, asking, quick, trap, yielding};
use crate::lifecycle::reap;
use crate::sched::handler_path::Answered;
use crate::sched::{along, calling, guest_path, handler_path, lock_path, running};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Handled};

/// What CPUs read without the lock.
pub(crate) static SHARED: Shared = Shared::new(&RING, &KERNEL_HANDLERS);

/// How many objects have a handler: a word that the entry code finds by its name.
#[unsafe(no_mangle)]
static KERNEL_HANDLERS: AtomicU32 = AtomicU32::new(0);

/// Memory for what waits for the serial line.
static RING: Ring = [const { AtomicU8::new(0) }; RING_BYTES];

/// Everything else.
pub(crate) static KERNEL: BigLock<Option<Kernel>> = BigLock::new(None);

#[unsafe(no_mangle)]
fn kernel_line(index: usize) -> usize {
    (&raw const SHARED.cpus[index]).expose_provenance()
}

/// The calling CPU's line.
#[inline(always)]
fn line() -> &'static PerCpu {
    // SAFETY: `kernel_line` was asked for it, and gave the place of one in a static.
    unsafe { &*core::ptr::with_exposed_provenance::<PerCpu>(tessera_arch::cpu_line()) }
}

/// What every CPU ends its boot with: it runs what there is to run.
#[unsafe(no_mangle)]
pub fn kernel_cpu_main() -> ! {
    let line = line();
    SHARED.leave_space(line);
    standby::stand_by(&SHARED, line);
    let guard = lock(line, None);
    go_on(guard, line);
    tessera_arch::enter_user()
}

#[unsafe(no_mangle)]
fn kernel_trap(trap: Trap) {
    let line = line();
    if trap == Trap::Interrupt(Interrupt::Shootdown) {
        line.counters.shootdowns_received.add(1);
        // The thread is in no call, so nothing has to be made anew if it is let go.
        if handle_shootdown(line) {
            return;
        }
    }
    let mut guard = lock(line, Some(trap));
    with(&mut guard, |kernel| trap::handle(kernel, line.number(), trap));
    // Most calls leave the scheduler as it was, and nothing for the serial line.
    if is_due_here(line) {
        go_on(guard, line);
    }
}

#[unsafe(no_mangle)]
extern "C" fn kernel_fast_switch(handle: u64, instruction_pointer: u64, stack_pointer: u64) -> CallResult {
    let line = line();
    switch::space_switch(line, Handle::from_bits(handle), instruction_pointer, stack_pointer)
}

/// `space_switch` into a space that takes locks, or out of it, if the kernel's is free.
#[unsafe(no_mangle)]
extern "C" fn kernel_switch_with_locks(handle: u64, instruction_pointer: u64, stack_pointer: u64) -> CallResult {
    let (line, handle) = (line(), Handle::from_bits(handle));
    let Some(space) = lock_path::goal(&SHARED, line, handle) else { return CallResult::COMMON };
    let Some(mut guard) = KERNEL.try_lock() else { return CallResult::COMMON };
    let place = UserPlace { instruction_pointer, stack_pointer };
    let result = lock_path::switch(of_call(&mut guard), line, (space, handle), place);
    if result != CallResult::COMMON {
        line.counters.system_calls.add(1);
    }
    result
}

#[unsafe(no_mangle)]
extern "C" fn kernel_gate_call(
    handle: u64,
    badge: &mut u64,
    stack_pointer: u64,
    instruction_pointer: u64,
) -> UserPlace {
    let place = UserPlace { instruction_pointer, stack_pointer };
    gate_path::call(&SHARED, line(), Handle::from_bits(handle), badge, place)
}

#[unsafe(no_mangle)]
extern "C" fn kernel_gate_return(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64, number: u64) -> UserPlace {
    let line = line();
    gate_path::go_back(line, |Last { activations, last, level }| answer(number, level, line, activations, last))
}

/// A handler's answer, if the lock is free. Nobody needs its registers if that is done with at once.
#[inline(never)]
extern "C" fn answer(
    number: u64,
    level: usize,
    line: &'static PerCpu,
    activations: &Activations,
    last: &Suspended,
) -> UserPlace {
    let Some(mut guard) = KERNEL.try_lock() else { return gate_path::common() };
    match handler_path::answer(of_call(&mut guard), line, Last { activations, last, level }, number) {
        Answered::Not => gate_path::common(),
        Answered::Back => {
            drop(guard);
            tessera_arch::resume_user()
        }
        Answered::Call => make(guard, line),
    }
}

/// A call of which a handler was asked, which has answered. Out of line, so that other answers keep no register for it.
#[inline(never)]
fn make(mut guard: BigGuard<'static, Option<Kernel>>, line: &'static PerCpu) -> ! {
    answering::make(of_call(&mut guard), line);
    if is_due_here(line) {
        go_on(guard, line);
    } else {
        drop(guard);
    }
    tessera_arch::resume_user()
}

/// `gate_call` with a capability, if the lock is free.
#[unsafe(no_mangle)]
extern "C" fn kernel_gate_call_along(words: &mut [u64; 4], stack_pointer: u64, instruction_pointer: u64) -> UserPlace {
    let Some(mut guard) = KERNEL.try_lock() else { return UserPlace::COMMON };
    along::call(of_call(&mut guard), line(), words, UserPlace { instruction_pointer, stack_pointer })
}

/// `gate_return` with one.
#[unsafe(no_mangle)]
extern "C" fn kernel_gate_return_along(words: &mut [u64; 3]) -> UserPlace {
    let Some(mut guard) = KERNEL.try_lock() else { return UserPlace::COMMON };
    along::go_back(of_call(&mut guard), line(), words)
}

/// `guest_run` without flags and deadline, if the lock is free.
#[unsafe(no_mangle)]
extern "C" fn kernel_guest_run(guest: u64, space: u64) -> u64 {
    let Some(mut guard) = KERNEL.try_lock() else { return 0 };
    guest_path::run(of_call(&mut guard), line(), [guest, space].map(Handle::from_bits))
}

/// A guest's system call, if the lock is free.
#[unsafe(no_mangle)]
extern "C" fn kernel_guest_call() -> u64 {
    let Some(mut guard) = KERNEL.try_lock() else { return 0 };
    guest_path::leave(of_call(&mut guard), line())
}

/// A call of a thread whose handler is asked of it, if the lock is free.
#[unsafe(no_mangle)]
extern "C" fn kernel_asked_call() {
    let Some(mut guard) = KERNEL.try_lock() else { return };
    let mut start = HandlerStart::default();
    if let Some(place) = handler_path::ask_of_call(of_call(&mut guard), &SHARED, line(), &mut start) {
        drop(guard);
        tessera_arch::begin_handler(place, start);
    }
}

/// A fault, if the lock is free. There is a handler.
#[unsafe(no_mangle)]
extern "C" fn kernel_asked_fault(syndrome: u64, address: u64) {
    let Some(access) = tessera_arch::page_access(syndrome) else { return };
    let Some(mut guard) = KERNEL.try_lock() else { return };
    let mut start = HandlerStart::default();
    if let Some(place) = asking::ask(of_call(&mut guard), &SHARED, line(), (access, VirtAddr::new(address)), &mut start)
    {
        drop(guard);
        tessera_arch::begin_handler(place, start);
    }
}

/// A call of the kind that [`quick`] serves, if the lock is free; for all others the thread's registers are saved first.
#[unsafe(no_mangle)]
extern "C" fn kernel_quick_call(words: &[u64; 6], number: u64) -> CallResult {
    let Some(handler) = quick::handler(number) else { return CallResult::COMMON };
    let Some(mut guard) = KERNEL.try_lock() else { return CallResult::COMMON };
    quick::call(of_call(&mut guard), &SHARED, line(), handler, words)
}

/// `yield_now`. The thread's registers are saved, with the call's result.
#[unsafe(no_mangle)]
extern "C" fn kernel_yield() {
    let line = line();
    let mut guard = KERNEL.try_lock().unwrap_or_else(|| lock(line, None));
    if !yielding::yield_now(of_call(&mut guard), &SHARED, line) {
        finish(guard, line);
    }
}

/// The kernel, in a call.
#[inline(always)]
fn of_call<'a>(guard: &'a mut BigGuard<'static, Option<Kernel>>) -> &'a mut Kernel {
    match &mut **guard {
        Some(kernel) => kernel,
        // SAFETY: a call comes from a program, and the first of these begins after the boot list has put the kernel here,
        // where it stays.
        None => unsafe { core::hint::unreachable_unchecked() },
    }
}

/// What a quick call left to be done, now that the thread's registers are saved.
#[unsafe(no_mangle)]
fn kernel_finish() {
    let line = line();
    let mut guard = lock(line, None);
    with(&mut guard, |kernel| calling::serve_due(kernel, line.index));
    finish(guard, line);
}

/// Does what may have to be done after anything, and leaves the kernel.
fn finish(mut guard: BigGuard<'static, Option<Kernel>>, line: &'static PerCpu) {
    with(&mut guard, trap::finish);
    go_on(guard, line);
}

/// Leaves the kernel with a thread to run that owes nothing, and nothing for the serial line; mostly there is one at once.
fn go_on(mut guard: BigGuard<'static, Option<Kernel>>, line: &'static PerCpu) {
    let mut last = LastRound { was_due: false, has_sent: false };
    loop {
        let runs = with(&mut guard, |kernel| trap::schedule(kernel, line.index));
        let owes = with(&mut guard, |kernel| reap::has_to_go_on(kernel, line.index));
        if runs && !owes && !SHARED.console.is_due() {
            return;
        }
        let Some(again) = go_on_later(guard, line, Next { runs, owes }, &mut last) else { return };
        guard = again;
    }
}

/// What a CPU does next.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Next {
    /// It has a thread to run.
    runs: bool,
    /// Something is owed, by the thread or by nobody, that is worked off first.
    owes: bool,
}

/// What a CPU that leaves the kernel has done in the round before.
struct LastRound {
    /// Somebody had become ready whose turn was to be seen to.
    was_due: bool,
    /// It has fed the serial line, and taken no interrupt since.
    has_sent: bool,
}

/// Idles until an interrupt, or works off a step of what is owed; first, without the lock, feeds the serial line: once before it takes
/// interrupts again, though the line may take more. Nothing if there is a thread to run after all.
#[cold]
#[inline(never)]
fn go_on_later(
    mut guard: BigGuard<'static, Option<Kernel>>,
    line: &'static PerCpu,
    next: Next,
    last: &mut LastRound,
) -> Option<BigGuard<'static, Option<Kernel>>> {
    if !next.runs && !next.owes && with(&mut guard, |kernel| running::is_at_end(kernel)) {
        log!(SHARED.console, "nothing is left to run: every thread has ended, or waits for one that never will");
        end_machine(&SHARED.console, NOTHING_LEFT);
    }
    drop(guard);
    if !last.has_sent && SHARED.console.is_due() && SHARED.console.send(line.index) {
        // Something is left; the timer must be set for it, which is chosen with the lock.
        last.has_sent = true;
        let guard = lock(line, None);
        line.need_resched.store(true, Ordering::Relaxed);
        return Some(guard);
    }
    if next.runs && !next.owes {
        return None;
    }
    last.has_sent = false;
    Some(if next.owes { step(line, &mut last.was_due) } else { wait(line) })
}

/// Waits for an interrupt and handles it.
#[inline(always)]
fn wait(line: &'static PerCpu) -> BigGuard<'static, Option<Kernel>> {
    let interrupt = loop {
        let interrupt = tessera_arch::wait_for_interrupt();
        if interrupt != Interrupt::Shootdown {
            break interrupt;
        }
        line.counters.shootdowns_received.add(1);
        // When all CPUs are asked something, those that idle do not queue for the lock.
        if !handle_shootdown(line) || is_due_here(line) {
            break interrupt;
        }
    };
    let mut guard = lock(line, None);
    with(&mut guard, |kernel| {
        trap::interrupt(kernel, line.index, interrupt);
        // Who gives up waiting may make way for others.
        reap::reap(kernel);
    });
    guard
}

/// Whether a CPU that leaves the kernel, or idles, has to look first who runs on it, or at the serial line.
#[inline(always)]
fn is_due_here(line: &PerCpu) -> bool {
    line.need_resched.load(Ordering::Relaxed) || SHARED.console.is_due()
}

/// A step of what is owed, with a pending interrupt before it. Who waits for the lock gets it first. An interrupt by which
/// somebody more urgent may have become ready takes the step's place, unless one has taken that of the step before
/// (`was_due`): however many others send, a step comes after the second.
#[inline(never)]
fn step(line: &'static PerCpu, was_due: &mut bool) -> BigGuard<'static, Option<Kernel>> {
    let interrupt = tessera_arch::take_pending_interrupt();
    interrupt.inspect(|interrupt| count_shootdown(line, *interrupt));
    let mut guard = lock_behind(line);
    with(&mut guard, |kernel| {
        interrupt.inspect(|interrupt| trap::interrupt(kernel, line.index, *interrupt));
        *was_due = !*was_due && matches!(interrupt, Some(Interrupt::Timer | Interrupt::Reschedule));
        if !*was_due {
            reap::go_on(kernel, line.index);
        }
    });
    guard
}

/// Counts an interrupt that was taken in the kernel, if it is a shootdown.
#[inline(always)]
fn count_shootdown(line: &PerCpu, interrupt: Interrupt) {
    if interrupt == Interrupt::Shootdown {
        line.counters.shootdowns_received.add(1);
    }
}

/// Takes the big lock; serves what other CPUs ask meanwhile. If this CPU is made to let its thread go while that
/// waits with a trap that nothing was done about, the thread keeps it ([`flush::handle_ipi`]).
#[inline(always)]
fn lock(line: &'static PerCpu, trap: Option<Trap>) -> BigGuard<'static, Option<Kernel>> {
    KERNEL.lock(|| {
        flush::handle_ipi(&SHARED, line, trap);
    })
}

/// The same after the lock was given up between two steps: who waits for it goes first.
fn lock_behind(line: &'static PerCpu) -> BigGuard<'static, Option<Kernel>> {
    KERNEL.lock_behind(|| {
        flush::handle_ipi(&SHARED, line, None);
    })
}

/// Handles a shootdown without the lock; gives whether the thread can go straight on.
fn handle_shootdown(line: &'static PerCpu) -> bool {
    let handled = flush::handle_ipi(&SHARED, line, None);
    line.counters.shootdowns_spurious.add(u64::from(handled == Handled::Nothing));
    handled != Handled::Parked
}

pub(crate) fn with<T>(guard: &mut Option<Kernel>, work: impl FnOnce(&mut Kernel) -> T) -> T {
    work(guard.as_mut().expect("traps come after kernel_main has made the kernel"))
}

/// Prints what a backend says before it panics.
#[unsafe(no_mangle)]
fn kernel_report(text: core::fmt::Arguments<'_>) {
    stand_alone(&SHARED.console);
    last_line(&SHARED.console, text);
}

/// Prints why the kernel cannot go on, where it was, and ends the machine as a failure.
pub fn report_panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    let console = &SHARED.console;
    stand_alone(console);
    let line_in_panic = |text: core::fmt::Arguments<'_>| last_line(console, text);
    if !PANICKING.swap(true, Ordering::Relaxed) {
        match info.location() {
            Some(place) => line_in_panic(format_args!("PANIC: {} ({}:{})", info.message(), place.file(), place.line())),
            None => line_in_panic(format_args!("PANIC: {}", info.message())),
        }
        line_in_panic(format_args!("registers: {Registers}"));
        line_in_panic(format_args!("on CPU {}, called from:", tessera_arch::cpu_index()));
        tessera_arch::backtrace(&mut |address| line_in_panic(format_args!("  at {address:#x}")));
    }
    line_in_panic(format_args!("panicked"));
    tessera_arch::halt_after_panic()
}

struct Registers;

impl core::fmt::Display for Registers {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        tessera_arch::describe_registers(out)
    }
}

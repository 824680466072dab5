//! The fake machine's CPU: tests say which one they play.

use core::cell::{Cell, RefCell};

use crate::Interrupt;

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
    static UNEXPLAINED: Cell<u64> = const { Cell::new(0) };
    static MARKS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn reset() {
    CPU.set(0);
    UNEXPLAINED.set(0);
    MARKS.take();
}

/// Makes the calling test thread play this CPU.
pub fn set_cpu_index(cpu: usize) {
    CPU.set(cpu);
}

/// Which CPU this is.
pub fn cpu_line() -> usize {
    0
}

/// The CPU that the test plays.
pub fn cpu_index() -> usize {
    CPU.get()
}

/// Lets others go first.
pub fn relax() {
    std::hint::spin_loop();
}

/// Notes a mark.
pub fn mark<const CODE: u8>() {
    MARKS.with_borrow_mut(|marks| marks.push(CODE));
}

/// The marks that the machine came by since the last call.
pub fn take_marks() -> Vec<u8> {
    MARKS.take()
}

/// Idle: the fake machine's only interrupt is its timer, which is moved to its deadline.
pub fn wait_for_interrupt() -> Interrupt {
    if super::timer::skip_to_deadline() { Interrupt::Timer } else { panic!("idle for ever: no timer is set") }
}

/// The fake machine's only interrupt that can be pending is its timer's.
pub fn take_pending_interrupt() -> Option<Interrupt> {
    super::timer::is_due().then_some(Interrupt::Timer)
}

/// There is none.
pub fn open_cycle_counter() -> bool {
    false
}

/// Ends the test's machine.
pub fn power_off(code: u8) -> ! {
    panic!("power off with code {code}")
}

/// Ends the test after a panic.
pub fn halt_after_panic() -> ! {
    std::process::abort()
}

/// Return addresses: the host's own backtrace serves tests.
pub fn backtrace(_each: &mut dyn FnMut(u64)) {}

/// Lets so many interrupts come that cannot be masked and have no cause.
pub fn interrupt_without_cause(count: u64) {
    UNEXPLAINED.set(UNEXPLAINED.get() + count);
}

/// How many came since this was last asked.
pub fn take_unexplained_interrupts() -> u64 {
    UNEXPLAINED.take()
}

/// Names the CPU's features.
///
/// # Errors
/// Those of the writer.
pub fn describe_features(out: &mut dyn core::fmt::Write) -> core::fmt::Result {
    out.write_str("fake")
}

/// Writes the registers of the CPU, of which the fake machine has none.
///
/// # Errors
/// Those of the writer.
pub fn describe_registers(out: &mut dyn core::fmt::Write) -> core::fmt::Result {
    out.write_str("none")
}

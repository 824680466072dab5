//! Other CPUs of the fake machine: they exist when a test plays them.

use core::cell::RefCell;

use crate::Interrupt;

/// Whether invalidation reaches other CPUs without an interrupt: as on x86, it does not.
pub const BROADCASTS_INVALIDATION: bool = false;

type Handler = Box<dyn FnMut(usize, Interrupt)>;

thread_local! {
    static HANDLER: RefCell<Option<Handler>> = const { RefCell::new(None) };
}

pub(super) fn reset() {
    HANDLER.take();
}

/// Sets what happens when a CPU is interrupted by another. It is called with the interrupted CPU's number, at
/// once, while that CPU is the one the test plays.
pub fn on_interrupt(handler: impl FnMut(usize, Interrupt) + 'static) {
    HANDLER.replace(Some(Box::new(handler)));
}

/// All CPUs run as soon as a test plays them.
pub fn start_cpus(count: usize) -> usize {
    count
}

/// Interrupts another CPU, which sees to it at once.
pub fn send_interrupt(cpu: usize, interrupt: Interrupt) {
    let mut handler = HANDLER.take();
    if let Some(handler) = &mut handler {
        let sender = super::cpu::cpu_index();
        super::cpu::set_cpu_index(cpu);
        handler(cpu, interrupt);
        super::cpu::set_cpu_index(sender);
    }
    HANDLER.replace(handler);
}

/// The fake machine's other CPUs do nothing by themselves.
pub fn stop_other_cpus() {}

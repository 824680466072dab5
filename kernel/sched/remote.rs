//! Taking a thread off another CPU.

use alloc::boxed::Box;

use crate::cpu::handshake::Request;
use crate::cpu::requests;
use crate::object::id::ThreadId;
use crate::object::interrupted::Asked;
use crate::object::thread::{Asking, Pending};
use crate::sched::noting::{self, Place};
use crate::sched::{ready, running};
use crate::state::kernel::Kernel;

/// Makes another CPU let go of its thread and its space, and makes the thread ready again: its call, if it was
/// in one that had not begun, is made anew, and a fault that it came in with is seen to when it next runs.
pub fn preempt_remote(kernel: &mut Kernel, cpu: usize) {
    if let Some(id) = stall_remote(kernel, cpu) {
        ready::make_ready_again(kernel, id);
    }
}

/// Makes another CPU let go of its thread and its space; the thread is in no queue then.
///
/// The space's number is looked up before anybody else can get the lock and reuse it.
pub fn stall_remote(kernel: &mut Kernel, cpu: usize) -> Option<ThreadId> {
    let line = &kernel.shared.cpus[cpu];
    requests::ask(kernel.shared, line, Request::Park);
    requests::await_acknowledgements(kernel.shared, 1 << cpu);
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    run_queue.need_resched.set(true);
    let pending = line.pending.lock().take();
    let id = run_queue.current.take()?;
    let place = Place::of_parked(line);
    running::leave_line(line);
    let thread = &mut kernel.threads[id];
    // Who owes something came in with nothing else, and owes it still.
    if let Some(fault) = pending {
        thread.pending = Some(Box::new(Pending::Asks(Asking::Fault(fault, Asked::Nobody))));
    }
    noting::note(kernel, id, place);
    Some(id)
}

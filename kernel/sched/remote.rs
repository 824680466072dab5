//! Taking a thread off another CPU.

use alloc::boxed::Box;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;

use crate::cpu::handshake::Request;
use crate::cpu::requests;
use crate::object::id::ThreadId;
use crate::object::thread::Pending;
use crate::sched::{inside, ready, running};
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
    run_queue.need_resched = true;
    let pending = line.pending.lock().take();
    let id = run_queue.current.take()?;
    let space = kernel.spaces.id_at(line.parked_space.load(Relaxed));
    let thread = &mut kernel.threads[id];
    thread.entered_by = Handle::from_bits(line.entered_by.load(Relaxed));
    // Who owes something came in with nothing else, and owes it still.
    if let Some(fault) = pending {
        thread.pending = Some(Box::new(Pending::Fault(fault)));
    }
    if let Some(space) = space {
        running::note_space(kernel, id, space);
        inside::note(kernel, id);
    }
    Some(id)
}

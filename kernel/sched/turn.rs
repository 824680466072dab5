//! Threads that wait for their turn on the console.

use crate::base::console::Wait;
use crate::object::id::ThreadId;
use crate::sched::running;
use crate::state::kernel::Kernel;

/// Whether the calling CPU's thread may have text of so many bytes on the console now. If not, it is put to sleep
/// until its turn should come; the caller sees to it that it then does anew what it came for.
pub(crate) fn takes_turn(kernel: &mut Kernel, cpu: usize, id: ThreadId, bytes: u64) -> bool {
    match kernel.shared.console.ensure_turn(kernel.threads[id].console_turn(), bytes) {
        Ok(()) => true,
        Err(wait) => {
            wait_for_console(kernel, cpu, id, wait);
            false
        }
    }
}

/// Puts the calling CPU's thread to sleep for a turn on the console.
pub(crate) fn wait_for_console(kernel: &mut Kernel, cpu: usize, id: ThreadId, wait: Wait) {
    kernel.threads[id].set_console_turn(Some(wait.turn));
    running::stop_current(kernel, cpu);
    let wake_ns = tessera_arch::now_ns().saturating_add(wait.wait_ns);
    kernel.scheduler.add_sleeper(&mut kernel.threads, id, wake_ns);
}

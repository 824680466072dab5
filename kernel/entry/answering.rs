//! Answers of handlers on the fast path, and the calls that are made then.

use crate::cpu::per_cpu::PerCpu;
use crate::entry::{calls, trap};
use crate::object::interrupted::Why;
use crate::sched::handler_path;
use crate::state::kernel::Kernel;

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is for the common path, and nothing has changed.
    Not,
    /// The thread is back where it was interrupted.
    Back,
    /// It has made the call of which the handler was asked, and its registers are saved: another may go on.
    Made,
}

/// Serves the answer with this number of the handler that the calling CPU's thread is in.
#[inline(always)]
pub fn answer(kernel: &mut Kernel, line: &'static PerCpu, number: u64) -> Answered {
    let Some(why) = handler_path::answer(kernel, line, number) else { return Answered::Not };
    line.counters.system_calls.add(1);
    if why != Why::Call {
        return Answered::Back;
    }
    if calls::make_quickly(kernel, line) {
        trap::finish(kernel);
    } else {
        let served = calls::make(kernel, line.number());
        trap::end_call(kernel, line.number(), served);
    }
    Answered::Made
}

//! The calls of which a handler was asked, and that are made when it has answered on the fast path.

use crate::cpu::per_cpu::PerCpu;
use crate::entry::{calls, trap};
use crate::state::kernel::Kernel;

/// Makes the call of the calling CPU's thread that its handler was asked of. Its registers are saved: another may go on.
pub fn make(kernel: &mut Kernel, line: &'static PerCpu) {
    if calls::make_quickly(kernel, line) {
        trap::finish(kernel);
    } else {
        let served = calls::make(kernel, line.number());
        trap::end_call(kernel, line.number(), served);
    }
}

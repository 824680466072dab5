//! The fake machine has no user mode, hence no handler that begins there.

use crate::{HandlerStart, UserPlace};

/// There is no user mode to go to.
pub fn begin_handler(_place: UserPlace, _start: HandlerStart) -> ! {
    panic!("the fake machine has no user mode")
}

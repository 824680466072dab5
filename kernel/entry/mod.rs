//! Coming in: traps, the calls of the architecture, the boot list, options, the first program.

pub mod answering;
pub mod asking;
#[cfg(target_os = "none")]
#[expect(unsafe_code, reason = "takes the machine's free memory into use")]
pub mod boot;
mod calls;
pub mod options;
pub mod program;
pub mod quick;
pub mod trap;
#[cfg(target_os = "none")]
#[expect(unsafe_code, reason = "names the symbols that the architecture calls")]
pub mod upcalls;
pub mod yielding;

//! From the first instruction to `main`, and from its result to the exit code.

use core::fmt::Display;

/// What a program's `main` may return, and the exit code it stands for.
pub trait Outcome {
    /// The exit code: 0 for success.
    fn code(self) -> u8;
}

impl Outcome for () {
    fn code(self) -> u8 {
        0
    }
}

impl Outcome for u8 {
    fn code(self) -> u8 {
        self
    }
}

impl<T: Outcome, E: Display> Outcome for Result<T, E> {
    /// An error is printed and becomes exit code 1.
    fn code(self) -> u8 {
        match self {
            Ok(outcome) => outcome.code(),
            Err(error) => {
                crate::println!("error: {error}");
                1
            }
        }
    }
}

/// Names the function that the program begins with; it takes nothing and returns an [`Outcome`](crate::Outcome):
/// `()`, an exit code, or a `Result` of these.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "Rust" fn program_main() -> u8 {
            $crate::Outcome::code($main())
        }

        // On a host the program is checked, not linked.
        #[cfg(not(target_os = "none"))]
        const _: fn() -> u8 = || $crate::Outcome::code($main());
    };
}

#[cfg(target_os = "none")]
mod bare {
    use core::arch::naked_asm;
    use libvas::layout::ProgramInfo;
    use libvas::thread;

    unsafe extern "Rust" {
        /// Made by [`crate::main!`].
        safe fn program_main() -> u8;
    }

    // The linker reads a "library" that is no object file as a script, so every program that uses this crate is
    // laid out by program.ld without a word in its own manifest; build.rs says where the file is.
    #[link(name = "program.ld", kind = "dylib", modifiers = "+verbatim")]
    unsafe extern "C" {}

    /// Where the first thread begins, with the address of its `ProgramInfo` as argument: ends the chain of frames
    /// and makes the stack pointer what a function may expect.
    #[cfg(target_arch = "x86_64")]
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn _start(info: *const ProgramInfo) -> ! {
        naked_asm!("xor ebp, ebp", "and rsp, -16", "call {enter}", "ud2", enter = sym enter)
    }

    /// Where the first thread begins, with the address of its `ProgramInfo` as argument: ends the chain of frames
    /// and makes the stack pointer what a function may expect.
    #[cfg(target_arch = "aarch64")]
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn _start(info: *const ProgramInfo) -> ! {
        naked_asm!("mov x29, xzr", "mov x30, xzr", "mov x9, sp", "and sp, x9, #-16", "b {enter}", enter = sym enter)
    }

    extern "C" fn enter(info: *const ProgramInfo) -> ! {
        // SAFETY: whoever started the program gave it this structure and the capabilities in it, and this runs once.
        unsafe { libvas::program::start(info) };
        let code = program_main();
        crate::print::end_line();
        thread::exit(u64::from(code))
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn results_become_exit_codes() {
        assert_eq!(().code(), 0);
        assert_eq!(7_u8.code(), 7);
        assert_eq!(Ok::<u8, &str>(3).code(), 3);
        assert_eq!(Err::<(), &str>("not as told").code(), 1);
    }
}

//! Exit codes: of one program, and of the machine that ran several.

use libvas::Error;

/// Something of the program remained.
pub const LEAKED: u8 = 120;
/// There is no boot archive to read.
pub const NO_ARCHIVE: u8 = 125;
/// The program could not be started. From here on the codes are what shells use for the same.
pub const NOT_STARTED: u8 = 126;
/// There is no such program.
pub const NO_PROGRAM: u8 = 127;
/// The program's first thread was stopped.
pub const STOPPED: u8 = 137;
/// The program's first thread faulted.
pub const FAULTED: u8 = 139;

/// The exit code of a program, from what waiting for its first thread gave.
pub fn of_program(joined: Result<u64, Error>) -> u8 {
    match joined {
        Ok(code) => u8::try_from(code).unwrap_or(u8::MAX),
        Err(Error::Faulted) => FAULTED,
        Err(_) => STOPPED,
    }
}

/// The machine's exit code, from those of its programs: the last that was not 0.
pub fn of_machine(codes: impl Iterator<Item = u8>) -> u8 {
    codes.filter(|code| *code != 0).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{FAULTED, STOPPED, of_machine, of_program};
    use libvas::Error;

    #[test]
    fn a_program_that_ended_has_its_own_code() {
        assert_eq!([0, 1, 139, 255].map(|code| of_program(Ok(code))), [0, 1, 139, 255]);
    }

    #[test]
    fn a_code_too_large_is_no_success() {
        assert_eq!([256, u64::MAX].map(|code| of_program(Ok(code))), [255, 255]);
    }

    #[test]
    fn faulted_is_told_from_stopped() {
        assert_eq!(of_program(Err(Error::Faulted)), FAULTED);
        assert_eq!(of_program(Err(Error::Gone)), STOPPED);
    }

    #[test]
    fn the_last_failure_counts() {
        assert_eq!(of_machine([].into_iter()), 0);
        assert_eq!(of_machine([0, 0].into_iter()), 0);
        assert_eq!(of_machine([3, 7, 0].into_iter()), 7);
    }
}

//! What a Linux program finds on its stack when it starts (System V ABI for x86_64, 3.4.1; the same on aarch64).

use crate::numbers::AARCH64;
use alloc::vec::Vec;
use executable::Executable;

/// What a program is started with.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The processor, by its `e_machine`.
    pub machine: u16,
    /// Its arguments, its own name first.
    pub arguments: &'a [&'a str],
    /// Its environment, `NAME=VALUE` each.
    pub environment: &'a [&'a str],
    /// Where its file is.
    pub path: &'a str,
    /// For the C library to make canaries from.
    pub random: [u8; 16],
}

/// Types of the auxiliary vector (`include/uapi/linux/auxvec.h` in Linux).
mod auxiliary {
    pub(super) const END: u64 = 0;
    pub(super) const HEADERS: u64 = 3;
    pub(super) const HEADER_BYTES: u64 = 4;
    pub(super) const HEADER_COUNT: u64 = 5;
    pub(super) const PAGE_BYTES: u64 = 6;
    pub(super) const ENTRY: u64 = 9;
    pub(super) const USER_AND_GROUP: [u64; 4] = [11, 12, 13, 14];
    pub(super) const CAPABILITIES: u64 = 16;
    pub(super) const CLOCK_TICKS: u64 = 17;
    pub(super) const IS_SECURE: u64 = 23;
    pub(super) const RANDOM: u64 = 25;
    pub(super) const FILE_NAME: u64 = 31;
}

/// On aarch64, that there are floating point and vectors; more is not kept for a guest. x86_64 asks the processor.
fn capabilities(machine: u16) -> u64 {
    if machine == AARCH64 { 0b11 } else { 0 }
}

/// The bytes at the upper end of a stack that ends at `top`, and the stack pointer, where they begin.
pub fn filled(start: &Start<'_>, executable: &Executable<'_>, top: u64) -> (Vec<u8>, u64) {
    let mut bytes = Vec::new();
    let mut texts = |text: &str| {
        let at = bytes.len() as u64;
        bytes.extend(text.as_bytes());
        bytes.push(0);
        at
    };
    let arguments: Vec<u64> = start.arguments.iter().map(|text| texts(text)).collect();
    let environment: Vec<u64> = start.environment.iter().map(|text| texts(text)).collect();
    let path = texts(start.path);
    let random = bytes.len() as u64;
    bytes.extend(start.random);
    let strings = (top - bytes.len() as u64) / 16 * 16;

    let mut words = Vec::new();
    words.push(arguments.len() as u64);
    for list in [arguments, environment] {
        words.extend(list.iter().map(|at| strings + at));
        words.push(0);
    }
    words.extend(vector(start.machine, executable, strings + random, strings + path).into_iter().flatten());
    let pointer = (strings - 8 * words.len() as u64) / 16 * 16;
    let mut whole: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    whole.resize((strings - pointer) as usize, 0);
    whole.extend(bytes);
    (whole, pointer)
}

fn vector(machine: u16, executable: &Executable<'_>, random: u64, path: u64) -> Vec<[u64; 2]> {
    use auxiliary::{
        CAPABILITIES, CLOCK_TICKS, END, ENTRY, FILE_NAME, HEADER_BYTES, HEADER_COUNT, HEADERS, IS_SECURE, PAGE_BYTES,
        RANDOM, USER_AND_GROUP,
    };
    let mut pairs = Vec::new();
    pairs.extend([[HEADERS, executable.headers], [HEADER_BYTES, 56], [HEADER_COUNT, executable.header_count]]);
    pairs.extend([[PAGE_BYTES, libvas::PAGE_BYTES], [ENTRY, executable.entry]]);
    pairs.extend(USER_AND_GROUP.map(|kind| [kind, 0]));
    pairs.extend([[CAPABILITIES, capabilities(machine)], [CLOCK_TICKS, 100], [IS_SECURE, 0]]);
    pairs.extend([[RANDOM, random], [FILE_NAME, path], [END, 0]]);
    pairs
}

#[cfg(test)]
mod tests {
    use super::{Start, filled};
    use executable::Executable;

    const TOP: u64 = 0x7000_0000;

    fn stack(arguments: &[&str]) -> (Vec<u8>, u64) {
        let executable = Executable { entry: 0x40_1000, headers: 0x40_0040, header_count: 9, parts: Vec::new() };
        let start = Start {
            machine: 62,
            arguments,
            environment: &["PATH=/bin"],
            path: "/bin/program",
            random: *b"0123456789abcdef",
        };
        filled(&start, &executable, TOP)
    }

    fn word(stack: &(Vec<u8>, u64), at: usize) -> u64 {
        u64::from_le_bytes(stack.0[8 * at..8 * at + 8].try_into().expect("eight bytes"))
    }

    fn text(stack: &(Vec<u8>, u64), address: u64) -> String {
        let bytes = stack.0[(address - stack.1) as usize..].iter().take_while(|byte| **byte != 0);
        bytes.map(|byte| char::from(*byte)).collect()
    }

    #[test]
    fn arguments_and_environment_are_found() {
        for arguments in [&["program", "a b"][..], &["program"], &["x", "", "yy", "zzz"]] {
            let stack = stack(arguments);
            assert!(stack.1.is_multiple_of(16), "the ABI wants that");
            assert!(stack.1 + stack.0.len() as u64 <= TOP, "it all lies below the stack's end");
            assert_eq!(word(&stack, 0), arguments.len() as u64);
            for (at, argument) in arguments.iter().enumerate() {
                assert_eq!(text(&stack, word(&stack, 1 + at)), *argument);
            }
            let behind = 1 + arguments.len();
            assert_eq!((word(&stack, behind), word(&stack, behind + 2)), (0, 0));
            assert_eq!(text(&stack, word(&stack, behind + 1)), "PATH=/bin");
        }
    }

    #[test]
    fn the_vector_tells_of_the_program() {
        let stack = stack(&["program"]);
        let found = |kind: u64| (5..).step_by(2).find(|at| word(&stack, *at) == kind).map(|at| word(&stack, at + 1));
        assert_eq!((found(3), found(5), found(6), found(9)), (Some(0x40_0040), Some(9), Some(4096), Some(0x40_1000)));
        let random = found(25).expect("it is there");
        assert_eq!(&stack.0[(random - stack.1) as usize..][..16], b"0123456789abcdef");
        assert_eq!(found(31).map(|address| text(&stack, address)).as_deref(), Some("/bin/program"));
    }
}

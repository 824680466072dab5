//! System calls with arguments that make no sense: none of them may harm the supervisor.

use linux::calls;
use linux::memory::{MAPS, STACK_TOP};
use linux::output::Output;
use linux::run::{self, Place};

use alloc::vec::Vec;
use demonstration::{Failure, Random, chapter, check};
use libvas::raw::ELF_MACHINE;
use libvas::{PAGE_BYTES, USER_END};
use linux::numbers::Call;
use linux::probe::{self, IMAGE};
use rt::println;

/// How many programs make such calls, and how many each.
const PROGRAMS: u64 = 20;
const CALLS: u64 = 200;

/// A number above those of all calls.
const NUMBERS_END: u64 = 500;

/// What stands for arguments: small numbers, flags, addresses that are there and that are not, edges of all kinds.
const ARGUMENTS: [u64; 28] = [
    0,
    1,
    2,
    3,
    4,
    7,
    0x22,
    0x32,
    100,
    PAGE_BYTES - 1,
    PAGE_BYTES,
    1 << 20,
    1 << 32,
    1 << 44,
    IMAGE,
    IMAGE + PAGE_BYTES - 4,
    IMAGE + 2 * PAGE_BYTES,
    MAPS.start,
    STACK_TOP - PAGE_BYTES,
    STACK_TOP - 8,
    USER_END - 1,
    USER_END,
    1 << 47,
    i64::MAX as u64,
    1 << 63,
    -100_i64 as u64,
    -(PAGE_BYTES as i64) as u64,
    u64::MAX,
];

/// Has calls served in any order, with any arguments, for processes that never run.
pub(crate) fn try_all(place: Place<'_>) -> Result<(), Failure> {
    chapter("Calls that make no sense");
    // The same in every run.
    let mut random = Random::new(0x7e55_e4a1);
    let served: Vec<u64> = (0..NUMBERS_END).filter(|number| is_tried(*number)).collect();
    let (file, mut refused) = (probe::program(ELF_MACHINE, &[]), 0);
    for _ in 0..PROGRAMS {
        let output = Output::kept();
        let loaded = run::loaded(place, "/nonsense", &file, &["nonsense"], &output);
        let (mut world, mut process) =
            loaded.map_err(|_| Failure::NotAsTold("a program that does nothing can be loaded"))?;
        for _ in 0..CALLS {
            let number = served[random.below(served.len() as u64) as usize];
            let arguments = [(); 6].map(|()| ARGUMENTS[random.below(ARGUMENTS.len() as u64) as usize]);
            refused += u64::from(calls::serve(&mut world, &mut process, number, arguments).is_err());
            process.end_wait();
            // What it prints is nobody's concern, and may be much.
            output.finish();
        }
    }
    println!("   {PROGRAMS} programs make {CALLS} calls each, of {} kinds: {refused} are refused", served.len());
    check(refused > 0 && refused < PROGRAMS * CALLS, "some calls make sense, and some do not")
}

/// Whether a call is served, and neither just takes time nor says each time what is wrong.
fn is_tried(number: u64) -> bool {
    Call::from_number(ELF_MACHINE, number).is_some_and(|call| !matches!(call, Call::Getrandom | Call::SignalReturn))
}

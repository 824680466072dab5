//! What the host tests of kernel logic share.
//!
//! The kernel runs in the test's own process, on the machine made of ordinary memory (`tessera_arch::fake`). The
//! tests are in `tests/`, one subject a file. Around them:
//!
//! | module | what it is about |
//! |---|---|
//! | [`boot`], [`machine`] | a booted machine with one program, whose system calls the test makes |
//! | [`checking`] | the kernel's checks, made in steps |
//! | [`walker`] | what the hardware would read from the page tables, found without the kernel's help |
//! | [`model`] | what should be mapped where, kept naively |
//! | [`tlb`] | what a CPU's TLB could hold at worst |
//! | [`smp`] | several CPUs, played in turn |
//! | [`oracle`] | random operations under the oracle of the fake machine |
//! | [`snapshot`] | the kernel's state as values that can be compared |
//!
//! Random tests begin with the same seed each time, so that a run can be repeated. `TESSERA_HOST_SEED=number`
//! chooses another one, `TESSERA_HOST_CASES=factor` multiplies the number of cases, and
//! `TESSERA_HOST_SHRINKS=0` leaves a case that fails as it is. `TESSERA_HOST_UNITS=number` has kernels work
//! for so many units at each entry: with 1 every long call is cut wherever it can be.

pub mod boot;
pub mod checking;
pub mod machine;
pub mod model;
pub mod oracle;
pub mod smp;
pub mod snapshot;
pub mod tlb;
pub mod walker;

pub use boot::Options;
pub use machine::Machine;

use proptest::test_runner::{Config, RngSeed};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::ENTRY_UNITS;

/// Both architectures' page-table formats.
pub const FLAVOURS: [Flavour; 2] = [Flavour::X86, Flavour::Arm];

const SEED: u64 = 0x7e55_e4a0;

/// The units of work that kernels have for each entry.
pub fn entry_units() -> u32 {
    number("TESSERA_HOST_UNITS").map_or(ENTRY_UNITS, |units| units as u32)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// How a random test runs: so many cases (times `TESSERA_HOST_CASES`), from a fixed seed.
pub fn config(cases: u32) -> Config {
    let factor = number("TESSERA_HOST_CASES").unwrap_or(1) as u32;
    Config {
        cases: cases * factor,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(number("TESSERA_HOST_SEED").unwrap_or(SEED)),
        max_shrink_iters: number("TESSERA_HOST_SHRINKS").map_or(1000, |most| most as u32),
        ..Config::default()
    }
}

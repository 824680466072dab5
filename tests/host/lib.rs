//! What the host tests of kernel logic share.
//!
//! The kernel runs in the test's own process, on the machine made of ordinary memory (`tessera_arch::fake`). The
//! tests are in `tests/`, one subject a file. Around them:
//!
//! | module | what it is about |
//! |---|---|
//! | [`boot`], [`machine`] | a booted machine with one program, whose system calls the test makes |
//! | [`walker`] | what the hardware would read from the page tables, found without the kernel's help |
//! | [`model`] | what should be mapped where, kept naively |
//! | [`tlb`] | what a CPU's TLB could hold at worst |
//! | [`smp`] | several CPUs, played in turn |
//! | [`oracle`] | random operations under the oracle of the fake machine |
//! | [`snapshot`] | the kernel's state as values that can be compared |
//!
//! Random tests begin with the same seed each time, so that a run can be repeated. `TESSERA_HOST_SEED=number`
//! chooses another one, `TESSERA_HOST_CASES=factor` multiplies the number of cases. `TESSERA_HOST_UNITS=number` cuts long
//! work of every machine that is booted into steps of so many units of effort.

pub mod boot;
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

/// Both architectures' page-table formats.
pub const FLAVOURS: [Flavour; 2] = [Flavour::X86, Flavour::Arm];

const SEED: u64 = 0x7e55_e4a0;

/// How a random test runs: so many cases (times `TESSERA_HOST_CASES`), from a fixed seed.
pub fn config(cases: u32) -> Config {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let factor = number("TESSERA_HOST_CASES").unwrap_or(1) as u32;
    Config {
        cases: cases * factor,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(number("TESSERA_HOST_SEED").unwrap_or(SEED)),
        max_shrink_iters: 1000,
        ..Config::default()
    }
}

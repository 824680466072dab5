//! A machine with memory for long calls, and calls that are made with more or less work for each entry.

use host_tests::snapshot::Snapshot;
use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::{Error, PAGE_BYTES};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::set_entry_units;
use tessera_kernel::lifecycle::check;

/// Where the calls work: behind the program's slot, at a large page's start.
pub(crate) const BASE: u64 = 0x200_0000_0000;
/// Enough for all of it at once; then less and less.
pub(crate) const UNITS: [u32; 6] = [1 << 24, 1000, 300, 60, 9, 1];

/// Bytes of so many pages.
pub(crate) const fn pages(count: u64) -> u64 {
    count * PAGE_BYTES
}

/// A machine for such calls.
pub(crate) fn boot(flavour: Flavour, cpus: usize) -> Machine {
    Machine::boot(&Options { cpus, slots: 512, ..Options::new(flavour).frames(16_384) })
}

/// Prepares a machine, then makes calls with so many units for each entry, on both kinds of machine. With however few, the
/// calls' results and what is there afterwards are the same, and every rule holds after each step.
pub(crate) fn same_however_cut(prepare: impl Fn(&mut Machine), act: impl Fn(&mut Machine) -> Vec<Result<u64, Error>>) {
    for flavour in FLAVOURS {
        let outcomes = UNITS.map(|units| {
            let mut machine = boot(flavour, 1);
            prepare(&mut machine);
            set_entry_units(units);
            machine.between_steps(|machine| {
                check::check(&machine.kernel);
                true
            });
            machine.steps = 0;
            let results = act(&mut machine);
            check::check(&machine.kernel);
            (results, Snapshot::of(&machine.kernel), machine.steps)
        });
        let (results, after, steps) = &outcomes[0];
        assert_eq!(*steps, 0, "so much is done at once");
        for ((cut_results, cut_after, _), units) in outcomes.iter().zip(UNITS) {
            assert_eq!(results, cut_results, "with {units} units");
            assert!(after == cut_after, "with {units} units: {after:?} is not {cut_after:?}");
        }
        assert!(outcomes[UNITS.len() - 1].2 > 3, "the calls were cut");
    }
}

/// The same for a call that is refused: it changes nothing.
pub(crate) fn refused_however_cut(
    prepare: impl Fn(&mut Machine),
    act: impl Fn(&mut Machine) -> Result<u64, Error>,
    error: Error,
) {
    same_however_cut(prepare, |machine| {
        let before = Snapshot::of(&machine.kernel);
        let result = act(machine);
        assert_eq!(result, Err(error));
        assert!(before == Snapshot::of(&machine.kernel), "a refused call changes nothing");
        vec![result]
    });
}

//! The oracle catches what it is for: bugs seeded into the kernel, one at a time, must break a rule in some run. The
//! runs are the same for every mutant, and the kernel without one passes them all. (Mutants of the handshake, which
//! need CPUs that run at the same time, are for `tests/loom`.)

use std::panic::{AssertUnwindSafe, catch_unwind};

use host_tests::config;
use host_tests::oracle::{Run, run};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tessera_arch::fake::oracle;
use tessera_kernel::base::mutants::{MUTANTS, Mutant};

/// Runs until a mutant counts as missed.
const RUNS: u32 = 400;

/// Plays runs until one breaks a rule; gives the rule's name.
fn search(mutant: Option<Mutant>) -> Option<String> {
    let mut runner = TestRunner::new(config(RUNS));
    let strategy = run(150);
    for number in 0..RUNS {
        let run = strategy.new_tree(&mut runner).expect("runs can be made").current();
        if let Some(breach) = mutant.map_or_else(|| run.play(), |mutant| find_breach(&run, mutant)) {
            println!("{mutant:?} is caught by run {number}: {breach}");
            return breach.split(':').next().map(str::to_owned);
        }
    }
    None
}

/// A kernel that finds out by itself that something is wrong with it is caught as well.
fn find_breach(run: &Run, mutant: Mutant) -> Option<String> {
    let found = catch_unwind(AssertUnwindSafe(|| run.find_breach(mutant)));
    found.unwrap_or_else(|_| oracle::take_breach().or_else(|| Some("panic: an assertion of the kernel".to_owned())))
}

macro_rules! caught {
    ($($test:ident: $mutant:ident,)*) => {$(
        #[test]
        fn $test() {
            assert!(search(Some(Mutant::$mutant)).is_some(), "no run shows {:?}", Mutant::$mutant);
        }
    )*

    #[test]
    fn every_mutant_has_its_test() {
        assert!(MUTANTS.iter().all(|mutant| [$(Mutant::$mutant,)*].contains(mutant)));
    }};
}

caught! {
    roll_over_without_flush_is_caught: NoFlushAtRollOver,
    passes_that_survive_a_roll_over_are_caught: PassesSurviveRollOver,
    live_tag_not_reserved_is_caught: LiveTagNotReserved,
    missing_interrupt_is_caught: MissingInterrupt,
    last_cpu_forgotten_is_caught: LastCpuForgotten,
    stale_mark_forgotten_is_caught: StaleMarkForgotten,
    tables_freed_before_the_flush_are_caught: FreedBeforeFlush,
    table_freed_at_once_is_caught: TableFreedAtOnce,
    tables_freed_without_flush_are_caught: TablesFreedUnflushed,
    range_one_page_short_is_caught: RangeOnePageShort,
    long_range_dropped_is_caught: LongRangeDropped,
    detach_without_flush_is_caught: DetachUnflushed,
    window_flushed_on_another_cpu_is_caught: WindowFlushedElsewhere,
    window_that_forgets_marks_is_caught: WindowForgetsMarks,
    protect_without_flush_is_caught: ProtectUnflushed,
    sharer_forgotten_is_caught: SharerForgotten,
    split_without_break_is_caught: SplitWithoutBreak,
    destroyer_that_stays_is_caught: DestroyerStays,
    parked_cpu_that_stays_is_caught: ParkedStays,
    untagged_kept_is_caught: UntaggedKept,
    view_unbounded_is_caught: ViewUnbounded,
    view_misses_loss_is_caught: ViewMissesLoss,
    view_unflushed_is_caught: ViewUnflushed,
    nested_sharer_forgotten_is_caught: NestedSharerForgotten,
    sharer_not_held_is_caught: SharerNotHeld,
    second_place_forgotten_is_caught: SecondPlaceForgotten,
    next_owner_skipped_is_caught: NextOwnerSkipped,
    second_way_forgotten_is_caught: SecondWayForgotten,
    second_way_on_other_cpus_is_caught: SecondWayOtherCpus,
    second_way_unseen_in_views_is_caught: SecondWayUnseenInViews,
    address_forgotten_is_caught: AddressForgotten,
    withdraw_unflushed_is_caught: WithdrawUnflushed,
    public_missing_is_caught: PublicMissing,
    public_stays_global_is_caught: PublicStaysGlobal,
    public_flushed_here_only_is_caught: PublicFlushedHereOnly,
    public_table_kept_is_caught: PublicTableKept,
    public_range_short_is_caught: PublicRangeShort,
    copied_root_unpublished_is_caught: CopiedRootUnpublished,
}

#[test]
fn the_kernel_without_mutants_passes_the_same_runs() {
    assert_eq!(search(None), None);
}

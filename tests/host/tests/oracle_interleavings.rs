//! Whatever happens on several CPUs, none can use a translation that is not true any more, and no frame is free
//! while one can reach it: random operations under the oracle.

use host_tests::config;
use host_tests::oracle::run;
use proptest::prelude::*;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn no_rule_of_the_oracle_is_broken(run in run(120)) {
        let breach = run.play();
        prop_assert!(breach.is_none(), "{}", breach.unwrap_or_default());
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn no_rule_is_broken_whatever_the_size_of_a_step(run in run(120), units in 1..80_u32) {
        set_entry_units(units);
        let breach = run.play();
        set_entry_units(ENTRY_UNITS);
        prop_assert!(breach.is_none(), "{units} units: {}", breach.unwrap_or_default());
    }
}

proptest! {
    #![proptest_config(config(30))]

    #[test]
    fn no_check_takes_for_wrong_what_is_only_new(run in run(120), units in 1..120_u32, steps in 1..60_u32) {
        set_entry_units(units);
        let breach = run.play_under_checks(steps);
        set_entry_units(ENTRY_UNITS);
        prop_assert!(breach.is_none(), "{units} units: {}", breach.unwrap_or_default());
    }
}

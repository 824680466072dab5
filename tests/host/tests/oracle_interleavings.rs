//! Whatever happens on several CPUs, none can use a translation that is not true any more, and no frame is free
//! while one can reach it: random operations under the oracle.

use host_tests::config;
use host_tests::oracle::run;
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn no_rule_of_the_oracle_is_broken(run in run(120)) {
        let breach = run.play();
        prop_assert!(breach.is_none(), "{}", breach.unwrap_or_default());
    }
}

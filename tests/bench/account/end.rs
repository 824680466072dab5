//! `account_end`: taking back all that is charged to an account.

use crate::measure::Benchmark;
use libvas::{Account, Cap, Error, PAGE_BYTES, Segment, program};

/// An account with a segment charged to it.
fn account() -> Result<Cap<Account>, Error> {
    let account = program().account().split(16 * PAGE_BYTES)?;
    // Only the account's end gives it up.
    let _ = Segment::new(&account, PAGE_BYTES)?.into_handle();
    Ok(account)
}

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "account_end",
    points: &[],
    axis: "",
    what: "ending an account to which a segment of one page is charged",
    leaves_out: "what others do with what is charged to it",
    measure: |meter, _| meter.sample(1, account, Cap::<Account>::end),
}];

//! Making requests, and counting what they take.

use crate::answer_to;
use core::fmt;
use demonstration::{Failure, check, difference};
use libvas::{Error, clock, counters};
use rt::println;

/// What the requests took, all together.
pub(crate) struct Cost {
    name: &'static str,
    requests: u64,
    /// The sum of the answers.
    pub(crate) sum: u64,
    /// Changes of space.
    pub(crate) spaces: u64,
    /// Changes of thread.
    pub(crate) threads: u64,
    calls: u64,
    nanoseconds: u64,
}

/// A number of hundredths.
struct Hundredths(u64);

impl fmt::Display for Hundredths {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:>7}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |count: u64| Hundredths(count * 100 / self.requests);
        let (spaces, threads, calls) = (each(self.spaces), each(self.threads), each(self.calls));
        write!(formatter, "{:<8} {spaces} {threads} {calls} {:>12}", self.name, self.nanoseconds / self.requests)
    }
}

/// Asks for so many numbers, looks at each answer, and counts. Once before that, so that what is made once is not counted.
pub(crate) fn cost(
    name: &'static str,
    requests: u64,
    ask: impl Fn(u64) -> Result<u64, Error>,
) -> Result<Cost, Failure> {
    check(ask(0)? == answer_to(0), "the first answer is right")?;
    let (before, began) = (counters::of_cpu(0)?, clock::now());
    let (mut sum, mut wrong) = (0_u64, 0_u64);
    for number in 0..requests {
        let answer = ask(number)?;
        wrong += u64::from(answer != answer_to(number));
        sum = sum.wrapping_add(answer);
    }
    let (ended, after) = (clock::now(), counters::of_cpu(0)?);
    check(wrong == 0, "each answer is right")?;
    println!("   {requests} answers, all right; their sum is {sum}");
    let counted = difference(&before, &after);
    let nanoseconds = (ended - began).as_nanos() as u64;
    let (spaces, threads, calls) = (counted.space_switches, counted.thread_switches, counted.system_calls);
    Ok(Cost { name, requests, sum, spaces, threads, calls, nanoseconds })
}

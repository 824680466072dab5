//! A kernel benchmark that there is not is one line that says so, and an end as failed: nothing runs.
//! boot: options=bench=kernel_lock,nobody expect-exit=122
//! boot: expect-output="`bench=` takes all or names of kernel benchmarks, and `nobody` is none"

#![no_std]
#![no_main]

rt::main!(main);

/// Not reached.
fn main() {}

//! Checks of everything against everything, in steps that a test makes between whatever else it does.

use tessera_kernel::Kernel;
use tessera_kernel::lifecycle::check::{self, Step};

/// A step of a check, as a call of a thread on the CPU at hand makes it; `needed` is what the step before said, if there was one.
pub fn step(kernel: &mut Kernel, needed: Option<u64>) -> Step {
    kernel.shared.cpus[tessera_arch::cpu_index()].counters.system_calls.add(1);
    check::check_further(kernel, needed)
}

/// So many steps of checks: what happens between two times of calling this happens in the middle of one.
pub fn go_on(kernel: &mut Kernel, steps: u32) {
    (0..steps).for_each(|_| _ = step(kernel, None));
}

/// A check in steps, of which nothing comes in between; gives how many facts held.
pub fn check_in_steps(kernel: &mut Kernel) -> u64 {
    let mut needed = None;
    loop {
        match step(kernel, needed) {
            Step::Held(facts) => return facts,
            Step::Until(pass) => needed = Some(pass),
        }
    }
}

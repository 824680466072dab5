//! The consistency checks: what must hold between objects whenever no call is under way.
//!
//! A check is a *pass* through stages. A stage goes over things of one kind, by their numbers, with a *walk* over each. A pass
//! is made in steps, and others act between them:
//!
//! * What is looked at within one step is as it is. So is whatever a walk looks at whose place means something whatever
//!   others do (a slot's number, a page): such a walk is *exact*, and goes on where it was.
//! * All other walks hold what nobody has changed while they were under way. If anybody has done anything, the walk begins
//!   anew; after some times it is left out, and its facts are not counted.
//! * What is counted over several things is compared only if nobody has done anything since the counting began.
//!
//! So nothing is ever taken for wrong that is only new, a pass has an end on a machine that never stands still, and on one
//! that does everything is checked.

mod attachments;
mod course;
mod cpus;
mod gates;
mod lists;
mod maps;
mod roots;
mod stage;
mod stages;
mod tally;
mod threads;
mod trees;

use crate::base::effort::Effort;
use crate::state::kernel::Kernel;
use crate::state::self_check::Course;

/// Runs all checks at once, in time in proportion to what there is to check; gives how many facts held.
///
/// # Panics
/// At the first one that does not.
pub fn check(kernel: &Kernel) -> u64 {
    // What a pass under way has counted at the objects is counted over.
    kernel.note_activity();
    let mut course = Course::new();
    while !course::go_on(kernel, &mut course, &mut Effort::unlimited()) {}
    course.facts
}

/// How a step of a check ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many facts held, in a pass that began after the check was asked for.
    Held(u64),
    /// It goes on until the pass with this number has come to its end.
    Until(u64),
}

/// A step of a check for somebody whose call has been counted ([`Kernel::activity`]), and who needs the pass with this number,
/// if this is not the first step. All who check at the same time go on with the same pass.
///
/// # Panics
/// If something does not hold.
pub fn check_further(kernel: &mut Kernel, needed: Option<u64>) -> Step {
    let before = kernel.activity() - 1;
    let (passes, course) = (kernel.self_check.passes, kernel.self_check.course.take());
    // One that is under way may have passed what happened just before the call.
    let needed = needed.unwrap_or(passes + 1 + u64::from(course.is_some()));
    let mut course = match course {
        Some(course) => course::resumed(course, before),
        None => Course::new(),
    };
    if course::go_on(kernel, &mut course, &mut course::effort()) {
        (kernel.self_check.passes, kernel.self_check.facts) = (passes + 1, course.facts);
    } else {
        course.seen = kernel.activity();
        kernel.self_check.course = Some(course);
    }
    if kernel.self_check.passes >= needed { Step::Held(kernel.self_check.facts) } else { Step::Until(needed) }
}

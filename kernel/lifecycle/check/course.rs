//! How a pass goes on from stage to stage and from thing to thing.

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::lifecycle::check::stage::Stage;
use crate::lifecycle::check::stages::STAGES;
use crate::state::kernel::Kernel;
use crate::state::self_check::{Course, Walk};

/// How often a walk begins anew before it is left out.
const ATTEMPTS: u32 = 8;

/// Effort of coming from one thing to the next.
const THING_UNITS: u32 = 4;

/// What a step has to spend: nearly as much as an entry that dooms something at its end, which a check does not.
pub(super) fn effort() -> Effort {
    Effort::of((Effort::of_entry().left() * 7).div_ceil(4))
}

/// The pass as it goes on, where `before` says what was done so far by others.
pub(super) fn resumed(mut course: Course, before: u64) -> Course {
    if before == course.seen || is_seeded(Mutant::ActivityUnseen) {
        return course;
    }
    let walk = &mut course.walk;
    (walk.is_whole, walk.is_still) = (false, walk.is_at_beginning());
    let is_exact = STAGES.get(course.stage).is_some_and(|stage| stage.is_exact);
    if walk.is_at_beginning() || is_exact {
        return course;
    }
    course.begun_anew += 1;
    if course.begun_anew < ATTEMPTS {
        walk.begin(walk.number);
    } else {
        walk.begin(walk.number + 1);
        course.begun_anew = 0;
    }
    course
}

/// Goes on as far as the effort goes; gives whether that was to the end of the pass.
pub(super) fn go_on(kernel: &Kernel, course: &mut Course, effort: &mut Effort) -> bool {
    while let Some(stage) = STAGES.get(course.stage) {
        if course.walk.number == 0 && course.walk.is_at_beginning() {
            begin_stage(kernel, stage, &mut course.walk);
        }
        if !walk_on(kernel, stage, course, effort) {
            return false;
        }
        if course.walk.is_whole {
            course.facts += (stage.compare)(kernel, &course.walk);
        }
        course.stage += 1;
        course.walk.begin(0);
        if !effort.spend(THING_UNITS) && course.stage < STAGES.len() {
            return false;
        }
    }
    true
}

fn begin_stage(kernel: &Kernel, stage: &Stage, walk: &mut Walk) {
    if stage.begins_sums {
        *walk = Walk::new();
    }
    (stage.begin)(kernel);
}

/// Goes on in a stage; gives whether that was to its end.
fn walk_on(kernel: &Kernel, stage: &Stage, course: &mut Course, effort: &mut Effort) -> bool {
    let walk = &mut course.walk;
    loop {
        match (stage.next)(kernel, walk.number, effort) {
            Err(number) => {
                walk.begin(number);
                return false;
            }
            Ok(None) => return true,
            // What the walk was over has gone.
            Ok(Some(number)) if number != walk.number => walk.begin(number),
            Ok(Some(_)) => {}
        }
        if !(stage.further)(kernel, walk, effort) {
            return false;
        }
        course.facts += walk.facts;
        course.begun_anew = 0;
        walk.begin(walk.number + 1);
        if !effort.spend(THING_UNITS) {
            return false;
        }
    }
}

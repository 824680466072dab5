//! What a stage of a pass is.

use crate::base::effort::Effort;
use crate::state::kernel::Kernel;
use crate::state::self_check::Walk;

/// What finds the first thing with a number or a higher one; `Err` with a number to go on from if that takes too long.
pub(super) type Next = fn(&Kernel, u32, &mut Effort) -> Result<Option<u32>, u32>;

/// What goes further in a walk, as far as the effort goes; gives whether that was to the end.
pub(super) type Further = fn(&Kernel, &mut Walk, &mut Effort) -> bool;

/// A stage: a walk over each thing of a kind.
pub(super) struct Stage {
    pub(super) next: Next,
    pub(super) further: Further,
    /// What is to be done before the first walk.
    pub(super) begin: fn(&Kernel),
    /// What is compared after the last one, if nobody has done anything since the sums began; gives how many facts held.
    pub(super) compare: fn(&Kernel, &Walk) -> u64,
    /// Whether the sums begin here.
    pub(super) begins_sums: bool,
    /// Whether a walk's place means something whatever others have done.
    pub(super) is_exact: bool,
}

/// A stage of walks that begin anew if anybody has done anything.
pub(super) const fn over(next: Next, further: Further) -> Stage {
    Stage { next, further, begin: |_| {}, compare: |_, _| 0, begins_sums: false, is_exact: false }
}

impl Stage {
    /// Of which each walk goes on where it was, whatever others have done.
    pub(super) const fn exact(self) -> Stage {
        Stage { is_exact: true, ..self }
    }

    /// At which sums begin.
    pub(super) const fn begins(self) -> Stage {
        Stage { begins_sums: true, ..self }
    }

    /// Before which something is to be done.
    pub(super) const fn after(self, begin: fn(&Kernel)) -> Stage {
        Stage { begin, ..self }
    }

    /// After which sums are compared.
    pub(super) const fn compares(self, compare: fn(&Kernel, &Walk) -> u64) -> Stage {
        Stage { compare, ..self }
    }
}

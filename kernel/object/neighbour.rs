//! Neighbours: what stands beside what in the derivation list (`derivation`).

use core::fmt;

use crate::object::id::{CapId, UseId};

/// What stands beside something in the list, in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Neighbour(u64);

/// The same, told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Where a capability begins.
    Beginning(CapId),
    /// Where it ends.
    End(CapId),
    /// A use, or an object.
    Use(UseId),
}

impl Standing {
    /// The same in one word.
    #[inline(always)]
    pub(super) fn neighbour(self) -> Neighbour {
        match self {
            Standing::Beginning(cap) => Neighbour::beginning(cap),
            Standing::End(cap) => Neighbour::end(cap),
            Standing::Use(id) => Neighbour::of_use(id),
        }
    }
}

const BEGINNING: u64 = 0;
const END: u64 = 1;
const USE: u64 = 2;
const KINDS: u32 = 2;

impl Neighbour {
    /// Nobody: of what stands in no list.
    pub(crate) const NOBODY: Neighbour = Neighbour(u64::MAX);

    /// Of an object, the list that none of its capabilities is in any more, and that was never made.
    pub(super) const NONE_LEFT: Neighbour = Neighbour(u64::MAX - 1);

    /// Whether it is somebody.
    #[inline(always)]
    pub(super) fn exists(self) -> bool {
        self.0 < Neighbour::NONE_LEFT.0
    }

    #[inline(always)]
    pub(super) fn beginning(cap: CapId) -> Neighbour {
        Neighbour(cap.bits() << KINDS | BEGINNING)
    }

    #[inline(always)]
    pub(super) fn end(cap: CapId) -> Neighbour {
        Neighbour(cap.bits() << KINDS | END)
    }

    #[inline(always)]
    pub(super) fn of_use(id: UseId) -> Neighbour {
        Neighbour(u64::from(id.number()) << KINDS | USE)
    }

    /// The use or the object that it is, if it is one.
    pub fn as_use(self) -> Option<UseId> {
        match self.standing() {
            Standing::Use(id) if self.exists() => Some(id),
            _ => None,
        }
    }

    /// What it is.
    #[inline(always)]
    pub fn standing(self) -> Standing {
        let bits = self.0 >> KINDS;
        match self.0 & ((1 << KINDS) - 1) {
            BEGINNING => Standing::Beginning(CapId::from_bits(bits)),
            END => Standing::End(CapId::from_bits(bits)),
            _ => Standing::Use(UseId::new(bits as u32)),
        }
    }
}

impl fmt::Debug for Neighbour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Neighbour::NOBODY { formatter.write_str("nobody") } else { self.standing().fmt(formatter) }
    }
}

/// A capability's neighbours: before and behind its beginning, before and behind its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// Before its beginning: a use of it, a sibling, or its parent's beginning.
    pub before: Neighbour,
    /// Behind its beginning: what was derived from it last, or its end.
    pub first: Neighbour,
    /// Before its end.
    pub last: Neighbour,
    /// Behind its end.
    pub behind: Neighbour,
}

impl Neighbours {
    pub(super) const NOBODY: Neighbours = Neighbours {
        before: Neighbour::NOBODY,
        first: Neighbour::NOBODY,
        last: Neighbour::NOBODY,
        behind: Neighbour::NOBODY,
    };

    /// Of a capability from which nothing was derived.
    #[inline(always)]
    pub(super) fn alone(cap: CapId, before: Neighbour, behind: Neighbour) -> Neighbours {
        Neighbours { before, first: Neighbour::end(cap), last: Neighbour::beginning(cap), behind }
    }
}

//! Spaces in turns, each touching pages of its own and of a library that all of them have at the same address.

use tlb_model::model::{Access, Figures, Model, Profile};
use tlb_model::synthetic::Tables;

/// Where the library is: below another entry of the root than what is a space's own.
const LIBRARY: u64 = 1 << 39;
/// A number that no space has.
const SUBTREE: u64 = 1 << 16;

/// How the library is mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each space has tables of its own for it.
    Private,
    /// One subtree, attached to every space.
    Shared,
    /// One subtree with global entries.
    Public,
}

/// In which order a space touches the library's pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// One after the other, once each: the worst for LRU.
    Sweep,
    /// As many touches as pages, each of a page drawn at random.
    Random,
}

/// What runs.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) sharing: Sharing,
    pub(crate) order: Order,
    /// Whether each space has a tag; otherwise each root write drops everything that is not global.
    pub(crate) tagged: bool,
    pub(crate) spaces: u64,
    /// Pages of the library, or of each of several.
    pub(crate) pages: u64,
    /// Pages that each space has for itself.
    pub(crate) own_pages: u64,
    /// How many libraries there are, each below an entry of the root, and where the last one ended in its part.
    pub(crate) libraries: u64,
}

impl Scene {
    /// What most tables are of; the rest is set with `..`.
    pub(crate) fn new(sharing: Sharing, spaces: u64, pages: u64) -> Scene {
        Scene { sharing, order: Order::Sweep, tagged: true, spaces, pages, own_pages: 8, libraries: 1 }
    }

    /// The figures of a whole round, in which each space has one turn, after rounds that filled what can be filled.
    pub(crate) fn steady_round(&self, profile: &Profile) -> Figures {
        let mut model = Model::new(profile, 1);
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for _ in 0..3 {
            model.clear();
            for space in 0..self.spaces {
                self.turn(&mut model, space, &mut random);
            }
        }
        model.figures(0)
    }

    fn turn(&self, model: &mut Model, space: u64, random: &mut Random) {
        let tag = if self.tagged { space as u16 } else { 0 };
        model.switch_root(0, tag, space << 12, !self.tagged);
        for page in 0..self.own_pages {
            let address = page << 12;
            model.access(0, Access::Load, tag, address, || Tables::private(space).walk(address, 12, false));
        }
        let owner = if self.sharing == Sharing::Private { space } else { SUBTREE };
        let global = self.sharing == Sharing::Public;
        for library in 0..self.libraries {
            for touch in 0..self.pages {
                let page = if self.order == Order::Sweep { touch } else { random.below(self.pages) };
                let address = LIBRARY * (library + 1) + ((library * self.pages + page) << 12);
                model.access(0, Access::Load, tag, address, || Tables { space, owner }.walk(address, 12, global));
            }
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }
}

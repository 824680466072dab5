//! What is seen of a space: on a CPU, or through a view.

use tessera_abi::Rights;
use tessera_arch::{Access, TOP_LEVEL};

use super::sharing::{Attached, Spot};
use super::world::World;
use crate::walker::{Run, entry_pages, merge};

const SLOT_PAGES: u64 = entry_pages(TOP_LEVEL);

/// What shows a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The space.
    pub space: usize,
    /// What is allowed at most.
    pub bounds: Rights,
    /// The CPU whose core windows are shown.
    pub cpu: Option<usize>,
}

impl Sight {
    /// A space, on a CPU.
    pub fn of_space(space: usize, cpu: usize) -> Sight {
        Sight { space, bounds: Rights::ACCESS, cpu: Some(cpu) }
    }

    /// A view.
    pub fn of_view(space: usize, bounds: Rights) -> Sight {
        Sight { space, bounds, cpu: None }
    }
}

impl World {
    /// Whose map covers a page, the page there, and what it may allow at most.
    pub fn locate(&self, sight: &Sight, page: u64) -> (usize, u64, Rights) {
        if let Some((subtree, (_, bounds))) = self.public.iter().find(|(_, (slot, _))| *slot == page / SLOT_PAGES) {
            return (*subtree, page % SLOT_PAGES, *bounds);
        }
        let (mut owner, mut page, mut bounds, mut view) = (sight.space, page, Rights::ACCESS, sight.bounds);
        while let Some((spot, attached)) = self
            .shown_in(owner, sight.cpu)
            .find(|(spot, attached)| spot.page <= page && page < spot.page + entry_pages(self.levels[attached.subtree]))
        {
            (owner, page) = (attached.subtree, page - spot.page);
            (bounds, view) = (bounds & attached.bounds, if attached.is_window { Rights::ACCESS } else { view });
        }
        (owner, page, bounds & view)
    }

    /// Segment and page behind a page, if the access is allowed.
    pub fn access(&self, sight: &Sight, page: u64, access: Access) -> Option<(usize, u64)> {
        let (owner, page, bounds) = self.locate(sight, page);
        let extent = self.maps[owner].at(page)?;
        let needed = match access {
            Access::Read => Rights::READ,
            Access::Write => Rights::WRITE,
            Access::Execute => Rights::EXECUTE,
        };
        (extent.rights & bounds).contains(needed).then_some((extent.segment, extent.offset + page - extent.first))
    }

    /// All that must be seen: what is the space's own, what is attached, what is public.
    pub fn seen(&self, sight: &Sight) -> Vec<Run> {
        let mut runs = within(&self.runs(sight.space), 0, sight.bounds);
        for (spot, attached) in self.shown_in(sight.space, sight.cpu) {
            let view = if attached.is_window { Rights::ACCESS } else { sight.bounds };
            runs.extend(within(&self.held_by(attached.subtree), spot.page, attached.bounds & view));
        }
        runs.extend(self.seen_public());
        runs.sort();
        merge(&runs)
    }

    /// What every space sees of what is public.
    pub fn seen_public(&self) -> Vec<Run> {
        let public = self.public.iter();
        let mut runs: Vec<Run> = public
            .flat_map(|(subtree, (slot, bounds))| within(&self.runs(*subtree), slot * SLOT_PAGES, *bounds))
            .collect();
        runs.sort();
        merge(&runs)
    }

    /// What a subtree shows, the subtrees within included.
    fn held_by(&self, subtree: usize) -> Vec<Run> {
        let mut runs = self.runs(subtree);
        for (spot, attached) in self.attached_in(subtree) {
            runs.extend(within(&self.held_by(attached.subtree), spot.page, attached.bounds));
        }
        runs
    }

    /// What is attached in a map for all CPUs, or for this one.
    fn shown_in(&self, owner: usize, cpu: Option<usize>) -> impl Iterator<Item = (&Spot, &Attached)> {
        self.attached_in(owner).filter(move |(spot, _)| spot.cpu.is_none() || spot.cpu == cpu)
    }
}

/// What a map holds, seen from a page on and within bounds.
fn within(runs: &[Run], page: u64, bounds: Rights) -> Vec<Run> {
    runs.iter().map(|run| Run { page: run.page + page, rights: run.rights & bounds, ..*run }).collect()
}

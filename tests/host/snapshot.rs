//! The kernel's state as values that can be compared: what a refused call must leave as it was.

use tessera_abi::{Handle, Rights};
use tessera_arch::TOP_LEVEL;
use tessera_kernel::Kernel;
use tessera_kernel::address_map::{AddressMap, Mapping};

use crate::walker::{Survey, survey};

/// An address map: records and what the tables say.
#[derive(Clone, Debug, PartialEq)]
pub struct MapState {
    mappings: Vec<(u64, Mapping)>,
    tables: Survey,
}

/// A space: number, mappings, attachments (slot, subtree, bounds), references.
pub type SpaceState = (u32, MapState, Vec<(usize, u32, Rights)>, u32);

/// Everything that a program can find out, registers and counters apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Frames free.
    pub free_frames: u64,
    /// Number, limit and use in bytes, references of each account.
    pub accounts: Vec<(u32, u64, u64, u32)>,
    /// Each space.
    pub spaces: Vec<SpaceState>,
    /// Number, mappings, count of sharers, references of each subtree.
    pub subtrees: Vec<(u32, MapState, usize, u32)>,
    /// Number, populated pages, mappings, references of each segment.
    pub segments: Vec<(u32, u64, u64, u32)>,
    /// Number, state, priority, space, references of each thread.
    pub threads: Vec<(u32, u64, u8, u32, u32)>,
    /// Number of the table, handle, rights and badge of each capability.
    pub capabilities: Vec<(u32, Handle, Rights, u64)>,
}

impl Snapshot {
    /// The state now.
    pub fn of(kernel: &Kernel) -> Snapshot {
        let accounts = kernel.accounts.ids().map(|id| {
            let account = &kernel.accounts[id];
            (id.index(), account.limit_bytes(), account.used_bytes(), kernel.accounts.references(id))
        });
        let segments = kernel.segments.ids().map(|id| {
            let segment = &kernel.segments[id];
            (id.index(), segment.populated_pages(), segment.mappings, kernel.segments.references(id))
        });
        let threads = kernel.threads.ids().map(|id| {
            let thread = &kernel.threads[id];
            let space = kernel.space_of(id).index();
            (id.index(), thread.state as u64, thread.priority, space, kernel.threads.references(id))
        });
        Snapshot {
            free_frames: kernel.frames.free_frames(),
            accounts: accounts.collect(),
            segments: segments.collect(),
            threads: threads.collect(),
            spaces: spaces(kernel),
            subtrees: subtrees(kernel),
            capabilities: capabilities(kernel),
        }
    }
}

fn map_state(map: &AddressMap, skip: &dyn Fn(usize) -> bool) -> MapState {
    let mappings = map.from(0).map(|(first, mapping)| (first, *mapping)).collect();
    MapState { mappings, tables: survey(map.tree.root, map.tree.level, skip) }
}

fn spaces(kernel: &Kernel) -> Vec<SpaceState> {
    let state = |id| {
        let space = &kernel.spaces[id];
        let attachments = space.attachments();
        let attachments = attachments.map(|(place, attached)| (place.slot, attached.subtree.index(), attached.bounds));
        let attachments = attachments.collect::<Vec<_>>();
        let map = map_state(&space.map, &|slot| attachments.iter().any(|attached| attached.0 == slot));
        (id.index(), map, attachments, kernel.spaces.references(id))
    };
    kernel.spaces.ids().map(state).collect()
}

fn subtrees(kernel: &Kernel) -> Vec<(u32, MapState, usize, u32)> {
    let state = |id| {
        let subtree = &kernel.subtrees[id];
        assert_eq!(subtree.map.tree.level, TOP_LEVEL - 1, "a subtree hangs below a top-level entry");
        (id.index(), map_state(&subtree.map, &|_| false), subtree.sharers.len(), kernel.subtrees.references(id))
    };
    kernel.subtrees.ids().map(state).collect()
}

fn capabilities(kernel: &Kernel) -> Vec<(u32, Handle, Rights, u64)> {
    let mut found = Vec::new();
    for id in kernel.tables.ids() {
        let table = &kernel.tables[id];
        let mut next = 0;
        while let Some(slot) = table.next_used(next) {
            found.push((id.index(), table.handle_of(slot), table.rights(slot), table.record(slot).badge));
            next = slot + 1;
        }
    }
    found
}

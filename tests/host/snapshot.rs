//! The kernel's state as values that can be compared: what a refused call must leave as it was.

use std::sync::atomic::Ordering::Relaxed;
use tessera_kernel::sched::running;
use tessera_kernel::vm::attach;
use tessera_kernel::vm::target;

use tessera_abi::{Handle, Rights, TOP_SLOTS};
use tessera_arch::table;
use tessera_kernel::Kernel;
use tessera_kernel::object::address_map::Mapping;
use tessera_kernel::object::id::MapTarget;
use tessera_kernel::object::reverse_map::Sharer;
use tessera_kernel::vm::attach::Attachment;

use crate::walker::{Survey, survey};

/// An address map: records and what the tables say.
#[derive(Clone, Debug, PartialEq)]
pub struct MapState {
    mappings: Vec<(u64, Mapping)>,
    attachments: Vec<AttachmentState>,
    tables: Survey,
}

/// An attachment: first page, CPU, subtree, level, bounds, whether it is a window.
pub type AttachmentState = (u64, Option<usize>, u32, u8, Rights, bool);

/// A space.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceState {
    number: u32,
    map: MapState,
    /// The entries of every root table.
    roots: Vec<Vec<u64>>,
    /// Base and bounds of a view.
    shows: Option<(u32, Rights)>,
    views: Vec<u32>,
    references: u32,
}

/// A subtree.
#[derive(Clone, Debug, PartialEq)]
pub struct SubtreeState {
    number: u32,
    map: MapState,
    level: u8,
    /// Every place where it is attached.
    sharers: Vec<Sharer>,
    public: Option<usize>,
    is_sealed: bool,
    references: u32,
}

/// Everything that a program can find out, registers and counters apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Frames free.
    pub free_frames: u64,
    /// Number, limit and use in bytes, references of each account.
    pub accounts: Vec<(u32, u64, u64, u32)>,
    /// Each space.
    pub spaces: Vec<SpaceState>,
    /// Each subtree.
    pub subtrees: Vec<SubtreeState>,
    /// What is public: slot, subtree, bounds.
    pub public: Vec<(usize, u32, Rights)>,
    /// Number, populated pages, mappings, references of each segment.
    pub segments: Vec<(u32, u64, u32, u32)>,
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
            let space = running::space_of(kernel, id).index();
            (id.index(), thread.state as u64, thread.priority, space, kernel.threads.references(id))
        });
        Snapshot {
            free_frames: kernel.frames.free_frames(),
            accounts: accounts.collect(),
            segments: segments.collect(),
            threads: threads.collect(),
            spaces: spaces(kernel),
            subtrees: subtrees(kernel),
            public: kernel.public.iter().map(|public| (public.slot, public.subtree.index(), public.bounds)).collect(),
            capabilities: capabilities(kernel),
        }
    }
}

fn map_state(kernel: &Kernel, owner: MapTarget, shows_others: &dyn Fn(u64, u8) -> bool) -> MapState {
    let map = target::map_of(kernel, owner);
    let mappings = map.from(0).collect();
    let attachments = attach::attachments(kernel, owner).map(|(place, attached)| {
        let Attachment { subtree, level, bounds, is_window } = attached;
        (place.page, place.cpu, subtree.index(), level, bounds, is_window)
    });
    let attachments: Vec<AttachmentState> = attachments.collect();
    let skip = |page, level| {
        shows_others(page, level) || attachments.iter().any(|attached| (attached.0, attached.3) == (page, level))
    };
    let tables = survey(map.tree.root, map.tree.level, &skip);
    MapState { mappings, attachments, tables }
}

fn spaces(kernel: &Kernel) -> Vec<SpaceState> {
    let state = |id| {
        let space = &kernel.spaces[id];
        let entries = |root| table(root)[..TOP_SLOTS].iter().map(|entry| entry.load(Relaxed)).collect();
        let is_public = |page: u64| kernel.public.iter().any(|public| public.page() == page);
        SpaceState {
            number: id.index(),
            // All that a view's root leads to is another's.
            map: map_state(kernel, MapTarget::Space(id), &|page, _| space.seen.is_some() || is_public(page)),
            roots: space.roots().map(entries).collect(),
            shows: space.seen.map(|seen| (seen.base.index(), seen.bounds)),
            views: space.views.iter().map(|view| view.index()).collect(),
            references: kernel.spaces.references(id),
        }
    };
    kernel.spaces.ids().map(state).collect()
}

fn subtrees(kernel: &Kernel) -> Vec<SubtreeState> {
    let state = |id| {
        let subtree = &kernel.subtrees[id];
        assert_eq!(subtree.map.tree.level + 1, subtree.level(), "a subtree hangs below an entry of its level");
        SubtreeState {
            number: id.index(),
            map: map_state(kernel, MapTarget::Subtree(id), &|_, _| false),
            level: subtree.level(),
            sharers: subtree.sharers.iter().collect(),
            public: subtree.public,
            is_sealed: subtree.is_sealed,
            references: kernel.subtrees.references(id),
        }
    };
    kernel.subtrees.ids().map(state).collect()
}

fn capabilities(kernel: &Kernel) -> Vec<(u32, Handle, Rights, u64)> {
    let mut found = Vec::new();
    for id in kernel.tables.ids() {
        let table = &kernel.tables[id];
        let mut next = 0;
        while let Some(slot) = table.next_used(next) {
            found.push((id.index(), table.handle_of(slot), table.rights(slot), table.record(slot).badge()));
            next = slot + 1;
        }
    }
    found
}

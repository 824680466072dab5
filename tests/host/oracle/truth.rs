//! What is true by the kernel's records, whatever its tables say. (What an attachment allows, and whether views leave it
//! as it is, is recorded nowhere but in its entry.)

use std::collections::BTreeMap;
use tessera_kernel::vm::attach;
use tessera_kernel::vm::target;

use tessera_abi::Rights;
use tessera_arch::fake::oracle;
use tessera_arch::fake::worst_case::Leaf;
use tessera_kernel::Kernel;
use tessera_kernel::cpu::handshake::NO_SPACE;
use tessera_kernel::object::id::{AttachPoint, MapTarget, SpaceId, SubtreeId};
use tessera_kernel::object::space::SLOT_PAGES;

/// What is attached to each space and subtree, by the subtrees' lists.
type Attached = BTreeMap<MapTarget, Vec<(AttachPoint, SubtreeId)>>;

/// Whose map covers a page of a space, the page there, and what the mapping may allow at most.
struct Located {
    owner: MapTarget,
    page: u64,
    bounds: Rights,
    is_public: bool,
}

/// A translation that a CPU may use and that no record bears out, in words.
pub(super) fn find_lie(kernel: &Kernel, cpu: usize) -> Option<String> {
    let space = kernel.shared.cpus[cpu].presence.space();
    let id = if space == NO_SPACE { None } else { kernel.spaces.id_at(space) };
    let held = oracle::usable(cpu);
    let attached = list_attached(kernel);
    let lie = held.iter().find(|leaf| !is_borne_out(kernel, &attached, id, cpu, leaf))?;
    Some(format!("record: CPU {cpu} in space {space} may use {lie:x?}"))
}

fn list_attached(kernel: &Kernel) -> Attached {
    let mut attached = Attached::new();
    for id in kernel.subtrees.ids() {
        for sharer in kernel.subtrees[id].sharers.iter() {
            attached.entry(sharer.owner()).or_default().push((sharer.place(), id));
        }
    }
    attached
}

/// In no space, what is public may still be held.
fn is_borne_out(kernel: &Kernel, attached: &Attached, id: Option<SpaceId>, cpu: usize, leaf: &Leaf) -> bool {
    let last = leaf.pages() - 1;
    [0, last].iter().all(|skip| {
        let page = leaf.page + skip;
        let located = locate_public(kernel, page).or_else(|| locate(kernel, attached, id?, cpu, page));
        located.is_some_and(|located| is_recorded(kernel, &located, leaf, leaf.frame.number() + skip))
    })
}

fn locate_public(kernel: &Kernel, page: u64) -> Option<Located> {
    let public = kernel.public.iter().find(|public| public.slot as u64 == page / SLOT_PAGES)?;
    let (owner, page) = (MapTarget::Subtree(public.subtree), page % SLOT_PAGES);
    Some(Located { owner, page, bounds: public.bounds, is_public: true })
}

/// Through the base of a view, which shows no core windows, and all attachments on the way.
fn locate(kernel: &Kernel, attached: &Attached, id: SpaceId, cpu: usize, page: u64) -> Option<Located> {
    let (base, cpu, mut view) = match kernel.spaces[id].seen {
        Some(seen) => (seen.base, None, seen.bounds),
        None => (id, Some(cpu), Rights::ACCESS),
    };
    let mut located = Located { owner: MapTarget::Space(base), page, bounds: Rights::ACCESS, is_public: false };
    let covers = |located: &Located, place: &AttachPoint, subtree: SubtreeId| {
        let end = place.page + kernel.subtrees[subtree].pages();
        (place.page..end).contains(&located.page) && (place.cpu.is_none() || place.cpu == cpu)
    };
    while let Some((place, subtree)) =
        attached.get(&located.owner).and_then(|list| list.iter().find(|(place, id)| covers(&located, place, *id)))
    {
        let entry = attach::attachment_at(kernel, located.owner, *place)?;
        view = if entry.is_window { Rights::ACCESS } else { view };
        let (owner, page) = (MapTarget::Subtree(*subtree), located.page - place.page);
        located = Located { owner, page, bounds: located.bounds & entry.bounds, ..located };
    }
    Some(Located { bounds: located.bounds & view, ..located })
}

fn is_recorded(kernel: &Kernel, located: &Located, leaf: &Leaf, frame: u64) -> bool {
    let Some((first, mapping)) = target::map_of(kernel, located.owner).find(located.page) else { return false };
    let shown = kernel.segments.at(mapping.segment).frame(mapping.offset + located.page - first);
    let is_frame = shown.is_some_and(|shown| shown.number() == frame);
    is_frame && (mapping.rights & located.bounds).contains(leaf.rights) && leaf.global == located.is_public
}

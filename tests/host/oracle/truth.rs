//! What is true by the kernel's records, whatever its tables say.

use tessera_abi::Rights;
use tessera_arch::fake::oracle;
use tessera_arch::fake::worst_case::Leaf;
use tessera_kernel::Kernel;
use tessera_kernel::address_space::MapOwner;
use tessera_kernel::handshake::NO_SPACE;
use tessera_kernel::space::{SLOT_PAGES, Space};
use tessera_kernel::store::Id;

/// A translation that a CPU may use and that no record bears out, in words.
pub(super) fn find_lie(kernel: &Kernel, cpu: usize) -> Option<String> {
    let space = kernel.shared.cpus[cpu].presence.space();
    let id = if space == NO_SPACE { None } else { kernel.spaces.id_at(space) };
    let held = oracle::usable(cpu);
    let lie = held.iter().find(|leaf| !id.is_some_and(|id| is_borne_out(kernel, id, cpu, leaf)))?;
    Some(format!("record: CPU {cpu} in space {space} may use {lie:x?}"))
}

fn is_borne_out(kernel: &Kernel, id: Id<Space>, cpu: usize, leaf: &Leaf) -> bool {
    let last = leaf.pages() - 1;
    [0, last].iter().all(|skip| record(kernel, id, cpu, leaf.page + skip, leaf.frame.number() + skip, leaf.rights))
}

fn record(kernel: &Kernel, id: Id<Space>, cpu: usize, page: u64, frame: u64, rights: Rights) -> bool {
    let (owner, page, bounds) = match kernel.spaces[id].attachment(page, cpu) {
        Some((slot, attachment)) => {
            (MapOwner::Subtree(attachment.subtree), page - slot as u64 * SLOT_PAGES, attachment.bounds)
        }
        None => (MapOwner::Space(id), page, Rights::ACCESS),
    };
    let Some((first, mapping)) = kernel.map_of(owner).find(page) else { return false };
    let shown = kernel.segments[mapping.segment].frame(mapping.offset + page - first);
    shown.is_some_and(|shown| shown.number() == frame) && (mapping.rights & bounds).contains(rights)
}

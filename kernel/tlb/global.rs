//! Invalidating what every space shows.

use tessera_abi::PAGE_BYTES;
use tessera_arch::VirtAddr;

use crate::base::cpu_set::CpuSet;
use crate::base::mutants::{Mutant, cut_short, is_seeded};
use crate::cpu::handshake::Request;
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::requests;
use crate::object::space::SLOT_PAGES;
use crate::paging::range::{EVERYTHING, PageRange};
use crate::state::kernel::Kernel;
use crate::tlb::PAGES_MAX;

/// Invalidates what changed in a public subtree, on every CPU and under every tag.
///
/// Where the hardware broadcasts, one instruction a page reaches everything. Elsewhere INVLPG drops a page's global
/// translations, but remembered ways to freed tables under the running tag only (Intel SDM volume 3, section
/// 5.10.4.1): when tables go, everything goes.
pub(crate) fn invalidate_public(kernel: &Kernel, slot: usize, range: PageRange, frees_tables: bool) {
    let frees_tables = frees_tables && !is_seeded(Mutant::PublicTableKept);
    let first = slot as u64 * SLOT_PAGES + range.first;
    if range.count > PAGES_MAX || frees_tables && !tessera_arch::broadcasts_invalidation() {
        return flush_everywhere(kernel);
    }
    let line = &kernel.shared.cpus[tessera_arch::cpu_index()];
    line.counters.shared_page_flushes.add(range.count);
    let count = cut_short(range.count, Mutant::PublicRangeShort);
    if tessera_arch::broadcasts_invalidation() {
        return (first..first + count)
            .for_each(|page| tessera_arch::invalidate_page_all_tags(VirtAddr::new(page * PAGE_BYTES)));
    }
    reach_everyone(kernel, PageRange { first, count });
}

/// Drops everything on every CPU.
pub(crate) fn flush_everywhere(kernel: &Kernel) {
    let line = &kernel.shared.cpus[tessera_arch::cpu_index()];
    if tessera_arch::broadcasts_invalidation() {
        line.counters.global_flushes.add(1);
        return tessera_arch::invalidate_all();
    }
    reach_everyone(kernel, EVERYTHING);
}

/// Asks every CPU, wherever it is, to drop global pages (everything, if they are many); does so here as well.
fn reach_everyone(kernel: &Kernel, range: PageRange) {
    let here = tessera_arch::cpu_index();
    let others = || kernel.shared.cpus.iter().take(kernel.cpus()).filter(|line| line.index != here);
    let mut asked: CpuSet = 0;
    for line in others().filter(|_| !is_seeded(Mutant::PublicFlushedHereOnly)) {
        requests::ask(kernel.shared, line, Request::Global { first: range.first, count: range.count });
        asked |= 1 << line.index;
    }
    flush_global(kernel.shared.tag_of(&kernel.shared.cpus[here]), &kernel.shared.cpus[here], range);
    requests::await_acknowledgements(kernel.shared, asked);
}

/// Drops global pages on this CPU; all that it holds if they are many.
pub fn flush_global(tag: u16, line: &PerCpu, range: PageRange) {
    if range.count > PAGES_MAX {
        line.counters.global_flushes.add(1);
        return tessera_arch::invalidate_all();
    }
    line.counters.page_flushes.add(range.count);
    for page in range.first..range.first + range.count {
        tessera_arch::invalidate_page_local(VirtAddr::new(page * PAGE_BYTES), tag);
    }
}

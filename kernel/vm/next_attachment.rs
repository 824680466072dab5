//! Looking for the next attachment, as far as an entry's effort goes: between two of them may lie any number of tables.

use tessera_abi::TOP_SLOTS;
use tessera_arch::{Format, PageFormat, Share};

use crate::base::effort::Effort;
use crate::object::id::{AttachPoint, MapTarget};
use crate::object::space::SLOT_PAGES;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::Tree;
use crate::paging::shared_entry::Search;
use crate::state::kernel::Kernel;
use crate::vm::attach::{self, Attachment};
use crate::vm::target;

/// What a search has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Here is one.
    Found(AttachPoint, Attachment),
    /// There is none.
    Nothing,
    /// There is none before this page, behind that where the search began; from there on it has to go on.
    Left(u64),
}

/// The first of an owner's attachments that ends after a page and begins before `end`, but for core windows.
#[inline(always)]
pub(crate) fn next_attachment(kernel: &Kernel, owner: MapTarget, page: u64, end: u64, effort: &mut Effort) -> Next {
    let tree = &target::map_of(kernel, owner).tree;
    if tree.attached == 0 { Next::Nothing } else { search(kernel, tree, page, end, effort) }
}

#[inline(always)]
fn search(kernel: &Kernel, tree: &Tree, page: u64, end: u64, effort: &mut Effort) -> Next {
    let mut behind = page;
    loop {
        match tree.search_attached(behind, end, effort) {
            Search::Nothing => return Next::Nothing,
            Search::Left(page) => return Next::Left(page),
            Search::Found(page, level, entry) => {
                let is_core = Format::share(entry) == Some(Share::CoreWindow);
                if let Some(found) = attach::attachment_of(kernel, entry, level).filter(|_| !is_core) {
                    return Next::Found(AttachPoint { page, cpu: None }, found);
                }
                behind = page + entry_pages(level);
            }
        }
    }
}

/// The first of an owner's core windows that ends after a page and begins before `end`; in the first slot, of those of a CPU and
/// the ones behind it.
#[inline(always)]
pub(crate) fn next_core_window(
    kernel: &Kernel,
    owner: MapTarget,
    (page, cpu): (u64, usize),
    end: u64,
    effort: &mut Effort,
) -> Next {
    if target::map_of(kernel, owner).core_windows() == 0 {
        return Next::Nothing;
    }
    search_slots(kernel, owner, (page, cpu), end, effort)
}

#[inline(never)]
fn search_slots(kernel: &Kernel, owner: MapTarget, (page, cpu): (u64, usize), end: u64, effort: &mut Effort) -> Next {
    let (first, end) = (page / SLOT_PAGES, end.div_ceil(SLOT_PAGES).min(TOP_SLOTS as u64));
    for slot in first..end {
        let is_behind = |place: &AttachPoint| slot != first || place.cpu >= Some(cpu);
        let mut windows = attach::core_windows(kernel, owner, slot * SLOT_PAGES, (slot + 1) * SLOT_PAGES);
        if let Some((place, found)) = windows.find(|(place, _)| is_behind(place)) {
            return Next::Found(place, found);
        }
        if !effort.spend(SLOT_UNITS + kernel.cpus() as u32) && slot + 1 < end {
            return Next::Left((slot + 1) * SLOT_PAGES);
        }
    }
    Next::Nothing
}

/// What a look at a slot takes, but for the roots of CPUs.
const SLOT_UNITS: u32 = 3;

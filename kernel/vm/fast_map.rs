//! Deciding fast about `map`, `unmap` and `protect` in the usual case: one mapping, whole, whose entries are in one table that
//! is there, for small pages or for a few large ones.
//!
//! As in `fast_attach`, each object is looked up once and held until the change is made, and whatever is out of the ordinary
//! (a table or a leaf to be made, a mapping to be split, code to be published, any refusal) changes nothing and goes the common
//! path, which does it or refuses with the right error. Nothing here takes memory, so none has to be asked for.

use core::mem::offset_of;

use tessera_abi::{Handle, ObjectKind, PAGE_BYTES, Rights, USER_END, USER_START};

use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::cap_word::CapWord;
use crate::cpu::table_view::TableView;
use crate::mem::FrameList;
use crate::object::address_map::{AddressMap, CURRENT, Cost, Lenders, MAPPING_BYTES, Mapping};
use crate::object::derivation;
use crate::object::id::{CapId, MapTarget};
use crate::object::space::Space;
use crate::object::store::Store;
use crate::object::subtree::Subtree;
use crate::object::use_pool::Use;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::view;

/// What is shorter is shown by small pages only.
const LARGE_BYTES: u64 = PAGE_BYTES * tessera_arch::TABLE_ENTRIES as u64;

/// What is to be changed, a space or a subtree: all that a call needs of it, from one look.
struct Opened<'a> {
    owner: MapTarget,
    map: &'a mut AddressMap,
    /// The number of the account that pays for mappings; it stays while they do.
    payer: u32,
    /// The addresses that mappings may have, bytes.
    bounds: (u64, u64),
    /// Whether it is a space that has no views, so that nobody else sees what changes in it.
    is_alone: bool,
}

impl Opened<'_> {
    #[inline(always)]
    fn range(&self, address: u64, length_bytes: u64) -> Option<PageRange> {
        PageRange::new(address, length_bytes, self.bounds.0, self.bounds.1).ok()
    }
}

/// Serves `map` in the usual case.
#[inline(always)]
pub(crate) fn map_fast(
    kernel: &mut Kernel,
    held: &TableView,
    handles: [Handle; 2],
    offset: u64,
    place: (u64, u64),
    rights: Rights,
) -> Option<()> {
    let [target, segment] = handles;
    let (target, word, slot) = (held.word_of(target)?, held.word_of(segment)?, segment.slot());
    match word.is_derived() {
        false => map_as::<false>(kernel, (0, slot), (target, word), offset, place, rights),
        true => map_noted(kernel, (held.number(), slot), (target, word), offset, place, rights),
    }
}

/// The same for mappings that are noted. Out of the way of those that are not, so that they have all registers.
#[inline(never)]
fn map_noted(
    kernel: &mut Kernel,
    through: (u32, u32),
    words: (CapWord, CapWord),
    offset: u64,
    place: (u64, u64),
    rights: Rights,
) -> Option<()> {
    map_as::<true>(kernel, through, words, offset, place, rights)
}

#[inline(always)]
fn map_as<const NOTED: bool>(
    kernel: &mut Kernel,
    (table, slot): (u32, u32),
    (target, word): (CapWord, CapWord),
    offset: u64,
    (address, length_bytes): (u64, u64),
    rights: Rights,
) -> Option<()> {
    if !is_for_data(rights) {
        return None;
    }
    let Kernel { spaces, subtrees, segments, accounts, frames, tables, uses, .. } = kernel;
    let target = open(spaces, subtrees, target)?;
    let range = target.range(address, length_bytes)?;
    let segment = segments.open(word.object(ObjectKind::Segment, rights)?)?;
    let (offset, rest) = (offset / PAGE_BYTES, offset % PAGE_BYTES);
    if rest != 0 || offset + range.count > segment.object.pages() {
        return None;
    }
    // What another account pays for can be taken back by itself: that is noted on the common path, and so is what is locked, or
    // can be discarded from.
    if segment.object.account.index() != target.payer || segment.object.is_special {
        return None;
    }
    let memory = segment.object.memory_at_once(offset, range.count)?;
    let vacancy = target.map.vacancy(range)?;
    // The last check, and the first change.
    accounts.at_mut(target.payer).try_charge(MAPPING_BYTES).ok()?;
    *segment.references += 1;
    segment.object.mappings += 1;
    let maximum = word.rights() & Rights::ACCESS;
    let lent = NOTED.then(|| {
        let through = CapId::at(table, slot);
        derivation::lend(tables, uses, through, Use::mapping(target.owner, range.first))
    });
    let mapping = Mapping { pages: range.count, segment: word.index(), offset, rights, maximum, lent, epoch: CURRENT };
    vacancy.map(frames, range.first, &mapping, memory);
    Some(())
}

/// Serves `unmap` in the usual case.
#[inline(always)]
pub(crate) fn unmap_fast(
    kernel: &mut Kernel,
    held: &TableView,
    target: Handle,
    address: u64,
    length_bytes: u64,
) -> Option<()> {
    match length_bytes {
        0..LARGE_BYTES => unmap_as::<false>(kernel, held, target, (address, length_bytes)),
        _ => unmap_large(kernel, held, target, (address, length_bytes)),
    }
}

/// The same for large pages, out of the way of small ones.
#[inline(never)]
fn unmap_large(kernel: &mut Kernel, held: &TableView, target: Handle, place: (u64, u64)) -> Option<()> {
    // A whole table of small pages is as long.
    unmap_as::<true>(kernel, held, target, place).or_else(|| unmap_as::<false>(kernel, held, target, place))
}

#[inline(always)]
fn unmap_as<const LARGE: bool>(
    kernel: &mut Kernel,
    held: &TableView,
    target: Handle,
    (address, length_bytes): (u64, u64),
) -> Option<()> {
    let target = held.word_of(target)?;
    let Kernel { spaces, subtrees, segments, accounts, frames, tables, uses, .. } = &mut *kernel;
    let target = open(spaces, subtrees, target)?;
    let range = target.range(address, length_bytes)?;
    let whole = target.map.whole::<LARGE>(range)?;
    let (owner, is_alone, mut freed_tables) = (target.owner, target.is_alone, FrameList::new());
    whole.unmap(frames, &mut Lenders { segments, tables, uses }, range, &mut freed_tables);
    let cost = Cost { tables: freed_tables.count(), records: 1, attachments: 0 };
    accounts.at_mut(target.payer).credit(cost.bytes());
    if cost.tables != 0 {
        view::sync_roots(kernel, owner);
    }
    flush::execute_seen(kernel, Flush { owner, range, freed_tables }, is_alone);
    Some(())
}

/// Serves `protect` in the usual case.
#[inline(always)]
pub(crate) fn protect_fast(
    kernel: &mut Kernel,
    held: &TableView,
    target: Handle,
    place: (u64, u64),
    rights: Rights,
) -> Option<()> {
    match place.1 {
        0..LARGE_BYTES => protect_as::<false>(kernel, held, target, place, rights),
        _ => protect_large(kernel, held, target, place, rights),
    }
}

/// The same for large pages, out of the way of small ones.
#[inline(never)]
fn protect_large(
    kernel: &mut Kernel,
    held: &TableView,
    target: Handle,
    place: (u64, u64),
    rights: Rights,
) -> Option<()> {
    let large = protect_as::<true>(kernel, held, target, place, rights);
    large.or_else(|| protect_as::<false>(kernel, held, target, place, rights))
}

#[inline(always)]
fn protect_as<const LARGE: bool>(
    kernel: &mut Kernel,
    held: &TableView,
    target: Handle,
    (address, length_bytes): (u64, u64),
    rights: Rights,
) -> Option<()> {
    let target = held.word_of(target)?;
    if !is_for_data(rights) {
        return None;
    }
    let target = open(&mut kernel.spaces, &mut kernel.subtrees, target)?;
    let range = target.range(address, length_bytes)?;
    let whole = target.map.whole::<LARGE>(range).filter(|whole| whole.may_allow(rights))?;
    let (owner, is_alone) = (target.owner, target.is_alone);
    whole.protect(rights);
    let count = if is_seeded(Mutant::ProtectUnflushed) { 0 } else { range.count };
    let flush = Flush { owner, range: PageRange { count, ..range }, freed_tables: FrameList::new() };
    flush::execute_seen(kernel, flush, is_alone);
    Some(())
}

const _: () = {
    let (map, account) = (offset_of!(Space, map), offset_of!(Space, account));
    assert!(map == offset_of!(Subtree, map) && account == offset_of!(Subtree, account), "both are found alike");
};

/// What a word names, if it is a space or subtree in which its holder may map, and that may change.
#[inline(always)]
fn open<'a>(spaces: &'a mut Store<Space>, subtrees: &'a mut Store<Subtree>, word: CapWord) -> Option<Opened<'a>> {
    if let Some(index) = word.object(ObjectKind::Space, Rights::MAP) {
        let space = spaces.open(index)?;
        let (owner, Space { map, account, views, .. }) = (MapTarget::Space(space.id), space.object);
        let (payer, bounds) = (account.index(), (USER_START, USER_END));
        return Some(Opened { owner, map, payer, bounds, is_alone: views.is_empty() });
    }
    let subtree = subtrees.open(word.object(ObjectKind::Subtree, Rights::MAP)?)?;
    if subtree.object.is_sealed {
        return None;
    }
    let (owner, bounds) = (MapTarget::Subtree(subtree.id), subtree.object.bounds());
    let Subtree { map, account, .. } = subtree.object;
    Some(Opened { owner, map, payer: account.index(), bounds, is_alone: false })
}

/// Whether these are rights of a mapping of data: reading, perhaps writing, and nothing else.
#[inline(always)]
fn is_for_data(rights: Rights) -> bool {
    rights.difference(Rights::WRITE) == Rights::READ
}

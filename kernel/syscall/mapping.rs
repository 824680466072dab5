//! `map`, `unmap`, `protect` and the list of mappings, on spaces and subtrees alike.

use tessera_abi::layout::{MappingInfo, Words};
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, ObjectKind, PAGE_BYTES, Rights, USER_END};
use tessera_arch::Frame;

use super::{Caller, Outcome, Result};
use crate::base::effort::Effort;
use crate::cpu::cap_word::CapWord;
use crate::object::address_map::{CURRENT, Mapping};
use crate::object::id::{AttachPoint, CapId, MapTarget, SegmentId, SubtreeId};
use crate::object::mapping::PRIVATE;
use crate::object::segment::{Extent, Segment};
use crate::object::space::SLOT_PAGES;
use crate::paging::range::PageRange;
use crate::sched::locks;
use crate::vm::fast_map;
use crate::vm::lockable;
use crate::vm::map;
use crate::vm::map_steps;
use crate::vm::next_attachment::{Next, next_attachment, next_core_window};
use crate::vm::own;
use crate::vm::public;
use crate::vm::target::{self, Target};
use crate::vm::user_memory::{self, UserSlice};

/// Mappings of so many pages are made at once, however their memory lies.
const SHORT_PAGES: u64 = 16;

/// So many pages are shown at once, or so many large ones, if they lie in one piece: fewer entries than an entry's effort
/// suffices for.
const SMALL_PAGES: u64 = 2048;
const LARGE_PAGES: u64 = 64;

/// Small pages in a large one.
const LARGE: u64 = tessera_arch::TABLE_ENTRIES as u64;

/// The most entries that one call lists.
const LIST_MAX: u64 = 1024;

/// The most pages that one call tells of.
const WRITTEN_MAX: usize = 64;

/// Effort of listing one.
const LISTING_UNITS: u32 = 80;

impl Caller<'_> {
    pub(super) fn map(
        &mut self,
        target: Handle,
        segment: Handle,
        offset: u64,
        address: u64,
        length_bytes: u64,
        rights: Rights,
    ) -> Result<Outcome> {
        let (handles, place) = ([target, segment], (address, length_bytes));
        match fast_map::map_fast(self.kernel, self.line.table.get(), handles, offset, place, rights) {
            Some(()) => Ok(Outcome::Done(0)),
            None => self.map_anything(number::map, handles, offset, place, rights),
        }
    }

    pub(super) fn map_private(
        &mut self,
        target: Handle,
        segment: Handle,
        offset: u64,
        address: u64,
        length_bytes: u64,
        rights: Rights,
    ) -> Result<Outcome> {
        self.map_anything(number::map_private, [target, segment], offset, (address, length_bytes), rights)
    }

    /// Both, by the call's number.
    #[inline(never)]
    fn map_anything(
        &mut self,
        call: u64,
        [target, segment]: [Handle; 2],
        offset: u64,
        (address, length_bytes): (u64, u64),
        rights: Rights,
    ) -> Result<Outcome> {
        let (progress, is_private) = (self.progress(call), call == number::map_private);
        let target = self.map_target(target)?;
        let through = CapId::at(self.table(), segment.slot());
        let (id, segment, held) = self.segment_to_map(segment)?;
        ensure_access(rights)?;
        // Who writes to a copy does not write to the segment.
        let own = if is_private { Rights::WRITE } else { Rights::empty() };
        if !held.contains(rights - own) {
            return Err(Error::MissingRight);
        }
        target.ensure_changeable()?;
        let range = target.range(address, length_bytes)?;
        if !offset.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        let offset = offset / PAGE_BYTES;
        if offset.saturating_add(range.count) > segment.pages() {
            return Err(Error::BadArgument);
        }
        // Who comes to read a locked segment must not be let write while others read.
        let maximum = if segment.lock.is_some() { rights } else { held & Rights::ACCESS | own };
        let epoch = if is_private { PRIVATE } else { CURRENT };
        let mapping = Mapping { pages: range.count, segment: id.index(), offset, rights, maximum, lent: None, epoch };
        if !map_steps::is_mapped(progress) && public::is_reserved(self.kernel, &target, range) {
            return Err(Error::Overlap);
        }
        if segment.lock.is_some() && is_private {
            return Err(Error::BadState);
        }
        if segment.lock.is_some() && !map_steps::is_mapped(progress) {
            return self.map_lockable(target.owner, (range.first, mapping, through), progress);
        }
        let Some(extent) = extent_at_once(segment, range.first, &mapping) else {
            return self.map_by_steps(call, target.owner, range.first, (&mapping, through), progress);
        };
        let (owner, is_cloned) = (target.owner, target.map.tree.has_cloned() && !target.map.overlaps(range));
        if is_cloned {
            self.own_tables(owner, range)?;
        }
        self.map_at_once(owner, (range.first, mapping, through), extent)
    }

    /// The same of a lockable segment, until it is mapped.
    #[inline(never)]
    fn map_lockable(
        &mut self,
        owner: MapTarget,
        (first, mapping, through): (u64, Mapping, CapId),
        progress: u64,
    ) -> Result<Outcome> {
        let space = lockable::begin(self.kernel, owner, &mapping)?;
        let extent = extent_at_once(self.kernel.segments.at(mapping.segment), first, &mapping);
        let made = match extent {
            Some(extent) => self
                .own_tables(owner, PageRange { first, count: mapping.pages })
                .and_then(|()| self.map_at_once(owner, (first, mapping, through), extent)),
            None => self.map_by_steps(number::map, owner, first, (&mapping, through), progress),
        };
        if locks::is_mapped(target::map_of(self.kernel, owner), mapping.segment, first, 1) {
            lockable::note(self.kernel, space, first, &mapping);
        } else if made.is_err() {
            locks::forget_if_over(self.kernel, space);
        }
        made
    }

    #[inline(always)]
    fn map_at_once(
        &mut self,
        owner: MapTarget,
        (first, mapping, through): (u64, Mapping, CapId),
        extent: Extent,
    ) -> Result<Outcome> {
        let (target, segment) = (target::look(self.kernel, owner), self.kernel.segments.at(mapping.segment));
        let plan = target.map.plan_map(first, &mapping, (segment, extent))?;
        target::ensure_cost(self.kernel, target.payer, plan.cost)?;
        self.kernel.reserve_heap(4)?;
        map::map(self.kernel, owner, first, mapping, (plan, Some(through)));
        Ok(Outcome::Done(0))
    }

    /// Sees that where something is to be mapped at once, in a target that has been cloned, tables are its own. Nothing is mapped
    /// there, so these are the ones on the ways to its ends.
    #[inline(never)]
    fn own_tables(&mut self, owner: MapTarget, range: PageRange) -> Result<()> {
        own::own_front(self.kernel, owner, range, &mut Effort::of(u32::MAX))?;
        Ok(())
    }

    #[inline(never)]
    fn map_by_steps(
        &mut self,
        call: u64,
        owner: MapTarget,
        first: u64,
        mapping: (&Mapping, CapId),
        progress: u64,
    ) -> Result<Outcome> {
        let next = map_steps::map_step(self.kernel, owner, first, mapping, progress)?;
        Ok(next.map_or(Outcome::Done(0), |word| self.again(call, word)))
    }

    pub(super) fn unmap(&mut self, target: Handle, address: u64, length_bytes: u64) -> Result<Outcome> {
        match fast_map::unmap_fast(self.kernel, self.line.table.get(), target, address, length_bytes) {
            Some(()) => Ok(Outcome::Done(0)),
            None => self.unmap_anything(target, address, length_bytes),
        }
    }

    #[inline(never)]
    fn unmap_anything(&mut self, target: Handle, address: u64, length_bytes: u64) -> Result<Outcome> {
        let progress = self.progress(number::unmap);
        let target = self.map_target(target)?;
        target.ensure_changeable()?;
        let (owner, range) = (target.owner, target.range(address, length_bytes)?);
        let next = map_steps::unmap_step(self.kernel, owner, range, progress)?;
        Ok(next.map_or(Outcome::Done(0), |word| self.again(number::unmap, word)))
    }

    pub(super) fn protect(
        &mut self,
        target: Handle,
        address: u64,
        length_bytes: u64,
        rights: Rights,
    ) -> Result<Outcome> {
        match fast_map::protect_fast(self.kernel, self.line.table.get(), target, (address, length_bytes), rights) {
            Some(()) => Ok(Outcome::Done(0)),
            None => self.protect_anything(target, address, length_bytes, rights),
        }
    }

    #[inline(never)]
    fn protect_anything(&mut self, target: Handle, address: u64, length_bytes: u64, rights: Rights) -> Result<Outcome> {
        let progress = self.progress(number::protect);
        let target = self.map_target(target)?;
        ensure_access(rights)?;
        target.ensure_changeable()?;
        let (owner, range) = (target.owner, target.range(address, length_bytes)?);
        let next = map_steps::protect_step(self.kernel, owner, range, rights, progress)?;
        Ok(next.map_or(Outcome::Done(0), |word| self.again(number::protect, word)))
    }

    pub(super) fn mappings_list(&mut self, target: Handle, from: u64, buffer: u64, capacity: u64) -> Result<Outcome> {
        /// Bits of progress that say how many are listed; the others say behind which page it goes on.
        const LISTED_BITS: u32 = (LIST_MAX + 1).next_power_of_two().trailing_zeros();
        const _: () = assert!(USER_END / PAGE_BYTES < 1 << (56 - LISTED_BITS), "progress goes into a word");
        let progress = self.progress(number::mappings_list);
        let owner = self.map_owner(target, Rights::INSPECT)?;
        let (capacity, mut listed) = (capacity.min(LIST_MAX), progress % (1 << LISTED_BITS));
        let mut page = if progress == 0 { from / PAGE_BYTES } else { progress >> LISTED_BITS };
        let mut effort = Effort::of_entry();
        while listed < capacity {
            let mut part = [MappingInfo::default(); user_memory::at_once::<MappingInfo>()];
            let most = part.len().min((capacity - listed) as usize);
            let (found, behind) = self.mappings_from(owner, page, &mut part[..most], &mut effort);
            let (here, address) = (self.here(), buffer.saturating_add(listed * MappingInfo::BYTES as u64));
            user_memory::write_structures(self.kernel, here, address, &part[..found])?;
            listed += found as u64;
            let Some(behind) = behind else { break };
            page = behind;
            if !effort.spend(LISTING_UNITS * found as u32) && listed < capacity {
                return Ok(self.again(number::mappings_list, page << LISTED_BITS | listed));
            }
        }
        Ok(Outcome::Done(listed))
    }

    pub(super) fn written_list(&mut self, target: Handle, from: u64, buffer: u64, capacity: u64) -> Result<u64> {
        let owner = self.map_owner(target, Rights::INSPECT)?;
        let mut list = [[0; 8]; WRITTEN_MAX];
        let most = capacity.min(WRITTEN_MAX as u64) as usize;
        let (map, mut effort) = (target::map_of(self.kernel, owner), Effort::of_entry());
        let (found, next) = map.privates.written_from(from.div_ceil(PAGE_BYTES), &mut list[..most], &mut effort);
        if found != 0 {
            UserSlice::new(self.here(), buffer, 8 * found as u64)?.write(self.kernel, list[..found].as_flattened())?;
        }
        Ok(next.map_or(0, |page| page * PAGE_BYTES) | found as u64)
    }

    pub(super) fn pin(&mut self, target: Handle, address: u64, length_bytes: u64) -> Result<u64> {
        let target = self.map_target(target)?;
        target.ensure_changeable()?;
        let (owner, range) = (target.owner, target.range(address, length_bytes)?);
        target.map.ensure_pinnable(range)?;
        if target.map.tree.has_cloned() {
            self.kernel.reserve_heap(own::CLONED_HEAP_PAGES)?;
        }
        target::change_map(self.kernel, owner, |map, _, lenders| map.pin(lenders, range.first));
        Ok(0)
    }

    /// The space or subtree that a handle names, if it carries the right to map.
    #[inline(always)]
    fn map_target(&self, handle: Handle) -> Result<Target<'_>> {
        let word = self.word_of(handle)?;
        if let Some(index) = word.object(ObjectKind::Space, Rights::MAP) {
            let (id, space) = self.kernel.spaces.look(index).ok_or(Error::BadHandle)?;
            return Ok(Target::space(id, space));
        }
        let index = word.object(ObjectKind::Subtree, Rights::MAP).ok_or_else(|| refusal_to_map(word))?;
        let (id, subtree) = self.kernel.subtrees.look(index).ok_or(Error::BadHandle)?;
        Ok(Target::subtree(id, subtree))
    }

    /// The segment that a handle names, and the capability's rights.
    #[inline(always)]
    fn segment_to_map(&self, handle: Handle) -> Result<(SegmentId, &Segment, Rights)> {
        let word = self.word_of(handle)?;
        let index = word.object(ObjectKind::Segment, Rights::empty()).ok_or(Error::WrongObject)?;
        let (id, segment) = self.kernel.segments.look(index).ok_or(Error::BadHandle)?;
        Ok((id, segment, word.rights()))
    }

    /// Fills in mappings and attachments that end after a page, in order; gives how many there are, and where to go on, if there
    /// may be more.
    fn mappings_from(
        &self,
        owner: MapTarget,
        mut page: u64,
        part: &mut [MappingInfo],
        effort: &mut Effort,
    ) -> (usize, Option<u64>) {
        let mut found = 0;
        while found < part.len() {
            match self.next_mapping(owner, page, effort) {
                Listed::Item(info) => {
                    part[found] = info;
                    (page, found) = (end_of(&info) / PAGE_BYTES, found + 1);
                }
                Listed::Nothing => return (found, None),
                Listed::Left(page) => return (found, Some(page)),
            }
        }
        (found, Some(page))
    }

    /// The first mapping or attachment that ends after a page. What a view lists is its base's, as the view allows it.
    fn next_mapping(&self, owner: MapTarget, page: u64, effort: &mut Effort) -> Listed {
        let (owner, view, is_view, public) = match owner {
            MapTarget::Space(space) => {
                let seen = self.kernel.seen_in(space);
                (MapTarget::Space(seen.base), seen.bounds, seen.base != space, self.next_public(page))
            }
            MapTarget::Subtree(_) => (owner, Rights::ACCESS, false, None),
        };
        let map = target::map_of(self.kernel, owner);
        let own = map.first_from(page).map(|(first, mapping)| MappingInfo {
            address: first * PAGE_BYTES,
            length_bytes: mapping.pages * PAGE_BYTES,
            offset: mapping.offset * PAGE_BYTES,
            rights: u64::from((mapping.rights & view).bits()),
            kind: ObjectKind::Segment as u64,
            object: u64::from(mapping.segment),
        });
        let first = [own, public].into_iter().flatten().min_by_key(|info| info.address);
        if map.attachments() == 0 {
            return first.map_or(Listed::Nothing, Listed::Item);
        }
        let end = first.map_or(u64::MAX, |first| first.address / PAGE_BYTES);
        match self.next_attached(owner, (page, end), !is_view, effort) {
            Next::Found(place, found) => {
                Listed::Item(attachment_info(place.page, found.pages(), found.bounds_in(view), found.subtree))
            }
            Next::Left(page) => Listed::Left(page),
            Next::Nothing => first.map_or(Listed::Nothing, Listed::Item),
        }
    }

    /// The first attachment that ends after a page and begins before another one, with or without core windows.
    #[inline(never)]
    fn next_attached(
        &self,
        owner: MapTarget,
        (page, mut end): (u64, u64),
        with_windows: bool,
        effort: &mut Effort,
    ) -> Next {
        let none = Next::Nothing;
        let window = if with_windows { next_core_window(self.kernel, owner, (page, 0), end, effort) } else { none };
        // What lies before that, or before where it is still to be looked for.
        if let Next::Found(AttachPoint { page, .. }, _) | Next::Left(page) = window {
            end = end.min(page);
        }
        match next_attachment(self.kernel, owner, page, end, effort) {
            Next::Nothing => window,
            found => found,
        }
    }

    /// The first public subtree that ends after a page.
    fn next_public(&self, page: u64) -> Option<MappingInfo> {
        let behind = self.kernel.public.iter().filter(|public| public.is_shown() && page < public.page() + SLOT_PAGES);
        let first = behind.min_by_key(|public| public.slot)?;
        Some(attachment_info(first.page(), SLOT_PAGES, first.bounds, first.subtree))
    }
}

/// What a look for the next item of a list has come to.
enum Listed {
    Item(MappingInfo),
    /// There is none.
    Nothing,
    /// There is none before this page, from which on it has to go on.
    Left(u64),
}

fn attachment_info(page: u64, pages: u64, bounds: Rights, subtree: SubtreeId) -> MappingInfo {
    MappingInfo {
        address: page * PAGE_BYTES,
        length_bytes: pages * PAGE_BYTES,
        offset: 0,
        rights: u64::from(bounds.bits()),
        kind: ObjectKind::Subtree as u64,
        object: u64::from(subtree.index()),
    }
}

/// The first address behind a mapping or attachment.
fn end_of(info: &MappingInfo) -> u64 {
    info.address.saturating_add(info.length_bytes)
}

/// Why nothing can be mapped with a capability.
#[cold]
pub(super) fn refusal_to_map(word: CapWord) -> Error {
    let kinds = [ObjectKind::Space, ObjectKind::Subtree];
    let is_owner = kinds.iter().any(|kind| word.object(*kind, Rights::empty()).is_some());
    if is_owner { Error::MissingRight } else { Error::WrongObject }
}

/// What a mapping's memory begins with, if the mapping is made at once: it is short, or all of it lies in one piece, or is not
/// there yet, and is shown by few entries, and little of it is code.
#[inline(always)]
fn extent_at_once(segment: &Segment, first: u64, mapping: &Mapping) -> Option<Extent> {
    if mapping.pages <= SHORT_PAGES {
        return Some(segment.extent(mapping.offset, mapping.pages));
    }
    if mapping.rights.contains(Rights::EXECUTE) { None } else { extent_shown_by_few(segment, first, mapping) }
}

#[inline(never)]
fn extent_shown_by_few(segment: &Segment, first: u64, &Mapping { offset, pages, .. }: &Mapping) -> Option<Extent> {
    if pages > LARGE_PAGES * LARGE && segment.populated_pages() != 0 {
        return None;
    }
    let extent = segment.extent(offset, pages);
    let is_large = |frame: Frame| frame.number().is_multiple_of(LARGE) && first.is_multiple_of(LARGE);
    let is_few = extent.pages == pages && (pages <= SMALL_PAGES || extent.frame.is_none_or(is_large));
    is_few.then_some(extent)
}

/// Checks rights asked for a mapping.
#[inline(always)]
fn ensure_access(rights: Rights) -> Result<()> {
    if !rights.contains(Rights::READ) || !Rights::ACCESS.contains(rights) {
        return Err(Error::BadArgument);
    }
    if rights.is_write_execute() { Err(Error::WriteExecute) } else { Ok(()) }
}

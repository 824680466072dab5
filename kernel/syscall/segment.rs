//! Calls on segments.

use alloc::boxed::Box;

use tessera_abi::layout::SegmentInfo;
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, ObjectKind, PAGE_BYTES, Rights};

use super::{Caller, Outcome, Result};
use crate::base::effort::{Effort, PAGE_UNITS};
use crate::object::account::{object_bytes, open_charge};
use crate::object::id::{AccountId, Object, ObjectRef};
use crate::object::segment::{LENGTH_MAX_BYTES, LOCK_BYTES, REGION_PAGES, Segment};
use crate::object::segment_change::CHANGE_HEAP_PAGES;
use crate::state::kernel::Kernel;
use crate::vm::discard::discard_step;

/// What a thread remembers that makes a segment, besides the segment's number.
const IS_BEGUN: u64 = 1 << 32;

/// Flags of `segment_create`: populate on first touch; lockable; note every mapping, so that pages can be discarded.
const ON_FIRST_TOUCH: u64 = 1;
const LOCKABLE: u64 = 2;
const DISCARDABLE: u64 = 4;

/// What a segment is besides memory: lockable, discardable.
type Special = (bool, bool);

impl Caller<'_> {
    pub(super) fn segment_create(&mut self, account: Handle, length_bytes: u64, flags: u64) -> Result<Outcome> {
        let (account, payer) = self.payer(account, Rights::CHARGE)?;
        if !length_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        if length_bytes == 0 || length_bytes > LENGTH_MAX_BYTES || flags > ON_FIRST_TOUCH | LOCKABLE | DISCARDABLE {
            return Err(Error::BadArgument);
        }
        let pages = length_bytes / PAGE_BYTES;
        let (is_lockable, is_lazy) = (flags & LOCKABLE != 0, flags & ON_FIRST_TOUCH != 0);
        let special = (is_lockable, flags & DISCARDABLE != 0);
        let populated = if is_lazy { 0 } else { pages };
        let mut effort = Effort::of_entry();
        if populated >= u64::from(effort.left()) || !effort.spend(populated as u32 * PAGE_UNITS) {
            return self.create_by_steps(account, (pages, special));
        }
        let bytes = Segment::new_bytes(pages, is_lazy) + if is_lockable { LOCK_BYTES } else { 0 };
        self.kernel.segments.ensure_room()?;
        payer.ensure_object::<Segment>(bytes)?;
        self.kernel.ensure_frames(populated)?;
        let heap_pages = if is_lazy { 0 } else { Segment::heap_pages(pages) };
        self.ensure_can_create(heap_pages + u64::from(is_lockable))?;
        self.kernel.reserve_block(Segment::list_bytes(pages))?;
        // Once more: the heap may have taken some.
        self.kernel.ensure_frames(populated)?;
        let mut segment = Box::new(Segment::new(account, pages)?);
        if populated != 0 {
            segment.populate(&mut self.kernel.frames);
        }
        if flags > ON_FIRST_TOUCH {
            segment.set_special(special.0, special.1);
        }
        // What `charge` would find, and is at hand.
        open_charge(&mut self.kernel.accounts, account, object_bytes::<Segment>() + bytes);
        let id = self.kernel.segments.insert_boxed(segment);
        let paid = (Rights::all(), Some(account.index()));
        Ok(self.kernel.insert_paid(self.table(), ObjectRef::Segment(id), paid).bits().into())
    }

    /// Makes a segment with all its memory, step by step. Until it is done nobody can name it, and its thread keeps it.
    #[inline(never)]
    fn create_by_steps(&mut self, account: AccountId, what: (u64, Special)) -> Result<Outcome> {
        let index = match self.progress(number::segment_create) {
            0 => self.begin_segment(account, what)?,
            word => self.segment_begun(word as u32, account, what)?,
        };
        match self.populate_step(index) {
            Ok(true) => {
                let id = self.kernel.segments.id_at(index).expect("its thread keeps it");
                Ok(self.kernel.insert_owned(self.table(), ObjectRef::Segment(id)).bits().into())
            }
            Ok(false) => Ok(self.again(number::segment_create, IS_BEGUN | u64::from(index))),
            Err(error) => {
                // It goes, with what it has taken.
                self.kernel.segments.release_at(index);
                Err(error)
            }
        }
    }

    /// Makes the record of a segment that gets its memory step by step, all of which is paid for now. Gives its number.
    fn begin_segment(&mut self, account: AccountId, (pages, special): (u64, Special)) -> Result<u32> {
        let is_lockable = special.0;
        let bytes = Segment::new_bytes(pages, false) + if is_lockable { LOCK_BYTES } else { 0 };
        self.kernel.segments.ensure_room()?;
        self.kernel.accounts[account].ensure_object::<Segment>(bytes)?;
        self.kernel.ensure_frames(pages)?;
        self.ensure_can_create(u64::from(is_lockable))?;
        self.kernel.reserve_block(Segment::list_bytes(pages))?;
        let mut segment = Box::new(Segment::new(account, pages)?);
        segment.begin_to_populate();
        segment.set_special(special.0, special.1);
        open_charge(&mut self.kernel.accounts, account, object_bytes::<Segment>() + bytes);
        Ok(self.kernel.segments.insert_boxed(segment).index())
    }

    /// The segment that the step before left, if it is what this one is to make.
    fn segment_begun(&mut self, index: u32, account: AccountId, what: (u64, Special)) -> Result<u32> {
        let segment = self.kernel.segments.at(index);
        if segment.is_being_made(account, what.0) && (segment.lock.is_some(), segment.notes_all) == what.1 {
            return Ok(index);
        }
        // The program has put another call in the place of the one that was under way.
        self.kernel.segments.release_at(index);
        self.begin_segment(account, what)
    }

    /// Gives a segment that is being made more of its memory; gives whether that was all.
    fn populate_step(&mut self, index: u32) -> Result<bool> {
        let mut effort = Effort::of_entry();
        loop {
            // Others take memory between the steps.
            let segment = self.kernel.segments.at(index);
            let missing = segment.pages() - segment.populated_pages();
            self.kernel.reserve_heap(if missing == 0 { 0 } else { Segment::STEP_HEAP_PAGES })?;
            self.kernel.ensure_frames(missing)?;
            let most = u64::from((effort.left() / PAGE_UNITS).max(1));
            let Kernel { segments, frames, .. } = &mut *self.kernel;
            let (taken, cleared) = segments.at_mut(index).populate_further(frames, most).ok_or(Error::OutOfMemory)?;
            if (taken, cleared) == (0, 0) {
                return self.kernel.tables.at(self.table()).ensure_slot().map(|()| true);
            }
            // Frames are noted by regions where they can, else page by page.
            let noted = (taken / REGION_PAGES).max(taken % REGION_PAGES / 2) as u32;
            if !effort.spend(20 + noted + cleared as u32 * PAGE_UNITS) {
                return Ok(false);
            }
        }
    }

    pub(super) fn segment_grow(&mut self, segment: Handle, length_bytes: u64) -> Result<u64> {
        let index = self.number_of(segment, ObjectKind::Segment, Rights::CONTROL)?;
        let segment = self.kernel.segments.at(index);
        if !length_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        let (pages, before, account) = (length_bytes / PAGE_BYTES, segment.pages(), segment.account);
        if pages < before || length_bytes > LENGTH_MAX_BYTES {
            return Err(Error::BadArgument);
        }
        segment.ensure_changeable()?;
        if segment.lock.is_some() {
            return Err(Error::BadState);
        }
        if pages > before {
            let (had, has) = (segment.extra_bytes(), segment.grown_bytes(pages));
            self.kernel.accounts[account].ensure(has.saturating_sub(had))?;
            self.kernel.reserve_block(Segment::list_bytes(pages))?;
            self.kernel.reserve_heap(CHANGE_HEAP_PAGES)?;
            let segment = self.kernel.segments.at_mut(index);
            segment.grow(pages)?;
            let has = segment.extra_bytes();
            self.kernel.adjust_charge(account, had, has);
        }
        Ok(before * PAGE_BYTES)
    }

    pub(super) fn segment_discard(&mut self, segment: Handle, offset: u64, length_bytes: u64) -> Result<Outcome> {
        let progress = self.progress(number::segment_discard);
        let index = self.number_of(segment, ObjectKind::Segment, Rights::WRITE)?;
        let id = self.kernel.segments.id_at(index).ok_or(Error::BadHandle)?;
        if !offset.is_multiple_of(PAGE_BYTES) || !length_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        let (first, pages) = (offset / PAGE_BYTES, length_bytes / PAGE_BYTES);
        if pages == 0 || first.saturating_add(pages) > self.kernel.segments[id].pages() {
            return Err(Error::BadArgument);
        }
        let next = discard_step(self.kernel, id, (first, pages), progress)?;
        Ok(next.map_or(Outcome::Done(0), |word| self.again(number::segment_discard, word)))
    }

    pub(super) fn segment_info(&mut self, segment: Handle, buffer: u64) -> Result<u64> {
        let (_, object, rights) = self.capability(segment)?;
        let ObjectRef::Segment(id) = object else { return Err(Error::WrongObject) };
        if !rights.intersects(Rights::READ | Rights::CONTROL) {
            return Err(Error::MissingRight);
        }
        let segment = &self.kernel.segments[id];
        let lock = segment.lock.as_deref();
        let info = SegmentInfo {
            length_bytes: segment.pages() * PAGE_BYTES,
            populated_bytes: segment.populated_pages() * PAGE_BYTES,
            mappings: u64::from(segment.mappings),
            is_lockable: u64::from(segment.lock.is_some()),
            writers: lock.map_or(0, |lock| u64::from(lock.writer.is_some())),
            readers: lock.map_or(0, |lock| u64::from(lock.readers)),
            waiting: lock.map_or(0, |lock| u64::from(lock.waiting_count)),
        };
        self.write(buffer, &info).map(|()| 0)
    }
}

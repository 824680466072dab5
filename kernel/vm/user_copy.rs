//! Copies from a space to a space, exact like C's `memmove` wherever the two sides lie.
//!
//! What counts is memory, not addresses: one segment can be mapped at several places, so the sides can lie over each
//! other without any address in common. Before a copy of more than a page the kernel looks which frames of the target
//! are frames of the source too. If none would be written before it is read, the copy goes forwards; if none would be
//! when it begins at the end, backwards; else it is refused, which takes mappings that show a segment's pages in another
//! order at the two places.

use tessera_abi::{Error, PAGE_BYTES};
use tessera_arch::{Access, Frame, PhysAddr};

use crate::base::effort::{Effort, LOOK_UNITS, PAGE_UNITS, TOUCH_UNITS};
use crate::state::kernel::Kernel;
use crate::vm::user_memory::{Pages, UserSlice, byte_of};

/// In which order the bytes of a copy move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Forwards,
    Backwards,
}

/// A side of a copy.
pub struct Side {
    address: u64,
    length_bytes: u64,
    pages: Pages,
    /// What the caller is told if a page does not allow the access.
    refusal: Error,
    /// The first page and the last.
    first: u64,
    last: u64,
    /// Their frames, if they have been looked up: a copy of up to a page needs no others.
    ends: Option<[Option<Frame>; 2]>,
}

impl Side {
    /// A claim, of at least a byte, as a side of a copy.
    #[inline(always)]
    pub fn new(kernel: &Kernel, slice: UserSlice, access: Access, refusal: Error) -> Side {
        let UserSlice { space, address, length_bytes } = slice;
        let (first, last) = (address / PAGE_BYTES, (address + length_bytes - 1) / PAGE_BYTES);
        Side { address, length_bytes, pages: Pages::new(kernel, space, access), refusal, first, last, ends: None }
    }

    /// Whether it is in so few pages that all of them are looked up at once.
    #[inline(always)]
    pub fn is_short(&self) -> bool {
        self.last - self.first <= 1
    }

    /// Sees to it that the pages of a short one allow the access, and for writing have memory.
    ///
    /// # Errors
    /// Its own if a page does not allow it.
    #[inline]
    pub fn fault_in(&mut self, kernel: &mut Kernel) -> Result<(), Error> {
        let first = self.look_up(kernel, self.first)?;
        let last = if self.last == self.first { first } else { self.look_up(kernel, self.last)? };
        self.ends = Some([first, last]);
        Ok(())
    }

    /// The same for pages of a long one, from one on, counted from its first. Gives how many it came to, if not to all.
    fn fault_in_from(&mut self, kernel: &mut Kernel, at: u64, effort: &mut Effort) -> Result<Option<u64>, Error> {
        for page in self.first + at..=self.last {
            if !effort.is_left() {
                return Ok(Some(page - self.first));
            }
            let is_shown = self.pages.shown(page).is_some();
            self.look_up(kernel, page)?;
            effort.spend(if is_shown { LOOK_UNITS } else { TOUCH_UNITS });
        }
        Ok(None)
    }

    #[inline(always)]
    fn look_up(&mut self, kernel: &mut Kernel, page: u64) -> Result<Option<Frame>, Error> {
        self.pages.frame(kernel, page).map_err(|_| self.refusal)
    }

    /// The frame of one of its pages, if that has memory.
    #[inline(always)]
    fn frame(&mut self, kernel: &mut Kernel, page: u64) -> Result<Option<Frame>, Error> {
        match self.ends {
            Some([first, _]) if page == self.first => Ok(first),
            Some([_, last]) if page == self.last => Ok(last),
            _ => self.look_up(kernel, page),
        }
    }

    /// The physical address of a byte of the slice, if it has memory.
    #[inline(always)]
    fn physical(&mut self, kernel: &mut Kernel, skip: u64) -> Result<Option<PhysAddr>, Error> {
        let address = self.address + skip;
        let frame = self.frame(kernel, address / PAGE_BYTES)?;
        Ok(frame.map(|frame| byte_of(frame, address % PAGE_BYTES)))
    }

    /// Bytes from one on, or before one, up to the end of the page.
    #[inline(always)]
    fn room(&self, skip: u64, order: Order) -> u64 {
        let address = self.address + skip;
        match order {
            Order::Forwards => PAGE_BYTES - address % PAGE_BYTES,
            Order::Backwards => (address - 1) % PAGE_BYTES + 1,
        }
    }

    /// The bytes of the slice that lie in one of its pages, counted from the page's start.
    fn part_of(&self, page: u64) -> core::ops::Range<u64> {
        let start = page * PAGE_BYTES;
        let end = self.address + self.length_bytes - start;
        self.address.saturating_sub(start)..end.min(PAGE_BYTES)
    }
}

/// Copies what lies within a page on either side, and both pages are shown by the tables: most copies of a few bytes. Gives
/// whether that is so; if it is not, nothing has changed.
#[inline(always)]
pub fn copy_within_page(kernel: &Kernel, from: &UserSlice, to: &UserSlice) -> bool {
    let is_within = |slice: &UserSlice| slice.address % PAGE_BYTES + slice.length_bytes <= PAGE_BYTES;
    if !is_within(from) || !is_within(to) {
        return false;
    }
    let (Some(source), Some(target)) = (shown(kernel, from, Access::Read), shown(kernel, to, Access::Write)) else {
        return false;
    };
    tessera_arch::move_physical(source, target, from.length_bytes as usize);
    true
}

/// The physical address of a slice's first byte, if the tables show it and allow the access.
#[inline(always)]
fn shown(kernel: &Kernel, slice: &UserSlice, access: Access) -> Option<PhysAddr> {
    let frame = Pages::new(kernel, slice.space, access).shown(slice.address / PAGE_BYTES)?;
    Some(byte_of(frame, slice.address % PAGE_BYTES))
}

/// Copies between two short sides of equal length that were faulted in, one for reading, one for writing.
///
/// # Errors
/// `Overlap`, with nothing copied, if no order of copying is right.
pub fn copy_short(kernel: &mut Kernel, from: &mut Side, to: &mut Side) -> Result<(), Error> {
    // A few pages in all.
    let effort = &mut Effort::of(u32::MAX);
    let mut stage = Stage { phase: Phase::Copy, ..Stage::FIRST };
    if !is_apart(from, to) {
        stage = Stage { phase: Phase::Note, ..Stage::FIRST };
        order_of_pages(kernel, from, to, &mut stage, effort)?;
    }
    copy_pages(kernel, from, to, &mut stage, effort).map(|_| ())
}

/// How far a long copy is: every page of both sides is faulted in, then the order is found, then bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stage {
    phase: Phase,
    /// Whether these orders are right, as far as is known.
    forwards: bool,
    backwards: bool,
    /// Whether the target shows a frame twice.
    shows_twice: bool,
    /// Pages that have been seen to in this phase; bytes in the last.
    at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Faulting in the side in the space that the call names.
    Theirs,
    /// Faulting in the side in the caller's.
    Ours,
    /// Noting with each frame of the target at which of its pages it is.
    Note,
    /// Looking which frames of the source are frames of the target.
    Compare,
    /// Moving bytes.
    Copy,
}

const PHASES: [Phase; 5] = [Phase::Theirs, Phase::Ours, Phase::Note, Phase::Compare, Phase::Copy];
const PHASE_BITS: u32 = 3;

impl Stage {
    const FIRST: Stage = Stage { phase: Phase::Theirs, forwards: true, backwards: true, shows_twice: false, at: 0 };

    /// What a thread remembers. 0 is the first stage of all.
    fn to_word(self) -> u64 {
        let flags = u64::from(!self.forwards) | u64::from(!self.backwards) << 1 | u64::from(self.shows_twice) << 2;
        self.phase as u64 | flags << PHASE_BITS | self.at << (PHASE_BITS + 3)
    }

    fn from_word(word: u64) -> Stage {
        let is_set = |bit: u32| word >> (PHASE_BITS + bit) & 1 != 0;
        let phase = PHASES.get((word % (1 << PHASE_BITS)) as usize).copied().unwrap_or(Phase::Theirs);
        let (forwards, backwards, shows_twice) = (!is_set(0), !is_set(1), is_set(2));
        Stage { phase, forwards, backwards, shows_twice, at: word >> (PHASE_BITS + 3) }
    }

    fn enter(&mut self, phase: Phase) {
        (self.phase, self.at) = (phase, 0);
    }

    /// Notes where a phase has been left, if it was not finished.
    fn left_at(&mut self, at: Option<u64>) -> bool {
        self.at = at.unwrap_or(0);
        at.is_some()
    }
}

/// Does a step of a copy between two sides of equal length. Gives what the next step is to be told, if there must be one;
/// the first is told 0.
///
/// # Errors
/// A side's own, if a page does not allow the access: before anything was copied, unless others have changed what is mapped
/// there since the first step. `Overlap`, with nothing copied, if no order of copying is right.
pub fn copy_step(kernel: &mut Kernel, from: &mut Side, to: &mut Side, word: u64) -> Result<Option<u64>, Error> {
    let (mut stage, effort) = (Stage::from_word(word), &mut Effort::of_entry());
    while stage.phase < Phase::Note {
        let is_from = (stage.phase == Phase::Theirs) == (from.refusal == Error::BadAddress);
        let side = if is_from { &mut *from } else { &mut *to };
        let left_at = side.fault_in_from(kernel, stage.at, effort)?;
        if stage.left_at(left_at) {
            return Ok(Some(stage.to_word()));
        }
        stage.enter(if stage.phase == Phase::Theirs { Phase::Ours } else { Phase::Note });
    }
    if stage.phase < Phase::Copy && order_of_pages(kernel, from, to, &mut stage, effort)? {
        return Ok(Some(stage.to_word()));
    }
    let is_left = copy_pages(kernel, from, to, &mut stage, effort)?;
    Ok(is_left.then(|| stage.to_word()))
}

/// Moves bytes in the order that was found; gives whether some are left.
fn copy_pages(
    kernel: &mut Kernel,
    from: &mut Side,
    to: &mut Side,
    stage: &mut Stage,
    effort: &mut Effort,
) -> Result<bool, Error> {
    let (length_bytes, order) = (from.length_bytes, if stage.forwards { Order::Forwards } else { Order::Backwards });
    while stage.at < length_bytes {
        if !effort.is_left() {
            return Ok(true);
        }
        let at = if order == Order::Forwards { stage.at } else { length_bytes - stage.at };
        let bytes = from.room(at, order).min(to.room(at, order)).min(length_bytes - stage.at);
        let first = if order == Order::Forwards { at } else { at - bytes };
        let target = to.physical(kernel, first)?.ok_or(to.refusal)?;
        match from.physical(kernel, first)? {
            Some(source) => tessera_arch::move_physical(source, target, bytes as usize),
            None => tessera_arch::clear_physical(target, bytes as usize),
        }
        stage.at += bytes;
        effort.spend(2 * LOOK_UNITS + (bytes as u32).div_ceil(PAGE_BYTES as u32 / PAGE_UNITS));
    }
    Ok(false)
}

/// Whether any order is right, as one sees at once: each side is a page, or two of which the other has none.
#[inline(always)]
fn is_apart(from: &Side, to: &Side) -> bool {
    // Within a page on either side, one piece does it.
    let is_one_piece = from.first == from.last && to.first == to.last;
    let (source, target) = (from.ends.unwrap_or([None; 2]), to.ends.unwrap_or([None; 2]));
    is_one_piece || target.iter().all(|frame| !source.contains(frame))
}

/// In which order a copy is right; gives whether the answer takes another step.
///
/// Each frame of the target is told at which of the target's pages it is, in a word of its record that frames in use do
/// not need. What the word of a frame of the source says counts only if the target does have that frame there, so
/// nothing must be cleared, neither before nor behind.
#[cold]
#[inline(never)]
fn order_of_pages(
    kernel: &mut Kernel,
    from: &mut Side,
    to: &mut Side,
    stage: &mut Stage,
    effort: &mut Effort,
) -> Result<bool, Error> {
    if stage.phase == Phase::Note {
        if note_pages(kernel, to, stage, effort)? {
            return Ok(true);
        }
        stage.enter(Phase::Compare);
    }
    for page in from.first + stage.at..=from.last {
        if !effort.is_left() {
            stage.at = page - from.first;
            return Ok(true);
        }
        compare_page(kernel, from, to, page, stage)?;
        effort.spend(3 * LOOK_UNITS);
    }
    if !stage.forwards && !stage.backwards {
        return Err(Error::Overlap);
    }
    stage.enter(Phase::Copy);
    Ok(false)
}

/// Tells each frame of the target where it is; gives whether some are left.
fn note_pages(kernel: &mut Kernel, to: &mut Side, stage: &mut Stage, effort: &mut Effort) -> Result<bool, Error> {
    for page in to.first + stage.at..=to.last {
        if !effort.is_left() {
            stage.at = page - to.first;
            return Ok(true);
        }
        let frame = to.frame(kernel, page)?.ok_or(to.refusal)?;
        stage.shows_twice |= shown_at(kernel, to, frame, page)?.is_some();
        kernel.frames.set_position(frame, (page - to.first) as u32);
        effort.spend(3 * LOOK_UNITS);
    }
    Ok(false)
}

/// Finds which order is right as far as one page of the source is concerned.
fn compare_page(
    kernel: &mut Kernel,
    from: &mut Side,
    to: &mut Side,
    page: u64,
    stage: &mut Stage,
) -> Result<(), Error> {
    let Some(frame) = from.frame(kernel, page)? else { return Ok(()) };
    let Some(other) = shown_at(kernel, to, frame, to.last + 1)? else { return Ok(()) };
    let (source, target) = (from.part_of(page), to.part_of(other));
    if source.start >= target.end || target.start >= source.end {
        return Ok(());
    }
    // How far into the copy a byte that both have is read, and how far it is written.
    let read = (page * PAGE_BYTES).wrapping_sub(from.address) as i64;
    let written = (other * PAGE_BYTES).wrapping_sub(to.address) as i64;
    stage.forwards &= read <= written && !stage.shows_twice;
    stage.backwards &= read >= written && !stage.shows_twice;
    Ok(())
}

/// The page of the target before `end` that has a frame, as far as that has been noted.
fn shown_at(kernel: &mut Kernel, to: &mut Side, frame: Frame, end: u64) -> Result<Option<u64>, Error> {
    let Some(position) = kernel.frames.position(frame) else { return Ok(None) };
    let page = to.first + u64::from(position);
    if page >= end {
        return Ok(None);
    }
    let there = to.frame(kernel, page)?;
    Ok((there == Some(frame)).then_some(page))
}

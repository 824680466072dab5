//! Copies from a space to a space, exact like C's `memmove` wherever the two sides lie.
//!
//! What counts is memory, not addresses: one segment can be mapped at several places, so the sides can lie over each
//! other without any address in common. Before a copy of more than a page the kernel looks which frames of the target
//! are frames of the source too. If none would be written before it is read, the copy goes forwards; if none would be
//! when it begins at the end, backwards; else it is refused, which takes mappings that show a segment's pages in another
//! order at the two places.

use tessera_abi::{Error, PAGE_BYTES};
use tessera_arch::{Access, Frame, PhysAddr};

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
    /// The first page and the last.
    first: u64,
    last: u64,
    /// Their frames: a copy of up to a page needs no others.
    ends: [Option<Frame>; 2],
}

impl Side {
    /// A claim, of at least a byte, as a side of a copy.
    #[inline(always)]
    pub fn new(kernel: &Kernel, slice: UserSlice, access: Access) -> Side {
        let UserSlice { space, address, length_bytes } = slice;
        let (first, last) = (address / PAGE_BYTES, (address + length_bytes - 1) / PAGE_BYTES);
        Side { address, length_bytes, pages: Pages::new(kernel, space, access), first, last, ends: [None; 2] }
    }

    /// Sees to it that every page allows the access, and for writing has memory.
    ///
    /// # Errors
    /// `BadPointer` if a page does not allow it.
    #[inline]
    pub fn fault_in(&mut self, kernel: &mut Kernel) -> Result<(), Error> {
        self.ends = [self.pages.frame(kernel, self.first)?; 2];
        for page in self.first + 1..self.last + 1 {
            self.ends[1] = self.pages.frame(kernel, page)?;
        }
        Ok(())
    }

    /// The frame of one of its pages, if that has memory.
    #[inline(always)]
    fn frame(&mut self, kernel: &mut Kernel, page: u64) -> Result<Option<Frame>, Error> {
        if page == self.first {
            return Ok(self.ends[0]);
        }
        if page == self.last {
            return Ok(self.ends[1]);
        }
        self.pages.frame(kernel, page)
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

/// Copies between two sides of equal length that were ensured, one for reading, one for writing.
///
/// # Errors
/// `Overlap`, with nothing copied, if no order of copying is right; `BadPointer` if a side was not ensured.
pub fn copy(kernel: &mut Kernel, from: &mut Side, to: &mut Side) -> Result<(), Error> {
    let length_bytes = from.length_bytes;
    let order = if is_apart(from, to) { Order::Forwards } else { order_of_pages(kernel, from, to)? };
    let mut done = 0;
    while done < length_bytes {
        let at = if order == Order::Forwards { done } else { length_bytes - done };
        let bytes = from.room(at, order).min(to.room(at, order)).min(length_bytes - done);
        let first = if order == Order::Forwards { at } else { at - bytes };
        let target = to.physical(kernel, first)?.ok_or(Error::BadPointer)?;
        match from.physical(kernel, first)? {
            Some(source) => tessera_arch::move_physical(source, target, bytes as usize),
            None => tessera_arch::clear_physical(target, bytes as usize),
        }
        done += bytes;
    }
    Ok(())
}

/// Whether any order is right, as one sees at once: each side is a page, or two of which the other has none.
#[inline(always)]
fn is_apart(from: &Side, to: &Side) -> bool {
    let (source, target) = (from.last - from.first, to.last - to.first);
    if source > 1 || target > 1 {
        return false;
    }
    // Within a page on either side, one piece does it.
    source + target == 0 || to.ends.iter().all(|frame| !from.ends.contains(frame))
}

/// In which order a copy is right.
///
/// Each frame of the target is told at which of the target's pages it is, in a word of its record that frames in use do
/// not need. What the word of a frame of the source says counts only if the target does have that frame there, so
/// nothing must be cleared, neither before nor behind.
#[cold]
#[inline(never)]
fn order_of_pages(kernel: &mut Kernel, from: &mut Side, to: &mut Side) -> Result<Order, Error> {
    let mut shows_twice = false;
    for page in to.first..=to.last {
        let frame = to.frame(kernel, page)?.ok_or(Error::BadPointer)?;
        shows_twice |= shown_at(kernel, to, frame, page)?.is_some();
        kernel.frames.set_position(frame, (page - to.first) as u32);
    }
    let (mut forwards, mut backwards) = (true, true);
    for page in from.first..=from.last {
        let Some(frame) = from.frame(kernel, page)? else { continue };
        let Some(other) = shown_at(kernel, to, frame, to.last + 1)? else { continue };
        let (source, target) = (from.part_of(page), to.part_of(other));
        if source.start >= target.end || target.start >= source.end {
            continue;
        }
        // How far into the copy a byte that both have is read, and how far it is written.
        let read = (page * PAGE_BYTES).wrapping_sub(from.address) as i64;
        let written = (other * PAGE_BYTES).wrapping_sub(to.address) as i64;
        forwards &= read <= written && !shows_twice;
        backwards &= read >= written && !shows_twice;
    }
    match (forwards, backwards) {
        (true, _) => Ok(Order::Forwards),
        (false, true) => Ok(Order::Backwards),
        (false, false) => Err(Error::Overlap),
    }
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

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
use crate::vm::user_memory::UserSlice;

/// In which order the bytes of a copy move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Forwards,
    Backwards,
}

/// A side of a copy, with the page that was looked up last.
struct Side {
    slice: UserSlice,
    access: Access,
    last: Option<(u64, Option<Frame>)>,
}

impl Side {
    fn new(slice: UserSlice, access: Access) -> Side {
        Side { slice, access, last: None }
    }

    fn frame(&mut self, kernel: &mut Kernel, page: u64) -> Result<Option<Frame>, Error> {
        if let Some((last, frame)) = self.last
            && last == page
        {
            return Ok(frame);
        }
        let frame = self.slice.frame(kernel, page, self.access)?;
        self.last = Some((page, frame));
        Ok(frame)
    }

    /// The physical address of a byte of the slice, if it has memory.
    fn physical(&mut self, kernel: &mut Kernel, skip: u64) -> Result<Option<PhysAddr>, Error> {
        let address = self.slice.address + skip;
        let frame = self.frame(kernel, address / PAGE_BYTES)?;
        Ok(frame.map(|frame| PhysAddr::new(frame.start().value() + address % PAGE_BYTES)))
    }

    /// Bytes from one on, or before one, up to the end of the page.
    fn room(&self, skip: u64, order: Order) -> u64 {
        let address = self.slice.address + skip;
        match order {
            Order::Forwards => PAGE_BYTES - address % PAGE_BYTES,
            Order::Backwards => (address - 1) % PAGE_BYTES + 1,
        }
    }

    /// The pages of the slice, from the first to behind the last.
    fn pages(&self) -> core::ops::Range<u64> {
        let end = self.slice.address + self.slice.length_bytes;
        self.slice.address / PAGE_BYTES..end.div_ceil(PAGE_BYTES).max(self.slice.address / PAGE_BYTES)
    }

    /// The bytes of the slice that lie in one of its pages, counted from the page's start.
    fn part_of(&self, page: u64) -> core::ops::Range<u64> {
        let start = page * PAGE_BYTES;
        let end = self.slice.address + self.slice.length_bytes - start;
        self.slice.address.saturating_sub(start)..end.min(PAGE_BYTES)
    }
}

/// Copies between two claims of equal length, both ensured: the target for writing, the source for reading.
///
/// # Errors
/// `Overlap`, with nothing copied, if no order of copying is right; `BadPointer` if one side was not ensured.
pub fn copy(kernel: &mut Kernel, from: UserSlice, to: UserSlice) -> Result<(), Error> {
    let (mut from, mut to) = (Side::new(from, Access::Read), Side::new(to, Access::Write));
    let length_bytes = from.slice.length_bytes;
    let order = order(kernel, &mut from, &mut to)?;
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

/// In which order a copy is right.
///
/// Each frame of the target is told at which of the target's pages it is, in a word of its record that frames in use do
/// not need. What the word of a frame of the source says counts only if the target does have that frame there, so
/// nothing must be cleared, neither before nor behind.
fn order(kernel: &mut Kernel, from: &mut Side, to: &mut Side) -> Result<Order, Error> {
    // Within a page on either side, one piece does it.
    if from.pages().count() <= 1 && to.pages().count() <= 1 {
        return Ok(Order::Forwards);
    }
    let mut shows_twice = false;
    for page in to.pages() {
        let frame = to.frame(kernel, page)?.ok_or(Error::BadPointer)?;
        shows_twice |= shown_at(kernel, to, frame, page)?.is_some();
        kernel.frames.set_position(frame, (page - to.pages().start) as u32);
    }
    let (mut forwards, mut backwards) = (true, true);
    for page in from.pages() {
        let Some(frame) = from.frame(kernel, page)? else { continue };
        let Some(other) = shown_at(kernel, to, frame, to.pages().end)? else { continue };
        let (source, target) = (from.part_of(page), to.part_of(other));
        if source.start >= target.end || target.start >= source.end {
            continue;
        }
        // How far into the copy a byte that both have is read, and how far it is written.
        let read = (page * PAGE_BYTES).wrapping_sub(from.slice.address) as i64;
        let written = (other * PAGE_BYTES).wrapping_sub(to.slice.address) as i64;
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
fn shown_at(kernel: &mut Kernel, to: &Side, frame: Frame, end: u64) -> Result<Option<u64>, Error> {
    let Some(position) = kernel.frames.position(frame) else { return Ok(None) };
    let page = to.pages().start + u64::from(position);
    if page >= end {
        return Ok(None);
    }
    let there = to.slice.frame(kernel, page, Access::Write)?;
    Ok((there == Some(frame)).then_some(page))
}

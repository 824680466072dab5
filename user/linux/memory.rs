//! A Linux program's memory: its space, what is mapped there, and its bytes, never trusted to be there.

use crate::errno::Errno;
use crate::frame;
use crate::regions::{Region, Regions};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Range;
use executable::{Executable, Room};
use libvas::{Account, Cap, Error, PAGE_BYTES, Rights, Segment, Space, USER_START, raw};

/// Where programs may lie, and where one is put that does not care: what is above is for `mmap`, `brk` and the stack.
pub(crate) const IMAGES: Room = Room { range: USER_START..0x1000_0000_0000, anywhere: Some(0x0555_5000_0000) };

/// Where `mmap` puts what may lie anywhere; above images and what `brk` adds to them, below the stack.
pub const MAPS: Range<u64> = 0x2000_0000_0000..0x7000_0000_0000;

/// Where the stack ends. Behind a page where nothing is lies the one by which signal handlers return.
pub const STACK_TOP: u64 = 0x7eff_ffff_d000;

/// See above.
pub(crate) const TRAMPOLINE: u64 = STACK_TOP + PAGE_BYTES;

/// How long the stack is, bytes. It gets memory as it is touched.
pub(crate) const STACK_BYTES: u64 = 8 << 20;

/// The longest path, and other text, bytes with its end.
const TEXT_BYTES_MAX: usize = 4096;

/// The most bytes that one call copies; one that is asked for more does a part, as Linux may.
pub(crate) const COPY_BYTES_MAX: u64 = 1 << 20;

/// See above. A copy is the same memory; what `fork` makes is another that begins alike.
#[derive(Clone)]
pub(crate) struct Memory<'a>(Rc<Shared<'a>>);

struct Shared<'a> {
    /// It pays.
    account: &'a Cap<Account>,
    space: Cap<Space>,
    regions: RefCell<Regions<Backing>>,
    /// Where what `brk` adds begins, and where it ends.
    break_start: u64,
    break_end: Cell<u64>,
    /// Whether there was ever a fork: what the space shows may then differ from what the segments hold.
    is_forked: Cell<bool>,
}

/// A region's segment; none where nothing has been allowed yet.
type Backing = Option<Rc<Cap<Segment>>>;

impl<'a> Memory<'a> {
    /// Makes it with a program, and without a stack.
    pub(crate) fn new(account: &'a Cap<Account>, executable: &Executable<'_>) -> Result<Memory<'a>, Error> {
        let (_, end) = executable.bounds();
        let (regions, break_end) = (RefCell::new(Regions::new()), Cell::new(end));
        let (space, is_forked) = (Space::new(account)?, Cell::new(false));
        let shared = Shared { account, space, regions, break_start: end, break_end, is_forked };
        let memory = Memory(Rc::new(shared));
        for part in &executable.parts {
            let segment = Segment::new(account, part.length_bytes)?;
            if !part.bytes.is_empty() {
                segment.write(part.skip_bytes, part.bytes)?;
            }
            memory.place(part.address..part.address + part.length_bytes, segment, part.rights)?;
        }
        let trampoline = Segment::new(account, PAGE_BYTES)?;
        trampoline.write(0, frame::trampoline(raw::ELF_MACHINE))?;
        memory.place(TRAMPOLINE..TRAMPOLINE + PAGE_BYTES, trampoline, Rights::READ_EXECUTE)?;
        Ok(memory)
    }

    /// Adds an empty stack.
    pub(crate) fn add_stack(&self) -> Result<(), Error> {
        let stack = Segment::new_lazy(self.0.account, STACK_BYTES)?;
        self.place(STACK_TOP - STACK_BYTES..STACK_TOP, stack, Rights::READ_WRITE)
    }

    /// Memory that begins as this one is now. Whichever is written to, the other does not see it.
    pub(crate) fn fork(&self) -> Result<Memory<'a>, Error> {
        let shared = &*self.0;
        let space = Space::clone_of(shared.account, &shared.space)?;
        let mut regions = shared.regions.borrow().clone();
        // The clone has what is mapped; where nothing is allowed both would have the same memory.
        let hidden: Vec<_> = regions.all().filter(|region| region.rights.is_empty()).cloned().collect();
        for mut region in hidden {
            let Some(segment) = &region.memory else { continue };
            let copied = copied(shared.account, &region.range, |at, page| {
                segment.read(region.offset + at - region.range.start, page)
            })?;
            (region.memory, region.offset) = (Some(Rc::new(copied)), 0);
            regions.insert(region);
        }
        shared.is_forked.set(true);
        let (regions, break_end) = (RefCell::new(regions), shared.break_end.clone());
        let (account, break_start, is_forked) = (shared.account, shared.break_start, Cell::new(true));
        Ok(Memory(Rc::new(Shared { account, space, regions, break_start, break_end, is_forked })))
    }

    /// Who pays for it.
    pub(crate) fn account(&self) -> &'a Cap<Account> {
        self.0.account
    }

    /// Whether others have the same.
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    /// Whether two are the same.
    pub(crate) fn is_same(&self, other: &Memory<'_>) -> bool {
        core::ptr::addr_eq(Rc::as_ptr(&self.0), Rc::as_ptr(&other.0))
    }

    /// The space to run in.
    pub(crate) fn space(&self) -> &Cap<Space> {
        &self.0.space
    }

    /// Has a whole segment where nothing is.
    fn place(&self, range: Range<u64>, segment: Cap<Segment>, rights: Rights) -> Result<(), Error> {
        if !rights.is_empty() {
            self.0.space.map(range.start, &segment, 0..range.end - range.start, rights)?;
        }
        self.0.regions.borrow_mut().insert(Region { range, rights, memory: Some(Rc::new(segment)), offset: 0 });
        Ok(())
    }

    /// New memory that begins with these bytes: where `wanted` says, if something is free there, or else anywhere.
    pub(crate) fn map(&self, wanted: u64, length: u64, rights: Rights, bytes: &[u8]) -> Result<u64, Errno> {
        let wanted = wanted - wanted % PAGE_BYTES;
        let end = wanted.checked_add(length).ok_or(Errno::ENOMEM)?;
        let fits = wanted >= IMAGES.range.end && end <= MAPS.end && self.is_free(&(wanted..end));
        let gap = || self.0.regions.borrow().gap(&MAPS, length);
        let address = if fits { Some(wanted) } else { gap() }.ok_or(Errno::ENOMEM)?;
        self.map_at(address, length, rights, bytes)
    }

    /// The same exactly there, in the place of what is.
    pub(crate) fn map_at(&self, address: u64, length: u64, rights: Rights, bytes: &[u8]) -> Result<u64, Errno> {
        let range = address..address + length;
        if rights.is_empty() && bytes.is_empty() {
            self.unmap(&range)?;
            self.0.regions.borrow_mut().insert(Region { range, rights, memory: None, offset: 0 });
            return Ok(address);
        }
        let segment = Segment::new_lazy(self.0.account, length)?;
        if !bytes.is_empty() {
            segment.write(0, bytes)?;
        }
        self.unmap(&range)?;
        self.place(range, segment, rights)?;
        Ok(address)
    }

    /// Whether nothing is mapped in a range.
    pub(crate) fn is_free(&self, range: &Range<u64>) -> bool {
        self.0.regions.borrow().is_free(range)
    }

    /// Unmaps what is in a range.
    pub(crate) fn unmap(&self, range: &Range<u64>) -> Result<(), Errno> {
        for region in self.0.regions.borrow_mut().take(range) {
            if !region.rights.is_empty() {
                self.0.space.unmap(region.range)?;
            }
        }
        Ok(())
    }

    /// Changes what a range allows, all of which must be there.
    pub(crate) fn protect(&self, range: &Range<u64>, rights: Rights) -> Result<(), Errno> {
        let mut regions = self.0.regions.borrow_mut();
        if !regions.covers(range) {
            return Err(Errno::ENOMEM);
        }
        let mut outcome = Ok(());
        for mut region in regions.take(range) {
            if let Err(error) = self.protect_region(&mut region, rights) {
                outcome = Err(error.into());
            }
            regions.insert(region);
        }
        outcome
    }

    fn protect_region(&self, region: &mut Region<Backing>, rights: Rights) -> Result<(), Error> {
        let (account, space, range) = (self.0.account, &self.0.space, region.range.clone());
        let length = range.end - range.start;
        match (region.rights.is_empty(), rights.is_empty()) {
            (true, true) => {}
            (true, false) => {
                if region.memory.is_none() {
                    (region.memory, region.offset) = (Some(Rc::new(Segment::new_lazy(account, length)?)), 0);
                }
                let Some(segment) = &region.memory else { return Err(Error::BadState) };
                space.map(range.start, segment, region.offset..region.offset + length, rights)?;
            }
            (false, true) => {
                // Pages that are the space's own go with the mapping, so what they hold is kept elsewhere.
                if self.0.is_forked.get() {
                    let copied = copied(account, &range, |at, page| space.read(at, page))?;
                    (region.memory, region.offset) = (Some(Rc::new(copied)), 0);
                }
                space.unmap(range)?;
            }
            (false, false) => space.protect(range, rights)?,
        }
        region.rights = rights;
        Ok(())
    }

    /// Has the memory behind the image end at an address. Returns where it does end.
    pub(crate) fn set_break(&self, wanted: u64) -> u64 {
        let (start, end) = (self.0.break_start, self.0.break_end.get());
        if (start..MAPS.start).contains(&wanted) {
            let [old, new] = [end, wanted].map(|address| address.next_multiple_of(PAGE_BYTES));
            let is_done = if new > old {
                self.is_free(&(old..new)) && self.map_at(old, new - old, Rights::READ_WRITE, &[]).is_ok()
            } else {
                new == old || self.unmap(&(new..old)).is_ok()
            };
            if is_done {
                self.0.break_end.set(wanted);
            }
        }
        self.0.break_end.get()
    }

    /// Copies out of the program's memory.
    pub(crate) fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        self.0.space.read(address, bytes).map_err(|_| Errno::EFAULT)
    }

    /// The same for as many bytes as asked for, or as one call copies.
    pub(crate) fn bytes(&self, address: u64, length: u64) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length.min(COPY_BYTES_MAX) as usize];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// A word of the program's memory.
    pub(crate) fn word(&self, address: u64) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A text that ends with a zero byte.
    pub(crate) fn text(&self, address: u64) -> Result<String, Errno> {
        let mut text = Vec::new();
        let mut at = address;
        while text.len() < TEXT_BYTES_MAX {
            // By pages: what is behind the text's end need not be there.
            let piece = self.bytes(at, PAGE_BYTES - at % PAGE_BYTES)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend(&piece[..end]);
                return String::from_utf8(text).map_err(|_| Errno::ENOENT);
            }
            at = at.wrapping_add(piece.len() as u64);
            text.extend(piece);
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// Copies into the program's memory.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.0.space.write(address, bytes).map_err(|_| Errno::EFAULT)
    }
}

/// A segment with what a range holds, of which `read` gives the page at an address. Pages of zeros take no memory.
fn copied(
    account: &Cap<Account>,
    range: &Range<u64>,
    read: impl Fn(u64, &mut [u8]) -> Result<(), Error>,
) -> Result<Cap<Segment>, Error> {
    let segment = Segment::new_lazy(account, range.end - range.start)?;
    let mut page = vec![0; PAGE_BYTES as usize];
    for at in range.clone().step_by(PAGE_BYTES as usize) {
        read(at, &mut page)?;
        if page.iter().any(|byte| *byte != 0) {
            segment.write(at - range.start, &page)?;
        }
    }
    Ok(segment)
}

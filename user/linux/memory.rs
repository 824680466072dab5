//! A Linux program's memory: its space, what is mapped there, and its bytes, never trusted to be there.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use executable::{Executable, Room};
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, USER_START, program};
use linux::errno::Errno;
use linux::regions::{Region, Regions};

/// Where programs may lie, and where one is put that does not care: what is above is for `mmap`, `brk` and the stack.
pub(crate) const IMAGES: Room = Room { range: USER_START..0x1000_0000_0000, anywhere: Some(0x0555_5000_0000) };

/// Where `mmap` puts what may lie anywhere; above images and what `brk` adds to them, below the stack.
pub(crate) const MAPS: Range<u64> = 0x2000_0000_0000..0x7000_0000_0000;

/// Where the stack ends.
pub(crate) const STACK_TOP: u64 = 0x7f00_0000_0000;

/// How long the stack is, bytes. It gets memory as it is touched.
pub(crate) const STACK_BYTES: u64 = 8 << 20;

/// The longest path, and other text, bytes with its end.
const TEXT_BYTES_MAX: usize = 4096;

/// The most bytes that one call copies; one that is asked for more does a part, as Linux may.
pub(crate) const COPY_BYTES_MAX: u64 = 1 << 20;

/// See above.
pub(crate) struct Memory {
    space: Cap<Space>,
    regions: Regions<Rc<Cap<Segment>>>,
    /// Where what `brk` adds begins, and where it ends.
    break_range: Range<u64>,
}

impl Memory {
    /// Makes it with a program and an empty stack.
    pub(crate) fn new(executable: &Executable<'_>) -> Result<Memory, Error> {
        let (_, end) = executable.bounds();
        let space = Space::new(program().account())?;
        let mut memory = Memory { space, regions: Regions::new(), break_range: end..end };
        for part in &executable.parts {
            let segment = Segment::new(program().account(), part.length_bytes)?;
            if !part.bytes.is_empty() {
                segment.write(part.skip_bytes, part.bytes)?;
            }
            memory.place(part.address..part.address + part.length_bytes, segment, part.rights)?;
        }
        let stack = Segment::new_lazy(program().account(), STACK_BYTES)?;
        memory.place(STACK_TOP - STACK_BYTES..STACK_TOP, stack, Rights::READ_WRITE)?;
        Ok(memory)
    }

    /// The space to run in.
    pub(crate) fn space(&self) -> &Cap<Space> {
        &self.space
    }

    /// Maps a whole segment where nothing is.
    fn place(&mut self, range: Range<u64>, segment: Cap<Segment>, rights: Rights) -> Result<(), Error> {
        if !rights.is_empty() {
            self.space.map(range.start, &segment, 0..range.end - range.start, rights)?;
        }
        self.regions.insert(Region { range, rights, memory: Rc::new(segment), offset: 0 });
        Ok(())
    }

    /// New memory that begins with these bytes: where `wanted` says, if something is free there, or else anywhere.
    pub(crate) fn map(&mut self, wanted: u64, length: u64, rights: Rights, bytes: &[u8]) -> Result<u64, Errno> {
        let wanted = wanted - wanted % PAGE_BYTES;
        let end = wanted.checked_add(length).ok_or(Errno::ENOMEM)?;
        let fits = wanted >= IMAGES.range.end && end <= MAPS.end && self.regions.is_free(&(wanted..end));
        let address = if fits { Some(wanted) } else { self.regions.gap(&MAPS, length) }.ok_or(Errno::ENOMEM)?;
        self.map_at(address, length, rights, bytes)
    }

    /// The same exactly there, in the place of what is.
    pub(crate) fn map_at(&mut self, address: u64, length: u64, rights: Rights, bytes: &[u8]) -> Result<u64, Errno> {
        let segment = Segment::new_lazy(program().account(), length)?;
        if !bytes.is_empty() {
            segment.write(0, bytes)?;
        }
        self.unmap(&(address..address + length))?;
        self.place(address..address + length, segment, rights)?;
        Ok(address)
    }

    /// Whether nothing is mapped in a range.
    pub(crate) fn is_free(&self, range: &Range<u64>) -> bool {
        self.regions.is_free(range)
    }

    /// Unmaps what is in a range.
    pub(crate) fn unmap(&mut self, range: &Range<u64>) -> Result<(), Errno> {
        for region in self.regions.take(range) {
            if !region.rights.is_empty() {
                self.space.unmap(region.range)?;
            }
        }
        Ok(())
    }

    /// Changes what a range allows, all of which must be there.
    pub(crate) fn protect(&mut self, range: &Range<u64>, rights: Rights) -> Result<(), Errno> {
        if !self.regions.covers(range) {
            return Err(Errno::ENOMEM);
        }
        let mut outcome = Ok(());
        for mut region in self.regions.take(range) {
            match self.protect_region(&region, rights) {
                Ok(()) => region.rights = rights,
                Err(error) => outcome = Err(error.into()),
            }
            self.regions.insert(region);
        }
        outcome
    }

    fn protect_region(&self, region: &Region<Rc<Cap<Segment>>>, rights: Rights) -> Result<(), Error> {
        let range = region.range.clone();
        match (region.rights.is_empty(), rights.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => {
                let offsets = region.offset..region.offset + (range.end - range.start);
                self.space.map(range.start, &region.memory, offsets, rights)
            }
            (false, true) => self.space.unmap(range),
            (false, false) => self.space.protect(range, rights),
        }
    }

    /// Has the memory behind the image end at an address. Returns where it does end.
    pub(crate) fn set_break(&mut self, wanted: u64) -> u64 {
        let Range { start, end } = self.break_range;
        if (start..MAPS.start).contains(&wanted) {
            let [old, new] = [end, wanted].map(|address| address.next_multiple_of(PAGE_BYTES));
            let is_done = if new > old {
                self.is_free(&(old..new)) && self.map_at(old, new - old, Rights::READ_WRITE, &[]).is_ok()
            } else {
                self.unmap(&(new..old)).is_ok()
            };
            if is_done {
                self.break_range.end = wanted;
            }
        }
        self.break_range.end
    }

    /// Copies out of the program's memory.
    pub(crate) fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        self.space.read(address, bytes).map_err(|_| Errno::EFAULT)
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
        self.space.write(address, bytes).map_err(|_| Errno::EFAULT)
    }
}

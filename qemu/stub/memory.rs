//! What lies where in RAM.

use crate::Failure;

/// Bytes in a page.
pub const PAGE_BYTES: u64 = 4096;
/// The most banks of RAM, and the most reserved spans.
const SPANS_MAX: usize = 16;

/// Physical memory in whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First address.
    pub start: u64,
    /// Length, bytes.
    pub length_bytes: u64,
}

impl Span {
    /// The span with this start and length.
    pub const fn new(start: u64, length_bytes: u64) -> Span {
        Span { start, length_bytes }
    }

    /// First address after the span.
    pub const fn end(&self) -> u64 {
        self.start + self.length_bytes
    }

    /// The whole pages that the span touches.
    fn pages(self) -> Span {
        let start = self.start & !(PAGE_BYTES - 1);
        Span::new(start, self.end().next_multiple_of(PAGE_BYTES) - start)
    }
}

/// What memory is used for, by the numbers of the Limine memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// Free.
    Usable = 0,
    /// The firmware's.
    Reserved = 1,
    /// The loader's: free once the kernel has read the answers.
    Loader = 5,
    /// The kernel's image or a module.
    KernelOrModule = 6,
}

/// The banks of RAM and the spans in them that are in use, both in ascending order.
pub struct Layout {
    banks: [Span; SPANS_MAX],
    bank_count: usize,
    reserved: [(Span, Kind); SPANS_MAX],
    reserved_count: usize,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout::new()
    }
}

impl Layout {
    /// No RAM at all.
    pub const fn new() -> Layout {
        let nothing = Span::new(0, 0);
        Layout {
            banks: [nothing; SPANS_MAX],
            bank_count: 0,
            reserved: [(nothing, Kind::Usable); SPANS_MAX],
            reserved_count: 0,
        }
    }

    /// Adds RAM, of which nothing is in use yet and which overlaps no other. Parts of pages at its ends are left out.
    ///
    /// # Errors
    /// There is too much to keep in mind.
    pub fn add_bank(&mut self, span: Span) -> Result<(), Failure> {
        let start = span.start.next_multiple_of(PAGE_BYTES);
        let end = span.end() & !(PAGE_BYTES - 1);
        if start >= end {
            return Ok(());
        }
        *self.banks.get_mut(self.bank_count).ok_or("too many banks of memory")? = Span::new(start, end - start);
        self.bank_count += 1;
        self.banks[..self.bank_count].sort_unstable_by_key(|bank| bank.start);
        Ok(())
    }

    /// First address after all RAM.
    pub fn memory_end(&self) -> u64 {
        self.banks[..self.bank_count].last().map_or(0, Span::end)
    }

    /// Marks the pages of a span as in use.
    ///
    /// # Errors
    /// There is too much to keep in mind.
    pub fn reserve(&mut self, span: Span, kind: Kind) -> Result<(), Failure> {
        *self.reserved.get_mut(self.reserved_count).ok_or("too many reserved spans")? = (span.pages(), kind);
        self.reserved_count += 1;
        self.reserved[..self.reserved_count].sort_unstable_by_key(|(span, _)| span.start);
        Ok(())
    }

    /// The first free span of so many bytes, in whole pages, from the address `lowest` on.
    ///
    /// # Errors
    /// There is none.
    pub fn find_room(&self, bytes: u64, lowest: u64) -> Result<Span, Failure> {
        let bytes = bytes.next_multiple_of(PAGE_BYTES);
        let mut room = None;
        self.for_each(|span, kind| {
            let start = span.start.max(lowest);
            if room.is_none() && kind == Kind::Usable && start + bytes <= span.end() {
                room = Some(Span::new(start, bytes));
            }
        });
        room.ok_or("there is no room for the kernel in memory")
    }

    /// Calls `each` for all of RAM in ascending order, free and in use.
    pub fn for_each(&self, mut each: impl FnMut(Span, Kind)) {
        for bank in &self.banks[..self.bank_count] {
            let mut next = bank.start;
            let mut upto = |end: u64, kind| {
                if end > next {
                    each(Span::new(next, end - next), kind);
                    next = end;
                }
            };
            for (span, kind) in &self.reserved[..self.reserved_count] {
                upto(span.start.min(bank.end()), Kind::Usable);
                upto(span.end().min(bank.end()), *kind);
            }
            upto(bank.end(), Kind::Usable);
        }
    }
}

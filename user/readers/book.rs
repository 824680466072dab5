//! What is read and written: two pages of a text of numbers, of which one counts, in a lockable segment.
//!
//! A writer who is ended in the middle of its work leaves it as it is, and the lock to the next one. So it writes the page that does
//! not count, and then says in one word that it does: whatever page counts is whole. The numbers of a page follow from its edition,
//! and a checksum from them; and whoever is inside looks twice, with others running in between, who must not change anything.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use demonstration::Random;
use libvas::{Error, PAGE_BYTES, Place, thread};

/// Where the segment is mapped, in every space that maps it.
pub(crate) const START: u64 = 0x1500_0000_0000;

/// How large it is.
pub(crate) const BYTES: u64 = 3 * PAGE_BYTES;

/// Numbers of a page, the edition first.
const NUMBERS: usize = 12;

/// What was done and found, by all together.
pub(crate) struct Tally {
    /// Pages that were read.
    pub(crate) reads: AtomicU64,
    /// Editions that were finished.
    pub(crate) writes: AtomicU64,
    /// Editions that a writer found begun by another that had ended.
    pub(crate) abandoned: AtomicU64,
    /// What was not as it should be.
    pub(crate) wrong: AtomicU64,
}

/// The only one.
pub(crate) static TALLY: Tally = Tally {
    reads: AtomicU64::new(0),
    writes: AtomicU64::new(0),
    abandoned: AtomicU64::new(0),
    wrong: AtomicU64::new(0),
};

/// Where everything is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Book {
    /// Who writes; 0 if nobody does.
    writer: Place<u64>,
    /// Which page counts, 0 or 1.
    current: Place<u64>,
    pages: [Place<u64>; 2],
}

/// What somebody inside sees.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sight {
    writer: u64,
    current: u64,
    page: [u64; NUMBERS],
    checksum: u64,
}

impl Book {
    /// The book, for who is in a space that shows it.
    pub(crate) fn new() -> Result<Book, Error> {
        let place = |page: u64| Place::new(START + page * PAGE_BYTES);
        Ok(Book { writer: place(0)?, current: place(0)?.at(1)?, pages: [place(1)?, place(2)?] })
    }

    /// The first edition.
    pub(crate) fn begin(&self) -> Result<(), Error> {
        self.write_page(0, 1, &mut Random::new(1))
    }

    /// The edition of the page that counts.
    pub(crate) fn edition(&self) -> Result<u64, Error> {
        Ok(self.look()?.page[0])
    }

    /// Reads it twice.
    pub(crate) fn read(&self, random: &mut Random) -> Result<(), Error> {
        let first = self.look()?;
        perhaps_yield(random);
        let second = self.look()?;
        note(first == second && second.is_whole());
        TALLY.reads.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Writes the next edition.
    pub(crate) fn write(&self, name: u64, random: &mut Random) -> Result<(), Error> {
        let before = self.look()?;
        note(before.is_whole());
        if before.writer != 0 {
            TALLY.abandoned.fetch_add(1, Relaxed);
        }
        self.writer.set(name);
        let other = (before.current + 1) % 2;
        self.write_page(other, before.page[0] + 1, random)?;
        note(self.look()? == Sight { writer: name, ..before });
        self.current.set(other);
        TALLY.writes.fetch_add(1, Relaxed);
        perhaps_yield(random);
        self.writer.set(0);
        Ok(())
    }

    fn look(&self) -> Result<Sight, Error> {
        let (writer, current, mut page) = (self.writer.get(), self.current.get(), [0; NUMBERS]);
        let start = self.pages[current as usize % 2];
        for (index, number) in (0..).zip(&mut page) {
            *number = start.at(index)?.get();
        }
        Ok(Sight { writer, current, page, checksum: start.at(NUMBERS as u64)?.get() })
    }

    fn write_page(&self, page: u64, edition: u64, random: &mut Random) -> Result<(), Error> {
        let (start, numbers) = (self.pages[page as usize % 2], numbers_of(edition));
        for (index, number) in (0..).zip(numbers) {
            start.at(index)?.set(number);
            if index == NUMBERS as u64 / 2 {
                perhaps_yield(random);
            }
        }
        start.at(NUMBERS as u64)?.set(checksum_of(&numbers));
        Ok(())
    }
}

impl Sight {
    fn is_whole(&self) -> bool {
        self.current < 2 && self.page == numbers_of(self.page[0]) && self.checksum == checksum_of(&self.page)
    }
}

fn numbers_of(edition: u64) -> [u64; NUMBERS] {
    let mut numbers = [edition; NUMBERS];
    for index in 1..NUMBERS {
        numbers[index] = numbers[index - 1].rotate_left(7) ^ edition.wrapping_mul(index as u64);
    }
    numbers
}

fn checksum_of(numbers: &[u64; NUMBERS]) -> u64 {
    numbers.iter().fold(0x7e55_e2a0, |sum: u64, number| sum.rotate_left(5).wrapping_add(*number))
}

fn note(is_right: bool) {
    if !is_right {
        TALLY.wrong.fetch_add(1, Relaxed);
    }
}

/// Lets others run at one of four such places, so that a visit is interrupted here as well where there is one CPU.
pub(crate) fn perhaps_yield(random: &mut Random) {
    if random.below(4) == 0 {
        thread::yield_now();
    }
}

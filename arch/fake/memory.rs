//! Physical memory as a leaked array of tables, one array per test thread.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicU64, Ordering};

use super::FIRST_FRAME;
use crate::{Frame, PhysAddr, TABLE_ENTRIES, Table};

thread_local! {
    static MEMORY: Cell<&'static [Table]> = const { Cell::new(&[]) };
    static TOUCHES: Cell<u64> = const { Cell::new(0) };
    static CLEANED: Cell<u64> = const { Cell::new(0) };
    static PUBLISHED: Cell<u64> = const { Cell::new(0) };
    static SHOWN: RefCell<Shown> = const { RefCell::new(Shown::new()) };
}

/// What walkers are sure to see of each frame.
struct Shown {
    /// What each frame held, in a word; nothing before anyone watches.
    digests: Vec<u64>,
    /// The frames that somebody asked for since, and may have written.
    touched: Vec<usize>,
    is_touched: Vec<bool>,
}

impl Shown {
    const fn new() -> Shown {
        Shown { digests: Vec::new(), touched: Vec::new(), is_touched: Vec::new() }
    }
}

/// Memory starts with a pattern instead of zeroes, so that forgotten clearing shows.
const UNCLEARED: u64 = 0xdead_beef_dead_beef;

/// Memory of the same size as the calling thread's last is the same memory: random tests boot thousands of
/// machines, and none of it is ever given back.
pub(super) fn install(frames: u64) {
    let last = MEMORY.get();
    if last.len() as u64 == frames {
        return last.iter().flatten().for_each(|word| word.store(UNCLEARED, Ordering::Relaxed));
    }
    let tables = (0..frames).map(|_| core::array::from_fn(|_| AtomicU64::new(UNCLEARED))).collect::<Vec<Table>>();
    MEMORY.set(tables.leak());
}

/// The frame's memory, as a table.
pub fn table(frame: Frame) -> &'static Table {
    TOUCHES.set(TOUCHES.get() + 1);
    SHOWN.with_borrow_mut(|shown| {
        let index = index_of(frame);
        if shown.is_touched.get(index) == Some(&false) {
            shown.is_touched[index] = true;
            shown.touched.push(index);
        }
    });
    quiet_table(frame)
}

/// From now on it is known what walkers are sure to see: what is there now, and what is published later.
pub(super) fn watch_publishing() {
    let digests: Vec<u64> = MEMORY.get().iter().map(digest).collect();
    let is_touched = vec![false; digests.len()];
    // All the room at once: tests count what the kernel allocates, and this is not the kernel.
    SHOWN.set(Shown { touched: Vec::with_capacity(digests.len()), digests, is_touched });
}

pub(super) fn reset_publishing() {
    SHOWN.set(Shown::new());
}

/// Walkers see all that was written.
pub(super) fn publish() {
    SHOWN.with_borrow_mut(|shown| {
        while let Some(index) = shown.touched.pop() {
            shown.is_touched[index] = false;
            shown.digests[index] = digest(&MEMORY.get()[index]);
        }
    });
}

/// Whether any frame may hold something that walkers need not see.
pub(super) fn has_unpublished() -> bool {
    SHOWN.with_borrow(|shown| !shown.touched.is_empty())
}

/// Whether a frame holds something that walkers need not see.
pub(super) fn is_unpublished(frame: Frame) -> bool {
    SHOWN.with_borrow(|shown| {
        let index = index_of(frame);
        shown.is_touched.get(index) == Some(&true) && shown.digests[index] != digest(quiet_table(frame))
    })
}

fn digest(table: &Table) -> u64 {
    table
        .iter()
        .fold(0, |sum: u64, word| (sum ^ word.load(Ordering::Relaxed)).wrapping_mul(0x100_0000_01b3).rotate_left(29))
}

fn index_of(frame: Frame) -> usize {
    frame.number().wrapping_sub(FIRST_FRAME.number()) as usize
}

/// How often anyone has asked for a table: while the number stays the same, no table changes.
pub(super) fn touches() -> u64 {
    TOUCHES.get()
}

/// The same as [`table`], for who only looks.
pub(super) fn quiet_table(frame: Frame) -> &'static Table {
    MEMORY.get().get(index_of(frame)).unwrap_or_else(|| panic!("{frame:?} is no memory"))
}

/// Fills frames with zeroes.
pub fn clear_frames(first: Frame, count: u64) {
    super::oracle::note_reuse(first, count);
    for number in 0..count {
        for entry in table(first.offset(number)) {
            entry.store(0, Ordering::Relaxed);
        }
    }
}

/// A frame gets a new use without being cleared.
pub(crate) fn note_reuse(frame: Frame) {
    super::oracle::note_reuse(frame, 1);
    assert!(quiet_table(frame).iter().all(|entry| entry.load(Ordering::Relaxed) == 0), "a table begins empty");
}

/// Copies physical memory out.
pub fn read_physical(from: PhysAddr, to: &mut [u8]) {
    for (index, byte) in to.iter_mut().enumerate() {
        let (word, shift) = locate(from.value() + index as u64);
        *byte = (word.load(Ordering::Relaxed) >> shift) as u8;
    }
}

/// Copies into physical memory.
pub fn write_physical(to: PhysAddr, from: &[u8]) {
    for (index, byte) in from.iter().enumerate() {
        let (word, shift) = locate(to.value() + index as u64);
        let kept = word.load(Ordering::Relaxed) & !(0xff << shift);
        word.store(kept | (u64::from(*byte) << shift), Ordering::Relaxed);
    }
}

/// Copies physical memory to where it may overlap what is copied.
pub fn move_physical(from: PhysAddr, to: PhysAddr, bytes: usize) {
    let mut buffer = vec![0; bytes];
    read_physical(from, &mut buffer);
    write_physical(to, &buffer);
}

/// Fills physical memory with zeros.
pub fn clear_physical(at: PhysAddr, bytes: usize) {
    write_physical(at, &vec![0; bytes]);
}

/// Where physical memory appears in the kernel's own address space.
pub fn direct_map(address: PhysAddr) -> *mut u8 {
    let table = table(Frame::containing(address));
    let offset = (address.value() % tessera_abi::PAGE_BYTES) as usize;
    table.as_ptr().cast::<u8>().wrapping_add(offset).cast_mut()
}

/// Whether what was written must be cleaned before it can be fetched as code.
pub fn must_clean_code() -> bool {
    true
}

/// Notes that code in frames is to become visible to instruction fetches.
pub fn clean_code(_first: Frame, count: u64) {
    CLEANED.set(CLEANED.get() + count);
}

/// Notes that what was cleaned is visible.
pub fn publish_code() {
    PUBLISHED.set(PUBLISHED.get() + 1);
}

/// How many frames of code were cleaned so far, and how often such were shown.
pub fn code_published() -> (u64, u64) {
    (CLEANED.get(), PUBLISHED.get())
}

fn locate(address: u64) -> (&'static AtomicU64, u32) {
    let table = table(Frame::containing(PhysAddr::new(address)));
    (&table[(address / 8) as usize % TABLE_ENTRIES], (address % 8) as u32 * 8)
}

//! Memory of the store's own, inside its segment: words at fixed addresses, and blocks of them for who needs some.
//!
//! Everything in here is reached by the addresses that stand in the segment itself, which mean the same in whatever space maps it.
//! Free blocks are a list in the order of addresses, and neighbours in it grow together; the first that is large enough is taken.
//! A block is a word that says how many words it has, itself included, and the rest.

use crate::request::Fault;
use libvas::{PAGE_BYTES, Place, TOP_SLOT_BYTES};

/// Where the segment is mapped, in every space that maps it.
pub(crate) const START: u64 = 40 * TOP_SLOT_BYTES;

/// How large it is.
pub(crate) const BYTES: u64 = 8 * PAGE_BYTES;

const WORD: u64 = 8;

/// The first free block.
const FREE: u64 = START;
/// How many words are free.
const FREE_WORDS: u64 = START + WORD;
/// Words for whom the memory serves.
const ROOT: u64 = START + 2 * WORD;

/// How many of these there are.
pub(crate) const ROOT_WORDS: u64 = 66;

const BLOCKS: u64 = ROOT + ROOT_WORDS * WORD;

/// The word at an address.
#[inline]
pub(crate) fn get(address: u64) -> Result<u64, Fault> {
    place(address).map(Place::get)
}

/// Writes it.
#[inline]
pub(crate) fn set(address: u64, value: u64) -> Result<(), Fault> {
    place(address).map(|place| place.set(value))
}

#[inline]
fn place(address: u64) -> Result<Place<u64>, Fault> {
    if !(START..START + BYTES).contains(&address) {
        return Err(Fault::Torn);
    }
    Place::new(address).map_err(|_| Fault::Torn)
}

/// Where the word with this number is that serves as a root.
pub(crate) fn root(number: u64) -> u64 {
    ROOT + number * WORD
}

/// How many words are free.
pub(crate) fn free_words() -> Result<u64, Fault> {
    get(FREE_WORDS)
}

/// How many free blocks there are.
pub(crate) fn free_blocks() -> Result<u64, Fault> {
    let (mut count, mut block) = (0, get(FREE)?);
    while block != 0 {
        (count, block) = (count + 1, get(block + WORD)?);
    }
    Ok(count)
}

/// Makes one free block of everything, and all roots 0.
pub(crate) fn format() -> Result<(), Fault> {
    (0..ROOT_WORDS).try_for_each(|number| set(root(number), 0))?;
    let words = (START + BYTES - BLOCKS) / WORD;
    set(BLOCKS, words)?;
    set(BLOCKS + WORD, 0)?;
    set(FREE_WORDS, words)?;
    set(FREE, BLOCKS)
}

/// A block with room for so many words; gives where they are. If there is none, nothing has changed.
pub(crate) fn allocate(words: u64) -> Result<u64, Fault> {
    // Even, so that whatever remains of a block has room for its length and a link.
    let wanted = (words + 1).next_multiple_of(2);
    let mut link = FREE;
    loop {
        let block = get(link)?;
        if block == 0 {
            return Err(Fault::Full);
        }
        let available = get(block)?;
        if available >= wanted {
            set(FREE_WORDS, get(FREE_WORDS)?.wrapping_sub(wanted))?;
            return take(link, block, available, wanted);
        }
        link = block + WORD;
    }
}

/// Takes the end of a free block, or all of it.
fn take(link: u64, block: u64, available: u64, wanted: u64) -> Result<u64, Fault> {
    if available == wanted {
        set(link, get(block + WORD)?)?;
        return Ok(block + WORD);
    }
    set(block, available - wanted)?;
    let taken = block + (available - wanted) * WORD;
    set(taken, wanted)?;
    Ok(taken + WORD)
}

/// Gives a block back.
pub(crate) fn free(words: u64) -> Result<(), Fault> {
    let block = words.wrapping_sub(WORD);
    let (mut link, length) = (FREE, get(block)?);
    set(FREE_WORDS, get(FREE_WORDS)?.wrapping_add(length))?;
    let mut next = get(link)?;
    while next != 0 && next < block {
        link = next + WORD;
        next = get(link)?;
    }
    set(block + WORD, next)?;
    set(link, block)?;
    grow(block)?;
    if link == FREE { Ok(()) } else { grow(link - WORD) }
}

/// Joins a free block with the next one, if that begins where it ends.
fn grow(block: u64) -> Result<(), Fault> {
    let (length, next) = (get(block)?, get(block + WORD)?);
    if next != block.wrapping_add(length.wrapping_mul(WORD)) {
        return Ok(());
    }
    set(block, length.wrapping_add(get(next)?))?;
    set(block + WORD, get(next + WORD)?)
}

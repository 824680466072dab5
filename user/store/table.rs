//! The store itself: a hash table whose entries are blocks of the segment's heap, linked by their addresses.
//!
//! Whoever calls is in a space that maps the segment, and has its lock by that: exclusively if it is to change anything.

use crate::heap;
use crate::request::{Answer, Fault, Request, Value};

/// How many lists there are.
const BUCKETS: u64 = 64;

/// The root that counts entries, behind those of the lists.
const COUNT: u64 = BUCKETS;

const _: () = assert!(COUNT < heap::ROOT_WORDS, "there is a root for each list and for the count");

// Where the parts of an entry are.
const NEXT: u64 = 0;
const KEY: u64 = 8;
const LENGTH: u64 = 16;
const VALUE: u64 = 24;

/// What a walk through all entries has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// How many entries there are.
    pub(crate) entries: u64,
    /// The sum of all keys and values.
    pub(crate) sum: u64,
    /// Words of the heap that nobody has.
    pub(crate) free_words: u64,
    /// Blocks in which these are.
    pub(crate) free_blocks: u64,
}

/// Does what is asked.
pub(crate) fn perform(request: &Request) -> Answer {
    match request {
        Request::Get { key } => value_of(get(find(*key)?)?),
        Request::Set { key, value } => store(*key, value),
        Request::Delete { key } => delete(*key),
    }
}

/// The entry to which a link leads.
fn get(link: u64) -> Result<u64, Fault> {
    match heap::get(link)? {
        0 => Err(Fault::NotFound),
        entry => Ok(entry),
    }
}

/// The link that leads to the entry with this key, or would.
fn find(key: u64) -> Result<u64, Fault> {
    if key == 0 {
        return Err(Fault::BadKey);
    }
    // Fibonacci hashing: the high bits of a product with 2^64 divided by the golden ratio.
    let mut link = heap::root(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
    loop {
        let entry = heap::get(link)?;
        if entry == 0 || heap::get(entry + KEY)? == key {
            return Ok(link);
        }
        link = entry + NEXT;
    }
}

fn value_of(entry: u64) -> Answer {
    let length = heap::get(entry + LENGTH)?;
    let mut words = [0; crate::request::VALUE_WORDS];
    let words = words.get_mut(..length as usize).ok_or(Fault::Torn)?;
    for (place, word) in (entry + VALUE..).step_by(8).zip(words.iter_mut()) {
        *word = heap::get(place)?;
    }
    Value::new(words)
}

fn write_value(entry: u64, value: &Value) -> Result<(), Fault> {
    heap::set(entry + LENGTH, value.words().len() as u64)?;
    (entry + VALUE..).step_by(8).zip(value.words()).try_for_each(|(place, word)| heap::set(place, *word))
}

fn store(key: u64, value: &Value) -> Answer {
    if value.words().is_empty() {
        return Err(Fault::BadLength);
    }
    let link = find(key)?;
    let old = heap::get(link)?;
    let before = if old == 0 { Value::default() } else { value_of(old)? };
    if before.words().len() == value.words().len() {
        write_value(old, value)?;
        return Ok(before);
    }
    // The new one first: if there is no room, nothing has changed.
    let entry = heap::allocate(3 + value.words().len() as u64)?;
    let next = if old == 0 { 0 } else { heap::get(old + NEXT)? };
    heap::set(entry + NEXT, next)?;
    heap::set(entry + KEY, key)?;
    write_value(entry, value)?;
    heap::set(link, entry)?;
    if old == 0 {
        heap::set(heap::root(COUNT), heap::get(heap::root(COUNT))?.wrapping_add(1))?;
    } else {
        heap::free(old)?;
    }
    Ok(before)
}

fn delete(key: u64) -> Answer {
    let link = find(key)?;
    let entry = get(link)?;
    let before = value_of(entry)?;
    heap::set(link, heap::get(entry + NEXT)?)?;
    heap::set(heap::root(COUNT), heap::get(heap::root(COUNT))?.wrapping_sub(1))?;
    heap::free(entry)?;
    Ok(before)
}

/// Walks through everything.
pub(crate) fn census() -> Result<Census, Fault> {
    let (mut entries, mut sum) = (0, 0_u64);
    for bucket in 0..BUCKETS {
        let mut entry = heap::get(heap::root(bucket))?;
        while entry != 0 {
            let value = value_of(entry)?;
            sum = value
                .words()
                .iter()
                .fold(sum.wrapping_add(heap::get(entry + KEY)?), |sum, word| sum.wrapping_add(*word));
            (entries, entry) = (entries + 1, heap::get(entry + NEXT)?);
        }
    }
    if entries != heap::get(heap::root(COUNT))? {
        return Err(Fault::Torn);
    }
    Ok(Census { entries, sum, free_words: heap::free_words()?, free_blocks: heap::free_blocks()? })
}

//! A program that takes all memory there is gets errors, not a panic, and can go on when it gives some back.
//! boot: memory=128 timeout=120 options=leakcheck=1

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use boot_tests::comes_back;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, program};

rt::main!(main);

fn main() -> Result<(), Error> {
    let bytes = comes_back("bytes of memory", take_all)?;
    if bytes < 64 << 20 { Err(Error::BadState) } else { Ok(()) }
}

/// Takes memory in smaller and smaller pieces until nothing is left, uses it, and gives it back; how much it was.
fn take_all() -> Result<u64, Error> {
    let mut segments = Vec::with_capacity(1000);
    let mut length_bytes = 32 << 20;
    while length_bytes >= PAGE_BYTES {
        match Segment::new(program().account(), length_bytes) {
            Ok(segment) => segments.push((segment, length_bytes)),
            Err(Error::AccountExhausted | Error::OutOfMemory) => length_bytes /= 2,
            Err(other) => return Err(other),
        }
    }
    let sum = segments.iter().map(|(_, bytes)| bytes).sum();
    refuses_everything(&segments[0].0)?;
    drop(segments);
    program().new_space()?.enter(|| ())?;
    Ok(sum)
}

/// With less left than the smallest segment costs, calls that need more are refused: a long mapping with its tables,
/// and spaces, of which two at most can still be made.
fn refuses_everything(segment: &Cap<Segment>) -> Result<(), Error> {
    let _last = [program().new_space(), program().new_space()];
    let results = [
        Segment::new(program().account(), 1 << 20).map(drop),
        program().new_space().map(drop),
        program().space().map(0x100_0000_0000, segment, 0..PAGE_BYTES, Rights::READ),
    ];
    let refused = |result: &Result<(), Error>| matches!(result, Err(Error::AccountExhausted | Error::OutOfMemory));
    if results.iter().all(refused) {
        return Ok(());
    }
    rt::println!("with no memory left: {results:?}");
    Err(Error::BadState)
}

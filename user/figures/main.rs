//! Counts the shootdown interrupts of an unmap, by where the other CPUs are.
//!
//! A thread on CPU 0 unmaps one page of a space, a hundred times. The other CPUs are in the space (*active*), have
//! been in it and left (*inactive*), or were never there (*absent*); or the space is local to CPU 0, or the page lies
//! in a core window of CPU 0. `./x.py figures figures` makes docs/figures.md out of the lines that this prints.

#![no_std]
#![no_main]

extern crate alloc;

mod counting;
mod others;

use counting::{Bench, Kind};
use libvas::thread::Builder;
use libvas::{Error, counters, program};
use others::Where;
use rt::println;

rt::main!(main);

fn main() -> Result<u8, Error> {
    program().thread().set_affinity(1)?;
    let tag_bits = program().machine().ok_or(Error::MissingRight)?.info()?.tag_bits;
    for (name, kind, place) in [
        ("active", Kind::Ordinary, Where::Inside),
        ("inactive", Kind::Ordinary, Where::Left),
        ("absent", Kind::Ordinary, Where::Never),
        ("local", Kind::Local, Where::Never),
        ("window", Kind::Window, Where::Inside),
    ] {
        for others in 0..counters::cpus()? {
            let bench = Bench::new(kind)?;
            // The counting thread must be the most urgent on CPU 0, and in nobody's way elsewhere.
            let figures = Builder::new().cpus(1).spawn(move || bench.count(others, place))?.join()??;
            println!(
                "figures row arrangement={name} others={others} unmaps={} sent={} marks={} pages={} tags={tag_bits}",
                figures.unmaps, figures.sent, figures.marks, figures.pages
            );
        }
    }
    Ok(0)
}

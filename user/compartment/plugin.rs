//! Plugins: functions that run inside the compartment.

use crate::compartment::Progress;
use libvas::Place;

/// What a plugin sees there: the page to work in, and the host's, which it may only read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Desk {
    pub(crate) own: Place<u64>,
    pub(crate) hosts: Place<u64>,
}

/// A plugin. It is given what it sees, and where it says how far it has come.
pub(crate) type Plugin = fn(Desk, &Progress) -> u64;

/// Squares the number that the host wrote.
pub(crate) fn square(desk: Desk, _: &Progress) -> u64 {
    let number = desk.hosts.get();
    desk.own.set(number * number);
    desk.own.get()
}

/// Counts, and lets others run, until it is told to end by being thrown out.
pub(crate) fn count(desk: Desk, progress: &Progress) -> u64 {
    loop {
        desk.own.set(desk.own.get() + 1);
        progress.step();
        libvas::thread::yield_now();
    }
}

/// Computes for ever and calls nobody: nothing but an interrupt takes the CPU from it.
pub(crate) fn loop_for_ever(desk: Desk, progress: &Progress) -> u64 {
    loop {
        desk.own.set(desk.own.get().wrapping_mul(3) + 1);
        progress.step();
    }
}

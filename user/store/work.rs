//! What the clients do: the same in every way, so that what they are told can be compared.

use crate::request::{Answer, Request, Value};
use alloc::collections::BTreeMap;

/// Keys that a client writes. Nobody else does.
pub(crate) const KEYS_EACH: u64 = 16;

/// What all clients do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Each keeps values under its keys, often others of another length.
    Set,
    /// Each reads values of all, and such that nobody has written.
    Get,
    /// Each deletes what it has written.
    Delete,
}

/// All of them, in their order.
pub(crate) const PHASES: [Phase; 3] = [Phase::Set, Phase::Get, Phase::Delete];

impl Phase {
    /// The phase with this number.
    pub(crate) fn from_number(number: u64) -> Phase {
        PHASES[number as usize % PHASES.len()]
    }

    /// How many requests a client makes.
    pub(crate) fn requests(self, each: u64) -> u64 {
        if self == Phase::Delete { KEYS_EACH } else { each }
    }
}

/// A key of a client.
fn key(client: u64, number: u64) -> u64 {
    1 + client * KEYS_EACH + number % KEYS_EACH
}

/// The finalizer of MurmurHash3: numbers that look random and are the same in every run.
fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ number >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ number >> 33
}

/// What a client asks at some step.
pub(crate) fn request(phase: Phase, clients: u64, client: u64, step: u64) -> Request {
    let dice = mixed((client + 1) << 32 | step);
    match phase {
        Phase::Set => {
            let words = [dice, step, client, !dice];
            let value = Value::new(&words[..1 + (dice >> 8) as usize % words.len()]).unwrap_or_default();
            Request::Set { key: key(client, dice), value }
        }
        // One client more than there are.
        Phase::Get => Request::Get { key: key((dice >> 8) % (clients + 1), dice) },
        Phase::Delete => Request::Delete { key: key(client, step) },
    }
}

/// What becomes of a sum of answers by one more.
pub(crate) fn add(sum: u64, answer: &Answer) -> u64 {
    let number = match answer {
        Ok(value) => value.words().iter().fold(value.words().len() as u64, |sum, word| sum.wrapping_add(*word)),
        Err(fault) => 1000 + *fault as u64,
    };
    sum.rotate_left(1).wrapping_add(number)
}

/// A store like ours, in a map of the library.
#[derive(Default)]
pub(crate) struct Model(BTreeMap<u64, Value>);

impl Model {
    /// What it answers.
    fn perform(&mut self, request: &Request) -> Answer {
        match request {
            Request::Get { key } => self.0.get(key).copied().ok_or(crate::request::Fault::NotFound),
            Request::Set { key, value } => Ok(self.0.insert(*key, *value).unwrap_or_default()),
            Request::Delete { key } => self.0.remove(key).ok_or(crate::request::Fault::NotFound),
        }
    }

    /// The sum of all answers of a phase. As nobody writes another's keys, it is the same in whatever order clients come.
    pub(crate) fn play(&mut self, phase: Phase, clients: u64, each: u64) -> u64 {
        (0..clients).fold(0, |total: u64, client| {
            let steps = 0..phase.requests(each);
            let sum = steps.fold(0, |sum, step| add(sum, &self.perform(&request(phase, clients, client, step))));
            total.wrapping_add(sum)
        })
    }

    /// How many entries it has, and the sum of all keys and values.
    pub(crate) fn entries_and_sum(&self) -> (u64, u64) {
        let words = self.0.iter().flat_map(|(key, value)| core::iter::once(key).chain(value.words()));
        (self.0.len() as u64, words.fold(0, |sum: u64, word| sum.wrapping_add(*word)))
    }
}

//! The three ways to the store, for whoever has the capabilities.

use crate::request::{Answer, Request, Words, answer_from_words, answer_to_words};
use crate::{mail, table};
use core::mem::ManuallyDrop;
use libvas::gate::Request as GateRequest;
use libvas::{Cap, Error, Gate, Handle, Space};

/// How a client gets at the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It goes there itself.
    Switch,
    /// Its thread is taken there, through a gate.
    Gate,
    /// It writes to a server thread.
    Mail,
}

/// All of them.
pub(crate) const WAYS: [Way; 3] = [Way::Switch, Way::Gate, Way::Mail];

impl Way {
    /// The way with this number.
    pub(crate) fn from_number(number: u64) -> Way {
        WAYS[number as usize % WAYS.len()]
    }
}

/// What a client has, as handles of its own table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    /// The space in which it is else.
    pub(crate) home: Handle,
    /// Where the store may be written.
    pub(crate) writers: Handle,
    /// Where it may be read.
    pub(crate) readers: Handle,
    /// The gate.
    pub(crate) gate: Handle,
    /// The number of its box.
    pub(crate) number: u64,
}

fn lent<T: libvas::Object>(handle: Handle) -> ManuallyDrop<Cap<T>> {
    ManuallyDrop::new(Cap::from_handle(handle))
}

impl Door {
    /// Asks.
    #[inline]
    pub(crate) fn ask(&self, way: Way, request: &Request) -> Result<Answer, Error> {
        match way {
            Way::Switch => self.go(request),
            _ => self.ask_in_words(way, &request.to_words()).map(|words| answer_from_words(&words)),
        }
    }

    /// Asks with words, whatever they are.
    pub(crate) fn ask_in_words(&self, way: Way, words: &Words) -> Result<Words, Error> {
        match way {
            Way::Switch => match Request::from_words(words) {
                Ok(request) => self.go(&request).map(answer_to_words),
                Err(fault) => Ok(answer_to_words(Err(fault))),
            },
            Way::Gate => {
                let (words, _) = lent::<Gate>(self.gate).request(GateRequest::new(*words).wait().trusting())?;
                Ok(words)
            }
            Way::Mail => mail::ask(self.number, words),
        }
    }

    /// Goes to the store and comes back. Home is named by a handle of the client's own: that by which its thread began is its
    /// creator's.
    fn go(&self, request: &Request) -> Result<Answer, Error> {
        lent::<Space>(if request.writes() { self.writers } else { self.readers }).switch()?;
        let answer = table::perform(request);
        lent::<Space>(self.home).switch()?;
        Ok(answer)
    }
}

//! Clients: spaces with the subtree attached, and threads that read there.

use crate::contents::{WORDS, word};
use crate::paging::{BEGIN, PAGES};
use libvas::thread::{Builder, JoinHandle};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Space, Subtree, TOP_SLOT_BYTES, program};

/// Where a client has the subtree.
const REGION: u64 = 61 * TOP_SLOT_BYTES;

/// Of each page, every so many words are looked at.
const STRIDE: usize = 37;

/// A client.
pub(crate) struct Client {
    space: Cap<Space>,
}

impl Client {
    /// Makes the space.
    pub(crate) fn new(region: &Cap<Subtree>) -> Result<Client, Error> {
        let space = program().new_space()?;
        space.set_name("client")?;
        space.attach(REGION, region, Rights::READ)?;
        Ok(Client { space })
    }

    fn spawn<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<JoinHandle<Result<T, Error>>, Error> {
        Builder::new().name("client").space(&self.space).spawn(body)
    }

    /// A thread that goes round all pages so many times; it gives how many words were wrong.
    pub(crate) fn goes_round(&self, step: u64, rounds: u64) -> Result<JoinHandle<Result<u64, Error>>, Error> {
        self.spawn(move || {
            let mut wrong = 0;
            for turn in 0..rounds * PAGES {
                wrong += wrong_words(turn * step % PAGES)?;
            }
            Ok(wrong)
        })
    }

    /// One that reads in a page, by its number.
    pub(crate) fn reads(&self, page: u64) -> Result<JoinHandle<Result<u64, Error>>, Error> {
        let place = place(page, 0)?;
        self.spawn(move || Ok(place.get()))
    }

    /// One that writes there.
    pub(crate) fn writes(&self, page: u64) -> Result<JoinHandle<Result<(), Error>>, Error> {
        let place = place(page, 0)?;
        self.spawn(move || {
            place.set(0);
            Ok(())
        })
    }
}

fn place(page: u64, index: u64) -> Result<Place<u64>, Error> {
    Place::new(REGION + BEGIN + page * PAGE_BYTES + 8 * index)
}

fn wrong_words(page: u64) -> Result<u64, Error> {
    let mut wrong = 0;
    for index in (0..WORDS).step_by(STRIDE) {
        wrong += u64::from(place(page, index)?.get() != word(page, index));
    }
    Ok(wrong)
}

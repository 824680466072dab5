//! Starting clients, and waiting for them.

use crate::client::CLIENT;
use crate::desk::{self, DESKS, Desk, Item};
use crate::door::Way;
use crate::premises::Premises;
use crate::work::Phase;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;
use demonstration::{Failure, check};
use executable::Executable;
use init::archive::Archive;
use init::loader::{Gifts, IMAGES, Loaded};
use libvas::{Error, Rights, clock, counters, program, raw, thread};

/// What a client may spend.
const BUDGET_BYTES: u64 = 2 << 20;

/// How long it may take until all are there.
const LIMIT: Duration = Duration::from_secs(60);

/// What the clients were told, and what it took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// The sum of all answers.
    pub(crate) sum: u64,
    /// Nanoseconds of each request; instructions if one takes a nanosecond.
    pub(crate) each: u64,
}

/// A turn of clients: how they ask, for what, how many they are, and how many requests each makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) way: Way,
    pub(crate) phase: Phase,
    pub(crate) clients: u64,
    pub(crate) each: u64,
}

/// What clients are made from.
pub(crate) struct Crowd<'a> {
    image: Executable<'a>,
}

impl<'a> Crowd<'a> {
    /// Takes this program out of the boot archive.
    pub(crate) fn new(archive: &'a Archive) -> Result<Crowd<'a>, Failure> {
        let file = archive.find("store").ok_or(Failure::NotAsTold("this program is in the boot archive"))?;
        let image =
            Executable::parse(file, raw::ELF_MACHINE, &IMAGES).map_err(|_| Failure::NotAsTold("it is a program"))?;
        Ok(Crowd { image })
    }

    /// Lets the clients of a turn do their work, and waits for them.
    pub(crate) fn visit(&self, premises: &Premises, turn: Turn) -> Result<Outcome, Failure> {
        desk::set_may_begin(false)?;
        let clients =
            (0..turn.clients).map(|number| self.hire(premises, turn, number)).collect::<Result<Vec<_>, _>>()?;
        let deadline = clock::now() + LIMIT;
        for number in 0..turn.clients {
            while Desk::of(number).read(Item::IsReady)? == 0 {
                check(clock::now() < deadline, "all clients come")?;
                thread::yield_now();
            }
        }
        let began = clock::now();
        desk::set_may_begin(true)?;
        let (mut sum, mut ended) = (0_u64, 0);
        for (number, client) in (0..).zip(&clients) {
            check(client.thread().join()? == 0, "a client has nothing to complain of")?;
            sum = sum.wrapping_add(Desk::of(number).read(Item::Sum)?);
            ended = Desk::of(number).read(Item::Ended)?.max(ended);
        }
        let took = ended.saturating_sub(began.as_nanos() as u64);
        Ok(Outcome { sum, each: took / (turn.clients * turn.phase.requests(turn.each)) })
    }

    /// Makes a client, gives it the ways to the store and a desk, and lets it begin.
    fn hire(&self, premises: &Premises, turn: Turn, number: u64) -> Result<Loaded, Error> {
        let arguments = format!("{CLIENT} {number}");
        let gifts = Gifts {
            name: CLIENT,
            arguments: &arguments,
            machine: program().machine().ok_or(Error::MissingRight)?,
            machine_rights: Rights::empty(),
            archive: None,
            names: None,
            budget_bytes: Some(BUDGET_BYTES),
        };
        let client = Loaded::new(&self.image, &gifts)?;
        premises.furnish(client.space())?;
        let (desk, table) = (Desk::of(number), client.table());
        let segment = premises.memory.copy_into(table, Rights::READ_WRITE, 0)?;
        let foreign = premises.writers.copy_into(table, Rights::SWITCH, 0)?;
        let gate = premises.gate.copy_into(table, Rights::CALL, number + 1)?;
        for (item, word) in [
            (Item::Segment, segment.bits()),
            (Item::Foreign, foreign.bits()),
            (Item::Gate, gate.bits()),
            (Item::Way, turn.way as u64),
            (Item::Phase, turn.phase as u64),
            (Item::Clients, turn.clients),
            (Item::Requests, turn.each),
            (Item::IsReady, 0),
            (Item::Sum, 0),
            (Item::Ended, 0),
        ] {
            desk.write(item, word)?;
        }
        client.thread().set_affinity(1 << (number % counters::cpus()?))?;
        client.start()?;
        Ok(client)
    }
}

const _: () = assert!(DESKS < crate::mail::BOXES, "each client has a box, and the program has one");

//! The name service: started if it is wanted, started anew when it has ended, and a client of it for the program that runs.

use crate::archive::Archive;
use crate::loader::{Gifts, IMAGES, Loaded};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use executable::Executable;
use libvas::gate::{Along, Answer, Called, Serve, Stacks};
use libvas::names::Ways;
use libvas::sync::Mutex;
use libvas::{Cap, Error, Gate, Handle, Names, PAGE_BYTES, Rights, TOP_SLOT_BYTES, program, raw};

/// What it may spend. It takes all that it needs when it starts.
const BUDGET_BYTES: u64 = 4 << 20;

/// Where the stack of the gate is by which the service tells where its own is.
const DOOR: u64 = 60 * TOP_SLOT_BYTES;
const DOOR_BYTES: u64 = 4 * PAGE_BYTES;

/// Where the stacks are on which a client's thread starts the service anew.
const BELL: u64 = 61 * TOP_SLOT_BYTES;
const BELL_BYTES: u64 = 16 * PAGE_BYTES;
const BELL_STACKS: u64 = 2;

/// The rights that a client has to its gate.
const CLIENT: Rights = Rights::CALL.union(Rights::GRANT);

/// The service as it runs, or as it ended; a program starts one at a time.
static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

struct Running {
    /// This program is its first client.
    names: Names,
    loaded: Loaded,
    /// The other one: its number, and its gate.
    client: Option<(u64, Cap<Gate>)>,
}

/// The way to the service for whoever starts it.
#[derive(Debug)]
pub struct NameService {
    bell: Cap<Gate>,
}

impl NameService {
    /// Starts it: the program `names` of the boot archive.
    ///
    /// # Errors
    /// `NotFound` if that is not there, or no program; `BadState` if this program has started one; and those of starting it.
    pub fn start() -> Result<NameService, Error> {
        if RUNNING.lock(|running| running.is_some()) {
            return Err(Error::BadState);
        }
        let stacks = Stacks::new_in(program().space(), BELL, BELL_BYTES, BELL_STACKS)?;
        // SAFETY: the stacks were just mapped, and nobody else knows of them; the space has the program.
        let bell = unsafe { Gate::serving::<Bell>(program().space(), stacks) }?;
        let service = NameService { bell };
        // What a thread's first call takes it keeps: that is not the first program's to leave behind.
        service.admit().map(drop)?;
        Ok(service)
    }

    /// Lets a program in, as long as what this gives is there, one at a time. A service that has ended is started anew.
    ///
    /// # Errors
    /// Those of [`Names::admit`], and of starting it.
    pub fn admit(&self) -> Result<Admission<'_>, Error> {
        let gate = RUNNING.lock(|running| client_of(running)?.derive(CLIENT, 0))?;
        Ok(Admission { service: self, gate })
    }

    /// Ends the service, and says nothing: whoever comes next finds it gone, and has it started anew.
    ///
    /// # Errors
    /// `BadState` if there is none.
    pub fn kill(&self) -> Result<(), Error> {
        RUNNING.lock(|running| running.as_ref().ok_or(Error::BadState)?.loaded.table().stop_threads()).map(|_| ())
    }
}

impl Drop for NameService {
    fn drop(&mut self) {
        // Nobody comes in any more; if it is closed already there is nothing to do.
        let _ = self.bell.close_now();
        let _ = program().space().unmap(BELL..BELL + BELL_BYTES * BELL_STACKS);
        drop(RUNNING.lock(Option::take));
    }
}

/// A program's way in.
#[derive(Debug)]
pub struct Admission<'a> {
    service: &'a NameService,
    gate: Cap<Gate>,
}

impl Admission<'_> {
    /// What the program is to be given.
    pub fn ways(&self) -> Ways<'_> {
        Ways { gate: &self.gate, again: Some(&self.service.bell) }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        RUNNING.lock(|running| {
            if let Some(running) = running
                && let Some((number, _)) = running.client.take()
            {
                // If the service is gone, so is the way in.
                let _ = running.names.dismiss(number);
            }
        });
    }
}

impl Running {
    fn start() -> Result<Running, Error> {
        let archive = Archive::open()?;
        let file = archive.find("names").ok_or(Error::NotFound)?;
        let image = Executable::parse(file, raw::ELF_MACHINE, &IMAGES).map_err(|_| Error::NotFound)?;
        let door = Door::open()?;
        let gifts = Gifts {
            name: "names",
            arguments: "",
            machine: program().machine().ok_or(Error::MissingRight)?,
            machine_rights: Rights::empty(),
            archive: None,
            names: Some(Ways { gate: &door.gate, again: None }),
            budget_bytes: Some(BUDGET_BYTES),
        };
        let loaded = Loaded::new(&image, &gifts)?;
        loaded.run()?;
        Ok(Running { names: door.close()?, loaded, client: None })
    }

    /// Whether it answers.
    fn is_there(&self) -> bool {
        self.names.list().next().transpose().is_ok()
    }
}

/// The gate of the client, with a service that is there.
fn client_of(running: &mut Option<Running>) -> Result<&Cap<Gate>, Error> {
    if !running.as_ref().is_some_and(Running::is_there) {
        // What the old one has goes before the new one takes as much.
        *running = None;
        *running = Some(Running::start()?);
    }
    let running = running.as_mut().ok_or(Error::Gone)?;
    if running.client.is_none() {
        running.client = Some(running.names.admit()?);
    }
    running.client.as_ref().map(|(_, gate)| gate).ok_or(Error::Gone)
}

/// The gate that clients call who have found the service gone.
struct Bell;

impl Serve for Bell {
    fn serve(_: Called) -> Answer {
        let given = RUNNING.lock(|running| client_of(running).map(|gate| Along::derived(gate, CLIENT)));
        match given {
            Ok(given) => Answer { words: [0; 6], given: Some(given) },
            Err(error) => Answer { words: [error.status(), 0, 0, 0, 0, 0], given: None },
        }
    }
}

/// The gate that the service calls when it has started, with a capability to its own.
struct Door {
    gate: Cap<Gate>,
}

/// What came along with the last call of the door.
static BROUGHT: AtomicU64 = AtomicU64::new(0);

impl Serve for Door {
    fn serve(called: Called) -> Answer {
        BROUGHT.store(called.given.bits(), Relaxed);
        Answer::default()
    }
}

impl Door {
    fn open() -> Result<Door, Error> {
        BROUGHT.store(0, Relaxed);
        let stacks = Stacks::new_in(program().space(), DOOR, DOOR_BYTES, 1)?;
        // SAFETY: the stack was just mapped, and nobody else knows of it; the space has the program.
        unsafe { Gate::serving::<Door>(program().space(), stacks) }.map(|gate| Door { gate })
    }

    /// Gives what was brought.
    fn close(self) -> Result<Names, Error> {
        drop(self);
        match Handle::from_bits(BROUGHT.swap(0, Relaxed)) {
            Handle::NONE => Err(Error::Gone),
            gate => Ok(Names::new(Cap::from_handle(gate))),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // If it is closed already there is nothing to do.
        let _ = self.gate.close_now();
        let _ = program().space().unmap(DOOR..DOOR + DOOR_BYTES);
    }
}

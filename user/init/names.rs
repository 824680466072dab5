//! The name service: started if it is wanted, and a client of it for each program.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use executable::Executable;
use init::loader::{Gifts, Loaded};
use libvas::gate::{Answer, Called, Serve, Stacks};
use libvas::{Cap, Error, Gate, Handle, Machine, Names, PAGE_BYTES, Rights, TOP_SLOT_BYTES, program};

/// What it may spend. It takes all that it needs when it starts.
const BUDGET_BYTES: u64 = 4 << 20;

/// Where the stack of the gate is by which the service tells where its own is.
const DOOR: u64 = 60 * TOP_SLOT_BYTES;
const DOOR_BYTES: u64 = 4 * PAGE_BYTES;

/// The service, and its first client: this program.
pub(crate) struct NameService {
    names: Names,
    _loaded: Loaded,
}

impl NameService {
    /// Starts it.
    pub(crate) fn start(image: &Executable<'_>, machine: &Cap<Machine>) -> Result<NameService, Error> {
        let door = Door::open()?;
        let gifts = Gifts {
            name: "names",
            arguments: "",
            machine,
            machine_rights: Rights::empty(),
            archive: None,
            names: Some(&door.gate),
            budget_bytes: Some(BUDGET_BYTES),
        };
        let loaded = Loaded::new(image, &gifts)?;
        loaded.run()?;
        let service = NameService { names: door.close()?, _loaded: loaded };
        // What a thread's first call takes it keeps: that is not the first program's to leave behind.
        service.admit().map(drop)?;
        Ok(service)
    }

    /// Lets a program in, as long as what this gives is there.
    pub(crate) fn admit(&self) -> Result<Admission<'_>, Error> {
        self.names.admit().map(|(client, gate)| Admission { names: &self.names, client, gate })
    }
}

/// A program's way in.
pub(crate) struct Admission<'a> {
    names: &'a Names,
    client: u64,
    gate: Cap<Gate>,
}

impl Admission<'_> {
    /// Its gate.
    pub(crate) fn gate(&self) -> &Cap<Gate> {
        &self.gate
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        // If the service is gone, so is the way in.
        let _ = self.names.dismiss(self.client);
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
        self.gate.close_now()?;
        program().space().unmap(DOOR..DOOR + DOOR_BYTES)?;
        match Handle::from_bits(BROUGHT.load(Relaxed)) {
            Handle::NONE => Err(Error::Gone),
            gate => Ok(Names::new(Cap::from_handle(gate))),
        }
    }
}

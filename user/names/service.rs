//! The service as others see it: a space with a stack for each client, and a gate for each that leads there.

use crate::answers::State;
use libvas::gate::{Answer, Called, Serve, Stacks};
use libvas::names::CLIENTS;
use libvas::sync::Mutex;
use libvas::{Cap, Error, Gate, PAGE_BYTES, Rights, Segment, Space, TOP_SLOT_BYTES, program};

/// Where the stacks are.
const STACKS: u64 = 60 * TOP_SLOT_BYTES;
/// Bytes of each: there is one for each client, in the order of their numbers.
const STACK_BYTES: u64 = 4 * PAGE_BYTES;

/// What this program's service knows.
static STATE: Mutex<State> = Mutex::new(State::new());

/// The service; a program has one at a time. When it is dropped its gates are closed, and all names are forgotten.
#[derive(Debug)]
pub struct Service {
    names: libvas::Names,
}

impl Service {
    /// Starts it: nobody has registered anything, and there is one client, number 0. It is paid by the program's account.
    ///
    /// # Errors
    /// `BadState` if there is one already; those of making its space, stacks and gate.
    pub fn start() -> Result<Service, Error> {
        let space = program().new_space()?;
        space.set_name("names")?;
        // All of it at once, so that nobody's call can fail for want of memory.
        let length_bytes = CLIENTS as u64 * STACK_BYTES;
        let memory = Segment::new(program().account(), length_bytes)?;
        space.map(STACKS, &memory, 0..length_bytes, Rights::READ_WRITE)?;
        let own = gate_for(&space, 0)?;
        let gate = own.derive(own.rights()?, 0)?;
        STATE.lock(|state| {
            if state.space.is_some() {
                return Err(Error::BadState);
            }
            state.space = Some(space);
            state.clients.admit(0, own);
            Ok(Service { names: libvas::Names::new(gate) })
        })
    }

    /// The service, as client 0 uses it.
    pub fn names(&self) -> &libvas::Names {
        &self.names
    }

    /// The gate of client 0.
    pub fn gate(&self) -> &Cap<Gate> {
        self.names.gate()
    }

    /// A way in for one more client, and its number.
    ///
    /// # Errors
    /// As [`libvas::Names::admit`].
    pub fn admit(&self) -> Result<(u64, Cap<Gate>), Error> {
        self.names.admit()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        STATE.lock(|state| state.clients.dismiss_all());
        // Nobody comes in any more. One by one, since what goes with a name may be much.
        while let Some(entry) = STATE.lock(|state| {
            let key = state.directory.from(0).map(|(_, entry)| entry.key)?;
            state.directory.remove(&key).ok()
        }) {
            drop(Cap::<Segment>::from_handle(entry.handle));
        }
        drop(STATE.lock(|state| state.space.take()));
    }
}

/// What the gates lead to.
struct Names;

impl Serve for Names {
    fn serve(called: Called) -> Answer {
        let here = 0_u8;
        let client = client_at((&raw const here).addr() as u64);
        let (answer, given_up) = STATE.lock(|state| (state.answer(client, &called), state.given_up.take()));
        if let Some(handle) = given_up {
            drop(Cap::<Segment>::from_handle(handle));
        }
        answer.unwrap_or_else(|error| Answer { words: [error.status(), 0, 0, 0, 0, 0], given: None })
    }
}

/// Whose stack an address lies in.
fn client_at(address: u64) -> usize {
    (address.wrapping_sub(STACKS) / STACK_BYTES) as usize % CLIENTS
}

/// Makes a client's gate into a space that has the stacks.
pub(crate) fn gate_for(space: &Cap<Space>, client: usize) -> Result<Cap<Gate>, Error> {
    let stacks = Stacks { start: STACKS + client as u64 * STACK_BYTES, stack_bytes: STACK_BYTES, count: 1 };
    // SAFETY: the space has the program, and the stack, which is this client's: a number is given to one client at a time, and not
    // before the gate of the one who had it is closed and nobody is inside.
    unsafe { Gate::serving::<Names>(space, stacks) }
}

#[cfg(test)]
mod tests {
    use super::{CLIENTS, STACK_BYTES, STACKS, client_at};

    #[test]
    fn stacks_tell_clients() {
        let ends = [STACKS, STACKS + STACK_BYTES - 1, STACKS + STACK_BYTES, STACKS + CLIENTS as u64 * STACK_BYTES - 1];
        assert_eq!(ends.map(client_at), [0, 0, 1, CLIENTS - 1]);
    }
}

//! The service behind a gate, in a space of its own.

use crate::answer_to;
use libvas::gate::{ServeShort, Stacks};
use libvas::{Cap, Error, Gate, PAGE_BYTES, Space, TOP_SLOT_BYTES, program};

/// Where its stack is.
const STACKS: u64 = 60 * TOP_SLOT_BYTES;
const STACK_BYTES: u64 = 4 * PAGE_BYTES;

/// What is behind the gate.
struct Service;

impl ServeShort for Service {
    fn serve(_badge: u64, [number, _]: [u64; 2]) -> [u64; 2] {
        [answer_to(number), 0]
    }
}

/// The way in.
pub(crate) struct Gated {
    gate: Cap<Gate>,
    // The gate does not keep it.
    _space: Cap<Space>,
}

impl Gated {
    pub(crate) fn new() -> Result<Gated, Error> {
        let space = program().new_space()?;
        let stacks = Stacks::new_in(&space, STACKS, STACK_BYTES, 1)?;
        // SAFETY: the space has the program, and nobody else knows of the stacks; registers show nothing but numbers.
        let gate = unsafe { Gate::serving_short::<Service>(&space, stacks) }?;
        Ok(Gated { gate, _space: space })
    }

    /// One request.
    pub(crate) fn ask(&self, number: u64) -> Result<u64, Error> {
        self.gate.call_short([number, 0]).map(|[answer, _]| answer)
    }
}

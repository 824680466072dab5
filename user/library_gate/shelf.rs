//! The library: a space with nothing of the program in it, and a gate into it.

use crate::code;
use libvas::gate::Stacks;
use libvas::{Cap, CapTable, Error, Gate, PAGE_BYTES, Rights, Segment, Space, TOP_SLOT_BYTES, program};

/// Where in its space the code is.
pub(crate) const CODE: u64 = 60 * TOP_SLOT_BYTES;

/// Where the data is.
pub(crate) const DATA: u64 = CODE + code::DATA_BEHIND_CODE_BYTES;

/// Where the stacks are, one for each caller that may be inside at the same time.
const STACKS: u64 = CODE + 16 * PAGE_BYTES;
const STACKS_COUNT: u64 = 4;

/// What its owner has of it.
pub(crate) struct Library {
    gate: Cap<Gate>,
    data: Cap<Segment>,
    // The gate keeps neither.
    space: Cap<Space>,
    _table: Cap<CapTable>,
}

impl Library {
    /// Makes it: three pages or so, a table without anything, and the gate.
    pub(crate) fn new() -> Result<Library, Error> {
        let account = program().account();
        let (space, table) = (Space::new(account)?, CapTable::new(account, 1)?);
        space.set_name("library")?;
        table.set_name("library")?;
        let (code, data) = (Segment::new(account, PAGE_BYTES)?, Segment::new(account, PAGE_BYTES)?);
        code.write(0, code::code())?;
        space.map(CODE, &code, 0..PAGE_BYTES, Rights::READ_EXECUTE)?;
        space.map(DATA, &data, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        let stacks = Stacks::new_in(&space, STACKS, PAGE_BYTES, STACKS_COUNT)?;
        // SAFETY: the code is made to run there on any stack, and leaves by `gate_return`; nobody else uses the stacks.
        let gate = unsafe { Gate::new_at(account, &space, &table, CODE, stacks) }?;
        gate.set_name("library")?;
        Ok(Library { gate, data, space, _table: table })
    }

    /// The way in.
    pub(crate) fn gate(&self) -> &Cap<Gate> {
        &self.gate
    }

    /// Its space, for who may look at it.
    pub(crate) fn space(&self) -> &Cap<Space> {
        &self.space
    }

    /// Sets the rate, as only the owner can, who has the memory.
    pub(crate) fn set_rate(&self, rate: u64) -> Result<(), Error> {
        self.data.write(0, &rate.to_le_bytes())
    }

    /// How often somebody has called, as the library has written it down.
    pub(crate) fn calls_of(&self, badge: u64) -> Result<u64, Error> {
        let mut word = [0; 8];
        self.data.read(8 * (badge % code::BADGES as u64 + 1), &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

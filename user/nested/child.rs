//! A guest: an account, a space with a program in it, registers, and what it may name.

use crate::held::Held;
use alloc::vec::Vec;
use executable::{Executable, Part};
use libvas::guest::{End, GuestContext};
use libvas::layout::program::{INFO, INFO_BYTES, STACK_BYTES, STACK_STRIDE, STACKS};
use libvas::layout::{PROGRAM_INFO_VERSION, ProgramInfo, Words};
use libvas::raw::GUEST_CALL;
use libvas::{Account, Cap, Error, Rights, Segment, Space, Subtree, program};

/// A guest that can be run. When it goes, all that it made goes too.
#[derive(Debug)]
pub(crate) struct Child {
    // In this order, so that what the account paid for is gone before it is.
    pub(crate) held: Held,
    context: GuestContext,
    pub(crate) space: Cap<Space>,
    subtree: Cap<Subtree>,
    account: Cap<Account>,
}

impl Child {
    /// Makes one that will run a program of the archive, with so much to spend.
    pub(crate) fn new(image: &Executable<'_>, arguments: &str, budget_bytes: u64) -> Result<Child, Error> {
        let account = program().account().split(budget_bytes)?;
        let (space, subtree) = (Space::new(&account)?, Subtree::new(&account)?);
        space.attach_window(0, &subtree, Rights::ACCESS)?;
        let mut child = Child { held: Held::default(), context: GuestContext::new(&account)?, space, subtree, account };
        image.parts.iter().try_for_each(|part| child.add_part(part))?;
        let stack = Segment::new_lazy(&child.account, STACK_BYTES)?;
        child.subtree.map(STACKS + STACK_STRIDE - STACK_BYTES, &stack, 0..STACK_BYTES, Rights::READ_WRITE)?;
        child.add_info(image, arguments)?;
        child.context.set_instruction_pointer(image.entry);
        child.context.set_stack_pointer(STACKS + STACK_STRIDE);
        child.context.set_arguments([INFO, 0]);
        Ok(child)
    }

    fn add_part(&self, part: &Part<'_>) -> Result<(), Error> {
        let memory = Segment::new(&self.account, part.length_bytes)?;
        memory.write(part.skip_bytes, part.bytes)?;
        self.subtree.map(part.address, &memory, 0..part.length_bytes, part.rights)
    }

    /// Writes down what the program finds when it starts: a table and threads are not among it.
    fn add_info(&mut self, image: &Executable<'_>, arguments: &str) -> Result<(), Error> {
        let (archive, archive_bytes) = program().archive().ok_or(Error::MissingRight)?;
        let (image_start, image_end) = image.bounds();
        let info = ProgramInfo {
            version: PROGRAM_INFO_VERSION,
            account: self.held.keep(self.account.derive(self.account.rights()?, 0)?)?,
            space: self.held.keep(self.space.derive(self.space.rights()?, 0)?)?,
            program: self.held.keep(self.subtree.derive(self.subtree.rights()?, 0)?)?,
            archive: self.held.keep(archive.derive(Rights::READ, 0)?)?,
            archive_bytes,
            arguments: INFO + ProgramInfo::BYTES as u64,
            arguments_bytes: arguments.len() as u64,
            image_start,
            image_end,
            ..ProgramInfo::default()
        };
        let mut words = [0; ProgramInfo::COUNT];
        info.write(&mut words);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(arguments.as_bytes());
        let memory = Segment::new(&self.account, INFO_BYTES)?;
        memory.write(0, &bytes)?;
        self.subtree.map(INFO, &memory, 0..INFO_BYTES, Rights::READ)
    }

    /// Runs it until it comes out, or until a time since boot, nanoseconds.
    pub(crate) fn run_until(&self, deadline_ns: u64) -> Result<End, Error> {
        // SAFETY: the space has the child's copy of the program and what the child had mapped, nothing of this program.
        unsafe { self.context.run_until(&self.space, deadline_ns) }
    }

    /// The arguments of the call that it made.
    pub(crate) fn call_arguments(&self) -> [u64; 6] {
        self.context.call_arguments()
    }

    /// What the call gives it, in the registers in which this kernel does.
    pub(crate) fn answer(&self, result: Result<u64, Error>) {
        let (status, value) = result.map_or_else(|error| (error.status(), 0), |value| (0, value));
        self.context.set_call_result(status);
        self.context.set_general(GUEST_CALL.value, value);
    }
}

//! Making a program out of an image: account, table, subtree, space, memory, first thread.

use alloc::vec::Vec;
use executable::{Executable, Part, Room};
use libvas::layout::program::{IMAGE, INFO, INFO_BYTES, STACK_BYTES, STACK_STRIDE, STACKS};
use libvas::layout::{PROGRAM_INFO_VERSION, ProgramInfo, Words};
use libvas::names::Ways;
use libvas::program::{AGAIN_WORD, NAMES_WORD};
use libvas::{
    Account, Cap, CapTable, Error, Machine, NAME_BYTES, Object, Rights, Segment, Space, Subtree, Thread, program,
};

/// Where programs may lie: they are linked to where they are.
pub const IMAGES: Room = Room { range: IMAGE..INFO, anywhere: None };

/// Room in a program's capability table.
const TABLE_SLOTS: u64 = 4096;

/// A program gets this part of what is left of the budget: all but an eighth, which pays for what its starter does.
const SHARE: (u64, u64) = (7, 8);

/// A program that can be started. Dropping it takes it down: its threads are stopped, then the objects are given up in
/// the order of the fields.
#[derive(Debug)]
pub struct Loaded {
    thread: Cap<Thread>,
    table: Cap<CapTable>,
    space: Cap<Space>,
    subtree: Cap<Subtree>,
    account: Cap<Account>,
    entry: u64,
}

/// What a program is to be given besides its image.
#[derive(Clone, Copy, Debug)]
pub struct Gifts<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// Its arguments.
    pub arguments: &'a str,
    /// The machine, which whoever starts it must be able to hand on.
    pub machine: &'a Cap<Machine>,
    /// What it may do with it.
    pub machine_rights: Rights,
    /// The boot archive and its length in bytes, for a program that may read it.
    pub archive: Option<(&'a Cap<Segment>, u64)>,
    /// Its ways to the name service, if it has any.
    pub names: Option<Ways<'a>>,
    /// What it may spend; if nothing is said, all that its starter can but an eighth.
    pub budget_bytes: Option<u64>,
}

impl Loaded {
    /// Makes the program; nothing of it remains if a step fails.
    ///
    /// # Errors
    /// Those of making its parts; `BadArgument` for arguments that do not fit into its page.
    pub fn new(image: &Executable<'_>, gifts: &Gifts<'_>) -> Result<Loaded, Error> {
        let share_bytes = program().account().available_bytes()? / SHARE.1 * SHARE.0;
        let account = program().account().split(gifts.budget_bytes.unwrap_or(share_bytes))?;
        let table = CapTable::new(&account, TABLE_SLOTS)?;
        let subtree = Subtree::new(&account)?;
        let space = Space::new(&account)?;
        space.attach_window(0, &subtree, Rights::ACCESS)?;
        let thread = new_thread(&account, &table, &space)?;
        let loaded = Loaded { thread, table, space, subtree, account, entry: image.entry };
        image.parts.iter().try_for_each(|part| loaded.add_part(part))?;
        loaded.add_stack()?;
        loaded.add_info(image, gifts)?;
        loaded.set_names(gifts.name)?;
        Ok(loaded)
    }

    /// Its first thread.
    pub fn thread(&self) -> &Cap<Thread> {
        &self.thread
    }

    /// Its capability table.
    pub fn table(&self) -> &Cap<CapTable> {
        &self.table
    }

    /// The space that it starts in.
    pub fn space(&self) -> &Cap<Space> {
        &self.space
    }

    /// Starts the program.
    ///
    /// # Errors
    /// `BadState` if it was started before.
    pub fn start(&self) -> Result<(), Error> {
        let stack_pointer = STACKS + STACK_STRIDE;
        // SAFETY: the thread runs in a space that holds none of this program.
        unsafe { self.thread.start(self.entry, stack_pointer, INFO) }
    }

    /// Starts the program and waits for its first thread to end; returns its exit code.
    ///
    /// # Errors
    /// `Faulted` or `Gone` if that thread ended otherwise.
    pub fn run(&self) -> Result<u64, Error> {
        self.start()?;
        self.thread.join()
    }

    /// Maps a whole segment, never to allow more than `rights`.
    fn add(&self, address: u64, memory: &Cap<Segment>, length_bytes: u64, rights: Rights) -> Result<(), Error> {
        self.subtree.map(address, &memory.derive(rights, 0)?, 0..length_bytes, rights)
    }

    fn add_part(&self, part: &Part<'_>) -> Result<(), Error> {
        let memory = Segment::new(&self.account, part.length_bytes)?;
        memory.write(part.skip_bytes, part.bytes)?;
        self.add(part.address, &memory, part.length_bytes, part.rights)
    }

    fn add_stack(&self) -> Result<(), Error> {
        let memory = Segment::new_lazy(&self.account, STACK_BYTES)?;
        self.add(STACKS + STACK_STRIDE - STACK_BYTES, &memory, STACK_BYTES, Rights::READ_WRITE)
    }

    fn add_info(&self, image: &Executable<'_>, gifts: &Gifts<'_>) -> Result<(), Error> {
        let info = self.give(image, gifts)?;
        let mut words = [0; ProgramInfo::COUNT];
        info.write(&mut words);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(gifts.arguments.as_bytes());
        if bytes.len() as u64 > AGAIN_WORD {
            return Err(Error::BadArgument);
        }
        let memory = Segment::new(&self.account, INFO_BYTES)?;
        memory.write(0, &bytes)?;
        if let Some(Ways { gate, again }) = gifts.names {
            for (at, gate) in [(NAMES_WORD, Some(gate)), (AGAIN_WORD, again)] {
                let Some(gate) = gate else { continue };
                let copy = gate.copy_into(&self.table, Rights::CALL | Rights::GRANT, 0)?;
                memory.write(at, &copy.bits().to_le_bytes())?;
            }
        }
        self.add(INFO, &memory, INFO_BYTES, Rights::READ)
    }

    /// Copies the program's own capabilities into its table.
    fn give(&self, image: &Executable<'_>, gifts: &Gifts<'_>) -> Result<ProgramInfo, Error> {
        let (image_start, image_end) = image.bounds();
        let (archive, archive_bytes) = match gifts.archive {
            Some((archive, bytes)) => (archive.copy_into(&self.table, Rights::READ, 0)?.bits(), bytes),
            None => (0, 0),
        };
        Ok(ProgramInfo {
            version: PROGRAM_INFO_VERSION,
            account: self.hand_over(&self.account)?,
            space: self.hand_over(&self.space)?,
            program: self.hand_over(&self.subtree)?,
            table: self.hand_over(&self.table)?,
            thread: self.hand_over(&self.thread)?,
            machine: gifts.machine.copy_into(&self.table, gifts.machine_rights, 0)?.bits(),
            archive,
            archive_bytes,
            arguments: INFO + ProgramInfo::BYTES as u64,
            arguments_bytes: gifts.arguments.len() as u64,
            image_start,
            image_end,
        })
    }

    /// Copies a capability with all its rights; returns the handle in the program's table.
    fn hand_over<T: Object>(&self, capability: &Cap<T>) -> Result<u64, Error> {
        Ok(capability.copy_into(&self.table, capability.rights()?, 0)?.bits())
    }

    fn set_names(&self, name: &str) -> Result<(), Error> {
        self.table.set_name(&name[..name.floor_char_boundary(NAME_BYTES)])?;
        self.space.set_name("home")?;
        self.thread.set_name("main")
    }
}

/// A thread of this program's priority, or of the calling thread's if that is lower: none makes one that is above itself, and who is
/// in a gate is another program's.
fn new_thread(account: &Cap<Account>, table: &Cap<CapTable>, space: &Cap<Space>) -> Result<Cap<Thread>, Error> {
    let mut priority = program().thread().info()?.priority;
    loop {
        match Thread::new(account, table, space, priority) {
            Err(Error::BadArgument) if priority > 0 => priority -= 1,
            made => return made,
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // The first thread may have left others behind, or may never have been started. When the last thread that
        // uses a table has ended, the kernel empties the table, so that capabilities to itself do not keep it. This
        // program holds all rights to the table, so nothing is refused.
        let _ = self.table.stop_threads();
    }
}

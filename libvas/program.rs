//! What the running program was given: account, space, program subtree, table, first thread, arguments.

use crate::{Account, Cap, CapTable, Machine, Names, Segment, Space, Subtree, Thread};
use spin::Once;
use tessera_abi::layout::{PROGRAM_INFO_VERSION, ProgramInfo, program::INFO_BYTES};
use tessera_abi::{Error, Handle, Rights};

static PROGRAM: Once<Program> = Once::new();

/// The running program's own objects. They stay for as long as it runs.
#[derive(Debug)]
pub struct Program {
    info: ProgramInfo,
    arguments: &'static str,
    account: Cap<Account>,
    space: Cap<Space>,
    subtree: Cap<Subtree>,
    table: Cap<CapTable>,
    thread: Cap<Thread>,
    machine: Option<Cap<Machine>>,
    archive: Option<Cap<Segment>>,
    names: Option<Names>,
}

/// Where, in the page that begins with the `ProgramInfo`, the word is that names the gate to the name service: at its end. It is the
/// null handle if there is none.
pub const NAMES_WORD: u64 = INFO_BYTES - 8;

/// Where the word is, before that, that names the gate by which a name service that has ended is asked for again.
pub const AGAIN_WORD: u64 = NAMES_WORD - 8;

/// The running program.
///
/// ```no_run
/// let available_bytes = libvas::program().account().available_bytes()?;
/// # Ok::<(), libvas::Error>(())
/// ```
///
/// # Panics
/// Before [`start`], which the entry code in `rt` calls first.
#[inline]
pub fn program() -> &'static Program {
    PROGRAM.get().expect("libvas::program::start comes first")
}

/// Takes over what the program was given. The entry code calls it, once, before anything else.
///
/// # Panics
/// If the structure has another version than this library knows, or the arguments are no UTF-8.
///
/// # Safety
/// 1. `info` points to a page of `INFO_BYTES` with a `ProgramInfo`, its arguments, and what [`NAMES_WORD`] and [`AGAIN_WORD`] say,
///    readable and unchanged for as long as the program runs.
/// 2. Nobody else owns the capabilities that it names.
pub unsafe fn start(info: *const ProgramInfo) {
    // SAFETY: the caller promises that the page is there, whose last words these are.
    let names = unsafe { *info.cast::<u64>().add(NAMES_WORD as usize / 8) };
    // SAFETY: as before.
    let again = unsafe { *info.cast::<u64>().add(AGAIN_WORD as usize / 8) };
    // SAFETY: the caller promises that a `ProgramInfo` is there.
    let info = unsafe { *info };
    assert_eq!(info.version, PROGRAM_INFO_VERSION, "this program was built for another kernel version");
    let start = core::ptr::with_exposed_provenance(info.arguments as usize);
    let arguments: &[u8] = match info.arguments_bytes {
        0 => &[],
        // SAFETY: the caller promises that the arguments are there and stay as they are.
        length => unsafe { core::slice::from_raw_parts(start, length as usize) },
    };
    let arguments = core::str::from_utf8(arguments).expect("arguments are UTF-8");
    PROGRAM.call_once(|| Program::new(info, arguments, [names, again].map(Handle::from_bits)));
}

impl Program {
    fn new(info: ProgramInfo, arguments: &'static str, [names, again]: [Handle; 2]) -> Program {
        let way = |handle: Handle| (handle != Handle::NONE).then(|| Cap::from_handle(handle));
        Program {
            info,
            arguments,
            account: Cap::from_handle(Handle::from_bits(info.account)),
            space: Cap::from_handle(Handle::from_bits(info.space)),
            subtree: Cap::from_handle(Handle::from_bits(info.program)),
            table: Cap::from_handle(Handle::from_bits(info.table)),
            thread: Cap::from_handle(Handle::from_bits(info.thread)),
            machine: (info.machine != 0).then(|| Cap::from_handle(Handle::from_bits(info.machine))),
            archive: (info.archive != 0).then(|| Cap::from_handle(Handle::from_bits(info.archive))),
            names: way(names).map(|gate| Names::with_way_back(gate, way(again))),
        }
    }

    /// Makes a space with the program subtree attached where it is in every space of the program, so that its
    /// threads can switch there and closures can run there ([`Cap::enter`]). It is attached as a window, so the same
    /// goes for views of the space.
    ///
    /// # Errors
    /// As [`Space::new`] and [`Cap::attach`].
    pub fn new_space(&self) -> Result<Cap<Space>, Error> {
        let space = Space::new(&self.account)?;
        space.attach_window(0, &self.subtree, Rights::ACCESS)?;
        Ok(space)
    }

    /// The account that pays for the program.
    pub fn account(&self) -> &Cap<Account> {
        &self.account
    }

    /// The space the program started in.
    pub fn space(&self) -> &Cap<Space> {
        &self.space
    }

    /// The subtree that holds code, statics, heap and stacks, attached at address 0.
    pub fn subtree(&self) -> &Cap<Subtree> {
        &self.subtree
    }

    /// The table that the program's handles are slots of.
    pub fn table(&self) -> &Cap<CapTable> {
        &self.table
    }

    /// The first thread.
    pub fn thread(&self) -> &Cap<Thread> {
        &self.thread
    }

    /// The machine, if the program was given it.
    pub fn machine(&self) -> Option<&Cap<Machine>> {
        self.machine.as_ref()
    }

    /// The boot archive and its length in bytes. The first program, `init`, is given it, and hands it on, to be read only, if
    /// `archive=read` stands in the archive's `cmdline`.
    pub fn archive(&self) -> Option<(&Cap<Segment>, u64)> {
        self.archive.as_ref().map(|archive| (archive, self.info.archive_bytes))
    }

    /// The name service, if the program was given it; [`crate::names::service`] says so if not.
    pub fn names(&self) -> Option<&Names> {
        self.names.as_ref()
    }

    /// The arguments, one string, as they were written after `args=`.
    pub fn arguments(&self) -> &'static str {
        self.arguments
    }

    /// What the program found when it started, as it was handed over.
    pub fn info(&self) -> &ProgramInfo {
        &self.info
    }
}

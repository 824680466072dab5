//! A program written against `libvas`, the system calls, and the kernel, in one process.

use std::cell::RefCell;

use host_tests::machine::{BUFFER, BUFFER_BYTES};
use host_tests::{Machine, Options};
use libvas::layout::{MappingInfo, Words};
use libvas::{Account, Cap, CapTable, Error, Handle, Rights, Segment, Space, Subtree, raw};
use tessera_abi::Call;
use tessera_arch::fake::Flavour;

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// Which argument of a call points to memory, and which way bytes go.
enum Buffer {
    None,
    /// The program's memory is filled in: which word holds the address, how many bytes at most.
    Out(usize, usize),
    /// The program's memory is read.
    In(usize, usize),
}

fn buffer_of(call: &Call) -> Buffer {
    let whole = <tessera_abi::layout::SpaceInfo as Words>::MAXIMUM * 8;
    match *call {
        Call::MemoryRead { length_bytes, .. } => Buffer::Out(2, length_bytes as usize),
        Call::MemoryWrite { length_bytes, .. } => Buffer::In(2, length_bytes as usize),
        Call::ConsoleWrite { length_bytes, .. } => Buffer::In(0, length_bytes as usize),
        Call::ObjectSetName { length_bytes, .. } => Buffer::In(1, length_bytes as usize),
        Call::MappingsList { capacity, .. } => Buffer::Out(2, capacity as usize * MappingInfo::BYTES),
        Call::AccountInfo { .. }
        | Call::CapabilityInfo { .. }
        | Call::SegmentInfo { .. }
        | Call::SpaceInfo { .. }
        | Call::SubtreeInfo { .. }
        | Call::ThreadInfo { .. }
        | Call::Counters { .. }
        | Call::MachineInfo { .. } => Buffer::Out(1, whole),
        _ => Buffer::None,
    }
}

/// Answers a system call of the host program by the kernel. The program's memory is not the fake machine's, so bytes
/// go through a buffer there.
fn answer(number: u64, words: [u64; 6]) -> (u64, u64) {
    MACHINE.with_borrow_mut(|machine| {
        let machine = machine.as_mut().expect("`start` has made the machine");
        let mut passed = words;
        let buffer = Call::decode(number, words).map_or(Buffer::None, |call| buffer_of(&call));
        if let Buffer::In(word, bytes) | Buffer::Out(word, bytes) = buffer {
            assert!(bytes as u64 <= BUFFER_BYTES, "these tests pass little memory");
            passed[word] = BUFFER;
        }
        if let Buffer::In(word, bytes) = buffer {
            let from = core::ptr::with_exposed_provenance::<u8>(words[word] as usize);
            // SAFETY: libvas passes the address of a slice of so many bytes that it borrows during the call.
            machine.write(BUFFER, unsafe { core::slice::from_raw_parts(from, bytes) });
        }
        let result = machine.call_words(number, passed);
        if let (Buffer::Out(word, bytes), Ok(_)) = (buffer, result) {
            let to = core::ptr::with_exposed_provenance_mut::<u8>(words[word] as usize);
            // SAFETY: libvas passes the address of a buffer of so many bytes that it borrows mutably during the
            // call; for structures it is as long as the longest.
            machine.read(BUFFER, unsafe { core::slice::from_raw_parts_mut(to, bytes) });
        }
        result.map_or_else(|error| (error.status(), 0), |value| (0, value))
    })
}

/// What a program begins with, and keeps: it would end with the last of these.
struct Start {
    account: Cap<Account>,
    space: Cap<Space>,
    table: Cap<CapTable>,
    program: Cap<Subtree>,
}

fn start() -> &'static Start {
    let machine = Machine::boot(&Options::new(Flavour::X86));
    let start = Start {
        account: Cap::from_handle(machine.account),
        space: Cap::from_handle(machine.space),
        table: Cap::from_handle(machine.table),
        program: Cap::from_handle(machine.program),
    };
    MACHINE.set(Some(machine));
    raw::set_host_kernel(Some(answer));
    Box::leak(Box::new(start))
}

const HERE: u64 = 1 << 40;

#[test]
fn two_spaces_hold_different_bytes_at_one_address() -> Result<(), Error> {
    let start = start();
    let mut spaces = Vec::new();
    for text in [b"one", b"two"] {
        let space = Space::new(&start.account)?;
        let memory = Segment::new(&start.account, 0x2000)?;
        space.map(HERE, &memory, 0..0x2000, Rights::READ_WRITE)?;
        space.write(HERE + 0xffe, text)?;
        spaces.push(space);
    }
    for (space, text) in spaces.iter().zip([b"one", b"two"]) {
        let mut bytes = [0; 3];
        space.read(HERE + 0xffe, &mut bytes)?;
        assert_eq!(&bytes, text);
        let info = space.info()?;
        assert_eq!((info.mapped_bytes, info.mappings, info.table_bytes), (0x2000, 1, 0x4000));
    }
    Ok(())
}

#[test]
fn errors_come_back_as_what_they_are() -> Result<(), Error> {
    let start = start();
    let space = Space::new(&start.account)?;
    let memory = Segment::new(&start.account, 0x1000)?;
    assert_eq!(space.map(HERE + 1, &memory, 0..0x1000, Rights::READ), Err(Error::Misaligned));
    assert_eq!(space.map(HERE, &memory, 0..0x1000, Rights::ACCESS), Err(Error::WriteExecute));
    assert_eq!(space.map(HERE, &memory, 0..0x2000, Rights::READ), Err(Error::BadArgument));
    space.map(HERE, &memory, 0..0x1000, Rights::READ)?;
    assert_eq!(space.map(HERE, &memory, 0..0x1000, Rights::READ), Err(Error::Overlap));
    assert_eq!(space.unmap(HERE..HERE + 0x2000), Err(Error::NotMapped));
    assert_eq!(space.write(HERE, b"x"), Err(Error::BadAddress), "the mapping is read-only");
    assert_eq!(space.switch(), Err(Error::NotShared), "the program is not attached there");
    assert!(matches!(Segment::new(&start.account, 1 << 30), Err(Error::AccountExhausted)));
    let wrong: Cap<Space> = Cap::from_handle(start.account.handle());
    assert_eq!(wrong.info().err(), Some(Error::WrongObject));
    std::mem::forget(wrong);
    Ok(())
}

#[test]
fn closures_run_inside_a_space_and_come_back() -> Result<(), Error> {
    let start = start();
    let space = Space::new(&start.account)?;
    space.attach(0, &start.program, Rights::ACCESS)?;
    let before = start.space.info()?.threads;
    // From here on the thread is in its space by a handle, which is its way back.
    assert_eq!(start.space.switch(), Ok(Handle::NONE));
    let inside = space.enter(|| {
        assert_eq!(start.space.info().map(|info| info.threads), Ok(before - 1));
        space.info().map(|info| info.threads)
    });
    assert_eq!(inside?, Ok(1));
    assert_eq!(start.space.info()?.threads, before);
    Ok(())
}

#[test]
fn capabilities_weaken_and_end() -> Result<(), Error> {
    let start = start();
    let space = Space::new(&start.account)?;
    let weak = space.derive(Rights::INSPECT, 7)?;
    assert_eq!(weak.info()?.mappings, 0);
    assert_eq!(
        weak.map(HERE, &Segment::new(&start.account, 0x1000)?, 0..0x1000, Rights::READ),
        Err(Error::MissingRight)
    );
    let (handle, used) = (weak.handle(), start.account.info()?.used_bytes);
    drop(weak);
    let stale: Cap<Space> = Cap::from_handle(handle);
    assert_eq!(stale.info().err(), Some(Error::BadHandle));
    std::mem::forget(stale);
    drop(space);
    assert!(start.account.info()?.used_bytes < used, "the space was the last of its capabilities'");
    assert_ne!(start.table.handle(), Handle::NONE);
    Ok(())
}

#[test]
fn without_a_kernel_every_call_is_refused() {
    raw::set_host_kernel(None);
    let account: Cap<Account> = Cap::from_handle(Handle::new(1, 1));
    assert_eq!(Space::new(&account).err(), Some(Error::BadCall));
    std::mem::forget(account);
}

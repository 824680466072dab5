//! The first program: what the kernel makes of the `init` in a boot archive.

use host_tests::boot::new_kernel;
use host_tests::walker::translate;
use tessera_abi::layout::{ProgramInfo, Words, program};
use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::fake::{self, Flavour};
use tessera_arch::{PhysAddr, read_physical, write_physical};
use tessera_kernel::Kernel;
use tessera_kernel::entry::program as first;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::running;

const FRAMES: u64 = 1024;
const ARCHIVE_FRAMES: u64 = 16;
const ENTRY: u64 = program::IMAGE + 0x10;

/// An entry of a tar archive (POSIX ustar).
fn tar_entry(name: &str, data: &[u8]) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    let mut field = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(100, "0000644\0");
    field(108, "0000000\0");
    field(116, "0000000\0");
    field(124, &format!("{:011o}\0", data.len()));
    field(136, "00000000000\0");
    field(148, "        ");
    field(156, "0");
    field(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend(data);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

/// One part of the program in memory.
struct Part {
    address: u64,
    flags: u32,
    data: Vec<u8>,
    memory_bytes: u64,
}

const READ: u32 = 4;
const WRITE: u32 = 2;
const EXECUTE: u32 = 1;

/// An ELF executable for x86_64 with these parts.
fn elf(parts: &[Part]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([2_u16, 62].iter().flat_map(|half| half.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    file.extend([ENTRY, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 56, parts.len() as u16, 64, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    let mut offset = (64 + 56 * parts.len()) as u64;
    for part in parts {
        file.extend([1, part.flags].iter().flat_map(|half| half.to_le_bytes()));
        let words = [offset, part.address, part.address, part.data.len() as u64, part.memory_bytes, PAGE_BYTES];
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        offset += part.data.len() as u64;
    }
    parts.iter().for_each(|part| file.extend(&part.data));
    file
}

fn good_parts() -> Vec<Part> {
    let code = (0..6000_u32).map(|number| number as u8).collect();
    vec![
        Part { address: program::IMAGE, flags: READ | EXECUTE, data: code, memory_bytes: 6000 },
        Part { address: program::IMAGE + 0x10000, flags: READ | WRITE, data: vec![7; 100], memory_bytes: 9000 },
    ]
}

/// Boots with an archive of these bytes; gives what loading the first program gave.
fn boot(archive: &[u8]) -> (Kernel, Result<(), &'static str>) {
    let boot_info = fake::power_on(Flavour::X86, FRAMES, ARCHIVE_FRAMES);
    let mut padded = archive.to_vec();
    padded.resize((ARCHIVE_FRAMES * PAGE_BYTES) as usize, 0);
    write_physical(boot_info.archive.start, &padded);
    let mut kernel = new_kernel(boot_info, 8);
    let result = first::start_first(&mut kernel, "init");
    (kernel, result)
}

fn boot_with(parts: &[Part]) -> (Kernel, Result<(), &'static str>) {
    boot(&[tar_entry("cmdline", b"run=tour\n"), tar_entry("init", &elf(parts))].concat())
}

/// Has the first thread run, on a machine that goes no further: nothing is current when it is dropped.
fn run_first(kernel: &mut Kernel) {
    assert!(trap::schedule(kernel, 0));
    fake::context::forget_all();
}

fn bytes_at(kernel: &Kernel, address: u64, length: usize, rights: Rights) -> Vec<u8> {
    let id = running::current(kernel, 0).expect("the first thread runs");
    let root = kernel.spaces[running::space_of(kernel, id)].map.tree.root;
    let byte = |address: u64| {
        let found = translate(root, address).unwrap_or_else(|| panic!("nothing at {address:#x}"));
        assert_eq!(found.rights, rights, "{address:#x}");
        let mut byte = [0];
        read_physical(found.physical, &mut byte);
        byte[0]
    };
    (0..length as u64).map(|index| byte(address + index)).collect()
}

#[test]
fn it_finds_its_image_its_stack_and_what_it_was_given() {
    let parts = good_parts();
    let (mut kernel, result) = boot_with(&parts);
    assert_eq!(result, Ok(()));
    check::check(&kernel);
    run_first(&mut kernel);
    assert_eq!(bytes_at(&kernel, parts[0].address, 6000, Rights::READ_EXECUTE), parts[0].data);
    let data = bytes_at(&kernel, parts[1].address, 9000, Rights::READ_WRITE);
    assert_eq!((&data[..100], &data[100..]), (&[7; 100][..], &[0; 8900][..]), "what the file lacks is zero");
    let id = running::current(&kernel, 0).expect("the first thread runs");
    let registers = kernel.threads[id].context.registers();
    assert_eq!((registers.instruction_pointer(), registers.call_arguments()[0]), (ENTRY, program::INFO));
    let below = registers.stack_pointer() - program::STACK_BYTES;
    assert_eq!(bytes_at(&kernel, below, program::STACK_BYTES as usize, Rights::READ_WRITE), [0; 0x1_0000]);
}

#[test]
fn its_handles_are_good_and_name_what_they_should() {
    let (mut kernel, result) = boot_with(&good_parts());
    assert_eq!(result, Ok(()));
    run_first(&mut kernel);
    let bytes = bytes_at(&kernel, program::INFO, ProgramInfo::BYTES, Rights::READ);
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or([0; 8]))).collect();
    let info = ProgramInfo::read(&words);
    assert_eq!((info.archive_bytes, info.arguments_bytes), (ARCHIVE_FRAMES * PAGE_BYTES, 0));
    let id = running::current(&kernel, 0).expect("the first thread runs");
    let table = &kernel.tables[kernel.threads[id].table.expect("it has a table")];
    let kinds = [
        (info.account, 1),
        (info.space, 2),
        (info.program, 3),
        (info.archive, 4),
        (info.thread, 5),
        (info.table, 6),
        (info.machine, 7),
    ];
    for (bits, kind) in kinds {
        let slot = table.slot_of(tessera_abi::Handle::from_bits(bits)).expect("the handle is good");
        assert_eq!(table.record(slot).object.kind().map(|kind| kind as u64), Some(kind));
        assert_eq!(table.rights(slot).contains(Rights::WRITE), kind != 4, "the archive is read-only");
    }
    assert_eq!(table.used(), 7);
}

/// The machine's first reason to stop, one for each way to spoil the archive.
#[test]
fn what_is_wrong_with_the_archive_is_said() {
    let reason = |archive: &[u8]| boot(archive).1.expect_err("the archive is spoilt");
    assert!(reason(&tar_entry("other", b"x")).contains("no such file"));
    assert!(reason(&tar_entry("init", b"no elf at all")).contains("no ELF"));
    let mut shared_object = elf(&good_parts());
    shared_object[16] = 3;
    assert!(reason(&tar_entry("init", &shared_object)).contains("no program for this kernel"));
    let mut cut = elf(&good_parts());
    cut.truncate(300);
    assert!(reason(&tar_entry("init", &cut)).contains("cut short"));
}

#[test]
fn what_is_wrong_with_the_program_is_said() {
    let spoilt = |spoil: fn(&mut Vec<Part>)| {
        let mut parts = good_parts();
        spoil(&mut parts);
        boot_with(&parts).1.expect_err("the program is spoilt")
    };
    assert!(spoilt(|parts| parts[0].flags = READ | WRITE | EXECUTE).contains("writable and executable"));
    assert!(spoilt(|parts| parts[0].address += 8).contains("begin on a page"));
    assert!(spoilt(|parts| parts[1].address = 1 << 39).contains("outside of its window"));
    assert!(spoilt(|parts| parts[1].address = 0).contains("outside of its window"));
    assert!(spoilt(|parts| parts[1].address = u64::MAX - 0xfff).contains("outside of its window"));
    assert!(spoilt(|parts| parts[1].address = parts[0].address).contains("overlap"));
    assert!(spoilt(|parts| parts[1].memory_bytes = 1 << 36).contains("no memory"));
    assert!(spoilt(|parts| parts[1].memory_bytes = u64::MAX).contains("outside of its window"));
}

/// No assertion of the kernel's answers them.
#[test]
fn an_entry_that_no_program_can_have_is_refused() {
    for entry in [0, 8, (1 << 47) - 4096, 1 << 47, 1 << 63, 0xffff_8000_0000_0000, u64::MAX] {
        let mut file = elf(&good_parts());
        file[24..32].copy_from_slice(&entry.to_le_bytes());
        assert!(boot(&tar_entry("init", &file)).1.expect_err("no address").contains("first instruction"), "{entry:#x}");
    }
}

#[test]
fn a_machine_without_an_archive_or_memory_says_so() {
    let boot_info = fake::power_on(Flavour::X86, FRAMES, 0);
    assert!(first::start_first(&mut new_kernel(boot_info, 8), "init").expect_err("none").contains("handed on none"));
    let boot_info = fake::power_on(Flavour::X86, FRAMES, ARCHIVE_FRAMES);
    let mut archive = tar_entry("init", &elf(&good_parts()));
    archive.resize((ARCHIVE_FRAMES * PAGE_BYTES) as usize, 0);
    write_physical(boot_info.archive.start, &archive);
    let mut kernel = new_kernel(boot_info, 8);
    while kernel.frames.free_frames() > 70 {
        kernel.frames.allocate(0).expect("some are free");
    }
    assert!(first::start_first(&mut kernel, "init").expect_err("too little").contains("no memory"));
}

/// The archive's memory is nobody else's: it is no free memory.
#[test]
fn the_archive_stays_out_of_free_memory() {
    let (mut kernel, result) = boot_with(&good_parts());
    assert_eq!(result, Ok(()));
    let archive = kernel.boot_info.archive;
    while let Some(frame) = kernel.frames.allocate(0) {
        assert!(frame.start() < archive.start || frame.start() >= PhysAddr::new(archive.end().value()));
    }
}

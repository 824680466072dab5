//! The first program: loaded by the kernel from the boot archive; it loads all others.

use alloc::boxed::Box;

use elf::ElfBytes;
use elf::abi::{EM_AARCH64, EM_X86_64, ET_EXEC, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;
use tessera_abi::layout::{Name, PROGRAM_INFO_VERSION, ProgramInfo, Words, program};
use tessera_abi::{Handle, PAGE_BYTES, PRIORITY_MAX, Rights};
use tessera_arch::{TOP_LEVEL, VirtAddr};

use crate::entry::options;
use crate::object::account::Account;
use crate::object::address_map::{CURRENT, Mapping};
use crate::object::cap_table::CapTable;
use crate::object::id::{
    AccountId, AttachPoint, CapId, MapTarget, ObjectRef, SegmentId, SpaceId, SubtreeId, TableId, ThreadId,
};
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::object::thread::Thread;
use crate::paging::page_table::new_table;
use crate::sched::{ending, inside};
use crate::state::charges::RESERVE_FRAMES;
use crate::state::kernel::Kernel;
use crate::vm::attach::{self, Attachment};
use crate::vm::map;
use crate::vm::target;

/// Slots in its capability table.
const SLOTS: u32 = 1024;

/// Pages that its objects take at most, tables and heap, its memory apart.
const OBJECT_PAGES: u64 = 16;

/// Why the first program cannot be started.
type Reason = &'static str;

const NO_MEMORY: Reason = "there is no memory for it";

/// The objects that make up the first program.
struct First {
    account: AccountId,
    table: TableId,
    space: SpaceId,
    subtree: SubtreeId,
    thread: ThreadId,
}

/// Loads the first program, which has this name in the archive, and makes its thread ready.
///
/// # Errors
/// What is wrong with the archive or the program in it.
pub fn start_first(kernel: &mut Kernel, name: &str) -> Result<(), Reason> {
    let entry = options::archive(kernel.boot_info)?.entries().find(|entry| entry.filename().as_str() == Ok(name));
    let image = entry.ok_or("the boot archive has no such file")?;
    let elf = ElfBytes::<LittleEndian>::minimal_parse(image.data()).map_err(|_| "it is no ELF file")?;
    if elf.ehdr.e_type != ET_EXEC || !matches!(elf.ehdr.e_machine, EM_X86_64 | EM_AARCH64) {
        return Err("it is no program for this kernel");
    }
    if !VirtAddr::new(elf.ehdr.e_entry).is_user() {
        return Err("its first instruction is at no address that a program can have");
    }
    kernel.ensure_frames(OBJECT_PAGES).map_err(|_| NO_MEMORY)?;
    kernel.reserve_heap(OBJECT_PAGES).map_err(|_| NO_MEMORY)?;
    let first = make_objects(kernel)?;
    give_names(kernel, &first, name);
    let headers = elf.segments().ok_or("it has no program headers")?;
    for header in headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_memsz != 0) {
        load(kernel, &first, &header, elf.segment_data(&header).map_err(|_| "it is cut short")?)?;
    }
    let stack_top = map_stack(kernel, &first)?;
    write_info(kernel, &first)?;
    let registers = kernel.threads[first.thread].context.registers_mut();
    registers.set_entry(elf.ehdr.e_entry, stack_top, [program::INFO, 0]);
    ending::start_thread(kernel, first.thread);
    Ok(())
}

fn make_objects(kernel: &mut Kernel) -> Result<First, Reason> {
    let free_frames = kernel.frames.free_frames().saturating_sub(2 * RESERVE_FRAMES);
    let account = kernel.accounts.insert(Account::new(free_frames * PAGE_BYTES, None));
    let blocks = CapTable::blocks(u64::from(SLOTS));
    blocks.into_iter().try_for_each(|bytes| kernel.reserve_block(bytes)).map_err(|_| NO_MEMORY)?;
    let mut table = CapTable::begin(account, SLOTS);
    table.add_slots(SLOTS);
    kernel.charge(&table);
    let table = kernel.tables.insert_boxed(Box::new(table));
    let space = Space::new(account, new_table(&mut kernel.frames));
    kernel.charge(&space);
    let root = space.map.tree.root;
    let space = kernel.spaces.insert(space);
    kernel.shared.space_words(space.index()).initialise(root, None);
    let subtree = Subtree::new(account, new_table(&mut kernel.frames), TOP_LEVEL);
    kernel.charge(&subtree);
    let subtree = attach::add_subtree(kernel, subtree);
    let attachment = Attachment { subtree, level: TOP_LEVEL, bounds: Rights::ACCESS, is_window: true };
    let (owner, place) = (MapTarget::Space(space), AttachPoint { page: 0, cpu: None });
    let cost = attach::plan_attach(kernel, owner, place, subtree).map_err(|_| "there is no memory to attach it")?;
    attach::attach(kernel, owner, place, attachment, (cost, None));
    let mut thread = Thread::new(account, table, space, PRIORITY_MAX);
    thread.set_cpu(tessera_arch::cpu_index());
    let thread = ending::add_thread(kernel, Box::new(thread));
    Ok(First { account, table, space, subtree, thread })
}

fn give_names(kernel: &mut Kernel, first: &First, program: &str) {
    let text = |text: &str| Name::new(text).unwrap_or(Name::EMPTY);
    kernel.tables[first.table].name = text(program);
    kernel.spaces[first.space].name = text(program);
    kernel.subtrees[first.subtree].name = text(program);
    kernel.threads[first.thread].name = text("main");
}

/// Maps one segment of the ELF file, with its bytes in it.
fn load(kernel: &mut Kernel, first: &First, header: &ProgramHeader, data: &[u8]) -> Result<(), Reason> {
    if !header.p_vaddr.is_multiple_of(PAGE_BYTES) || header.p_filesz > header.p_memsz {
        return Err("it has a segment that does not begin on a page");
    }
    let mut rights = Rights::READ;
    rights.set(Rights::WRITE, header.p_flags & PF_W != 0);
    rights.set(Rights::EXECUTE, header.p_flags & PF_X != 0);
    if rights.is_write_execute() {
        return Err("it has a segment that is writable and executable");
    }
    map_new(kernel, first, header.p_vaddr, header.p_memsz.div_ceil(PAGE_BYTES), rights, data).map(|_| ())
}

fn map_stack(kernel: &mut Kernel, first: &First) -> Result<u64, Reason> {
    let top = program::STACKS + program::STACK_STRIDE;
    let pages = program::STACK_BYTES / PAGE_BYTES;
    map_new(kernel, first, top - program::STACK_BYTES, pages, Rights::READ_WRITE, &[])?;
    Ok(top)
}

/// Makes a segment with these bytes and maps it in the program's subtree.
fn map_new(
    kernel: &mut Kernel,
    first: &First,
    address: u64,
    pages: u64,
    rights: Rights,
    data: &[u8],
) -> Result<SegmentId, Reason> {
    const OUTSIDE: Reason = "it is linked outside of its window";
    let length_bytes = pages.checked_mul(PAGE_BYTES).ok_or(OUTSIDE)?;
    let range = kernel.subtrees[first.subtree].range(address, length_bytes).map_err(|_| OUTSIDE)?;
    kernel.reserve_heap(Segment::heap_pages(pages) + 4).map_err(|_| NO_MEMORY)?;
    kernel.reserve_block(Segment::list_bytes(pages)).map_err(|_| NO_MEMORY)?;
    let mut segment = Segment::new(first.account, pages).map_err(|_| NO_MEMORY)?;
    kernel.ensure_frames(pages + 4).map_err(|_| NO_MEMORY)?;
    segment.populate(&mut kernel.frames);
    for (page, bytes) in data.chunks(PAGE_BYTES as usize).enumerate() {
        let frame = segment.frame(page as u64).ok_or("it has a segment longer than its memory")?;
        tessera_arch::write_physical(frame.start(), bytes);
    }
    kernel.charge(&segment);
    let id = kernel.segments.insert(segment);
    let mapping =
        Mapping { pages, segment: id.index(), offset: 0, rights, maximum: rights, lent: None, epoch: CURRENT };
    let owner = MapTarget::Subtree(first.subtree);
    let segment = &kernel.segments[id];
    let plan = target::map_of(kernel, owner).plan_map(range.first, &mapping, (segment, segment.extent(0, pages)));
    let plan = plan.map_err(|_| "it has segments that overlap")?;
    target::ensure_cost(kernel, first.account, plan.cost).map_err(|_| NO_MEMORY)?;
    map::map(kernel, owner, range.first, mapping, (plan, None));
    // The mapping keeps the segment; no capability to it is handed out.
    kernel.segments.release(id);
    Ok(id)
}

/// Gives the program its capabilities and the page that tells it about them.
fn write_info(kernel: &mut Kernel, first: &First) -> Result<(), Reason> {
    let archive = kernel.boot_info.archive;
    let pages = archive.length_bytes.div_ceil(PAGE_BYTES);
    kernel.reserve_block(Segment::list_bytes(pages)).map_err(|_| NO_MEMORY)?;
    let segment =
        Segment::borrowing(first.account, archive).map_err(|_| "there is no memory for the archive's segment")?;
    kernel.charge(&segment);
    let segment = kernel.segments.insert(segment);
    let read_only = Rights::READ | Rights::GRANT | Rights::CONTROL;
    let archive_handle = kernel.insert_with(first.table, ObjectRef::Segment(segment), read_only).bits();
    let mut give = |object: ObjectRef| kernel.insert_first(first.table, object).bits();
    let info = ProgramInfo {
        version: PROGRAM_INFO_VERSION,
        account: give(ObjectRef::Account(first.account)),
        space: give(ObjectRef::Space(first.space)),
        program: give(ObjectRef::Subtree(first.subtree)),
        table: give(ObjectRef::CapTable(first.table)),
        thread: give(ObjectRef::Thread(first.thread)),
        machine: give(ObjectRef::Machine),
        archive: archive_handle,
        archive_bytes: archive.length_bytes,
        arguments: program::INFO + ProgramInfo::BYTES as u64,
        arguments_bytes: 0,
        image_start: program::IMAGE,
        image_end: program::INFO,
    };
    // The thread is in the space by the capability that it is given.
    let by = CapId::new(first.table, Handle::from_bits(info.space).slot());
    inside::begin(kernel, first.thread, (by, first.space));
    let mut words = [0; ProgramInfo::COUNT];
    info.write(&mut words);
    let mut bytes = [0; ProgramInfo::BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    map_new(kernel, first, program::INFO, 1, Rights::READ, &bytes).map(|_| ())
}

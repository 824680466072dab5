//! From a machine that is switched on to a program whose thread runs.

use core::sync::atomic::AtomicU8;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::{ending, inside};

use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::{self, FIRST_FRAME, Flavour};
use tessera_arch::{BootInfo, Frame};
use tessera_kernel::Kernel;
use tessera_kernel::base::console::{RING_BYTES, Ring};
use tessera_kernel::base::effort::set_entry_units;
use tessera_kernel::cpu::gate_words::GateWords;
use tessera_kernel::cpu::handshake::Pass;
use tessera_kernel::cpu::per_cpu::{Shared, Words};
use tessera_kernel::mem::FrameAllocator;
use tessera_kernel::mem::frames::{FrameRecord, ORDER_MAX};
use tessera_kernel::object::account::Account;
use tessera_kernel::object::cap_table::CapTable;
use tessera_kernel::object::gate::Gate;
use tessera_kernel::object::id::{CapId, ObjectRef};
use tessera_kernel::object::space::Space;
use tessera_kernel::object::thread::Thread;
use tessera_kernel::paging::page_table::new_table;
use tessera_kernel::state::charges::RESERVE_FRAMES;

use crate::entry_units;
use crate::machine::{BUFFER, BUFFER_BYTES, CODE, Machine, STACK_END};

/// What kind of machine to boot.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whose page-table format.
    pub flavour: Flavour,
    /// Frames of memory.
    pub frames: u64,
    /// Slots in the program's capability table.
    pub slots: u32,
    /// Width of a TLB tag.
    pub tag_bits: u32,
    /// What the program may do with the machine.
    pub machine_rights: Rights,
    /// CPUs that run; the test plays them.
    pub cpus: usize,
}

impl Options {
    /// A machine with 4 MiB of memory, 64 slots, tags of 8 bits.
    pub fn new(flavour: Flavour) -> Options {
        Options { flavour, frames: 1024, slots: 64, tag_bits: 8, machine_rights: Rights::all(), cpus: 1 }
    }

    /// The same with so many frames of memory.
    pub fn frames(self, frames: u64) -> Options {
        Options { frames, ..self }
    }

    /// The same with so many slots.
    pub fn slots(self, slots: u32) -> Options {
        Options { slots, ..self }
    }

    /// The same with tags of so many bits.
    pub fn tag_bits(self, tag_bits: u32) -> Options {
        Options { tag_bits, ..self }
    }
}

impl Machine {
    /// Boots.
    pub fn boot(options: &Options) -> Machine {
        let mut machine = Machine::before_first_thread(options);
        machine.run_first_thread();
        machine
    }

    /// Boots as far as the first program's thread is ready, and nothing has run yet.
    pub fn before_first_thread(options: &Options) -> Machine {
        set_entry_units(entry_units());
        let found = fake::power_on(options.flavour, options.frames, 0);
        let boot_info = Box::leak(Box::new(BootInfo { cpus: options.cpus, ..*found }));
        let mut machine = Machine::first_objects(new_kernel(boot_info, options.tag_bits), options);
        ending::start_thread(&mut machine.kernel, machine.thread_id);
        // As on a machine: no thread runs before the kernel knows on how many CPUs it may.
        machine.kernel.cpus = options.cpus;
        machine
    }

    /// Goes on from there to a program that runs.
    ///
    /// # Panics
    /// If it does not, or something is wrong.
    pub fn run_first_thread(&mut self) {
        assert!(trap::schedule(&mut self.kernel, 0), "the first thread is ready");
        self.map_program();
        check::check(&self.kernel);
    }

    fn first_objects(mut kernel: Kernel, options: &Options) -> Machine {
        let budget = kernel.frames.free_frames() - 2 * RESERVE_FRAMES;
        let account = kernel.accounts.insert(Account::new(budget * PAGE_BYTES, None));
        let mut table = CapTable::begin(account, options.slots);
        table.add_slots(options.slots);
        kernel.charge(&table);
        let table = kernel.tables.insert_boxed(Box::new(table));
        let root = new_table(&mut kernel.frames);
        let space = Space::new(account, root);
        kernel.charge(&space);
        let space = kernel.spaces.insert(space);
        kernel.shared.space_words(space.index()).initialise(root, None);
        let mut thread = Thread::new(account, table, space, tessera_abi::PRIORITY_MAX);
        thread.context.registers_mut().set_entry(CODE, STACK_END, [0, 0]);
        let thread = ending::add_thread(&mut kernel, Box::new(thread));
        let machine = kernel.insert_with(table, ObjectRef::Machine, options.machine_rights);
        let [account_handle, table_handle, space_handle, thread_handle] = [
            ObjectRef::Account(account),
            ObjectRef::CapTable(table),
            ObjectRef::Space(space),
            ObjectRef::Thread(thread),
        ]
        .map(|object| kernel.insert_first(table, object));
        inside::begin(&mut kernel, thread, (CapId::new(table, space_handle.slot()), space));
        Machine {
            account: account_handle,
            table: table_handle,
            space: space_handle,
            program: Handle::NONE,
            thread: thread_handle,
            machine,
            kernel,
            thread_id: thread,
            space_id: space,
            account_id: account,
            table_id: table,
            steps: 0,
            between_steps: None,
            between_debts: None,
        }
    }

    /// Code, stack and buffer, in a subtree that is attached at address 0.
    fn map_program(&mut self) {
        self.program = self.make(Call::SubtreeCreate { account: self.account, level: 3 });
        for (address, length_bytes, rights) in [
            (CODE, PAGE_BYTES, Rights::READ_EXECUTE),
            (STACK_END - 4 * PAGE_BYTES, 4 * PAGE_BYTES, Rights::READ_WRITE),
            (BUFFER, BUFFER_BYTES, Rights::READ_WRITE),
        ] {
            let segment = self.segment(length_bytes, 0);
            self.map(self.program, segment, 0, address, length_bytes, rights).expect("the program's memory is mapped");
            self.call(Call::CapabilityDelete { handle: segment }).expect("the segment's handle is valid");
        }
        self.attach_program(self.space);
    }
}

/// Memory for the console: a test thread has one machine at a time, so one ring will do.
fn ring() -> &'static Ring {
    thread_local! {
        static RING: &'static Ring = Box::leak(Box::new([const { AtomicU8::new(0) }; RING_BYTES]));
    }
    RING.with(|ring| *ring)
}

/// The kernel on a machine that was just switched on.
///
/// # Panics
/// If the machine has no memory.
pub fn new_kernel(boot_info: &'static BootInfo, tag_bits: u32) -> Kernel {
    let first = FIRST_FRAME.number() & !((1 << ORDER_MAX) - 1);
    let end = boot_info.memory.last().expect("there is memory").end().value() / PAGE_BYTES;
    let records = vec![FrameRecord::OUTSIDE; (end - first) as usize].leak();
    let mut frames = FrameAllocator::new(records, Frame::new(first));
    boot_info.memory.iter().for_each(|range| frames.add(*range));
    let shared: &Shared = Box::leak(Box::new(Shared::new(ring(), Box::leak(Box::default()))));
    let spaces = Space::most(frames.managed_frames() * PAGE_BYTES);
    let passes = (0..boot_info.cpus).map(|_| &*(0..=spaces).map(|_| Pass::new()).collect::<Vec<_>>().leak());
    let gates = Gate::most(frames.managed_frames() * PAGE_BYTES);
    shared.give_gates((0..gates).map(|number| GateWords::new(number as u32)).collect::<Vec<_>>().leak());
    shared.give_spaces((0..=spaces).map(|_| Words::new()).collect::<Vec<_>>().leak(), passes);
    Kernel::new(boot_info, shared, frames, tag_bits)
}

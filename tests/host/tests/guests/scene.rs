//! A machine with a guest, which its thread runs by either path.

use core::sync::atomic::Ordering::Relaxed;

use host_tests::machine::{CODE, STACK_END};
use host_tests::{Machine, Options};
use tessera_abi::guest::{GuestEnd, GuestState};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES};
use tessera_arch::fake::Flavour;
use tessera_arch::{GuestPage, Registers, Trap, table};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::{ObjectRef, ThreadId};
use tessera_kernel::sched::{guest_path, guests, running};

pub(crate) const GUEST_IP: u64 = 0x9000;
/// Where the words of the state are that the fake machine has, in words.
pub(crate) const NUMBER: usize = core::mem::offset_of!(GuestState, general) / 8;
pub(crate) const STACK_POINTER: usize = core::mem::offset_of!(GuestState, stack_pointer) / 8;
pub(crate) const INSTRUCTION_POINTER: usize = core::mem::offset_of!(GuestState, instruction_pointer) / 8;
pub(crate) const THREAD_POINTER: usize = core::mem::offset_of!(GuestState, thread_pointer) / 8;
pub(crate) const FLOATING: usize = core::mem::offset_of!(GuestState, floating) / 8;

/// How a call is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Fast,
    Common,
}

/// A machine with a guest, a space for it, and the segment of its state.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    pub(crate) guest: Handle,
    pub(crate) space: Handle,
    pub(crate) segment: Handle,
}

impl Scene {
    pub(crate) fn new(flavour: Flavour, cpus: usize) -> Scene {
        let mut machine = Machine::boot(&Options { cpus, ..Options::new(flavour).frames(4096).slots(64) });
        let account = machine.account;
        let (space, segment) = (machine.new_space(), machine.segment(PAGE_BYTES, 0));
        let guest = machine.make(Call::GuestCreate { account, segment, offset: 0 });
        let scene = Scene { machine, guest, space, segment };
        scene.page()[INSTRUCTION_POINTER].store(GUEST_IP, Relaxed);
        scene
    }

    pub(crate) fn page(&self) -> &'static GuestPage {
        let ObjectRef::Segment(id) = self.machine.object(self.segment) else { panic!("a segment") };
        &table(self.machine.kernel.segments[id].frame(0).expect("it has its memory"))[..]
    }

    pub(crate) fn word(&self, at: usize) -> u64 {
        self.page()[at].load(Relaxed)
    }

    pub(crate) fn run_call(&self) -> Call {
        Call::GuestRun { guest: self.guest, space: self.space, flags: 0, deadline_ns: u64::MAX }
    }

    /// Has the current thread run the guest.
    pub(crate) fn run(&mut self) {
        self.machine.call_commonly(self.run_call());
        check::check(&self.machine.kernel);
    }

    /// The same by the fast path, as the entry code does, if it is asked for and serves; gives by which path it went.
    pub(crate) fn run_by(&mut self, path: Path, call: Call) -> Path {
        let Call::GuestRun { guest, space, flags, deadline_ns } = call else { panic!("a run") };
        let line = &self.machine.kernel.shared.cpus[tessera_arch::cpu_index()];
        let may = path == Path::Fast && flags == 0 && deadline_ns == u64::MAX;
        let path = if may && guest_path::run(&mut self.machine.kernel, line, [guest, space]) != 0 {
            Path::Fast
        } else {
            self.machine.call_commonly(call);
            Path::Common
        };
        check::check(&self.machine.kernel);
        path
    }

    /// The guest that the current thread runs makes a system call, likewise.
    pub(crate) fn leave_by(&mut self, path: Path) -> Path {
        let cpu = tessera_arch::cpu_index();
        let line = &self.machine.kernel.shared.cpus[cpu];
        let path = if path == Path::Fast && guest_path::leave(&mut self.machine.kernel, line) != 0 {
            let id = running::current(&self.machine.kernel, cpu).expect("it runs");
            let registers = self.machine.kernel.threads[id].context.registers_mut();
            registers.set_call(registers.call_number(), [0; 6]);
            registers.set_result(0, GuestEnd::Call as u64);
            Path::Fast
        } else {
            self.machine.trap(Trap::GuestCall);
            Path::Common
        };
        check::check(&self.machine.kernel);
        path
    }

    /// The registers of the guest that the current thread runs, to be changed as the guest does.
    pub(crate) fn inner(&mut self) -> &mut Registers {
        let (ObjectRef::Guest(guest), id) = (self.machine.object(self.guest), self.machine.thread_id) else {
            panic!("a guest")
        };
        let kernel = &mut self.machine.kernel;
        let context = if kernel.guests[guest].fresh_cpu().is_some() {
            &mut kernel.guests[guest].context
        } else {
            &mut kernel.threads[id].context
        };
        context.registers_mut()
    }

    /// The current thread traps, and whoever goes on is chosen.
    pub(crate) fn trap(&mut self, trap: Trap) {
        self.machine.trap(trap);
        check::check(&self.machine.kernel);
    }

    pub(crate) fn is_inside(&self) -> bool {
        guests::is_in_guest(&self.machine.kernel.shared.cpus[tessera_arch::cpu_index()])
    }

    pub(crate) fn is_home(&self) -> bool {
        let (kernel, id) = (&self.machine.kernel, self.machine.thread_id);
        let registers = kernel.threads[id].context.registers();
        running::space_of(kernel, id) == self.machine.space_id
            && (registers.instruction_pointer(), registers.stack_pointer()) == (CODE, STACK_END)
            && kernel.threads[id].depth() == 0
    }

    pub(crate) fn result(&self) -> Result<u64, Error> {
        result(&self.machine, self.machine.thread_id)
    }
}

pub(crate) fn result(machine: &Machine, id: ThreadId) -> Result<u64, Error> {
    let (status, value) = machine.kernel.threads[id].context.registers().result();
    Error::from_status(status).map(|()| value)
}

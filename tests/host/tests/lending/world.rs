//! A lender and borrowers, for tests that say what happens: the lender's thread plays CPU 0, a borrower may play CPU 1.

use host_tests::machine::STACK_END;
use host_tests::smp::Cpus;
use host_tests::{Machine, Options};
use tessera_abi::layout::{FallbackReason, LentInfo, ThreadState, Words};
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_arch::fake::{Flavour, console, oracle};
use tessera_kernel::base::effort;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::{SpaceId, ThreadId};
use tessera_kernel::sched::{preference, running};

use crate::scene::LANDING;

/// The machine.
pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) cpus: Cpus,
}

/// A program that borrows: its table, as the lender names it, and its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Borrower {
    pub(crate) table: Handle,
    pub(crate) thread: ThreadId,
}

impl World {
    /// With so many CPUs, units of effort at each entry, and bits of tags.
    pub(crate) fn new(cpus: usize, units: u32, tag_bits: u32) -> World {
        let options = Options { cpus, ..Options::new(Flavour::X86).tag_bits(tag_bits).frames(4096).slots(256) };
        World::of(&options, units)
    }

    /// With one CPU, and room for many capabilities.
    pub(crate) fn roomy(units: u32) -> World {
        World::of(&Options::new(Flavour::X86).frames(1 << 14).slots(11_000), units)
    }

    fn of(options: &Options, units: u32) -> World {
        let mut machine = Machine::boot(options);
        effort::set_entry_units(units);
        preference::set_affinity(&mut machine.kernel, machine.thread_id, 1);
        oracle::watch();
        let cpus = Cpus::new(machine.kernel.shared);
        World { machine, cpus }
    }

    /// A new space in which the program's code is.
    pub(crate) fn space(&mut self) -> Handle {
        let space = self.machine.new_space();
        self.machine.attach_program(space);
        space
    }

    /// A program with a table and a thread of its own, which is ready to run on CPU 0.
    pub(crate) fn borrower(&mut self) -> Borrower {
        self.borrower_on(0)
    }

    /// The same for another CPU.
    pub(crate) fn borrower_on(&mut self, cpu: usize) -> Borrower {
        let (table, thread) = self.machine.new_program(64, 31);
        preference::set_affinity(&mut self.machine.kernel, thread, 1 << cpu);
        Borrower { table, thread }
    }

    /// Lends the lender's capability to a borrower; gives the handle there.
    pub(crate) fn lend(&mut self, handle: Handle, to: Borrower, badge: u64) -> Handle {
        let copy = Call::CapabilityCopy { handle, table: to.table, rights: Rights::all(), badge };
        self.machine.make(copy)
    }

    pub(crate) fn derive(&mut self, handle: Handle, badge: u64) -> Handle {
        self.machine.make(Call::CapabilityDerive { handle, rights: Rights::all(), badge })
    }

    pub(crate) fn call(&mut self, call: Call) -> u64 {
        self.machine.call(call).unwrap_or_else(|error| panic!("{call:?}: {error}"))
    }

    /// Lets a borrower do something on CPU 0, and then the lender go on there.
    pub(crate) fn act_as<T>(&mut self, who: Borrower, act: impl FnOnce(&mut World) -> T) -> T {
        let main = running::current(&self.machine.kernel, 0).expect("the lender runs");
        self.machine.let_run(who.thread);
        let done = act(self);
        if running::current(&self.machine.kernel, 0) != Some(main) {
            self.machine.let_run(main);
        }
        done
    }

    /// Has a CPU run whoever is ready; gives who that is.
    pub(crate) fn run_on(&mut self, cpu: usize) -> ThreadId {
        self.cpus.play(cpu);
        assert!(trap::schedule(&mut self.machine.kernel, cpu), "somebody is ready");
        running::current(&self.machine.kernel, cpu).expect("it runs")
    }

    /// The current thread falls back to a space.
    pub(crate) fn fall_back_to(&mut self, space: Handle) {
        self.call(Call::ThreadSetFallback { space, instruction_pointer: LANDING, stack_pointer: STACK_END });
    }

    pub(crate) fn space_of(&self, thread: ThreadId) -> SpaceId {
        running::space_of(&self.machine.kernel, thread)
    }

    pub(crate) fn state(&self, thread: ThreadId) -> ThreadState {
        self.machine.kernel.threads[thread].state
    }

    /// A thread has landed in a space, because its own was revoked.
    pub(crate) fn assert_landed(&self, thread: ThreadId, space: SpaceId) {
        let registers = self.machine.kernel.threads[thread].context.registers();
        assert_eq!((self.space_of(thread), registers.instruction_pointer()), (space, LANDING));
        assert_eq!(registers.call_arguments()[0], FallbackReason::SpaceRevoked as u64);
        assert_eq!(self.state(thread), ThreadState::Ready);
    }

    /// What was sent to the console since the last time, in lines that say that something was revoked.
    pub(crate) fn lines(&mut self) -> usize {
        self.machine.feed_line();
        String::from_utf8_lossy(&console::take_sent()).matches("revoked:").count()
    }

    /// Badges of what is lent, as they are listed.
    pub(crate) fn badges(&mut self, handle: Handle) -> Vec<u64> {
        let (mut all, mut goes_on) = (Vec::new(), 0);
        loop {
            let buffer = host_tests::machine::BUFFER;
            let count = self.call(Call::LentList { handle, buffer, capacity: 5, goes_on });
            if count == 0 {
                return all;
            }
            for number in 0..count {
                let mut bytes = [0; 8];
                self.machine.read(buffer + number * LentInfo::BYTES as u64 + 8, &mut bytes);
                all.push(u64::from_le_bytes(bytes));
            }
            goes_on = 1;
        }
    }

    /// How many things are lent through a capability.
    pub(crate) fn count(&mut self, handle: Handle) -> usize {
        self.badges(handle).len()
    }

    pub(crate) fn revoke(&mut self, handle: Handle) -> Result<u64, Error> {
        self.machine.call(Call::CapabilityRevoke { handle })
    }

    /// All of the kernel's rules hold, and the fake machine's.
    pub(crate) fn check(&mut self) {
        check::check(&self.machine.kernel);
        let breach = host_tests::oracle::find_breach(&self.machine.kernel, self.machine.kernel.cpus());
        assert_eq!(breach, None);
    }
}

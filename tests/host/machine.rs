//! A booted machine with one program, whose system calls the test makes.

use tessera_abi::layout::Words;
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::{CallResult, Frame, Interrupt, PhysRange, Trap, UserPlace, fake};
use tessera_kernel::Kernel;
use tessera_kernel::cpu::switch;
use tessera_kernel::entry::{quick, trap, yielding};
use tessera_kernel::lifecycle::reap;
use tessera_kernel::object::account::Account;
use tessera_kernel::object::id::{AccountId, ObjectRef, SpaceId, TableId, ThreadId};
use tessera_kernel::object::segment::Segment;
use tessera_kernel::sched::{lock_path, running};

use crate::walker;

/// Where the program's code would be: a page that can be read and executed.
pub const CODE: u64 = 0x40_0000;
/// Behind the last byte of its stack.
pub const STACK_END: u64 = 0x60_0000;
/// Memory for what calls fill in.
pub const BUFFER: u64 = 0x80_0000;
/// Bytes there.
pub const BUFFER_BYTES: u64 = 16 * PAGE_BYTES;
/// Value of a call that has not ended when `call` returns: the caller waits, or is gone.
pub const UNFINISHED: u64 = u64::MAX;

const CENTURY_NS: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

/// A machine whose CPU 0 runs a thread of a program with an account, a table, a space and a subtree at address 0.
pub struct Machine {
    /// All state.
    pub kernel: Kernel,
    /// The program's account; all frames but a reserve are in its budget.
    pub account: Handle,
    /// Its capability table.
    pub table: Handle,
    /// Its space.
    pub space: Handle,
    /// The subtree with code, stack and buffer, attached at address 0.
    pub program: Handle,
    /// Its thread.
    pub thread: Handle,
    /// The machine.
    pub machine: Handle,
    /// The thread.
    pub thread_id: ThreadId,
    /// The space.
    pub space_id: SpaceId,
    /// The account.
    pub account_id: AccountId,
    /// The table.
    pub table_id: TableId,
    /// How often a call was made again so far.
    pub steps: u64,
    /// What happens between the steps of calls.
    pub between_steps: Option<BetweenSteps>,
    /// What happens between the steps of taking apart what is owed.
    pub between_debts: Option<fn(&mut Kernel)>,
}

/// What happens between the steps of calls, while it gives true.
pub type BetweenSteps = Box<dyn FnMut(&mut Machine) -> bool>;

impl Drop for Machine {
    fn drop(&mut self) {
        fake::context::forget_all();
    }
}

impl Machine {
    /// Attaches the program's subtree to another space, so that threads can switch to it.
    pub fn attach_program(&mut self, space: Handle) {
        let attach =
            Call::SubtreeAttach { target: space, subtree: self.program, address: 0, bounds: Rights::ACCESS, flags: 1 };
        self.call(attach).expect("the program is attached");
    }

    /// Makes a call as the current thread, and goes on until some thread runs again. `UNFINISHED` if the call's
    /// end is not among what happened.
    ///
    /// # Errors
    /// The call's own; `Gone` if the calling thread is no more.
    pub fn call(&mut self, call: Call) -> Result<u64, Error> {
        let (number, words) = call.encode();
        self.call_words(number, words)
    }

    /// Whether a thread has done a step of a call, and is to make it again.
    pub fn is_under_way(&self, id: ThreadId) -> bool {
        self.kernel.threads.find(id).is_some_and(|thread| thread.progress.is_any())
    }

    /// Does this between any two steps of calls from here on, until a step finds that it gives false.
    pub fn between_steps(&mut self, action: impl FnMut(&mut Machine) -> bool + 'static) {
        self.between_steps = Some(Box::new(action));
    }

    fn let_others_act(&mut self) {
        self.steps += 1;
        assert!(self.steps < 1_000_000, "every step comes nearer to the end");
        // Calls that the action makes have steps as well, between which it does nothing.
        if let Some(mut action) = self.between_steps.take()
            && action(self)
        {
            self.between_steps = Some(action);
        }
    }

    /// As [`Machine::call`], for any number and words.
    ///
    /// # Errors
    /// As there.
    pub fn call_words(&mut self, number: u64, words: [u64; 6]) -> Result<u64, Error> {
        let id = running::current(&self.kernel, tessera_arch::cpu_index()).expect("some thread runs");
        self.step_words(number, words);
        while running::current(&self.kernel, tessera_arch::cpu_index()) == Some(id) && self.is_under_way(id) {
            self.let_others_act();
            self.trap(Trap::Call);
        }
        let (status, value) = self.kernel.threads.find(id).ok_or(Error::Gone)?.context.registers().result();
        Error::from_status(status).map(|()| value)
    }

    /// Makes a call as the current thread, once: it may have to be made again.
    ///
    /// # Panics
    /// If no thread runs.
    pub fn step_words(&mut self, number: u64, words: [u64; 6]) {
        let id = running::current(&self.kernel, tessera_arch::cpu_index()).expect("some thread runs");
        let registers = self.kernel.threads[id].context.registers_mut();
        registers.set_call(number, words);
        registers.set_result(0, UNFINISHED);
        self.trap(Trap::Call);
    }

    /// Lets the current thread trap, and the CPU that the test plays idle until some thread runs. Gives whether one
    /// does: not if there is nothing to wait for in the next century, or if other CPUs could go on meanwhile.
    pub fn trap(&mut self, trap: Trap) -> bool {
        let cpu = tessera_arch::cpu_index();
        let quick = if trap == Trap::Call { self.call_quickly(cpu) } else { None };
        match quick {
            Some(true) => return true,
            Some(false) => trap::finish(&mut self.kernel),
            None => trap::handle(&mut self.kernel, cpu, trap),
        }
        self.go_on(cpu)
    }

    /// Makes a call as the current thread by the common path, whatever call it is, and goes on likewise.
    pub fn call_commonly(&mut self, call: Call) -> bool {
        let cpu = tessera_arch::cpu_index();
        let id = running::current(&self.kernel, cpu).expect("some thread runs");
        let (number, words) = call.encode();
        self.kernel.threads[id].context.registers_mut().set_call(number, words);
        trap::handle(&mut self.kernel, cpu, Trap::Call);
        self.go_on(cpu)
    }

    /// Leaves the kernel on a CPU; gives whether that has a thread to run.
    pub fn go_on(&mut self, cpu: usize) -> bool {
        self.feed_line();
        loop {
            let runs = trap::schedule(&mut self.kernel, cpu);
            if reap::has_to_go_on(&self.kernel, cpu) {
                if let Some(between_debts) = self.between_debts {
                    between_debts(&mut self.kernel);
                }
                reap::go_on(&mut self.kernel, cpu);
                continue;
            }
            if runs {
                return true;
            }
            let waits = self.kernel.cpus() == 1 && fake::timer::skip_to_deadline();
            if !waits || tessera_arch::now_ns() > CENTURY_NS {
                return false;
            }
            trap::interrupt(&mut self.kernel, cpu, Interrupt::Timer);
            self.feed_line();
        }
    }

    /// Makes a quick call as the current thread, and nothing after it; gives whether there is nothing to do after it. `None` if
    /// the call was not made.
    pub fn call_without_registers(&mut self, call: Call) -> Option<bool> {
        let cpu = tessera_arch::cpu_index();
        let id = running::current(&self.kernel, cpu)?;
        let (number, words) = call.encode();
        self.kernel.threads[id].context.registers_mut().set_call(number, words);
        self.call_quickly(cpu)
    }

    /// Serves the current thread's call as the entry code does before it saves registers, if it is of the kind; gives
    /// whether that was all.
    pub fn call_quickly(&mut self, cpu: usize) -> Option<bool> {
        let id = running::current(&self.kernel, cpu)?;
        let registers = self.kernel.threads[id].context.registers();
        let (number, words) = (registers.call_number(), registers.call_arguments());
        let shared = self.kernel.shared;
        if number == tessera_abi::syscall::number::yield_now {
            self.kernel.threads[id].context.registers_mut().set_result(0, 0);
            return Some(yielding::yield_now(&mut self.kernel, shared, &shared.cpus[cpu]));
        }
        if number >= tessera_abi::syscall::number::gate_call {
            return None;
        }
        let result = quick::call(&mut self.kernel, shared, &shared.cpus[cpu], quick::handler(number)?, &words);
        if result == CallResult::COMMON {
            return None;
        }
        let status = result.status & !CallResult::UNFINISHED;
        self.kernel.threads[id].context.registers_mut().set_result(status, result.value);
        Some(status == result.status)
    }

    /// Hands on to the serial line what it takes, as a CPU does that leaves the kernel.
    pub fn feed_line(&mut self) {
        let (cpu, console) = (tessera_arch::cpu_index(), &self.kernel.shared.console);
        if console.is_due() && console.send(cpu) {
            self.kernel.scheduler.cpus[cpu].need_resched.set(true);
        }
    }

    /// Enters a space by the fast path, and by the common one if that is needed, as the entry code does.
    ///
    /// # Errors
    /// Those of `space_switch`.
    pub fn switch_fast(&mut self, space: Handle) -> Result<u64, Error> {
        let cpu = tessera_arch::cpu_index();
        let id = running::current(&self.kernel, cpu).expect("some thread runs");
        let registers = self.kernel.threads[id].context.registers();
        let (ip, sp) = (registers.instruction_pointer(), registers.stack_pointer());
        let line = &self.kernel.shared.cpus[cpu];
        let mut result = switch::space_switch(line, space, ip, sp);
        if result == CallResult::COMMON
            && let Some(number) = lock_path::goal(self.kernel.shared, line, space)
        {
            let place = UserPlace { instruction_pointer: ip, stack_pointer: sp };
            result = lock_path::switch(&mut self.kernel, line, (number, space), place);
        }
        if result == CallResult::COMMON {
            return self.call(Call::SpaceSwitch { space });
        }
        Error::from_status(result.status).map(|()| result.value)
    }

    /// Makes an object by a call that gives a handle.
    ///
    /// # Panics
    /// If the call is refused.
    pub fn make(&mut self, call: Call) -> Handle {
        match self.call(call) {
            Ok(bits) => Handle::from_bits(bits),
            Err(error) => panic!("{call:?}: {error}"),
        }
    }

    /// A new segment.
    pub fn segment(&mut self, length_bytes: u64, flags: u64) -> Handle {
        self.make(Call::SegmentCreate { account: self.account, length_bytes, flags })
    }

    /// A segment over `pages` frames from `first_frame` on that are not the machine's memory: they can be mapped,
    /// in pages as large as their numbers allow, but neither read nor written.
    pub fn borrow_frames(&mut self, first_frame: u64, pages: u64) -> Handle {
        let account = self.kernel.accounts.insert(Account::new(u64::MAX, None));
        let range = PhysRange { start: Frame::new(first_frame).start(), length_bytes: pages * PAGE_BYTES };
        let segment = Segment::borrowing(account, range).expect("a host has memory");
        self.kernel.charge(&segment);
        self.kernel.accounts.release(account);
        let id = self.kernel.segments.insert(segment);
        self.kernel.insert_first(self.table_id, ObjectRef::Segment(id))
    }

    /// A program of its own, in the same space: a table with so many slots and a started thread that uses it.
    pub fn new_program(&mut self, slots: u64, priority: u64) -> (Handle, ThreadId) {
        let table = self.make(Call::TableCreate { account: self.account, slots });
        let call = Call::ThreadCreate { account: self.account, table, space: self.space, priority };
        let (thread, id) = self.new_thread(call);
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
        self.call(start).expect("a new thread can be started");
        (table, id)
    }

    /// A new thread: its handle, and its name in the kernel.
    pub fn new_thread(&mut self, call: Call) -> (Handle, ThreadId) {
        let handle = self.make(call);
        let ObjectRef::Thread(id) = self.object(handle) else { panic!("{call:?} makes a thread") };
        (handle, id)
    }

    /// Lets others run until this thread does, which must be of the highest priority there is.
    pub fn let_run(&mut self, thread: ThreadId) {
        for _ in 0..1000 {
            if running::current(&self.kernel, 0) == Some(thread) {
                return;
            }
            self.call(Call::YieldNow {}).expect("nothing stands against yielding");
        }
        panic!("{thread:?} never runs");
    }

    /// A new space without anything.
    pub fn new_space(&mut self) -> Handle {
        self.make(Call::SpaceCreate { account: self.account })
    }

    /// Maps; see the system call.
    ///
    /// # Errors
    /// The call's own.
    pub fn map(
        &mut self,
        target: Handle,
        segment: Handle,
        offset: u64,
        address: u64,
        length_bytes: u64,
        rights: Rights,
    ) -> Result<u64, Error> {
        self.call(Call::Map { target, segment, offset, address, length_bytes, rights })
    }

    /// Makes a call that fills in a structure.
    ///
    /// # Errors
    /// The call's own.
    pub fn info<T: Words>(&mut self, call: impl FnOnce(u64) -> Call) -> Result<T, Error> {
        self.call(call(BUFFER))?;
        let mut bytes = vec![0; T::BYTES];
        self.read(BUFFER, &mut bytes);
        let words: Vec<u64> =
            bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or([0; 8]))).collect();
        Ok(T::read(&words))
    }

    /// Reads memory as the current thread would.
    ///
    /// # Panics
    /// If it could not.
    pub fn read(&self, address: u64, bytes: &mut [u8]) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            let physical = self.physical(address + index as u64, Rights::READ);
            tessera_arch::read_physical(physical, core::slice::from_mut(byte));
        }
    }

    /// Writes memory as the current thread would.
    ///
    /// # Panics
    /// If it could not.
    pub fn write(&self, address: u64, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let physical = self.physical(address + index as u64, Rights::WRITE);
            tessera_arch::write_physical(physical, core::slice::from_ref(byte));
        }
    }

    fn physical(&self, address: u64, needed: Rights) -> tessera_arch::PhysAddr {
        let current = running::current(&self.kernel, tessera_arch::cpu_index()).expect("some thread runs");
        let root = self.kernel.spaces[running::space_of(&self.kernel, current)].map.tree.root;
        let found = walker::translate(root, address).filter(|found| found.rights.contains(needed));
        found.unwrap_or_else(|| panic!("{address:#x} cannot be used for {needed:?}")).physical
    }

    /// The space that a handle in the program's table names.
    pub fn space_id(&self, handle: Handle) -> SpaceId {
        match self.object(handle) {
            ObjectRef::Space(id) => id,
            other => panic!("{other:?} is no space"),
        }
    }

    /// What a handle in the program's table names.
    pub fn object(&self, handle: Handle) -> ObjectRef {
        let table = &self.kernel.tables[self.table_id];
        let slot = table.slot_of(handle).expect("the handle is valid");
        self.kernel.object_of(table.record(slot).object).expect("the slot is in use")
    }
}

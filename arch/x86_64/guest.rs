//! A guest's registers: from its page of state and back.

use core::ptr::null_mut;

use super::context::ThreadContext;
use super::floating;
use super::percpu::this;
use super::registers::{CALL_MARK, FIRST_FLAGS, Frame, GuestPart, IS_FLOATING_NEW, IS_GUEST, Registers};
use crate::Table;
use crate::guest::{self, Common, CommonPlaces, GuestPage};

/// Flags that programs can change: CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID (SDM volume 1, 3.4.3).
pub(super) const USER_FLAGS: u64 = 0x24_0dd5;

/// The trap flag: a debug exception behind each instruction.
const TRAP_FLAG: u64 = 0x100;

/// Words of floating point that FXSAVE writes, and the one that holds MXCSR in its lower half.
const FLOATING_WORDS: usize = 52;
const MXCSR_WORD: usize = floating::MXCSR_BYTE / 8;

impl ThreadContext {
    /// The registers of a guest, in their first state, which are put into its page.
    pub fn guest(page: &'static Table) -> ThreadContext {
        let mut context = ThreadContext::new();
        let state = context.state_mut();
        state.floating.write(floating::FIRST.clone());
        state.guest.write(GuestPart { page: Some(page), runner: null_mut() });
        state.marks = IS_GUEST;
        context.store_guest(&page[..]);
        context
    }

    /// Takes a guest's registers from its page, and whether it executes one instruction only; gives whether they are fit to be
    /// used, and changes nothing that lasts if they are not. The context is a guest's, and not current; the thread that runs it
    /// is.
    pub fn load_guest(&mut self, page: &GuestPage, steps: bool) -> bool {
        let is_sound = self.load_registers(page, steps);
        let can_go_back = !steps && this().has_base_instructions.get();
        self.part().runner = if can_go_back { this().current.get() } else { null_mut() };
        is_sound
    }

    /// The same of any context that is not current.
    pub(super) fn load_registers(&mut self, page: &GuestPage, steps: bool) -> bool {
        let Some(common) = Common::read(page) else { return false };
        let state = self.state_mut();
        state.registers.bases = [common.thread_pointer, common.second_pointer];
        let frame = &mut state.registers.frame;
        let step = if steps { TRAP_FLAG } else { 0 };
        (frame.vector, frame.error, frame.rip, frame.rsp) = (0, 0, common.instruction_pointer, common.stack_pointer);
        frame.rflags = common.flags & USER_FLAGS | FIRST_FLAGS | step;
        let mut general = [0; 15];
        guest::read_words(page, guest::GENERAL, &mut general);
        [frame.rax, frame.rbx, frame.rcx, frame.rdx, frame.rsi, frame.rdi, frame.rbp, ..] = general;
        [.., frame.r8, frame.r9, frame.r10, frame.r11, frame.r12, frame.r13, frame.r14, frame.r15] = general;
        // SAFETY: it was filled when the guest was made.
        let words = unsafe { state.floating.assume_init_mut() }.words_mut();
        guest::read_words(page, guest::FLOATING, &mut words[..FLOATING_WORDS]);
        words[MXCSR_WORD] &= floating::control_bits();
        state.steps = steps;
        true
    }

    /// What only a guest has.
    #[inline(always)]
    fn part(&mut self) -> &mut GuestPart {
        // SAFETY: as in `begin_run`.
        unsafe { self.state_mut().guest.assume_init_mut() }
    }

    /// Has the run that was loaded end by the common path.
    pub fn end_commonly(&mut self) {
        self.part().runner = null_mut();
    }

    /// Begins to run a guest in the place of the current thread, whose registers the entry code has saved; gives where the entry code
    /// finds the context to load all the rest into the CPU, or 0 if this is for the common path. Nothing has changed that lasts then.
    #[inline(always)]
    pub fn begin_run(&mut self) -> u64 {
        let cpu = this();
        let state = self.state_mut();
        // SAFETY: a guest's has been there from the beginning.
        let part = unsafe { state.guest.assume_init_mut() };
        let Some(page) = part.page else { return 0 };
        let page = &page[..];
        let Registers { bases: [thread_pointer, second_pointer], frame } = &mut state.registers;
        let Frame { rsp: stack_pointer, rip: instruction_pointer, .. } = frame;
        let to = CommonPlaces { stack_pointer, instruction_pointer, thread_pointer, second_pointer };
        if !Common::read_plain(page, to) || !cpu.has_base_instructions.get() {
            return 0;
        }
        frame.rflags = Common::read_flags(page) & USER_FLAGS | FIRST_FLAGS;
        part.runner = cpu.current.get();
        core::ptr::from_mut(state).addr() as u64
    }

    /// Makes the registers of a thread fit to go on with that has run a guest, and comes back from it by the common path: the entry code
    /// has saved what a call keeps, and nothing else says anything. The context is not current.
    pub fn come_back(&mut self) {
        let state = self.state_mut();
        state.registers.forget_scratch();
        let frame = &mut state.registers.frame;
        (frame.rdi, frame.rsi, frame.vector) = (0, 0, CALL_MARK);
        state.marks &= !IS_FLOATING_NEW;
    }

    /// Ends the run of a guest that is current and has made a system call; the entry code has put its general registers into its page,
    /// and does so with the rest, and with why it came out. Gives where that finds the context of the thread that goes on, or 0 if
    /// this is for the common path.
    #[inline(always)]
    pub fn end_run(&mut self) -> u64 {
        self.part().runner.addr() as u64
    }

    /// Puts them there. The context is not current, and has been, or is new. It executes as many instructions as it likes from here on.
    pub fn store_guest(&mut self, page: &GuestPage) {
        let state = self.state();
        let frame = &state.registers.frame;
        let own = if state.steps { USER_FLAGS & !TRAP_FLAG } else { USER_FLAGS };
        let [thread_pointer, second_pointer] = state.registers.bases;
        Common {
            stack_pointer: frame.rsp,
            instruction_pointer: frame.rip,
            flags: frame.rflags & own,
            thread_pointer,
            second_pointer,
        }
        .write(page);
        let low = [frame.rax, frame.rbx, frame.rcx, frame.rdx, frame.rsi, frame.rdi, frame.rbp];
        let high = [frame.r8, frame.r9, frame.r10, frame.r11, frame.r12, frame.r13, frame.r14, frame.r15];
        guest::write_words(page, guest::GENERAL, &low);
        guest::write_words(page, guest::GENERAL + low.len(), &high);
        // SAFETY: it was filled when the guest was made, and each time that it was left.
        let floating = unsafe { state.floating.assume_init_ref() };
        guest::write_words(page, guest::FLOATING, &floating.words()[..FLOATING_WORDS]);
        self.state_mut().steps = false;
    }
}

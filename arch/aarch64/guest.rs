//! A guest's registers: from its page of state and back.

use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

use super::context::ThreadContext;
use super::floating;
use super::percpu;
use super::registers::{GuestPart, Registers, USER_PSTATE};
use crate::Table;
use crate::guest::{self, Common, CommonPlaces, GuestPage};

/// What a program can change in PSTATE: N, Z, C, V, TCO, DIT, SSBS, BTYPE (DDI 0487, C5.2.18 "SPSR_EL1").
pub(super) const USER_FLAGS: u64 = 0xf300_1c00;

/// PSTATE.SS: the instruction to be executed is the one that is asked for.
const STEP_FLAG: u64 = 1 << 21;

impl ThreadContext {
    /// The registers of a guest, in their first state, which are put into its page.
    pub fn guest(page: &'static Table) -> ThreadContext {
        let mut context = ThreadContext::new();
        let state = context.state_mut();
        state.floating.write(floating::FIRST.clone());
        (state.registers.is_guest, state.registers.is_floating_new) = (true, false);
        state.guest.write(GuestPart { page: Some(page), runner: null_mut() });
        context.store_guest(&page[..]);
        context
    }

    /// Takes a guest's registers from its page, and whether it executes one instruction only; gives whether they are fit to be
    /// used, and changes nothing that lasts if they are not. The context is a guest's, and not current; the thread that runs it
    /// is.
    pub fn load_guest(&mut self, page: &GuestPage, steps: bool) -> bool {
        let is_sound = self.load_registers(page, steps);
        let runner = if steps { null_mut() } else { percpu::current().context.load(Relaxed) };
        self.part().runner = runner;
        is_sound
    }

    /// The same of any context that is not current.
    pub(super) fn load_registers(&mut self, page: &GuestPage, steps: bool) -> bool {
        let Some(common) = Common::read(page) else { return false };
        let state = self.state_mut();
        let registers = &mut state.registers;
        guest::read_words(page, guest::GENERAL, &mut registers.general);
        registers.stack_pointer = common.stack_pointer;
        registers.instruction_pointer = common.instruction_pointer;
        registers.flags = common.flags & USER_FLAGS | USER_PSTATE | if steps { STEP_FLAG } else { 0 };
        registers.thread_pointer = common.thread_pointer;
        (registers.is_floating_new, registers.steps) = (false, steps);
        // SAFETY: it was filled when the guest was made.
        let (vectors, control) = unsafe { state.floating.assume_init_mut() }.words_mut();
        guest::read_words(page, guest::FLOATING, vectors);
        guest::read_words(page, guest::FLOATING + vectors.len(), control);
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
        let state = self.state_mut();
        // SAFETY: a guest's has been there from the beginning.
        let part = unsafe { state.guest.assume_init_mut() };
        let Some(page) = part.page else { return 0 };
        let page = &page[..];
        let Registers { stack_pointer, instruction_pointer, thread_pointer, .. } = &mut state.registers;
        let second_pointer = &mut 0;
        let to = CommonPlaces { stack_pointer, instruction_pointer, thread_pointer, second_pointer };
        if !Common::read_plain(page, to) {
            return 0;
        }
        state.registers.flags = Common::read_flags(page) & USER_FLAGS | USER_PSTATE;
        part.runner = percpu::current().context.load(Relaxed);
        core::ptr::from_mut(state).addr() as u64
    }

    /// Makes the registers of a thread fit to go on with that has run a guest, and comes back from it by the common path: the entry code
    /// has saved what a call keeps, and nothing else says anything. The context is not current.
    pub fn come_back(&mut self) {
        self.registers_mut().forget_scratch();
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
        let registers = &state.registers;
        Common {
            stack_pointer: registers.stack_pointer,
            instruction_pointer: registers.instruction_pointer,
            flags: registers.flags & USER_FLAGS,
            thread_pointer: registers.thread_pointer,
            second_pointer: 0,
        }
        .write(page);
        guest::write_words(page, guest::GENERAL, &registers.general);
        // SAFETY: it was filled when the guest was made, and each time that it was left.
        let (vectors, control) = unsafe { state.floating.assume_init_ref() }.words();
        guest::write_words(page, guest::FLOATING, vectors);
        guest::write_words(page, guest::FLOATING + vectors.len(), control);
        self.state_mut().registers.steps = false;
    }
}

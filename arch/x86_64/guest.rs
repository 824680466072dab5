//! A guest's registers: from its page of state and back.

use super::context::ThreadContext;
use super::floating;
use super::registers::{FIRST_FLAGS, IS_GUEST};
use crate::guest::{self, Common, GuestPage};

/// Flags that programs can change: CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID (SDM volume 1, 3.4.3).
const USER_FLAGS: u64 = 0x24_0dd5;

/// The trap flag: a debug exception behind each instruction.
const TRAP_FLAG: u64 = 0x100;

/// Words of floating point in the page, and the one that holds MXCSR in its lower half.
const FLOATING_WORDS: usize = 64;
const MXCSR_WORD: usize = 3;

impl ThreadContext {
    /// Takes a guest's registers from its page, and whether it executes one instruction only; gives whether they are fit to be
    /// used, and changes nothing that lasts if they are not. The context is a guest's, and not current.
    pub fn load_guest(&mut self, page: &GuestPage, steps: bool) -> bool {
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
        let words = floating::State::uninitialised_words(&mut state.floating);
        guest::read_words(page, guest::FLOATING, words);
        words[MXCSR_WORD] &= floating::control_bits();
        (state.marks, state.steps) = (IS_GUEST, steps);
        true
    }

    /// Puts them there. The context is not current, and was.
    pub fn store_guest(&self, page: &GuestPage) {
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
        // SAFETY: `load_guest` has filled it, before the guest ran.
        let floating = unsafe { state.floating.assume_init_ref() };
        guest::write_words(page, guest::FLOATING, &floating.words()[..FLOATING_WORDS]);
    }
}

//! Calls with all registers set, and a look at all of them behind that. For tests of the kernel and of libvas.

use core::mem::MaybeUninit;

use super::machine::{EveryRegister, ExtraRegisters, GENERAL_WORDS, function_call_with, system_call_with};

/// What serves a gate and sees all registers as a call leaves them.
pub trait Probe: 'static {
    /// Looks at what is in registers where a call begins, and says what is to be there when the system call is made with
    /// which it ends: [`EveryRegister::calling`] says which. If that comes back, the thread faults with all that it has.
    fn probe(seen: &EveryRegister) -> EveryRegister;
}

/// Words that tell a number from others, wherever they lie. They are addresses that a program may have.
pub(crate) fn marked_words<const COUNT: usize>(mark: u64) -> [u64; COUNT] {
    core::array::from_fn(|index| mark << 16 | 0x1000 | index as u64)
}

pub(crate) extern "C" fn probed<P: Probe>(registers: &mut EveryRegister) {
    registers.extra = read_extra();
    *registers = P::probe(registers);
    registers.extra.load();
}

/// What is in the registers beside the general ones.
pub fn read_extra() -> ExtraRegisters {
    let mut place = MaybeUninit::uninit();
    let found = ExtraRegisters::save(&mut place);
    // Reading may have changed one.
    found.load();
    found.clone()
}

/// Makes a system call with all registers as they are said to be; gives what they are afterwards. The extra ones stay so.
///
/// # Safety
/// 1. The call changes registers only.
pub unsafe fn probe_system_call(before: &EveryRegister) -> EveryRegister {
    probe(before, |general, after| {
        // SAFETY: the caller's promise.
        unsafe { system_call_with(general, after) }
    })
}

/// Calls a function with one argument, with all other registers as they are said to be, but for the one that holds the function's
/// address; gives what they are afterwards. The extra ones stay so.
pub fn probe_function<T>(function: extern "C" fn(&mut T), argument: &mut T, before: EveryRegister) -> EveryRegister {
    let argument = core::ptr::from_mut(argument).expose_provenance() as u64;
    let before = before.calling([function as *const () as usize as u64, argument, 0, 0]);
    probe(&before, |general, after| {
        // SAFETY: the function takes what the argument leads to, which is borrowed from the caller.
        unsafe { function_call_with(general, after) }
    })
}

fn probe(before: &EveryRegister, call: impl FnOnce(&[u64; GENERAL_WORDS], &mut [u64; GENERAL_WORDS])) -> EveryRegister {
    let mut general = [0; GENERAL_WORDS];
    before.extra.load();
    call(&before.general, &mut general);
    EveryRegister { general, extra: read_extra() }
}

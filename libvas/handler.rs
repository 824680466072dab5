//! Handlers: gates that are asked what is to become of a thread that cannot go on, or makes a call.

use core::marker::PhantomData;

use crate::call::{perform, perform_unchecked};
use crate::gate::{Answer, Called, Serve};
use crate::{Cap, Error, Gate, Handle, Rights, Space, Subtree, Thread};
use tessera_abi::Call;
use tessera_abi::guest::{GuestState, OWN_NUMBER};
use tessera_abi::upcall::{self, UpcallKind, asked_of};

pub use tessera_abi::guest::GuestException;

/// What a handler is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upcall {
    /// The thread used memory that is not there, or not for that.
    Fault {
        /// Where.
        address: u64,
        /// What it tried: `READ`, `WRITE` or `EXECUTE`.
        access: Rights,
        /// Where that lies in the subtree that has the handler, bytes from its beginning; else the address.
        place: u64,
    },
    /// It did something else that it cannot do.
    Exception {
        /// What; `Err` with the architecture's own number.
        what: Result<GuestException, u64>,
        /// Where: the instruction, or the address that it could not use.
        address: u64,
    },
    /// It executed one instruction.
    Step,
    /// It came to a breakpoint.
    Breakpoint {
        /// Where.
        address: u64,
    },
    /// It is about to make a system call.
    Call {
        /// Its number.
        number: u64,
        /// Its first arguments; zeros for who may not see registers.
        arguments: [u64; 3],
    },
    /// A system call of it is over.
    Return {
        /// Its number.
        number: u64,
        /// What it gives: a value, or why it was refused.
        result: Result<u64, u64>,
    },
}

impl Upcall {
    /// What the words of a call tell; `None` if the kernel did not write them.
    pub fn of(words: [u64; 6]) -> Option<Upcall> {
        let [kind, number, second, third, fourth, _] = words;
        Some(match UpcallKind::from_number(kind)? {
            UpcallKind::Fault => {
                let access = [Rights::READ, Rights::WRITE, Rights::EXECUTE].get(third as usize).copied()?;
                Upcall::Fault { address: second, access, place: fourth }
            }
            UpcallKind::Exception => Upcall::Exception { what: exception(number), address: second },
            UpcallKind::Step => Upcall::Step,
            UpcallKind::Breakpoint => Upcall::Breakpoint { address: second },
            UpcallKind::Call => Upcall::Call { number, arguments: [second, third, fourth] },
            UpcallKind::Return => Upcall::Return { number, result: if second == 0 { Ok(third) } else { Err(second) } },
        })
    }
}

fn exception(number: u64) -> Result<GuestException, u64> {
    use GuestException::{Address, Arithmetic, Instruction, Wait};
    let known = [Instruction, Address, Arithmetic, Wait].into_iter().find(|what| *what as u64 == number);
    known.ok_or(number & !OWN_NUMBER)
}

/// What a handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It does not see to this: whoever comes next is asked. A call is made.
    Pass,
    /// The thread goes on with its registers as they are now: a fault's instruction is executed again, a call is made.
    Resume,
    /// The call is not made, or has another result than it had: a value, or an error. Not for faults.
    Cancel(Result<u64, Error>),
    /// The thread ends.
    End,
}

impl Decision {
    fn words(self) -> [u64; 6] {
        let words = |answer: upcall::Answer, status, value| [answer as u64, status, value, 0, 0, 0];
        match self {
            Decision::Pass => words(upcall::Answer::Pass, 0, 0),
            Decision::Resume => words(upcall::Answer::Resume, 0, 0),
            Decision::Cancel(Ok(value)) => words(upcall::Answer::Cancel, 0, value),
            Decision::Cancel(Err(error)) => words(upcall::Answer::Cancel, error.status(), 0),
            Decision::End => words(upcall::Answer::End, 0, 0),
        }
    }
}

/// What is done when a handler is asked. It runs on the thread that it is asked about, on one of the gate's stacks.
pub trait Decide: 'static {
    /// Decides about a thread; the badge is that of the capability by which the gate was made a handler. A panic, a fault or an exit
    /// in here passes a fault on, and ends a thread that was about to make a call.
    fn decide(badge: u64, upcall: Upcall) -> Decision;
}

/// A [`Decide`] as the service of a gate: `Gate::serving::<Deciding<D>>`.
#[derive(Debug)]
pub struct Deciding<D>(PhantomData<D>);

impl<D: Decide> Serve for Deciding<D> {
    // Whoever was interrupted has its vector registers kept by the kernel, which clears them before and after.
    const TRUSTS: bool = true;

    fn serve(called: Called) -> Answer {
        let decision = Upcall::of(called.words).map_or(Decision::Pass, |upcall| D::decide(called.badge, upcall));
        Answer { words: decision.words(), given: None }
    }
}

/// The registers of the thread that the calling one is a handler for; the first four words mean nothing.
///
/// # Errors
/// `BadState` outside of a handler, `MissingRight` if this one may not see them: only a thread's may, that was set by a capability
/// with `REGISTERS`.
pub fn interrupted_registers() -> Result<GuestState, Error> {
    let mut words = [0; GuestState::WORDS];
    let buffer = words.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: the kernel writes to the words, and no more of them than there are.
    unsafe { perform_unchecked(Call::InterruptedRead { buffer }) }?;
    Ok(GuestState::from_words(&words))
}

/// Has the thread go on with these registers that the calling one is a handler for.
///
/// # Errors
/// As [`interrupted_registers`]; `BadAddress` for a pointer that is no user address.
///
/// # Safety
/// What the thread does with them is no breach of what its code relies on.
pub unsafe fn set_interrupted_registers(state: &GuestState) -> Result<(), Error> {
    let mut words = [0; GuestState::WORDS];
    words.iter_mut().zip(state.words()).for_each(|(to, word)| *to = word);
    let buffer = words.as_ptr().expose_provenance() as u64;
    // SAFETY: the kernel reads the words; what comes of that is the caller's promise.
    unsafe { perform_unchecked(Call::InterruptedWrite { buffer }) }.map(|_| ())
}

/// Of what a thread's handler is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Its faults and exceptions.
    pub faults: bool,
    /// Its system calls, before they are made.
    pub calls: bool,
    /// Its system calls, when they are over.
    pub returns: bool,
}

impl Cap<Thread> {
    /// Makes a gate the thread's handler, in the place of the one that it had.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`; `CALL` on the gate), `BadArgument` if it is asked of nothing, `BadState` for a thread that has ended,
    /// `Gone` for a gate that is closed, `AccountExhausted`, `OutOfMemory`.
    ///
    /// # Safety
    /// What the handler decides, and writes to registers, is no breach of what the thread's code relies on.
    pub unsafe fn set_handler(&self, gate: &Cap<Gate>, asks: Asks) -> Result<(), Error> {
        let Asks { faults, calls, returns } = asks;
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        let asks = flag(faults, asked_of::FAULTS) | flag(calls, asked_of::CALLS) | flag(returns, asked_of::RETURNS);
        let call = Call::HandlerSet { object: self.handle(), gate: gate.handle(), asks };
        // SAFETY: the caller's promise.
        unsafe { perform_unchecked(call) }.map(|_| ())
    }

    /// The thread has no handler any more.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn clear_handler(&self) -> Result<(), Error> {
        clear(self.handle())
    }
}

impl Cap<Space> {
    /// Makes a gate the handler of the space: it is asked of faults of threads in it.
    ///
    /// # Errors
    /// As for a thread's.
    pub fn set_handler(&self, gate: &Cap<Gate>) -> Result<(), Error> {
        set(self.handle(), gate)
    }

    /// The space has no handler any more.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn clear_handler(&self) -> Result<(), Error> {
        clear(self.handle())
    }
}

impl Cap<Subtree> {
    /// Makes a gate the handler of the subtree: it is asked of accesses to what lies in it.
    ///
    /// # Errors
    /// As for a thread's.
    pub fn set_handler(&self, gate: &Cap<Gate>) -> Result<(), Error> {
        set(self.handle(), gate)
    }

    /// The subtree has no handler any more.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn clear_handler(&self) -> Result<(), Error> {
        clear(self.handle())
    }
}

fn set(object: Handle, gate: &Cap<Gate>) -> Result<(), Error> {
    perform(Call::HandlerSet { object, gate: gate.handle(), asks: asked_of::FAULTS }).map(|_| ())
}

fn clear(object: Handle) -> Result<(), Error> {
    perform(Call::HandlerSet { object, gate: Handle::NONE, asks: 0 }).map(|_| ())
}

//! `process_vm_exec`, in the words of "Allow executing code and syscalls in another address space" (Andrei Vagin, linux-kernel, April
//! 2021): code runs in another space with registers that are handed over, until it makes a system call or gets a signal.
//!
//! Where that post names a process, a capability to a space stands, as its discussion wished for. So its second mode, in which one
//! system call works on the other space, is not there: `map`, `unmap` and `protect` name the space that they change.

use crate::guest::{End, GuestContext, GuestException};
use crate::{Account, Cap, Enterable, Error, Guest, Rights};

pub use crate::guest::{arguments_of, set_result_of, state_bytes as context_bytes};
/// The registers that code begins with, and those that it had when it came back: the post's `sigcontext`. The first four words mean
/// nothing here.
pub use tessera_abi::guest::GuestState as Context;

/// Why code came back: what the post's `siginfo` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGSYS`: it made a system call, with this number.
    Sys(u64),
    /// `SIGSEGV`: it used memory that is not there, or not for that.
    Segv {
        /// Where.
        address: u64,
        /// What it tried: `READ`, `WRITE` or `EXECUTE`.
        access: Rights,
    },
    /// `SIGILL`: the instruction at this address cannot be executed.
    Ill(u64),
    /// `SIGBUS`: it used this address, or the instruction there one that it does not allow.
    Bus(u64),
    /// `SIGFPE`: the arithmetic at this address has no result.
    Fpe(u64),
    /// `SIGTRAP`: it came to a breakpoint.
    Trap,
    /// `SIGINT`: somebody kicked it ([`Executor::guest`]).
    Int,
}

/// What a thread executes code elsewhere with: one for each thread that does so at a time. Nothing of the code stays in it.
#[derive(Debug)]
pub struct Executor {
    guest: GuestContext,
    first: Context,
}

impl Executor {
    /// Makes one.
    ///
    /// # Errors
    /// Those of [`GuestContext::new`].
    pub fn new(account: &Cap<Account>) -> Result<Executor, Error> {
        let guest = GuestContext::new(account)?;
        let first = guest.state();
        Ok(Executor { guest, first })
    }

    /// What runs, to be kicked from another thread.
    pub fn guest(&self) -> &Cap<Guest> {
        self.guest.guest()
    }

    /// A context whose registers are all zero, and floating point as a new thread finds it.
    pub fn first_context(&self) -> Context {
        self.first.clone()
    }

    /// Executes code in a space, with these registers, until it makes a system call or gets a signal; the context has its registers
    /// then. The call is the caller's to serve.
    ///
    /// # Errors
    /// Those of [`GuestContext::run`]. If code has not run, the context is as it was.
    ///
    /// # Safety
    /// What the code does to memory of this program that the space has is fit to be done.
    pub unsafe fn process_vm_exec(&self, space: &Cap<impl Enterable>, context: &mut Context) -> Result<Signal, Error> {
        self.guest.set_state(context);
        // SAFETY: the caller's promise.
        let end = unsafe { self.guest.run(space) };
        *context = self.guest.state();
        Ok(match end? {
            End::Call(number) => Signal::Sys(number),
            End::Fault { address, access } => Signal::Segv { address, access },
            End::Exception { what: Ok(GuestException::Address), address } => Signal::Bus(address),
            End::Exception { what: Ok(GuestException::Arithmetic), address } => Signal::Fpe(address),
            End::Exception { address, .. } => Signal::Ill(address),
            End::Breakpoint | End::Step => Signal::Trap,
            End::Kick | End::Deadline => Signal::Int,
        })
    }
}

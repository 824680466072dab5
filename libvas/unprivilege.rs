//! `unprivilege`, in the words of "new virtualization syscall to improve uml performance?" (Jeff Dike, uml-devel, January 2002): a
//! context without privileges is created, run until it makes a system call or gets a signal, and goes on with that cancelled or not.
//!
//! What runs a context disappears from it, as that post wants: the context's space need not have anything of the program, and entering it
//! and losing all capabilities is one step.

use crate::guest::{End, GuestContext};
use crate::raw::{self, GUEST_CALL};
use crate::{Account, Cap, Enterable, Error};

/// `UNPRIV_BUFSIZE`: how many bytes a context's buffer has, so that programs need not know all registers of future machines.
pub use crate::guest::state_bytes as bufsize;

/// The buffer of an unprivileged context, and where it runs.
#[derive(Debug)]
pub struct Context<'a, S: Enterable> {
    guest: GuestContext,
    space: &'a Cap<S>,
    pending: Option<u64>,
}

/// `UNPRIV_CREATE`: a context that is about to run a procedure on a stack, with an argument. It does not run yet.
///
/// # Errors
/// Those of [`GuestContext::new`].
pub fn create<'a, S: Enterable>(
    account: &Cap<Account>,
    space: &'a Cap<S>,
    stack_pointer: u64,
    procedure: u64,
    argument: u64,
) -> Result<Context<'a, S>, Error> {
    let guest = GuestContext::new(account)?;
    guest.set_stack_pointer(stack_pointer);
    guest.set_instruction_pointer(procedure);
    guest.set_arguments([argument, 0]);
    Ok(Context { guest, space, pending: None })
}

impl<S: Enterable> Context<'_, S> {
    /// The registers, to be read and changed.
    pub fn registers(&self) -> &GuestContext {
        &self.guest
    }

    /// `UNPRIV_RUN`: what is pending happens, then the context runs until the next event. A pending system call is made here, with the
    /// caller's capabilities, and the context finds what it gives; a fault's instruction is executed again.
    ///
    /// # Errors
    /// Those of [`GuestContext::run`].
    ///
    /// # Safety
    /// What the context does to memory of this program that its space has is fit to be done. So is a pending call: that it ends this
    /// thread, leaves this space or writes where it says, for instance.
    pub unsafe fn run(&mut self) -> Result<End, Error> {
        if let Some(number) = self.pending.take() {
            // SAFETY: the caller's promise.
            let (status, value) = unsafe { raw::call(number, self.guest.call_arguments()) };
            self.guest.set_general(GUEST_CALL.result, status);
            self.guest.set_general(GUEST_CALL.value, value);
        }
        // SAFETY: the caller's promise.
        unsafe { self.go_on() }
    }

    /// `UNPRIV_CANCEL`: the context runs until the next event without what is pending having happened. A system call's results are
    /// what the caller has put into registers; a fault's instruction is executed again.
    ///
    /// # Errors
    /// Those of [`GuestContext::run`].
    ///
    /// # Safety
    /// What the context does to memory of this program that its space has is fit to be done.
    pub unsafe fn cancel(&mut self) -> Result<End, Error> {
        self.pending = None;
        // SAFETY: the caller's promise.
        unsafe { self.go_on() }
    }

    unsafe fn go_on(&mut self) -> Result<End, Error> {
        // SAFETY: the caller's promise.
        let end = unsafe { self.guest.run(self.space) }?;
        self.pending = if let End::Call(number) = end { Some(number) } else { None };
        Ok(end)
    }
}

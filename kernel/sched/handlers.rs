//! Handlers of threads, spaces and subtrees: setting one, forgetting it, and finding who is asked next.

use alloc::boxed::Box;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::upcall::asked_of;
use tessera_abi::{Error, ObjectKind};
use tessera_arch::Fault;

use crate::object::derivation;
use crate::object::handler::{HANDLER_BYTES, Handler};
use crate::object::id::{AccountId, CapId, GateId, ObjectRef, SpaceId, SubtreeId, ThreadId};
use crate::object::interrupted::Asked;
use crate::object::use_pool::{Use, UseKind};
use crate::state::kernel::Kernel;

/// The handler of an object, if it has one. Threads have theirs where they have room for calls.
pub fn of(kernel: &Kernel, object: ObjectRef) -> Option<&Handler> {
    match object {
        ObjectRef::Thread(id) => kernel.threads.at(id.index()).activations.as_ref()?.handler.as_deref(),
        ObjectRef::Space(id) => kernel.spaces.at(id.index()).handler.as_deref(),
        ObjectRef::Subtree(id) => kernel.subtrees.at(id.index()).handler.as_deref(),
        _ => None,
    }
}

/// Where it is kept; a thread's if it has room for calls.
fn place(kernel: &mut Kernel, object: ObjectRef) -> Option<&mut Option<Box<Handler>>> {
    match object {
        ObjectRef::Thread(id) => Some(&mut kernel.threads.at_mut(id.index()).activations.as_mut()?.handler),
        ObjectRef::Space(id) => Some(&mut kernel.spaces.at_mut(id.index()).handler),
        ObjectRef::Subtree(id) => Some(&mut kernel.subtrees.at_mut(id.index()).handler),
        _ => None,
    }
}

fn payer(kernel: &Kernel, object: ObjectRef) -> Option<AccountId> {
    kernel.payer_of(object)
}

/// Checks that an object's account can pay for a handler.
///
/// # Errors
/// `WrongObject` if it can have none, `AccountExhausted`.
pub fn ensure(kernel: &Kernel, object: ObjectRef, more_bytes: u64) -> Result<(), Error> {
    if !matches!(object, ObjectRef::Thread(_) | ObjectRef::Space(_) | ObjectRef::Subtree(_)) {
        return Err(Error::WrongObject);
    }
    let own = if of(kernel, object).is_some() { 0 } else { HANDLER_BYTES };
    let account = payer(kernel, object).ok_or(Error::WrongObject)?;
    kernel.accounts[account].ensure(own + more_bytes)
}

/// Gives an object a handler, by a capability to its gate, instead of what it had. Account and heap have room.
pub fn set(kernel: &mut Kernel, object: ObjectRef, gate: GateId, by: CapId, (asks, sees_registers): (u64, bool)) {
    forget(kernel, object);
    let lent = kernel.lend(by, Use::handler(object.kind(), object.index()));
    let badge = derivation::record(&kernel.tables, by).badge();
    let handler = Handler { gate, lent, badge, asks, sees_registers };
    if let Some(place) = place(kernel, object) {
        *place = Some(Box::new(handler));
    }
    if let Some(account) = payer(kernel, object) {
        kernel.accounts[account].charge(HANDLER_BYTES);
    }
    kernel.shared.handlers.fetch_add(1, Relaxed);
    kernel.subtree_handlers += u32::from(matches!(object, ObjectRef::Subtree(_)));
}

/// Takes an object's handler from it, if it has one.
#[cold]
#[inline(never)]
pub fn forget(kernel: &mut Kernel, object: ObjectRef) {
    let Some(handler) = place(kernel, object).and_then(Option::take) else { return };
    derivation::take_back(&mut kernel.tables, &mut kernel.uses, handler.lent);
    if let Some(account) = payer(kernel, object) {
        kernel.accounts[account].credit(HANDLER_BYTES);
    }
    kernel.shared.handlers.fetch_sub(1, Relaxed);
    kernel.subtree_handlers -= u32::from(matches!(object, ObjectRef::Subtree(_)));
}

/// The object of which a use is the handler.
pub fn object_of(kernel: &Kernel, lent: &Use) -> Option<ObjectRef> {
    debug_assert_eq!(lent.kind, UseKind::Handler, "a use that is a handler");
    Some(match lent.object_kind()? {
        ObjectKind::Thread => ObjectRef::Thread(kernel.threads.id_at(lent.number)?),
        ObjectKind::Space => ObjectRef::Space(kernel.spaces.id_at(lent.number)?),
        ObjectKind::Subtree => ObjectRef::Subtree(kernel.subtrees.id_at(lent.number)?),
        _ => return None,
    })
}

/// What this use says has a handler loses it.
pub fn end(kernel: &mut Kernel, lent: &Use) {
    let object = object_of(kernel, lent).expect("what has a handler gives it up when it goes");
    forget(kernel, object);
}

/// Who is asked of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) asked: Asked,
    pub(super) handler: Handler,
    /// Where the address lies in what has the handler.
    pub(super) place: u64,
}

/// Who is asked next of a fault of a thread, which runs, and is in this space; the address may lie within a subtree.
pub(super) fn next(
    kernel: &Kernel,
    (id, space): (ThreadId, SpaceId),
    fault: &Fault,
    (within, asked): (Option<(SubtreeId, u64)>, Asked),
) -> Option<Next> {
    if asked < Asked::Subtree
        && let Some((subtree, place)) = within
        && let Some(handler) = of(kernel, ObjectRef::Subtree(subtree))
    {
        return Some(Next { asked: Asked::Subtree, handler: *handler, place });
    }
    let place = fault.address.value();
    if asked < Asked::Space {
        let seen = kernel.spaces.at(space.index()).seen.map(|seen| seen.base);
        let own = of(kernel, ObjectRef::Space(space));
        let handler = own.or_else(|| seen.and_then(|base| of(kernel, ObjectRef::Space(base))));
        if let Some(handler) = handler {
            return Some(Next { asked: Asked::Space, handler: *handler, place });
        }
    }
    if asked < Asked::Thread && kernel.threads.at(id.index()).depth() == 0 {
        let handler = of(kernel, ObjectRef::Thread(id)).filter(|handler| handler.asks & asked_of::FAULTS != 0)?;
        return Some(Next { asked: Asked::Thread, handler: *handler, place });
    }
    None
}

//! Calls on handlers: who is asked of a thread's faults and calls, and what that may see of it.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::guest::GuestState;
use tessera_abi::upcall::asked_of;
use tessera_abi::{Error, Handle, ObjectKind, Rights};

use super::{Caller, Result};
use crate::object::activation_stack::ACTIVATION_BYTES;
use crate::object::id::{CapId, ObjectRef, ThreadId};
use crate::object::interrupted::INTERRUPTED_BYTES;
use crate::sched::{handlers, upcall};
use crate::vm::user_memory::UserSlice;

/// Heap pages that setting a handler may take.
const HEAP_PAGES: u64 = 8;

/// Words of a state that are not registers.
const ENDS: usize = 4;

impl Caller<'_> {
    pub(super) fn handler_set(&mut self, object: Handle, gate: Handle, asks: u64) -> Result<u64> {
        let (_, what, rights) = self.capability(object)?;
        let is_thread = matches!(what, ObjectRef::Thread(_));
        if !is_thread && !matches!(what, ObjectRef::Space(_) | ObjectRef::Subtree(_)) {
            return Err(Error::WrongObject);
        }
        if !rights.contains(Rights::CONTROL) {
            return Err(Error::MissingRight);
        }
        if gate == Handle::NONE {
            return self.forget_handler(what);
        }
        let by = CapId::at(self.table(), gate.slot());
        let gate = self.number_of(gate, ObjectKind::Gate, Rights::CALL)?;
        let gate = self.kernel.gates.id_at(gate).ok_or(Error::BadHandle)?;
        let known = if is_thread { asked_of::ALL } else { asked_of::FAULTS };
        if asks == 0 || asks & !known != 0 {
            return Err(Error::BadArgument);
        }
        if !self.kernel.shared.gate_words(gate.index()).is_open() {
            return Err(Error::Gone);
        }
        if let ObjectRef::Thread(id) = what {
            self.ensure_thread(id)?;
        }
        handlers::ensure(self.kernel, what, if is_thread { ACTIVATION_BYTES + INTERRUPTED_BYTES } else { 0 })?;
        self.kernel.reserve_heap(HEAP_PAGES)?;
        if let ObjectRef::Thread(id) = what {
            upcall::prepare(self.kernel, id, asks);
        }
        handlers::set(self.kernel, what, gate, by, (asks, is_thread && rights.contains(Rights::REGISTERS)));
        Ok(0)
    }

    fn forget_handler(&mut self, what: ObjectRef) -> Result<u64> {
        if let ObjectRef::Thread(id) = what
            && handlers::of(self.kernel, what).is_some()
        {
            upcall::prepare(self.kernel, id, 0);
        }
        handlers::forget(self.kernel, what);
        Ok(0)
    }

    fn ensure_thread(&self, id: ThreadId) -> Result<()> {
        if self.kernel.threads[id].has_ended() { Err(Error::BadState) } else { Ok(()) }
    }

    #[inline(never)]
    pub(super) fn interrupted_read(&mut self, buffer: u64) -> Result<u64> {
        let page = [const { AtomicU64::new(0) }; GuestState::WORDS];
        upcall::interrupted_context(self.kernel, self.thread)?.store_interrupted(&page);
        let mut bytes = [0; GuestState::BYTES];
        for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&page) {
            *to = word.load(Relaxed).to_le_bytes();
        }
        let (skipped, registers) = (8 * ENDS as u64, &bytes[8 * ENDS..]);
        let address = buffer.checked_add(skipped).ok_or(Error::BadPointer)?;
        UserSlice::new(self.here(), address, registers.len() as u64)?.write(self.kernel, registers)?;
        Ok(0)
    }

    #[inline(never)]
    pub(super) fn interrupted_write(&mut self, buffer: u64) -> Result<u64> {
        upcall::interrupted_context(self.kernel, self.thread)?;
        let mut bytes = [0; GuestState::BYTES];
        UserSlice::new(self.here(), buffer, bytes.len() as u64)?.read(self.kernel, &mut bytes)?;
        let page = [const { AtomicU64::new(0) }; GuestState::WORDS];
        for (from, word) in bytes.as_chunks::<8>().0.iter().zip(&page) {
            word.store(u64::from_le_bytes(*from), Relaxed);
        }
        let is_fit = upcall::interrupted_context(self.kernel, self.thread)?.load_interrupted(&page);
        if is_fit { Ok(0) } else { Err(Error::BadAddress) }
    }
}

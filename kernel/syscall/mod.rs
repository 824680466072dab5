//! System calls: each checks everything first and changes nothing until nothing can be refused any more.
//!
//! One file per kind of object, with a function for each of its calls.

mod account;
mod capability;
mod gate;
mod guest;
mod handler;
mod lending;
mod machine;
mod mapping;
mod moving;
mod segment;
mod space;
mod subtree;
mod table;
mod thread;
mod view;

use tessera_abi::syscall::Argument;
use tessera_abi::{Error, Handle, ObjectKind, Rights};
use tessera_arch::CallResult;

use crate::base::console::Wait;
use crate::cpu::cap_word::CapWord;
use crate::cpu::per_cpu::PerCpu;
use crate::object::account::Account;
use crate::object::cap_table::CapTable;
use crate::object::derivation;
use crate::object::id::{AccountId, CapId, Id, MapTarget, Object, ObjectRef, SpaceId, ThreadId};
use crate::object::progress::Progress;
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::object::thread::Thread;
use crate::sched::running;
use crate::sched::turn;
use crate::state::kernel::Kernel;
use crate::vm::user_memory::{self, UserSlice};

/// The most bytes of one `console_write`.
const CONSOLE_BYTES: usize = 4096;

/// How a call that was not refused ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With this value.
    Done(u64),
    /// Not yet, or never: the result is set by whoever ends the wait, or the thread goes on elsewhere, or the call is made
    /// again ([`Caller::again`]).
    Unfinished,
}

impl From<u64> for Outcome {
    fn from(value: u64) -> Outcome {
        Outcome::Done(value)
    }
}

/// Who calls: the thread and what it holds.
pub(crate) struct Caller<'a> {
    kernel: &'a mut Kernel,
    cpu: usize,
    /// What that CPU publishes.
    line: &'static PerCpu,
    thread: ThreadId,
}

type Result<T> = core::result::Result<T, Error>;

/// Serves a call of the thread that is current on the CPU with this line, with these words of arguments. Gives what the thread finds in its
/// registers; [`CallResult::COMMON`] if the call has no result, or none yet.
pub type Handler = fn(&mut Kernel, &'static PerCpu, &[u64; 6]) -> CallResult;

#[inline(always)]
fn caller<'a>(kernel: &'a mut Kernel, line: &'static PerCpu) -> Caller<'a> {
    let cpu = line.number();
    let thread = kernel.scheduler.cpus[cpu].caller;
    Caller { kernel, cpu, line, thread }
}

#[inline(always)]
fn result_of<T: Into<Outcome>>(served: Result<T>) -> CallResult {
    match served.map(T::into) {
        Ok(Outcome::Done(value)) => CallResult { status: 0, value },
        Ok(Outcome::Unfinished) => CallResult::COMMON,
        Err(error) => CallResult { status: error.status(), value: 0 },
    }
}

macro_rules! handlers {
    ($(
        $(#[doc = $doc:literal])*
        $number:literal $name:ident $variant:ident ( $($argument:ident : $type:ty),* );
    )*) => {
        /// The functions of all calls, by number. Each is compiled for itself, with its decoding and what it checks, so that
        /// no call pays for what another needs.
        pub static HANDLERS: &[Handler] = &[$(
            |kernel, line, words| {
                #[allow(unused_mut, unused_variables, reason = "calls without arguments use none of the words")]
                #[inline(always)]
                fn served(kernel: &mut Kernel, line: &'static PerCpu, words: &[u64; 6]) -> Result<impl Into<Outcome> + use<>> {
                    let mut words = words.iter();
                    $(let $argument = <$type as Argument>::from_bits(*words.next().unwrap_or(&0))?;)*
                    caller(kernel, line).$name($($argument),*)
                }
                result_of(served(kernel, line, words))
            },
        )*];
    };
}

tessera_abi::with_system_calls!(handlers);

/// What there is of `capability_revoke` for who has not saved the caller's registers; the rest is on the common path.
pub const REVOKE_QUICKLY: Handler = lending::revoke_quickly;

/// The same of `guest_kick`.
pub const KICK_QUICKLY: Handler = guest::kick_quickly;

impl Caller<'_> {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as every call")]
    fn null(&self) -> Result<u64> {
        Ok(0)
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as every call")]
    fn clock(&self) -> Result<u64> {
        Ok(tessera_arch::now_ns())
    }

    /// The number of the table that the caller uses.
    #[inline(always)]
    fn table(&self) -> u32 {
        self.line.table_number()
    }

    /// The space that the caller is in.
    #[inline(always)]
    fn here(&self) -> SpaceId {
        // It runs, so its CPU's line knows.
        let here = self.line.presence.space();
        self.kernel.spaces.id_at(here).unwrap_or_else(|| running::space_of(self.kernel, self.thread))
    }

    /// The capability that a handle names in the caller's table.
    #[inline(always)]
    fn capability(&self, handle: Handle) -> Result<(CapId, ObjectRef, Rights)> {
        let word = self.word_of(handle)?;
        let object = self.kernel.object_of(word).ok_or(Error::BadHandle)?;
        Ok((CapId::at(self.table(), handle.slot()), object, word.rights()))
    }

    fn object(&self, handle: Handle, needed: Rights) -> Result<ObjectRef> {
        let (_, object, rights) = self.capability(handle)?;
        if rights.contains(needed) { Ok(object) } else { Err(Error::MissingRight) }
    }

    fn machine(&self, handle: Handle, needed: Rights) -> Result<()> {
        let (_, object, rights) = self.capability(handle)?;
        match object {
            ObjectRef::Machine if rights.contains(needed) => Ok(()),
            ObjectRef::Machine => Err(Error::MissingRight),
            _ => Err(Error::WrongObject),
        }
    }

    /// What the capability that a handle names permits, and to what.
    #[inline(always)]
    fn word_of(&self, handle: Handle) -> Result<CapWord> {
        let word = self.line.word_of(handle);
        word.filter(|word| *word != CapWord::FREE).ok_or(Error::BadHandle)
    }

    /// The number of the object that a handle names, if it is of this kind and the capability carries the rights.
    #[inline(always)]
    fn number_of(&self, handle: Handle, kind: ObjectKind, needed: Rights) -> Result<u32> {
        let word = self.line.word_of(handle).ok_or(Error::BadHandle)?;
        // A free slot's word is of no kind.
        let refusal = || if word == CapWord::FREE { Error::BadHandle } else { word.refusal(kind) };
        word.object(kind, needed).ok_or_else(refusal)
    }

    /// What `map` and its kin may work on: a space or a subtree.
    fn map_owner(&self, handle: Handle, needed: Rights) -> Result<MapTarget> {
        let word = self.word_of(handle)?;
        if let Some(index) = word.object(ObjectKind::Space, needed) {
            return self.kernel.spaces.id_at(index).map(MapTarget::Space).ok_or(Error::BadHandle);
        }
        if let Some(index) = word.object(ObjectKind::Subtree, needed) {
            return self.kernel.subtrees.id_at(index).map(MapTarget::Subtree).ok_or(Error::BadHandle);
        }
        Err(mapping::refusal_to_map(word))
    }

    /// The CPU with this number, if it runs.
    fn running_cpu(&self, cpu: u64) -> Result<usize> {
        usize::try_from(cpu).ok().filter(|cpu| *cpu < self.kernel.cpus()).ok_or(Error::BadArgument)
    }

    /// The account that a handle names, if it carries the rights: who it is, and whether it can pay is asked of it.
    #[inline(always)]
    fn payer(&self, handle: Handle, needed: Rights) -> Result<(AccountId, &Account)> {
        let index = self.number_of(handle, ObjectKind::Account, needed)?;
        self.kernel.accounts.look(index).ok_or(Error::BadHandle)
    }

    /// Checks what every call that makes an object needs: a free slot and room on the kernel heap.
    #[inline(always)]
    fn ensure_can_create(&mut self, heap_pages: u64) -> Result<()> {
        self.kernel.tables.at(self.table()).ensure_slot()?;
        self.kernel.reserve_heap(heap_pages)
    }

    fn write<T: tessera_abi::layout::Words>(&mut self, address: u64, value: &T) -> Result<()> {
        let here = self.here();
        user_memory::write_structure(self.kernel, here, address, value)
    }

    fn read<T: tessera_abi::layout::Words>(&mut self, address: u64) -> Result<T> {
        let here = self.here();
        user_memory::read_structure(self.kernel, here, address)
    }

    /// Reads a text argument into `buffer`.
    fn text<'b>(&mut self, address: u64, length_bytes: u64, buffer: &'b mut [u8]) -> Result<&'b str> {
        if length_bytes > buffer.len() as u64 {
            return Err(Error::BadText);
        }
        let buffer = &mut buffer[..length_bytes as usize];
        UserSlice::new(self.here(), address, length_bytes)?.read(self.kernel, buffer)?;
        core::str::from_utf8(buffer).map_err(|_| Error::BadText)
    }

    /// Where the caller's call stands, by the call's number: 0 if it begins.
    #[inline(always)]
    fn progress(&mut self, call: u64) -> u64 {
        let progress = self.kernel.threads.at(self.thread.index()).progress;
        if progress.is_any() { self.take_progress(call) } else { 0 }
    }

    /// What the call remembers, if it is the one under way. It must say anew that it is.
    #[cold]
    #[inline(never)]
    fn take_progress(&mut self, call: u64) -> u64 {
        let progress = self.kernel.threads[self.thread].progress;
        let word = progress.of_call(call);
        if progress == Progress::of(call, word) {
            self.kernel.threads[self.thread].progress = Progress::NONE;
        } else {
            // The program has put another call in the place of the one that was under way.
            self.kernel.abandon_call(self.thread);
        }
        word
    }

    /// Says that the call has done a step and is to be made again, by its number; the next step finds the word.
    #[cold]
    #[inline(never)]
    fn again(&mut self, call: u64, word: u64) -> Outcome {
        self.kernel.threads[self.thread].progress = Progress::of(call, word);
        self.kernel.scheduler.cpus[self.cpu].is_again = true;
        Outcome::Unfinished
    }

    /// Not inlined: its buffer would be part of every call's stack frame.
    #[inline(never)]
    fn console_write(&mut self, address: u64, length_bytes: u64) -> Result<Outcome> {
        if length_bytes > CONSOLE_BYTES as u64 {
            return Err(Error::BadText);
        }
        let (console, turn) = (&self.kernel.shared.console, self.kernel.threads[self.thread].console_turn());
        let wait = match console.ensure_turn(turn, length_bytes) {
            Err(wait) => wait,
            Ok(()) => {
                let mut buffer = [0; CONSOLE_BYTES];
                let text = self.text(address, length_bytes, &mut buffer)?;
                if console.program_text(text) {
                    self.kernel.threads[self.thread].set_console_turn(None);
                    return Ok(Outcome::Done(0));
                }
                Wait::FOR_ROOM
            }
        };
        // Nothing has happened: the call is made anew when the turn comes.
        tessera_arch::restart_call();
        turn::wait_for_console(self.kernel, self.cpu, self.thread, wait);
        Ok(Outcome::Unfinished)
    }

    /// Puts a capability derived from one of the caller's into a table. `word` is the new one's.
    #[inline(always)]
    fn derive_into(&mut self, parent: CapId, table: u32, word: CapWord, badge: u64) -> Result<u64> {
        let Kernel { tables, uses, .. } = &mut *self.kernel;
        let handle = derivation::insert_child(tables, uses, parent, table, (word, badge))?;
        self.kernel.retain_named(word);
        Ok(handle.bits())
    }
}

macro_rules! lookups {
    ($($function:ident $kind:ident $store:ident;)*) => {
        impl Caller<'_> {
            $(
                #[doc = concat!("The ", stringify!($kind), " that a handle names, if it carries the rights.")]
                fn $function(&self, handle: Handle, needed: Rights) -> Result<Id<<$kind as Object>::Kind>> {
                    let index = self.number_of(handle, ObjectKind::$kind, needed)?;
                    self.kernel.$store.id_at(index).ok_or(Error::BadHandle)
                }
            )*
        }
    };
}

lookups! {
    account Account accounts;
    space Space spaces;
    subtree Subtree subtrees;
    thread Thread threads;
    cap_table CapTable tables;
}

//! Gates: calls into another space, with another table, on the caller's own thread.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::call::{fill_in, perform, perform_unchecked};
use crate::{Account, Cap, CapTable, Enterable, Error, Handle, Object, Rights, Segment, Space, raw};
use tessera_abi::Call;
use tessera_abi::layout::{GateInfo, GateLayout, Words};

/// An entry point into a space, with the table and the stacks of those who come in.
///
/// Who calls leaves its space and its table behind, and finds them as they were when the callee returns. Neither side sees more of
/// the other than the words that cross, and the capabilities that go along: not in registers either, and no register of the
/// caller's is lost, those of vectors and the thread pointer included. Each side sees to its own, and can leave that away where it
/// trusts the other ([`Request::trusting`], [`Serve::TRUSTS`]); the short form does on both ([`ServeShort`], [`Cap::call_short`]).
#[derive(Debug)]
pub enum Gate {}

/// Where the threads run that come in: stacks of the same size, one behind the other, mapped in the gate's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stacks {
    /// Where the first begins; a multiple of 16.
    pub start: u64,
    /// Bytes of each, a multiple of 16.
    pub stack_bytes: u64,
    /// How many there are, 1 to 63.
    pub count: u64,
}

impl Stacks {
    /// Maps stacks in a space, from an address on where it has nothing, out of memory that the program's account pays for. They are
    /// there as long as the space, or until they are unmapped.
    ///
    /// # Errors
    /// As [`Segment::new_lazy`] and [`Cap::map`]; `BadArgument` if they are not a whole number of pages.
    pub fn new_in(space: &Cap<Space>, start: u64, stack_bytes: u64, count: u64) -> Result<Stacks, Error> {
        let length_bytes = stack_bytes.checked_mul(count).ok_or(Error::BadArgument)?;
        let memory = Segment::new_lazy(crate::program().account(), length_bytes)?;
        space.map(start, &memory, 0..length_bytes, Rights::READ_WRITE)?;
        Ok(Stacks { start, stack_bytes, count })
    }
}

/// Six words, as they cross.
pub type GateWords = [u64; 6];

/// A capability that goes along with a call, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Along {
    /// Its handle.
    pub handle: Handle,
    /// What the other side may do with it.
    pub rights: Rights,
    /// Whether this side gives it up.
    pub moves: bool,
}

impl Along {
    /// A capability that this side keeps: the other gets one that is derived from it.
    pub fn derived<T: Object>(capability: &Cap<T>, rights: Rights) -> Along {
        Along { handle: capability.handle(), rights, moves: false }
    }

    /// A capability that this side gives up. If the call is refused, it keeps it, by this handle.
    pub fn moved<T: Object>(capability: Cap<T>, rights: Rights) -> Along {
        Along { handle: capability.into_handle(), rights, moves: true }
    }
}

/// A call, as the callee finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    /// The badge of the capability by which it was made: who calls.
    pub badge: u64,
    /// The words.
    pub words: GateWords,
    /// The handle of a capability that came along, which is the callee's now; [`Handle::NONE`] if none did.
    pub given: Handle,
}

impl Called {
    /// Whether whoever called waits for the end of this call. If not, they were stopped, and the thread ends when it returns.
    ///
    /// # Errors
    /// `BadState` outside of a call.
    pub fn is_awaited() -> Result<bool, Error> {
        perform(Call::GateCaller {}).map(|answer| answer == 0)
    }
}

/// What a callee answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The words.
    pub words: GateWords,
    /// A capability that goes along. If it cannot be given, the words go alone; one that was to be moved the callee keeps then.
    pub given: Option<Along>,
}

/// What is done with a call. It runs on a thread of the caller, on one of the gate's stacks.
pub trait Serve: 'static {
    /// Whether callers are trusted with vector registers, floating-point control and the thread pointer: they see what is
    /// left in these, and what they leave there is found. If not, each call begins with the control and the pointer of a new thread,
    /// and leaves all of them as a new thread has them.
    const TRUSTS: bool = false;

    /// Answers a call. A panic, a fault or an exit in here is the caller's `Faulted`.
    fn serve(called: Called) -> Answer;
}

/// The same for callers that are trusted with what is in registers, general ones and others: two words in, two out, in the fewest
/// instructions.
pub trait ServeShort: 'static {
    /// Answers a call.
    fn serve(badge: u64, words: [u64; 2]) -> [u64; 2];
}

/// Two words by registers, as functions of C give them back.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Pair(u64, u64);

/// What the entry code calls: the words are changed to those of the answer. Gives the handle of what goes along, and in one word its
/// rights and, in the upper half, the flags of `gate_return`.
///
/// The words are read and written one by one, here and by the caller: the compiler would have them copied by a routine that takes
/// several times as long.
pub(crate) extern "C" fn served<S: Serve>(badge: u64, given: u64, words: &[AtomicU64; 6]) -> Pair {
    if !S::TRUSTS {
        raw::ExtraRegisters::reset_control();
    }
    let called =
        Called { badge, words: words.each_ref().map(|word| word.load(Relaxed)), given: Handle::from_bits(given) };
    let answer = S::serve(called);
    words.iter().zip(answer.words).for_each(|(word, answer)| word.store(answer, Relaxed));
    if !S::TRUSTS {
        raw::clear_extra();
    }
    let Some(Along { handle, rights, moves }) = answer.given else { return Pair(0, 0) };
    Pair(handle.bits(), u64::from(rights.bits()) | (u64::from(moves) << 1) << 32)
}

pub(crate) extern "C" fn served_short<S: ServeShort>(badge: u64, first: u64, second: u64) -> Pair {
    let [first, second] = S::serve(badge, [first, second]);
    Pair(first, second)
}

impl Gate {
    /// Makes a gate into a space, with a table, at an address.
    ///
    /// The gate keeps neither: it closes when one of them goes, or is taken back from whoever made it.
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE`; `SWITCH` on the space; `CONTROL` on the table), `BadArgument` for no stacks or more than 63,
    /// `Misaligned`, `BadAddress`, `AccountExhausted`, `OutOfMemory`, `LimitReached`, `TableFull`.
    ///
    /// # Safety
    /// The entry is code that may run there on each of the stacks, as often as there are stacks at once, and never returns but by
    /// `gate_return`. Nobody else uses the stacks.
    pub unsafe fn new_at(
        account: &Cap<Account>,
        space: &Cap<impl Enterable>,
        table: &Cap<CapTable>,
        entry: u64,
        stacks: Stacks,
    ) -> Result<Cap<Gate>, Error> {
        let Stacks { start, stack_bytes, count } = stacks;
        let mut words = [0; GateLayout::COUNT];
        GateLayout { entry, stacks: start, stack_bytes, count }.write(&mut words);
        let layout = words.as_ptr().expose_provenance() as u64;
        let call = Call::GateCreate { account: account.handle(), space: space.handle(), table: table.handle(), layout };
        // SAFETY: the kernel reads the structure; who comes in is what the caller has promised.
        let bits = unsafe { perform_unchecked(call) }?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }

    /// Makes a gate into a space of this program, on stacks that nobody else uses.
    ///
    /// # Errors
    /// As [`Gate::new_at`].
    ///
    /// # Safety
    /// The space has the program where it is in all of its spaces, and the stacks; nobody else uses these.
    pub unsafe fn serving<S: Serve>(space: &Cap<impl Enterable>, stacks: Stacks) -> Result<Cap<Gate>, Error> {
        let (program, entry) = (crate::program(), raw::gate_entry::<S> as *const () as usize as u64);
        // SAFETY: the entry code is made for it, and the rest is the caller's promise.
        unsafe { Gate::new_at(program.account(), space, program.table(), entry, stacks) }
    }

    /// The same for callers that are trusted.
    ///
    /// # Errors
    /// As [`Gate::new_at`].
    ///
    /// # Safety
    /// As [`Gate::serving`]; and what callers are shown in registers is no secret.
    pub unsafe fn serving_short<S: ServeShort>(
        space: &Cap<impl Enterable>,
        stacks: Stacks,
    ) -> Result<Cap<Gate>, Error> {
        let (program, entry) = (crate::program(), raw::gate_entry_short::<S> as *const () as usize as u64);
        // SAFETY: as above.
        unsafe { Gate::new_at(program.account(), space, program.table(), entry, stacks) }
    }
}

/// How a call is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    words: GateWords,
    along: Option<Along>,
    waits: bool,
    trusts: bool,
}

impl Request {
    /// A call with these words.
    pub fn new(words: GateWords) -> Self {
        Request { words, ..Request::default() }
    }

    /// A capability goes along.
    #[must_use]
    pub fn along(self, along: Along) -> Self {
        Request { along: Some(along), ..self }
    }

    /// If all stacks are taken it waits for one, behind who came before; else that is `Busy`.
    #[must_use]
    pub fn wait(self) -> Self {
        Request { waits: true, ..self }
    }

    /// The callee is trusted with vector registers, floating-point control and the thread pointer: it sees them, and they are
    /// afterwards what it leaves there.
    #[must_use]
    pub fn trusting(self) -> Self {
        Request { trusts: true, ..self }
    }
}

impl Cap<Gate> {
    /// Calls the gate; gives the words of the answer.
    ///
    /// # Errors
    /// As [`Cap::request`].
    #[inline]
    pub fn call(&self, words: GateWords) -> Result<GateWords, Error> {
        self.request(Request::new(words)).map(|(words, _)| words)
    }

    /// Calls the gate; gives the words of the answer, and the handle of a capability that came along or [`Handle::NONE`].
    ///
    /// # Errors
    /// `MissingRight` (`CALL`, or of what goes along), `Busy`, `TooDeep`, `TableFull`, `WrongCpu`, `AccountExhausted`,
    /// `OutOfMemory`; `Gone` if the gate is closed, or was taken away meanwhile; `Faulted` if the callee made a mistake.
    #[inline]
    pub fn request(&self, request: Request) -> Result<(GateWords, Handle), Error> {
        let along = request.along.unwrap_or(Along { handle: Handle::NONE, rights: Rights::empty(), moves: false });
        let flags = u64::from(request.waits) | u64::from(along.moves) << 1;
        let words = request.words.map(AtomicU64::new);
        let arguments = [self.handle().bits(), flags, along.handle.bits(), u64::from(along.rights.bits())];
        let call = if request.trusts { raw::gate_call_trusting } else { raw::gate_call_keeping };
        let (status, value) = call(arguments, &words);
        let words = words.each_ref().map(|word| word.load(Relaxed));
        Error::from_status(status).map(|()| (words, Handle::from_bits(value)))
    }

    /// Calls a gate that is trusted with what is in registers, and serves short calls: two words in, two out.
    ///
    /// # Errors
    /// As [`Cap::request`].
    #[inline(always)]
    pub fn call_short(&self, words: [u64; 2]) -> Result<[u64; 2], Error> {
        let (status, words) = raw::gate_call_short(self.handle().bits(), words);
        Error::from_status(status).map(|()| words)
    }

    /// Closes the gate for good. Those inside finish.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn close(&self) -> Result<(), Error> {
        perform(Call::GateClose { gate: self.handle(), how: 0 }).map(|_| ())
    }

    /// Closes the gate for good. Those inside are taken out: for their callers the call ends with `Gone`.
    ///
    /// # Errors
    /// As [`Cap::close`].
    pub fn close_now(&self) -> Result<(), Error> {
        perform(Call::GateClose { gate: self.handle(), how: 1 }).map(|_| ())
    }

    /// What the kernel knows of the gate.
    ///
    /// # Errors
    /// None besides those of all operations.
    pub fn info(&self) -> Result<GateInfo, Error> {
        fill_in(|buffer| Call::GateInfo { gate: self.handle(), buffer }).map(|(info, _)| info)
    }
}

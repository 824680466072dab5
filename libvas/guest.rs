//! Guests: code that runs in another space on the caller's own thread, with registers of its own, until it wants something.

use crate::call::perform;
use crate::raw::GUEST_CALL;
use crate::{Account, Cap, Enterable, Error, Handle, PAGE_BYTES, Rights, Segment, Window, program};
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use tessera_abi::Call;
use tessera_abi::guest::{FLOATING, GENERAL, GuestState, OWN_NUMBER, STEP};

pub use tessera_abi::guest::{GuestEnd, GuestException};

/// Registers that a thread runs in a space, in the place of its own.
///
/// It makes no system call that the kernel serves, and holds no capability. Whatever it asks for comes out to whoever runs it.
#[derive(Debug)]
pub enum Guest {}

/// Why a guest came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It made a system call, with this number: [`GuestContext::call_arguments`], [`GuestContext::set_call_result`].
    Call(u64),
    /// It used memory that is not there, or not for that.
    Fault {
        /// Where.
        address: u64,
        /// What it tried: `READ`, `WRITE` or `EXECUTE`.
        access: Rights,
    },
    /// It did something else that it cannot do.
    Exception {
        /// What; `Err` with the architecture's own number.
        what: Result<GuestException, u64>,
        /// Where: the instruction, or the address that it could not use.
        address: u64,
    },
    /// It executed the one instruction.
    Step,
    /// It came to a breakpoint: behind the instruction on x86_64, at it on aarch64.
    Breakpoint,
    /// Somebody kicked it.
    Kick,
    /// Its time is over.
    Deadline,
}

/// A guest with its registers, which are this program's to read and change whenever it does not run.
///
/// ```no_run
/// use libvas::guest::{End, GuestContext};
/// use libvas::{Space, program};
///
/// let space = Space::new(program().account())?;
/// let guest = GuestContext::new(program().account())?;
/// guest.set_instruction_pointer(0x1000);
/// // SAFETY: the space has nothing of this program.
/// while let End::Call(number) = unsafe { guest.run(&space) }? {
///     guest.set_call_result(number + 1);
/// }
/// # Ok::<(), libvas::Error>(())
/// ```
#[derive(Debug)]
pub struct GuestContext {
    guest: Cap<Guest>,
    state: Window,
    /// Where that begins.
    state_address: u64,
    _segment: Cap<Segment>,
}

/// How many bytes a guest's state takes in its pages.
///
/// # Errors
/// None.
pub fn state_bytes() -> Result<u64, Error> {
    perform(Call::GuestStateBytes {})
}

impl Cap<Guest> {
    /// Makes a guest whose state is in the page of a segment that begins at an offset.
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE`; `READ` and `WRITE` on the segment), `Misaligned`, `BadArgument` beyond the segment, `BadState` if
    /// the page has no memory yet, `AccountExhausted`, `OutOfMemory`, `LimitReached`, `TableFull`.
    pub fn new_guest(account: &Cap<Account>, segment: &Cap<Segment>, offset: u64) -> Result<Cap<Guest>, Error> {
        let call = Call::GuestCreate { account: account.handle(), segment: segment.handle(), offset };
        perform(call).map(|bits| Cap::from_handle(Handle::from_bits(bits)))
    }

    /// Has the guest come out, wherever it runs; if it does not, its next run ends at once.
    ///
    /// # Errors
    /// `MissingRight` (`KICK`), `Gone`.
    pub fn kick(&self) -> Result<(), Error> {
        perform(Call::GuestKick { guest: self.handle() }).map(drop)
    }

    /// Runs the guest in a space until it comes out, for whoever has the page of its state: gives why, and no more. `flags` and
    /// `deadline_ns` are those of `guest_run`.
    ///
    /// # Errors
    /// As [`GuestContext::run`]; `BadArgument` for unknown flags.
    ///
    /// # Safety
    /// As [`GuestContext::run`].
    pub unsafe fn run(&self, space: &Cap<impl Enterable>, flags: u64, deadline_ns: u64) -> Result<GuestEnd, Error> {
        let call = Call::GuestRun { guest: self.handle(), space: space.handle(), flags, deadline_ns };
        GuestEnd::from_number(perform(call)?).ok_or(Error::BadState)
    }
}

impl GuestContext {
    /// Makes a guest, with memory for its state. All its registers are zero, floating point as a new thread finds it.
    ///
    /// # Errors
    /// What making guests, segments and windows can fail with.
    pub fn new(account: &Cap<Account>) -> Result<GuestContext, Error> {
        let segment = Segment::new(account, state_bytes()?.next_multiple_of(PAGE_BYTES))?;
        let guest = Cap::new_guest(account, &segment, 0)?;
        let state = program().window(&segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        Ok(GuestContext { guest, state_address: state.address(), state, _segment: segment })
    }

    /// The guest, to be kicked, named or handed on.
    pub fn guest(&self) -> &Cap<Guest> {
        &self.guest
    }

    /// Runs the guest in a space until it comes out.
    ///
    /// # Errors
    /// `MissingRight` (`RUN` on both), `BadAddress` for a pointer that is no user address, `Busy`, `WrongCpu`, `TooDeep`,
    /// `AccountExhausted`, `OutOfMemory`; `Gone` if the space, the guest's state or a capability was taken away meanwhile.
    ///
    /// # Safety
    /// What the guest does to memory of this program that the space has is fit to be done.
    #[inline]
    pub unsafe fn run(&self, space: &Cap<impl Enterable>) -> Result<End, Error> {
        self.run_with(space, 0, u64::MAX)
    }

    /// The same until a time since boot at most, nanoseconds.
    ///
    /// # Errors
    /// As [`GuestContext::run`].
    ///
    /// # Safety
    /// As [`GuestContext::run`].
    pub unsafe fn run_until(&self, space: &Cap<impl Enterable>, deadline_ns: u64) -> Result<End, Error> {
        self.run_with(space, 0, deadline_ns)
    }

    /// Executes one instruction of the guest.
    ///
    /// # Errors
    /// As [`GuestContext::run`].
    ///
    /// # Safety
    /// As [`GuestContext::run`].
    pub unsafe fn step(&self, space: &Cap<impl Enterable>) -> Result<End, Error> {
        self.run_with(space, STEP, u64::MAX)
    }

    #[inline(always)]
    fn run_with(&self, space: &Cap<impl Enterable>, flags: u64, deadline_ns: u64) -> Result<End, Error> {
        let call = Call::GuestRun { guest: self.guest.handle(), space: space.handle(), flags, deadline_ns };
        let end = perform(call)?;
        if end == GuestEnd::Call as u64 {
            return Ok(End::Call(self.word(offset_of!(GuestState, number))));
        }
        self.end_of(end)
    }

    /// Why it came out, by the number of that.
    #[cold]
    fn end_of(&self, end: u64) -> Result<End, Error> {
        Ok(match GuestEnd::from_number(end).ok_or(Error::BadState)? {
            GuestEnd::Call => End::Call(self.word(offset_of!(GuestState, number))),
            GuestEnd::Fault => End::Fault { address: self.address(), access: self.access() },
            GuestEnd::Exception => End::Exception { what: self.exception(), address: self.address() },
            GuestEnd::Step => End::Step,
            GuestEnd::Breakpoint => End::Breakpoint,
            GuestEnd::Kick => End::Kick,
            GuestEnd::Deadline => End::Deadline,
        })
    }

    fn address(&self) -> u64 {
        self.word(offset_of!(GuestState, address))
    }

    fn access(&self) -> Rights {
        match self.word(offset_of!(GuestState, access)) {
            0 => Rights::READ,
            1 => Rights::WRITE,
            _ => Rights::EXECUTE,
        }
    }

    fn exception(&self) -> Result<GuestException, u64> {
        use GuestException::{Address, Arithmetic, Instruction, Wait};
        let number = self.word(offset_of!(GuestState, number));
        let known = [Instruction, Address, Arithmetic, Wait].into_iter().find(|what| *what as u64 == number);
        known.ok_or(number & (OWN_NUMBER - 1))
    }

    /// A general register: on x86_64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8 to r15 from 0 on; on aarch64 x0 to x30.
    ///
    /// # Panics
    /// For a number of 31 and more.
    pub fn general(&self, number: usize) -> u64 {
        self.word(general_at(number))
    }

    /// Sets it.
    ///
    /// # Panics
    /// For a number of 31 and more.
    pub fn set_general(&self, number: usize, value: u64) {
        self.set_word(general_at(number), value);
    }

    /// The arguments of the system call that it made.
    pub fn call_arguments(&self) -> [u64; 6] {
        GUEST_CALL.arguments.map(|number| self.general(number))
    }

    /// What the call gives it, in the register in which Linux gives results as well (rax; x0).
    pub fn set_call_result(&self, value: u64) {
        self.set_general(GUEST_CALL.result, value);
    }

    /// What it finds in the first registers of arguments (rdi, rsi; x0, x1), as a function does.
    pub fn set_arguments(&self, arguments: [u64; 2]) {
        GUEST_CALL.arguments.into_iter().zip(arguments).for_each(|(number, value)| self.set_general(number, value));
    }

    /// Vector and floating-point registers, as [`GuestState::floating`] says.
    pub fn floating(&self) -> [u64; FLOATING] {
        core::array::from_fn(|at| self.word(offset_of!(GuestState, floating) + 8 * at))
    }

    /// Sets them.
    pub fn set_floating(&self, words: &[u64; FLOATING]) {
        words.iter().enumerate().for_each(|(at, word)| self.set_word(offset_of!(GuestState, floating) + 8 * at, *word));
    }

    /// All of it at once.
    pub fn state(&self) -> GuestState {
        let mut bytes = [0; GuestState::BYTES];
        self.state.read(0, &mut bytes).expect(IN_PAGE);
        let (words, _) = bytes.as_chunks::<8>();
        GuestState::from_words(&core::array::from_fn(|at| u64::from_le_bytes(words[at])))
    }

    /// Sets all registers at once; why it came out stays.
    pub fn set_state(&self, state: &GuestState) {
        let mut bytes = [0; GuestState::BYTES];
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        chunks.iter_mut().zip(state.words()).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
        let registers = offset_of!(GuestState, general);
        self.state.write(registers as u64, &bytes[registers..]).expect(IN_PAGE);
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        self.place(at).load(Relaxed)
    }

    #[inline(always)]
    fn set_word(&self, at: usize, value: u64) {
        self.place(at).store(value, Relaxed);
    }

    /// The word that begins so many bytes behind the beginning.
    #[inline(always)]
    fn place(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at < GuestState::BYTES, "{IN_PAGE}");
        let place = core::ptr::with_exposed_provenance_mut(self.state_address as usize + at);
        // SAFETY: the window shows the page until it is dropped, readable and writable; of its words nobody here makes references
        // but these.
        unsafe { AtomicU64::from_ptr(place) }
    }
}

const IN_PAGE: &str = "it lies in the page";

/// The arguments of the system call that a guest made whose registers these are.
pub fn arguments_of(state: &GuestState) -> [u64; 6] {
    GUEST_CALL.arguments.map(|number| state.general[number])
}

/// What the call gives it.
pub fn set_result_of(state: &mut GuestState, value: u64) {
    state.general[GUEST_CALL.result] = value;
}

fn general_at(number: usize) -> usize {
    assert!(number < GENERAL, "there is no such register");
    offset_of!(GuestState, general) + 8 * number
}

macro_rules! registers {
    ($($name:ident $set:ident $what:literal;)*) => {
        impl GuestContext {
            $(
                #[doc = $what]
                pub fn $name(&self) -> u64 {
                    self.word(offset_of!(GuestState, $name))
                }

                #[doc = concat!("Sets it: ", $what)]
                pub fn $set(&self, value: u64) {
                    self.set_word(offset_of!(GuestState, $name), value);
                }
            )*
        }
    };
}

registers! {
    instruction_pointer set_instruction_pointer "Where it goes on.";
    stack_pointer set_stack_pointer "Its stack pointer.";
    flags set_flags "Its flags (rflags; SPSR_EL1), of which it can change some.";
    thread_pointer set_thread_pointer "Its thread pointer (FS base; TPIDR_EL0).";
    second_pointer set_second_pointer "Its GS base on x86_64; nothing on aarch64.";
}

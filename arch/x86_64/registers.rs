//! A thread's registers in memory: what the entry code saves, and what is exchanged when the thread changes.

use core::fmt;
use core::mem::{MaybeUninit, offset_of};
use core::ptr::null_mut;

use tessera_abi::USER_END;

use super::floating;
use crate::Table;

/// Length of the instruction `syscall`, bytes.
pub(super) const CALL_BYTES: u64 = 2;

/// What the entry code leaves as vector for a system call: the way back is `sysret`, not `iret`.
pub(super) const CALL_MARK: u64 = 0x100;

/// The same for a system call of a guest, to which the way back is `iret`.
pub(super) const GUEST_CALL_MARK: u64 = 0x101;

/// Flags that a thread starts with, and finds wherever it is sent: interrupts on, and bit 1, which is always set. Forwards
/// through strings, no alignment checks, no single steps, no nested task.
pub(super) const FIRST_FLAGS: u64 = 0x202;

/// What a trap pushes, in memory order: first what the entry code pushes, last what the CPU does.
#[derive(Clone, Debug, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "registers have no more to say than their names")]
pub(super) struct Frame {
    pub(super) r15: u64,
    pub(super) r14: u64,
    pub(super) r13: u64,
    pub(super) r12: u64,
    pub(super) rbp: u64,
    pub(super) rbx: u64,
    pub(super) r11: u64,
    pub(super) r10: u64,
    pub(super) r9: u64,
    pub(super) r8: u64,
    pub(super) rax: u64,
    pub(super) rcx: u64,
    pub(super) rdx: u64,
    pub(super) rsi: u64,
    pub(super) rdi: u64,
    /// The vector, or [`CALL_MARK`].
    pub(super) vector: u64,
    /// The error code, or 0.
    pub(super) error: u64,
    pub(super) rip: u64,
    pub(super) cs: u64,
    pub(super) rflags: u64,
    pub(super) rsp: u64,
    pub(super) ss: u64,
}

/// A thread's general registers, as they were when it last came into the kernel.
#[repr(C, align(16))]
pub struct Registers {
    /// FS base, the thread pointer, and GS base, which programs may use as they like. Not true while the context is
    /// current: then the CPU's registers are.
    pub(super) bases: [u64; 2],
    pub(super) frame: Frame,
}

// The CPU aligns the stack pointer to 16 before it pushes its frame (SDM volume 3, 7.14.2).
const _: () = assert!(size_of::<Registers>().is_multiple_of(16), "the frame ends where the registers end");

/// What a context points at.
#[repr(C, align(64))]
pub(super) struct State {
    pub(super) registers: Registers,
    pub(super) floating: MaybeUninit<floating::State>,
    /// What is to be seen to when they are resumed or left, of the two below; most have nothing.
    pub(super) marks: u8,
    /// Whether the guest executes one instruction only.
    pub(super) steps: bool,
    /// What only a guest has; of a thread whose calls come in by a guest's entry, that it has none. Of others it means nothing.
    pub(super) guest: MaybeUninit<GuestPart>,
}

/// What is known of a guest besides its registers.
#[repr(C)]
pub(super) struct GuestPart {
    /// Its page of state, which stays as long as it runs; none if they are no guest's.
    pub(super) page: Option<&'static Table>,
    /// While it runs, the state of the thread that runs it, if the entry code may go straight back to that; else null.
    pub(super) runner: *mut State,
}

impl GuestPart {
    /// Of what is no guest.
    pub(super) const NONE: GuestPart = GuestPart { page: None, runner: null_mut() };
}

/// The thread has never run, or is to find what a new one finds: `floating` means nothing.
pub(super) const IS_FLOATING_NEW: u8 = 1 << 0;

/// They are a guest's: its system calls come out, whatever they are. Or a thread's whose handler is asked of them.
pub(super) const IS_GUEST: u8 = 1 << 1;

const _: () = assert!(
    offset_of!(State, floating) == size_of::<Registers>() && offset_of!(State, registers) == 0,
    "the frame ends where the floating-point state begins"
);

/// Bytes of a [`Frame`].
pub(super) const FRAME_BYTES: usize = size_of::<Frame>();
/// Where the instruction pointer lies in a [`Frame`]; code segment, flags, stack pointer and segment follow.
pub(super) const FRAME_RIP: usize = offset_of!(Frame, rip);

const _: () = assert!(FRAME_RIP + 40 == FRAME_BYTES, "the CPU's part of the frame comes last");

impl Registers {
    /// Number of the system call that the thread made.
    pub fn call_number(&self) -> u64 {
        self.frame.rax
    }

    /// Arguments of the system call that the thread made.
    pub fn call_arguments(&self) -> [u64; 6] {
        let frame = &self.frame;
        [frame.rdi, frame.rsi, frame.rdx, frame.r10, frame.r8, frame.r9]
    }

    /// Sets what the system call returns.
    pub fn set_result(&mut self, status: u64, value: u64) {
        self.frame.rax = status;
        self.frame.rdx = value;
    }

    /// Status and value of the last system call.
    pub fn call_result(&self) -> [u64; 2] {
        [self.frame.rax, self.frame.rdx]
    }

    /// The words that go along with a gate call and its return.
    pub fn words(&self) -> [u64; 6] {
        let Frame { r12, r13, r14, r15, rbx, rbp, .. } = self.frame;
        [r12, r13, r14, r15, rbx, rbp]
    }

    /// Sets them.
    pub fn set_words(&mut self, words: [u64; 6]) {
        let frame = &mut self.frame;
        [frame.r12, frame.r13, frame.r14, frame.r15, frame.rbx, frame.rbp] = words;
    }

    /// Whether it is to make the system call again behind whose instruction it was.
    pub fn is_before_call(&self, behind: u64) -> bool {
        self.frame.rip.wrapping_add(CALL_BYTES) == behind
    }

    /// Makes a thread that made a gate call go on in the gate: at a place, on a stack, with two arguments. The registers of words
    /// stay; no other says anything.
    ///
    /// # Panics
    /// As [`Registers::set_entry`].
    pub fn enter_call(&mut self, (ip, sp): (u64, u64), arguments: [u64; 2]) {
        self.forget_scratch();
        self.set_entry(ip, sp, arguments);
    }

    /// Makes a thread go on where it made a gate call, with the value or the status that the call has. If that failed, its
    /// registers are whatever they were in the callee, and none of them stays.
    ///
    /// # Panics
    /// As [`Registers::set_entry`].
    pub fn leave_call(&mut self, (ip, sp): (u64, u64), result: Result<u64, u64>) {
        self.forget_scratch();
        if result.is_err() {
            let frame = &mut self.frame;
            [frame.rbx, frame.rbp, frame.r12, frame.r13, frame.r14, frame.r15] = [0; 6];
        }
        self.set_entry(ip, sp, [0; 2]);
        self.set_result(result.err().unwrap_or(0), result.unwrap_or(0));
    }

    /// Makes all zero that a thread had in registers, the bases of FS and GS included, but not where it goes on. The context is not
    /// current: else the CPU would keep its own bases.
    pub fn clear(&mut self) {
        self.bases = [0; 2];
        self.forget_scratch();
        let frame = &mut self.frame;
        [frame.rdi, frame.rsi, frame.rbx, frame.rbp, frame.r12, frame.r13, frame.r14, frame.r15] = [0; 8];
    }

    pub(super) fn forget_scratch(&mut self) {
        let frame = &mut self.frame;
        [frame.rax, frame.rcx, frame.rdx, frame.r8, frame.r9, frame.r10, frame.r11] = [0; 7];
    }

    /// The thread's next instruction.
    pub fn instruction_pointer(&self) -> u64 {
        self.frame.rip
    }

    /// The thread's stack pointer.
    pub fn stack_pointer(&self) -> u64 {
        self.frame.rsp
    }

    /// Makes the thread go on at `ip` with `sp`, two function arguments and the flags of a new thread; other registers keep
    /// their values.
    ///
    /// # Panics
    /// If `ip` is no user address: the caller must have checked, as the CPU would fault in the kernel on the
    /// way to a non-canonical one (SDM volume 2, IRET).
    pub fn set_entry(&mut self, ip: u64, sp: u64, arguments: [u64; 2]) {
        assert!(ip < USER_END, "the entry point is no user address");
        // From a call, `sysret` would leave the next instruction in rcx: go the general way instead.
        self.frame.vector = 0;
        self.frame.rip = ip;
        self.frame.rsp = sp;
        self.frame.rflags = FIRST_FLAGS;
        [self.frame.rdi, self.frame.rsi] = arguments;
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, .. } = self;
        let Frame { r8, r9, r10, r11, r12, r13, r14, r15, .. } = self;
        let Frame { rip, rflags, cs, ss, error, .. } = self;
        writeln!(out, "rip={rip:016x} rsp={rsp:016x} rflags={rflags:08x} cs={cs:02x} ss={ss:02x} error={error:x}")?;
        writeln!(out, "rax={rax:016x} rbx={rbx:016x} rcx={rcx:016x} rdx={rdx:016x}")?;
        writeln!(out, "rsi={rsi:016x} rdi={rdi:016x} rbp={rbp:016x}")?;
        writeln!(out, " r8={r8:016x}  r9={r9:016x} r10={r10:016x} r11={r11:016x}")?;
        write!(out, "r12={r12:016x} r13={r13:016x} r14={r14:016x} r15={r15:016x}")
    }
}

impl fmt::Display for Registers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame.fmt(out)
    }
}

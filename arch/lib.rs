//! What the kernel asks of a machine, and the machines that answer.
//!
//! This file is the whole contract. Each backend exports the names re-exported here, from files of the same names; on a
//! bare target that is the processor's own, `aarch64` or `x86_64`, on a host it is [`fake`], a machine made of ordinary
//! memory, so that plain `cargo test` runs kernel logic. What all of them use lies beside this file: `address`,
//! `boot_info`, `format`, `guest`, `ranges` and `trap`.
//!
//! | file of a backend | gives |
//! |---|---|
//! | `format` | [`Format`]: page-table entries as pure data; compiled and tested on every host |
//! | `memory` | [`table`], [`clear_frames`], [`read_physical`], [`move_physical`] and their like, [`direct_map`]: the direct map |
//! | `memory` | [`clean_code`] if [`must_clean_code`], and [`publish_code`] once: what was written becomes fit to be fetched |
//! | `root` | [`root_word`], [`load_root`]: what a CPU's root register takes |
//! | `tlb` | [`prepare_root`], [`strip_root`], [`publish_tables`], [`activate`], [`tag_bits`], `invalidate_*` |
//! | `registers` | [`Registers`]: those of a thread that traps save, in memory |
//! | `context` | [`ThreadContext`]: all of a thread that lives in registers, and which of them the CPU returns to |
//! | `cpu` | [`cpu_index`], [`relax`], `power_off`, `backtrace`, [`open_cycle_counter`], [`mark`] |
//! | `cpu` | [`wait_for_interrupt`], [`take_pending_interrupt`]: interrupts while the kernel runs |
//! | `provoke` | [`provoke`]: breaking the kernel's rules on purpose |
//! | `plugin` | [`serve_plugin`]: telling a TLB plugin in the emulator what it cannot see |
//! | `smp` | [`send_interrupt`], [`stop_other_cpus`], [`broadcasts_invalidation`] |
//! | `secondary` | [`start_cpus`] |
//! | `timer` | [`now_ns`], [`Stamp`], [`set_timer`], [`ticks`] |
//! | `console` | [`console_send`] |
//! | `entry` | [`enter_user`], [`resume_user`]; the way into the kernel and out of it, in assembly |
//! | `handler_entry` | [`begin_handler`]; a thread's way into its handler that most go, in assembly |
//!
//! The two processors' backends mirror each other file for file also in what only they have: from loader to kernel
//! (`boot`, `machine`, `paging`, `trampoline`), what a CPU is set up with (`features`, `errata`, `percpu`, `stacks`,
//! `interrupts`) and its traps (`trap`, `fault`, `floating`). `boot`, `secondary` and `trap` call up. The files that one
//! of them has alone are listed in `tests/tidy/mirror.rs`, each with the reason.
//!
//! Up-calls, the only names that the kernel gives to a backend, are in [`upcall`].
//!
//! Rules both sides keep: interrupts are off whenever kernel code runs, except inside
//! [`wait_for_interrupt`] and [`take_pending_interrupt`]; a trap from kernel mode is a bug of the kernel and never reaches
//! [`upcall::kernel_trap`]; kernel stacks are per CPU and hold nothing across a return to user mode.

#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod address;
pub mod boot_info;
pub mod format;
pub mod guest;
pub mod ranges;
pub mod trap;

pub mod aarch64;
pub mod x86_64;

#[cfg(not(target_os = "none"))]
pub mod fake;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
use aarch64 as backend;
#[cfg(not(target_os = "none"))]
use fake as backend;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
use x86_64 as backend;

#[cfg(all(target_os = "none", not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Tessera runs on x86_64 and aarch64");

pub use address::{Frame, PhysAddr, VirtAddr};
pub use boot_info::{BootInfo, PhysRange};
pub use format::{Leaf, PageFormat, Share};
pub use guest::GuestPage;
pub use trap::{Access, CallResult, Fault, FaultKind, HandlerStart, Interrupt, Trap, UserPlace};

/// The page-table format of this machine.
pub use backend::format::Format;

/// Direct access to physical memory.
pub use backend::memory::{
    clean_code, clear_frames, clear_physical, direct_map, move_physical, must_clean_code, publish_code, read_physical,
    table, write_physical,
};

/// The value of a CPU's root register: [`root_word`] puts root table and tag together so that nothing that the CPU holds
/// under the tag is dropped, [`load_root`] loads it, [`root_of_word`] gives the root table's address. No such value has the
/// three bits of [`PASS_MARKS`], by which the kernel marks values that must not be loaded as they are.
pub use backend::root::{PASS_MARKS, load_root, root_of_word, root_word};

/// Root tables, tags and invalidation. The local forms reach the calling CPU alone. The plain forms reach every CPU if
/// [`broadcasts_invalidation`]; elsewhere they are the local ones, and the kernel has no use for them. Where invalidation is
/// not broadcast, the tag given must be the one in use, as the hardware names no other.
/// `invalidate_page_all_tags` drops a page's translations under every tag, global ones included.
pub use backend::tlb::{
    activate, invalidate_all, invalidate_page, invalidate_page_all_tags, invalidate_page_local, invalidate_tag,
    invalidate_tag_local, largest_leaf_level, prepare_root, publish_tables, strip_root, tag_bits,
};

/// Other CPUs: interrupting and stopping them, and whether invalidation reaches them.
pub use backend::smp::{broadcasts_invalidation, send_interrupt, stop_other_cpus};

/// Other CPUs: starting them.
pub use backend::secondary::start_cpus;

/// The registers of a thread that traps save.
pub use backend::registers::Registers;

/// Threads' contexts.
pub use backend::context::{ThreadContext, begin_context, leave_context, restart_call, resume_context, resume_over};

/// `page_access(syndrome)`: what an exception of user mode tried to do, if it is one for a page that is missing, or that does not allow
/// it; the syndrome is what the entry code gives to `kernel_asked_fault`.
pub use backend::fault::page_access;

/// `enter_user() -> !` ends `kernel_main` on a CPU: it goes to user mode with the context that `resume_context` named
/// last and never comes back to its caller. `resume_user() -> !` does the same where there is such a context for certain.
pub use backend::entry::{enter_user, resume_user};

/// `begin_handler(place, start) -> !` goes to user mode likewise, with the context that `begin_context` made current: a handler begins.
pub use backend::handler_entry::begin_handler;

/// The CPU itself. `mark::<CODE>()` is an instruction that does nothing, and by which somebody who watches the machine
/// learns where it is; what the codes mean is told where they are used.
pub use backend::cpu::{
    backtrace, cpu_index, cpu_line, describe_features, describe_registers, halt_after_panic, mark, open_cycle_counter,
    power_off, relax, take_pending_interrupt, take_unexplained_interrupts, wait_for_interrupt,
};

/// Doing what is forbidden, for tests that see each protection stop it.
pub use backend::provoke::provoke;

/// From here on, tells a TLB plugin in the emulator what it cannot see by itself, and lets it have tags where the emulated
/// CPU has none. Called once, before [`tag_bits`] is asked and other CPUs start. `docs/caveats.md` says what it gives up.
pub use backend::plugin::serve_plugin;

/// Time since boot, the next timer interrupt, and the counter that benchmarks measure by: the machine decides what a tick is.
pub use backend::timer::{Stamp, now_ns, set_timer, ticks};

/// The serial line, without waiting. `console_send` gives it the first of some bytes, as many as it takes at once, and
/// says how many: 0 while it is busy, and before it is known. One CPU calls it at a time. Whoever ends the machine
/// (`power_off`, `halt_after_panic`) first waits until the line is idle.
pub use backend::console::console_send;

/// Notes that nobody uses these frames any more. For the machine it means nothing; the fake one looks whether a
/// CPU may still reach them, and so does a TLB plugin in the emulator, with debug assertions.
#[inline(always)]
pub fn note_free(first: Frame, count: u64) {
    #[cfg(not(target_os = "none"))]
    fake::oracle::note_free(first, count);
    #[cfg(target_os = "none")]
    backend::plugin::note_free(first, count);
}

/// Notes that a frame that holds zeros gets a new use as it is. For the machine it means nothing; the fake one looks
/// whether a CPU may still reach the frame, and what it holds.
#[inline(always)]
pub fn note_reuse(frame: Frame) {
    #[cfg(not(target_os = "none"))]
    fake::memory::note_reuse(frame);
    #[cfg(target_os = "none")]
    let _ = frame;
}

/// Entries in a table of any level, on both architectures.
pub const TABLE_ENTRIES: usize = 512;

/// Level of a root table's entries; each stands for 512 GiB. Level 0 entries stand for 4 KiB.
pub const TOP_LEVEL: u8 = 3;

/// The most CPUs the kernel uses.
pub const CPUS_MAX: usize = 64;

/// A page table as memory that the kernel writes and the hardware's walker reads at any time.
pub type Table = [core::sync::atomic::AtomicU64; TABLE_ENTRIES];

/// What the kernel gives to a backend.
pub mod upcall {
    use core::sync::atomic::AtomicU32;

    use crate::{BootInfo, CallResult, Trap, UserPlace};

    #[allow(improper_ctypes, reason = "both sides are Rust and built by one compiler")]
    unsafe extern "Rust" {
        /// Called once, on the boot CPU, with the machine set up: own page tables, traps, console, timer.
        pub safe fn kernel_main(boot_info: &'static BootInfo) -> !;

        /// Called once on every other CPU, by the code that `start_cpus` let it run.
        pub safe fn kernel_cpu_main() -> !;

        /// Called for every trap from user mode but the fast calls. The thread's registers are saved in its
        /// context; when this returns, the CPU returns to user mode with the context that
        /// `resume_context` named last.
        pub safe fn kernel_trap(trap: Trap);

        /// Called after [`kernel_quick_call`] left something to be done, with the thread's registers saved, the call's result
        /// among them; for the rest as [`kernel_trap`].
        pub safe fn kernel_finish();

        /// Called once for each CPU, before anything else: where the kernel keeps what it knows of the CPU with this number. That
        /// is what `cpu_line` gives there.
        pub safe fn kernel_line(index: usize) -> usize;

        /// Called with what a backend has to say before it panics: writes it out, each line as one of the kernel's, at
        /// once and before anything else; the calling CPU is the only one that runs afterwards.
        pub safe fn kernel_report(text: core::fmt::Arguments<'_>);
    }

    // By the calling convention that assembly knows.
    unsafe extern "C" {
        /// Called for `space_switch` straight from the entry code, with only the registers that a function
        /// call clobbers saved. Takes the handle and the user's instruction and stack pointer.
        pub safe fn kernel_fast_switch(handle: u64, instruction_pointer: u64, stack_pointer: u64) -> CallResult;

        /// Called where that left it to the common path, likewise, for a space with locks: what takes the kernel's lock, and no more.
        pub safe fn kernel_switch_with_locks(handle: u64, instruction_pointer: u64, stack_pointer: u64) -> CallResult;

        /// Called for `gate_call` without a capability, likewise: with the gate's handle, a place for the badge of the
        /// capability, and where the thread is. Gives where it goes on.
        pub safe fn kernel_gate_call(
            handle: u64,
            badge: &mut u64,
            stack_pointer: u64,
            instruction_pointer: u64,
        ) -> UserPlace;

        /// Called for `gate_return` without a capability, likewise. The first word that goes back comes where it takes no instruction
        /// to have it: on x86_64 the seventh argument is in the stack, where something has to be. A handler's answer that is done
        /// with ends by `resume_user`.
        pub safe fn kernel_gate_return(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64, number: u64) -> UserPlace;

        /// Called for `gate_call` with a capability, or with flags, likewise: with the words of arguments, of which the first two are
        /// badge and capability then, and where the thread is. If it is left to the common path, the words are as they were.
        pub safe fn kernel_gate_call_along(
            words: &mut [u64; 4],
            stack_pointer: u64,
            instruction_pointer: u64,
        ) -> UserPlace;

        /// Called for `gate_return` with a capability, likewise; the first word is the call's value then.
        pub safe fn kernel_gate_return_along(words: &mut [u64; 3]) -> UserPlace;

        /// Called for `guest_run` with neither flags nor a deadline, likewise, but for the registers that functions keep, which are
        /// saved: with both handles. Gives what [`ThreadContext::begin_run`](crate::ThreadContext::begin_run) gave, or 0 if it is left
        /// to the common path.
        pub safe fn kernel_guest_run(guest: u64, space: u64) -> u64;

        /// Called for a guest's system call, likewise, with the guest's general registers in its page. Gives what
        /// [`ThreadContext::end_run`](crate::ThreadContext::end_run) gave, or 0.
        pub safe fn kernel_guest_call() -> u64;

        /// Called for a call of a thread whose handler is asked of its calls, with the thread's registers saved. Comes back if that is
        /// left to [`kernel_trap`]; else a handler begins by [`begin_handler`](crate::begin_handler).
        pub safe fn kernel_asked_call();

        /// How many objects have a handler. As long as none has, no fault is for [`kernel_asked_fault`].
        pub safe static KERNEL_HANDLERS: AtomicU32;

        /// Called for a fault, likewise, before `kernel_trap` is: with what [`page_access`](crate::page_access) tells of, and the
        /// address.
        pub safe fn kernel_asked_fault(syndrome: u64, address: u64);

        /// Called for other calls straight from the entry code, likewise: with the words of arguments, and the number.
        pub safe fn kernel_quick_call(words: &[u64; 6], number: u64) -> CallResult;

        /// Called for `yield_now`, with the thread's registers saved, the call's result among them; for the rest as
        /// [`kernel_trap`].
        pub safe fn kernel_yield();
    }
}

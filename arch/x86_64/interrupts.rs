//! Interrupts: the CPU's local APIC (SDM volume 3, chapter 12); the PC's old controllers are only silenced.
//!
//! The APIC is used as the firmware left it: by its registers in memory, or in x2APIC mode by model-specific ones.
//! The kernel does not change to x2APIC mode by itself: only CPUs with numbers above 254 need it, where firmware sets it, and
//! QEMU's instruction counting does not bear a timer started that way.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::instructions::port::Port;
use x86_64::registers::model_specific::Msr;

use super::idt::vector;
use crate::{Frame, Interrupt, PhysAddr};

/// Where the registers in memory are to be mapped: the last but one page of the address space.
pub(super) const WINDOW: u64 = 0xffff_ffff_ffff_e000;
/// Where the registers are in memory, and two flags.
const BASE: Msr = Msr::new(0x1b);
/// In the base register: the APIC is on.
const BASE_ENABLED: u64 = 1 << 11;
/// In the base register: x2APIC mode.
const BASE_X2APIC: u64 = 1 << 10;
/// Where the model-specific registers of x2APIC mode begin.
const X2APIC_FIRST: u32 = 0x800;

/// The registers used, by their place in memory in units of 16 bytes (SDM volume 3, tables 12-1 and 12-6).
#[derive(Clone, Copy)]
enum Register {
    Number = 0x02,
    Version = 0x03,
    TaskPriority = 0x08,
    EndOfInterrupt = 0x0b,
    SpuriousVector = 0x0f,
    Corrected = 0x2f,
    Command = 0x30,
    CommandTarget = 0x31,
    Timer = 0x32,
    Thermal = 0x33,
    Performance = 0x34,
    Line0 = 0x35,
    Line1 = 0x36,
    Error = 0x37,
    TimerCount = 0x38,
    TimerLeft = 0x39,
    TimerDivide = 0x3e,
}

/// In the spurious vector's register: the APIC delivers interrupts.
const SOFTWARE_ENABLE: u32 = 1 << 8;
/// In a local vector: no interrupt.
const MASKED: u32 = 1 << 16;
/// In a local vector: a non-maskable interrupt.
const NON_MASKABLE: u32 = 4 << 8;
/// In a local vector: how it is delivered; by a system management interrupt.
const DELIVERY_MODE: u32 = 7 << 8;
const MANAGEMENT: u32 = 2 << 8;
/// The timer counts every 16th tick of its clock, so that 32 bits last for a minute even at 1 GHz.
const DIVIDE_BY_16: u32 = 3;

/// In the command register: the last message has not left yet. Not in x2APIC mode.
const COMMAND_PENDING: u32 = 1 << 12;
/// In the command register: assert, as all messages do.
const COMMAND_ASSERT: u32 = 1 << 14;
/// How often the command register is looked at: far longer than a message needs.
const LOOKS_MAX: u32 = 1 << 24;

/// What one CPU's APIC can tell another's (SDM volume 3, figure 12-12).
#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    /// The interrupt with this vector.
    Interrupt(u8),
    /// A non-maskable interrupt.
    NonMaskable,
    /// Stop, and wait for the next message: INIT.
    Reset,
    /// After [`Message::Reset`]: run the real-mode code in this frame, which lies below 1 MiB.
    Startup(Frame),
}

/// Command and data ports of the two old controllers.
const OLD_CONTROLLERS: [(u16, u16); 2] = [(0x20, 0x21), (0xa0, 0xa1)];

/// Whether the registers are model-specific ones. The same on every CPU.
static IS_X2APIC: AtomicBool = AtomicBool::new(false);

/// Moves the old controllers' vectors out of the exceptions' way and masks all their lines.
pub(super) fn silence_old_controllers() {
    // The initialisation words of the 8259A in order: begin, vector, how the two are connected, mode.
    let words = [[0x11, vector::OLD_CONTROLLERS, 4, 1], [0x11, vector::OLD_CONTROLLERS + 8, 2, 1]];
    for ((command, data), words) in OLD_CONTROLLERS.into_iter().zip(words) {
        let (mut command, mut data) = (Port::<u8>::new(command), Port::<u8>::new(data));
        // SAFETY: the ports are the controllers' on every PC, and nothing else uses them.
        unsafe {
            command.write(words[0]);
            words[1..].iter().for_each(|word| data.write(*word));
            data.write(0xff);
        }
    }
}

/// Masks every line of an I/O APIC (82093AA, 3.2.4): the kernel has no use for them, and firmware may have left some open.
///
/// # Safety
/// An I/O APIC's registers are mapped there, and nobody else uses them.
pub(super) unsafe fn mask_lines(registers: *mut u32) {
    const VERSION: u32 = 1;
    const FIRST_LINE: u32 = 0x10;
    const LINE_MASKED: u32 = 1 << 16;
    // SAFETY: as the caller says: the register at offset 0 selects what the one at offset 16 holds.
    unsafe {
        registers.write_volatile(VERSION);
        let last = registers.add(4).read_volatile() >> 16 & 0xff;
        for line in 0..=last {
            registers.write_volatile(FIRST_LINE + 2 * line);
            let entry = registers.add(4).read_volatile();
            registers.add(4).write_volatile(entry | LINE_MASKED);
        }
    }
}

/// Physical address of the local APIC's registers.
pub(super) fn registers_address() -> PhysAddr {
    // SAFETY: every x86_64 CPU has this register; reading it has no effect.
    PhysAddr::new(unsafe { BASE.read() } & 0x000f_ffff_ffff_f000)
}

/// Switches the running CPU's local APIC on: timer stopped, the board's own lines off but for the non-maskable one.
pub(super) fn enable() {
    // SAFETY: switching the APIC on where it is changes nothing else; the mode is the boot CPU's on all.
    unsafe {
        let mut register = BASE;
        let base = register.read();
        let is_x2apic = IS_X2APIC.load(Ordering::Relaxed) || base & BASE_X2APIC != 0;
        register.write(base | BASE_ENABLED | if is_x2apic { BASE_X2APIC } else { 0 });
        IS_X2APIC.store(is_x2apic, Ordering::Relaxed);
    }
    write(Register::TaskPriority, 0);
    write(Register::SpuriousVector, SOFTWARE_ENABLE | u32::from(vector::SPURIOUS));
    write(Register::TimerCount, 0);
    write(Register::TimerDivide, DIVIDE_BY_16);
    // Mode 0: one interrupt each time a count is written.
    write(Register::Timer, u32::from(vector::TIMER));
    write(Register::Line0, MASKED);
    write(Register::Line1, NON_MASKABLE);
    write(Register::Error, u32::from(vector::APIC_ERROR));
    mask_sensors();
}

/// Masks the vectors of performance counters, thermal sensor and corrected errors, as far as there are such (SDM volume 3,
/// 12.5.1): nobody here asks for them. A thermal sensor that firmware has made tell itself goes on doing so.
fn mask_sensors() {
    // In the version register: how many local vectors there are, less one.
    let last = read(Register::Version) >> 16 & 0xff;
    for (number, register) in [(4, Register::Performance), (5, Register::Thermal), (6, Register::Corrected)] {
        if number <= last && read(register) & DELIVERY_MODE != MANAGEMENT {
            write(register, MASKED);
        }
    }
}

/// The number of the running CPU's APIC, by which others reach it.
pub(super) fn number() -> u32 {
    let number = read(Register::Number);
    if IS_X2APIC.load(Ordering::Relaxed) { number } else { number >> 24 }
}

/// Whether the APIC with this number can be sent a message: outside of x2APIC mode only 8 bits tell the target, of
/// which the highest value means all.
pub(super) fn can_reach(number: u32) -> bool {
    IS_X2APIC.load(Ordering::Relaxed) || number < 0xff
}

/// Sends a message to another CPU's APIC. What this CPU wrote to memory before is visible when it arrives.
pub(super) fn send(number: u32, message: Message) {
    let command = COMMAND_ASSERT
        | match message {
            Message::Interrupt(vector) => u32::from(vector),
            Message::NonMaskable => 4 << 8,
            Message::Reset => 5 << 8,
            Message::Startup(frame) => 6 << 8 | frame.number() as u32,
        };
    if IS_X2APIC.load(Ordering::Relaxed) {
        // SAFETY: the fences have no effect but order: unlike other writes of such registers this one may go before
        // earlier ones to memory (SDM volume 3, 12.12.3). The register exists in x2APIC mode.
        unsafe {
            asm!("mfence", "lfence", options(nostack, preserves_flags));
            Msr::new(X2APIC_FIRST + Register::Command as u32).write(u64::from(number) << 32 | u64::from(command));
        }
    } else {
        let has_left = |_: &u32| read(Register::Command) & COMMAND_PENDING == 0;
        (0..LOOKS_MAX).find(has_left);
        write(Register::CommandTarget, number << 24);
        write(Register::Command, command);
    }
}

/// Starts the timer: one interrupt after `ticks` of it, or none for 0.
pub(super) fn start_timer(ticks: u32) {
    write(Register::TimerCount, ticks);
}

/// Ticks until the timer reaches 0.
pub(super) fn timer_ticks_left() -> u32 {
    read(Register::TimerLeft)
}

/// Tells the APIC that an interrupt is being handled, and says what it means; the timer's may be early.
pub(super) fn acknowledge(number: u8) -> Interrupt {
    // The spurious interrupt and those of the old controllers want no acknowledgement (SDM volume 3, 12.9).
    let is_old = (vector::OLD_CONTROLLERS..vector::OLD_CONTROLLERS + 16).contains(&number);
    if number == vector::SPURIOUS || is_old {
        return Interrupt::Spurious;
    }
    write(Register::EndOfInterrupt, 0);
    match number {
        vector::TIMER => Interrupt::Timer,
        vector::RESCHEDULE => Interrupt::Reschedule,
        vector::SHOOTDOWN => Interrupt::Shootdown,
        _ => Interrupt::Spurious,
    }
}

fn read(register: Register) -> u32 {
    if IS_X2APIC.load(Ordering::Relaxed) {
        // SAFETY: the register exists in x2APIC mode; reading it has no effect.
        return unsafe { Msr::new(X2APIC_FIRST + register as u32).read() } as u32;
    }
    // SAFETY: `boot` has the registers mapped there, uncached.
    unsafe { in_memory(register).read_volatile() }
}

fn write(register: Register, value: u32) {
    if IS_X2APIC.load(Ordering::Relaxed) {
        // SAFETY: the register exists in x2APIC mode, and this file writes only what the manual allows.
        unsafe { Msr::new(X2APIC_FIRST + register as u32).write(u64::from(value)) };
    } else {
        // SAFETY: `boot` has the registers mapped there, uncached; this file writes only what the manual allows.
        unsafe { in_memory(register).write_volatile(value) };
    }
}

fn in_memory(register: Register) -> *mut u32 {
    (WINDOW + register as u64 * 16) as *mut u32
}

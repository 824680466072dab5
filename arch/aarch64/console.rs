//! The serial line: a PL011 by the `arm-pl011-uart` crate.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};

use super::percpu::index as cpu_index;
use super::smp;

/// Speed of the line, bits per second.
const BAUD: u32 = 115_200;
/// How often a CPU that stopped the others looks whether one of them still writes.
const LOOKS_MAX: u32 = 1_000_000;
/// Stands for no CPU.
const NOBODY: usize = usize::MAX;

/// The registers, or null before they are known.
static REGISTERS: AtomicPtr<PL011Registers> = AtomicPtr::new(ptr::null_mut());
/// The CPU that is writing.
static WRITER: AtomicUsize = AtomicUsize::new(NOBODY);

/// Says where the registers are from now on.
///
/// # Safety
/// 1. They are those of a PL011 and stay mapped until the next call.
pub(super) unsafe fn use_registers(registers: NonNull<PL011Registers>) {
    REGISTERS.store(registers.as_ptr(), Ordering::Relaxed);
}

/// Sets the line's speed and format and switches it on.
///
/// # Panics
/// If the clock allows no such speed.
pub(super) fn start(clock_hertz: u32) {
    let config = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
    if let Some(mut uart) = uart() {
        uart.enable(config, BAUD, clock_hertz).unwrap_or_else(|error| panic!("the serial line: {error}"));
    }
}

/// Writes bytes to the serial line; before the line is known they are lost. Texts of several CPUs do not mix.
///
/// A CPU that has stopped the others, as a panic does, writes whether or not one of them was writing. A CPU that was
/// stopped does not come back from here.
pub fn console_write(bytes: &[u8]) {
    let own = cpu_index();
    while WRITER.compare_exchange(NOBODY, own, Ordering::Acquire, Ordering::Relaxed).is_err() {
        // Or this very CPU was writing when something unforeseen happened.
        if smp::is_alone() || WRITER.load(Ordering::Relaxed) == own {
            break;
        }
        if smp::is_to_stop() {
            smp::stop();
        }
        core::hint::spin_loop();
    }
    if smp::is_to_stop() {
        WRITER.store(NOBODY, Ordering::Release);
        smp::stop();
    }
    if let Some(mut uart) = uart() {
        for byte in bytes {
            while uart.is_tx_fifo_full() {
                core::hint::spin_loop();
            }
            uart.write_word(*byte);
        }
    }
    WRITER.store(NOBODY, Ordering::Release);
}

/// Waits until no other CPU is writing, for a while at most.
pub(super) fn wait_for_line() {
    let own = cpu_index();
    let is_free = |_: &u32| {
        core::hint::spin_loop();
        [NOBODY, own].contains(&WRITER.load(Ordering::Acquire))
    };
    (0..LOOKS_MAX).find(is_free);
}

fn uart() -> Option<Uart<'static>> {
    let registers = NonNull::new(REGISTERS.load(Ordering::Relaxed))?;
    // SAFETY: `use_registers` was promised that they are a PL011's, and mapped. Two CPUs at once are kept apart by
    // `WRITER`, but for a panic that gave up waiting, where mixed output is better than none: the
    // registers have no state that could break.
    Some(Uart::new(unsafe { UniqueMmioPointer::new(registers) }))
}

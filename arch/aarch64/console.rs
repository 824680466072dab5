//! The serial line: a PL011 by the `arm-pl011-uart` crate.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};

/// Speed of the line, bits per second.
const BAUD: u32 = 115_200;
/// How often to try for the line before writing all the same: a panic must not wait for whoever holds it.
const ATTEMPTS_MAX: u32 = 1_000_000;

/// The registers, or null before they are known.
static REGISTERS: AtomicPtr<PL011Registers> = AtomicPtr::new(ptr::null_mut());
/// Whether a CPU is writing.
static BUSY: AtomicBool = AtomicBool::new(false);

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

/// Writes bytes to the serial line; before the line is known they are lost.
pub fn console_write(bytes: &[u8]) {
    let mut attempts = 0;
    while BUSY.swap(true, Ordering::Acquire) && attempts < ATTEMPTS_MAX {
        attempts += 1;
        core::hint::spin_loop();
    }
    if let Some(mut uart) = uart() {
        for byte in bytes {
            while uart.is_tx_fifo_full() {
                core::hint::spin_loop();
            }
            uart.write_word(*byte);
        }
    }
    BUSY.store(false, Ordering::Release);
}

fn uart() -> Option<Uart<'static>> {
    let registers = NonNull::new(REGISTERS.load(Ordering::Relaxed))?;
    // SAFETY: `use_registers` was promised that they are a PL011's, and mapped. Two CPUs at once are kept apart by
    // `BUSY`, but for a panic that gave up waiting, where mixed output is better than none: the
    // registers have no state that could break.
    Some(Uart::new(unsafe { UniqueMmioPointer::new(registers) }))
}

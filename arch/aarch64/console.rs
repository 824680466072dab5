//! The serial line: a PL011 by the `arm-pl011-uart` crate.

use core::hint::spin_loop;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};

/// Speed of the line, bits per second.
const BAUD: u32 = 115_200;
/// How often the line is asked whether it is idle.
const LOOKS_MAX: u32 = 1 << 20;

/// The registers, or null before they are known.
static REGISTERS: AtomicPtr<PL011Registers> = AtomicPtr::new(ptr::null_mut());

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

/// Gives the line as many bytes as it takes at once, the first of these; says how many. Before the line is known it
/// takes none.
pub fn console_send(bytes: &[u8]) -> usize {
    let Some(mut uart) = uart() else { return 0 };
    let mut sent = 0;
    while sent < bytes.len() && !uart.is_tx_fifo_full() {
        uart.write_word(bytes[sent]);
        sent += 1;
    }
    sent
}

/// Writes a few bytes, however long it takes: for what is said when nothing else works any more.
pub(super) fn write_last(bytes: &[u8]) {
    let mut sent = 0;
    for _ in 0..LOOKS_MAX {
        sent += console_send(&bytes[sent..]);
        if sent == bytes.len() {
            return;
        }
        spin_loop();
    }
}

/// Waits until everything written has left the machine, for a while at most.
pub(super) fn drain() {
    let is_idle = |_: &u32| {
        spin_loop();
        uart().is_none_or(|uart| !uart.is_busy())
    };
    (0..LOOKS_MAX).find(is_idle);
}

fn uart() -> Option<Uart<'static>> {
    let registers = NonNull::new(REGISTERS.load(Ordering::Relaxed))?;
    // SAFETY: `use_registers` was promised that they are a PL011's, and mapped. The kernel lets one CPU at a time send,
    // but for a panic that gave up waiting, where mixed output is better than none: the registers have no state that
    // could break.
    Some(Uart::new(unsafe { UniqueMmioPointer::new(registers) }))
}

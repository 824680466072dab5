//! The serial line: the first port of every PC.

use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::LSR;
use uart_16550::{BaudRate, Config, Uart16550};

use super::smp;

/// I/O port of the first serial line.
const PORT: u16 = 0x3f8;

/// How often the line is asked whether it is empty.
const LOOKS_MAX: u32 = 1 << 20;

/// Taken for the length of a write, so that texts of two CPUs do not mix.
static LINE: Mutex<()> = Mutex::new(());

fn port() -> Uart16550<PioBackend> {
    // SAFETY: the port range is that of the serial line on every PC; where there is none, reads give all ones and
    // writes go nowhere.
    unsafe { Uart16550::new_port(PORT) }.expect("the port range does not wrap around")
}

/// Sets the line up: 115200 baud, 8 data bits, no interrupts.
pub(super) fn init() {
    let config = Config { baud_rate: BaudRate::Baud115200, ..Config::default() };
    // Without a serial line the kernel runs on silently.
    let _ = port().init(config);
}

/// Writes bytes as they are. Texts of several CPUs do not mix.
///
/// A CPU that has stopped the others, as a panic does, writes whether or not one of them was writing.
pub fn console_write(bytes: &[u8]) {
    let guard = loop {
        let guard = LINE.try_lock();
        if guard.is_some() || smp::is_alone() {
            break guard;
        }
        core::hint::spin_loop();
    };
    port().send_bytes_exact(bytes);
    drop(guard);
}

/// Waits until everything written has left the machine, for a while at most.
pub(super) fn drain() {
    let is_empty = |_: &u32| port().lsr().contains(LSR::TRANSMITTER_EMPTY);
    (0..LOOKS_MAX).find(is_empty);
}

//! The serial line: the first port of every PC.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering};

use uart_16550::backend::PioBackend;
use uart_16550::spec::FIFO_SIZE;
use uart_16550::spec::registers::LSR;
use uart_16550::{BaudRate, Config, Uart16550};
use x86_64::instructions::port::Port;

/// I/O port of the first serial line.
const PORT: u16 = 0x3f8;

/// How often the line is asked whether it is empty.
const LOOKS_MAX: u32 = 1 << 20;

/// Whether the port queues what is sent.
static HAS_QUEUE: AtomicBool = AtomicBool::new(false);

fn port() -> Uart16550<PioBackend> {
    // SAFETY: the port range is that of the serial line on every PC; where there is none, reads give all ones and
    // writes go nowhere.
    unsafe { Uart16550::new_port(PORT) }.expect("the port range does not wrap around")
}

/// Sets the line up: 115200 baud, 8 data bits, no interrupts.
pub(super) fn init() {
    let config = Config { baud_rate: BaudRate::Baud115200, ..Config::default() };
    let mut port = port();
    // Without a serial line the kernel runs on silently.
    let _ = port.init(config);
    HAS_QUEUE.store(port.fifo_enabled(), Ordering::Relaxed);
}

/// Gives the line as many bytes as it takes at once, the first of these; says how many. An empty queue takes all that
/// it holds, without a look in between (PC16550D data sheet, 8.4 "Line Status Register", bit 5).
pub fn console_send(bytes: &[u8]) -> usize {
    if !port().lsr().contains(LSR::THR_EMPTY) {
        return 0;
    }
    let takes = if HAS_QUEUE.load(Ordering::Relaxed) { FIFO_SIZE } else { 1 };
    let taken = &bytes[..bytes.len().min(takes)];
    let mut data = Port::<u8>::new(PORT);
    for byte in taken {
        // SAFETY: as for `port`; the line's first register takes what is to be sent.
        unsafe { data.write(*byte) };
    }
    taken.len()
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
    let is_empty = |_: &u32| port().lsr().contains(LSR::TRANSMITTER_EMPTY);
    (0..LOOKS_MAX).find(is_empty);
}

//! Error messages on the serial line, and the end of the machine.

use core::fmt::{self, Write};

use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::LSR;
use uart_16550::{Config, Uart16550};
use x86_64::instructions::{hlt, port::Port};

/// I/O port of the first serial line.
const PORT: u16 = 0x3f8;
/// How often the line is asked whether it is empty.
const LOOKS_MAX: u32 = 1 << 20;
/// I/O port of QEMU's `isa-debug-exit` device, and what the kernel writes there after a panic.
const DEBUG_EXIT: (u16, u8) = (0xf4, 0x12);
/// I/O port of Bochs: the text "Shutdown" written there ends it.
const BOCHS_PORT: u16 = 0x8900;

/// Prints why the kernel cannot be started and ends the machine.
pub(crate) fn fail(reason: fmt::Arguments<'_>) -> ! {
    // SAFETY: the port range is that of the serial line on every PC; where there is none, writes go nowhere.
    if let Ok(port) = unsafe { Uart16550::new_port(PORT) } {
        let mut line = Line(port);
        // Nothing is left to do if the line does not take it.
        let _ = line.0.init(Config::default());
        let _ = writeln!(line, "[stub] error: {reason}");
        let has_left = |_: &u32| line.0.lsr().contains(LSR::TRANSMITTER_EMPTY);
        (0..LOOKS_MAX).find(has_left);
    }
    let (mut debug_exit, mut bochs) = (Port::new(DEBUG_EXIT.0), Port::new(BOCHS_PORT));
    // SAFETY: both ports do nothing, or end the machine, which is what is wanted.
    unsafe {
        debug_exit.write(DEBUG_EXIT.1);
        b"Shutdown".iter().for_each(|byte| bochs.write(*byte));
    }
    loop {
        hlt();
    }
}

struct Line(Uart16550<PioBackend>);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.send_bytes_exact(text.as_bytes());
        Ok(())
    }
}

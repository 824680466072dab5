//! The console: where text waits for the serial line ([ADR 16](../docs/adr/0016-the-console-is-a-ring.md)).
//!
//! A line at 115,200 baud takes 87 microseconds for a byte, so nobody waits for it: text is copied into a ring, and a
//! CPU that leaves the kernel without the big lock hands on what the line takes at once. If something is left, that
//! CPU's timer brings it back ([`Console::deadline_ns`]).
//!
//! Three parties, kept apart by two words. The *writer* is the CPU that copies text in; others wait for it, a few
//! microseconds. The *sender* is the CPU that feeds the line; nobody waits for it. At the end of the machine one CPU
//! becomes both for good ([`Console::seize`]), and writes out everything.

use core::fmt::{self, Write};
use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};

use crate::base::plain_text::{LineState, PREFIX, shown_bytes_max};
use crate::base::sync::{RANK_CONSOLE, Rank};

/// Bytes that can wait for the line.
pub const RING_BYTES: usize = 64 << 10;
/// Programs take turns while more than this is waiting.
pub const PROGRAM_BYTES: u64 = RING_BYTES as u64 / 2;
/// Room that is for the kernel's own lines alone.
pub const RESERVE_BYTES: u64 = 8 << 10;
/// The most bytes handed on each time a CPU leaves the kernel.
pub const SEND_BYTES_MAX: usize = 256;
/// What the line takes for a byte: 10 bits at 115,200 baud.
pub const BYTE_NS: u64 = 86_806;
/// How long until a line that took no more is looked at again: what it needs for the 16 bytes of its own queue.
pub const FULL_NS: u64 = 16 * BYTE_NS;
/// The same for a line that would have taken more.
pub const MORE_NS: u64 = 100_000;
/// How long a program waits before it looks whether its turn has come: a line may be faster than it says.
pub const TURN_NS_MAX: u64 = 20_000_000;

/// The longest text of one call must fit beside what may be waiting when its turn comes.
const _: () = assert!(PROGRAM_BYTES + shown_bytes_max(4096) + RESERVE_BYTES <= RING_BYTES as u64);

/// Bytes copied at once from the ring to the line.
const PIECE_BYTES: usize = 64;
/// Stands for no CPU.
const NOBODY: usize = usize::MAX;
/// How often a CPU that ends the machine looks whether another is done with the console.
const SEIZE_LOOKS_MAX: u32 = 1 << 20;
/// How often it looks whether the line takes anything before it gives up.
const STUCK_LOOKS_MAX: u32 = 1 << 22;

/// Memory for what waits.
pub type Ring = [AtomicU8; RING_BYTES];

/// Where text waits for the serial line.
pub struct Console {
    ring: &'static Ring,
    /// Bytes ever copied in.
    written: AtomicU64,
    /// Bytes ever handed on.
    sent: AtomicU64,
    /// The CPU that copies in.
    writer: AtomicUsize,
    /// The CPU that feeds the line.
    sender: AtomicUsize,
    /// Whether it is worth while to try to hand something on.
    is_due: AtomicBool,
    /// The CPU whose timer will make it so.
    waker: AtomicUsize,
    /// When it will.
    due_ns: AtomicU64,
    /// What stands on the line that was begun last.
    line: AtomicU8,
    /// Kernel lines that did not fit and have not been told of.
    lost_lines: AtomicU64,
    /// As far as the last turn that was promised reaches, in bytes sent.
    promised: AtomicU64,
}

/// A program has to wait for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When its turn comes, in bytes sent; to be shown the next time.
    pub turn: u64,
    /// How long that takes, or until it should be looked at again.
    pub wait_ns: u64,
}

impl Wait {
    /// For who found no room although its turn had come: the line stands still. The turn stays.
    pub const FOR_ROOM: Wait = Wait { turn: 0, wait_ns: TURN_NS_MAX };
}

impl Console {
    /// An empty console. The loader may have left the line in the middle.
    pub const fn new(ring: &'static Ring) -> Console {
        Console {
            ring,
            written: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            writer: AtomicUsize::new(NOBODY),
            sender: AtomicUsize::new(NOBODY),
            is_due: AtomicBool::new(false),
            waker: AtomicUsize::new(NOBODY),
            due_ns: AtomicU64::new(0),
            line: AtomicU8::new(LineState::OTHER.to_byte()),
            lost_lines: AtomicU64::new(0),
            promised: AtomicU64::new(0),
        }
    }

    /// Writes a line of the kernel's; if there is no room, counts it and tells of it in front of the next that fits.
    /// Each further line in the text is indented.
    pub fn line(&self, text: fmt::Arguments<'_>) {
        let mut writing = self.write(RING_BYTES as u64);
        let lost = self.lost_lines.load(Relaxed);
        // A `Display` that gives up loses the rest of its text; the writing itself refuses nothing.
        let _ = match lost {
            0 => writing.kernel_line(text),
            _ => writing.kernel_line(format_args!("{lost} lines lost")).and_then(|()| writing.kernel_line(text)),
        };
        self.lost_lines.store(if writing.publish() { 0 } else { lost + 1 }, Relaxed);
    }

    /// Writes a program's text, whole or not at all; gives whether there was room.
    pub fn program_text(&self, text: &str) -> bool {
        let mut writing = self.write(RING_BYTES as u64 - RESERVE_BYTES);
        let mut line = writing.line;
        text.chars().for_each(|character| line = line.put(character, &mut |byte| writing.put(byte)));
        writing.line = line;
        writing.publish()
    }

    /// Under the big lock: whether a program may have text of so many bytes on the console now. `turn` is what it was
    /// told before, if it has been waiting.
    ///
    /// Turns are told in bytes sent, so they come at the speed of the line, in the order of asking, and one that nobody
    /// makes use of passes by itself.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn ensure_turn(&self, turn: Option<u64>, bytes: u64) -> Result<(), Wait> {
        let (written, sent) = (self.written.load(Relaxed), self.sent.load(Relaxed));
        let (waiting, promised) = (written - sent, self.promised.load(Relaxed));
        let comes = match turn {
            Some(turn) => turn <= sent,
            None => promised <= sent && waiting <= PROGRAM_BYTES,
        };
        if waiting == 0 {
            // Turns that are promised still come, but nobody waits for those who did not come back.
            self.promised.store(0, Relaxed);
        }
        if comes || waiting == 0 {
            return Ok(());
        }
        let turn = turn.unwrap_or_else(|| {
            let turn = promised.max(written.saturating_sub(PROGRAM_BYTES));
            self.promised.store(turn + bytes, Relaxed);
            turn
        });
        Err(Wait { turn, wait_ns: (turn - sent).saturating_mul(BYTE_NS).min(TURN_NS_MAX) })
    }

    /// Whether nothing waits for the line.
    pub fn is_empty(&self) -> bool {
        self.written.load(Relaxed) == self.sent.load(Relaxed)
    }

    /// Whether it is worth while to call [`Console::send`].
    #[inline(always)]
    pub fn is_due(&self) -> bool {
        self.is_due.load(Relaxed)
    }

    /// Hands on what the line takes now, a little at most, unless another CPU is at it; gives whether the calling CPU's
    /// timer has to bring it back for the rest. Called without the big lock.
    pub fn send(&self, cpu: usize) -> bool {
        if self.sender.compare_exchange(NOBODY, cpu, SeqCst, Relaxed).is_err() {
            // It looks once more after it has stopped being the sender.
            return false;
        }
        self.is_due.store(false, SeqCst);
        let mut sent = 0;
        let takes_more = loop {
            // A line that has taken a part may take the next at once: an emulator's does.
            let (took, offered) = self.send_piece(SEND_BYTES_MAX - sent);
            sent += took;
            if took == 0 || sent >= SEND_BYTES_MAX {
                break took != 0 || offered == 0;
            }
        };
        self.sender.store(NOBODY, SeqCst);
        if self.written.load(SeqCst) == self.sent.load(Relaxed) {
            return false;
        }
        let wait_ns = if takes_more { MORE_NS } else { FULL_NS };
        self.due_ns.store(tessera_arch::now_ns() + wait_ns, Relaxed);
        self.waker.store(cpu, SeqCst);
        if takes_more {
            self.is_due.store(true, Relaxed);
        }
        true
    }

    /// When a CPU's timer has to bring it back for the line.
    pub fn deadline_ns(&self, cpu: usize) -> Option<u64> {
        (self.waker.load(Relaxed) == cpu).then(|| self.due_ns.load(Relaxed))
    }

    /// Notes a timer interrupt.
    pub fn tick(&self, cpu: usize, now_ns: u64) {
        if self.deadline_ns(cpu).is_some_and(|due_ns| due_ns <= now_ns) {
            // Who writes from here on sees that nobody will come, or is seen by whoever sends next.
            self.waker.store(NOBODY, SeqCst);
            self.is_due.store(true, SeqCst);
        }
    }

    /// Takes the console for good: what the calling CPU writes from here on is the machine's last. Another that copies
    /// or sends is given the time to end that; one that does not (it may have been stopped) is passed over.
    pub fn seize(&self) {
        let own = tessera_arch::cpu_index();
        for role in [&self.writer, &self.sender] {
            let is_own = |_: &u32| {
                spin_loop();
                role.compare_exchange(NOBODY, own, SeqCst, Relaxed).is_ok() || role.load(Relaxed) == own
            };
            if (0..SEIZE_LOOKS_MAX).find(is_own).is_none() {
                role.store(own, SeqCst);
            }
        }
    }

    /// Hands everything on, however long it takes; gives up if the line takes nothing for seconds. For the boot CPU
    /// alone, or whoever has seized the console.
    pub fn flush(&self) {
        let mut looks = 0;
        while looks < STUCK_LOOKS_MAX {
            let (took, offered) = self.send_piece(PIECE_BYTES);
            if offered == 0 {
                return self.is_due.store(false, Relaxed);
            }
            looks = if took == 0 { looks + 1 } else { 0 };
            spin_loop();
        }
    }

    /// Offers the line the next few bytes, `bytes_max` at most; gives how many it took, of how many.
    fn send_piece(&self, bytes_max: usize) -> (usize, usize) {
        let sent = self.sent.load(Relaxed);
        let waiting = self.written.load(SeqCst) - sent;
        let mut piece = [0; PIECE_BYTES];
        let piece = &mut piece[..PIECE_BYTES.min(bytes_max).min(waiting as usize)];
        for (at, byte) in (sent..).zip(piece.iter_mut()) {
            *byte = self.ring[at as usize % RING_BYTES].load(Relaxed);
        }
        let took = if piece.is_empty() { 0 } else { tessera_arch::console_send(piece) };
        // Release, as the writer takes it for leave to write over what was read.
        self.sent.store(sent + took as u64, SeqCst);
        (took, piece.len())
    }

    /// Becomes the writer, who may fill the ring with up to `bytes_max` bytes.
    fn write(&self, bytes_max: u64) -> Writing<'_> {
        let own = tessera_arch::cpu_index();
        let is_seized = loop {
            match self.writer.compare_exchange(NOBODY, own, Acquire, Relaxed) {
                Ok(_) => break false,
                // Seized, maybe out of the middle of a line: that one is not published.
                Err(writer) if writer == own => break true,
                Err(_) => spin_loop(),
            }
        };
        Writing {
            console: self,
            at: self.written.load(Relaxed),
            end: self.sent.load(Acquire) + bytes_max,
            line: LineState::from_byte(self.line.load(Relaxed)),
            begins_line: false,
            is_seized,
            _rank: (!is_seized).then(|| Rank::take(RANK_CONSOLE)),
        }
    }
}

/// Text being copied in, which nobody sees before it is published.
struct Writing<'a> {
    console: &'a Console,
    /// Where the next byte goes; beyond `end` it goes nowhere.
    at: u64,
    end: u64,
    line: LineState,
    /// Whether a line break stands before the next byte of a kernel line.
    begins_line: bool,
    is_seized: bool,
    _rank: Option<Rank>,
}

impl Writing<'_> {
    #[inline(always)]
    fn put(&mut self, byte: u8) {
        if self.at < self.end {
            self.console.ring[self.at as usize % RING_BYTES].store(byte, Relaxed);
        }
        self.at += 1;
    }

    /// Puts a line of the kernel's, behind the end of one that a program has begun.
    fn kernel_line(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        if self.line != LineState::START {
            self.put(b'\n');
        }
        PREFIX.iter().chain(b" ").for_each(|byte| self.put(*byte));
        let result = self.write_fmt(text);
        self.put(b'\n');
        (self.line, self.begins_line) = (LineState::START, false);
        result
    }

    /// Makes it part of what waits for the line, if all of it fits; gives whether it does.
    fn publish(self) -> bool {
        let (console, fits) = (self.console, self.at <= self.end);
        if fits {
            console.line.store(self.line.to_byte(), Relaxed);
            console.written.store(self.at, SeqCst);
            if console.waker.load(SeqCst) == NOBODY {
                console.is_due.store(true, SeqCst);
            }
        }
        fits
    }
}

impl Write for Writing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if core::mem::take(&mut self.begins_line) {
                self.put(b'\n');
                PREFIX.iter().chain(b"   ").for_each(|byte| self.put(*byte));
            }
            if byte == b'\n' {
                self.begins_line = true;
            } else {
                self.put(byte);
            }
        }
        Ok(())
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_seized {
            let own = tessera_arch::cpu_index();
            // Whoever has seized the console meanwhile keeps it.
            let _ = self.console.writer.compare_exchange(own, NOBODY, SeqCst, Relaxed);
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Console")
    }
}

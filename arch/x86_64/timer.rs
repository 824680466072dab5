//! Time: the time-stamp counter says how late it is, the local APIC's timer when to look again.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU64};

use x86_64::instructions::port::Port;

use super::features::cpuid;
use super::interrupts;
use super::percpu::this;
use super::rates::{self, Rates};

/// How often a timer is looked at: far longer than it needs, and less than seconds on a machine where each look takes
/// microseconds.
const LOOKS_MAX: u32 = 1 << 17;
/// Ticks per second of the PC's old timer (8254), the one clock whose rate is the same everywhere.
const OLD_TIMER_HZ: u64 = 1_193_182;
/// How many of its ticks a measurement lasts: 10 ms.
const OLD_TIMER_TICKS: u16 = 11_932;
/// The old timer's mode port, channel 2 and the gate that starts channel 2 and shows its output.
const OLD_TIMER_MODE: u16 = 0x43;
const OLD_TIMER_CHANNEL: u16 = 0x42;
const OLD_TIMER_GATE: u16 = 0x61;
/// Of the gate port: channel 2 counts; the speaker is connected; channel 2's output.
const GATE_COUNTS: u8 = 1;
const GATE_SPEAKER: u8 = 2;
const GATE_OUTPUT: u8 = 0x20;

/// The rate of the time-stamp counter where nothing tells it: time is then wrong by some factor, and goes on.
const GUESSED_HZ: u64 = 1_000_000_000;
/// Ticks per second of ACPI's timer (ACPI 6.5, 4.8.3.3), and how many of its bits every machine has.
const ACPI_TIMER_HZ: u64 = 3_579_545;
const ACPI_TIMER_MASK: u32 = 0xff_ffff;
/// How many of its ticks a measurement lasts: 10 ms.
const ACPI_TIMER_TICKS: u32 = 35_795;

/// The time-stamp counter at boot.
static BOOT_STAMP: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds per tick of the time-stamp counter, times 2^32.
static NS_PER_STAMP: AtomicU64 = AtomicU64::new(0);
/// Ticks of the APIC's timer, as divided, per nanosecond, times 2^32.
static TICKS_PER_NS: AtomicU64 = AtomicU64::new(0);
/// Whether nothing told the rates.
static IS_GUESS: AtomicBool = AtomicBool::new(false);

/// Finds out how fast the clocks run. The APIC is on. `port` is that of ACPI's timer, if there is one.
pub(super) fn init(port: Option<u16>) {
    let boot_stamp = ticks();
    let told = rates::announced(cpuid).or_else(measured).or_else(|| port.and_then(measured_by_acpi));
    let told = told.or_else(|| rates::nominal(cpuid));
    let stamp_hz = told.map_or(GUESSED_HZ, |rates| rates.stamp_hz);
    let tick_hz = told.and_then(|rates| rates.tick_hz).unwrap_or_else(|| ticks_by_stamps(stamp_hz));
    BOOT_STAMP.store(boot_stamp, Relaxed);
    NS_PER_STAMP.store(scale(1_000_000_000, stamp_hz), Relaxed);
    TICKS_PER_NS.store(scale(tick_hz, 1_000_000_000), Relaxed);
    IS_GUESS.store(told.is_none(), Relaxed);
}

/// Whether nothing told how fast time goes.
pub(super) fn is_guess() -> bool {
    IS_GUESS.load(Relaxed)
}

/// `a / b` times 2^32.
fn scale(a: u64, b: u64) -> u64 {
    ((u128::from(a) << 32) / u128::from(b.max(1))) as u64
}

/// `value` times a factor from [`scale`].
#[inline(always)]
fn scaled(value: u64, factor: u64) -> u64 {
    ((u128::from(value) * u128::from(factor)) >> 32) as u64
}

/// A moment, as the clock counts: taken in an instruction or two, and made nanoseconds of when they are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp(u64);

impl Stamp {
    /// Now: the time-stamp counter.
    #[inline(always)]
    pub fn now() -> Stamp {
        // SAFETY: every x86_64 CPU has the instruction, and it has no effect.
        Stamp(unsafe { core::arch::x86_64::_rdtsc() })
    }

    /// Nanoseconds from boot to this moment.
    #[inline(always)]
    pub fn ns(self) -> u64 {
        // Another CPU's counter may be a little behind the one that was read at boot: time begins at 0 then.
        scaled(self.0.saturating_sub(BOOT_STAMP.load(Relaxed)), NS_PER_STAMP.load(Relaxed))
    }
}

/// The time-stamp counter.
#[inline(always)]
pub fn ticks() -> u64 {
    Stamp::now().0
}

/// Ticks per second of the APIC's timer, by letting it run for 10 ms of the time-stamp counter.
fn ticks_by_stamps(stamp_hz: u64) -> u64 {
    let begin = ticks();
    interrupts::start_timer(u32::MAX);
    while ticks().saturating_sub(begin) < stamp_hz / 100 {
        core::hint::spin_loop();
    }
    let ticks = u32::MAX - interrupts::timer_ticks_left();
    interrupts::start_timer(0);
    u64::from(ticks) * 100
}

/// Rates by letting both clocks run until a number of ticks of another one, `hz` per second, has passed. `passed` gives
/// that number when it is time; `None` if it never is.
fn measured_until(hz: u64, mut passed: impl FnMut() -> Option<u32>) -> Option<Rates> {
    let begin = ticks();
    interrupts::start_timer(u32::MAX);
    let passed = (0..LOOKS_MAX).find_map(|_| {
        // Reading a port is the slowest thing an emulator does: look rarely.
        (0..256).for_each(|_| core::hint::spin_loop());
        passed()
    });
    let (ticks, stamps) = (u32::MAX - interrupts::timer_ticks_left(), ticks().saturating_sub(begin));
    interrupts::start_timer(0);
    let per_second = |count: u64| Some((u128::from(count) * u128::from(hz) / u128::from(passed?)) as u64);
    Some(Rates { stamp_hz: per_second(stamps)?, tick_hz: per_second(u64::from(ticks)) })
}

/// Rates by ACPI's timer.
fn measured_by_acpi(port: u16) -> Option<Rates> {
    let mut port = Port::<u32>::new(port);
    // SAFETY: firmware says that the port is the timer's; reading it has no effect.
    let mut now = || unsafe { port.read() } & ACPI_TIMER_MASK;
    let first = now();
    measured_until(ACPI_TIMER_HZ, || {
        let passed = now().wrapping_sub(first) & ACPI_TIMER_MASK;
        (passed >= ACPI_TIMER_TICKS).then_some(passed)
    })
}

/// Rates by the old timer.
fn measured() -> Option<Rates> {
    let (mut gate, mut mode, mut channel) =
        (Port::<u8>::new(OLD_TIMER_GATE), Port::<u8>::new(OLD_TIMER_MODE), Port::<u8>::new(OLD_TIMER_CHANNEL));
    let [low, high] = OLD_TIMER_TICKS.to_le_bytes();
    // SAFETY: the ports are the old timer's on every PC; only this function uses it. Mode 0 of channel 2 lets the
    // output go high when the count is over.
    let is_counting = unsafe {
        let closed = gate.read() & !(GATE_COUNTS | GATE_SPEAKER);
        gate.write(closed);
        mode.write(0b1011_0000);
        channel.write(low);
        channel.write(high);
        gate.write(closed | GATE_COUNTS);
        gate.read() & GATE_OUTPUT == 0
    };
    // Where there is no such timer every bit reads as one: its output is high before any time has passed.
    if !is_counting {
        return None;
    }
    measured_until(OLD_TIMER_HZ, || {
        // SAFETY: as above.
        let is_over = unsafe { gate.read() & GATE_OUTPUT != 0 };
        is_over.then_some(u32::from(OLD_TIMER_TICKS))
    })
}

/// Nanoseconds since boot.
pub fn now_ns() -> u64 {
    Stamp::now().ns()
}

/// Asks for one timer interrupt at `deadline_ns` since boot (at once if that is past), or for none.
pub fn set_timer(deadline_ns: Option<u64>) {
    this().deadline_ns.set(deadline_ns.unwrap_or(u64::MAX));
    start(deadline_ns);
}

fn start(deadline_ns: Option<u64>) {
    let ticks = deadline_ns.map_or(0, |deadline_ns| {
        let wait_ns = deadline_ns.saturating_sub(now_ns());
        // Rounded up, so that the interrupt does not come before its time.
        u32::try_from(scaled(wait_ns, TICKS_PER_NS.load(Relaxed)) + 1).unwrap_or(u32::MAX)
    });
    interrupts::start_timer(ticks);
}

/// Whether the time that was asked for has come; if it has not, the timer is started again for the rest.
///
/// It may not have come when the time was further away than the timer can count, or when its rate is a little off.
pub(super) fn has_expired() -> bool {
    let deadline_ns = this().deadline_ns.get();
    if deadline_ns == u64::MAX {
        return false;
    }
    if now_ns() < deadline_ns {
        start(Some(deadline_ns));
        return false;
    }
    this().deadline_ns.set(u64::MAX);
    true
}

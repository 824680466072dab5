//! Time: the time-stamp counter says how late it is, the local APIC's timer when to look again.

use spin::Once;
use x86_64::instructions::port::Port;

use super::apic;
use super::features::cpuid;
use super::percpu::this;

/// How often the old timer is looked at: far longer than it needs.
const LOOKS_MAX: u32 = 1 << 24;
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

/// Taken where no clock tells its rate and none can be measured: time is then wrong by some factor, and goes on.
const GUESSED_HZ: (u64, u64) = (1_000_000_000, 100_000_000 / 16);
/// Ticks per second of ACPI's timer (ACPI 6.5, 4.8.3.3), and how many of its bits every machine has.
const ACPI_TIMER_HZ: u64 = 3_579_545;
const ACPI_TIMER_MASK: u32 = 0xff_ffff;
/// How many of its ticks a measurement lasts: 10 ms.
const ACPI_TIMER_TICKS: u32 = 35_795;
/// Where the fixed table tells the timer's I/O port (ACPI 6.5, 5.2.9).
const PORT_IN_TABLE: usize = 76;

/// How the clocks relate to nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Rates {
    /// The time-stamp counter at boot.
    boot_stamp: u64,
    /// Nanoseconds per tick of the time-stamp counter, times 2^32.
    ns_per_stamp: u64,
    /// Ticks of the APIC's timer, as divided, per nanosecond, times 2^32.
    ticks_per_ns: u64,
}

static RATES: Once<Rates> = Once::new();

/// Finds out how fast the clocks run. The APIC is on. `port` is that of ACPI's timer, if there is one.
pub(super) fn init(port: Option<u16>) {
    RATES.call_once(|| {
        let boot_stamp = stamp();
        let measured = || measured().or_else(|| port.and_then(measured_by_acpi));
        let (stamp_hz, tick_hz) = announced().or_else(measured).unwrap_or(GUESSED_HZ);
        Rates { boot_stamp, ns_per_stamp: scale(1_000_000_000, stamp_hz), ticks_per_ns: scale(tick_hz, 1_000_000_000) }
    });
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

/// The time-stamp counter.
#[inline(always)]
fn stamp() -> u64 {
    // SAFETY: every x86_64 CPU has the instruction, and it has no effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Rates per second of the time-stamp counter and the divided APIC timer, if the machine tells both: hypervisors in
/// leaf 0x40000010 (kHz), Intel's CPUs in leaf 0x15 (crystal and ratio; the APIC's timer runs by the crystal).
fn announced() -> Option<(u64, u64)> {
    let [stamp_khz, bus_khz, ..] = cpuid(0x4000_0010).map(u64::from);
    if stamp_khz != 0 && bus_khz != 0 {
        return Some((stamp_khz * 1000, bus_khz * 1000 / 16));
    }
    let [denominator, numerator, crystal_hz, _] = cpuid(0x15).map(u64::from);
    (denominator != 0 && numerator != 0 && crystal_hz != 0)
        .then(|| (crystal_hz * numerator / denominator, crystal_hz / 16))
}

/// The I/O port of ACPI's timer, by the bytes of the fixed table.
pub(super) fn port_in_table(table: &[u8]) -> Option<u16> {
    let port = table.get(PORT_IN_TABLE..PORT_IN_TABLE + 4)?;
    let port = u32::from_le_bytes([port[0], port[1], port[2], port[3]]);
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The same rates, by letting both run for 10 ms of ACPI's timer; `None` if it stands still.
fn measured_by_acpi(port: u16) -> Option<(u64, u64)> {
    let mut port = Port::<u32>::new(port);
    // SAFETY: firmware says that the port is the timer's; reading it has no effect.
    let mut now = || unsafe { port.read() } & ACPI_TIMER_MASK;
    let (first, begin) = (now(), stamp());
    apic::start_timer(u32::MAX);
    let passed = (0..LOOKS_MAX).map(|_| now().wrapping_sub(first) & ACPI_TIMER_MASK);
    let passed = { passed }.find(|passed| *passed >= ACPI_TIMER_TICKS);
    let (ticks, stamps) = (u32::MAX - apic::timer_ticks_left(), stamp() - begin);
    apic::start_timer(0);
    let per_second = |count: u64, passed: u32| count * ACPI_TIMER_HZ / u64::from(passed);
    passed.map(|passed| (per_second(stamps, passed), per_second(u64::from(ticks), passed)))
}

/// The same rates, by letting both run for 10 ms of the old timer; `None` where there is none.
fn measured() -> Option<(u64, u64)> {
    let (mut gate, mut mode, mut channel) =
        (Port::<u8>::new(OLD_TIMER_GATE), Port::<u8>::new(OLD_TIMER_MODE), Port::<u8>::new(OLD_TIMER_CHANNEL));
    let [low, high] = OLD_TIMER_TICKS.to_le_bytes();
    // SAFETY: the ports are the old timer's on every PC; only this function uses it. Mode 0 of channel 2 lets the
    // output go high when the count is over.
    unsafe {
        let closed = gate.read() & !(GATE_COUNTS | GATE_SPEAKER);
        gate.write(closed);
        mode.write(0b1011_0000);
        channel.write(low);
        channel.write(high);
        gate.write(closed | GATE_COUNTS);
    }
    let begin = stamp();
    apic::start_timer(u32::MAX);
    let is_over = (0..LOOKS_MAX).any(|_| {
        // Reading a port is the slowest thing an emulator does: look rarely.
        (0..256).for_each(|_| core::hint::spin_loop());
        // SAFETY: as above.
        unsafe { gate.read() & GATE_OUTPUT != 0 }
    });
    let ticks = u32::MAX - apic::timer_ticks_left();
    let stamps = stamp() - begin;
    apic::start_timer(0);
    let per_second = |count: u64| count * OLD_TIMER_HZ / u64::from(OLD_TIMER_TICKS);
    is_over.then(|| (per_second(stamps), per_second(u64::from(ticks))))
}

fn rates() -> &'static Rates {
    RATES.get().expect("boot measured the clocks before anybody asks for the time")
}

/// Nanoseconds since boot.
pub fn now_ns() -> u64 {
    let rates = rates();
    // Another CPU's counter may be a little behind the one that was read at boot: time begins at 0 then.
    scaled(stamp().saturating_sub(rates.boot_stamp), rates.ns_per_stamp)
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
        u32::try_from(scaled(wait_ns, rates().ticks_per_ns) + 1).unwrap_or(u32::MAX)
    });
    apic::start_timer(ticks);
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

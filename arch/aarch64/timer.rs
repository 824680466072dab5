//! Time by the generic timer's virtual counter, the next interrupt by its compare value (DDI 0487, D12.2).

use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTKCTL_EL1, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0, Readable, Writeable};

const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;

/// The counter when the kernel began.
static BOOT_TICKS: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds per tick, 32 bits before and 32 bits behind the point.
static NANOSECONDS_PER_TICK: AtomicU64 = AtomicU64::new(0);
/// Ticks per nanosecond, 32 bits before and 32 bits behind the point.
static TICKS_PER_NANOSECOND: AtomicU64 = AtomicU64::new(0);

/// Starts counting on the boot CPU.
///
/// # Panics
/// If the firmware left no frequency.
pub(super) fn start() {
    let hertz = u128::from(CNTFRQ_EL0.get());
    assert!(hertz != 0, "the firmware set no timer frequency (CNTFRQ_EL0)");
    let ratio = |numerator: u128, denominator: u128| ((numerator << 32) / denominator) as u64;
    NANOSECONDS_PER_TICK.store(ratio(NANOSECONDS_PER_SECOND, hertz), Ordering::Relaxed);
    TICKS_PER_NANOSECOND.store(ratio(hertz, NANOSECONDS_PER_SECOND), Ordering::Relaxed);
    BOOT_TICKS.store(ticks(), Ordering::Relaxed);
    start_cpu();
}

/// Sets up the part of the CPU that runs this, with no interrupt due. All CPUs read one counter.
pub(super) fn start_cpu() {
    set_timer(None);
    // User programs may read the virtual counter, to measure; nothing else of the timer is theirs.
    CNTKCTL_EL1.write(CNTKCTL_EL1::EL0VCTEN::SET);
}

/// A moment, as the clock counts: taken in an instruction or two, and made nanoseconds of when they are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp(u64);

impl Stamp {
    /// Now: the virtual counter.
    #[inline(always)]
    pub fn now() -> Stamp {
        Stamp(ticks())
    }

    /// Nanoseconds from boot to this moment.
    #[inline(always)]
    pub fn ns(self) -> u64 {
        // Fits: it is the time that has passed.
        product(self.0.saturating_sub(BOOT_TICKS.load(Ordering::Relaxed)), &NANOSECONDS_PER_TICK) as u64
    }
}

/// Nanoseconds since the kernel began.
pub fn now_ns() -> u64 {
    Stamp::now().ns()
}

/// Asks for one timer interrupt at a time, in nanoseconds since the kernel began, or for none. A time in the
/// past is due at once.
pub fn set_timer(deadline_ns: Option<u64>) {
    let Some(deadline_ns) = deadline_ns else {
        CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::CLEAR);
        return;
    };
    // Two ticks more make up for what both divisions rounded down: the interrupt never comes before its time.
    let deadline_ticks = scale(deadline_ns, &TICKS_PER_NANOSECOND).saturating_add(2);
    CNTV_CVAL_EL0.set(BOOT_TICKS.load(Ordering::Relaxed).saturating_add(deadline_ticks));
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET + CNTV_CTL_EL0::IMASK::CLEAR);
}

/// The virtual counter. The barrier keeps the CPU from reading it ahead of earlier instructions.
#[inline(always)]
pub fn ticks() -> u64 {
    aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
    CNTVCT_EL0.get()
}

/// Multiplies by a factor with 32 bits behind the point.
#[inline(always)]
fn product(value: u64, factor: &AtomicU64) -> u128 {
    (u128::from(value) * u128::from(factor.load(Ordering::Relaxed))) >> 32
}

/// The same; saturates.
fn scale(value: u64, factor: &AtomicU64) -> u64 {
    u64::try_from(product(value, factor)).unwrap_or(u64::MAX)
}

//! Time that passes only when a test says so.

use core::cell::Cell;

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
    static DEADLINE_NS: Cell<Option<u64>> = const { Cell::new(None) };
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn reset() {
    NOW_NS.set(0);
    DEADLINE_NS.set(None);
    TICKS.set(0);
}

/// Lets time pass.
pub fn advance_ns(nanoseconds: u64) {
    NOW_NS.set(NOW_NS.get() + nanoseconds);
}

/// Goes on to the deadline, if one is set.
pub fn skip_to_deadline() -> bool {
    let deadline = DEADLINE_NS.take();
    if let Some(deadline) = deadline {
        NOW_NS.set(NOW_NS.get().max(deadline));
    }
    deadline.is_some()
}

/// Whether the timer's interrupt is pending; taking it turns the timer off.
pub fn is_due() -> bool {
    let is_due = DEADLINE_NS.get().is_some_and(|deadline| deadline <= NOW_NS.get());
    if is_due {
        DEADLINE_NS.set(None);
    }
    is_due
}

/// A moment, as the clock counts: taken by a look, and made nanoseconds of when they are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp(u64);

impl Stamp {
    /// Now.
    pub fn now() -> Stamp {
        Stamp(now_ns())
    }

    /// Nanoseconds from power-on to this moment.
    pub fn ns(self) -> u64 {
        self.0
    }
}

/// Nanoseconds since power-on.
pub fn now_ns() -> u64 {
    NOW_NS.get()
}

/// A counter that counts how often it is read.
pub fn ticks() -> u64 {
    TICKS.set(TICKS.get() + 1);
    TICKS.get()
}

/// Sets the one-shot timer.
pub fn set_timer(deadline_ns: Option<u64>) {
    DEADLINE_NS.set(deadline_ns);
}

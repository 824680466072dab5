//! The serial line goes to the test's output, at once or as slowly as a real one, and the test can see it.

use core::cell::{Cell, RefCell};

/// What a real line queues.
const QUEUE_BYTES: usize = 16;

thread_local! {
    /// What a byte takes; 0: nothing.
    static BYTE_NS: Cell<u64> = const { Cell::new(0) };
    /// When the queue will be empty.
    static IDLE_NS: Cell<u64> = const { Cell::new(0) };
    static SENT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn reset() {
    BYTE_NS.set(0);
    IDLE_NS.set(0);
    SENT.take();
}

/// Makes every byte take this long from now on. What is queued has left.
pub fn set_byte_ns(byte_ns: u64) {
    BYTE_NS.set(byte_ns);
    IDLE_NS.set(0);
}

/// What was sent since the last time.
pub fn take_sent() -> Vec<u8> {
    SENT.take()
}

/// Takes what fits into an empty queue; one with anything in it takes nothing.
pub fn console_send(bytes: &[u8]) -> usize {
    let (now_ns, byte_ns) = (super::timer::now_ns(), BYTE_NS.get());
    if IDLE_NS.get() > now_ns {
        return 0;
    }
    let taken = &bytes[..bytes.len().min(QUEUE_BYTES)];
    IDLE_NS.set(now_ns + taken.len() as u64 * byte_ns);
    eprint!("{}", String::from_utf8_lossy(taken));
    SENT.with_borrow_mut(|sent| sent.extend(taken));
    taken.len()
}

//! A gate at which workers wait for each other, inside the server's space and without entering the kernel.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libvas::{Error, clock};

/// Who has not arrived by then never will: a worker was stopped by a fault.
const LIMIT: Duration = Duration::from_secs(120);

/// Counts arrivals; opens when told.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    arrived: AtomicU64,
    open: AtomicU64,
}

impl Gate {
    /// Waits, spinning, until the gate is opened.
    pub(crate) fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        while self.open.load(Ordering::Acquire) == 0 {
            core::hint::spin_loop();
        }
    }

    /// Waits, sleeping, until so many have arrived.
    ///
    /// # Errors
    /// `Gone` if they do not.
    pub(crate) fn await_arrivals(&self, count: u64) -> Result<(), Error> {
        let deadline = clock::now() + LIMIT;
        while self.arrived.load(Ordering::Acquire) < count {
            if clock::now() > deadline {
                return Err(Error::Gone);
            }
            clock::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets everybody through.
    pub(crate) fn open(&self) {
        self.open.store(1, Ordering::Release);
    }
}

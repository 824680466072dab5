//! What a trap asks before it leaves: whether any object waits to be taken apart.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use tessera_abi::ObjectKind;

/// The kinds of which objects may wait to be taken apart, a bit each. All stores share it, for who looks at each trap.
#[derive(Clone, Debug, Default)]
pub struct DoomedKinds(Arc<AtomicU32>);

impl DoomedKinds {
    /// One of them; the one with the greatest number, if there are several.
    #[inline(always)]
    pub fn first(&self) -> Option<ObjectKind> {
        ObjectKind::from_number(u64::from(self.0.load(Ordering::Relaxed).checked_ilog2()?))
    }

    /// Whether there is any.
    #[inline(always)]
    pub fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Notes whether objects of a kind are doomed. The kernel's lock is held: no other CPU changes it meanwhile.
    #[inline(always)]
    pub(super) fn set(&self, kind: ObjectKind, is_doomed: bool) {
        let bit = 1 << kind as u32;
        let others = self.0.load(Ordering::Relaxed) & !bit;
        self.0.store(if is_doomed { others | bit } else { others }, Ordering::Relaxed);
    }
}

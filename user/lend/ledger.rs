//! What is lent to one borrower, as the kernel tells.

use libvas::layout::LentKind;
use libvas::{Cap, Error, Object};

/// How much of each kind is lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    capabilities: u64,
    mappings: u64,
    attachments: u64,
    views: u64,
}

impl Ledger {
    /// Counts what is lent of one object. Threads are not counted: of one that runs, its CPU knows more than any list.
    pub(crate) fn add<T: Object>(&mut self, cap: &Cap<T>, badge: u64) -> Result<(), Error> {
        for info in cap.lent() {
            let info = info?;
            if info.badge != badge {
                continue;
            }
            match LentKind::from_number(info.kind) {
                Some(LentKind::Capability) => self.capabilities += 1,
                Some(LentKind::Mapping) => self.mappings += 1,
                Some(LentKind::Attachment) => self.attachments += 1,
                Some(LentKind::View) => self.views += 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether that is what each borrower has while it works.
    pub(crate) fn is_whole(&self) -> bool {
        *self == Ledger { capabilities: 3, mappings: 1, attachments: 1, views: 1 }
    }

    /// Whether that is nothing at all.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Ledger::default()
    }
}

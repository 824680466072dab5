//! Records what the kernel tells the translation hardware.

use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering;

use super::memory;
use crate::{Frame, VirtAddr};

/// One instruction to the translation hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A root became the CPU's user root.
    Activate {
        /// The root table.
        root: Frame,
        /// Its tag.
        tag: u16,
        /// Whether translations under the tag were kept.
        keep: bool,
    },
    /// One page's translations were dropped.
    Page(VirtAddr, u16),
    /// Everything under a tag was dropped.
    Tag(u16),
    /// Everything was dropped.
    All,
}

thread_local! {
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    static TAG_BITS: Cell<u32> = const { Cell::new(8) };
}

pub(super) fn reset() {
    EVENTS.with_borrow_mut(Vec::clear);
    TAG_BITS.set(8);
}

/// Sets how wide the machine's tags are; call it before the kernel starts.
pub fn set_tag_bits(bits: u32) {
    TAG_BITS.set(bits);
}

/// What happened since the last call.
pub fn take_events() -> Vec<Event> {
    EVENTS.take()
}

fn record(event: Event) {
    EVENTS.with_borrow_mut(|events| events.push(event));
}

/// Width of the machine's tags.
pub fn tag_bits() -> u32 {
    TAG_BITS.get()
}

/// Makes a cleared frame a root table: the fake machine has no kernel half.
pub fn prepare_root(root: Frame) {
    assert!(memory::table(root).iter().all(|entry| entry.load(Ordering::Relaxed) == 0), "a root must be cleared");
}

/// Makes table writes visible to the walker: nothing to do.
pub fn publish_tables() {}

/// Makes `root` the user root.
pub fn activate(root: Frame, tag: u16, keep: bool) {
    record(Event::Activate { root, tag, keep });
}

/// Drops one page's translations.
pub fn invalidate_page(address: VirtAddr, tag: u16, _active: bool) {
    record(Event::Page(address, tag));
}

/// Drops everything under a tag.
pub fn invalidate_tag(tag: u16, _active: bool) {
    record(Event::Tag(tag));
}

/// Drops everything.
pub fn invalidate_all() {
    record(Event::All);
}

/// Drops one page's translations on the calling CPU.
pub fn invalidate_page_local(address: VirtAddr, tag: u16, active: bool) {
    invalidate_page(address, tag, active);
}

/// Drops everything under a tag on the calling CPU.
pub fn invalidate_tag_local(tag: u16, active: bool) {
    invalidate_tag(tag, active);
}

/// Whether translations under a tag that is not active can be dropped.
pub fn can_invalidate_inactive() -> bool {
    false
}

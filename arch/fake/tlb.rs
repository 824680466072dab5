//! Records what the kernel tells the translation hardware, and lets the oracle know.

use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering;

use super::oracle::Reach;
use super::{memory, oracle};
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
    /// One page's translations under every tag were dropped.
    PageAllTags(VirtAddr),
    /// Everything under a tag was dropped.
    Tag(u16),
    /// Everything was dropped.
    All,
}

thread_local! {
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    static TAG_BITS: Cell<u32> = const { Cell::new(8) };
    static LARGEST_LEAF_LEVEL: Cell<u8> = const { Cell::new(2) };
}

pub(super) fn reset() {
    EVENTS.with_borrow_mut(Vec::clear);
    TAG_BITS.set(8);
    LARGEST_LEAF_LEVEL.set(2);
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

/// The highest level at which an entry can be a leaf: 2, for 1 GiB, unless [`set_largest_leaf_level`] says otherwise.
pub fn largest_leaf_level() -> u8 {
    LARGEST_LEAF_LEVEL.get()
}

/// Sets whether the machine has pages of 1 GiB (2) or not (1).
pub fn set_largest_leaf_level(level: u8) {
    LARGEST_LEAF_LEVEL.set(level);
}

/// Makes a cleared frame a root table: the fake machine has no kernel half.
pub fn prepare_root(root: Frame) {
    assert!(memory::table(root).iter().all(|entry| entry.load(Ordering::Relaxed) == 0), "a root must be cleared");
}

/// Takes out of a root table that no CPU uses any more what [`prepare_root`] put in: nothing.
pub fn strip_root(_root: Frame) {}

/// Makes table writes visible to walkers: what is not published before it is used, the oracle finds.
pub fn publish_tables() {
    memory::publish();
    oracle::observe();
}

/// Makes `root` the user root.
pub fn activate(root: Frame, tag: u16, keep: bool) {
    record(Event::Activate { root, tag, keep });
    oracle::activate(root, tag, keep);
}

/// Drops one page's translations.
pub fn invalidate_page(address: VirtAddr, tag: u16) {
    record(Event::Page(address, tag));
    oracle::drop_page(address, tag, Reach::Machine);
}

/// Drops everything under a tag.
pub fn invalidate_tag(tag: u16) {
    record(Event::Tag(tag));
    oracle::drop_tag(tag, Reach::Machine);
}

/// Drops one page's translations under every tag, global ones included; on x86, where nothing does that, everything.
pub fn invalidate_page_all_tags(address: VirtAddr) {
    record(Event::PageAllTags(address));
    oracle::drop_page_all_tags(address);
}

/// Drops everything.
pub fn invalidate_all() {
    record(Event::All);
    oracle::drop_all();
}

/// Drops one page's translations on the calling CPU.
pub fn invalidate_page_local(address: VirtAddr, tag: u16) {
    record(Event::Page(address, tag));
    oracle::drop_page(address, tag, Reach::Cpu);
}

/// Drops everything under a tag on the calling CPU.
pub fn invalidate_tag_local(tag: u16) {
    record(Event::Tag(tag));
    oracle::drop_tag(tag, Reach::Cpu);
}

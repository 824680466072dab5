//! The oracle: for each CPU of the fake machine, everything that its translation hardware could still hold, and the
//! rules that a kernel must not break however unlucky it is.
//!
//! A CPU that has a root loaded may cache any translation of it at any moment. So at each word of the kernel to the
//! machine (and at [`observe`], which tests call between steps) every CPU caches all it can find; it drops only
//! what the architecture promises to drop. The rules:
//!
//! | rule | broken when |
//! |---|---|
//! | `kept` | a tag is loaded without a flush, and something false is held under it |
//! | `global` | a root with entries is loaded, and something that is false there is held under every tag |
//! | `free` | a frame is noted as free that a CPU may still reach under the tag it has loaded, or under every tag |
//! | `reuse` | a frame is cleared for a new use that a CPU may still reach in the same way |
//! | `conflict` | two translations of a page, of different size or frame, can be held at once |
//! | `stale` | after an operation, a CPU may use what is not true any more ([`check`]) |
//! | `unpublished` | a root is loaded, or an operation ends, and walkers need not see what was written to its tables |
//!
//! The first breach is kept for the test ([`take_breach`]), which decides whether it is a failure or a mutant caught.
//! Off until [`watch`] is called.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::cpu::cpu_index;
use super::memory;
use super::smp::{broadcasts_invalidation, is_interrupting};
use super::worst_case::{Held, Leaf, Way};
use crate::{CPUS_MAX, Frame, VirtAddr};

/// How far an invalidation is meant to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The calling CPU.
    Cpu,
    /// As far as the hardware lets it.
    Machine,
}

#[derive(Debug, Default)]
struct Cpu {
    loaded: Option<(Frame, u16)>,
    held: BTreeMap<u16, Held>,
    /// Leaves held under every tag.
    globals: Held,
    /// `memory::touches` when it looked last.
    looked_at: Option<u64>,
}

#[derive(Debug)]
struct Oracle {
    watches: bool,
    cpus: [Cpu; CPUS_MAX],
    breach: Option<String>,
}

impl Default for Oracle {
    fn default() -> Oracle {
        Oracle { watches: false, cpus: std::array::from_fn(|_| Cpu::default()), breach: None }
    }
}

thread_local! {
    static ORACLE: RefCell<Oracle> = RefCell::default();
}

pub(super) fn reset() {
    ORACLE.take();
    memory::reset_publishing();
}

/// Watches the machine from now on.
pub fn watch() {
    ORACLE.with_borrow_mut(|oracle| oracle.watches = true);
    memory::watch_publishing();
    observe();
}

/// The first breach of a rule since the last call, in words.
pub fn take_breach() -> Option<String> {
    ORACLE.with_borrow_mut(|oracle| oracle.breach.take())
}

/// All that a CPU may use without a walk at this moment.
pub fn usable(cpu: usize) -> Vec<Leaf> {
    ORACLE.with_borrow(|oracle| oracle.cpus[cpu].usable().flat_map(Held::leaves).copied().collect())
}

/// Every CPU looks at all that it can find now.
pub fn observe() {
    with(|_| {});
}

/// After an operation: no CPU may use what is not true any more.
pub fn check() {
    with(|oracle| {
        for index in 0..CPUS_MAX {
            let cpu = &oracle.cpus[index];
            let Some((root, tag)) = cpu.loaded else { continue };
            let truth = Held::of_tables(root);
            // In a root without any entry nobody makes an access, whatever is held under every tag.
            let globals = Some(&cpu.globals).filter(|_| !truth.is_empty());
            let found = cpu.active().into_iter().chain(globals).find_map(|held| held.find_false(&truth));
            oracle.note(found.map(|what| format!("stale: CPU {index} may use {what} under tag {tag}")));
            oracle.note(truth.find_unpublished(root).map(|what| format!("unpublished: CPU {index} walks {what}")));
        }
    });
}

/// Frames are free.
pub(crate) fn note_free(first: Frame, count: u64) {
    with(|oracle| oracle.ensure_unreachable("free", first, count));
}

/// Frames get a new use.
pub(super) fn note_reuse(first: Frame, count: u64) {
    with(|oracle| oracle.ensure_unreachable("reuse", first, count));
}

/// The calling CPU loads a root. On x86 tag 0 keeps nothing, whatever was asked.
pub(super) fn activate(root: Frame, tag: u16, keep: bool) {
    let index = cpu_index();
    with(|oracle| {
        oracle.note_unpublished(index, root);
        let cpu = &mut oracle.cpus[index];
        let held = cpu.held.entry(tag).or_default();
        if !keep || tag == 0 && !broadcasts_invalidation() {
            *held = Held::default();
        }
        // While another CPU is interrupting this one its change is not complete, and may yet reach what is kept.
        if is_interrupting() || held.is_empty() && cpu.globals.is_empty() {
            return;
        }
        let truth = Held::of_tables(root);
        let kept = held.find_false(&truth).map(|what| format!("kept: CPU {index} keeps {what} under tag {tag}"));
        let global = || cpu.globals.find_false(&truth).filter(|_| !truth.is_empty());
        let found = kept.or_else(|| Some(format!("global: CPU {index} has {} under every tag", global()?)));
        oracle.note(found);
    });
    // Also before anyone watches, so that it is known what is loaded when someone begins to.
    ORACLE.with_borrow_mut(|oracle| {
        let cpu = &mut oracle.cpus[index];
        (cpu.loaded, cpu.looked_at) = (Some((root, tag)), None);
    });
    observe();
}

pub(super) fn drop_page(address: VirtAddr, tag: u16, reach: Reach) {
    with(|oracle| {
        let page = address.value() / tessera_abi::PAGE_BYTES;
        oracle.drop_held(tag, reach, |held, globals| {
            held.drop_page(page);
            globals.drop_page(page);
        });
    });
}

/// Under every tag where the hardware can name all at once; elsewhere it drops everything.
pub(super) fn drop_page_all_tags(address: VirtAddr) {
    if !broadcasts_invalidation() {
        return drop_all();
    }
    let page = address.value() / tessera_abi::PAGE_BYTES;
    with(|oracle| {
        for cpu in &mut oracle.cpus {
            cpu.held.values_mut().chain([&mut cpu.globals]).for_each(|held| held.drop_page(page));
            cpu.looked_at = None;
        }
    });
}

pub(super) fn drop_tag(tag: u16, reach: Reach) {
    with(|oracle| oracle.drop_held(tag, reach, |held, _| *held = Held::default()));
}

pub(super) fn drop_all() {
    with(|oracle| {
        let here = cpu_index();
        for cpu in reached(&mut oracle.cpus, here, Reach::Machine) {
            *cpu = Cpu { loaded: cpu.loaded, ..Cpu::default() };
        }
    });
}

fn with(work: impl FnOnce(&mut Oracle)) {
    ORACLE.with_borrow_mut(|oracle| {
        if oracle.watches {
            oracle.look();
            work(oracle);
        }
    });
}

fn reached(cpus: &mut [Cpu], here: usize, reach: Reach) -> &mut [Cpu] {
    match reach {
        Reach::Machine if broadcasts_invalidation() => cpus,
        _ => &mut cpus[here..=here],
    }
}

impl Cpu {
    /// What is held under the tag that is loaded.
    fn active(&self) -> Option<&Held> {
        self.held.get(&self.loaded?.1)
    }

    /// And what is held under every tag.
    fn usable(&self) -> impl Iterator<Item = &Held> {
        self.active().into_iter().chain([&self.globals])
    }
}

impl Oracle {
    fn note(&mut self, breach: Option<String>) {
        self.breach = self.breach.take().or(breach);
    }

    fn note_unpublished(&mut self, index: usize, root: Frame) {
        if memory::has_unpublished() {
            let found = Held::of_tables(root).find_unpublished(root);
            self.note(found.map(|what| format!("unpublished: CPU {index} is to walk {what}")));
        }
    }

    fn look(&mut self) {
        if self.breach.is_some() {
            // Tables may be anything by now.
            return;
        }
        let touches = memory::touches();
        for index in 0..CPUS_MAX {
            let cpu = &mut self.cpus[index];
            let Some((root, tag)) = cpu.loaded.filter(|_| cpu.looked_at != Some(touches)) else { continue };
            cpu.looked_at = Some(touches);
            let conflict = cpu.held.entry(tag).or_default().fill(root, &mut cpu.globals);
            let told = |(one, other): (Leaf, Leaf)| {
                format!("conflict: CPU {index} may hold both {one:x?} and {other:x?} under tag {tag}")
            };
            self.note(conflict.map(told));
        }
    }

    /// x86 can only name what is loaded; Arm names the tag, and reaches all CPUs. `drop` gets what is held under the tag
    /// and what is held under every tag.
    fn drop_held(&mut self, tag: u16, reach: Reach, mut drop: impl FnMut(&mut Held, &mut Held)) {
        for cpu in reached(&mut self.cpus, cpu_index(), reach) {
            let named = match cpu.loaded {
                _ if broadcasts_invalidation() => tag,
                Some((_, loaded)) => loaded,
                None => continue,
            };
            drop(cpu.held.entry(named).or_default(), &mut cpu.globals);
            cpu.looked_at = None;
        }
    }

    fn ensure_unreachable(&mut self, rule: &str, first: Frame, count: u64) {
        for index in 0..CPUS_MAX {
            let cpu = &self.cpus[index];
            let Some((root, tag)) = cpu.loaded else { continue };
            let is_root = first <= root && root.number() < first.number() + count;
            let root = is_root.then(|| format!("{:x?}", Way::of_root(root)));
            let found = root.or_else(|| cpu.usable().find_map(|held| held.find_use(first, count)));
            self.note(found.map(|what| {
                format!("{rule}: {count} frames from {first:x?}, but CPU {index} may use {what} under tag {tag}")
            }));
        }
    }
}

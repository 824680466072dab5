//! The model: events in, figures out.
//!
//! | file | holds |
//! |---|---|
//! | `event` | what the model is told |
//! | `profile`, `costs` | what a CPU has, and what things cost |
//! | `figures` | what is counted |
//! | `cpu` | one CPU, and what an event does to it |
//! | `level`, `array`, `owner` | arrays of entries, and whose an entry is |
//! | `invalidation` | which entries an invalidation concerns |
//! | `sharing` | which tables are shared spaces |

mod array;
mod costs;
mod cpu;
mod event;
mod figures;
mod invalidation;
mod level;
mod owner;
mod profile;
mod sharing;

use cpu::Cpu;

pub use costs::Costs;
pub use event::{Access, Invalidation, Translation, Walk, WalkEntries};
pub use figures::Figures;
pub use profile::{PROFILES, PageSize, Profile, Shape};

/// The translation caches of some CPUs of one kind.
pub struct Model {
    cpus: Vec<Cpu>,
}

impl Model {
    /// So many CPUs with nothing in their caches.
    #[must_use]
    pub fn new(profile: &Profile, cpus: usize) -> Model {
        Model { cpus: (0..cpus).map(|_| Cpu::new(profile)).collect() }
    }

    /// A CPU made an access that succeeded, under `tag`; `walker` walks the page tables if no TLB holds the page.
    ///
    /// Addresses are whole: sign-extended, and without a tag in the top byte.
    #[inline(always)]
    pub fn access(&mut self, cpu: usize, access: Access, tag: u16, address: u64, walker: impl FnOnce() -> Walk) {
        self.cpus[cpu].access(access, tag, address, walker);
    }

    /// A CPU wrote its root register; `flush` says whether that drops what is held under the new tag: x86 MOV to CR3
    /// without bit 63, never on Arm.
    pub fn switch_root(&mut self, cpu: usize, tag: u16, root: u64, flush: bool) {
        self.cpus[cpu].switch_root(tag, root, flush);
    }

    /// A CPU invalidated something in its own caches.
    pub fn invalidate(&mut self, cpu: usize, invalidation: Invalidation) {
        self.cpus[cpu].count(invalidation);
        self.cpus[cpu].drop(invalidation);
    }

    /// A CPU invalidated something in the caches of all CPUs: Arm's inner-shareable forms. It alone bears the cost.
    pub fn broadcast(&mut self, cpu: usize, invalidation: Invalidation) {
        self.cpus[cpu].count(invalidation);
        self.cpus[cpu].figures.broadcasts += 1;
        for other in &mut self.cpus {
            other.drop(invalidation);
        }
    }

    /// A CPU's figures since they were cleared.
    #[must_use]
    pub fn figures(&self, cpu: usize) -> Figures {
        self.cpus[cpu].figures
    }

    /// The figures of all CPUs.
    #[must_use]
    pub fn total(&self) -> Figures {
        self.cpus.iter().fold(Figures::default(), |sum, cpu| sum + cpu.figures)
    }

    /// Clears all figures; the caches stay as they are.
    pub fn clear(&mut self) {
        for cpu in &mut self.cpus {
            cpu.figures = Figures::default();
        }
    }
}

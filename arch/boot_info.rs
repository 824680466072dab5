//! What a loader leaves behind, in one form for all loaders.

use crate::PhysAddr;

/// A range of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysRange {
    /// First address.
    pub start: PhysAddr,
    /// Length, bytes.
    pub length_bytes: u64,
}

impl PhysRange {
    /// First address after the range.
    pub const fn end(&self) -> PhysAddr {
        PhysAddr::new(self.start.value() + self.length_bytes)
    }
}

/// The machine as the kernel finds it.
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    /// Which loader and protocol brought the kernel up, for people.
    pub loader: &'static str,
    /// Free memory in whole frames, ascending, without overlap. Kernel image, boot page tables, stacks and
    /// the archive are outside; the loader's own memory is inside, as nothing needs it any more.
    pub memory: &'static [PhysRange],
    /// The boot archive (a tar). Begins on a frame boundary; the rest of its last frame belongs to it.
    pub archive: PhysRange,
    /// How many CPUs the machine has, at most `CPUS_MAX`; only the boot CPU runs yet.
    pub cpus: usize,
}

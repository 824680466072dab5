//! A machine made of ordinary memory, for running kernel logic in host tests.
//!
//! Every test thread has a machine of its own, so tests run in parallel. [`power_on`] gives it fresh memory
//! and chooses which architecture's page-table format it uses.

pub mod console;
pub mod context;
pub mod cpu;
pub mod entry;
pub mod fault;
pub mod format;
pub mod guest;
pub mod handler_entry;
pub mod interrupted;
pub mod memory;
pub mod oracle;
pub mod plugin;
pub mod provoke;
pub mod registers;
pub mod root;
pub mod secondary;
pub mod smp;
pub mod timer;
pub mod tlb;
pub mod worst_case;

pub use format::Flavour;
pub use tlb::Event;

use crate::{BootInfo, Frame, PhysRange};

/// The first frame of the fake machine's memory.
pub const FIRST_FRAME: Frame = Frame::new(0x100);

/// Gives the calling test thread a machine with `frames` frames of memory, the last `archive_frames` of which
/// hold a boot archive, and the page-table format of `flavour`.
pub fn power_on(flavour: Flavour, frames: u64, archive_frames: u64) -> &'static BootInfo {
    format::choose(flavour);
    memory::install(frames);
    context::forget_all();
    tlb::reset();
    timer::reset();
    cpu::reset();
    console::reset();
    smp::reset();
    oracle::reset();
    let bytes = |count: u64| count * tessera_abi::PAGE_BYTES;
    let memory = PhysRange { start: FIRST_FRAME.start(), length_bytes: bytes(frames - archive_frames) };
    Box::leak(Box::new(BootInfo {
        loader: "fake",
        archive: PhysRange { start: memory.end(), length_bytes: bytes(archive_frames) },
        memory: Box::leak(Box::new([memory])),
        cpus: 1,
    }))
}

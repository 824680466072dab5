//! The x86_64 backend: long mode with four levels of tables, local APIC, one serial line.
//!
//! | file | what |
//! |---|---|
//! | `boot`, `boot_limine`, `boot_bootloader` | from the loaders' entry points to `kernel_main` |
//! | `firmware`, `acpi`, `machine` | finding firmware's tables; what they say of the machine |
//! | `memory_map`, `mtrr`, `paging` | which memory there is, and of which type; the kernel's own tables |
//! | `features`, `errata`, `rates` | control registers; what certain models do otherwise; how fast clocks run |
//! | `percpu`, `stacks`, `gdt`, `idt` | what each CPU is set up with |
//! | `entry`, `call_entry`, `trap` | a trap's way in and out in assembly; where calls lead; its Rust side |
//! | `fault`, `instruction` | what a fault means |
//! | `registers`, `floating`, `guest`, `interrupted` | a thread's registers in memory; a guest's; one's that a handler sees |
//! | `guest_entry`, `handler_entry` | the fast ways into a guest and out of it, and into a handler, in assembly |
//! | `secondary`, `trampoline` | the other CPUs: starting; their way into the kernel |
//! | `context`, `memory`, `root`, `tlb`, `cpu`, `smp`, `provoke`, `plugin`, `timer`, `console` | the contract |
//! | `interrupts` | interrupt controllers: the local APIC, and the old ones |
//! | `format` | page-table entries; compiled on every host |
//!
//! In comments, "SDM" is Intel's Software Developer's Manual and "APM" AMD's Architecture Programmer's Manual.

pub mod format;

#[cfg(any(test, all(target_os = "none", target_arch = "x86_64")))]
mod acpi;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod boot;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod boot_bootloader;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod boot_limine;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod call_entry;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod console;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod context;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod cpu;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod entry;
#[cfg(any(test, all(target_os = "none", target_arch = "x86_64")))]
mod errata;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod fault;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod features;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod firmware;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod floating;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod gdt;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod guest;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod guest_entry;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod handler_entry;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod idt;
#[cfg(any(test, all(target_os = "none", target_arch = "x86_64")))]
mod instruction;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod interrupted;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod interrupts;
#[cfg(any(test, all(target_os = "none", target_arch = "x86_64")))]
mod machine;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod memory;
#[cfg(any(test, all(target_os = "none", target_arch = "x86_64")))]
mod memory_map;
#[cfg(any(test, all(target_os = "none", target_arch = "x86_64")))]
mod mtrr;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod paging;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod percpu;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod plugin;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod provoke;
#[cfg(any(test, all(target_os = "none", target_arch = "x86_64")))]
mod rates;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod registers;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod root;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod secondary;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod smp;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod stacks;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod timer;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod tlb;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod trampoline;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod trap;

//! The aarch64 backend: Armv8-A or later, EL1, 4 KiB granule, 48-bit addresses, GICv3, PL011, PSCI.
//!
//! | file | what |
//! |---|---|
//! | `boot`, `machine` | from the loader's entry point to `kernel_main`; what the device tree says of the machine |
//! | `paging` | the kernel's own tables and the change to them |
//! | `features`, `errata` | system control registers; what certain models do otherwise |
//! | `percpu`, `stacks` | what each CPU is set up with |
//! | `entry`, `call_entry`, `trap` | a trap's way in and out in assembly; where calls lead; its Rust side |
//! | `fault`, `syndrome` | what a fault means |
//! | `registers`, `floating`, `guest`, `interrupted` | a thread's registers in memory; a guest's; one's that a handler sees |
//! | `guest_entry`, `handler_entry` | the fast ways into a guest and out of it, and into a handler, in assembly |
//! | `secondary`, `trampoline` | the other CPUs: starting; their way into the kernel |
//! | `context`, `memory`, `root`, `tlb`, `cpu`, `smp`, `provoke`, `plugin`, `timer`, `console` | the contract |
//! | `interrupts` | interrupt controller: GICv3 |
//! | `power` | the firmware: PSCI and semihosting |
//! | `format` | page-table entries; compiled on every host |
//!
//! "DDI 0487" in comments is the Arm Architecture Reference Manual for A-profile.

pub mod format;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod boot;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod call_entry;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod console;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod context;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod cpu;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod entry;
#[cfg(any(test, all(target_os = "none", target_arch = "aarch64")))]
mod errata;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod fault;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod features;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod floating;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod guest;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod guest_entry;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod handler_entry;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod interrupted;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod interrupts;
#[cfg(any(test, all(target_os = "none", target_arch = "aarch64")))]
mod machine;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod memory;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod paging;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod percpu;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod plugin;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod power;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod provoke;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod registers;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod root;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod secondary;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod smp;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod stacks;
#[cfg(any(test, all(target_os = "none", target_arch = "aarch64")))]
mod syndrome;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod timer;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod tlb;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod trampoline;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod trap;

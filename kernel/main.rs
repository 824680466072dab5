//! The kernel's bootable binary: nothing but the panic handler. The loader enters the architecture's `boot`,
//! which calls `tessera_kernel::upcalls::kernel_main`, the boot list.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

// Linked for the symbols that the architecture calls.
use tessera_kernel as _;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    tessera_kernel::upcalls::report_panic(info)
}

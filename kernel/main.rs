//! The kernel's bootable binary: the boot list. The loader enters the architecture's `boot`, which sets up the
//! machine and calls `kernel_main`.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use tessera_arch::BootInfo;
use tessera_kernel::entry::boot;
use tessera_kernel::entry::upcalls;

/// The boot list, run by the boot CPU on a kernel stack with the machine set up.
#[unsafe(no_mangle)]
fn kernel_main(boot_info: &'static BootInfo) -> ! {
    boot::announce(boot_info);
    let options = boot::read_options(boot_info);
    boot::open_counters(&options);
    boot::serve_plugin(&options);
    let frames = boot::take_memory(boot_info);
    let mut kernel = boot::make_kernel(boot_info, frames, &options);
    boot::load_first_program(&mut kernel, &options);
    boot::open_for_all(kernel);
    boot::start_other_cpus(boot_info, &options);
    boot::run_benchmarks(&options);
    boot::run()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    upcalls::report_panic(info)
}

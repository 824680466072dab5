//! What the architecture calls: the boot list, traps, the fast path. And how a panic ends.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;
use tessera_abi::{Handle, PAGE_BYTES};
use tessera_arch::{BootInfo, Frame, SwitchResult, Trap};

use crate::log;
use crate::log::line_in_panic;
use crate::mem::FrameAllocator;
use crate::mem::frames::{FrameRecord, ORDER_MAX};
use crate::shared::Shared;
use crate::{Kernel, fast, mem, program};

static SHARED: Shared = Shared::new();

static KERNEL: Mutex<Option<Kernel>> = Mutex::new(None);

/// Memory for the kernel heap's large blocks: one part in so many.
const HEAP_SHARE: u64 = 32;

/// The boot list.
#[unsafe(no_mangle)]
fn kernel_main(boot_info: &'static BootInfo) -> ! {
    log!("Tessera {}, entered by {}", env!("CARGO_PKG_VERSION"), boot_info.loader);
    log_features();
    let frames = take_memory(boot_info);
    log!("memory: {} MiB free", frames.free_frames() * PAGE_BYTES >> 20);
    let mut kernel = Kernel::new(boot_info, &SHARED, frames);
    match program::start_first(&mut kernel) {
        Ok(()) => {}
        Err(reason) => panic!("the first program cannot be started: {reason}"),
    }
    assert!(kernel.choose(tessera_arch::cpu_index()), "the first program's thread is ready");
    *KERNEL.lock() = Some(kernel);
    tessera_arch::enter_user()
}

#[unsafe(no_mangle)]
fn kernel_trap(trap: Trap) {
    let cpu = tessera_arch::cpu_index();
    let mut guard = KERNEL.lock();
    with(&mut guard, |kernel| kernel.handle(cpu, trap));
    while !with(&mut guard, |kernel| kernel.choose(cpu)) {
        drop(guard);
        let interrupt = tessera_arch::wait_for_interrupt();
        guard = KERNEL.lock();
        with(&mut guard, |kernel| kernel.interrupt(cpu, interrupt));
    }
}

#[unsafe(no_mangle)]
fn kernel_fast_switch(handle: u64, instruction_pointer: u64, stack_pointer: u64) -> SwitchResult {
    let line = &SHARED.cpus[tessera_arch::cpu_index()];
    fast::space_switch(&SHARED, line, Handle::from_bits(handle), instruction_pointer, stack_pointer)
}

fn with<T>(guard: &mut Option<Kernel>, work: impl FnOnce(&mut Kernel) -> T) -> T {
    work(guard.as_mut().expect("traps come after kernel_main has made the kernel"))
}

/// Prints why the kernel cannot go on, where it was, and ends the machine as a failure.
pub fn report_panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    if !PANICKING.swap(true, Ordering::Relaxed) {
        match info.location() {
            Some(place) => line_in_panic(format_args!("PANIC: {} ({}:{})", info.message(), place.file(), place.line())),
            None => line_in_panic(format_args!("PANIC: {}", info.message())),
        }
        line_in_panic(format_args!("on CPU {}, called from:", tessera_arch::cpu_index()));
        tessera_arch::backtrace(&mut |address| line_in_panic(format_args!("  at {address:#x}")));
    }
    line_in_panic(format_args!("panicked"));
    tessera_arch::halt_after_panic()
}

fn log_features() {
    struct Features;
    impl core::fmt::Display for Features {
        fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            tessera_arch::describe_features(out)
        }
    }
    log!("cpu: {Features}");
}

/// Takes the machine's free memory: records and heap out of the largest range, the rest for the allocator.
fn take_memory(boot_info: &'static BootInfo) -> FrameAllocator {
    let first = boot_info.memory.first().expect("there is memory").start.value() / PAGE_BYTES;
    let first = first & !((1 << ORDER_MAX) - 1);
    let end = boot_info.memory.last().expect("there is memory").end().value() / PAGE_BYTES;
    let largest = boot_info.memory.iter().max_by_key(|range| range.length_bytes).expect("there is memory");
    let total: u64 = boot_info.memory.iter().map(|range| range.length_bytes).sum();
    let record_bytes = ((end - first) * size_of::<FrameRecord>() as u64).next_multiple_of(PAGE_BYTES);
    let heap_bytes = (total / HEAP_SHARE).next_multiple_of(PAGE_BYTES);
    assert!(record_bytes + heap_bytes < largest.length_bytes, "no range is large enough for the kernel's own records");
    let records = tessera_arch::direct_map(largest.start).cast::<FrameRecord>();
    // SAFETY: the range is free memory by the contract of `BootInfo`, mapped for good in the direct map; its
    // first `record_bytes` go to the records, the next `heap_bytes` to the heap, and the allocator is given
    // only what is behind them. The records are written before the slice over them is made.
    let records = unsafe {
        for index in 0..(end - first) as usize {
            records.add(index).write(FrameRecord::OUTSIDE);
        }
        mem::heap::initialise(records.cast::<u8>().add(record_bytes as usize), heap_bytes as usize);
        core::slice::from_raw_parts_mut(records, (end - first) as usize)
    };
    let mut frames = FrameAllocator::new(records, Frame::new(first));
    for range in boot_info.memory {
        let mut range = *range;
        if range == *largest {
            range.start = tessera_arch::PhysAddr::new(range.start.value() + record_bytes + heap_bytes);
            range.length_bytes -= record_bytes + heap_bytes;
        }
        frames.add(range);
    }
    mem::top_up(&mut frames);
    frames
}

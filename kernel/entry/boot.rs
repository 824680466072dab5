//! The steps of the boot list in `main.rs`.

use tessera_abi::PAGE_BYTES;
use tessera_arch::{BootInfo, Frame, PhysAddr, PhysRange};

use crate::base::log::{CANNOT_START, end_machine, last_line, log};
use crate::base::mutants::seed_by_name;
use crate::bench::{self, standby};
use crate::cpu::gate_words::GateWords;
use crate::cpu::handshake::Pass;
use crate::cpu::per_cpu::Words;
use crate::entry::options::Options;
use crate::entry::program;
use crate::entry::upcalls::{KERNEL, SHARED, kernel_cpu_main, with};
use crate::mem;
use crate::mem::FrameAllocator;
use crate::mem::frames::{FrameRecord, ORDER_MAX};
use crate::object::gate::Gate;
use crate::object::space::Space;
use crate::state::kernel::Kernel;

/// Says who we are and on what.
pub fn announce(boot_info: &BootInfo) {
    say(format_args!("Tessera {}, entered by {}", env!("CARGO_PKG_VERSION"), boot_info.loader));
    log_features();
}

/// Reads the options that the user gave at boot; ends the machine if they make no sense, or the boot archive is none.
pub fn read_options(boot_info: &BootInfo) -> Options<'static> {
    let options = Options::read(boot_info).and_then(|options| {
        options.seed.map_or(Ok(()), seed_by_name)?;
        Ok(options)
    });
    options.unwrap_or_else(|reason| give_up(format_args!("the boot archive: {reason}")))
}

/// Tells a TLB plugin in the emulator what it cannot see, if the user says that there is one.
pub fn serve_plugin(options: &Options<'_>) {
    if options.tlb_plugin {
        say(format_args!("a TLB plugin is served: memory is not protected from programs"));
        tessera_arch::serve_plugin();
    }
}

/// Opens the cycle counter to programs if that was asked for; ends the machine if there is none.
pub fn open_counters(options: &Options<'_>) {
    if options.cycle_counter && !tessera_arch::open_cycle_counter() {
        give_up(format_args!("`cycle_counter=1`: this CPU has none"));
    }
}

/// Puts the kernel together: allocators full, no objects yet.
pub fn make_kernel(boot_info: &'static BootInfo, frames: FrameAllocator, options: &Options<'_>) -> Kernel {
    let tag_bits = options.tag_bits.min(tessera_arch::tag_bits());
    say(format_args!("memory: {} MiB free; tags: {tag_bits} bits", (frames.free_frames() * PAGE_BYTES) >> 20));
    Kernel::new(boot_info, &SHARED, frames, tag_bits)
}

/// Loads the first program, to be run by whichever CPU is free first; ends the machine if there is none to load.
pub fn load_first_program(kernel: &mut Kernel, options: &Options<'_>) {
    let name = options.first;
    program::start_first(kernel, name)
        .unwrap_or_else(|reason| give_up(format_args!("the first program, `{name}`: {reason}")));
}

/// Hands the kernel over to the lock: from here on every CPU may enter it.
pub fn open_for_all(kernel: Kernel) {
    *KERNEL.lock(|| {}) = Some(kernel);
}

/// Starts the other CPUs, which begin to run threads at once; while there are benchmarks to be run, they stand by.
pub fn start_other_cpus(boot_info: &BootInfo, options: &Options<'_>) {
    if options.bench.is_some() {
        standby::ask();
    }
    // With the lock: no thread runs before the kernel knows on how many CPUs it may.
    let mut guard = KERNEL.lock(|| {});
    let running = tessera_arch::start_cpus(boot_info.cpus);
    with(&mut guard, |kernel| kernel.cpus = running);
    drop(guard);
    log!(SHARED.console, "cpus: {running} of {} running", boot_info.cpus);
}

/// Runs the kernel's benchmarks that the options ask for; the other CPUs go on afterwards.
pub fn run_benchmarks(options: &Options<'_>) {
    let Some(wanted) = options.bench else { return };
    // Out of its lock, as a lock is among what is measured; nobody else wants it.
    let mut kernel = KERNEL.lock(|| {}).take();
    let cpus = with(&mut kernel, |kernel| {
        bench::run(kernel, wanted);
        kernel.cpus()
    });
    *KERNEL.lock(|| {}) = kernel;
    standby::release(cpus);
}

/// Runs threads, for ever.
pub fn run() -> ! {
    kernel_cpu_main()
}

/// Takes the machine's free memory: records of frames, words of spaces and every CPU's passes to them out of the largest
/// range, the rest for the allocator.
pub fn take_memory(boot_info: &'static BootInfo) -> FrameAllocator {
    let first = boot_info.memory.first().expect("there is memory").start.value() / PAGE_BYTES;
    let first = first & !((1 << ORDER_MAX) - 1);
    let end = boot_info.memory.last().expect("there is memory").end().value() / PAGE_BYTES;
    let largest = boot_info.memory.iter().max_by_key(|range| range.length_bytes).expect("there is memory");
    let total: u64 = boot_info.memory.iter().map(|range| range.length_bytes).sum();
    let mut rest = *largest;
    let records = take_records(&mut rest, (end - first) as usize, || FrameRecord::OUTSIDE);
    // The first are those of no space.
    let count = Space::most(total) + 1;
    let words = take_records(&mut rest, count, Words::new);
    let passes = (0..boot_info.cpus).map(|_| &*take_records(&mut rest, count, Pass::new));
    SHARED.give_spaces(words, passes);
    SHARED.give_gates(take_numbered(&mut rest, Gate::most(total), |number| GateWords::new(number as u32)));
    let mut frames = FrameAllocator::new(records, Frame::new(first));
    boot_info.memory.iter().for_each(|range| frames.add(if range == largest { rest } else { *range }));
    mem::top_up(&mut frames);
    frames
}

/// Takes room for so many records from the beginning of a range, in whole frames.
fn take_records<T>(range: &mut PhysRange, count: usize, new: impl Fn() -> T) -> &'static mut [T] {
    take_numbered(range, count, |_| new())
}

/// The same, of records that know their numbers.
fn take_numbered<T>(range: &mut PhysRange, count: usize, new: impl Fn(usize) -> T) -> &'static mut [T] {
    let bytes = ((count * size_of::<T>()) as u64).next_multiple_of(PAGE_BYTES);
    assert!(bytes < range.length_bytes, "no range is large enough for the kernel's own records");
    let first = tessera_arch::direct_map(range.start).cast::<T>();
    range.start = PhysAddr::new(range.start.value() + bytes);
    range.length_bytes -= bytes;
    // SAFETY: the range is free memory by the contract of `BootInfo`, mapped for good in the direct map; what is taken here is
    // out of it from now on, and goes to the records alone. They are written before the slice over them is made; ranges
    // begin with a frame, which is aligned for any of them.
    unsafe {
        (0..count).for_each(|index| first.add(index).write(new(index)));
        core::slice::from_raw_parts_mut(first, count)
    }
}

fn log_features() {
    struct Features;
    impl core::fmt::Display for Features {
        fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            tessera_arch::describe_features(out)
        }
    }
    say(format_args!("cpu: {Features}"));
}

/// Writes a line at once: while the machine boots, nobody else would, and nobody waits.
fn say(text: core::fmt::Arguments<'_>) {
    last_line(&SHARED.console, text);
}

/// Ends a machine that has nothing to run.
fn give_up(reason: core::fmt::Arguments<'_>) -> ! {
    say(reason);
    end_machine(&SHARED.console, CANNOT_START)
}

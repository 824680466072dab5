//! Loads that find nothing in the TLB.

use core::hint::black_box;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::PAGE_BYTES;
use tessera_arch::{Frame, table};

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::paging::chunk::entry_pages;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_walk",
    points: &[1, 2, 4, 8, 16, 32, 64, 128],
    axis: "pages",
    what: "A load from each of a number of pages of 2 MiB in the kernel's direct map, after everything was dropped. \
        An emulator walks at no cost: see the model's figures",
    leaves_out: "small pages, and those of programs, of which the program bench has curves; where memory is mapped in \
        pages of 1 GiB, several loads need one walk",
    measure: walk,
};

fn walk(kernel: &mut Kernel, meter: &mut Meter, pages: u64) -> Result<(), &'static str> {
    let largest = kernel.boot_info.memory.iter().max_by_key(|range| range.length_bytes).ok_or(TOO_LITTLE)?;
    let first = (largest.start.value() / PAGE_BYTES).next_multiple_of(entry_pages(1));
    if (first + pages * entry_pages(1)) * PAGE_BYTES > largest.end().value() {
        return Err(TOO_LITTLE);
    }
    let load = |page: u64| table(Frame::new(first + page * entry_pages(1)))[0].load(Relaxed);
    let load_each = |(): &mut (), ()| black_box((0..pages).fold(0, |sum, page| sum ^ load(page)));
    meter.sample(1, &mut (), |()| tessera_arch::invalidate_all(), load_each, |(), _| ());
    Ok(())
}

const TOO_LITTLE: &str = "there is too little memory in one piece";

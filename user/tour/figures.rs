//! What it all cost, in figures that the kernel keeps.

use crate::worlds::Worlds;
use demonstration::{Failure, chapter, check};
use libvas::{counters, program};
use rt::println;

pub(crate) fn show(worlds: &Worlds) -> Result<(), Failure> {
    chapter("Figures");
    println!("   space    own tables   shared tables   mapped   tag");
    for world in &worlds.0 {
        let info = world.space.info()?;
        let (own, shared, mapped) = (info.table_bytes, info.shared_table_bytes, info.mapped_bytes);
        println!("   {:<6} {own:>8} bytes {shared:>9} bytes {mapped:>6} B {:>5}", world.name, info.tag);
        check(own > 0 && mapped > 0, "a space has tables and a mapping")?;
    }
    println!("Tags name spaces in the TLB, so that a switch need not empty it; 0 where the CPU has none.");
    let account = program().account().info()?;
    println!("   this program was charged {} KiB of {} KiB", account.used_bytes / 1024, account.limit_bytes / 1024);
    each_cpu()
}

fn each_cpu() -> Result<(), Failure> {
    for cpu in 0..counters::cpus()? {
        let counted = counters::of_cpu(cpu)?;
        println!("   CPU {cpu} since boot:");
        for (what, count) in [
            ("space switches", counted.space_switches),
            ("  that kept the TLB's entries", counted.tag_hits),
            ("  that had to flush", counted.tag_flushes),
            ("thread switches", counted.thread_switches),
            ("system calls on the common path", counted.system_calls),
            ("pages flushed one by one", counted.page_flushes),
            ("faults of programs", counted.faults),
            ("timer interrupts", counted.timer_interrupts),
        ] {
            println!("   {what:<34} {count:>8}");
        }
    }
    check(counters::total()?.faults >= 1, "the stopped write was counted as a fault")
}

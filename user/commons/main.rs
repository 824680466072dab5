//! commons: a public subtree, which every space shows without having attached anything.
//!
//! What all programs need (a clock page, a message catalogue, a C library) is the same in every space. A public subtree
//! puts it at one address everywhere, with *global* translations: one entry of the TLB serves all spaces, and a switch
//! keeps it, whatever becomes of the other entries. The price is paid by changes: a global translation has no tag, so
//! taking a page away must reach every CPU. It does so once, and not once for each space.
//!
//! Making a subtree public takes the machine with `CONTROL`, which programs get by the boot option `machine=control`.
//! This one asks for it in its Cargo.toml.

#![no_std]
#![no_main]

extern crate alloc;

mod commons;
mod crowd;
mod everywhere;
mod readers;
mod refusals;

use commons::Commons;
use crowd::Crowd;
use demonstration::{Failure, chapter, check, hardware_broadcasts};
use libvas::{Cap, Error, Machine, Rights, counters, program};
use rt::println;

rt::main!(main);

/// Spaces that exist before the subtree is public, and those that are made afterwards.
const PRESENT: u64 = 200;
const FUTURE: u64 = 100;

fn main() -> Result<u8, Failure> {
    let Some(machine) = machine_with_control()? else {
        println!("commons: needs the machine with CONTROL; boot it with the option machine=control");
        return Ok(2);
    };
    println!("What every space shows without being asked. CPUs: {}", counters::cpus()?);
    let mut crowd = Crowd::new(PRESENT)?;
    let commons = publish(machine, &mut crowd)?;
    visit(&crowd)?;
    refusals::show(machine, &crowd)?;
    everywhere::show(&commons, &crowd)?;
    withdraw(&commons, &crowd)?;
    println!("commons: all as told");
    Ok(0)
}

/// The machine, if this program may make things public.
fn machine_with_control() -> Result<Option<&'static Cap<Machine>>, Error> {
    match program().machine() {
        Some(machine) if machine.rights()?.contains(Rights::CONTROL) => Ok(Some(machine)),
        _ => Ok(None),
    }
}

/// Makes a subtree public after some of the spaces were made, and before the others are.
fn publish(machine: &Cap<Machine>, crowd: &mut Crowd) -> Result<Commons, Failure> {
    chapter("Made public");
    let commons = Commons::new()?;
    commons.publish(machine)?;
    crowd.grow(FUTURE)?;
    let info = commons.subtree().info()?;
    println!(
        "   {PRESENT} spaces were there before, {FUTURE} were made afterwards; nothing was attached to any of them"
    );
    println!("   it is public at {:#x}, with {} bytes of page tables", info.public_address, info.table_bytes);
    check(info.public_address == commons::SLOT && info.sharers == 0, "it is public, and attached nowhere")?;
    for space in crowd.spaces() {
        let info = space.info()?;
        check(info.attachments == 1, "what a space has attached is the program alone")?;
        check(info.table_bytes == libvas::PAGE_BYTES, "and its own tables are its root")?;
    }
    Ok(commons)
}

/// Switches into each space and reads there, and shows what that flushed.
fn visit(crowd: &Crowd) -> Result<(), Failure> {
    chapter("Visited by way of every space");
    let (cost, ()) = demonstration::counted(|| crowd.visit())?;
    let (switches, kept, flushed) = (cost.space_switches, cost.tag_hits, cost.tag_flushes);
    println!("   {} spaces read the same words: {switches} switches there and back", crowd.count());
    for (what, count) in [
        ("that kept the TLB's entries under the space's tag", kept),
        ("that flushed a tag, or without tags all but what is global", flushed),
        ("that flushed everything, what is global included", cost.global_flushes),
    ] {
        println!("     {what:<60} {count:>4}");
    }
    check(switches >= 2 * crowd.count(), "each visit is a switch there and one back")?;
    check(cost.global_flushes == 0, "no switch flushes what is public")?;
    check(cost.shootdowns_sent == 0, "and none disturbs another CPU")?;
    Ok(())
}

/// Takes the subtree away from all spaces at once.
fn withdraw(commons: &Commons, crowd: &Crowd) -> Result<(), Failure> {
    chapter("Withdrawn");
    let (cost, places) = demonstration::counted(|| commons.subtree().withdraw())?;
    println!("   one call, which took it from {} spaces:", crowd.count());
    println!("     {:<60} {:>4}", "times everything was flushed, on all CPUs together", cost.global_flushes);
    println!("     {:<60} {:>4}", "interrupts sent", cost.shootdowns_sent);
    check(places == 1, "being public is one place, however many spaces show it")?;
    let (flushes, interrupts) = if hardware_broadcasts() { (1, 0) } else { (counters::cpus()?, counters::cpus()? - 1) };
    check(cost.global_flushes == flushes, "each CPU flushes everything once, or one broadcast does")?;
    check(
        cost.shootdowns_sent == interrupts,
        "each other CPU is interrupted once, if the hardware does not broadcast",
    )?;
    for space in crowd.spaces() {
        let gone = space.read(commons::SLOT + commons::STAYS, &mut [0]) == Err(Error::BadAddress);
        check(gone, "no space shows it any more")?;
    }
    println!("   none of the {} spaces shows anything there now, and the slot can be used again:", crowd.count());
    crowd.first()?.attach(commons::SLOT, commons.subtree(), Rights::READ)?;
    check(commons.subtree().info()?.sharers == 1, "what is public no more can be attached like any other")?;
    println!("   attached to one space, it is that space's alone");
    Ok(())
}

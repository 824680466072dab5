//! Spaces that are local to a CPU, and core windows: memory that is there on one CPU only.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, SpareStack, Spinner, Verdict, claim, counted, ensure, ensure_eq, fresh_address, interrupts_for,
    jump_to, needs_cpus, on_cpu, refused, run_on, the_kernel_passes_its_own_checks, wait_until,
};
use core::time::Duration;
use libvas::{
    Cap, Error, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, counters, program, thread,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_local_space_says_whose_it_is),
        claim!(a_local_space_cannot_be_entered_on_another_cpu),
        claim!(a_local_space_is_made_for_a_cpu_that_runs),
        claim!(a_thread_that_starts_in_a_local_space_stays_on_its_cpu),
        claim!(a_thread_inside_a_local_space_cannot_be_sent_elsewhere),
        claim!(changes_of_a_local_space_interrupt_nobody_from_its_own_cpu),
        claim!(a_local_space_can_be_changed_from_another_cpu),
        claim!(core_windows_show_each_cpu_its_own_memory),
        claim!(where_a_cpu_has_no_window_it_faults),
        claim!(a_thread_that_moves_sees_the_other_window),
        claim!(the_first_window_does_not_disturb_who_is_in_the_space),
        claim!(changes_in_a_window_interrupt_nobody_from_its_own_cpu),
        claim!(a_window_can_be_changed_from_another_cpu),
        claim!(a_window_overlaps_what_every_cpu_sees_but_no_other_cpu_s_window),
        claim!(a_subtree_in_a_window_can_be_attached_nowhere_else),
        claim!(a_window_is_for_a_cpu_that_runs),
        claim!(a_window_needs_rights_on_space_and_subtree),
        claim!(a_window_is_detached_on_its_own_cpu_only),
        claim!(what_windows_cost_comes_back_with_the_space),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_windows", CLAIMS, 1)
}

const SLOT: u64 = 60 * TOP_SLOT_BYTES;

/// A space with the program that can be entered on one CPU only, and a page in it that holds its number.
fn local_space(cpu: u64, address: u64) -> Result<Cap<Space>, Error> {
    let space = Space::new_local(program().account(), cpu)?;
    space.attach(0, program().subtree(), Rights::ACCESS)?;
    let segment = Segment::new(program().account(), PAGE)?;
    space.map(address, &segment, 0..PAGE, Rights::READ_WRITE)?;
    space.write(address, &cpu.to_le_bytes())?;
    Ok(space)
}

/// A subtree with one page, behind the one that stays free, that begins with `value`.
fn subtree_with(value: u64) -> Result<Cap<Subtree>, Error> {
    let (subtree, segment) = (Subtree::new(program().account())?, Segment::new(program().account(), PAGE)?);
    segment.write(0, &value.to_le_bytes())?;
    subtree.map(PAGE, &segment, 0..PAGE, Rights::READ_WRITE)?;
    Ok(subtree)
}

/// A space with the program and a window of each CPU at `SLOT`, which holds the CPU's number plus 100.
fn space_with_windows() -> Result<(Cap<Space>, Vec<Cap<Subtree>>), Error> {
    let (space, mut subtrees) = (program().new_space()?, Vec::new());
    for cpu in 0..counters::cpus()? {
        let subtree = subtree_with(100 + cpu)?;
        space.attach_core(SLOT, &subtree, Rights::READ_WRITE, cpu)?;
        subtrees.push(subtree);
    }
    Ok((space, subtrees))
}

/// What a space is local to, it tells; an ordinary one says that it is local to none.
fn a_local_space_says_whose_it_is() -> Verdict {
    for cpu in 0..counters::cpus()? {
        ensure_eq!(Space::new_local(program().account(), cpu)?.info()?.local_to, cpu + 1);
    }
    ensure_eq!(program().space().info()?.local_to, 0);
    Ok(())
}

/// On another CPU, switching and jumping to a local space are refused; on its own they work.
fn a_local_space_cannot_be_entered_on_another_cpu() -> Verdict {
    extern "C" fn never(_: u64, _: u64) -> ! {
        thread::exit(1)
    }
    let address = fresh_address();
    let place = Place::<u64>::new(address)?;
    ensure_eq!(local_space(0, address)?.enter(|| place.get())?, 0);
    for cpu in 1..counters::cpus()? {
        let space = local_space(cpu, address)?;
        refused(space.enter(|| ()), Error::WrongCpu)?;
        ensure_eq!(jump_to(&space, never, SpareStack::new(), 0), Error::WrongCpu);
        ensure_eq!(space.info()?.threads, 0);
        ensure_eq!(on_cpu(cpu).spawn(move || space.enter(|| place.get()))?.join()?, Ok(cpu));
    }
    Ok(())
}

/// There is no local space for a CPU that does not run.
fn a_local_space_is_made_for_a_cpu_that_runs() -> Verdict {
    let (cpus, before) = (counters::cpus()?, Census::take()?.machine.spaces);
    for cpu in [cpus, cpus + 1, 64, 1 << 32, u64::MAX] {
        refused(Space::new_local(program().account(), cpu), Error::BadArgument)?;
    }
    ensure_eq!(Census::take()?.machine.spaces, before);
    Ok(())
}

/// A thread that is made in a local space begins on its CPU and is never seen on another.
fn a_thread_that_starts_in_a_local_space_stays_on_its_cpu() -> Verdict {
    let address = fresh_address();
    for cpu in 0..counters::cpus()? {
        let space = local_space(cpu, address)?;
        let thread = thread::spawn_in(&space, || {
            for _ in 0..30 {
                thread::yield_now();
                thread::sleep(Duration::from_micros(100));
            }
        })?;
        for _ in 0..20 {
            ensure_eq!(thread.thread().info()?.cpu, cpu);
            thread::sleep(Duration::from_micros(100));
        }
        thread.join()?;
    }
    Ok(())
}

/// An affinity without the CPU is refused as long as the thread is inside.
fn a_thread_inside_a_local_space_cannot_be_sent_elsewhere() -> Verdict {
    needs_cpus(2)?;
    let address = fresh_address();
    let space = local_space(1, address)?;
    let spinner = Spinner::reading(on_cpu(1), &space, address)?;
    spinner.wait()?;
    let before = spinner.thread()?.info()?.affinity;
    refused(spinner.thread()?.set_affinity(1), Error::WrongCpu)?;
    ensure_eq!(spinner.thread()?.info()?.affinity, before);
    spinner.thread()?.set_affinity(3)?;
    spinner.wait()?;
    ensure_eq!((spinner.thread()?.info()?.cpu, spinner.last()), (1, 1));
    spinner.end()?;
    Ok(())
}

/// On its own CPU, unmapping from a local space sends no interrupt, whatever other CPUs do.
fn changes_of_a_local_space_interrupt_nobody_from_its_own_cpu() -> Verdict {
    let address = fresh_address();
    let space = local_space(0, address)?;
    let (home, segment) = (program().new_space()?, Segment::new(program().account(), PAGE)?);
    home.map(address, &segment, 0..PAGE, Rights::READ)?;
    let spinners = (1..counters::cpus()?)
        .map(|cpu| Spinner::reading(on_cpu(cpu), &home, address))
        .collect::<Result<Vec<_>, _>>()?;
    spinners.iter().try_for_each(Spinner::wait)?;
    let page = address + PAGE;
    let map = || space.map(page, &segment, 0..PAGE, Rights::READ).or(Ok(()));
    let change = space.enter(|| counted(map, || space.unmap(page..page + PAGE)))??;
    ensure_eq!((change.shootdowns_sent, change.stale_marks), (0, 0));
    ensure!(change.page_flushes >= 1, "nothing was flushed");
    spinners.into_iter().try_for_each(Spinner::end)?;
    Ok(())
}

/// From another CPU a local space is changed like any other: the CPU that is in it is interrupted once, and faults.
fn a_local_space_can_be_changed_from_another_cpu() -> Verdict {
    needs_cpus(2)?;
    let address = fresh_address();
    let space = local_space(1, address)?;
    let spinner = Spinner::reading(on_cpu(1), &space, address)?;
    spinner.wait()?;
    let (page, segment) = (address + PAGE, Segment::new(program().account(), PAGE)?);
    let map = || space.map(page, &segment, 0..PAGE, Rights::READ).or(Ok(()));
    let change = counted(map, || space.unmap(page..page + PAGE))?;
    ensure_eq!(change.shootdowns_sent, interrupts_for(1));
    spinner.wait()?;
    space.unmap(address..address + PAGE)?;
    refused(spinner.join(), Error::Faulted)
}

/// At one address of one space, threads on different CPUs find different memory.
fn core_windows_show_each_cpu_its_own_memory() -> Verdict {
    let (space, _subtrees) = space_with_windows()?;
    let place = Place::<u64>::new(SLOT + PAGE)?;
    let threads = (0..counters::cpus()?)
        .map(|cpu| {
            on_cpu(cpu).space(&space).spawn(move || {
                let seen = place.get();
                place.set(seen + 1000);
                thread::yield_now();
                (seen, place.get())
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for (cpu, thread) in threads.into_iter().enumerate() {
        ensure_eq!(thread.join()?, (100 + cpu as u64, 1100 + cpu as u64));
    }
    ensure_eq!(space.info()?.core_windows, counters::cpus()?);
    Ok(())
}

/// A stray access from a CPU without a window there faults; it never reads another CPU's memory.
fn where_a_cpu_has_no_window_it_faults() -> Verdict {
    needs_cpus(2)?;
    let (space, subtree) = (program().new_space()?, subtree_with(9)?);
    space.attach_core(SLOT, &subtree, Rights::READ_WRITE, 0)?;
    let place = Place::<u64>::new(SLOT + PAGE)?;
    ensure_eq!(space.enter(|| place.get())?, 9);
    for cpu in 1..counters::cpus()? {
        refused(on_cpu(cpu).space(&space).spawn(move || place.get())?.join(), Error::Faulted)?;
        refused(on_cpu(cpu).space(&space).spawn(move || place.set(1))?.join(), Error::Faulted)?;
    }
    ensure_eq!(space.enter(|| place.get())?, 9);
    Ok(())
}

/// A thread in the space that is moved to another CPU finds that CPU's window.
fn a_thread_that_moves_sees_the_other_window() -> Verdict {
    needs_cpus(2)?;
    let (space, _subtrees) = space_with_windows()?;
    let spinner = Spinner::reading(on_cpu(1), &space, SLOT + PAGE)?;
    for round in 0..12 {
        let cpu = round % counters::cpus()?;
        spinner.thread()?.set_affinity(1 << cpu)?;
        spinner.wait()?;
        ensure_eq!((round, spinner.last()), (round, 100 + cpu));
    }
    spinner.end()?;
    Ok(())
}

/// The first window gives each CPU a root table of its own; a thread that runs in the space goes on undisturbed.
fn the_first_window_does_not_disturb_who_is_in_the_space() -> Verdict {
    needs_cpus(2)?;
    for cpu in 1..counters::cpus()? {
        let (space, address) = (program().new_space()?, fresh_address());
        let segment = Segment::new(program().account(), PAGE)?;
        segment.write(0, &5_u64.to_le_bytes())?;
        space.map(address, &segment, 0..PAGE, Rights::READ)?;
        let spinner = Spinner::reading(on_cpu(cpu), &space, address)?;
        spinner.wait()?;
        let subtree = subtree_with(1)?;
        space.attach_core(SLOT, &subtree, Rights::READ, 0)?;
        spinner.wait()?;
        // A change of the part that all CPUs see reaches each CPU's root.
        let place = Place::<u64>::new(address + TOP_SLOT_BYTES)?;
        space.map(place.address(), &segment, 0..PAGE, Rights::READ)?;
        ensure_eq!(on_cpu(cpu).space(&space).spawn(move || place.get())?.join()?, 5);
        spinner.wait()?;
        ensure_eq!(spinner.last(), 5);
        spinner.end()?;
    }
    Ok(())
}

/// On its own CPU, changing what a window shows sends no interrupt, though other CPUs are in the same space.
fn changes_in_a_window_interrupt_nobody_from_its_own_cpu() -> Verdict {
    needs_cpus(2)?;
    let (space, subtrees) = space_with_windows()?;
    let spinners = (1..counters::cpus()?)
        .map(|cpu| Spinner::reading(on_cpu(cpu), &space, SLOT + PAGE))
        .collect::<Result<Vec<_>, _>>()?;
    spinners.iter().try_for_each(Spinner::wait)?;
    let segment = Segment::new(program().account(), PAGE)?;
    let map = || subtrees[0].map(2 * PAGE, &segment, 0..PAGE, Rights::READ).or(Ok(()));
    let change = space.enter(|| counted(map, || subtrees[0].unmap(2 * PAGE..3 * PAGE)))??;
    ensure_eq!((change.shootdowns_sent, change.stale_marks), (0, 0));
    ensure!(change.page_flushes >= 1, "nothing was flushed");
    spinners.into_iter().try_for_each(Spinner::end)?;
    Ok(())
}

/// Another CPU may change what a window shows: only the window's CPU is interrupted, and faults.
fn a_window_can_be_changed_from_another_cpu() -> Verdict {
    needs_cpus(2)?;
    let (space, subtrees) = space_with_windows()?;
    let spinners = (1..counters::cpus()?)
        .map(|cpu| Spinner::reading(on_cpu(cpu), &space, SLOT + PAGE))
        .collect::<Result<Vec<_>, _>>()?;
    spinners.iter().try_for_each(Spinner::wait)?;
    let segment = Segment::new(program().account(), PAGE)?;
    let map = || subtrees[1].map(2 * PAGE, &segment, 0..PAGE, Rights::READ).or(Ok(()));
    let change = counted(map, || subtrees[1].unmap(2 * PAGE..3 * PAGE))?;
    ensure_eq!(change.shootdowns_sent, interrupts_for(1));
    subtrees[1].unmap(PAGE..2 * PAGE)?;
    for (index, spinner) in spinners.into_iter().enumerate() {
        match index {
            0 => refused(spinner.join(), Error::Faulted)?,
            _ => spinner.end()?,
        }
    }
    Ok(())
}

/// A window is refused where every CPU sees something, and the other way round; two CPUs' windows do not meet.
fn a_window_overlaps_what_every_cpu_sees_but_no_other_cpu_s_window() -> Verdict {
    let (space, subtree, segment) =
        (program().new_space()?, subtree_with(1)?, Segment::new(program().account(), PAGE)?);
    let ordinary = subtree_with(2)?;
    space.attach(SLOT, &ordinary, Rights::READ)?;
    refused(space.attach_core(SLOT, &subtree, Rights::READ, 0), Error::Overlap)?;
    space.detach(SLOT)?;
    space.map(SLOT + PAGE, &segment, 0..PAGE, Rights::READ)?;
    refused(space.attach_core(SLOT, &subtree, Rights::READ, 0), Error::Overlap)?;
    space.unmap(SLOT + PAGE..SLOT + 2 * PAGE)?;
    space.attach_core(SLOT, &subtree, Rights::READ, 0)?;
    refused(space.attach_core(SLOT, &subtree_with(3)?, Rights::READ, 0), Error::Overlap)?;
    refused(space.attach(SLOT, &ordinary, Rights::READ), Error::Overlap)?;
    refused(space.map(SLOT + PAGE, &segment, 0..PAGE, Rights::READ), Error::Overlap)?;
    ensure_eq!(space.info()?.core_windows, 1);
    for cpu in 1..counters::cpus()? {
        space.attach_core(SLOT, &subtree_with(cpu)?, Rights::READ, cpu)?;
    }
    ensure_eq!(space.info()?.core_windows, counters::cpus()?);
    Ok(())
}

/// A subtree in a core window is attached once: nowhere else as a window or otherwise, nor turned into one.
fn a_subtree_in_a_window_can_be_attached_nowhere_else() -> Verdict {
    let (space, other) = (program().new_space()?, program().new_space()?);
    let (subtree, shared) = (subtree_with(1)?, subtree_with(2)?);
    space.attach_core(SLOT, &subtree, Rights::READ, 0)?;
    for cpu in 0..counters::cpus()? {
        refused(other.attach_core(SLOT, &subtree, Rights::READ, cpu), Error::BadState)?;
        refused(space.attach_core(SLOT + TOP_SLOT_BYTES, &subtree, Rights::READ, cpu), Error::BadState)?;
    }
    refused(other.attach(SLOT, &subtree, Rights::READ), Error::BadState)?;
    other.attach(SLOT, &shared, Rights::READ)?;
    refused(space.attach_core(SLOT + TOP_SLOT_BYTES, &shared, Rights::READ, 0), Error::BadState)?;
    ensure_eq!((subtree.info()?.sharers, shared.info()?.sharers), (1, 1));
    space.detach_core(SLOT, 0)?;
    other.attach(SLOT + TOP_SLOT_BYTES, &subtree, Rights::READ)?;
    Ok(())
}

/// A number of a CPU that does not run is refused, and so are addresses that no window can have.
fn a_window_is_for_a_cpu_that_runs() -> Verdict {
    let (space, subtree, cpus) = (program().new_space()?, subtree_with(1)?, counters::cpus()?);
    for cpu in [cpus, cpus + 1, 64, 1 << 32, u64::MAX] {
        refused(space.attach_core(SLOT, &subtree, Rights::READ, cpu), Error::BadArgument)?;
        refused(space.detach_core(SLOT, cpu), Error::BadArgument)?;
    }
    refused(space.attach_core(SLOT + PAGE, &subtree, Rights::READ, 0), Error::Misaligned)?;
    refused(space.attach_core(255 * TOP_SLOT_BYTES, &subtree, Rights::READ, 0), Error::BadAddress)?;
    refused(space.attach_core(1 << 63, &subtree, Rights::READ, 0), Error::BadAddress)?;
    ensure_eq!((space.info()?.core_windows, subtree.info()?.sharers), (0, 0));
    Ok(())
}

/// A window needs `MAP` on the space and its bounds on the subtree, and bounds hold `READ`.
fn a_window_needs_rights_on_space_and_subtree() -> Verdict {
    let (space, subtree) = (program().new_space()?, subtree_with(1)?);
    let (no_map, readable) = (space.derive(Rights::SWITCH, 0)?, subtree.derive(Rights::READ, 0)?);
    refused(no_map.attach_core(SLOT, &subtree, Rights::READ, 0), Error::MissingRight)?;
    refused(space.attach_core(SLOT, &readable, Rights::READ_WRITE, 0), Error::MissingRight)?;
    refused(space.attach_core(SLOT, &subtree, Rights::WRITE, 0), Error::BadArgument)?;
    space.attach_core(SLOT, &readable, Rights::READ, 0)?;
    refused(no_map.detach_core(SLOT, 0), Error::MissingRight)?;
    let place = Place::<u64>::new(SLOT + PAGE)?;
    ensure_eq!(on_cpu(0).space(&space).spawn(move || place.get())?.join()?, 1);
    refused(on_cpu(0).space(&space).spawn(move || place.set(2))?.join(), Error::Faulted)
}

/// Detaching names the CPU: another CPU's window, or the slot of all CPUs, is not there; afterwards its CPU faults.
fn a_window_is_detached_on_its_own_cpu_only() -> Verdict {
    let (space, subtree) = (program().new_space()?, subtree_with(4)?);
    space.attach_core(SLOT, &subtree, Rights::READ, 0)?;
    refused(space.detach(SLOT), Error::NotMapped)?;
    for cpu in 1..counters::cpus()? {
        refused(space.detach_core(SLOT, cpu), Error::NotMapped)?;
    }
    let spinner = Spinner::reading(on_cpu(0), &space, SLOT + PAGE)?;
    wait_until(|| Ok(spinner.turns() > 1))?;
    space.detach_core(SLOT, 0)?;
    ensure_eq!(spinner.last(), 4);
    refused(spinner.join(), Error::Faulted)?;
    refused(space.detach_core(SLOT, 0), Error::NotMapped)?;
    ensure_eq!((space.info()?.core_windows, subtree.info()?.sharers), (0, 0));
    Ok(())
}

/// A root table for each CPU is charged with the first window; all of it returns with the space.
fn what_windows_cost_comes_back_with_the_space() -> Verdict {
    drop(space_with_windows()?);
    let before = Census::take()?;
    let (space, subtrees) = space_with_windows()?;
    ensure!(space.info()?.table_bytes >= counters::cpus()? * PAGE, "each CPU has a root table");
    drop((space, subtrees));
    let after = Census::take()?;
    ensure_eq!(after.account.used_bytes, before.account.used_bytes);
    ensure_eq!((after.machine.spaces, after.machine.subtrees), (before.machine.spaces, before.machine.subtrees));
    let held = |census: &Census| census.machine.free_bytes + census.machine.heap_held_bytes;
    ensure_eq!(held(&after), held(&before));
    Ok(())
}

//! Leaks: whatever is made and given up a thousand times leaves the machine as it was.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, LEVELS, Room, Shared, UNMAPPED, Verdict, claim, ends_in_fault, ensure_eq, fresh_address,
    leaves_nothing, on_cpu, peek, refused, run, spot, the_kernel_passes_its_own_checks, wait_for_state,
};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use libvas::thread::ThreadState;
use libvas::{
    CapTable, Error, Handle, Level, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, Thread, View,
    counters, program, thread,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_thousand_accounts_leave_nothing),
        claim!(a_thousand_spaces_leave_nothing),
        claim!(a_thousand_subtrees_leave_nothing),
        claim!(a_thousand_segments_leave_nothing),
        claim!(a_thousand_lazy_segments_leave_nothing),
        claim!(a_thousand_tables_leave_nothing),
        claim!(a_thousand_threads_leave_nothing),
        claim!(a_thousand_threads_that_ran_leave_nothing),
        claim!(threads_that_fault_or_are_stopped_leave_nothing),
        claim!(sleeping_takes_no_memory_on_any_cpu),
        claim!(a_thousand_capabilities_leave_nothing),
        claim!(a_thousand_mappings_leave_nothing),
        claim!(a_thousand_split_pages_leave_nothing),
        claim!(a_thousand_attachments_leave_nothing),
        claim!(a_thousand_attachments_of_each_level_leave_nothing),
        claim!(a_thousand_nested_attachments_leave_nothing),
        claim!(a_thousand_sealed_or_withdrawn_subtrees_leave_nothing),
        claim!(a_thousand_views_leave_nothing),
        claim!(a_space_full_of_things_goes_as_a_whole),
        claim!(refused_calls_leave_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("leaks", CLAIMS)
}

const CYCLES: u64 = 1000;

/// Accounts, each with one split off it.
fn a_thousand_accounts_leave_nothing() -> Verdict {
    leaves_nothing(CYCLES, |_| program().account().split(PAGE_BYTES).and_then(|account| account.split(16)).map(drop))
}

/// Spaces, each with the program in it and visited.
fn a_thousand_spaces_leave_nothing() -> Verdict {
    leaves_nothing(CYCLES, |_| program().new_space()?.enter(|| ()))
}

/// Subtrees, each with a mapping.
fn a_thousand_subtrees_leave_nothing() -> Verdict {
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    leaves_nothing(CYCLES, |cycle| {
        Subtree::new(program().account())?.map((cycle + 1) << 21, &segment, 0..PAGE_BYTES, Rights::READ)
    })
}

/// Segments of changing sizes.
fn a_thousand_segments_leave_nothing() -> Verdict {
    leaves_nothing(CYCLES, |cycle| Segment::new(program().account(), (cycle % 20 + 1) * PAGE_BYTES).map(drop))
}

/// Segments that are made as they are touched.
fn a_thousand_lazy_segments_leave_nothing() -> Verdict {
    let address = fresh_address();
    leaves_nothing(CYCLES, |cycle| {
        let segment = Segment::new_lazy(program().account(), 4 * PAGE_BYTES)?;
        program().space().map(address, &segment, 0..4 * PAGE_BYTES, Rights::READ_WRITE)?;
        Place::<u64>::new(address + cycle % 4 * PAGE_BYTES)?.set(cycle);
        program().space().unmap(address..address + 4 * PAGE_BYTES)
    })
}

/// Tables of changing sizes, each with something in it.
fn a_thousand_tables_leave_nothing() -> Verdict {
    leaves_nothing(CYCLES, |cycle| {
        let table = CapTable::new(program().account(), cycle % 300 + 1)?;
        program().space().copy_into(&table, Rights::INSPECT, 0).map(drop)
    })
}

/// Threads that were never started.
fn a_thousand_threads_leave_nothing() -> Verdict {
    leaves_nothing(CYCLES, |_| {
        let table = CapTable::new(program().account(), 1)?;
        Thread::new(program().account(), &table, program().space(), 3).map(drop)
    })
}

/// Threads that ran to their end, half of them in a space of their own.
fn a_thousand_threads_that_ran_leave_nothing() -> Verdict {
    leaves_nothing(CYCLES, |cycle| {
        let joined = match cycle % 2 {
            0 => thread::spawn(move || cycle)?.join()?,
            _ => thread::spawn_in(&program().new_space()?, move || cycle)?.join()?,
        };
        if joined == cycle { Ok(()) } else { Err(Error::BadState) }
    })
}

/// Threads that end in a fault, while they sleep, or with their space.
fn threads_that_fault_or_are_stopped_leave_nothing() -> Verdict {
    leaves_nothing(10, |_| {
        if !ends_in_fault(program().space(), || peek(UNMAPPED)).unwrap_or(false) {
            return Err(Error::BadState);
        }
        let sleeper = thread::spawn(|| thread::sleep(Duration::from_secs(3600)))?;
        let space = program().new_space()?;
        let in_space = thread::spawn_in(&space, || thread::sleep(Duration::from_secs(3600)))?;
        thread::sleep(Duration::from_micros(500));
        sleeper.thread().stop()?;
        drop(space);
        let expected = (Err(Error::Gone), Err(Error::Gone));
        if (sleeper.join(), in_space.join()) == expected { Ok(()) } else { Err(Error::BadState) }
    })
}

/// A thread on each CPU falls asleep, and the kernel's heap is as it was when they were all awake.
fn sleeping_takes_no_memory_on_any_cpu() -> Verdict {
    static MAY_SLEEP: AtomicBool = AtomicBool::new(false);
    let sleepers = (0..counters::cpus()?).map(|cpu| {
        on_cpu(cpu).spawn(|| {
            while !MAY_SLEEP.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            thread::sleep(Duration::from_secs(3600));
        })
    });
    let sleepers = sleepers.collect::<Result<Vec<_>, _>>()?;
    let awake = Census::take()?.settled();
    MAY_SLEEP.store(true, Ordering::Relaxed);
    for sleeper in &sleepers {
        wait_for_state(sleeper.thread(), ThreadState::Sleeping)?;
    }
    ensure_eq!(Census::take()?.settled().machine, awake.machine);
    for sleeper in sleepers {
        sleeper.thread().stop()?;
        refused(sleeper.join(), Error::Gone)?;
    }
    Ok(())
}

/// Capabilities derived, copied to a table and given up in another order.
fn a_thousand_capabilities_leave_nothing() -> Verdict {
    let table = CapTable::new(program().account(), 2000)?;
    leaves_nothing(CYCLES, |_| {
        let first = program().space().derive(Rights::INSPECT | Rights::GRANT, 1)?;
        let second = first.derive(Rights::INSPECT, 2)?;
        drop(first);
        second.capability_info().map(drop)
    })?;
    // What lies in a table goes with the table; each copy is a child of a capability that went before it.
    leaves_nothing(100, |_| {
        let table = CapTable::new(program().account(), 16)?;
        for badge in 0..16 {
            program().space().derive(Rights::all(), badge)?.copy_into(&table, Rights::INSPECT, badge)?;
        }
        Ok::<(), Error>(())
    })?;
    drop(table);
    Ok(())
}

/// Mappings, made, narrowed and taken away.
fn a_thousand_mappings_leave_nothing() -> Verdict {
    let (space, room) = (program().new_space()?, Room::new(8)?);
    leaves_nothing(CYCLES, |cycle| {
        let address = ((cycle % 64) << 30) + TOP_SLOT_BYTES;
        space.map(address, room.segment(), 0..8 * PAGE_BYTES, Rights::READ_WRITE)?;
        space.protect(address + PAGE_BYTES..address + 3 * PAGE_BYTES, Rights::READ)?;
        space.unmap(address + 2 * PAGE_BYTES..address + 5 * PAGE_BYTES)?;
        space.unmap(address..address + 2 * PAGE_BYTES)?;
        space.unmap(address + 5 * PAGE_BYTES..address + 8 * PAGE_BYTES)
    })
}

/// Large pages, split and taken away in parts.
fn a_thousand_split_pages_leave_nothing() -> Verdict {
    const LARGE: u64 = 2 << 20;
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), LARGE)?);
    leaves_nothing(CYCLES, |cycle| {
        let (address, cut) = (TOP_SLOT_BYTES, TOP_SLOT_BYTES + (cycle % 510 + 1) * PAGE_BYTES);
        space.map(address, &segment, 0..LARGE, Rights::READ_WRITE)?;
        space.unmap(address..cut)?;
        space.unmap(cut..address + LARGE)
    })
}

/// Attachments, in all slots.
fn a_thousand_attachments_leave_nothing() -> Verdict {
    let (space, subtree) = (program().new_space()?, Subtree::new(program().account())?);
    leaves_nothing(CYCLES, |cycle| {
        let address = (cycle % 200 + 1) * TOP_SLOT_BYTES;
        space.attach(address, &subtree, Rights::READ)?;
        space.detach(address)
    })
}

/// Attachments of finer subtrees, with the tables on the way to them.
fn a_thousand_attachments_of_each_level_leave_nothing() -> Verdict {
    let space = program().new_space()?;
    let subtrees = LEVELS.map(|level| (level, Shared::new(level, Rights::READ)));
    leaves_nothing(CYCLES, |cycle| {
        for (level, shared) in &subtrees {
            let Shared { subtree, .. } = shared.as_ref().map_err(|error| *error)?;
            let address = spot(*level) + cycle % 7 * level.size_bytes();
            space.attach(address, subtree, Rights::READ)?;
            space.detach(address)?;
        }
        Ok::<(), Error>(())
    })
}

/// Subtrees in subtrees, taken out one by one or left for the outer one's end.
fn a_thousand_nested_attachments_leave_nothing() -> Verdict {
    let inner = Shared::new(Level::TwoMib, Rights::READ)?;
    leaves_nothing(CYCLES, |cycle| {
        let outer = Subtree::new(program().account())?;
        for part in 1..4 {
            outer.attach(part << 30, &inner.subtree, Rights::READ)?;
        }
        if cycle % 2 == 0 { outer.detach(2 << 30) } else { Ok(()) }
    })
}

/// Subtrees that were sealed with something in them, or withdrawn from where they were.
fn a_thousand_sealed_or_withdrawn_subtrees_leave_nothing() -> Verdict {
    let space = program().new_space()?;
    leaves_nothing(CYCLES, |cycle| {
        let shared = Shared::new(Level::OneGib, Rights::READ_WRITE)?;
        space.attach(spot(Level::OneGib), &shared.subtree, Rights::READ)?;
        if cycle % 2 == 0 {
            shared.subtree.seal()?;
        }
        if shared.subtree.withdraw()? == 1 { Ok(()) } else { Err(Error::BadState) }
    })
}

/// Views, half of which outlive the capability to their base, and views of views.
fn a_thousand_views_leave_nothing() -> Verdict {
    leaves_nothing(CYCLES, |cycle| {
        let space = program().new_space()?;
        let view = View::new(program().account(), &space, Rights::READ)?;
        if cycle % 2 == 0 {
            drop(space);
        }
        view.narrowed(program().account(), Rights::READ)?.enter(|| ())
    })
}

/// A space goes with all its mappings, tables and attachments, also when one of them was the last of its object.
fn a_space_full_of_things_goes_as_a_whole() -> Verdict {
    leaves_nothing(100, |_| {
        let space = Space::new(program().account())?;
        for slot in 1..8 {
            let subtree = Subtree::new(program().account())?;
            let segment = Segment::new(program().account(), 3 * PAGE_BYTES)?;
            subtree.map(slot << 25, &segment, 0..2 * PAGE_BYTES, Rights::READ)?;
            space.attach(slot * TOP_SLOT_BYTES, &subtree, Rights::READ)?;
            space.map((slot + 100) * TOP_SLOT_BYTES, &segment, PAGE_BYTES..3 * PAGE_BYTES, Rights::READ)?;
        }
        Ok::<(), Error>(())
    })
}

/// Calls that are refused, also late in their checks, take nothing.
fn refused_calls_leave_nothing() -> Verdict {
    let (space, room) = (program().new_space()?, Room::new(2)?);
    let full = CapTable::new(program().account(), 1)?;
    program().space().copy_into(&full, Rights::INSPECT, 0)?;
    let account = program().account().split(64 << 10)?;
    leaves_nothing(CYCLES, |_| {
        let address = 300 << 30;
        let results = [
            Space::new(&account.derive(Rights::CONTROL, 0)?).map(|_| Handle::NONE),
            program().space().copy_into(&full, Rights::INSPECT, 0),
            Segment::new(&account, 1 << 20).map(|_| Handle::NONE),
            CapTable::new(&account, 65_536).map(|_| Handle::NONE),
            space.map(address, room.segment(), 0..2 * PAGE_BYTES, Rights::READ).map(|()| Handle::NONE),
            space.unmap(TOP_SLOT_BYTES..TOP_SLOT_BYTES + PAGE_BYTES).map(|()| Handle::NONE),
            thread_at_kernel(),
        ];
        if results.iter().all(Result::is_err) { Ok(()) } else { Err(Error::BadState) }
    })
}

/// Tries to start a thread at an address of the kernel.
fn thread_at_kernel() -> Result<Handle, Error> {
    let table = CapTable::new(program().account(), 1)?;
    let thread = Thread::new(program().account(), &table, program().space(), 3)?;
    let words = [thread.handle().bits(), 0xffff_ffff_8000_0000, UNMAPPED, 0, 0, 0];
    conformance::attempt(tessera_abi::syscall::number::thread_start, words).map(Handle::from_bits)
}

//! Handles: only what was given out and not given up names anything.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, Fixture, Random, Verdict, attempt, claim, ensure, ensure_eq, refused, run, takes,
    the_kernel_passes_its_own_checks,
};
use libvas::{Cap, CapTable, Error, Handle, ObjectKind, Rights, Segment, Space, program};
use tessera_abi::syscall::{DESCRIPTIONS, number};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(forged_handles_are_refused_by_every_call),
        claim!(a_live_slot_with_another_generation_is_refused),
        claim!(a_stale_handle_is_refused_by_every_call),
        claim!(a_stale_handle_never_means_the_next_holder_of_its_slot),
        claim!(a_handle_of_another_kind_is_refused_by_every_call),
        claim!(a_capability_is_given_up_once),
        claim!(unknown_call_numbers_are_refused),
        claim!(a_table_has_the_room_that_was_asked_for),
        claim!(tables_of_impossible_size_are_refused),
        claim!(handles_of_another_table_mean_nothing_here),
        claim!(the_last_capability_takes_its_object_along),
        claim!(names_are_kept_and_bad_ones_refused),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("handles", CLAIMS)
}

/// Every argument of every call that is a handle: the call's number and the argument's position and name. Left out are
/// the subtree to be made public, which comes behind a right that these programs lack (`public` tries that one), and what goes
/// along with a return, as these programs are in no call (`gates`).
fn handle_arguments() -> impl Iterator<Item = (u64, usize, &'static str)> {
    DESCRIPTIONS.iter().flat_map(|call| {
        let arguments = call.arguments.iter().enumerate();
        let handles = arguments.filter(|(_, (_, kind))| *kind == "Handle");
        let left_out = [(number::subtree_publish, 1), (number::gate_return, 0)];
        let tried = handles.filter(move |(index, _)| !left_out.contains(&(call.number, *index)));
        tried.map(|(index, (name, _))| (call.number, index, *name))
    })
}

/// Makes a call with valid arguments but one.
fn with_argument(fixture: &Fixture, call: u64, index: usize, word: u64) -> Result<u64, Error> {
    let mut words = fixture.words(call);
    words[index] = word;
    attempt(call, words)
}

/// Random numbers, in whatever argument of whatever call, are no handles.
fn forged_handles_are_refused_by_every_call() -> Verdict {
    let fixture = Fixture::new()?;
    let mut random = Random::new(0x7e55_e7a0);
    let mut tried = 0;
    for (call, index, name) in handle_arguments() {
        let mut forgeries: Vec<u64> = (0..8).map(|_| random.next_word()).collect();
        forgeries.extend([u64::MAX, 1 << 32 | u64::from(u32::MAX), random.below(4096)]);
        // The null handle takes a fallback or a handler away, and has nothing go along; it is refused everywhere else.
        let takes_away = call == number::thread_set_fallback || (call, name) == (number::handler_set, "gate");
        let may_be_null = takes_away || name == "capability";
        forgeries.extend((!may_be_null).then_some(0));
        for forgery in forgeries {
            let result = with_argument(&fixture, call, index, forgery);
            ensure!(result == Err(Error::BadHandle), "call {call}, {name} {forgery:#x}: {result:?}");
            tried += 1;
        }
    }
    ensure!(tried > 400, "only {tried} forgeries were tried");
    Ok(())
}

/// The right slot with a generation that is not its own names nothing.
fn a_live_slot_with_another_generation_is_refused() -> Verdict {
    let space = program().new_space()?;
    let (slot, generation) = (space.handle().slot(), space.handle().generation());
    for other in [0, generation.wrapping_sub(1), generation.wrapping_add(1), u32::MAX] {
        let forged = Handle::new(slot, other).bits();
        refused(attempt(number::space_switch, [forged, 0, 0, 0, 0, 0]), Error::BadHandle)?;
        refused(attempt(number::capability_delete, [forged, 0, 0, 0, 0, 0]), Error::BadHandle)?;
    }
    space.info()?;
    Ok(())
}

/// A handle that was given up is refused in whatever argument of whatever call, though its object lives on.
fn a_stale_handle_is_refused_by_every_call() -> Verdict {
    let fixture = Fixture::new()?;
    for (call, index, name) in handle_arguments() {
        let live = Handle::from_bits(fixture.words(call)[index]);
        let child = attempt(number::capability_derive, [live.bits(), 0, 0, 0, 0, 0])?;
        attempt(number::capability_delete, [child, 0, 0, 0, 0, 0])?;
        let result = with_argument(&fixture, call, index, child);
        ensure!(result == Err(Error::BadHandle), "call {call}, stale {name}: {result:?}");
    }
    Ok(())
}

/// A slot that is used again has another handle, and the old one stays refused.
fn a_stale_handle_never_means_the_next_holder_of_its_slot() -> Verdict {
    let mut seen = Vec::new();
    for _ in 0..100 {
        let space = Space::new(program().account())?;
        let handle = space.handle();
        ensure!(!seen.contains(&handle), "{handle:x?} was given out twice");
        seen.push(handle);
        drop(space);
    }
    let next = Space::new(program().account())?;
    let reused = seen.iter().filter(|old| old.slot() == next.handle().slot()).count();
    ensure!(reused > 0, "no slot was used again, so this shows nothing");
    for old in seen {
        let stale = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(old));
        refused(stale.info(), Error::BadHandle)?;
        refused(stale.capability_info(), Error::BadHandle)?;
    }
    Ok(())
}

/// A call takes objects of the kind it is for, and no others.
fn a_handle_of_another_kind_is_refused_by_every_call() -> Verdict {
    let fixture = Fixture::new()?;
    let mut tried = 0;
    for (call, index, name) in handle_arguments() {
        for kind in ObjectKind::ALL {
            if takes(name, kind) {
                continue;
            }
            let result = with_argument(&fixture, call, index, fixture.handle(kind).bits());
            ensure!(result == Err(Error::WrongObject), "call {call}, {kind:?} as {name}: {result:?}");
            tried += 1;
        }
    }
    ensure!(tried > 200, "only {tried} mistakes were tried");
    Ok(())
}

/// Giving a capability up a second time is refused.
fn a_capability_is_given_up_once() -> Verdict {
    let segment = Segment::new(program().account(), 4096)?;
    let handle = segment.handle();
    segment.delete()?;
    refused(Cap::<Segment>::from_handle(handle).delete(), Error::BadHandle)
}

/// Numbers behind the last call are refused, whatever the arguments.
fn unknown_call_numbers_are_refused() -> Verdict {
    let count = DESCRIPTIONS.len() as u64;
    let mut random = Random::new(11);
    for number in [count, count + 1, 255, 1 << 16, 1 << 32, 1 << 32 | 5, 1 << 63, u64::MAX - 1, u64::MAX] {
        refused(attempt(number, [0; 6]), Error::BadCall)?;
        let words = core::array::from_fn(|_| random.next_word());
        refused(attempt(number, words), Error::BadCall)?;
    }
    Ok(())
}

/// A table takes as many capabilities as it has slots, and one more is refused.
fn a_table_has_the_room_that_was_asked_for() -> Verdict {
    let (account, space) = (program().account(), program().space());
    let table = CapTable::new(account, 3)?;
    for _ in 0..3 {
        space.copy_into(&table, Rights::INSPECT, 0)?;
    }
    refused(space.copy_into(&table, Rights::INSPECT, 0), Error::TableFull)?;
    let info = table.capability_info()?;
    ensure_eq!(info.references, 1);
    Ok(())
}

/// A table has between 1 and 65,536 slots.
fn tables_of_impossible_size_are_refused() -> Verdict {
    let before = Census::take()?;
    for slots in [0, 65_537, 1 << 32, u64::MAX] {
        refused(CapTable::new(program().account(), slots), Error::BadArgument)?;
    }
    ensure_eq!(Census::take()?, before);
    drop(CapTable::new(program().account(), 65_536)?);
    Ok(())
}

/// A copy in another table does not show up in one's own: the same number names nothing, or something else.
fn handles_of_another_table_mean_nothing_here() -> Verdict {
    let table = CapTable::new(program().account(), 4000)?;
    let space = program().new_space()?;
    let mut last = Handle::NONE;
    for _ in 0..4000 {
        last = space.copy_into(&table, Rights::INSPECT, 0)?;
    }
    let foreign = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(last));
    refused(foreign.info(), Error::BadHandle)?;
    ensure_eq!(space.capability_info()?.references, 4001);
    drop(table);
    ensure_eq!(space.capability_info()?.references, 1);
    Ok(())
}

/// An object lives for as long as there is a capability to it, and no longer.
fn the_last_capability_takes_its_object_along() -> Verdict {
    let before = Census::take()?;
    let space = Space::new(program().account())?;
    let second = space.derive(Rights::INSPECT, 0)?;
    ensure_eq!(Census::take()?.machine.spaces, before.machine.spaces + 1);
    drop(space);
    ensure_eq!(Census::take()?.machine.spaces, before.machine.spaces + 1);
    second.info()?;
    drop(second);
    ensure_eq!(Census::take()?, before);
    Ok(())
}

/// An object keeps the name it was given; a name that is too long, no UTF-8 or not visible in full is refused and changes nothing.
fn names_are_kept_and_bad_ones_refused() -> Verdict {
    let fixture = Fixture::new()?;
    for (name, kept) in [("a", "a"), ("01234567890123456789012345678901", "01234567890123456789012345678901")] {
        fixture.segment.set_name(name)?;
        ensure_eq!(fixture.segment.name()?.as_str(), kept);
    }
    refused(fixture.segment.set_name("012345678901234567890123456789012"), Error::BadText)?;
    for name in ["a\n[kernel] PANIC: false", "\ra", "\u{1b}[2K", "a\0", "\u{85}", "\u{2028}", "\u{202e}", "\u{200b}"] {
        refused(fixture.segment.set_name(name), Error::BadText)?;
    }
    fixture.room.fill(u64::from_le_bytes([0xff; 8]))?;
    let words = [fixture.segment.handle().bits(), fixture.room.address(), 8, 0, 0, 0];
    refused(attempt(number::object_set_name, words), Error::BadText)?;
    ensure_eq!(fixture.segment.name()?.as_str().len(), 32);
    Ok(())
}

//! Views: a whole space seen through bounds, in step with what the space holds.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Failure, LEVELS, Room, Shared, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq, fresh_address,
    reach, reach_page, refused, run, spot, the_kernel_passes_its_own_checks, word_at,
};
use libvas::layout::{Counters, SpaceInfo, Words};
use libvas::{
    Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, View,
    program, thread,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_read_only_view_shows_everything_and_lets_write_nothing),
        claim!(a_view_allows_what_its_bounds_and_the_base_do),
        claim!(what_the_base_maps_and_unmaps_the_view_shows_and_loses),
        claim!(protection_in_the_base_counts_in_the_view),
        claim!(what_the_base_attaches_and_detaches_the_view_shows_and_loses),
        claim!(finer_subtrees_keep_their_bounds_to_themselves),
        claim!(what_changes_in_a_subtree_changes_in_the_view),
        claim!(windows_keep_their_bounds_in_views),
        claim!(closures_and_threads_run_inside_a_view),
        claim!(without_a_window_the_program_cannot_run_in_a_view),
        claim!(who_changes_the_base_from_inside_a_view_goes_by_the_change),
        claim!(switches_lead_from_base_to_view_and_back),
        claim!(core_windows_are_not_seen_in_views),
        claim!(pages_that_are_made_when_touched_are_made_through_a_view),
        claim!(pointers_are_taken_as_the_view_allows_them),
        claim!(memory_is_read_through_a_view_from_outside),
        claim!(the_list_of_a_view_is_that_of_its_base_within_bounds),
        claim!(two_views_of_one_space_differ_by_their_bounds_only),
        claim!(a_hundred_views_see_one_change),
        claim!(a_view_of_the_home_space_shows_it),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("views", CLAIMS)
}

/// A view, at the program's cost, of a space.
fn view_of(space: &Cap<Space>, bounds: Rights) -> Result<Cap<View>, Error> {
    View::new(program().account(), space, bounds)
}

/// A space with the program, and in it a page of its own at the address.
fn space_with_page(rights: Rights) -> Result<(Cap<Space>, Cap<Segment>, u64), Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), PAGE)?);
    let address = fresh_address();
    segment.write(0, &conformance::Code::Return.bytes())?;
    space.map(address, &segment, 0..PAGE, rights)?;
    Ok((space, segment, address))
}

/// What the space maps itself and what it has attached, at every level, is read in the view and written in the base
/// only, at the same addresses.
fn a_read_only_view_shows_everything_and_lets_write_nothing() -> Verdict {
    let (space, _segment, own) = space_with_page(Rights::READ_WRITE)?;
    let view = view_of(&space, Rights::READ)?;
    let mut places = Vec::from([Place::<u64>::new(own + 8)?]);
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        space.attach(spot(level), &shared.subtree, Rights::READ_WRITE)?;
        places.push(word_at(spot(level))?);
    }
    for (value, place) in (5..).zip(places) {
        space.enter(|| place.set(value))?;
        ensure_eq!((place, view.enter(|| place.get())?), (place, value));
        ensure!(ends_in_fault(&view, move || place.set(0))?, "{place:x?} could be written");
        ensure_eq!((place, space.enter(|| place.get())?), (place, value));
    }
    Ok(())
}

/// Reading, writing and executing work in the view where both the base's mapping and the view's bounds allow them.
fn a_view_allows_what_its_bounds_and_the_base_do() -> Verdict {
    for mapped in [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE] {
        let (space, _segment, own) = space_with_page(mapped)?;
        let shared = Shared::new(Level::OneGib, mapped)?;
        let at = spot(Level::OneGib);
        space.attach(at, &shared.subtree, Rights::ACCESS)?;
        for bounds in [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::ACCESS] {
            let (view, what) = (view_of(&space, bounds)?, (mapped, bounds));
            ensure_eq!((what, reach(&view, own)?), (what, mapped & bounds));
            ensure_eq!((what, reach_page(&view, at)?), (what, mapped & bounds));
        }
        ensure_eq!((mapped, reach(&space, own)?), (mapped, mapped));
    }
    Ok(())
}

/// A page that the base maps is there in the view, in a table of the base's and in a slot where nothing was before;
/// one that it unmaps is gone, though the view has used it.
fn what_the_base_maps_and_unmaps_the_view_shows_and_loses() -> Verdict {
    let (space, segment, own) = space_with_page(Rights::READ)?;
    let view = view_of(&space, Rights::READ)?;
    for address in [own + 3 * PAGE, own + (4 << 20), 90 * SLOT + PAGE] {
        let place = Place::<u64>::new(address)?;
        for value in [11, 12] {
            ensure_eq!((address, reach(&view, address)?), (address, Rights::empty()));
            space.map(address, &segment, 0..PAGE, Rights::READ)?;
            segment.write(0, &u64::to_le_bytes(value))?;
            ensure_eq!((address, view.enter(|| place.get())?), (address, value));
            space.unmap(address..address + PAGE)?;
        }
        ensure_eq!((address, reach(&view, address)?), (address, Rights::empty()));
        refused(view.read(address, &mut [0]), Error::BadAddress)?;
    }
    Ok(())
}

/// What the base protects is protected in the view; what the base allows, the view does within its bounds.
fn protection_in_the_base_counts_in_the_view() -> Verdict {
    let (space, _segment, own) = space_with_page(Rights::READ_WRITE)?;
    let (narrow, wide) = (view_of(&space, Rights::READ)?, view_of(&space, Rights::ACCESS)?);
    for rights in [Rights::READ_WRITE, Rights::READ, Rights::READ_EXECUTE, Rights::READ_WRITE] {
        space.protect(own..own + PAGE, rights)?;
        ensure_eq!((rights, reach(&wide, own)?), (rights, rights));
        ensure_eq!((rights, reach(&narrow, own)?), (rights, Rights::READ));
    }
    Ok(())
}

/// A subtree of any level that the base attaches is there in the view; one that it detaches is gone.
fn what_the_base_attaches_and_detaches_the_view_shows_and_loses() -> Verdict {
    for level in LEVELS {
        let (space, shared) = (program().new_space()?, Shared::new(level, Rights::READ_WRITE)?);
        let (view, at, word) = (view_of(&space, Rights::READ)?, spot(level), word_at(spot(level))?);
        for value in [21, 22] {
            ensure_eq!((level, reach_page(&view, at)?), (level, Rights::empty()));
            shared.set(value)?;
            space.attach(at, &shared.subtree, Rights::READ_WRITE)?;
            ensure_eq!((level, view.enter(|| word.get())?), (level, value));
            ensure_eq!((level, reach_page(&view, at)?), (level, Rights::READ));
            space.detach(at)?;
        }
        ensure_eq!((level, reach_page(&view, at)?), (level, Rights::empty()));
        refused(view.read(word.address(), &mut [0]), Error::BadAddress)?;
    }
    Ok(())
}

/// A finer subtree bounds itself, also where it begins the top-level slot: what the base maps beside it, a view shows
/// within its own bounds; and a window at another slot changes nothing for the finer ones.
fn finer_subtrees_keep_their_bounds_to_themselves() -> Verdict {
    for level in [Level::OneGib, Level::TwoMib] {
        let (space, memory) = (program().new_space()?, Segment::new(program().account(), PAGE)?);
        let (shared, slot) = (Shared::new(level, Rights::READ_WRITE)?, 90 * SLOT);
        memory.write(0, &conformance::Code::Return.bytes())?;
        space.attach(slot, &shared.subtree, Rights::READ)?;
        let beside = slot + level.size_bytes();
        space.map(beside, &memory, 0..PAGE, Rights::READ_WRITE)?;
        for bounds in [Rights::READ_WRITE, Rights::READ] {
            let view = view_of(&space, bounds)?;
            ensure_eq!((level, bounds, reach(&view, beside)?), (level, bounds, bounds));
            ensure_eq!((level, bounds, reach_page(&view, slot)?), (level, bounds, Rights::READ));
        }
        ensure_eq!((level, reach(&space, beside)?), (level, Rights::READ_WRITE));
    }
    Ok(())
}

/// Changes in a subtree that the base has, and in one within that, are seen in the view at once.
fn what_changes_in_a_subtree_changes_in_the_view() -> Verdict {
    let (space, outer) = (program().new_space()?, Subtree::new(program().account())?);
    let (inner, at) = (Shared::new(Level::TwoMib, Rights::READ_WRITE)?, spot(Level::Top) + (7 << 30));
    space.attach(spot(Level::Top), &outer, Rights::ACCESS)?;
    let view = view_of(&space, Rights::READ_EXECUTE)?;
    ensure_eq!(reach_page(&view, at)?, Rights::empty());
    outer.attach(7 << 30, &inner.subtree, Rights::ACCESS)?;
    ensure_eq!(reach_page(&view, at)?, Rights::READ);
    inner.subtree.protect(inner.range(), Rights::READ_EXECUTE)?;
    ensure_eq!(reach_page(&view, at)?, Rights::READ_EXECUTE);
    inner.subtree.unmap(inner.range())?;
    ensure_eq!(reach_page(&view, at)?, Rights::empty());
    inner.subtree.map(Shared::OFFSET, &inner.segment, 0..PAGE, Rights::READ)?;
    ensure_eq!(reach_page(&view, at)?, Rights::READ);
    outer.detach(7 << 30)?;
    ensure_eq!(reach_page(&view, at)?, Rights::empty());
    Ok(())
}

/// Windows that the base has, or comes to have, can be used in the view as in the base; ordinary attachments cannot.
fn windows_keep_their_bounds_in_views() -> Verdict {
    let (space, at) = (program().new_space()?, spot(Level::Top));
    let shared = Shared::new(Level::Top, Rights::READ_WRITE)?;
    space.attach_window(at, &shared.subtree, Rights::READ_WRITE)?;
    let view = view_of(&space, Rights::READ)?;
    space.attach_window(at + SLOT, &shared.subtree, Rights::READ)?;
    space.attach(at + 2 * SLOT, &shared.subtree, Rights::READ_WRITE)?;
    let reached = |slot: u64| -> Result<(Rights, Rights), Failure> {
        Ok((reach_page(&space, at + slot * SLOT)?, reach_page(&view, at + slot * SLOT)?))
    };
    ensure_eq!(reached(0)?, (Rights::READ_WRITE, Rights::READ_WRITE));
    ensure_eq!(reached(1)?, (Rights::READ, Rights::READ));
    ensure_eq!(reached(2)?, (Rights::READ_WRITE, Rights::READ));
    // Attached anew, it is what it is now.
    space.detach(at)?;
    ensure_eq!(reached(0)?, (Rights::empty(), Rights::empty()));
    space.attach(at, &shared.subtree, Rights::READ_WRITE)?;
    ensure_eq!(reached(0)?, (Rights::READ_WRITE, Rights::READ));
    Ok(())
}

/// The program's subtree is a window, so in a read-only view stack, heap and statics stay writable: closures run
/// there, and threads start there.
fn closures_and_threads_run_inside_a_view() -> Verdict {
    let (space, _segment, own) = space_with_page(Rights::READ_WRITE)?;
    let (view, place) = (view_of(&space, Rights::READ)?, Place::<u64>::new(own + 8)?);
    space.enter(|| place.set(30))?;
    let mut log = Vec::new();
    let sum = view.enter(|| {
        for round in 0..200 {
            log.push(place.get() + round);
        }
        log.iter().sum::<u64>()
    })?;
    ensure_eq!((log.len(), sum), (200, 200 * 30 + 199 * 100));
    let thread = thread::spawn_in(&view, move || {
        let mut numbers = Vec::from([place.get(); 100]);
        thread::yield_now();
        numbers.push(place.get());
        numbers.len() as u64 * numbers[100]
    })?;
    ensure_eq!(thread.join()?, 101 * 30);
    Ok(())
}

/// Where the program's subtree is attached, but not as a window, a view has it within its bounds, like everything else:
/// a thread with a stack that cannot be written, or with code that cannot be executed, stops at once.
fn without_a_window_the_program_cannot_run_in_a_view() -> Verdict {
    let space = Space::new(program().account())?;
    space.attach(0, program().subtree(), Rights::ACCESS)?;
    for bounds in [Rights::READ, Rights::READ_EXECUTE, Rights::READ_WRITE] {
        let view = view_of(&space, bounds)?;
        ensure!(ends_in_fault(&view, || ())?, "a thread ran within {bounds:?}");
        let own = view.derive(Rights::SWITCH, 0)?;
        ensure!(ends_in_fault(&space, move || own.enter(|| ()))?, "a thread went on within {bounds:?}");
    }
    let view = view_of(&space, Rights::ACCESS)?;
    ensure!(!ends_in_fault(&view, || ())?, "it did not run within all bounds");
    Ok(())
}

/// A thread in a view that takes something away from the base faults at its next access there.
fn who_changes_the_base_from_inside_a_view_goes_by_the_change() -> Verdict {
    for step in 0..4 {
        let (space, segment, own) = space_with_page(Rights::READ_WRITE)?;
        let shared = Shared::new(Level::OneGib, Rights::READ_WRITE)?;
        space.attach(spot(Level::OneGib), &shared.subtree, Rights::READ_WRITE)?;
        let view = view_of(&space, Rights::READ_WRITE)?;
        let (base, withdrawn) = (space.derive(Rights::MAP, 0)?, shared.subtree.derive(Rights::CONTROL, 0)?);
        let word = if step < 2 { Place::<u64>::new(own + 8)? } else { word_at(spot(Level::OneGib))?.at(1)? };
        let inside = move || {
            word.set(1);
            let changed = match step {
                0 => base.unmap(own..own + PAGE),
                1 => base.protect(own..own + PAGE, Rights::READ),
                2 => base.detach(spot(Level::OneGib)),
                _ => withdrawn.withdraw().map(drop),
            };
            if changed.is_ok() {
                word.set(2);
            }
        };
        ensure!(ends_in_fault(&view, inside)?, "step {step}: it went on");
        let mut bytes = [0; 8];
        if step < 2 { &segment } else { &shared.segment }.read(8, &mut bytes)?;
        ensure_eq!((step, u64::from_le_bytes(bytes)), (step, 1));
    }
    Ok(())
}

/// A thread switches between a space and its view like between any two, and comes back by the handle it came by.
fn switches_lead_from_base_to_view_and_back() -> Verdict {
    let (space, _segment, own) = space_with_page(Rights::READ_WRITE)?;
    let (view, place) = (view_of(&space, Rights::READ)?, Place::<u64>::new(own + 8)?);
    for round in 0..50 {
        let seen = space.enter(|| {
            place.set(round);
            view.enter(|| (place.get(), space.enter(|| place.set(round + 1)), place.get()))
        })??;
        ensure_eq!(seen, (round, Ok(()), round + 1));
    }
    let came_by = (view.switch()?, space.switch()?, program().space().switch()?);
    ensure_eq!((came_by.1, came_by.2), (view.handle(), space.handle()));
    Ok(())
}

/// What one CPU alone has in the base, no view shows on any; what lies beside it is seen.
fn core_windows_are_not_seen_in_views() -> Verdict {
    let (space, _segment, own) = space_with_page(Rights::READ)?;
    let (early, shared) = (view_of(&space, Rights::ACCESS)?, Shared::new(Level::Top, Rights::READ)?);
    let at = spot(Level::Top);
    space.attach_core(at, &shared.subtree, Rights::READ, 0)?;
    let late = view_of(&space, Rights::ACCESS)?;
    for view in [&early, &late] {
        ensure_eq!(reach_page(view, at)?, Rights::empty());
        refused(view.read(at + Shared::OFFSET, &mut [0]), Error::BadAddress)?;
        ensure_eq!(reach(view, own)? & Rights::READ, Rights::READ);
        ensure_eq!((view.info()?.core_windows, view.mappings(0).count()), (0, space.mappings(0).count() - 1));
    }
    space.detach_core(at, 0)?;
    space.attach(at, &shared.subtree, Rights::READ)?;
    for view in [&early, &late] {
        ensure_eq!(reach_page(view, at)?, Rights::READ);
    }
    Ok(())
}

/// Touching memory that does not exist yet in the view makes it for base and view; reading it from outside does not.
fn pages_that_are_made_when_touched_are_made_through_a_view() -> Verdict {
    let (space, lazy) = (program().new_space()?, Segment::new_lazy(program().account(), 4 * PAGE)?);
    let (view, address) = (view_of(&space, Rights::READ)?, fresh_address());
    space.map(address, &lazy, 0..4 * PAGE, Rights::READ_WRITE)?;
    let place = Place::<u64>::new(address)?;
    ensure!(ends_in_fault(&view, move || place.set(1))?, "it could be written");
    ensure_eq!(lazy.info()?.populated_bytes, 0);
    ensure_eq!(view.enter(|| place.get())?, 0);
    ensure_eq!(lazy.info()?.populated_bytes, PAGE);
    let mut bytes = [1; 4];
    view.read(address + PAGE, &mut bytes)?;
    ensure_eq!((bytes, lazy.info()?.populated_bytes), ([0; 4], PAGE));
    space.enter(|| place.set(7))?;
    ensure_eq!(view.enter(|| place.get())?, 7);
    Ok(())
}

/// A buffer that the base lets write and the view only read is refused to a thread in the view; one to be read is not.
fn pointers_are_taken_as_the_view_allows_them() -> Verdict {
    let (space, room) = (program().new_space()?, Room::new(1)?);
    let view = view_of(&space, Rights::READ)?;
    space.map(room.address(), room.segment(), 0..PAGE, Rights::READ_WRITE)?;
    let write = || attempt(number::counters, [0, room.address(), 0, 0, 0, 0]);
    let read = || attempt(number::object_set_name, [view.handle().bits(), room.address(), 1, 0, 0, 0]);
    room.fill(u64::from_le_bytes([b'n'; 8]))?;
    ensure_eq!(view.enter(|| (write().err(), read()))?, (Some(Error::BadPointer), Ok(0)));
    ensure_eq!((view.name()?.as_str(), room.is_filled(u64::from_le_bytes([b'n'; 8]))?), ("n", true));
    ensure!(space.enter(write)?.is_ok(), "the base refused it too");
    ensure_eq!(room.word(Counters::COUNT as u64)?.get(), u64::from_le_bytes([b'n'; 8]));
    Ok(())
}

/// Who holds a view reads through it what the base holds, without entering either; there is no way to write.
fn memory_is_read_through_a_view_from_outside() -> Verdict {
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), 2 * PAGE)?);
    let (view, address) = (view_of(&space, Rights::READ)?, fresh_address());
    space.map(address, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    space.write(address + PAGE - 3, b"across")?;
    let mut bytes = [0; 6];
    view.read(address + PAGE - 3, &mut bytes)?;
    ensure_eq!(&bytes, b"across");
    refused(view.read(address + 2 * PAGE - 1, &mut bytes), Error::BadAddress)?;
    let forged = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(view.handle()));
    refused(forged.write(address + PAGE - 3, b"beyond"), Error::MissingRight)?;
    segment.read(PAGE - 3, &mut bytes)?;
    ensure_eq!(&bytes, b"across");
    Ok(())
}

/// The view's list has the same entries, in the same order, with the rights that remain; windows have all of theirs.
fn the_list_of_a_view_is_that_of_its_base_within_bounds() -> Verdict {
    let (space, _segment, _) = space_with_page(Rights::READ_WRITE)?;
    let shared = Shared::new(Level::OneGib, Rights::READ)?;
    space.attach(spot(Level::OneGib), &shared.subtree, Rights::ACCESS)?;
    let view = view_of(&space, Rights::READ_EXECUTE)?;
    let base_list: Vec<_> = space.mappings(0).collect::<Result<_, _>>()?;
    let mut view_list: Vec<_> = view.mappings(0).collect::<Result<_, _>>()?;
    let rights: Vec<_> = view_list.iter().map(|mapping| Rights::from_bits_truncate(mapping.rights as u32)).collect();
    ensure_eq!(rights, [Rights::ACCESS, Rights::READ, Rights::READ_EXECUTE]);
    view_list.iter_mut().zip(&base_list).for_each(|(ours, theirs)| ours.rights = theirs.rights);
    ensure_eq!(view_list, base_list);
    Ok(())
}

/// Views of one space with different bounds show the same, each within its own.
fn two_views_of_one_space_differ_by_their_bounds_only() -> Verdict {
    let (space, _segment, own) = space_with_page(Rights::READ_WRITE)?;
    let (reader, writer) = (view_of(&space, Rights::READ)?, view_of(&space, Rights::READ_WRITE)?);
    let place = Place::<u64>::new(own + 8)?;
    for value in 1..5 {
        writer.enter(|| place.set(value))?;
        ensure_eq!((reader.enter(|| place.get())?, space.enter(|| place.get())?), (value, value));
    }
    ensure_eq!((reach(&reader, own)?, reach(&writer, own)?), (Rights::READ, Rights::READ_WRITE));
    Ok(())
}

/// However many views there are, a change of the base's root is a change of theirs.
fn a_hundred_views_see_one_change() -> Verdict {
    let (space, shared) = (program().new_space()?, Shared::new(Level::Top, Rights::READ)?);
    let views = (0..100).map(|_| view_of(&space, Rights::READ)).collect::<Result<Vec<_>, _>>()?;
    let (at, word) = (spot(Level::Top), word_at(spot(Level::Top))?);
    for value in [1, 2] {
        shared.set(value)?;
        space.attach(at, &shared.subtree, Rights::READ)?;
        for view in &views {
            ensure_eq!(view.enter(|| word.get())?, value);
        }
        space.detach(at)?;
        for view in &views {
            refused(view.read(word.address(), &mut [0]), Error::BadAddress)?;
        }
    }
    ensure!(ends_in_fault(&views[99], move || word.get())?, "the last view still has it");
    ensure_eq!(space.info()?.views, 100);
    Ok(())
}

/// The space that the program started in has views too, which show what is mapped there for the moment.
fn a_view_of_the_home_space_shows_it() -> Verdict {
    let view = view_of(program().space(), Rights::READ)?;
    let room = Room::new(1)?;
    let (word, address) = (room.word(0)?, room.address());
    word.set(51);
    ensure_eq!(view.enter(|| word.get())?, 51);
    ensure!(ends_in_fault(&view, move || word.set(52))?, "the view could write");
    word.set(53);
    ensure_eq!(view.enter(|| word.get())?, 53);
    drop(room);
    ensure_eq!(reach(&view, address)?, Rights::empty());
    let info: SpaceInfo = view.info()?;
    ensure_eq!(info.view_of, program().space().capability_info()?.object + 1);
    Ok(())
}

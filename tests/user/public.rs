//! Public subtrees: at one slot of every space, present and future, for reading and executing.
//! boot: options="machine=control"

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, KERNEL_ADDRESSES, LEVELS, NEEDS, Published, Random, Room, Shared, Snapshot, Verdict, attempt, claim,
    ends_in_fault, ensure, ensure_eq, leaves_nothing, public_machine, reach, reach_page, refused, run, run_at, spot,
    the_kernel_passes_its_own_checks, wait_for_state, word_at,
};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use libvas::thread::{self, ThreadState};
use libvas::{
    Cap, CapTable, Error, Level, ObjectKind, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree,
    TOP_SLOT_BYTES as SLOT, TOP_SLOTS, View, program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(it_is_in_every_space_there_is),
        claim!(it_is_in_every_space_that_comes),
        claim!(it_lets_nobody_write),
        claim!(code_in_it_runs_in_every_space),
        claim!(what_changes_in_it_changes_everywhere_at_once),
        claim!(who_changes_it_goes_by_the_change_at_once),
        claim!(its_memory_is_reached_like_other_memory),
        claim!(spaces_and_subtree_tell_of_it),
        claim!(withdrawn_it_is_gone_from_every_space),
        claim!(threads_inside_fault_after_the_withdrawal),
        claim!(it_goes_with_its_last_capability),
        claim!(a_withdrawn_subtree_is_an_ordinary_one),
        claim!(two_public_subtrees_are_apart),
        claim!(making_one_needs_its_rights),
        claim!(handles_that_mean_nothing_are_refused),
        claim!(bounds_without_read_or_with_write_are_refused),
        claim!(other_places_and_levels_are_refused),
        claim!(what_is_attached_or_holds_something_is_not_made_public),
        claim!(a_slot_that_any_space_uses_is_refused),
        claim!(nobody_maps_or_attaches_in_its_slot),
        claim!(it_is_attached_to_nothing_and_takes_nothing),
        claim!(sealing_it_seals_it_for_all),
        claim!(pages_in_it_are_made_when_touched),
        claim!(it_comes_and_goes_without_a_trace),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("public", CLAIMS)
}

/// Where subtrees are made public: a slot that no program uses otherwise.
const AT: u64 = 100 * SLOT;

/// What a space shows of the page of a public subtree.
const PUBLIC_PAGE: u64 = AT + Shared::OFFSET;

/// Reads a word of a space that no thread enters for it.
fn read_word(space: &Cap<Space>, address: u64) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    space.read(address, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The spaces that are there see it at once: the program's own, others, bare and local ones, and views.
fn it_is_in_every_space_there_is() -> Verdict {
    let (space, bare) = (program().new_space()?, Space::new(program().account())?);
    let local = Space::new_local(program().account(), 0)?;
    let view = View::new(program().account(), &space, Rights::READ)?;
    let word = word_at(AT)?;
    ensure_eq!(reach_page(&space, AT)?, Rights::empty());
    let published = Published::new(AT, Rights::READ, Rights::READ)?;
    published.shared.set(71)?;
    ensure_eq!((word.get(), space.enter(|| word.get())?, view.enter(|| word.get())?), (71, 71, 71));
    for space in [&bare, &local, program().space()] {
        ensure_eq!(read_word(space, PUBLIC_PAGE)?, 71);
    }
    Ok(())
}

/// Spaces, local spaces and views that are made later have it from the start, as have those made in between.
fn it_is_in_every_space_that_comes() -> Verdict {
    let word = word_at(AT)?;
    let published = Published::new(AT, Rights::READ, Rights::READ)?;
    published.shared.set(72)?;
    let mut spaces = Vec::new();
    for _ in 0..20 {
        let space = program().new_space()?;
        ensure_eq!(space.enter(|| word.get())?, 72);
        let view = View::new(program().account(), &space, Rights::READ)?;
        ensure_eq!(view.enter(|| word.get())?, 72);
        ensure_eq!(read_word(&Space::new(program().account())?, PUBLIC_PAGE)?, 72);
        ensure_eq!(read_word(&Space::new_local(program().account(), 0)?, PUBLIC_PAGE)?, 72);
        spaces.push((space, view));
    }
    let thread = thread::spawn_in(&spaces[7].1, move || word.get())?;
    ensure_eq!(thread.join()?, 72);
    Ok(())
}

/// Though its mappings are writable, nobody writes through it: neither in its owner's spaces nor in a view of any
/// bounds. The memory itself can be written elsewhere, and everybody sees that.
fn it_lets_nobody_write() -> Verdict {
    let (space, word) = (program().new_space()?, word_at(AT)?);
    let views = [Rights::READ, Rights::ACCESS].map(|bounds| View::new(program().account(), &space, bounds));
    let published = Published::new(AT, Rights::READ_WRITE, Rights::READ_EXECUTE)?;
    ensure!(ends_in_fault(program().space(), move || word.set(1))?, "its owner could write");
    ensure_eq!(reach_page(&space, AT)?, Rights::READ);
    for view in views.iter().flatten() {
        ensure_eq!(reach_page(view, AT)?, Rights::READ);
    }
    refused(space.write(PUBLIC_PAGE, &[1]), Error::BadAddress)?;
    ensure_eq!(word.get(), 0);
    let room = Room::with(published.shared.segment.derive(Rights::READ_WRITE, 0)?, 1, Rights::READ_WRITE)?;
    for value in [2, 3] {
        room.word(0)?.set(value);
        ensure_eq!((word.get(), space.enter(|| word.get())?), (value, value));
    }
    Ok(())
}

/// Code in it is executed by several spaces, and by views of any bounds, if it is public for that; else by nobody.
fn code_in_it_runs_in_every_space() -> Verdict {
    let spaces = [program().new_space()?, program().new_space()?];
    let view = View::new(program().account(), &spaces[0], Rights::READ)?;
    for (bounds, expected) in [(Rights::READ, Rights::READ), (Rights::READ_EXECUTE, Rights::READ_EXECUTE)] {
        let _published = Published::new(AT, Rights::READ_EXECUTE, bounds)?;
        for space in &spaces {
            ensure_eq!((bounds, reach_page(space, AT)?), (bounds, expected));
        }
        ensure_eq!((bounds, reach_page(program().space(), AT)?), (bounds, expected));
        ensure_eq!((bounds, reach_page(&view, AT)?), (bounds, expected));
    }
    Ok(())
}

/// Mapping, protecting and unmapping in it counts in all spaces, though each of them has used what was there.
fn what_changes_in_it_changes_everywhere_at_once() -> Verdict {
    let spaces = [program().new_space()?, program().new_space()?, program().new_space()?];
    let published = Published::new(AT, Rights::READ, Rights::READ_EXECUTE)?;
    let (shared, other) = (&published.shared, Segment::new(program().account(), PAGE)?);
    let (word, second) = (word_at(AT)?, Place::<u64>::new(PUBLIC_PAGE + PAGE)?);
    other.write(0, &200_u64.to_le_bytes())?;
    shared.set(100)?;
    shared.subtree.map(Shared::OFFSET + PAGE, &other, 0..PAGE, Rights::READ)?;
    for round in 0..4 {
        let (memory, value) = if round % 2 == 0 { (&shared.segment, 100) } else { (&other, 200) };
        shared.subtree.unmap(shared.range())?;
        shared.subtree.map(Shared::OFFSET, memory, 0..PAGE, Rights::READ)?;
        for space in &spaces {
            ensure_eq!((round, space.enter(|| (word.get(), second.get()))?), (round, (value, 200)));
        }
        ensure_eq!((word.get(), read_word(program().space(), PUBLIC_PAGE)?), (value, value));
    }
    shared.subtree.unmap(shared.range())?;
    shared.subtree.map(Shared::OFFSET, &shared.segment, 0..PAGE, Rights::READ_EXECUTE)?;
    for rights in [Rights::READ_EXECUTE, Rights::READ, Rights::READ_EXECUTE] {
        shared.subtree.protect(shared.range(), rights)?;
        for space in &spaces {
            ensure_eq!((rights, reach_page(space, AT)?), (rights, rights));
        }
    }
    shared.subtree.unmap(shared.range())?;
    for space in spaces.iter().chain([program().space()]) {
        ensure_eq!(reach_page(space, AT)?, Rights::empty());
        ensure_eq!(read_word(space, second.address())?, 200);
    }
    Ok(())
}

/// A thread that takes something away from it faults at its next access, in the space that it is in or after a switch to
/// another: it goes by no global translation that its CPU remembers.
fn who_changes_it_goes_by_the_change_at_once() -> Verdict {
    let (space, word, code) = (program().new_space()?, word_at(AT)?, PUBLIC_PAGE + 64);
    for (step, switches) in [0, 1, 2].into_iter().flat_map(|step| [(step, true), (step, false)]) {
        let published = Published::new(AT, Rights::READ_EXECUTE, Rights::READ_EXECUTE)?;
        let shared = &published.shared;
        let (subtree, range) = (shared.subtree.derive(Rights::MAP | Rights::CONTROL, 0)?, shared.range());
        let own = space.derive(Rights::SWITCH, 0)?;
        let change = move || {
            run_at(code);
            let _value = word.get();
            let changed = match step {
                0 => subtree.unmap(range),
                1 => subtree.protect(range, Rights::READ),
                _ => subtree.withdraw().map(drop),
            };
            // By another root: what was remembered for all spaces would serve there.
            let entered = !switches || own.switch().is_ok();
            if changed.is_ok() && entered {
                run_at(code);
            }
        };
        ensure!(ends_in_fault(program().space(), change)?, "step {step}, switches {switches}: it went on");
        let there = if step == 1 { Rights::READ } else { Rights::empty() };
        ensure_eq!((step, reach_page(&space, AT)?), (step, there));
    }
    Ok(())
}

/// The kernel takes text from it and puts nothing into it; from outside it is read through any space.
fn its_memory_is_reached_like_other_memory() -> Verdict {
    let published = Published::new(AT, Rights::READ_WRITE, Rights::READ)?;
    published.shared.segment.write(0, b"commons!")?;
    let segment = Segment::new(program().account(), PAGE)?;
    attempt(number::object_set_name, [segment.handle().bits(), PUBLIC_PAGE, 7, 0, 0, 0])?;
    ensure_eq!(segment.name()?.as_str(), "commons");
    refused(attempt(number::counters, [0, PUBLIC_PAGE, 0, 0, 0, 0]), Error::BadPointer)?;
    refused(attempt(number::object_set_name, [segment.handle().bits(), AT, 7, 0, 0, 0]), Error::BadPointer)?;
    let mut bytes = [0; 8];
    Space::new(program().account())?.read(PUBLIC_PAGE, &mut bytes)?;
    ensure_eq!(&bytes, b"commons!");
    Ok(())
}

/// The subtree tells where it is public, each space lists it with its bounds, and its tables count as shared.
fn spaces_and_subtree_tell_of_it() -> Verdict {
    let (space, other) = (program().new_space()?, Space::new(program().account())?);
    let before = (space.info()?, other.info()?);
    ensure_eq!(other.mappings(0).count(), 0);
    let published = Published::new(AT, Rights::READ, Rights::READ_EXECUTE)?;
    let info = published.shared.subtree.info()?;
    ensure_eq!((info.public_address, info.sharers, info.table_bytes), (AT, 0, 3 * PAGE));
    for (space, before) in [(&space, before.0), (&other, before.1)] {
        let info = space.info()?;
        ensure_eq!((info.table_bytes, info.attachments), (before.table_bytes, before.attachments));
        // The program's own subtree may have got tables for its heap meanwhile.
        ensure!(info.shared_table_bytes >= before.shared_table_bytes + 3 * PAGE, "its tables are not counted");
    }
    ensure_eq!(other.info()?.shared_table_bytes, 3 * PAGE);
    let listed = other.mappings(0).next().ok_or(Error::NotMapped)??;
    ensure_eq!((listed.address, listed.length_bytes, listed.kind), (AT, SLOT, ObjectKind::Subtree as u64));
    ensure_eq!(listed.rights, u64::from(Rights::READ_EXECUTE.bits()));
    ensure_eq!(listed.object, published.shared.subtree.capability_info()?.object);
    published.shared.subtree.withdraw()?;
    ensure_eq!((published.shared.subtree.info()?.public_address, other.info()?), (0, before.1));
    Ok(())
}

/// It is withdrawn from one place, which is all spaces; afterwards no space and no view has anything there, though each
/// of them has used it, and so it is with spaces made later.
fn withdrawn_it_is_gone_from_every_space() -> Verdict {
    let (space, word) = (program().new_space()?, word_at(AT)?);
    let view = View::new(program().account(), &space, Rights::READ)?;
    for value in [8, 9] {
        let published = Published::new(AT, Rights::READ, Rights::READ)?;
        published.shared.set(value)?;
        ensure_eq!((word.get(), space.enter(|| word.get())?, view.enter(|| word.get())?), (value, value, value));
        let withdrawn = published.shared.subtree.derive(Rights::CONTROL, 0)?.withdraw()?;
        ensure_eq!((withdrawn, published.shared.subtree.withdraw()?), (1, 0));
        ensure_eq!(reach_page(program().space(), AT)?, Rights::empty());
        ensure_eq!((reach_page(&space, AT)?, reach_page(&view, AT)?), (Rights::empty(), Rights::empty()));
        ensure_eq!(reach_page(&program().new_space()?, AT)?, Rights::empty());
        refused(view.read(PUBLIC_PAGE, &mut [0]), Error::BadAddress)?;
    }
    Ok(())
}

/// Threads that sleep in any space and had used it fault when they go on.
fn threads_inside_fault_after_the_withdrawal() -> Verdict {
    static GO_ON: AtomicBool = AtomicBool::new(false);
    let (published, word) = (Published::new(AT, Rights::READ, Rights::READ)?, word_at(AT)?);
    let spaces = (0..4).map(|_| program().new_space()).collect::<Result<Vec<_>, _>>()?;
    let look = move || {
        let before = word.get();
        while !GO_ON.load(Ordering::Acquire) {
            thread::sleep(Duration::from_micros(200));
        }
        (before, word.get())
    };
    let threads = spaces.iter().map(|space| thread::spawn_in(space, look)).collect::<Result<Vec<_>, _>>()?;
    for thread in &threads {
        wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    }
    ensure_eq!(published.shared.subtree.withdraw()?, 1);
    GO_ON.store(true, Ordering::Release);
    for thread in threads {
        ensure_eq!(thread.join(), Err(Error::Faulted));
    }
    Ok(())
}

/// Being public keeps no subtree: when the last capability to it is given up, in whatever table, it is withdrawn and
/// goes, so that nothing stays behind a program that forgot it.
fn it_goes_with_its_last_capability() -> Verdict {
    let (before, space) = (Census::take()?.machine.subtrees, program().new_space()?);
    let table = CapTable::new(program().account(), 1)?;
    let Shared { subtree, segment } = Shared::new(Level::Top, Rights::READ)?;
    public_machine()?.publish(&subtree, AT, Rights::READ)?;
    subtree.copy_into(&table, Rights::empty(), 0)?;
    drop(subtree);
    for space in [&space, program().space()] {
        ensure_eq!(reach_page(space, AT)?, Rights::READ);
    }
    ensure_eq!((Census::take()?.machine.subtrees, segment.info()?.mappings), (before + 1, 1));
    drop(table);
    for space in [&space, program().space(), &Space::new(program().account())?] {
        refused(space.read(PUBLIC_PAGE, &mut [0]), Error::BadAddress)?;
    }
    ensure_eq!((reach_page(&space, AT)?, reach_page(program().space(), AT)?), (Rights::empty(), Rights::empty()));
    ensure_eq!((Census::take()?.machine.subtrees, segment.info()?.mappings), (before, 0));
    space.map(AT, &segment, 0..PAGE, Rights::READ)?;
    Ok(())
}

/// After it was public, a subtree is attached, written, changed and made public again like any other.
fn a_withdrawn_subtree_is_an_ordinary_one() -> Verdict {
    let (space, elsewhere) = (program().new_space()?, AT + 7 * SLOT);
    let published = Published::new(AT, Rights::READ_WRITE, Rights::READ)?;
    let subtree = &published.shared.subtree;
    subtree.withdraw()?;
    for _ in 0..2 {
        space.attach(AT, subtree, Rights::READ_WRITE)?;
        space.attach(elsewhere, subtree, Rights::READ)?;
        ensure_eq!((reach_page(&space, AT)?, reach_page(&space, elsewhere)?), (Rights::READ_WRITE, Rights::READ));
        ensure_eq!(reach_page(&program().new_space()?, AT)?, Rights::empty());
        ensure_eq!(subtree.withdraw()?, 2);
        public_machine()?.publish(subtree, elsewhere, Rights::READ)?;
        ensure_eq!((reach_page(&space, AT)?, reach_page(&space, elsewhere)?), (Rights::empty(), Rights::READ));
        ensure_eq!(subtree.withdraw()?, 1);
    }
    Ok(())
}

/// Two of them, in different slots with different bounds, do not disturb each other.
fn two_public_subtrees_are_apart() -> Verdict {
    let second = AT + SLOT;
    let reader = Published::new(AT, Rights::READ_EXECUTE, Rights::READ)?;
    let code = Published::new(second, Rights::READ_EXECUTE, Rights::READ_EXECUTE)?;
    let (space, words) = (program().new_space()?, (word_at(AT)?, word_at(second)?));
    reader.shared.set(1)?;
    code.shared.set(2)?;
    ensure_eq!(space.enter(|| (words.0.get(), words.1.get()))?, (1, 2));
    ensure_eq!((reach_page(&space, AT)?, reach_page(&space, second)?), (Rights::READ, Rights::READ_EXECUTE));
    drop(reader);
    ensure_eq!((reach_page(&space, AT)?, reach_page(&space, second)?), (Rights::empty(), Rights::READ_EXECUTE));
    ensure_eq!(space.enter(|| words.1.get())?, 2);
    Ok(())
}

/// It takes `CONTROL` on the machine and each of the bounds on the subtree, and no other right of either.
fn making_one_needs_its_rights() -> Verdict {
    let (machine, shared) = (public_machine()?, Shared::new(Level::Top, Rights::READ)?);
    let before = (Snapshot::of_subtree(&shared.subtree)?, Snapshot::of(program().space())?);
    let looker = machine.derive(machine.rights()? - Rights::CONTROL, 0)?;
    refused(looker.publish(&shared.subtree, AT, Rights::READ), Error::MissingRight)?;
    for need in NEEDS.iter().filter(|need| (need.call, need.argument) == (number::subtree_publish, 1)) {
        let weak = shared.subtree.derive(Rights::all() - need.right, 0)?;
        refused(machine.publish(&weak, AT, Rights::READ_EXECUTE), Error::MissingRight)?;
    }
    ensure_eq!((Snapshot::of_subtree(&shared.subtree)?, Snapshot::of(program().space())?), before);
    let (control, reader) = (machine.derive(Rights::CONTROL, 0)?, shared.subtree.derive(Rights::READ, 0)?);
    control.publish(&reader, AT, Rights::READ)?;
    refused(reader.withdraw(), Error::MissingRight)?;
    ensure_eq!((reach_page(program().space(), AT)?, shared.subtree.withdraw()?), (Rights::READ, 1));
    Ok(())
}

/// Handles that are forged, stale or of other objects are refused, in either argument.
fn handles_that_mean_nothing_are_refused() -> Verdict {
    let (machine, subtree) = (public_machine()?.handle().bits(), Subtree::new(program().account())?);
    let (mut random, read) = (Random::new(0x9b1c), u64::from(Rights::READ.bits()));
    let publish = |machine, subtree| attempt(number::subtree_publish, [machine, subtree, AT, read, 0, 0]);
    let stale = subtree.derive(Rights::all(), 0)?.into_handle().bits();
    attempt(number::capability_delete, [stale, 0, 0, 0, 0, 0])?;
    let forged = [0, u64::MAX, stale, random.next_word(), random.next_word(), random.next_word()];
    for handle in forged {
        refused(publish(machine, handle), Error::BadHandle)?;
        refused(publish(handle, subtree.handle().bits()), Error::BadHandle)?;
    }
    let segment = Segment::new(program().account(), PAGE)?.into_handle().bits();
    for handle in [machine, segment, program().space().handle().bits(), program().account().handle().bits()] {
        refused(publish(machine, handle), Error::WrongObject)?;
        refused(
            publish(if handle == machine { segment } else { handle }, subtree.handle().bits()),
            Error::WrongObject,
        )?;
    }
    attempt(number::capability_delete, [segment, 0, 0, 0, 0, 0])?;
    ensure_eq!(subtree.info()?.public_address, 0);
    Ok(())
}

/// Bounds hold `READ`, and besides that `EXECUTE` at most.
fn bounds_without_read_or_with_write_are_refused() -> Verdict {
    let (machine, shared) = (public_machine()?, Shared::new(Level::Top, Rights::READ_WRITE)?);
    let before = Snapshot::of_subtree(&shared.subtree)?;
    let wrong = [
        Rights::empty(),
        Rights::EXECUTE,
        Rights::WRITE,
        Rights::READ_WRITE,
        Rights::ACCESS,
        Rights::READ | Rights::MAP,
        Rights::all(),
    ];
    for bounds in wrong {
        refused(machine.publish(&shared.subtree, AT, bounds), Error::BadArgument)?;
    }
    ensure_eq!(Snapshot::of_subtree(&shared.subtree)?, before);
    ensure_eq!(reach_page(program().space(), AT)?, Rights::empty());
    Ok(())
}

/// Only a subtree of the top level is made public, at a multiple of its size in user memory but for the first slot and
/// the last.
fn other_places_and_levels_are_refused() -> Verdict {
    let (machine, shared) = (public_machine()?, Shared::new(Level::Top, Rights::READ)?);
    for level in LEVELS.into_iter().filter(|level| *level != Level::Top) {
        let fine = Shared::new(level, Rights::READ)?;
        refused(machine.publish(&fine.subtree, AT, Rights::READ), Error::WrongLevel)?;
        ensure_eq!(fine.subtree.info()?.public_address, 0);
    }
    for address in [AT + 1, AT + PAGE, AT + SLOT / 2, AT - PAGE, u64::MAX] {
        refused(machine.publish(&shared.subtree, address, Rights::READ), Error::Misaligned)?;
    }
    let last = (TOP_SLOTS as u64 - 1) * SLOT;
    let aligned = KERNEL_ADDRESSES.map(|address| address / SLOT * SLOT);
    for address in aligned.into_iter().chain([0, last, last + SLOT, 1 << 48, 1 << 63]) {
        refused(machine.publish(&shared.subtree, address, Rights::READ), Error::BadAddress)?;
    }
    ensure_eq!(shared.subtree.info()?.public_address, 0);
    machine.publish(&shared.subtree, last - SLOT, Rights::READ)?;
    ensure_eq!((reach_page(program().space(), last - SLOT)?, shared.subtree.withdraw()?), (Rights::READ, 1));
    Ok(())
}

/// A subtree that has a place, whatever kind of place, or that holds another one, or is public already, is refused.
fn what_is_attached_or_holds_something_is_not_made_public() -> Verdict {
    let (machine, space, at) = (public_machine()?, program().new_space()?, spot(Level::Top));
    for kind in 0..4 {
        let (shared, inner) = (Shared::new(Level::Top, Rights::READ)?, Shared::new(Level::TwoMib, Rights::READ)?);
        match kind {
            0 => space.attach(at, &shared.subtree, Rights::READ)?,
            1 => space.attach_window(at, &shared.subtree, Rights::READ)?,
            2 => space.attach_core(at, &shared.subtree, Rights::READ, 0)?,
            _ => shared.subtree.attach(1 << 30, &inner.subtree, Rights::READ)?,
        }
        let before = (Snapshot::of_subtree(&shared.subtree)?, Snapshot::of(&space)?);
        refused(machine.publish(&shared.subtree, AT, Rights::READ), Error::BadState)?;
        ensure_eq!((Snapshot::of_subtree(&shared.subtree)?, Snapshot::of(&space)?), before);
        shared.subtree.withdraw()?;
    }
    let published = Published::new(AT, Rights::READ, Rights::READ)?;
    for address in [AT, AT + SLOT] {
        refused(machine.publish(&published.shared.subtree, address, Rights::READ), Error::BadState)?;
    }
    ensure_eq!(published.shared.subtree.info()?.public_address, AT);
    Ok(())
}

/// If one space has anything in the slot, even nobody being inside, it is refused, and every space is as before.
fn a_slot_that_any_space_uses_is_refused() -> Verdict {
    let (machine, shared) = (public_machine()?, Shared::new(Level::Top, Rights::READ)?);
    let (user, other) = (program().new_space()?, program().new_space()?);
    let (page, segment) = (AT + 17 * PAGE, Segment::new(program().account(), PAGE)?);
    let (own, fine) = (Shared::new(Level::Top, Rights::READ)?, Shared::new(Level::TwoMib, Rights::READ)?);
    for kind in 0..5 {
        match kind {
            0 => user.map(page, &segment, 0..PAGE, Rights::READ)?,
            1 => user.attach(AT, &own.subtree, Rights::READ)?,
            2 => user.attach(AT + (5 << 30), &fine.subtree, Rights::READ)?,
            3 => user.attach_core(AT, &own.subtree, Rights::READ, 0)?,
            _ => user.map(AT + SLOT - PAGE, &segment, 0..PAGE, Rights::READ)?,
        }
        let before = [&user, &other, program().space()].map(Snapshot::of);
        refused(machine.publish(&shared.subtree, AT, Rights::READ), Error::Overlap)?;
        ensure_eq!([&user, &other, program().space()].map(Snapshot::of), before);
        ensure_eq!((reach_page(&other, AT)?, shared.subtree.info()?.public_address), (Rights::empty(), 0));
        match kind {
            0 => user.unmap(page..page + PAGE)?,
            1 | 3 => drop(own.subtree.withdraw()?),
            2 => drop(fine.subtree.withdraw()?),
            _ => user.unmap(AT + SLOT - PAGE..AT + SLOT)?,
        }
    }
    machine.publish(&shared.subtree, AT, Rights::READ)?;
    let second = Subtree::new(program().account())?;
    refused(machine.publish(&second, AT, Rights::READ), Error::Overlap)?;
    ensure_eq!((reach_page(&user, AT)?, shared.subtree.withdraw()?), (Rights::READ, 1));
    Ok(())
}

/// As long as it is public, its slot takes nothing in any space, and gives nothing away; afterwards it is free again.
fn nobody_maps_or_attaches_in_its_slot() -> Verdict {
    let (space, segment) = (program().new_space()?, Segment::new_lazy(program().account(), 4 * PAGE)?);
    let published = Published::new(AT, Rights::READ, Rights::READ)?;
    let (top, fine) = (Shared::new(Level::Top, Rights::READ)?, Shared::new(Level::TwoMib, Rights::READ)?);
    let later = Space::new(program().account())?;
    for space in [&space, program().space(), &later] {
        let before = Snapshot::of(space)?;
        for address in [AT, PUBLIC_PAGE, AT + (9 << 30), AT + SLOT - PAGE] {
            refused(space.map(address, &segment, 0..PAGE, Rights::READ), Error::Overlap)?;
        }
        refused(space.map(AT - 2 * PAGE, &segment, 0..4 * PAGE, Rights::READ), Error::Overlap)?;
        refused(space.map(AT + SLOT - 2 * PAGE, &segment, 0..4 * PAGE, Rights::READ), Error::Overlap)?;
        refused(space.attach(AT, &top.subtree, Rights::READ), Error::Overlap)?;
        refused(space.attach_window(AT, &top.subtree, Rights::READ), Error::Overlap)?;
        refused(space.attach_core(AT, &top.subtree, Rights::READ, 0), Error::Overlap)?;
        refused(space.attach(AT + (4 << 30), &fine.subtree, Rights::READ), Error::Overlap)?;
        refused(space.unmap(PUBLIC_PAGE..PUBLIC_PAGE + PAGE), Error::NotMapped)?;
        refused(space.protect(PUBLIC_PAGE..PUBLIC_PAGE + PAGE, Rights::READ), Error::NotMapped)?;
        refused(space.detach(AT), Error::NotMapped)?;
        refused(space.detach_core(AT, 0), Error::NotMapped)?;
        ensure_eq!((Snapshot::of(space)?, reach(program().space(), PUBLIC_PAGE + 64)?), (before, Rights::READ));
    }
    ensure_eq!((top.subtree.info()?.sharers, fine.subtree.info()?.sharers), (0, 0));
    space.map(AT - PAGE, &segment, 0..PAGE, Rights::READ)?;
    space.attach(AT + SLOT, &top.subtree, Rights::READ)?;
    published.shared.subtree.withdraw()?;
    space.attach(AT + (4 << 30), &fine.subtree, Rights::READ)?;
    later.map(AT, &segment, 0..4 * PAGE, Rights::READ)?;
    Ok(())
}

/// A public subtree is attached to no space and no subtree, and no subtree is attached in it.
fn it_is_attached_to_nothing_and_takes_nothing() -> Verdict {
    let (space, fine) = (program().new_space()?, Shared::new(Level::OneGib, Rights::READ)?);
    let published = Published::new(AT, Rights::READ, Rights::READ)?;
    let (subtree, at) = (&published.shared.subtree, spot(Level::Top));
    let before = (Snapshot::of(&space)?, Snapshot::of_subtree(subtree)?);
    refused(space.attach(at, subtree, Rights::READ), Error::BadState)?;
    refused(space.attach_window(at, subtree, Rights::READ), Error::BadState)?;
    refused(space.attach_core(at, subtree, Rights::READ, 0), Error::BadState)?;
    refused(subtree.attach(1 << 30, &fine.subtree, Rights::READ), Error::BadState)?;
    refused(subtree.detach(1 << 30), Error::NotMapped)?;
    ensure_eq!((Snapshot::of(&space)?, Snapshot::of_subtree(subtree)?), before);
    ensure_eq!(fine.subtree.info()?.sharers, 0);
    Ok(())
}

/// Sealed, before or while it is public, it stays as it is; it can be withdrawn all the same.
fn sealing_it_seals_it_for_all() -> Verdict {
    for seal_first in [false, true] {
        let shared = Shared::new(Level::Top, Rights::READ)?;
        if seal_first {
            shared.subtree.seal()?;
        }
        public_machine()?.publish(&shared.subtree, AT, Rights::READ)?;
        let published = Published { shared };
        let subtree = &published.shared.subtree;
        subtree.seal()?;
        refused(subtree.unmap(published.shared.range()), Error::Sealed)?;
        refused(subtree.map(5 * PAGE, &published.shared.segment, 0..PAGE, Rights::READ), Error::Sealed)?;
        ensure_eq!(reach_page(&program().new_space()?, AT)?, Rights::READ);
        ensure_eq!((subtree.withdraw()?, reach_page(program().space(), AT)?), (1, Rights::empty()));
    }
    Ok(())
}

/// A page of it that is made on first touch is made by whoever reads it first, and is there for all then; reading it from
/// outside does not make it.
fn pages_in_it_are_made_when_touched() -> Verdict {
    let published = Published::new(AT, Rights::READ, Rights::READ)?;
    let lazy = Segment::new_lazy(program().account(), 3 * PAGE)?;
    published.shared.subtree.map(8 * PAGE, &lazy, 0..3 * PAGE, Rights::READ_WRITE)?;
    let (space, place) = (program().new_space()?, Place::<u64>::new(AT + 8 * PAGE)?);
    ensure!(ends_in_fault(&space, move || place.set(1))?, "it could be written");
    ensure_eq!((lazy.info()?.populated_bytes, space.enter(|| place.get())?), (0, 0));
    lazy.write(0, &9_u64.to_le_bytes())?;
    ensure_eq!((place.get(), space.enter(|| place.get())?, lazy.info()?.populated_bytes), (9, 9, PAGE));
    ensure_eq!(read_word(&Space::new(program().account())?, place.address() + PAGE)?, 0);
    ensure_eq!(lazy.info()?.populated_bytes, PAGE);
    Ok(())
}

/// Made public, used, changed and withdrawn again and again, with spaces and views that come and go meanwhile, it
/// leaves nothing; nor does what is refused.
fn it_comes_and_goes_without_a_trace() -> Verdict {
    let (machine, word) = (public_machine()?, word_at(AT)?);
    leaves_nothing(50, |cycle| {
        let published = Published::new(AT, Rights::READ, Rights::READ)?;
        published.shared.set(cycle)?;
        let space = program().new_space()?;
        let view = View::new(program().account(), &space, Rights::READ)?;
        ensure_eq!((space.enter(|| word.get())?, view.enter(|| word.get())?), (cycle, cycle));
        refused(machine.publish(&Subtree::new(program().account())?, AT, Rights::READ), Error::Overlap)?;
        if cycle % 2 == 0 {
            published.shared.subtree.unmap(published.shared.range())?;
        }
        drop(space);
        Ok(())
    })
}

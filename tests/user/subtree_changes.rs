//! Changes: what is mapped, unmapped or protected in a subtree of any level counts in all its spaces at once.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, LEVELS, Shared, Snapshot, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq, poke, reach,
    reach_page, refused, run, spot, the_kernel_passes_its_own_checks, wait_for_state, word_at,
};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use libvas::thread::{self, ThreadState};
use libvas::{
    Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_is_mapped_appears_in_every_space),
        claim!(what_is_unmapped_goes_from_every_space),
        claim!(protection_changes_in_every_space),
        claim!(another_page_in_its_place_is_what_every_space_reads),
        claim!(bounds_stay_whatever_the_mapping_comes_to_allow),
        claim!(bounds_of_one_entry_at_every_level),
        claim!(two_places_in_one_space_change_together),
        claim!(a_long_range_changes_as_a_whole),
        claim!(a_part_of_a_large_page_goes_from_every_space),
        claim!(a_refused_change_is_seen_by_nobody),
        claim!(threads_inside_go_by_the_change_when_they_go_on),
        claim!(who_changes_it_from_inside_goes_by_the_change_at_once),
        claim!(pointers_are_taken_as_the_entries_allow_them),
        claim!(writing_from_outside_goes_by_the_bounds),
        claim!(hundreds_of_spaces_see_one_change),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("subtree_changes", CLAIMS)
}

/// Three spaces with the program that have a subtree, with all bounds, at the spot of its level.
fn sharers_of(shared: &Shared, level: Level) -> Result<Vec<Cap<Space>>, Error> {
    let make = |_| {
        let space = program().new_space()?;
        space.attach(spot(level), &shared.subtree, Rights::ACCESS)?;
        Ok(space)
    };
    (0..3).map(make).collect()
}

/// Reads a word of a space that no thread of this program enters for it.
fn read_word(space: &Cap<Space>, address: u64) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    space.read(address, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// A page that is mapped in the subtree is there in all spaces, for threads and for who looks from outside, though
/// each of them found nothing there before.
fn what_is_mapped_appears_in_every_space() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ)?;
        let (spaces, new) = (sharers_of(&shared, level)?, spot(level) + 3 * PAGE);
        let (word, old) = (Place::<u64>::new(new)?, word_at(spot(level))?);
        for space in &spaces {
            space.enter(|| old.get())?;
            ensure_eq!((level, reach(space, new)?), (level, Rights::empty()));
            refused(space.read(new, &mut [0]), Error::BadAddress)?;
        }
        shared.set(0x1d)?;
        shared.subtree.map(3 * PAGE, &shared.segment, 0..PAGE, Rights::READ_WRITE)?;
        for space in &spaces {
            ensure_eq!((level, read_word(space, new)?), (level, 0x1d));
            ensure_eq!((level, space.enter(|| word.get())?), (level, 0x1d));
        }
        ensure_eq!(reach(&spaces[0], new)? & Rights::READ_WRITE, Rights::READ_WRITE);
    }
    Ok(())
}

/// A page that is unmapped is gone from all spaces, though each of them has used it; the page beside it stays.
fn what_is_unmapped_goes_from_every_space() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        shared.subtree.map(2 * PAGE, &shared.segment, 0..PAGE, Rights::READ_WRITE)?;
        let (spaces, word) = (sharers_of(&shared, level)?, word_at(spot(level))?);
        let beside = Place::<u64>::new(spot(level) + 2 * PAGE)?;
        for space in &spaces {
            space.enter(|| (word.set(word.get() + 1), beside.set(beside.get() + 1)))?;
        }
        shared.subtree.unmap(shared.range())?;
        for space in &spaces {
            ensure_eq!((level, reach_page(space, spot(level))?), (level, Rights::empty()));
            refused(space.read(word.address(), &mut [0]), Error::BadAddress)?;
            refused(space.write(word.address(), &[0]), Error::BadAddress)?;
            ensure_eq!((level, space.enter(|| beside.get())?), (level, 6));
        }
        ensure_eq!(shared.subtree.info()?.mappings, 1);
    }
    Ok(())
}

/// Rights that are taken away are gone from all spaces, and those that are given are there, also to execute.
fn protection_changes_in_every_space() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        let (spaces, word) = (sharers_of(&shared, level)?, word_at(spot(level))?);
        for rights in [Rights::READ_WRITE, Rights::READ, Rights::READ_EXECUTE, Rights::READ_WRITE] {
            shared.subtree.protect(shared.range(), rights)?;
            for space in &spaces {
                ensure_eq!((level, reach_page(space, spot(level))?), (level, rights));
            }
        }
        spaces[1].enter(|| word.set(4))?;
        ensure_eq!((level, spaces[2].enter(|| word.get())?), (level, 4));
    }
    Ok(())
}

/// When a page goes and another comes to its place, all spaces read the other one, and never the first again.
fn another_page_in_its_place_is_what_every_space_reads() -> Verdict {
    for level in LEVELS {
        let (shared, other) = (Shared::new(level, Rights::READ_WRITE)?, Segment::new(program().account(), PAGE)?);
        let (spaces, word) = (sharers_of(&shared, level)?, word_at(spot(level))?);
        shared.set(100)?;
        other.write(0, &200_u64.to_le_bytes())?;
        for round in 0..6 {
            let (memory, value) = if round % 2 == 0 { (&shared.segment, 100) } else { (&other, 200) };
            shared.subtree.unmap(shared.range())?;
            shared.subtree.map(Shared::OFFSET, memory, 0..PAGE, Rights::READ_WRITE)?;
            for space in &spaces {
                ensure_eq!((level, space.enter(|| word.get())?), (level, value));
                ensure_eq!((level, read_word(space, word.address())?), (level, value));
            }
        }
    }
    Ok(())
}

/// Where the entry does not allow it, nobody writes or executes, whatever the mapping comes to allow.
fn bounds_stay_whatever_the_mapping_comes_to_allow() -> Verdict {
    for level in LEVELS {
        let (shared, space) = (Shared::new(level, Rights::READ)?, program().new_space()?);
        space.attach(spot(level), &shared.subtree, Rights::READ)?;
        for rights in [Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::READ] {
            shared.subtree.protect(shared.range(), rights)?;
            ensure_eq!((level, reach_page(&space, spot(level))?), (level, Rights::READ));
            shared.subtree.unmap(shared.range())?;
            shared.subtree.map(Shared::OFFSET, &shared.segment, 0..PAGE, rights)?;
            ensure_eq!((level, reach_page(&space, spot(level))?), (level, Rights::READ));
        }
    }
    Ok(())
}

/// At every level, the entry's own bounds and the mapping decide together, in each space by its own entry.
fn bounds_of_one_entry_at_every_level() -> Verdict {
    for level in LEVELS {
        for mapped in [Rights::READ_WRITE, Rights::READ_EXECUTE] {
            let shared = Shared::new(level, mapped)?;
            for bounds in [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::ACCESS] {
                let space = program().new_space()?;
                space.attach(spot(level), &shared.subtree, bounds)?;
                let what = (level, mapped, bounds);
                ensure_eq!((what, reach_page(&space, spot(level))?), (what, mapped & bounds));
            }
        }
    }
    Ok(())
}

/// Twice in the same space, with different bounds: a change counts at both places, and each keeps its bounds.
fn two_places_in_one_space_change_together() -> Verdict {
    for level in LEVELS {
        let (shared, space) = (Shared::new(level, Rights::READ_WRITE)?, program().new_space()?);
        let (first, second) = (spot(level), spot(level) + level.size_bytes());
        space.attach(first, &shared.subtree, Rights::READ_WRITE)?;
        space.attach(second, &shared.subtree, Rights::READ)?;
        let reached = || Ok::<_, conformance::Failure>((reach_page(&space, first)?, reach_page(&space, second)?));
        ensure_eq!((level, reached()?), (level, (Rights::READ_WRITE, Rights::READ)));
        shared.subtree.protect(shared.range(), Rights::READ)?;
        ensure_eq!((level, reached()?), (level, (Rights::READ, Rights::READ)));
        shared.subtree.unmap(shared.range())?;
        ensure_eq!((level, reached()?), (level, (Rights::empty(), Rights::empty())));
        space.detach(first)?;
        shared.subtree.map(Shared::OFFSET, &shared.segment, 0..PAGE, Rights::READ_WRITE)?;
        ensure_eq!((level, reached()?), (level, (Rights::empty(), Rights::READ)));
    }
    Ok(())
}

/// A range that is too long to be invalidated page by page changes as one, from its first page to its last.
fn a_long_range_changes_as_a_whole() -> Verdict {
    const PAGES: u64 = 300;
    for level in LEVELS {
        let (shared, memory) = (Shared::new(level, Rights::READ)?, Segment::new(program().account(), PAGES * PAGE)?);
        let spaces = sharers_of(&shared, level)?;
        let range = 8 * PAGE..(8 + PAGES) * PAGE;
        shared.subtree.map(range.start, &memory, 0..PAGES * PAGE, Rights::READ_WRITE)?;
        let first = Place::<u64>::new(spot(level) + range.start)?;
        for space in &spaces {
            space.enter(|| (0..PAGES).try_for_each(|page| first.at(page * 512).map(|word| word.set(page))))??;
        }
        shared.subtree.protect(range.clone(), Rights::READ)?;
        let look = || -> Result<u64, Error> { (0..PAGES).map(|page| first.at(page * 512).map(Place::get)).sum() };
        for space in &spaces {
            for page in [0, PAGES / 2, PAGES - 1] {
                let address = first.address() + page * PAGE + 16;
                ensure!(ends_in_fault(space, move || poke(address, 1))?, "{level:?}: page {page} could be written");
            }
            ensure_eq!((level, space.enter(look)??), (level, PAGES * (PAGES - 1) / 2));
        }
        shared.subtree.unmap(range)?;
        for space in &spaces {
            for page in [0, PAGES / 2, PAGES - 1] {
                let address = first.address() + page * PAGE;
                ensure_eq!((level, page, reach(space, address)?), (level, page, Rights::empty()));
            }
            ensure_eq!(read_word(space, spot(level) + Shared::OFFSET)?, 0);
        }
    }
    Ok(())
}

/// A page out of the middle of a large one is gone from all spaces; what is around it stays where they have it.
fn a_part_of_a_large_page_goes_from_every_space() -> Verdict {
    const LARGE: u64 = 2 << 20;
    for level in [Level::Top, Level::OneGib] {
        let (shared, memory) = (Shared::new(level, Rights::READ)?, Segment::new(program().account(), LARGE)?);
        let (spaces, start) = (sharers_of(&shared, level)?, spot(level) + LARGE);
        shared.subtree.map(LARGE, &memory, 0..LARGE, Rights::READ_WRITE)?;
        let (middle, last) = (Place::<u64>::new(start + 9 * PAGE)?, Place::<u64>::new(start + LARGE - 8)?);
        for space in &spaces {
            space.enter(|| (middle.set(1), last.set(last.get() + 1)))?;
        }
        shared.subtree.unmap(LARGE + 9 * PAGE..LARGE + 10 * PAGE)?;
        shared.subtree.protect(LARGE + 10 * PAGE..LARGE + 11 * PAGE, Rights::READ)?;
        for space in &spaces {
            ensure_eq!((level, reach(space, middle.address())?), (level, Rights::empty()));
            ensure_eq!((level, reach(space, middle.address() + PAGE)?), (level, Rights::READ));
            ensure_eq!((level, space.enter(|| last.get())?), (level, 3));
        }
    }
    Ok(())
}

/// A change that is refused leaves the subtree, and what each space reads, as it was.
fn a_refused_change_is_seen_by_nobody() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ)?;
        let (spaces, page, word) = (sharers_of(&shared, level)?, shared.range(), word_at(spot(level))?);
        shared.set(3)?;
        let (before, weak) = (Snapshot::of_subtree(&shared.subtree)?, shared.subtree.derive(Rights::ACCESS, 0)?);
        let reader = shared.segment.derive(Rights::READ, 0)?;
        refused(weak.unmap(page.clone()), Error::MissingRight)?;
        refused(weak.map(4 * PAGE, &shared.segment, 0..PAGE, Rights::READ), Error::MissingRight)?;
        refused(weak.protect(page.clone(), Rights::READ), Error::MissingRight)?;
        refused(shared.subtree.unmap(page.start..page.end + PAGE), Error::NotMapped)?;
        refused(shared.subtree.protect(page.clone(), Rights::ACCESS), Error::WriteExecute)?;
        refused(shared.subtree.protect(page.clone(), Rights::WRITE), Error::BadArgument)?;
        refused(shared.subtree.map(page.start, &reader, 0..PAGE, Rights::READ), Error::Overlap)?;
        refused(shared.subtree.map(page.end, &reader, 0..PAGE, Rights::READ_WRITE), Error::MissingRight)?;
        refused(shared.subtree.unmap(page.start + 1..page.end + 1), Error::Misaligned)?;
        ensure_eq!(Snapshot::of_subtree(&shared.subtree)?, before);
        for space in &spaces {
            ensure_eq!((level, space.enter(|| word.get())?), (level, 3));
            ensure_eq!((level, reach_page(space, spot(level))?), (level, Rights::READ));
        }
    }
    Ok(())
}

/// A thread that sleeps inside a space that has the subtree reads what is mapped there when it wakes, or faults.
fn threads_inside_go_by_the_change_when_they_go_on() -> Verdict {
    static GO_ON: AtomicBool = AtomicBool::new(false);
    for (level, remains) in LEVELS.into_iter().flat_map(|level| [(level, true), (level, false)]) {
        let (shared, other) = (Shared::new(level, Rights::READ)?, Segment::new(program().account(), PAGE)?);
        other.write(0, &2_u64.to_le_bytes())?;
        shared.set(1)?;
        let (spaces, word) = (sharers_of(&shared, level)?, word_at(spot(level))?);
        GO_ON.store(false, Ordering::Relaxed);
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
        shared.subtree.unmap(shared.range())?;
        if remains {
            shared.subtree.map(Shared::OFFSET, &other, 0..PAGE, Rights::READ)?;
        }
        GO_ON.store(true, Ordering::Release);
        for thread in threads {
            ensure_eq!((level, thread.join()), (level, if remains { Ok((1, 2)) } else { Err(Error::Faulted) }));
        }
    }
    Ok(())
}

/// A thread that takes something away from the subtree while it is in a space that has it, at several places and
/// within another subtree, faults at its next access at each of these places: it goes by nothing that its CPU remembers.
fn who_changes_it_from_inside_goes_by_the_change_at_once() -> Verdict {
    for level in LEVELS {
        let outer = Subtree::new(program().account())?;
        let crowd = (0..6).map(|_| Space::new(program().account())).collect::<Result<Vec<_>, _>>()?;
        let inside = spot(Level::Top) + SLOT * 9 + (5 << 30);
        for (place, by_unmap) in [0, 1, 2].into_iter().flat_map(|place| [(place, true), (place, false)]) {
            let (shared, space) = (Shared::new(level, Rights::READ_WRITE)?, program().new_space()?);
            let places = [spot(level), spot(level) + 2 * level.size_bytes(), inside];
            space.attach(places[0], &shared.subtree, Rights::READ_WRITE)?;
            space.attach(places[1], &shared.subtree, Rights::READ_WRITE)?;
            // With few sharers the kernel may tell them apart; with many it may go by addresses alone.
            for other in crowd.iter().filter(|_| by_unmap) {
                other.attach(places[0], &shared.subtree, Rights::READ)?;
                other.attach(places[1], &shared.subtree, Rights::READ)?;
            }
            if level != Level::Top {
                outer.attach(5 << 30, &shared.subtree, Rights::READ_WRITE)?;
                space.attach(spot(Level::Top) + SLOT * 9, &outer, Rights::READ_WRITE)?;
            } else if place == 2 {
                continue;
            }
            let (own, range) = (shared.subtree.derive(Rights::MAP, 0)?, shared.range());
            let word = word_at(places[place])?;
            let change = move || {
                word.set(1);
                let changed = if by_unmap { own.unmap(range) } else { own.protect(range, Rights::READ) };
                if changed.is_ok() {
                    word.set(2);
                }
            };
            ensure!(ends_in_fault(&space, change)?, "{level:?}, place {place}: it went on");
            ensure_eq!((level, place, shared.get()?), (level, place, 1));
            shared.subtree.withdraw()?;
        }
    }
    Ok(())
}

/// A call writes to a buffer in a subtree where mapping and entry allow that, and reads from one where it may be read.
fn pointers_are_taken_as_the_entries_allow_them() -> Verdict {
    for level in LEVELS {
        let (shared, space) = (Shared::new(level, Rights::READ_WRITE)?, program().new_space()?);
        let (writable, readable) = (spot(level), spot(level) + 2 * level.size_bytes());
        space.attach(writable, &shared.subtree, Rights::READ_WRITE)?;
        space.attach(readable, &shared.subtree, Rights::READ)?;
        let (segment, text) = (&shared.segment, Shared::OFFSET + 2048);
        segment.write(2048, b"text")?;
        let fill = |at: u64| attempt(number::counters, [0, at + Shared::OFFSET, 0, 0, 0, 0]);
        let name = |at: u64| attempt(number::object_set_name, [segment.handle().bits(), at + text, 4, 0, 0, 0]);
        ensure!(space.enter(|| fill(writable))?.is_ok(), "{level:?}: a writable buffer was refused");
        refused(space.enter(|| fill(readable))?, Error::BadPointer)?;
        refused(space.enter(|| fill(writable + PAGE))?, Error::BadPointer)?;
        space.enter(|| name(readable))??;
        ensure_eq!((level, segment.name()?.as_str()), (level, "text"));
        refused(space.enter(|| name(readable + PAGE))?, Error::BadPointer)?;
        shared.subtree.protect(shared.range(), Rights::READ)?;
        refused(space.enter(|| fill(writable))?, Error::BadPointer)?;
    }
    Ok(())
}

/// From outside, a space's memory is written where the mapping and the entry allow it, and read in either case.
fn writing_from_outside_goes_by_the_bounds() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        let (writer, reader) = (Space::new(program().account())?, Space::new(program().account())?);
        writer.attach(spot(level), &shared.subtree, Rights::READ_WRITE)?;
        reader.attach(spot(level), &shared.subtree, Rights::READ_EXECUTE)?;
        let at = spot(level) + Shared::OFFSET;
        writer.write(at, &5_u64.to_le_bytes())?;
        refused(reader.write(at, &[6]), Error::BadAddress)?;
        ensure_eq!((level, read_word(&reader, at)?, shared.get()?), (level, 5, 5));
        shared.subtree.protect(shared.range(), Rights::READ)?;
        refused(writer.write(at, &[7]), Error::BadAddress)?;
        ensure_eq!((level, read_word(&writer, at)?), (level, 5));
    }
    Ok(())
}

/// However many spaces share it, a page that changes once changes for each of them.
fn hundreds_of_spaces_see_one_change() -> Verdict {
    const SPACES: u64 = 300;
    let (shared, other) = (Shared::new(Level::Top, Rights::READ)?, Segment::new(program().account(), PAGE)?);
    other.write(0, &2_u64.to_le_bytes())?;
    shared.set(1)?;
    let at = spot(Level::Top) + Shared::OFFSET;
    let make = |_| {
        let space = program().new_space()?;
        space.attach(spot(Level::Top), &shared.subtree, Rights::READ)?;
        Ok(space)
    };
    let spaces: Vec<Cap<Space>> = (0..SPACES).map(make).collect::<Result<_, Error>>()?;
    let word = Place::<u64>::new(at)?;
    for value in [1, 2] {
        for space in &spaces {
            ensure_eq!((space.enter(|| word.get())?, read_word(space, at)?), (value, value));
        }
        shared.subtree.unmap(shared.range())?;
        shared.subtree.map(Shared::OFFSET, &other, 0..PAGE, Rights::READ)?;
    }
    ensure_eq!(shared.subtree.info()?.sharers, SPACES);
    Ok(())
}

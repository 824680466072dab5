//! Lifetimes: spaces, subtrees and memory go in every order, and what remains is as it was.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, LEVELS, Shared, Verdict, claim, ensure, ensure_eq, leaves_nothing, reach_page, refused, run, spot,
    the_kernel_passes_its_own_checks, word_at,
};
use libvas::{
    Cap, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, View, program,
    thread,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(an_attachment_keeps_a_subtree_of_any_level),
        claim!(spaces_subtrees_and_memory_go_in_every_order),
        claim!(inner_and_outer_subtrees_and_spaces_go_in_every_order),
        claim!(detaching_reaches_one_space_only),
        claim!(detaching_the_last_place_of_a_forgotten_subtree_takes_it_along),
        claim!(a_space_that_goes_leaves_the_other_sharers),
        claim!(a_place_that_was_left_takes_whatever_comes),
        claim!(a_thread_s_memory_outlives_its_capabilities),
        claim!(a_subtree_with_very_many_places_goes_as_a_whole),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("subtree_lifetimes", CLAIMS)
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return Vec::from([Vec::new()]);
    }
    let mut all = Vec::new();
    for shorter in orders(count - 1) {
        for place in 0..count {
            let mut order = shorter.clone();
            order.insert(place, count - 1);
            all.push(order);
        }
    }
    all
}

/// A subtree stays while it is attached somewhere, and goes with the last place; its memory goes with it.
fn an_attachment_keeps_a_subtree_of_any_level() -> Verdict {
    for level in LEVELS {
        let space = Space::new(program().account())?;
        let before = Census::take()?.machine.subtrees;
        let Shared { subtree, segment } = Shared::new(level, Rights::READ)?;
        segment.write(0, b"here")?;
        space.attach(spot(level), &subtree, Rights::READ)?;
        drop(subtree);
        let mut bytes = [0; 4];
        space.read(spot(level) + Shared::OFFSET, &mut bytes)?;
        ensure_eq!((&bytes, Census::take()?.machine.subtrees), (b"here", before + 1));
        drop(space);
        ensure_eq!((Census::take()?.machine.subtrees, segment.info()?.mappings), (before, 0));
    }
    Ok(())
}

/// Two spaces, the subtree that they share and the memory in it are given up in all 24 orders: as long as one of the
/// spaces is there it reads the memory, and in the end all of it is back.
fn spaces_subtrees_and_memory_go_in_every_order() -> Verdict {
    let orders = orders(4);
    ensure_eq!(orders.len(), 24);
    leaves_nothing(orders.len() as u64, |index| {
        let level = LEVELS[index as usize % 3];
        let Shared { subtree, segment } = Shared::new(level, Rights::READ)?;
        segment.write(0, &index.to_le_bytes())?;
        let mut spaces = [Some(program().new_space()?), Some(program().new_space()?)];
        for space in spaces.iter().flatten() {
            space.attach(spot(level), &subtree, Rights::READ)?;
        }
        let (mut subtree, mut segment, word) = (Some(subtree), Some(segment), word_at(spot(level))?);
        for which in &orders[index as usize] {
            match which {
                0 | 1 => spaces[*which] = None,
                2 => subtree = None,
                _ => segment = None,
            }
            for space in spaces.iter().flatten() {
                ensure_eq!((index, space.enter(|| word.get())?), (index, index));
            }
            let sharers = spaces.iter().flatten().count() as u64;
            if let Some(subtree) = &subtree {
                ensure_eq!(subtree.info()?.sharers, sharers);
            } else if let Some(segment) = &segment {
                ensure_eq!(segment.info()?.mappings, u64::from(sharers > 0));
            }
        }
        Ok(())
    })
}

/// A space, a view of it, the outer subtree that it has and the inner one in that are given up in all 24 orders.
fn inner_and_outer_subtrees_and_spaces_go_in_every_order() -> Verdict {
    let orders = orders(4);
    leaves_nothing(orders.len() as u64, |index| {
        let (outer, inner) = (Subtree::new(program().account())?, Shared::new(Level::OneGib, Rights::READ_WRITE)?);
        inner.set(index)?;
        let Shared { subtree: inner, segment } = inner;
        outer.attach(1 << 30, &inner, Rights::READ_WRITE)?;
        let (space, at) = (program().new_space()?, spot(Level::Top));
        space.attach(at, &outer, Rights::READ_WRITE)?;
        let word = word_at(at + (1 << 30))?;
        let view = View::new(program().account(), &space, Rights::READ)?;
        let (mut space, mut view, mut outer, mut inner) = (Some(space), Some(view), Some(outer), Some(inner));
        for which in &orders[index as usize] {
            match which {
                0 => space = None,
                1 => view = None,
                2 => outer = None,
                _ => inner = None,
            }
            if let Some(space) = &space {
                ensure_eq!((index, space.enter(|| word.get())?), (index, index));
            }
            if let Some(view) = &view {
                ensure_eq!((index, view.enter(|| word.get())?), (index, index));
            }
            if let Some(inner) = &inner {
                let is_held = space.is_some() || view.is_some() || outer.is_some();
                ensure_eq!((index, inner.info()?.sharers), (index, u64::from(is_held)));
            }
        }
        ensure_eq!(segment.info()?.mappings, 0);
        Ok(())
    })
}

/// What is detached from one space is gone there, for threads that used it a moment ago too, and stays elsewhere.
fn detaching_reaches_one_space_only() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        let (here, elsewhere) = (program().new_space()?, program().new_space()?);
        let (at, word) = (spot(level), word_at(spot(level))?);
        for space in [&here, &elsewhere] {
            space.attach(at, &shared.subtree, Rights::READ_WRITE)?;
            space.enter(|| word.set(3))?;
        }
        here.detach(at)?;
        ensure_eq!((level, reach_page(&here, at)?), (level, Rights::empty()));
        refused(here.read(word.address(), &mut [0]), Error::BadAddress)?;
        refused(here.detach(at), Error::NotMapped)?;
        ensure_eq!((level, elsewhere.enter(|| word.get())?), (level, 3));
        ensure_eq!((level, shared.subtree.info()?.sharers), (level, 1));
    }
    Ok(())
}

/// A subtree to which no capability is left goes with its last detachment, and its account is credited.
fn detaching_the_last_place_of_a_forgotten_subtree_takes_it_along() -> Verdict {
    for level in LEVELS {
        let account = program().account().split(1 << 20)?;
        let (space, Shared { subtree, segment }) =
            (Space::new(program().account())?, Shared::charged_to(&account, level, Rights::READ)?);
        space.attach(spot(level), &subtree, Rights::READ)?;
        space.attach(spot(level) + level.size_bytes(), &subtree, Rights::READ)?;
        drop(subtree);
        space.detach(spot(level))?;
        ensure!(account.info()?.used_bytes > PAGE, "it went with the first of two places");
        space.detach(spot(level) + level.size_bytes())?;
        ensure_eq!((level, account.info()?.used_bytes, segment.info()?.mappings), (level, 0, 0));
    }
    Ok(())
}

/// Spaces that go one after another leave the rest with what they share, and the subtree with one place less each.
fn a_space_that_goes_leaves_the_other_sharers() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        let mut spaces = Vec::new();
        for _ in 0..6 {
            let space = program().new_space()?;
            space.attach(spot(level), &shared.subtree, Rights::READ_WRITE)?;
            spaces.push(space);
        }
        let word = word_at(spot(level))?;
        while let Some(space) = spaces.pop() {
            space.enter(|| word.set(word.get() + 1))?;
            drop(space);
            ensure_eq!((level, shared.subtree.info()?.sharers), (level, spaces.len() as u64));
            for rest in &spaces {
                ensure_eq!((level, rest.enter(|| word.get())?), (level, 6 - spaces.len() as u64));
            }
        }
    }
    Ok(())
}

/// Where a subtree was, another one of any level, a mapping and the same one again find a place as if nothing had been.
fn a_place_that_was_left_takes_whatever_comes() -> Verdict {
    let (space, at) = (program().new_space()?, 72 * SLOT);
    let memory = Segment::new(program().account(), PAGE)?;
    memory.write(0, &99_u64.to_le_bytes())?;
    let subtrees = [Shared::new(Level::Top, Rights::READ)?, Shared::new(Level::OneGib, Rights::READ)?];
    let small = Shared::new(Level::TwoMib, Rights::READ)?;
    let word = word_at(at)?;
    for round in 0..9 {
        let shared = [&subtrees[0], &subtrees[1], &small][round % 3];
        shared.set(round as u64)?;
        space.attach(at, &shared.subtree, Rights::READ)?;
        ensure_eq!(space.enter(|| word.get())?, round as u64);
        space.detach(at)?;
        space.map(word.address(), &memory, 0..PAGE, Rights::READ)?;
        ensure_eq!(space.enter(|| word.get())?, 99);
        space.unmap(word.address()..word.address() + PAGE)?;
        ensure_eq!((round, reach_page(&space, at)?), (round, Rights::empty()));
    }
    ensure_eq!(space.info()?.table_bytes, PAGE);
    Ok(())
}

/// A thread reads and writes a subtree's memory in its space long after every capability to both was given up.
fn a_thread_s_memory_outlives_its_capabilities() -> Verdict {
    for level in LEVELS {
        let Shared { subtree, segment } = Shared::new(level, Rights::READ_WRITE)?;
        let (space, word) = (program().new_space()?, word_at(spot(level))?);
        space.attach(spot(level), &subtree, Rights::READ_WRITE)?;
        drop((subtree, segment));
        let own = space.derive(Rights::SWITCH, 0)?;
        let thread = thread::spawn(move || {
            own.enter(|| {
                for turn in 0..20 {
                    word.set(turn);
                    thread::yield_now();
                }
                word.get()
            })
        })?;
        drop(space);
        ensure_eq!((level, thread.join()?), (level, Ok(19)));
    }
    Ok(())
}

/// A subtree that is in every slot of several spaces and in other subtrees goes with them, and nothing of it remains.
fn a_subtree_with_very_many_places_goes_as_a_whole() -> Verdict {
    leaves_nothing(2, |_| {
        let Shared { subtree, segment } = Shared::new(Level::TwoMib, Rights::READ)?;
        let mut spaces: Vec<Cap<Space>> = Vec::new();
        for _ in 0..3 {
            let (space, outer) = (Space::new(program().account())?, Subtree::new(program().account())?);
            for place in 1..60 {
                space.attach(place * SLOT, &subtree, Rights::READ)?;
                outer.attach(place << 30, &subtree, Rights::READ)?;
            }
            space.attach(100 * SLOT, &outer, Rights::READ)?;
            spaces.push(space);
        }
        ensure_eq!(subtree.info()?.sharers, 3 * 2 * 59);
        drop(subtree);
        ensure_eq!(segment.info()?.mappings, 1);
        drop(spaces);
        ensure_eq!(segment.info()?.mappings, 0);
        Ok(())
    })
}

//! What can be done with a space and its clone afterwards is what can be done with any two: core windows, public subtrees, attaching.
//! boot: options="machine=control"

#![no_std]
#![no_main]

extern crate alloc;

use conformance::cloned::{account, available, clone_of, get, set, space_with_pages, word};
use conformance::{
    Claim, Published, Shared, Verdict, claim, ends_in_fault, ensure, ensure_eq, leaves_nothing, reach, reach_page,
    refused, run_on, the_kernel_passes_its_own_checks, word_at,
};
use libvas::{Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, TOP_SLOT_BYTES as SLOT, View};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_clone_has_no_core_windows),
        claim!(core_windows_come_and_go_in_both),
        claim!(core_windows_stay_while_pages_are_copied),
        claim!(both_show_what_is_made_public),
        claim!(what_is_public_is_in_a_clone_from_the_start),
        claim!(nothing_is_mapped_in_a_clone_where_something_is_public),
        claim!(one_subtree_is_attached_to_both),
        claim!(each_has_a_clone_of_its_own_of_what_is_attached),
        claim!(a_view_of_a_clone_follows_what_is_attached_to_it),
        claim!(what_a_clone_is_done_afterwards_leaves_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("clones_after", CLAIMS, 1)
}

/// A slot for core windows, and one for what is public.
const WINDOW: u64 = 60 * SLOT;
const PUBLIC: u64 = 100 * SLOT;

const NOTHING: Rights = Rights::empty();

/// What is in a space's window on the CPU that the claims run on, if it has one there.
fn in_window(space: &Cap<Space>) -> Option<u64> {
    let mut bytes = [0; 8];
    space.read(WINDOW + Shared::OFFSET, &mut bytes).ok().map(|()| u64::from_le_bytes(bytes))
}

fn a_clone_has_no_core_windows() -> Verdict {
    let (space, address) = space_with_pages(2)?;
    let shared = Shared::new(Level::Top, Rights::READ_WRITE)?;
    space.attach_core(WINDOW, &shared.subtree, Rights::READ_WRITE, 0)?;
    let clone = clone_of(&space)?;
    let (of_source, of_clone) = (space.info()?, clone.info()?);
    ensure_eq!((of_source.core_windows, of_clone.core_windows), (1, 0));
    ensure_eq!(of_clone.attachments + 1, of_source.attachments);
    shared.set(3)?;
    ensure_eq!((in_window(&space), in_window(&clone)), (Some(3), None));
    set(&space, word_at(WINDOW)?, 4)?;
    ensure_eq!(shared.get()?, 4);
    set(&clone, word(address, 0)?, 1)?;
    set(&space, word(address, 0)?, 2)?;
    ensure_eq!((get(&clone, word(address, 0)?)?, get(&space, word(address, 0)?)?), (1, 2));
    // In the clone the slot is free, but not for what is in the window already.
    refused(clone.attach(WINDOW, &shared.subtree, Rights::READ), Error::BadState)?;
    clone.map(WINDOW + PAGE, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
    ensure_eq!((reach(&clone, WINDOW + PAGE)?, shared.subtree.info()?.sharers), (Rights::READ_WRITE, 1));
    Ok(())
}

fn core_windows_come_and_go_in_both() -> Verdict {
    let (space, address) = space_with_pages(2)?;
    let clone = clone_of(&space)?;
    let both = [Shared::new(Level::Top, Rights::READ)?, Shared::new(Level::Top, Rights::READ)?];
    for (shared, (value, space)) in both.iter().zip([(1, &space), (2, &clone)]) {
        shared.set(value)?;
        space.attach_core(WINDOW, &shared.subtree, Rights::READ, 0)?;
        refused(space.attach_core(address / SLOT * SLOT, &shared.subtree, Rights::READ, 0), Error::BadState)?;
    }
    let place = word_at(WINDOW)?;
    ensure_eq!((get(&space, place)?, get(&clone, place)?), (1, 2));
    set(&clone, word(address, 1)?, 7)?;
    clone.detach_core(WINDOW, 0)?;
    ensure_eq!((in_window(&clone), get(&space, place)?), (None, 1));
    clone.attach_core(WINDOW, &both[1].subtree, Rights::READ, 0)?;
    both[1].subtree.withdraw()?;
    ensure_eq!((in_window(&clone), get(&clone, word(address, 1)?)?), (None, 7));
    Ok(())
}

/// Each CPU has a root of its own then, and what is put into one of them is put into all.
fn core_windows_stay_while_pages_are_copied() -> Verdict {
    let (space, address) = space_with_pages(64)?;
    let shared = Shared::new(Level::Top, Rights::READ_WRITE)?;
    space.attach_core(WINDOW, &shared.subtree, Rights::READ_WRITE, 0)?;
    let view = View::new(account(), &space, Rights::READ)?;
    for turn in 0..3 {
        let clone = clone_of(&space)?;
        for page in [turn, 40 + turn] {
            set(&space, word(address, page)?, 1 + turn)?;
            set(&space, word_at(WINDOW)?, page)?;
            ensure_eq!((shared.get()?, get(&clone, word(address, page)?)?), (page, 0));
            ensure_eq!(view.enter(|| word(address, page).map(|place| place.get()))??, 1 + turn);
        }
        ensure_eq!(in_window(&clone), None);
    }
    Ok(())
}

fn both_show_what_is_made_public() -> Verdict {
    let (space, address) = space_with_pages(2)?;
    let clone = clone_of(&space)?;
    set(&clone, word(address, 0)?, 1)?;
    let published = Published::new(PUBLIC, Rights::READ, Rights::READ)?;
    published.shared.set(71)?;
    let place = word_at(PUBLIC)?;
    ensure_eq!((get(&space, place)?, get(&clone, place)?), (71, 71));
    ensure!(ends_in_fault(&clone, move || place.set(0))?, "what is public could be written");
    published.shared.subtree.withdraw()?;
    ensure_eq!((reach_page(&space, PUBLIC)?, reach_page(&clone, PUBLIC)?), (NOTHING, NOTHING));
    ensure_eq!((get(&space, word(address, 0)?)?, get(&clone, word(address, 0)?)?), (0, 1));
    Ok(())
}

fn what_is_public_is_in_a_clone_from_the_start() -> Verdict {
    let published = Published::new(PUBLIC, Rights::READ, Rights::READ)?;
    published.shared.set(72)?;
    let (space, address) = space_with_pages(2)?;
    let clone = clone_of(&space)?;
    let again = clone_of(&clone)?;
    set(&again, word(address, 1)?, 5)?;
    ensure_eq!((get(&clone, word_at(PUBLIC)?)?, get(&again, word_at(PUBLIC)?)?), (72, 72));
    published.shared.subtree.withdraw()?;
    ensure_eq!((reach_page(&clone, PUBLIC)?, reach_page(&again, PUBLIC)?), (NOTHING, NOTHING));
    // The slot is free again, in each by itself.
    clone.attach(PUBLIC, &Shared::new(Level::Top, Rights::READ)?.subtree, Rights::READ)?;
    ensure_eq!((reach_page(&clone, PUBLIC)?.is_empty(), reach_page(&again, PUBLIC)?), (false, NOTHING));
    Ok(())
}

fn nothing_is_mapped_in_a_clone_where_something_is_public() -> Verdict {
    let (space, _) = space_with_pages(1)?;
    let clone = clone_of(&space)?;
    let _published = Published::new(PUBLIC, Rights::READ, Rights::READ)?;
    let (segment, shared) = (Segment::new(account(), PAGE)?, Shared::new(Level::Top, Rights::READ)?);
    refused(clone.map(PUBLIC + PAGE, &segment, 0..PAGE, Rights::READ), Error::Overlap)?;
    refused(clone.attach(PUBLIC, &shared.subtree, Rights::READ), Error::Overlap)?;
    refused(clone.attach_core(PUBLIC, &shared.subtree, Rights::READ, 0), Error::Overlap)
}

fn one_subtree_is_attached_to_both() -> Verdict {
    let (space, _) = space_with_pages(1)?;
    let clone = clone_of(&space)?;
    for (level, at) in [(Level::Top, 70 * SLOT), (Level::OneGib, 71 * SLOT), (Level::TwoMib, 72 * SLOT)] {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        space.attach(at, &shared.subtree, Rights::READ_WRITE)?;
        clone.attach(at, &shared.subtree, Rights::READ)?;
        set(&space, word_at(at)?, 9)?;
        ensure_eq!((get(&clone, word_at(at)?)?, reach_page(&clone, at)?), (9, Rights::READ));
        space.detach(at)?;
        ensure_eq!((reach_page(&space, at)?, get(&clone, word_at(at)?)?), (NOTHING, 9));
        shared.subtree.withdraw()?;
        ensure_eq!(reach_page(&clone, at)?, NOTHING);
    }
    Ok(())
}

fn each_has_a_clone_of_its_own_of_what_is_attached() -> Verdict {
    let (space, address) = space_with_pages(1)?;
    let shared = Shared::new(Level::Top, Rights::READ_WRITE)?;
    let (at, place) = (70 * SLOT, word_at(70 * SLOT)?);
    space.attach(at, &shared.subtree, Rights::READ_WRITE)?;
    set(&space, place, 1)?;
    let clone = clone_of(&space)?;
    let own = clone.attach_clone(at, account(), &shared.subtree, Rights::READ_WRITE)?;
    set(&clone, place, 2)?;
    ensure_eq!((get(&space, place)?, get(&clone, place)?), (1, 2));
    // And so once more, of what was cloned.
    let again = clone_of(&clone)?;
    let _others = again.attach_clone(at, account(), &own, Rights::READ_WRITE)?;
    set(&again, place, 3)?;
    set(&again, word(address, 0)?, 4)?;
    ensure_eq!([get(&space, place)?, get(&clone, place)?, get(&again, place)?], [1, 2, 3]);
    Ok(())
}

fn a_view_of_a_clone_follows_what_is_attached_to_it() -> Verdict {
    let (space, address) = space_with_pages(1)?;
    let clone = clone_of(&space)?;
    let (view, shared) = (View::new(account(), &clone, Rights::READ)?, Shared::new(Level::Top, Rights::READ_WRITE)?);
    let at = 70 * SLOT;
    clone.attach(at, &shared.subtree, Rights::READ_WRITE)?;
    ensure_eq!((reach_page(&view, at)?, reach_page(&space, at)?), (Rights::READ, NOTHING));
    let again = clone_of(&clone)?;
    set(&clone, word(address, 0)?, 5)?;
    ensure_eq!(view.enter(|| word(address, 0).map(|place| place.get()))??, 5);
    ensure_eq!((reach_page(&again, at)?, get(&again, word(address, 0)?)?), (Rights::READ_WRITE, 0));
    clone.detach(at)?;
    ensure_eq!((reach_page(&view, at)?, reach_page(&again, at)?), (NOTHING, Rights::READ_WRITE));
    Ok(())
}

fn what_a_clone_is_done_afterwards_leaves_nothing() -> Verdict {
    let left = available()?;
    leaves_nothing(4, |turn| {
        let (space, address) = space_with_pages(4)?;
        let shared = Shared::new(Level::Top, Rights::READ_WRITE)?;
        space.attach_core(WINDOW, &shared.subtree, Rights::READ_WRITE, 0)?;
        let clone = clone_of(&space)?;
        let other = Shared::new(Level::Top, Rights::READ)?;
        clone.attach_core(WINDOW, &other.subtree, Rights::READ, 0)?;
        let view = View::new(account(), &clone, Rights::READ_WRITE)?;
        view.enter(|| Place::<u64>::new(address).map(|place| place.set(turn)))??;
        let again = clone_of(&clone)?;
        drop(if turn % 2 == 0 { clone } else { space });
        set(&again, word(address, 1)?, turn)
    })?;
    ensure_eq!(available()?, left);
    Ok(())
}

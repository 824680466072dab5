//! Revocation: what was lent through a capability is taken back, and nothing else. Threads are in `revoke_threads`,
//! badges and lists in `lent`.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Failure, Fixture, LEVELS, Shared, Verdict, attempt, claim, ensure, ensure_eq, fresh_address, leaves_nothing,
    reach, reach_page, refused, run, spot, the_kernel_passes_its_own_checks, word_at,
};
use libvas::{
    Cap, CapTable, Error, Handle, Level, Object, ObjectKind, PAGE_BYTES as PAGE, Place, Rights, Segment, Space,
    Subtree, View, program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(all_that_was_derived_goes_in_all_tables),
        claim!(capabilities_of_every_kind_are_revoked),
        claim!(ten_thousand_capabilities_go_wide_and_deep),
        claim!(the_capability_itself_and_its_own_uses_stay),
        claim!(what_stands_beside_or_above_stays),
        claim!(where_nothing_was_lent_nothing_happens),
        claim!(mappings_go_whole_split_and_protected),
        claim!(large_pages_go_and_long_mappings),
        claim!(mappings_in_a_subtree_go_from_every_space),
        claim!(attachments_go_at_every_level),
        claim!(attachments_within_subtrees_go),
        claim!(core_windows_go),
        claim!(views_and_views_of_views_go),
        claim!(views_by_the_capability_itself_stay),
        claim!(what_was_done_to_a_space_stays),
        claim!(deleting_takes_nothing_back_and_revoking_above_finds_it),
        claim!(revoked_memory_can_be_given_to_somebody_else),
        claim!(no_right_is_needed_to_take_back),
        claim!(bad_handles_are_refused_and_nothing_changes),
        claim!(a_revoked_handle_never_means_anything_again),
        claim!(lending_and_taking_back_leaves_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("revoke", CLAIMS)
}

fn memory(pages: u64) -> Result<Cap<Segment>, Error> {
    Segment::new(program().account(), pages * PAGE)
}

/// How many capabilities were derived from one and exist still, and how many references its object has.
fn kin<T: Object>(cap: &Cap<T>) -> Result<(u64, u64), Error> {
    cap.capability_info().map(|info| (info.children, info.references))
}

/// Fails if something can be read there from outside.
#[track_caller]
fn is_empty_at(space: &Cap<Space>, address: u64) -> Verdict {
    refused(space.read(address, &mut [0]), Error::BadAddress)
}

/// Children, grandchildren and copies in other tables are gone, and their slots are free again.
fn all_that_was_derived_goes_in_all_tables() -> Verdict {
    let (segment, table) = (memory(1)?, CapTable::new(program().account(), 2)?);
    let child = segment.derive(Rights::READ_WRITE | Rights::GRANT, 1)?;
    let grandchild = child.derive(Rights::READ | Rights::GRANT, 2)?;
    child.copy_into(&table, Rights::READ, 3)?;
    grandchild.copy_into(&table, Rights::READ, 4)?;
    refused(segment.copy_into(&table, Rights::READ, 5), Error::TableFull)?;
    ensure_eq!(kin(&segment)?, (1, 5));
    segment.revoke()?;
    refused(child.capability_info(), Error::BadHandle)?;
    refused(grandchild.capability_info(), Error::BadHandle)?;
    refused(child.delete(), Error::BadHandle)?;
    ensure_eq!(kin(&segment)?, (0, 1));
    segment.copy_into(&table, Rights::READ, 5)?;
    segment.copy_into(&table, Rights::READ, 6)?;
    Ok(())
}

/// Capabilities to objects of every kind are taken back, and the one that they were derived from can still be used.
fn capabilities_of_every_kind_are_revoked() -> Verdict {
    let fixture = Fixture::new()?;
    for kind in ObjectKind::ALL {
        let handle = fixture.handle(kind).bits();
        let derive = || attempt(number::capability_derive, [handle, 0, 9, 0, 0, 0]);
        let child = derive()?;
        attempt(number::capability_revoke, [handle, 0, 0, 0, 0, 0])?;
        ensure!(
            attempt(number::capability_delete, [child, 0, 0, 0, 0, 0]) == Err(Error::BadHandle),
            "a capability to a {kind:?} was not revoked"
        );
        attempt(number::capability_delete, [derive()?, 0, 0, 0, 0, 0])?;
    }
    Ok(())
}

/// As many children as fit, and as long a row of descendants, are gone when one call returns.
fn ten_thousand_capabilities_go_wide_and_deep() -> Verdict {
    const COUNT: u64 = 10_000;
    let (segment, table) = (memory(1)?, CapTable::new(program().account(), COUNT)?);
    for _ in 0..COUNT {
        segment.copy_into(&table, Rights::READ, 0)?;
    }
    ensure_eq!(kin(&segment)?, (COUNT, COUNT + 1));
    segment.revoke()?;
    ensure_eq!(kin(&segment)?, (0, 1));
    let (mut last, mut row) = (segment.derive(Rights::READ, 0)?, Vec::new());
    for _ in 0..1000 {
        let next = last.derive(Rights::READ, 0)?;
        row.push(core::mem::replace(&mut last, next).into_handle());
    }
    segment.revoke()?;
    ensure_eq!(kin(&segment)?, (0, 1));
    for handle in row {
        refused(Cap::<Segment>::from_handle(handle).delete(), Error::BadHandle)?;
    }
    refused(last.delete(), Error::BadHandle)
}

/// Whoever revokes keeps the capability, and what was mapped, attached and seen through it.
fn the_capability_itself_and_its_own_uses_stay() -> Verdict {
    let (space, segment, at) = (program().new_space()?, memory(2)?, fresh_address());
    let shared = Shared::new(Level::Top, Rights::READ)?;
    let (lent, lent_subtree) = (segment.derive(Rights::READ_WRITE, 1)?, shared.subtree.derive(Rights::READ, 1)?);
    space.map(at, &segment, 0..PAGE, Rights::READ_WRITE)?;
    space.map(at + PAGE, &lent, PAGE..2 * PAGE, Rights::READ_WRITE)?;
    space.attach(spot(Level::Top), &shared.subtree, Rights::READ)?;
    space.attach(spot(Level::Top) + Level::Top.size_bytes() * 9, &lent_subtree, Rights::READ)?;
    segment.revoke()?;
    shared.subtree.revoke()?;
    ensure_eq!(segment.info()?.mappings, 1);
    ensure_eq!(shared.subtree.info()?.sharers, 1);
    space.write(at, &[1])?;
    ensure_eq!(reach_page(&space, spot(Level::Top))?, Rights::READ);
    is_empty_at(&space, at + PAGE)?;
    is_empty_at(&space, spot(Level::Top) + Level::Top.size_bytes() * 9 + Shared::OFFSET)
}

/// Revoking a capability that was itself derived leaves its siblings and its parent alone, and what they did.
fn what_stands_beside_or_above_stays() -> Verdict {
    let (space, segment, at) = (program().new_space()?, memory(1)?, fresh_address());
    let (one, other) = (segment.derive(Rights::READ, 1)?, segment.derive(Rights::READ, 2)?);
    let (of_one, of_other) = (one.derive(Rights::READ, 3)?, other.derive(Rights::READ, 4)?);
    for (page, cap) in (0..).zip([&segment, &one, &other, &of_one, &of_other]) {
        space.map(at + page * PAGE, cap, 0..PAGE, Rights::READ)?;
    }
    one.revoke()?;
    let is_there = |page: u64| space.read(at + page * PAGE, &mut [0]).is_ok();
    ensure_eq!([0, 1, 2, 3, 4].map(is_there), [true, true, true, false, true]);
    refused(of_one.delete(), Error::BadHandle)?;
    ensure_eq!(kin(&segment)?.0, 2);
    of_other.delete()?;
    other.delete()?;
    one.delete()?;
    Ok(())
}

/// A capability that nothing was derived from can be revoked, and again, and is as before.
fn where_nothing_was_lent_nothing_happens() -> Verdict {
    let (space, segment, at) = (program().new_space()?, memory(1)?, fresh_address());
    space.map(at, &segment, 0..PAGE, Rights::READ)?;
    let before = (segment.capability_info()?, segment.info()?, space.info()?);
    for _ in 0..3 {
        segment.revoke()?;
        segment.revoke_badge(0)?;
        space.revoke()?;
    }
    ensure_eq!((segment.capability_info()?, segment.info()?, space.info()?), before);
    Ok(())
}

/// A mapping of which pages were unmapped and others protected is gone with all its parts, and the place is free.
fn mappings_go_whole_split_and_protected() -> Verdict {
    const PAGES: u64 = 9;
    let (space, segment, at) = (program().new_space()?, memory(PAGES)?, fresh_address());
    let lent = segment.derive(Rights::READ_WRITE, 1)?;
    space.map(at, &lent, 0..PAGES * PAGE, Rights::READ_WRITE)?;
    space.unmap(at + 3 * PAGE..at + 4 * PAGE)?;
    space.protect(at + 5 * PAGE..at + 6 * PAGE, Rights::READ)?;
    space.protect(at + 7 * PAGE..at + 9 * PAGE, Rights::READ)?;
    ensure!(segment.info()?.mappings > 3, "the mapping has no parts");
    ensure_eq!(reach(&space, at + 8 * PAGE)?, Rights::READ);
    segment.revoke()?;
    ensure_eq!((segment.info()?.mappings, space.info()?.mappings), (0, 0));
    (0..PAGES).try_for_each(|page| is_empty_at(&space, at + page * PAGE))?;
    ensure_eq!(reach(&space, at + 8 * PAGE)?, Rights::empty());
    refused(space.unmap(at..at + PAGE), Error::NotMapped)?;
    space.map(at, &segment, 0..PAGES * PAGE, Rights::READ_WRITE)?;
    Ok(())
}

/// Large pages, one of them split, and a mapping that takes many steps, are gone.
fn large_pages_go_and_long_mappings() -> Verdict {
    const HUGE: u64 = 2 << 20;
    const LONG: u64 = 20_000 * PAGE;
    let (space, at, long_at) = (program().new_space()?, fresh_address(), fresh_address());
    let (segment, long) = (memory(2 * HUGE / PAGE)?, Segment::new_lazy(program().account(), LONG)?);
    let (lent, lent_long) = (segment.derive(Rights::READ_WRITE, 1)?, long.derive(Rights::READ_WRITE, 1)?);
    space.map(at, &lent, 0..2 * HUGE, Rights::READ_WRITE)?;
    space.unmap(at + HUGE + PAGE..at + HUGE + 2 * PAGE)?;
    space.map(long_at, &lent_long, 0..LONG, Rights::READ_WRITE)?;
    for address in [at, at + HUGE, long_at, long_at + LONG - PAGE] {
        space.write(address, &[1])?;
    }
    segment.revoke()?;
    long.revoke()?;
    for address in [at, at + HUGE, at + 2 * HUGE - PAGE, long_at, long_at + LONG / 2, long_at + LONG - PAGE] {
        is_empty_at(&space, address)?;
    }
    ensure_eq!((space.info()?.mappings, space.info()?.mapped_bytes), (0, 0));
    ensure_eq!(long.info()?.populated_bytes, 2 * PAGE);
    Ok(())
}

/// What a borrower mapped in a subtree is gone from every space that shows it, at every level; the subtree stays there.
fn mappings_in_a_subtree_go_from_every_space() -> Verdict {
    for level in LEVELS {
        let (shared, segment) = (Shared::new(level, Rights::READ)?, memory(1)?);
        let spaces = [program().new_space()?, program().new_space()?];
        let lent = segment.derive(Rights::READ_WRITE, 1)?;
        shared.subtree.map(8 * PAGE, &lent, 0..PAGE, Rights::READ)?;
        spaces.iter().try_for_each(|space| space.attach(spot(level), &shared.subtree, Rights::READ))?;
        for space in &spaces {
            ensure_eq!((level, reach(space, spot(level) + 8 * PAGE)?), (level, Rights::READ));
        }
        segment.revoke()?;
        for space in &spaces {
            ensure_eq!((level, reach(space, spot(level) + 8 * PAGE)?), (level, Rights::empty()));
            ensure_eq!((level, reach_page(space, spot(level))?), (level, Rights::READ));
        }
    }
    Ok(())
}

/// Subtrees of every level, and windows, are detached that were attached by what is revoked, also where a view shows them;
/// nobody shares them then, and the place is free.
fn attachments_go_at_every_level() -> Verdict {
    for (level, is_window) in LEVELS.map(|level| (level, false)).into_iter().chain([(Level::Top, true)]) {
        let (space, shared) = (program().new_space()?, Shared::new(level, Rights::READ_WRITE)?);
        let (lent, view) =
            (shared.subtree.derive(Rights::READ_WRITE, 1)?, View::new(program().account(), &space, Rights::READ)?);
        let what = (level, is_window);
        match is_window {
            false => space.attach(spot(level), &lent, Rights::READ_WRITE)?,
            true => space.attach_window(spot(level), &lent, Rights::READ_WRITE)?,
        }
        ensure_eq!((what, reach_page(&space, spot(level))?), (what, Rights::READ_WRITE));
        ensure!(reach_page(&view, spot(level))?.contains(Rights::READ), "the view lacks {what:?}");
        shared.subtree.revoke()?;
        ensure_eq!((what, reach_page(&space, spot(level))?), (what, Rights::empty()));
        ensure_eq!((what, reach_page(&view, spot(level))?), (what, Rights::empty()));
        ensure_eq!((what, shared.subtree.info()?.sharers), (what, 0));
        space.attach(spot(level), &shared.subtree, Rights::READ)?;
    }
    Ok(())
}

/// A subtree that was attached within another one is gone from the spaces that show that; and one in which it lies is
/// detached with it.
fn attachments_within_subtrees_go() -> Verdict {
    const WITHIN: u64 = 7 << 30;
    let (inner, outer) = (Shared::new(Level::OneGib, Rights::READ)?, Subtree::new(program().account())?);
    let spaces = [program().new_space()?, program().new_space()?];
    let (lent_inner, lent_outer) = (inner.subtree.derive(Rights::READ, 1)?, outer.derive(Rights::READ, 2)?);
    outer.attach(WITHIN, &lent_inner, Rights::READ)?;
    spaces.iter().try_for_each(|space| space.attach(spot(Level::Top), &lent_outer, Rights::READ))?;
    let reached = || spaces.each_ref().map(|space| reach_page(space, spot(Level::Top) + WITHIN).ok());
    ensure_eq!(reached(), [Some(Rights::READ); 2]);
    inner.subtree.revoke()?;
    ensure_eq!(reached(), [Some(Rights::empty()); 2]);
    ensure_eq!((inner.subtree.info()?.sharers, outer.info()?.sharers), (0, 2));
    outer.attach(WITHIN, &inner.subtree, Rights::READ)?;
    ensure_eq!(reached(), [Some(Rights::READ); 2]);
    outer.revoke()?;
    ensure_eq!(reached(), [Some(Rights::empty()); 2]);
    ensure_eq!((inner.subtree.info()?.sharers, outer.info()?.sharers), (1, 0));
    Ok(())
}

/// A core window that was made by what is revoked is gone.
fn core_windows_go() -> Verdict {
    let (space, shared) = (program().new_space()?, Shared::new(Level::Top, Rights::READ)?);
    let lent = shared.subtree.derive(Rights::READ, 1)?;
    program().thread().set_affinity(1)?;
    space.attach_core(spot(Level::Top), &lent, Rights::READ, 0)?;
    ensure_eq!(space.info()?.core_windows, 1);
    shared.subtree.revoke()?;
    ensure_eq!((space.info()?.core_windows, shared.subtree.info()?.sharers), (0, 0));
    space.attach_core(spot(Level::Top), &shared.subtree, Rights::READ, 0)?;
    Ok(())
}

/// Views that were made by what is revoked die, with the views of these, whoever holds them in whatever table.
fn views_and_views_of_views_go() -> Verdict {
    let (space, table, account) = (program().new_space()?, CapTable::new(program().account(), 1)?, program().account());
    let lent = space.derive(Rights::all() - Rights::MAP, 1)?;
    let view = View::new(account, &lent, Rights::READ_WRITE)?;
    let narrowed = view.narrowed(account, Rights::READ)?;
    let derived = narrowed.derive(Rights::all() - Rights::MAP, 2)?;
    let third = derived.narrowed(account, Rights::READ)?;
    third.copy_into(&table, Rights::SWITCH, 3)?;
    ensure_eq!((space.info()?.views, view.enter(|| 5)?), (3, 5));
    let spaces = program().machine().ok_or(Error::MissingRight)?.info()?.spaces;
    space.revoke()?;
    for view in [view, narrowed, derived, third] {
        refused(view.enter(|| 5), Error::BadHandle)?;
    }
    ensure_eq!(space.info()?.views, 0);
    ensure_eq!(program().machine().ok_or(Error::MissingRight)?.info()?.spaces, spaces - 3);
    space.copy_into(&table, Rights::SWITCH, 4)?;
    Ok(())
}

/// Views that the lender made itself can still be entered; what was derived from their own capabilities is the view's
/// holder's to take back.
fn views_by_the_capability_itself_stay() -> Verdict {
    let (space, account) = (program().new_space()?, program().account());
    let view = View::new(account, &space, Rights::READ_WRITE)?;
    let (derived, narrowed) = (view.derive(Rights::all() - Rights::MAP, 1)?, view.narrowed(account, Rights::READ)?);
    let of_derived = derived.narrowed(account, Rights::READ)?;
    space.revoke()?;
    ensure_eq!([view.enter(|| 1)?, derived.enter(|| 2)?, narrowed.enter(|| 3)?, of_derived.enter(|| 4)?], [1, 2, 3, 4]);
    view.revoke()?;
    refused(derived.enter(|| ()), Error::BadHandle)?;
    refused(of_derived.enter(|| ()), Error::BadHandle)?;
    ensure_eq!((view.enter(|| 1)?, narrowed.enter(|| 3)?, space.info()?.views), (1, 3, 2));
    Ok(())
}

/// What a borrower of a space mapped and attached there stays when the space is revoked: it is the owner's to undo.
fn what_was_done_to_a_space_stays() -> Verdict {
    let (space, segment, at) = (program().new_space()?, memory(1)?, fresh_address());
    let shared = Shared::new(Level::OneGib, Rights::READ)?;
    let lent = space.derive(Rights::MAP, 1)?;
    lent.map(at, &segment, 0..PAGE, Rights::READ)?;
    lent.attach(spot(Level::OneGib), &shared.subtree, Rights::READ)?;
    space.revoke()?;
    refused(lent.unmap(at..at + PAGE), Error::BadHandle)?;
    ensure_eq!((reach(&space, at)?, reach_page(&space, spot(Level::OneGib))?), (Rights::READ, Rights::READ));
    space.unmap(at..at + PAGE)?;
    space.detach(spot(Level::OneGib))?;
    Ok(())
}

/// When a borrower gives its capability up, what it mapped, attached and saw stays, at every generation; revoking what it
/// was derived from finds all of it.
fn deleting_takes_nothing_back_and_revoking_above_finds_it() -> Verdict {
    let (space, segment, shared) = (program().new_space()?, memory(1)?, Shared::new(Level::Top, Rights::READ)?);
    let (shown, at) = (program().new_space()?, fresh_address());
    let middle = (segment.derive(Rights::all(), 1)?, shared.subtree.derive(Rights::all(), 1)?);
    let middle_space = shown.derive(Rights::all(), 1)?;
    let lent = (middle.0.derive(Rights::READ, 2)?, middle.1.derive(Rights::READ, 2)?);
    let lent_space = middle_space.derive(Rights::SWITCH | Rights::INSPECT, 2)?;
    space.map(at, &lent.0, 0..PAGE, Rights::READ)?;
    space.attach(spot(Level::Top), &lent.1, Rights::READ)?;
    let view = View::new(program().account(), &lent_space, Rights::READ)?;
    let is_there = || -> Result<_, Failure> {
        Ok((reach(&space, at)?, reach_page(&space, spot(Level::Top))?, view.enter(|| ()).is_ok()))
    };
    drop((lent, lent_space));
    ensure_eq!(is_there()?, (Rights::READ, Rights::READ, true));
    drop((middle, middle_space));
    ensure_eq!(is_there()?, (Rights::READ, Rights::READ, true));
    ensure_eq!((kin(&segment)?.0, kin(&shared.subtree)?.0, kin(&shown)?.0), (0, 0, 0));
    segment.revoke()?;
    shared.subtree.revoke()?;
    shown.revoke()?;
    ensure_eq!(is_there()?, (Rights::empty(), Rights::empty(), false));
    Ok(())
}

/// When revoking has returned, giving up the memory gives its account everything back; it can be had again at once, and
/// holds zeros, and where it was lent before there is nothing of it.
fn revoked_memory_can_be_given_to_somebody_else() -> Verdict {
    const PAGES: u64 = 16;
    let (payer, space, at) = (program().account().split(20 * PAGE)?, program().new_space()?, fresh_address());
    let (other, place) = (program().new_space()?, Place::<u64>::new(at)?);
    let whole = payer.info()?;
    for round in 0..20 {
        let segment = Segment::new(&payer, PAGES * PAGE)?;
        segment.write(0, &[0xa5; 64])?;
        let lent = segment.derive(Rights::READ_WRITE, round)?;
        space.map(at, &lent, 0..PAGES * PAGE, Rights::READ_WRITE)?;
        space.enter(|| place.set(0x5ec2e7))?;
        refused(Segment::new(&payer, PAGES * PAGE).map(drop), Error::AccountExhausted)?;
        segment.revoke()?;
        drop(segment);
        ensure_eq!(payer.info()?, whole);
        let next = Segment::new(&payer, PAGES * PAGE)?;
        other.map(at, &next, 0..PAGES * PAGE, Rights::READ)?;
        ensure_eq!(other.enter(|| place.get())?, 0);
        is_empty_at(&space, at)?;
        other.unmap(at..at + PAGES * PAGE)?;
    }
    ensure_eq!(reach(&space, at)?, Rights::empty());
    Ok(())
}

/// A capability without any right takes back what was derived from it.
fn no_right_is_needed_to_take_back() -> Verdict {
    let segment = memory(1)?;
    let bare = segment.derive(Rights::empty(), 1)?;
    let below = bare.derive(Rights::empty(), 2)?;
    bare.revoke()?;
    refused(below.delete(), Error::BadHandle)?;
    let below = bare.derive(Rights::empty(), 3)?;
    bare.revoke_badge(3)?;
    refused(below.delete(), Error::BadHandle)?;
    bare.delete()?;
    Ok(())
}

/// Handles that name nothing take nothing back: null, invented, of another generation, given up.
fn bad_handles_are_refused_and_nothing_changes() -> Verdict {
    let (space, segment, at) = (program().new_space()?, memory(1)?, fresh_address());
    let lent = segment.derive(Rights::READ, 1)?;
    space.map(at, &lent, 0..PAGE, Rights::READ)?;
    let gone = segment.derive(Rights::READ, 1)?;
    let stale = gone.handle().bits();
    gone.delete()?;
    let handle = segment.handle().bits();
    let list = fresh_address();
    for bad in [Handle::NONE.bits(), stale, handle ^ (1 << 32), handle | 0xffff, u64::MAX, 1 << 63] {
        for call in [number::capability_revoke, number::capability_revoke_badge] {
            let result = attempt(call, [bad, 1, 0, 0, 0, 0]);
            ensure!(result == Err(Error::BadHandle), "call {call} on {bad:#x}: {result:?}");
        }
        refused(attempt(number::lent_list, [bad, list, 1, 0, 0, 0]), Error::BadHandle)?;
    }
    ensure_eq!((kin(&segment)?.0, segment.info()?.mappings, reach(&space, at)?), (1, 1, Rights::READ));
    Ok(())
}

/// When the slot of a revoked capability is taken again, the old handle is still refused.
fn a_revoked_handle_never_means_anything_again() -> Verdict {
    let segment = memory(1)?;
    let old = segment.derive(Rights::READ, 1)?;
    segment.revoke()?;
    let new = (0..100).map(|badge| segment.derive(Rights::READ, badge)).collect::<Result<Vec<_>, _>>()?;
    let slot = |cap: &Cap<Segment>| cap.handle().bits() as u32;
    ensure!(new.iter().any(|cap| slot(cap) == slot(&old)), "the slot is not used again");
    refused(old.capability_info(), Error::BadHandle)?;
    refused(old.revoke(), Error::BadHandle)?;
    ensure_eq!(kin(&segment)?.0, 100);
    Ok(())
}

/// Lending everything and taking it back, again and again, leaves memory, objects and accounts as they were.
fn lending_and_taking_back_leaves_nothing() -> Verdict {
    let (space, segment, shared) = (program().new_space()?, memory(4)?, Shared::new(Level::Top, Rights::READ)?);
    let at = fresh_address();
    leaves_nothing(50, |round| -> Result<(), Error> {
        let (lent, subtree) = (segment.derive(Rights::READ_WRITE, round)?, shared.subtree.derive(Rights::READ, round)?);
        let space_lent = space.derive(Rights::all(), round)?;
        space_lent.map(at, &lent, 0..4 * PAGE, Rights::READ_WRITE)?;
        space_lent.protect(at + PAGE..at + 2 * PAGE, Rights::READ)?;
        space_lent.attach(spot(Level::Top), &subtree, Rights::READ)?;
        let view = View::new(program().account(), &space_lent, Rights::READ)?;
        view.enter(|| word_at(spot(Level::Top)).map(Place::get))??;
        if round % 2 == 0 {
            segment.revoke()?;
            shared.subtree.revoke()?;
            space.revoke()
        } else {
            segment.revoke_badge(round)?;
            shared.subtree.revoke_badge(round)?;
            space.revoke_badge(round)
        }
    })
}

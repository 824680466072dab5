//! Seals: what is mapped and attached in a sealed subtree stays as it is, for good.

#![no_std]
#![no_main]

extern crate alloc;

use conformance::{
    Census, Claim, LEVELS, Shared, Snapshot, Verdict, claim, ensure_eq, leaves_nothing, reach_page, refused, run, spot,
    the_kernel_passes_its_own_checks, word_at,
};
use libvas::{
    Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(nothing_is_mapped_in_a_sealed_subtree_any_more),
        claim!(nothing_is_attached_in_a_sealed_subtree_any_more),
        claim!(the_seal_holds_for_every_capability),
        claim!(sealing_needs_control),
        claim!(sealing_twice_is_once),
        claim!(the_memory_of_a_sealed_subtree_can_be_written),
        claim!(pages_still_appear_when_they_are_touched),
        claim!(a_sealed_subtree_comes_and_goes_as_a_whole),
        claim!(a_seal_does_not_reach_into_inner_or_outer_subtrees),
        claim!(a_sealed_subtree_goes_with_all_that_is_in_it),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("subtree_seal", CLAIMS)
}

/// A sealed subtree of a level, with a page, and a space with the program that has it at its spot.
fn sealed(level: Level, rights: Rights) -> Result<(Shared, Cap<Space>), Error> {
    let (shared, space) = (Shared::new(level, rights)?, program().new_space()?);
    space.attach(spot(level), &shared.subtree, Rights::ACCESS)?;
    shared.subtree.seal()?;
    Ok((shared, space))
}

/// Mapping, unmapping and protecting, of what is there and of what is not, are refused, and nothing changes.
fn nothing_is_mapped_in_a_sealed_subtree_any_more() -> Verdict {
    for level in LEVELS {
        let (shared, space) = sealed(level, Rights::READ_WRITE)?;
        let (subtree, page, before) = (&shared.subtree, shared.range(), Snapshot::of_subtree(&shared.subtree)?);
        ensure_eq!(subtree.info()?.sealed, 1);
        refused(subtree.map(page.end, &shared.segment, 0..PAGE, Rights::READ), Error::Sealed)?;
        refused(subtree.unmap(page.clone()), Error::Sealed)?;
        for rights in [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE] {
            refused(subtree.protect(page.clone(), rights), Error::Sealed)?;
        }
        ensure_eq!((Snapshot::of_subtree(subtree)?, shared.segment.info()?.mappings), (before, 1));
        ensure_eq!((level, reach_page(&space, spot(level))?), (level, Rights::READ_WRITE));
    }
    Ok(())
}

/// Attaching in it and detaching from it are refused; what was attached before stays, with its bounds.
fn nothing_is_attached_in_a_sealed_subtree_any_more() -> Verdict {
    for (level, offset) in [(Level::Top, 1 << 30), (Level::OneGib, 0)] {
        let (outer, space) = (Subtree::with_level(program().account(), level)?, program().new_space()?);
        let (inner, other) = (Shared::new(Level::TwoMib, Rights::READ)?, Shared::new(Level::TwoMib, Rights::READ)?);
        outer.attach(offset, &inner.subtree, Rights::READ)?;
        space.attach(spot(level), &outer, Rights::ACCESS)?;
        outer.seal()?;
        let before = (Snapshot::of_subtree(&outer)?, Snapshot::of_subtree(&other.subtree)?);
        refused(outer.attach(offset + (2 << 20), &other.subtree, Rights::READ), Error::Sealed)?;
        refused(outer.detach(offset), Error::Sealed)?;
        ensure_eq!((Snapshot::of_subtree(&outer)?, Snapshot::of_subtree(&other.subtree)?), before);
        ensure_eq!((level, reach_page(&space, spot(level) + offset)?), (level, Rights::READ));
    }
    Ok(())
}

/// It makes no difference which capability is used, or whether it was there before the seal.
fn the_seal_holds_for_every_capability() -> Verdict {
    let shared = Shared::new(Level::OneGib, Rights::READ)?;
    let earlier = shared.subtree.derive(Rights::MAP, 0)?;
    shared.subtree.derive(Rights::CONTROL, 0)?.seal()?;
    let later = shared.subtree.derive(Rights::all(), 0)?;
    for capability in [&earlier, &later, &shared.subtree] {
        refused(capability.unmap(shared.range()), Error::Sealed)?;
        refused(capability.map(0, &shared.segment, 0..PAGE, Rights::READ), Error::Sealed)?;
    }
    Ok(())
}

/// Without `CONTROL` nobody seals; what is refused leaves the subtree open.
fn sealing_needs_control() -> Verdict {
    let shared = Shared::new(Level::Top, Rights::READ)?;
    refused(shared.subtree.derive(Rights::all() - Rights::CONTROL, 0)?.seal(), Error::MissingRight)?;
    ensure_eq!(shared.subtree.info()?.sealed, 0);
    shared.subtree.unmap(shared.range())?;
    shared.subtree.derive(Rights::CONTROL, 0)?.seal()?;
    ensure_eq!(shared.subtree.info()?.sealed, 1);
    Ok(())
}

/// Sealing what is sealed already is no error and changes nothing.
fn sealing_twice_is_once() -> Verdict {
    let (shared, _space) = sealed(Level::TwoMib, Rights::READ)?;
    let before = (Snapshot::of_subtree(&shared.subtree)?, Census::take()?);
    shared.subtree.seal()?;
    ensure_eq!((Snapshot::of_subtree(&shared.subtree)?, Census::take()?), before);
    Ok(())
}

/// Memory that was mapped writable stays so: in its space, from outside, and through the segment.
fn the_memory_of_a_sealed_subtree_can_be_written() -> Verdict {
    for level in LEVELS {
        let (shared, space) = sealed(level, Rights::READ_WRITE)?;
        let word = word_at(spot(level))?;
        space.enter(|| word.set(1))?;
        ensure_eq!((level, shared.get()?), (level, 1));
        space.write(word.address(), &2_u64.to_le_bytes())?;
        ensure_eq!((level, space.enter(|| word.get())?), (level, 2));
        shared.set(3)?;
        ensure_eq!((level, space.enter(|| word.get())?), (level, 3));
    }
    Ok(())
}

/// Pages that are made on first touch are made in a sealed subtree as well.
fn pages_still_appear_when_they_are_touched() -> Verdict {
    for level in LEVELS {
        let (subtree, space) = (Subtree::with_level(program().account(), level)?, program().new_space()?);
        let lazy = Segment::new_lazy(program().account(), 8 * PAGE)?;
        subtree.map(8 * PAGE, &lazy, 0..8 * PAGE, Rights::READ_WRITE)?;
        subtree.seal()?;
        space.attach(spot(level), &subtree, Rights::READ_WRITE)?;
        for page in 8..16 {
            let word = Place::<u64>::new(spot(level) + page * PAGE)?;
            ensure_eq!(space.enter(|| (word.get(), word.set(page), word.get()))?, (0, (), page));
        }
        ensure_eq!((level, lazy.info()?.populated_bytes), (level, 8 * PAGE));
    }
    Ok(())
}

/// The subtree itself can be attached to more spaces, detached and withdrawn: its places are not part of it.
fn a_sealed_subtree_comes_and_goes_as_a_whole() -> Verdict {
    for level in LEVELS {
        let (shared, space) = sealed(level, Rights::READ_WRITE)?;
        let next = program().new_space()?;
        next.attach(spot(level), &shared.subtree, Rights::READ)?;
        ensure_eq!((level, reach_page(&next, spot(level))?), (level, Rights::READ));
        next.detach(spot(level))?;
        next.attach(spot(level), &shared.subtree, Rights::READ_WRITE)?;
        ensure_eq!((level, shared.subtree.withdraw()?), (level, 2));
        for space in [&space, &next] {
            ensure_eq!((level, reach_page(space, spot(level))?), (level, Rights::empty()));
        }
        ensure_eq!((shared.subtree.info()?.sealed, shared.subtree.info()?.mappings), (1, 1));
        refused(shared.subtree.unmap(shared.range()), Error::Sealed)?;
    }
    Ok(())
}

/// Sealing an inner subtree leaves the outer one open: the inner one can be detached from it. What is mapped in an
/// inner subtree can change although the outer one is sealed.
fn a_seal_does_not_reach_into_inner_or_outer_subtrees() -> Verdict {
    let (outer, inner) = (Subtree::new(program().account())?, Shared::new(Level::OneGib, Rights::READ_WRITE)?);
    let space = program().new_space()?;
    space.attach(70 * SLOT, &outer, Rights::ACCESS)?;
    outer.attach(1 << 30, &inner.subtree, Rights::ACCESS)?;
    outer.seal()?;
    inner.subtree.protect(inner.range(), Rights::READ)?;
    ensure_eq!(reach_page(&space, 70 * SLOT + (1 << 30))?, Rights::READ);
    inner.subtree.unmap(inner.range())?;
    ensure_eq!(reach_page(&space, 70 * SLOT + (1 << 30))?, Rights::empty());
    let (open, closed) = (Subtree::new(program().account())?, Shared::new(Level::OneGib, Rights::READ)?);
    closed.subtree.seal()?;
    open.attach(1 << 30, &closed.subtree, Rights::READ)?;
    open.attach(2 << 30, &closed.subtree, Rights::READ)?;
    open.detach(1 << 30)?;
    ensure_eq!(closed.subtree.withdraw()?, 1);
    ensure_eq!((open.info()?.attachments, closed.subtree.info()?.sharers), (0, 0));
    Ok(())
}

/// Sealed subtrees, with mappings and inner subtrees, are given up like others, and all of it comes back.
fn a_sealed_subtree_goes_with_all_that_is_in_it() -> Verdict {
    leaves_nothing(10, |_| {
        let (outer, inner) = (Subtree::new(program().account())?, Shared::new(Level::TwoMib, Rights::READ)?);
        outer.attach(1 << 30, &inner.subtree, Rights::READ)?;
        outer.map(PAGE, &inner.segment, 0..PAGE, Rights::READ)?;
        inner.subtree.seal()?;
        outer.seal()?;
        let space = program().new_space()?;
        space.attach(70 * SLOT, &outer, Rights::READ)?;
        let Shared { subtree, segment } = inner;
        drop((outer, subtree));
        drop(space);
        ensure_eq!(segment.info()?.mappings, 0);
        Ok(())
    })
}

//! What is lent, to whom: lists, and taking back from one borrower by its badge.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, KERNEL_ADDRESSES, Room, Shared, UNMAPPED, Verdict, attempt, claim, ensure, ensure_eq, fresh_address,
    refused, run, spot, the_kernel_passes_its_own_checks,
};
use libvas::layout::{LentInfo, LentKind};
use libvas::{Cap, CapTable, Error, Level, Object, ObjectKind, PAGE_BYTES as PAGE, Rights, Segment, View, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_badge_takes_back_from_one_borrower_only),
        claim!(a_badge_that_nobody_has_takes_nothing_back),
        claim!(the_list_names_what_is_lent_with_badges),
        claim!(a_list_longer_than_a_call_is_whole),
        claim!(a_list_that_goes_on_elsewhere_begins_anew),
        claim!(an_error_ends_a_list_and_so_does_its_end),
        claim!(bad_lists_are_refused),
        claim!(an_object_can_go_while_what_is_lent_of_it_is_listed),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("lent", CLAIMS)
}

fn memory(pages: u64) -> Result<Cap<Segment>, Error> {
    Segment::new(program().account(), pages * PAGE)
}

/// How many capabilities were derived from one and exist still.
fn children<T: Object>(cap: &Cap<T>) -> Result<u64, Error> {
    cap.capability_info().map(|info| info.children)
}

fn listed<T: Object>(cap: &Cap<T>) -> Result<Vec<LentInfo>, Error> {
    cap.lent().collect()
}

/// Revoking by badge takes back from the borrower of that badge, what came of it and what it left behind; others' stays,
/// whatever badges are below.
fn a_badge_takes_back_from_one_borrower_only() -> Verdict {
    let (space, segment, at) = (program().new_space()?, memory(1)?, fresh_address());
    let lend = |badge| segment.derive(Rights::READ, badge);
    let (one, two, again, gone) = (lend(1)?, lend(2)?, lend(1)?, lend(1)?);
    let (of_one, of_two) = (one.derive(Rights::READ, 2)?, two.derive(Rights::READ, 1)?);
    for (page, cap) in (0..).zip([&one, &two, &again, &gone, &of_one, &of_two, &segment]) {
        space.map(at + page * PAGE, cap, 0..PAGE, Rights::READ)?;
    }
    // What it did is the lender's now, with its badge.
    drop(gone);
    segment.revoke_badge(1)?;
    let is_there = |page: u64| space.read(at + page * PAGE, &mut [0]).is_ok();
    ensure_eq!([0, 1, 2, 3, 4, 5, 6].map(is_there), [false, true, false, false, false, true, true]);
    for cap in [one, again, of_one] {
        refused(cap.delete(), Error::BadHandle)?;
    }
    ensure_eq!((two.capability_info()?.badge, of_two.capability_info()?.badge), (2, 1));
    two.revoke_badge(1)?;
    refused(of_two.delete(), Error::BadHandle)?;
    ensure!(is_there(1) && !is_there(5), "the borrower's own page stays, and not that of whom it lent to");
    Ok(())
}

/// A badge that no borrower has takes nothing back; 0 is a badge like others.
fn a_badge_that_nobody_has_takes_nothing_back() -> Verdict {
    let segment = memory(1)?;
    let (zero, most) = (segment.derive(Rights::READ, 0)?, segment.derive(Rights::READ, u64::MAX)?);
    for badge in [1, 7, u64::MAX - 1] {
        segment.revoke_badge(badge)?;
    }
    ensure_eq!(children(&segment)?, 2);
    segment.revoke_badge(u64::MAX)?;
    refused(most.delete(), Error::BadHandle)?;
    segment.revoke_badge(0)?;
    refused(zero.delete(), Error::BadHandle)
}

/// The list has each capability, mapping, attachment and view that was lent, with its badge and where it is; nothing of what
/// is the lender's own.
fn the_list_names_what_is_lent_with_badges() -> Verdict {
    let (space, segment, at) = (program().new_space()?, memory(4)?, fresh_address());
    ensure_eq!(listed(&segment)?, []);
    let lent = segment.derive(Rights::READ_WRITE, 31)?;
    let of_lent = lent.derive(Rights::READ, 32)?;
    space.map(at, &segment, 0..PAGE, Rights::READ)?;
    space.map(at + PAGE, &lent, PAGE..3 * PAGE, Rights::READ_WRITE)?;
    space.map(at + 4 * PAGE, &of_lent, 0..PAGE, Rights::READ)?;
    let list = listed(&segment)?;
    let found = |kind: LentKind, badge: u64| {
        let mut which = list.iter().filter(|info| info.kind == kind as u64 && info.badge == badge);
        which.next().filter(|_| which.next().is_none()).copied().ok_or(Error::NotMapped)
    };
    ensure_eq!(list.len(), 4);
    ensure_eq!(found(LentKind::Capability, 31)?.rights, u64::from(Rights::READ_WRITE.bits()));
    ensure_eq!(found(LentKind::Capability, 32)?.holder, found(LentKind::Capability, 31)?.holder);
    let mapping = found(LentKind::Mapping, 31)?;
    ensure_eq!((mapping.address, mapping.length_bytes), (at + PAGE, 2 * PAGE));
    ensure_eq!(mapping.holder_kind, ObjectKind::Space as u64);
    ensure_eq!(found(LentKind::Mapping, 32)?.address, at + 4 * PAGE);
    let view = View::new(program().account(), &space.derive(Rights::INSPECT, 33)?, Rights::READ)?;
    let list = listed(&space)?;
    ensure_eq!((list.len(), list[0].kind, list[0].badge), (1, LentKind::View as u64, 33));
    drop(view);
    let shared = Shared::new(Level::TwoMib, Rights::READ)?;
    space.attach(spot(Level::TwoMib), &shared.subtree.derive(Rights::READ, 34)?, Rights::READ)?;
    let list = listed(&shared.subtree)?;
    let place = (LentKind::Attachment as u64, 34, spot(Level::TwoMib));
    ensure_eq!((list.len(), list[0].kind, list[0].badge, list[0].address), (1, place.0, place.1, place.2));
    Ok(())
}

/// A list of more than one call can tell has each thing once, and leaves nothing behind when it is given up half way.
fn a_list_longer_than_a_call_is_whole() -> Verdict {
    const COUNT: u64 = 1000;
    let (segment, table) = (memory(1)?, CapTable::new(program().account(), COUNT)?);
    for badge in 0..COUNT {
        segment.copy_into(&table, Rights::READ, badge)?;
    }
    let mut badges: Vec<u64> = listed(&segment)?.iter().map(|info| info.badge).collect();
    badges.sort_unstable();
    ensure!(badges.iter().copied().eq(0..COUNT), "{} of {COUNT} are listed", badges.len());
    ensure_eq!(segment.lent().take(100).count(), 100);
    ensure_eq!(listed(&segment)?.len() as u64, COUNT);
    ensure_eq!(segment.lent().take(40).count(), 40);
    segment.revoke()?;
    ensure_eq!(listed(&segment)?, []);
    Ok(())
}

/// A list that is interrupted by another one, or by taking back by badge, can be begun again and is whole.
fn a_list_that_goes_on_elsewhere_begins_anew() -> Verdict {
    let (one, other) = (memory(1)?, memory(1)?);
    let mut lent = Vec::new();
    for badge in 0..40 {
        lent.push((one.derive(Rights::READ, badge)?, other.derive(Rights::READ, 1000 + badge)?));
    }
    let mut first = one.lent();
    ensure!(first.next().is_some(), "nothing is listed");
    ensure_eq!(listed(&other)?.len(), 40);
    other.revoke_badge(1007)?;
    let mut beside = other.lent();
    ensure!(beside.next().is_some(), "nothing is listed");
    for info in first.take(100) {
        ensure!(info?.badge < 1000, "the list of one capability tells of another's");
    }
    ensure_eq!((listed(&one)?.len(), listed(&other)?.len()), (40, 39));
    let mut half = one.lent();
    ensure!(half.next().is_some(), "nothing is listed");
    one.revoke_badge(39)?;
    ensure_eq!((listed(&one)?.len(), children(&one)?), (39, 39));
    Ok(())
}

/// A list of a capability that has gone is one error, and then nothing; nor does one that has come to its end begin anew.
fn an_error_ends_a_list_and_so_does_its_end() -> Verdict {
    let segment = memory(1)?;
    let mut of_none = segment.lent();
    ensure!(of_none.next().is_none(), "nothing was lent");
    let lent = segment.derive(Rights::READ, 1)?;
    ensure!(of_none.next().is_none(), "a list that was over has begun anew");
    let mut half = (0..20).map(|badge| lent.derive(Rights::READ, badge)).collect::<Result<Vec<_>, _>>()?;
    let mut list = lent.lent();
    ensure!(list.next().is_some_and(|info| info.is_ok()), "nothing is listed");
    segment.revoke()?;
    // What was told with the first is told still.
    let rest: Vec<_> = list.by_ref().take(100).collect();
    let refusals = rest.iter().filter(|info| info.is_err()).count();
    ensure!(rest.len() < 20 && refusals == 1, "{} more, {refusals} of them errors", rest.len());
    ensure_eq!(rest.last().copied(), Some(Err(Error::BadHandle)));
    ensure!(list.next().is_none(), "it goes on behind the error");
    half.clear();
    Ok(())
}

/// Lists to bad buffers, and words that mean nothing, are refused; the next list is whole.
fn bad_lists_are_refused() -> Verdict {
    let (segment, room) = (memory(1)?, Room::new(1)?);
    let (lent, handle) = (segment.derive(Rights::READ, 1)?, segment.handle().bits());
    let list = |buffer: u64, capacity: u64, goes_on: u64| {
        attempt(number::lent_list, [handle, buffer, capacity, goes_on, 0, 0])
    };
    for goes_on in [2, 3, u64::MAX] {
        refused(list(room.address(), 1, goes_on), Error::BadArgument)?;
    }
    for buffer in [UNMAPPED, KERNEL_ADDRESSES[0], room.end() - 8] {
        refused(list(buffer, 1, 0), Error::BadPointer)?;
    }
    ensure_eq!(list(room.address(), 0, 0)?, 0);
    ensure_eq!(list(room.address(), u64::MAX, 0)?, 1);
    ensure_eq!(list(room.address(), 1, 1)?, 0);
    lent.delete()?;
    Ok(())
}

/// When the last capability to an object is given up by who is in the middle of its list, the object goes.
fn an_object_can_go_while_what_is_lent_of_it_is_listed() -> Verdict {
    let segment = memory(1)?;
    let lent = segment.derive(Rights::READ, 1)?;
    ensure!(segment.lent().next().is_some(), "nothing is listed");
    drop((lent, segment));
    ensure_eq!(memory(1)?.lent().count(), 0);
    Ok(())
}

//! Views as objects: what a capability to one allows, what they tell, how long they live, what they cost.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, Shared, Snapshot, SpareStack, Verdict, attempt, claim, ensure, ensure_eq, fresh_address, jump_to,
    leaves_nothing, on_cpu, reach, refused, run, set_fallback, spot, the_kernel_passes_its_own_checks, wait_for_state,
    word_at,
};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libvas::layout::FallbackReason;
use libvas::thread::{self, ThreadState};
use libvas::{
    Cap, CapTable, Error, Handle, Level, ObjectKind, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree,
    Thread, View, counters, program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_view_cannot_be_changed),
        claim!(a_view_s_capability_has_the_rights_of_the_space_s_but_map),
        claim!(making_a_view_needs_its_rights),
        claim!(bad_bounds_are_refused),
        claim!(a_view_tells_what_it_is_of),
        claim!(a_view_has_a_root_and_a_tag_of_its_own),
        claim!(a_view_of_a_view_is_one_of_the_same_base),
        claim!(a_view_keeps_its_base),
        claim!(a_view_that_goes_leaves_base_and_siblings),
        claim!(a_view_of_a_local_space_is_local),
        claim!(a_thread_lands_at_its_fallback_when_its_view_goes),
        claim!(without_a_fallback_a_thread_stops_with_its_view),
        claim!(a_thread_stays_in_a_view_whose_base_was_given_up),
        claim!(a_jump_leads_into_a_view),
        claim!(an_account_pays_for_a_view_and_gets_it_back),
        claim!(a_view_that_cannot_be_made_leaves_nothing),
        claim!(views_come_and_go_without_a_trace),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("view_rights", CLAIMS)
}

const LONG: Duration = Duration::from_secs(3600);

fn view_of(space: &Cap<Space>, bounds: Rights) -> Result<Cap<View>, Error> {
    View::new(program().account(), space, bounds)
}

/// A space with the program and a page of its own.
fn space_with_page() -> Result<(Cap<Space>, u64), Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), PAGE)?);
    let address = fresh_address();
    space.map(address, &segment, 0..PAGE, Rights::READ_WRITE)?;
    Ok((space, address))
}

/// A view as what a space's capability would be: for calls that its type does not have.
fn as_space(view: &Cap<View>) -> core::mem::ManuallyDrop<Cap<Space>> {
    core::mem::ManuallyDrop::new(Cap::from_handle(view.handle()))
}

/// Mapping, unmapping, protecting, attaching, detaching and writing are refused, also to the widest view, and neither
/// view nor base changes.
fn a_view_cannot_be_changed() -> Verdict {
    let (space, address) = space_with_page()?;
    let (segment, subtree) = (Segment::new(program().account(), PAGE)?, Subtree::new(program().account())?);
    let (page, view) = (address..address + PAGE, view_of(&space, Rights::ACCESS)?);
    let (forged, at) = (as_space(&view), spot(Level::Top));
    let before = (Snapshot::of(&space)?, Snapshot::of(&view)?);
    refused(forged.map(address + PAGE, &segment, 0..PAGE, Rights::READ), Error::MissingRight)?;
    refused(forged.unmap(page.clone()), Error::MissingRight)?;
    refused(forged.protect(page, Rights::READ), Error::MissingRight)?;
    refused(forged.attach(at, &subtree, Rights::READ), Error::MissingRight)?;
    refused(forged.attach_window(at, &subtree, Rights::READ), Error::MissingRight)?;
    refused(forged.attach_core(at, &subtree, Rights::READ, 0), Error::MissingRight)?;
    refused(forged.detach(0), Error::MissingRight)?;
    refused(forged.detach_core(at, 0), Error::MissingRight)?;
    refused(forged.write(address, &[1]), Error::MissingRight)?;
    ensure_eq!((Snapshot::of(&space)?, Snapshot::of(&view)?), before);
    Ok(())
}

/// The new capability can do with the view what the old one could with the space, without `MAP`; no way gives it back.
fn a_view_s_capability_has_the_rights_of_the_space_s_but_map() -> Verdict {
    let (space, _) = space_with_page()?;
    let full = Rights::all() - Rights::MAP;
    for rights in
        [Rights::all(), full, Rights::INSPECT, Rights::INSPECT | Rights::SWITCH, Rights::INSPECT | Rights::MAP]
    {
        let view = view_of(&space.derive(rights, 0)?, Rights::READ)?;
        ensure_eq!(view.rights()?, rights & full);
        refused(view.derive(Rights::MAP, 0), Error::MissingRight)?;
        refused(view.derive(Rights::all(), 0), Error::MissingRight)?;
        ensure_eq!(view.narrowed(program().account(), Rights::READ)?.rights()?, rights & full);
        let entered = view.enter(|| ());
        ensure_eq!(entered, if rights.contains(Rights::SWITCH) { Ok(()) } else { Err(Error::MissingRight) });
    }
    let view = view_of(&space, Rights::READ)?;
    refused(view.derive(Rights::SWITCH, 0)?.info(), Error::MissingRight)?;
    refused(view.derive(Rights::SWITCH, 0)?.read(0x1000, &mut [0]), Error::MissingRight)?;
    refused(view.derive(Rights::INSPECT, 0)?.enter(|| ()), Error::MissingRight)
}

/// A view is made by who may charge the account and look into the space; other rights to either are not enough, and
/// nothing but a space has views.
fn making_a_view_needs_its_rights() -> Verdict {
    let (space, _) = space_with_page()?;
    let account = program().account().split(1 << 20)?;
    let blind = space.derive(Rights::all() - Rights::INSPECT, 0)?;
    let poor = account.derive(Rights::all() - Rights::CHARGE, 0)?;
    refused(View::new(&account, &blind, Rights::READ), Error::MissingRight)?;
    refused(View::new(&poor, &space, Rights::READ), Error::MissingRight)?;
    let read = u64::from(Rights::READ.bits());
    let others = [program().subtree().handle(), program().table().handle(), account.handle()];
    for other in others {
        let words = [account.handle().bits(), other.bits(), read, 0, 0, 0];
        refused(attempt(number::view_create, words), Error::WrongObject)?;
    }
    ensure_eq!((account.info()?.used_bytes, space.info()?.views), (0, 0));
    View::new(&account.derive(Rights::CHARGE, 0)?, &space.derive(Rights::INSPECT, 0)?, Rights::READ)?;
    Ok(())
}

/// Bounds hold `READ`, and nothing but rights of memory.
fn bad_bounds_are_refused() -> Verdict {
    let (space, _) = space_with_page()?;
    let before = (Census::take()?, Snapshot::of(&space)?);
    let wrong = [
        Rights::empty(),
        Rights::WRITE,
        Rights::EXECUTE,
        Rights::WRITE | Rights::EXECUTE,
        Rights::READ | Rights::MAP,
        Rights::all(),
    ];
    for bounds in wrong {
        refused(view_of(&space, bounds), Error::BadArgument)?;
    }
    ensure_eq!((Census::take()?, Snapshot::of(&space)?), before);
    let view = view_of(&space, Rights::READ)?;
    for bounds in wrong {
        refused(view.narrowed(program().account(), bounds), Error::BadArgument)?;
    }
    Ok(())
}

/// A view is a space that says which it is a view of, and within which bounds; a space counts its views.
fn a_view_tells_what_it_is_of() -> Verdict {
    let (space, _) = space_with_page()?;
    let info = space.info()?;
    ensure_eq!((info.views, info.view_of, info.bounds), (0, 0, u64::from(Rights::ACCESS.bits())));
    let number = space.capability_info()?.object;
    for bounds in [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::ACCESS] {
        let view = view_of(&space, bounds)?;
        let (info, capability) = (view.info()?, view.capability_info()?);
        ensure_eq!((info.view_of, info.bounds, info.views), (number + 1, u64::from(bounds.bits()), 0));
        ensure_eq!((capability.kind, space.info()?.views), (ObjectKind::Space as u64, 1));
        ensure!(capability.object != number, "it is the space itself");
    }
    ensure_eq!(space.info()?.views, 0);
    Ok(())
}

/// A view has one table, its root; what it shows is the base's. It is entered under a tag of its own, if there are any.
fn a_view_has_a_root_and_a_tag_of_its_own() -> Verdict {
    let (space, _) = space_with_page()?;
    let shared = Shared::new(Level::OneGib, Rights::READ)?;
    space.attach(spot(Level::OneGib), &shared.subtree, Rights::READ)?;
    let view = view_of(&space, Rights::READ)?;
    space.enter(|| view.enter(|| ()))??;
    let (base, seen) = (space.info()?, view.info()?);
    ensure_eq!((seen.table_bytes, seen.mapped_bytes, seen.mappings, seen.attachments), (PAGE, 0, 0, 0));
    ensure_eq!(seen.shared_table_bytes, base.shared_table_bytes + base.table_bytes - PAGE);
    let has_tags = program().machine().ok_or(Error::MissingRight)?.info()?.tag_bits != 0;
    ensure_eq!((has_tags, seen.tag != base.tag), (has_tags, has_tags));
    Ok(())
}

/// Its bounds are what both allow, so none is wider than what it was made from; it stays when that one goes.
fn a_view_of_a_view_is_one_of_the_same_base() -> Verdict {
    const BOUNDS: [Rights; 4] = [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::ACCESS];
    let (space, address) = space_with_page()?;
    let number = space.capability_info()?.object;
    for (outer, inner) in BOUNDS.into_iter().flat_map(|outer| BOUNDS.map(|inner| (outer, inner))) {
        let first = view_of(&space, outer)?;
        let second = first.narrowed(program().account(), inner)?;
        let info = second.info()?;
        ensure_eq!((info.view_of, info.bounds), (number + 1, u64::from((outer & inner).bits())));
        ensure_eq!((space.info()?.views, first.info()?.views), (2, 0));
    }
    let narrow = view_of(&space, Rights::READ)?;
    let narrower = narrow.narrowed(program().account(), Rights::READ_WRITE)?;
    drop(narrow);
    ensure_eq!(reach(&narrower, address)?, Rights::READ);
    space.unmap(address..address + PAGE)?;
    ensure_eq!((reach(&narrower, address)?, space.info()?.views), (Rights::empty(), 1));
    Ok(())
}

/// When the last capability to the space is given up, the view goes on showing it; with the view, both go.
fn a_view_keeps_its_base() -> Verdict {
    let before = Census::take()?.machine;
    let (space, shared) = (program().new_space()?, Shared::new(Level::TwoMib, Rights::READ_WRITE)?);
    space.attach(spot(Level::TwoMib), &shared.subtree, Rights::READ_WRITE)?;
    let (view, word) = (view_of(&space, Rights::READ)?, word_at(spot(Level::TwoMib))?);
    drop(space);
    for value in [6, 7] {
        shared.set(value)?;
        ensure_eq!(view.enter(|| word.get())?, value);
    }
    shared.subtree.unmap(shared.range())?;
    refused(view.read(word.address(), &mut [0]), Error::BadAddress)?;
    ensure_eq!((Census::take()?.machine.spaces, shared.subtree.info()?.sharers), (before.spaces + 2, 1));
    drop(view);
    ensure_eq!((Census::take()?.machine.spaces, shared.subtree.info()?.sharers), (before.spaces, 0));
    Ok(())
}

/// Destroying a view changes nothing for the base, for threads in it, or for other views.
fn a_view_that_goes_leaves_base_and_siblings() -> Verdict {
    let (space, address) = space_with_page()?;
    let (one, two) = (view_of(&space, Rights::READ)?, view_of(&space, Rights::READ)?);
    let place = Place::<u64>::new(address)?;
    let inside = thread::spawn_in(&space, move || {
        (0..100).for_each(|value| {
            place.set(value);
            thread::yield_now();
        });
    })?;
    one.enter(|| place.get())?;
    drop(one);
    inside.join()?;
    ensure_eq!((two.enter(|| place.get())?, space.enter(|| place.get())?), (99, 99));
    let third = view_of(&space, Rights::READ_WRITE)?;
    third.enter(|| place.set(4))?;
    ensure_eq!((two.enter(|| place.get())?, space.info()?.views), (4, 2));
    Ok(())
}

/// A view of a space that is local to a CPU can be entered on that CPU only.
fn a_view_of_a_local_space_is_local() -> Verdict {
    for cpu in 0..counters::cpus()? {
        let space = Space::new_local(program().account(), cpu)?;
        space.attach_window(0, program().subtree(), Rights::ACCESS)?;
        let view = view_of(&space, Rights::READ)?;
        let narrowed = view.narrowed(program().account(), Rights::READ)?;
        ensure_eq!((view.info()?.local_to, narrowed.info()?.local_to), (cpu + 1, cpu + 1));
        for other in 0..counters::cpus()? {
            let own = view.derive(Rights::SWITCH, 0)?;
            let expected = if other == cpu { Ok(()) } else { Err(Error::WrongCpu) };
            ensure_eq!((cpu, other, on_cpu(other).spawn(move || own.enter(|| ()))?.join()?), (cpu, other, expected));
        }
    }
    Ok(())
}

static REASON: AtomicU64 = AtomicU64::new(0);

extern "C" fn landing(reason: u64, _: u64) -> ! {
    REASON.store(reason, Ordering::Relaxed);
    thread::exit(55)
}

/// A thread that sleeps in a view that is destroyed lands at its fallback; be that the base, or another view of it.
fn a_thread_lands_at_its_fallback_when_its_view_goes() -> Verdict {
    let (space, _) = space_with_page()?;
    for into_view in [false, true] {
        REASON.store(0, Ordering::Relaxed);
        let view = view_of(&space, Rights::READ)?;
        let (handle, base) = (view.handle(), space.derive(Rights::SWITCH, 0)?);
        let other = view_of(&space, Rights::READ)?;
        let thread = thread::spawn(move || {
            let view = core::mem::ManuallyDrop::new(Cap::<View>::from_handle(handle));
            let is_set = match into_view {
                false => set_fallback(&base, landing, SpareStack::new()),
                true => set_fallback(&other, landing, SpareStack::new()),
            };
            if is_set.is_ok() && view.switch().is_ok() {
                thread::sleep(LONG);
            }
        })?;
        wait_for_state(thread.thread(), ThreadState::Sleeping)?;
        ensure_eq!((view.info()?.threads, space.info()?.threads), (1, 0));
        drop(view);
        ensure_eq!(
            (thread.thread().join(), REASON.load(Ordering::Relaxed)),
            (Ok(55), FallbackReason::SpaceDestroyed as u64)
        );
    }
    Ok(())
}

/// A thread in a view without a fallback is stopped when the view is destroyed, though its base is still there.
fn without_a_fallback_a_thread_stops_with_its_view() -> Verdict {
    let (space, _) = space_with_page()?;
    let view = view_of(&space, Rights::READ)?;
    let sleeper = thread::spawn_in(&view, || thread::sleep(LONG))?;
    wait_for_state(sleeper.thread(), ThreadState::Sleeping)?;
    drop(view);
    refused(sleeper.join(), Error::Gone)?;
    space.enter(|| ())?;
    Ok(())
}

/// Giving up the space does not disturb a thread in a view of it.
fn a_thread_stays_in_a_view_whose_base_was_given_up() -> Verdict {
    static GO_ON: AtomicU64 = AtomicU64::new(0);
    let (space, address) = space_with_page()?;
    let (view, place) = (view_of(&space, Rights::READ)?, Place::<u64>::new(address)?);
    space.enter(|| place.set(61))?;
    let thread = thread::spawn_in(&view, move || {
        while GO_ON.load(Ordering::Acquire) == 0 {
            thread::sleep(Duration::from_micros(200));
        }
        place.get()
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    drop(space);
    ensure_eq!(view.info()?.threads, 1);
    GO_ON.store(1, Ordering::Release);
    ensure_eq!(thread.join()?, 61);
    Ok(())
}

/// A jump enters a view at a function, which sees what the view shows.
fn a_jump_leads_into_a_view() -> Verdict {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    extern "C" fn arrive(address: u64, _: u64) -> ! {
        SEEN.store(Place::<u64>::new(address).map_or(0, Place::get), Ordering::Relaxed);
        thread::exit(32)
    }
    let (space, address) = space_with_page()?;
    space.write(address, &71_u64.to_le_bytes())?;
    let view = view_of(&space, Rights::READ)?;
    let thread = thread::spawn(move || jump_to(&view, arrive, SpareStack::new(), address))?;
    ensure_eq!((thread.thread().join()?, SEEN.load(Ordering::Relaxed)), (32, 71));
    Ok(())
}

/// A view's record and root are charged to the account that was named, however much the base holds; nothing else is.
fn an_account_pays_for_a_view_and_gets_it_back() -> Verdict {
    let (ours, theirs) = (program().account().split(1 << 20)?, program().account().split(1 << 20)?);
    let base = Space::new(&theirs)?;
    let before = theirs.info()?.used_bytes;
    let empty = View::new(&ours, &base, Rights::READ)?;
    let cost = ours.info()?.used_bytes;
    ensure!((PAGE..3 * PAGE).contains(&cost), "a view costs {cost} bytes");
    ensure_eq!(theirs.info()?.used_bytes, before);
    drop(empty);
    ensure_eq!(ours.info()?.used_bytes, 0);
    for slot in 1..20 {
        let shared = Shared::new(Level::OneGib, Rights::READ)?;
        base.attach(slot << 39, &shared.subtree, Rights::READ)?;
    }
    let full = View::new(&ours, &base, Rights::READ)?;
    ensure_eq!(ours.info()?.used_bytes, cost);
    // What the base comes to hold is the base's affair.
    base.attach(30 << 39, &Subtree::new(program().account())?, Rights::READ)?;
    ensure_eq!(ours.info()?.used_bytes, cost);
    drop((full, base));
    ensure_eq!((ours.info()?.used_bytes, theirs.info()?.used_bytes), (0, 0));
    Ok(())
}

/// Without budget, or without a slot in the caller's table, there is no view; nothing is charged, and the base knows
/// of none.
fn a_view_that_cannot_be_made_leaves_nothing() -> Verdict {
    let (space, _) = space_with_page()?;
    for bytes in [0, PAGE / 2, PAGE] {
        let account = program().account().split(bytes)?;
        let before = (Census::take()?, Snapshot::of(&space)?);
        refused(View::new(&account, &space, Rights::READ), Error::AccountExhausted)?;
        ensure_eq!((Census::take()?, Snapshot::of(&space)?, account.info()?.used_bytes), (before.0, before.1, 0));
    }
    let (mut held, own) = (None, program().space());
    // Each capability holds the one before it in its badge, so that the test needs no memory of its own.
    while let Ok(next) = own.derive(Rights::empty(), held.map_or(0, Handle::bits)) {
        held = Some(next.into_handle());
    }
    let used_bytes = program().account().info()?.used_bytes;
    let result = view_of(&space, Rights::READ).err();
    let after = (program().account().info()?.used_bytes, space.info()?.views);
    while let Some(handle) = held {
        let last: Cap<Space> = Cap::from_handle(handle);
        held = Some(Handle::from_bits(last.capability_info()?.badge)).filter(|badge| *badge != Handle::NONE);
    }
    ensure_eq!((result, after), (Some(Error::TableFull), (used_bytes, 0)));
    Ok(())
}

/// Views with threads, views that outlive their base, views of views: in the end all of it is back.
fn views_come_and_go_without_a_trace() -> Verdict {
    let table = CapTable::new(program().account(), 4)?;
    leaves_nothing(10, |cycle| {
        let (space, address) = space_with_page()?;
        let view = view_of(&space, Rights::READ_WRITE)?;
        let views = (0..5).map(|_| view.narrowed(program().account(), Rights::READ)).collect::<Result<Vec<_>, _>>()?;
        let unstarted = Thread::new(program().account(), &table, &views[3], 1)?;
        let place = Place::<u64>::new(address)?;
        view.enter(|| place.set(cycle))?;
        if cycle % 2 == 0 {
            drop(space);
        }
        ensure_eq!(thread::spawn_in(&views[4], move || place.get())?.join()?, cycle);
        drop(views);
        refused(unstarted.join(), Error::Gone)
    })
}

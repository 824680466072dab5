//! Gates: a call takes its thread into another space, with another table, on another stack, and nothing else along.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use conformance::{
    Claim, KERNEL_ADDRESSES, Room, STACK_BYTES, Service, SpareStack, UNMAPPED, Verdict, attempt, caller, claim,
    ends_in_fault, ensure, ensure_eq, fresh_address, gate_into, leaves_nothing, lent, nap, peek, refused, run, serves,
    start_at, the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use libvas::gate::{Along, Answer, Called, Request, Serve, ServeShort, Stacks};
use libvas::thread;
use libvas::{
    Cap, CapTable, Error, Gate, Handle, Object, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Thread, USER_END,
    program, raw,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(six_words_cross_both_ways),
        claim!(short_calls_carry_two_words),
        claim!(the_badge_says_who_calls),
        claim!(a_callee_has_its_own_table),
        claim!(what_a_callee_makes_is_in_its_table),
        claim!(a_callee_does_not_see_its_callers_space),
        claim!(a_call_returns_to_the_space_it_was_made_in),
        claim!(a_callee_may_go_elsewhere_and_return_from_there),
        claim!(calls_nest_fifteen_deep_and_no_deeper),
        claim!(a_callee_calls_its_caller_back),
        claim!(a_capability_goes_along_derived),
        claim!(a_capability_goes_along_moved),
        claim!(a_capability_comes_back),
        claim!(what_cannot_go_along_is_refused_and_nothing_changes),
        claim!(what_does_not_fit_into_the_callees_table_stays),
        claim!(what_does_not_fit_into_the_callers_table_stays_the_callees),
        claim!(a_callee_is_told_why_a_return_is_refused),
        claim!(gates_that_make_no_sense_are_not_made),
        claim!(gates_need_rights_and_the_right_kinds),
        claim!(calls_that_make_no_sense_are_refused),
        claim!(what_was_made_for_calls_comes_back_to_the_account),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("gates", CLAIMS)
}

/// The status of a result, as a word: 0 if it is no error.
fn status<T>(result: Result<T, Error>) -> u64 {
    result.err().map_or(0, Error::status)
}

fn memory() -> Result<Cap<Segment>, Error> {
    Segment::new(program().account(), PAGE)
}

serves!(Turns, |called| called.words.map(|word| !word.rotate_left(8)));

/// All six words arrive, and all six come back: by a first call, by later ones, and when the thread was off its CPU inside.
fn six_words_cross_both_ways() -> Verdict {
    serves!(TurnsSlowly, |called| {
        nap();
        called.words.map(|word| !word.rotate_left(8))
    });
    for service in [Service::new::<Turns>(1)?, Service::new::<TurnsSlowly>(1)?] {
        for words in [[1, 2, 3, 4, 5, 6], [u64::MAX; 6], [0; 6], [1 << 63, 0, 7, u64::MAX, 1, 0x1234_5678_9abc_def0]] {
            ensure_eq!(service.gate.call(words)?, words.map(|word| !word.rotate_left(8)));
        }
    }
    Ok(())
}

/// Two words go and come by the short way as well.
fn short_calls_carry_two_words() -> Verdict {
    struct Swaps;
    impl ServeShort for Swaps {
        fn serve(badge: u64, [left, right]: [u64; 2]) -> [u64; 2] {
            [right ^ badge, left]
        }
    }
    let space = program().new_space()?;
    let stacks = Stacks::new_in(&space, fresh_address(), STACK_BYTES, 1)?;
    // SAFETY: the space has the program and the stacks, which are this gate's alone; no caller is told a secret.
    let gate = unsafe { Gate::serving_short::<Swaps>(&space, stacks) }?;
    let by_badge = gate.derive(Rights::CALL, 0xff00)?;
    for turn in 0..50 {
        ensure_eq!(gate.call_short([turn, u64::MAX - turn])?, [u64::MAX - turn, turn]);
        ensure_eq!(by_badge.call_short([turn, 1])?, [0xff01, turn]);
    }
    Ok(())
}

/// The callee finds the badge of the capability by which it was called, and no other.
fn the_badge_says_who_calls() -> Verdict {
    serves!(Names, |called| [called.badge, called.given.bits(), 0, 0, 0, 0]);
    let service = Service::new::<Names>(1)?;
    ensure_eq!(service.gate.call([0; 6])?[0], 0);
    for badge in [7, u64::MAX, 1 << 63] {
        let gate = service.gate.derive(Rights::CALL, badge)?;
        for _ in 0..3 {
            ensure_eq!(gate.call([5; 6])?[..2], [badge, Handle::NONE.bits()]);
        }
    }
    Ok(())
}

serves!(Looks, |called| {
    let length = lent::<Segment>(called.words[0]).info().map(|info| info.length_bytes);
    [status(length), length.unwrap_or(0), 0, 0, 0, 0]
});

/// A handle of the caller's means nothing to the callee, and a handle of the callee's is not the same to the caller.
fn a_callee_has_its_own_table() -> Verdict {
    let (table, segment) = (CapTable::new(program().account(), 8)?, memory()?);
    let service = Service::with_table::<Looks>(1, &table)?;
    // Of a slot that the callee's table does not have.
    let mut own = Vec::new();
    while own.last().is_none_or(|cap: &Cap<Segment>| cap.handle().slot() < 8) {
        own.push(segment.derive(Rights::READ, 0)?);
    }
    let of_caller = own[own.len() - 1].handle().bits();
    ensure_eq!(lent::<Segment>(of_caller).info()?.length_bytes, PAGE);
    let of_callee = segment.copy_into(&table, Rights::READ, 0)?.bits();
    for _ in 0..3 {
        ensure_eq!(service.gate.call([of_caller; 6])?[..2], [Error::BadHandle.status(), 0]);
        ensure_eq!(service.gate.call([of_callee; 6])?[..2], [0, PAGE]);
        let here = lent::<Segment>(of_callee).capability_info().ok().map(|info| (info.kind, info.object));
        ensure!(
            here != Some((Segment::KIND as u64, segment.capability_info()?.object)),
            "it names the same to the caller"
        );
    }
    Ok(())
}

/// What is made during a call, with an account of the callee's, the callee finds in the next call.
fn what_a_callee_makes_is_in_its_table() -> Verdict {
    serves!(Makes, |called| {
        let made = Segment::new(&lent(called.words[0]), 3 * PAGE).map(Cap::into_handle);
        [status(made), made.map_or(0, Handle::bits), 0, 0, 0, 0]
    });
    let table = CapTable::new(program().account(), 8)?;
    let (makes, looks) = (Service::with_table::<Makes>(1, &table)?, Service::with_table::<Looks>(1, &table)?);
    let elsewhere = Service::with_table::<Looks>(1, &CapTable::new(program().account(), 8)?)?;
    let account = program().account().split(64 * PAGE)?;
    let theirs = account.copy_into(&table, Rights::CHARGE, 0)?.bits();
    let [failed, made, ..] = makes.gate.call([theirs; 6])?;
    ensure_eq!(failed, 0);
    ensure_eq!(looks.gate.call([made; 6])?[..2], [0, 3 * PAGE]);
    // The table of the third is gone already.
    refused(elsewhere.gate.call([made; 6]), Error::Gone)?;
    ensure!(account.info()?.used_bytes >= 3 * PAGE, "the callee's account paid");
    Ok(())
}

/// What only the caller's space has, the callee faults on, and the caller has it afterwards.
fn a_callee_does_not_see_its_callers_space() -> Verdict {
    serves!(Peeks, |called| [u64::from(peek(called.words[0])), 0, 0, 0, 0, 0]);
    let (service, room) = (Service::new::<Peeks>(1)?, Room::new(1)?);
    room.fill(0x77)?;
    for _ in 0..3 {
        refused(service.gate.call([room.address(); 6]), Error::Faulted)?;
        ensure_eq!(peek(room.address()), 0x77);
    }
    service.space.map(room.address(), room.segment(), 0..PAGE, Rights::READ)?;
    ensure_eq!(service.gate.call([room.address(); 6])?[0], 0x77);
    Ok(())
}

/// A caller that had entered a space comes back to that one, and goes home from there.
fn a_call_returns_to_the_space_it_was_made_in() -> Verdict {
    let (service, address) = (Service::new::<Turns>(1)?, fresh_address());
    let place = Place::<u64>::new(address)?;
    let mut found = Vec::new();
    for number in 1..=3 {
        let (space, page) = (program().new_space()?, memory()?);
        page.write(0, &u64::to_le_bytes(number))?;
        space.map(address, &page, 0..PAGE, Rights::READ)?;
        let inside =
            space.enter(|| (0..3).map(|_| service.gate.call([0; 6]).map(|_| place.get())).collect::<Vec<_>>())?;
        found.push(inside);
    }
    ensure_eq!(found, [1, 2, 3].map(|number| [Ok(number); 3].to_vec()).to_vec());
    ensure!(ends_in_fault(program().space(), move || peek(address))?, "the home space has it");
    Ok(())
}

/// A callee that has switched to a third space returns from there to its caller's.
fn a_callee_may_go_elsewhere_and_return_from_there() -> Verdict {
    serves!(GoesAway, |called| {
        let [space, address, ..] = called.words;
        let gone = lent::<Space>(space).switch().map(|_| u64::from(peek(address)));
        [status(gone), gone.unwrap_or(0), 0, 0, 0, 0]
    });
    // The stack has to be in both spaces.
    let stack: &'static [u128; 2048] = Box::leak(Box::new([0; 2048]));
    let stacks = Stacks { start: (&raw const *stack).expose_provenance() as u64, stack_bytes: STACK_BYTES, count: 1 };
    let (space, third, room, page) = (program().new_space()?, program().new_space()?, Room::new(1)?, memory()?);
    let gate = gate_into::<GoesAway>(program().account(), &space, program().table(), stacks)?;
    room.fill(0x11)?;
    page.write(0, &[0x33])?;
    third.map(room.address(), &page, 0..PAGE, Rights::READ)?;
    for _ in 0..3 {
        ensure_eq!(gate.call([third.handle().bits(), room.address(), 0, 0, 0, 0])?[..2], [0, 0x33]);
        ensure_eq!(peek(room.address()), 0x11);
    }
    Ok(())
}

/// Calls itself so many times more as the first word says; gives how deep it came, and why not deeper.
struct Nests;

impl Serve for Nests {
    fn serve(called: Called) -> Answer {
        let [left, gate, depth, ..] = called.words;
        let deeper = match left {
            0 => Ok([depth, 0, 0, 0, 0, 0]),
            _ => lent::<Gate>(gate).call([left - 1, gate, depth + 1, 0, 0, 0]),
        };
        let words = deeper.unwrap_or_else(|error| [depth, error.status(), 0, 0, 0, 0]);
        Answer { words, given: None }
    }
}

/// A thread can be in fifteen calls, one in the other; a sixteenth is `TooDeep`, and all return.
fn calls_nest_fifteen_deep_and_no_deeper() -> Verdict {
    let service = Service::new::<Nests>(20)?;
    for _ in 0..3 {
        ensure_eq!(service.gate.call([14, service.bits(), 1, 0, 0, 0])?[..2], [15, 0]);
        ensure_eq!(service.gate.call([15, service.bits(), 1, 0, 0, 0])?[..2], [15, Error::TooDeep.status()]);
    }
    ensure_eq!(service.gate.info()?.free, 20);
    Ok(())
}

/// Two services call each other in turn, each in its space, and all come back the way they came.
fn a_callee_calls_its_caller_back() -> Verdict {
    const AT: u64 = 0x1800_0000_0000;
    serves!(Collects, |called| {
        let [left, own, other, sum, ..] = called.words;
        let sum = sum * 16 + u64::from(peek(AT));
        let deeper = match left {
            0 => Ok([0, 0, 0, sum, 0, 0]),
            _ => lent::<Gate>(other).call([left - 1, other, own, sum, 0, 0]),
        };
        // What is here is found again on the way back.
        let [_, failed, _, sum, way_back, _] = deeper.unwrap_or_else(|error| [0, error.status(), 0, 0, 0, 0]);
        [0, failed, 0, sum, way_back * 16 + u64::from(peek(AT)), 0]
    });
    let services = [Service::new::<Collects>(2)?, Service::new::<Collects>(2)?];
    for (number, service) in (1_u8..).zip(&services) {
        let page = memory()?;
        page.write(0, &[number])?;
        service.space.map(AT, &page, 0..PAGE, Rights::READ)?;
    }
    let [one, other] = services.each_ref().map(Service::bits);
    ensure_eq!(services[0].gate.call([3, one, other, 0, 0, 0])?, [0, 0, 0, 0x1212, 0x2121, 0]);
    Ok(())
}

/// Tells of the capability that came along, or that the first word names: status, handle, rights, badge, object.
struct Tells;

impl Serve for Tells {
    fn serve(called: Called) -> Answer {
        let handle = if called.given == Handle::NONE { called.words[0] } else { called.given.bits() };
        let info = lent::<Segment>(handle).capability_info();
        let words = info.map_or_else(
            |error| [error.status(), handle, 0, 0, 0, 0],
            |info| [0, handle, info.rights, info.badge, info.object, 0],
        );
        Answer { words, given: None }
    }
}

const READ: u64 = Rights::READ.bits() as u64;

/// The callee gets a child with the rights that are said and the badge of its parent, the caller keeps what it has, and can take it
/// back.
fn a_capability_goes_along_derived() -> Verdict {
    let (table, segment) = (CapTable::new(program().account(), 2)?, memory()?);
    let (service, object) = (Service::with_table::<Tells>(1, &table)?, segment.capability_info()?.object);
    let own = segment.derive(Rights::READ | Rights::WRITE | Rights::GRANT, 9)?;
    let (words, back) = service.gate.request(Request::new([0; 6]).along(Along::derived(&own, Rights::READ)))?;
    ensure_eq!((back, words[0], &words[2..]), (Handle::NONE, 0, &[READ, 9, object, 0][..]));
    let info = own.capability_info()?;
    ensure_eq!((info.children, info.references, own.info()?.length_bytes), (1, 3, PAGE));
    ensure_eq!(service.gate.call([words[1]; 6])?[0], 0);
    own.revoke()?;
    ensure_eq!(service.gate.call([words[1]; 6])?[0], Error::BadHandle.status());
    ensure_eq!(own.capability_info()?.references, 2);
    Ok(())
}

/// What is moved is the callee's and nobody else's, and stands where it stood: whoever lent it can take it back.
fn a_capability_goes_along_moved() -> Verdict {
    let (table, segment) = (CapTable::new(program().account(), 2)?, memory()?);
    let (service, object) = (Service::with_table::<Tells>(1, &table)?, segment.capability_info()?.object);
    let own = segment.derive(Rights::READ | Rights::GRANT, 8)?;
    let handle = own.handle().bits();
    let (words, _) = service.gate.request(Request::new([0; 6]).along(Along::moved(own, Rights::READ)))?;
    ensure_eq!((words[0], &words[2..]), (0, &[READ, 8, object, 0][..]));
    refused(lent::<Segment>(handle).capability_info(), Error::BadHandle)?;
    ensure_eq!(segment.capability_info()?.references, 2);
    segment.revoke()?;
    ensure_eq!(service.gate.call([words[1]; 6])?[0], Error::BadHandle.status());
    Ok(())
}

/// A callee gives what it was given back with less, moved or derived; the caller finds it in its table.
fn a_capability_comes_back() -> Verdict {
    struct Returns;
    impl Serve for Returns {
        fn serve(called: Called) -> Answer {
            // Derived, this side keeps it.
            let moves = called.words[0] == 0;
            Answer { words: called.words, given: Some(Along { handle: called.given, rights: Rights::READ, moves }) }
        }
    }
    // With one slot, nothing is left behind of what is moved.
    let (table, segment) = (CapTable::new(program().account(), 1)?, memory()?);
    let service = Service::with_table::<Returns>(1, &table)?;
    let own = segment.derive(Rights::READ | Rights::WRITE | Rights::GRANT, 6)?;
    for derived in [0, 0, 0, 1] {
        let along = Along::derived(&own, Rights::READ | Rights::GRANT);
        let (_, back) = service.gate.request(Request::new([derived; 6]).along(along))?;
        let back = Cap::<Segment>::from_handle(back);
        let (info, references) = (back.capability_info()?, 3 + derived);
        ensure_eq!((info.rights, info.badge, info.references), (READ, 6, references));
    }
    refused(service.gate.request(Request::new([0; 6]).along(Along::derived(&own, Rights::READ))), Error::TableFull)
}

/// What cannot go along is refused, the callee does not run, and the caller has what it had.
fn what_cannot_go_along_is_refused_and_nothing_changes() -> Verdict {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    serves!(Counts, |called| {
        CALLS.fetch_add(1, SeqCst);
        called.words
    });
    let (service, segment) = (Service::new::<Counts>(1)?, memory()?);
    service.gate.call([0; 6])?;
    let (no_grant, only_grant) = (segment.derive(Rights::READ, 0)?, segment.derive(Rights::GRANT, 0)?);
    let stale = segment.derive(Rights::all(), 0)?.handle().bits();
    let used = program().account().info()?.used_bytes;
    let [weak, bare] = [&no_grant, &only_grant].map(|cap| cap.handle().bits());
    for flags in [0, 2] {
        for (handle, rights, error) in [
            (weak, READ, Error::MissingRight),
            (weak, 0, Error::MissingRight),
            (bare, READ, Error::MissingRight),
            (stale, 0, Error::BadHandle),
            (u64::MAX, 0, Error::BadHandle),
            (bare, 1 << 40, Error::BadArgument),
            (bare, 1 << 31, Error::BadArgument),
        ] {
            refused(attempt(number::gate_call, [service.bits(), flags, handle, rights, 0, 0]), error)?;
        }
    }
    ensure_eq!((no_grant.rights()?, only_grant.rights()?), (Rights::READ, Rights::GRANT));
    ensure_eq!((CALLS.load(SeqCst), segment.capability_info()?.references, service.gate.info()?.free), (1, 3, 1));
    ensure_eq!(program().account().info()?.used_bytes, used);
    Ok(())
}

/// Into a table that is full nothing goes; calls that take nothing along do.
fn what_does_not_fit_into_the_callees_table_stays() -> Verdict {
    let (table, segment) = (CapTable::new(program().account(), 1)?, memory()?);
    let service = Service::with_table::<Tells>(1, &table)?;
    let theirs = segment.copy_into(&table, Rights::READ, 0)?.bits();
    let own = segment.derive(Rights::READ | Rights::GRANT, 0)?;
    for flags in [0, 2] {
        let words = [service.bits(), flags, own.handle().bits(), READ, 0, 0];
        refused(attempt(number::gate_call, words), Error::TableFull)?;
        ensure_eq!((own.capability_info()?.children, segment.capability_info()?.references), (0, 3));
        ensure_eq!(service.gate.call([theirs; 6])?[0], 0);
    }
    Ok(())
}

/// A caller whose table is full gets the words without the capability, which stays the callee's.
fn what_does_not_fit_into_the_callers_table_stays_the_callees() -> Verdict {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    struct Gives;
    impl Serve for Gives {
        fn serve(called: Called) -> Answer {
            let handle = Handle::from_bits(GIVEN.load(SeqCst));
            Answer { words: called.words, given: Some(Along { handle, rights: Rights::READ, moves: true }) }
        }
    }
    extern "C" fn calls(gate: u64, _: u64) -> ! {
        let result = lent::<Gate>(gate).request(Request::new([77; 6]));
        thread::exit(
            result.map_or_else(Error::status, |(words, given)| words[5] + 1000 * u64::from(given != Handle::NONE)),
        )
    }
    let (service, segment) = (Service::new::<Gives>(1)?, memory()?);
    for (slots, expected) in [(1, 77), (2, 1077)] {
        let own = segment.derive(Rights::READ | Rights::GRANT, 0)?;
        GIVEN.store(own.handle().bits(), SeqCst);
        let table = CapTable::new(program().account(), slots)?;
        let gate = service.gate.copy_into(&table, Rights::CALL, 0)?;
        let thread = Thread::new(program().account(), &table, program().space(), 1)?;
        start_at(&thread, calls, SpareStack::new(), gate.bits())?;
        ensure_eq!((thread.join()?, own.capability_info().is_ok()), (expected, slots == 1));
    }
    Ok(())
}

/// A return that is refused leaves the callee where it is, and the next one goes.
fn a_callee_is_told_why_a_return_is_refused() -> Verdict {
    serves!(Tries, |called| {
        let [weak, bare, ..] = called.words;
        let tries = [(weak, READ, 0), (bare, READ, 2), (u64::MAX, 0, 0), (bare, 0, 4), (bare, 1 << 40, 0)];
        let [a, b, c, d, e] =
            tries.map(|(cap, rights, flags)| status(attempt(number::gate_return, [cap, rights, flags, 0, 0, 0])));
        [a, b, c, d, e, 0]
    });
    let (service, segment) = (Service::new::<Tries>(1)?, memory()?);
    let (weak, bare) = (segment.derive(Rights::READ, 0)?, segment.derive(Rights::GRANT, 0)?);
    use Error::{BadArgument, BadHandle, MissingRight};
    let expected = [MissingRight, MissingRight, BadHandle, BadArgument, BadArgument].map(Error::status);
    ensure_eq!(service.gate.call([weak.handle().bits(), bare.handle().bits(), 0, 0, 0, 0])?[..5], expected);
    Ok(())
}

/// Layouts that no gate can have are refused, and cost nothing.
fn gates_that_make_no_sense_are_not_made() -> Verdict {
    let (space, at) = (program().new_space()?, fresh_address());
    let objects = [program().account().handle(), space.handle(), program().table().handle()].map(Handle::bits);
    let make = |layout: u64| attempt(number::gate_create, [objects[0], objects[1], objects[2], layout, 0, 0]);
    let used = program().account().info()?.used_bytes;
    for (layout, error) in [
        ([at, at, PAGE, 0], Error::BadArgument),
        ([at, at, PAGE, 64], Error::BadArgument),
        ([at, at, PAGE, u64::MAX], Error::BadArgument),
        ([at, at, 0, 1], Error::BadArgument),
        ([at, at, 1 << 32, 1], Error::BadArgument),
        ([at, at, PAGE + 8, 1], Error::Misaligned),
        ([at, at + 8, PAGE, 1], Error::Misaligned),
        ([USER_END, at, PAGE, 1], Error::BadAddress),
        ([KERNEL_ADDRESSES[0], at, PAGE, 1], Error::BadAddress),
        ([at, USER_END, PAGE, 1], Error::BadAddress),
        ([at, USER_END - PAGE, PAGE, 2], Error::BadAddress),
        ([at, KERNEL_ADDRESSES[0], PAGE, 1], Error::BadAddress),
        ([at, u64::MAX - 4095, PAGE, 1], Error::BadAddress),
    ] {
        let result = make(layout.as_ptr().expose_provenance() as u64);
        ensure!(result == Err(error), "{layout:x?} gave {result:?} instead of {error:?}");
    }
    for pointer in KERNEL_ADDRESSES.into_iter().chain([UNMAPPED, 0, u64::MAX - 7]) {
        refused(make(pointer), Error::BadPointer)?;
    }
    ensure_eq!(program().account().info()?.used_bytes, used);
    Ok(())
}

/// Making and closing a gate needs rights, and objects of the right kinds.
fn gates_need_rights_and_the_right_kinds() -> Verdict {
    let (service, at) = (Service::new::<Turns>(1)?, fresh_address());
    let layout = [at, at, PAGE, 1];
    let pointer = layout.as_ptr().expose_provenance() as u64;
    let good = [program().account().handle(), service.space.handle(), program().table().handle()].map(Handle::bits);
    let without = |right| Rights::all().difference(right);
    let (account, space, table) = (
        program().account().derive(without(Rights::CHARGE), 0)?,
        service.space.derive(without(Rights::SWITCH), 0)?,
        program().table().derive(without(Rights::CONTROL), 0)?,
    );
    let weak = [account.handle(), space.handle(), table.handle()].map(Handle::bits);
    for index in 0..3 {
        for (bits, error) in [
            (weak[index], Error::MissingRight),
            (service.bits(), Error::WrongObject),
            (u64::MAX, Error::BadHandle),
            (0, Error::BadHandle),
        ] {
            let mut words = [good[0], good[1], good[2], pointer, 0, 0];
            words[index] = bits;
            refused(attempt(number::gate_create, words), error)?;
        }
    }
    let weak = service.gate.derive(without(Rights::CONTROL), 0)?;
    refused(weak.close(), Error::MissingRight)?;
    refused(weak.close_now(), Error::MissingRight)?;
    refused(attempt(number::gate_close, [service.bits(), 2, 0, 0, 0, 0]), Error::BadArgument)?;
    refused(attempt(number::gate_close, [good[0], 0, 0, 0, 0, 0]), Error::WrongObject)?;
    refused(attempt(number::gate_info, [service.bits(), UNMAPPED, 0, 0, 0, 0]), Error::BadPointer)?;
    refused(attempt(number::gate_info, [good[1], UNMAPPED, 0, 0, 0, 0]), Error::WrongObject)?;
    ensure_eq!((service.gate.info()?.is_open, service.gate.call([0; 6])?), (1, [u64::MAX; 6]));
    Ok(())
}

/// Forged and stale handles, missing rights, other kinds and unknown flags are refused, and so is returning from no call.
fn calls_that_make_no_sense_are_refused() -> Verdict {
    let service = Service::new::<Turns>(1)?;
    let weak = service.gate.derive(Rights::all().difference(Rights::CALL), 0)?;
    let stale = service.gate.derive(Rights::all(), 0)?.handle().bits();
    for _ in 0..2 {
        for (gate, flags, error) in [
            (weak.handle().bits(), 0, Error::MissingRight),
            (stale, 0, Error::BadHandle),
            (u64::MAX, 0, Error::BadHandle),
            (0, 0, Error::BadHandle),
            (service.space.handle().bits(), 0, Error::WrongObject),
            (service.bits(), 4, Error::BadArgument),
            (service.bits(), u64::MAX, Error::BadArgument),
        ] {
            let words = [1, 2, 3, 4, 5, 6].map(AtomicU64::new);
            let (failed, _) = raw::gate_call_keeping([gate, flags, 0, 0], &words);
            ensure_eq!((failed, words.map(AtomicU64::into_inner)), (error.status(), [1, 2, 3, 4, 5, 6]));
        }
        refused(attempt(number::gate_return, [0; 6]), Error::BadState)?;
        refused(Called::is_awaited(), Error::BadState)?;
        // And the same once the thread has been in a call.
        service.gate.call([0; 6])?;
    }
    ensure_eq!(service.gate.info()?.free, 1);
    Ok(())
}

/// Services, their calls and their callers come and go, and the account has what it had.
fn what_was_made_for_calls_comes_back_to_the_account() -> Verdict {
    leaves_nothing(30, |_| -> Verdict {
        let table = CapTable::new(program().account(), 8)?;
        let (service, segment) = (Service::with_table::<Tells>(4, &table)?, memory()?);
        let (words, _) = service.gate.request(Request::new([0; 6]).along(Along::derived(&segment, Rights::READ)))?;
        ensure_eq!(words[0], 0);
        caller(service.bits(), Request::new([0; 6]))?.join()??;
        let lent = service.gate.derive(Rights::CALL, 3)?;
        lent.call([0; 6])?;
        Ok(())
    })
}

//! The name service refuses what makes no sense, and keeps one client from doing to another what it should not.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::vec::Vec;
use conformance::{
    Claim, Naming, Verdict, claim, ensure, ensure_eq, page, refused, run, the_kernel_passes_its_own_checks,
};
use libvas::gate::{Along, Request};
use libvas::names::{self, CLIENTS, Class, Mode, NAMES_OF_CLIENT, NO_SERVICE, Operation, Question, name_words};
use libvas::{Cap, Error, Gate, Names, PAGE_BYTES, Rights, Segment, Space, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(who_was_given_no_service_is_told_so),
        claim!(a_name_that_is_taken_stays_what_it_is),
        claim!(what_nobody_has_registered_is_not_found),
        claim!(what_is_no_name_is_refused),
        claim!(more_than_was_registered_is_refused),
        claim!(what_the_mode_withholds_is_refused),
        claim!(an_object_of_another_kind_is_refused),
        claim!(what_cannot_be_handed_on_is_not_registered),
        claim!(a_name_for_nothing_is_refused),
        claim!(a_stranger_forgets_no_name),
        claim!(a_badge_makes_nobody_another_one),
        claim!(questions_that_make_no_sense_are_refused),
        claim!(what_comes_along_with_a_wrong_question_does_not_stay),
        claim!(a_full_client_leaves_others_their_room),
        claim!(there_are_only_so_many_clients),
        claim!(only_who_started_the_service_lets_others_in),
        claim!(a_client_that_was_dismissed_is_outside),
        claim!(clients_that_there_are_not_are_not_dismissed),
        claim!(a_gate_without_the_right_is_no_way_in),
        claim!(a_full_table_takes_nothing_and_claims_nothing),
        claim!(an_object_that_is_gone_is_not_found_and_its_name_is_free),
        claim!(what_was_taken_back_is_not_found),
        claim!(one_who_writes_is_alone),
        claim!(those_who_read_keep_writers_away),
        claim!(what_is_in_use_is_not_removed),
        claim!(there_is_one_service_at_a_time),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("names_refused", CLAIMS)
}

const ALL: Mode = Mode::new(0o666);
const OWN: Mode = Mode::new(0o600);

fn find(names: &Names, name: &str) -> Result<Cap<Segment>, Error> {
    names.find(name, Rights::READ)
}

/// What a gate answers to these words: the first of them.
fn status(names: &Names, words: [u64; 6]) -> Result<u64, Error> {
    Ok(names.gate().request(Request::new(words).wait())?.0[0])
}

/// Without `names=start` programs run as ever, and are told when they ask.
fn who_was_given_no_service_is_told_so() -> Verdict {
    ensure!(program().names().is_none(), "nobody asked for the service");
    refused(names::service().map(|_| ()), NO_SERVICE)
}

/// Neither another client nor the same one takes it; what came along is given up.
fn a_name_that_is_taken_stays_what_it_is() -> Verdict {
    let (naming, first, second) = (Naming::new()?, page()?, page()?);
    naming.one.register("taken", Along::derived(&first, Rights::READ), ALL)?;
    for names in [&naming.one, &naming.other, naming.service.names()] {
        refused(names.register("taken", Along::derived(&second, Rights::READ), ALL), Error::Exists)?;
    }
    ensure_eq!(second.capability_info()?.references, 1);
    ensure_eq!(find(&naming.other, "taken")?.capability_info()?.object, first.capability_info()?.object);
    Ok(())
}

/// Whatever is asked about it.
fn what_nobody_has_registered_is_not_found() -> Verdict {
    let naming = Naming::new()?;
    let segment = page()?;
    naming.one.register("one", Along::derived(&segment, Rights::READ), ALL)?;
    for name in ["two", "on", "onee", "", "One"] {
        refused(find(&naming.one, name), Error::NotFound)?;
        refused(naming.one.unregister(name), Error::NotFound)?;
        refused(naming.one.info(name), Error::NotFound)?;
        refused(naming.one.set_mode(Class::Plain, name, ALL), Error::NotFound)?;
        refused(naming.one.about(Operation::Remove, Class::Plain, name), Error::NotFound)?;
    }
    refused(naming.one.about(Operation::Info, Class::Space, "one"), Error::NotFound)
}

/// Too long, empty, invisible, or with something behind its end.
fn what_is_no_name_is_refused() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let register = |name| naming.one.register(name, Along::derived(&segment, Rights::READ), ALL);
    for name in ["012345678901234567890123456789012", "", "two\nlines", "bell\u{7}", "left\u{202e}right", "a\0b"] {
        refused(register(name), Error::BadText)?;
    }
    refused(find(&naming.one, "012345678901234567890123456789012"), Error::BadText)?;
    let along = Along::derived(&segment, Rights::GRANT);
    for name in [[u64::from(b'a'), 0, 0, 1], [0xff, 0, 0, 0], [u64::MAX; 4]] {
        let words = Question { name, ..Question::new(Operation::Register) }.encode();
        let (answer, _) = naming.one.gate().request(Request::new(words).along(along).wait())?;
        ensure_eq!(answer[0], Error::BadText.status());
    }
    ensure_eq!((naming.one.list().count(), segment.capability_info()?.references), (0, 1));
    Ok(())
}

/// Not even by who has registered it.
fn more_than_was_registered_is_refused() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("little", Along::derived(&segment, Rights::READ), ALL)?;
    for names in [&naming.one, &naming.other] {
        for rights in [Rights::WRITE, Rights::READ_WRITE, Rights::READ | Rights::GRANT, Rights::all()] {
            refused(names.find::<Segment>("little", rights), Error::MissingRight)?;
        }
        find(names, "little")?;
    }
    Ok(())
}

/// Others' bits are for others; those in the middle are for nobody.
fn what_the_mode_withholds_is_refused() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    for (mode, read, write) in
        [(0o600, false, false), (0o664, true, false), (0o662, false, true), (0o670, false, false)]
    {
        naming.one.register("mode", Along::derived(&segment, Rights::READ_WRITE), Mode::new(mode))?;
        for (rights, may) in [(Rights::READ, read), (Rights::WRITE, write), (Rights::READ_WRITE, read && write)] {
            let found = naming.other.find::<Segment>("mode", rights).map(drop);
            ensure_eq!(found, if may { Ok(()) } else { Err(Error::MissingRight) });
        }
        naming.one.unregister("mode")?;
    }
    naming.one.register("mode", Along::derived(&segment, Rights::READ_WRITE), Mode::new(0o006))?;
    refused(find(&naming.one, "mode"), Error::MissingRight)
}

/// So nobody takes a space for a segment.
fn an_object_of_another_kind_is_refused() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("kind", Along::derived(&segment, Rights::READ), ALL)?;
    refused(naming.other.find::<Space>("kind", Rights::READ), Error::WrongObject)?;
    refused(naming.other.find::<Gate>("kind", Rights::empty()), Error::WrongObject)
}

/// A capability without `GRANT` goes along with no call, and one with less than is said is not registered.
fn what_cannot_be_handed_on_is_not_registered() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let weak = segment.derive(Rights::READ, 0)?;
    refused(naming.one.register("weak", Along::derived(&weak, Rights::READ), ALL), Error::MissingRight)?;
    let words =
        Question { rights: Rights::READ_WRITE, name: name_words("weak")?, ..Question::new(Operation::Register) };
    for rights in [Rights::READ_WRITE, Rights::READ | Rights::GRANT] {
        let request = Request::new(words.encode()).along(Along::derived(&segment, rights)).wait();
        ensure_eq!(naming.one.gate().request(request)?.0[0], Error::MissingRight.status());
    }
    ensure_eq!((naming.one.list().count(), segment.capability_info()?.references), (0, 2));
    Ok(())
}

/// A capability has to come along.
fn a_name_for_nothing_is_refused() -> Verdict {
    let naming = Naming::new()?;
    let words = Question { name: name_words("nothing")?, ..Question::new(Operation::Register) }.encode();
    ensure_eq!(status(&naming.one, words)?, Error::BadArgument.status());
    refused(naming.one.info("nothing"), Error::NotFound)
}

/// Nor does it change a mode. To be let read is not enough.
fn a_stranger_forgets_no_name() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("mine", Along::derived(&segment, Rights::READ), Mode::new(0o664))?;
    refused(naming.other.unregister("mine"), Error::MissingRight)?;
    refused(naming.other.about(Operation::Remove, Class::Plain, "mine"), Error::MissingRight)?;
    refused(naming.other.set_mode(Class::Plain, "mine", ALL), Error::MissingRight)?;
    ensure_eq!(naming.one.info("mine")?.mode, Mode::new(0o664));
    find(&naming.other, "mine").map(drop)?;
    Ok(())
}

/// Whoever holds a gate may derive one with any badge, and is who it was.
fn a_badge_makes_nobody_another_one() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("mine", Along::derived(&segment, Rights::READ), OWN)?;
    for badge in [0, 1, 2, 3, u64::MAX] {
        let forged = Names::new(naming.other.gate().derive(Rights::CALL, badge)?);
        refused(find(&forged, "mine"), Error::MissingRight)?;
        refused(forged.unregister("mine"), Error::MissingRight)?;
        refused(forged.admit().map(|(number, _)| number), Error::MissingRight)?;
        let own = Names::new(naming.one.gate().derive(Rights::CALL, badge)?);
        find(&own, "mine").map(drop)?;
    }
    Ok(())
}

/// An operation, a class, a right that there is not.
fn questions_that_make_no_sense_are_refused() -> Verdict {
    let naming = Naming::new()?;
    let sound = Question { name: name_words("sound")?, ..Question::new(Operation::Find) }.encode();
    ensure_eq!(status(&naming.one, sound)?, Error::NotFound.status());
    for head in [0, 11, 0xff, 2 | 5 << 8, 2 | 0xf << 8, 2 | 1 << 63, u64::MAX] {
        let words = [head, sound[1], sound[2], sound[3], sound[4], 0];
        ensure_eq!(status(&naming.one, words)?, Error::BadArgument.status());
    }
    for place in [1 << 20, u64::MAX] {
        let words = Question { value: place, ..Question::new(Operation::List) }.encode();
        ensure_eq!(status(&naming.one, words)?, Error::NotFound.status());
    }
    Ok(())
}

/// Whatever is asked with it, the service gives it up.
fn what_comes_along_with_a_wrong_question_does_not_stay() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let along = Along::derived(&segment, Rights::READ | Rights::GRANT);
    for head in [0, 3, 4, 5, 6, 7, 8, 9, 10, 11] {
        naming.other.gate().request(Request::new([head, 1, 0, 0, 0, 0]).along(along).wait())?;
        ensure_eq!(segment.capability_info()?.references, 1);
    }
    Ok(())
}

/// Each has room for its names, whatever others have registered.
fn a_full_client_leaves_others_their_room() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let register = |names: &Names, name: &str| names.register(name, Along::derived(&segment, Rights::READ), OWN);
    for (who, names) in [("one", &naming.one), ("other", &naming.other)] {
        for number in 0..NAMES_OF_CLIENT {
            register(names, &format!("{who} {number}"))?;
        }
        refused(register(names, "one more"), Error::LimitReached)?;
    }
    let references = segment.capability_info()?.references;
    ensure_eq!(references, 1 + 2 * NAMES_OF_CLIENT as u64);
    naming.one.unregister("one 17")?;
    refused(register(&naming.other, "one more"), Error::LimitReached)?;
    register(&naming.one, "one more")?;
    find(&naming.one, "one 63").map(drop)?;
    Ok(())
}

/// The service makes room for them when it starts, and has no more.
fn there_are_only_so_many_clients() -> Verdict {
    let naming = Naming::new()?;
    let (starter, mut clients) = (naming.service.names(), Vec::new());
    for _ in 3..CLIENTS {
        clients.push(starter.admit()?);
    }
    refused(starter.admit().map(|(number, _)| number), Error::LimitReached)?;
    let mut numbers: Vec<u64> = clients.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    ensure_eq!(numbers.len(), CLIENTS - 3);
    starter.dismiss(numbers[0])?;
    ensure_eq!(starter.admit()?.0, numbers[0]);
    Ok(())
}

/// Nor does another one put anybody out.
fn only_who_started_the_service_lets_others_in() -> Verdict {
    let naming = Naming::new()?;
    refused(naming.one.admit().map(|(number, _)| number), Error::MissingRight)?;
    refused(naming.one.dismiss(naming.number), Error::MissingRight)?;
    refused(naming.one.dismiss(0), Error::MissingRight)?;
    refused(find(&naming.other, "still there"), Error::NotFound)
}

/// By whatever capability to its gate.
fn a_client_that_was_dismissed_is_outside() -> Verdict {
    let naming = Naming::new()?;
    let derived = Names::new(naming.other.gate().derive(Rights::CALL, 5)?);
    naming.service.names().dismiss(naming.number)?;
    refused(find(&naming.other, "any"), Error::Gone)?;
    refused(derived.info("any"), Error::Gone)?;
    // Whoever has the number now has another gate.
    let (number, gate) = naming.service.names().admit()?;
    ensure_eq!(number, naming.number);
    refused(find(&naming.other, "any"), Error::Gone)?;
    refused(find(&Names::new(gate), "any"), Error::NotFound)
}

/// The one who started the service included.
fn clients_that_there_are_not_are_not_dismissed() -> Verdict {
    let naming = Naming::new()?;
    for number in [0, 7, CLIENTS as u64 - 1, CLIENTS as u64, u64::MAX] {
        refused(naming.service.names().dismiss(number), Error::BadArgument)?;
    }
    naming.service.names().dismiss(naming.number)?;
    refused(naming.service.names().dismiss(naming.number), Error::BadArgument)
}

/// And a handle that names no gate is none either.
fn a_gate_without_the_right_is_no_way_in() -> Verdict {
    let naming = Naming::new()?;
    refused(find(&Names::new(naming.one.gate().derive(Rights::GRANT, 0)?), "any"), Error::MissingRight)?;
    let stale = naming.one.gate().derive(Rights::CALL, 0)?.handle();
    refused(find(&Names::new(Cap::from_handle(stale)), "any"), Error::BadHandle)?;
    refused(find(&Names::new(Cap::from_handle(page()?.into_handle())), "any"), Error::WrongObject)
}

/// When there is room again, nothing that could not be given is in anybody's way.
fn a_full_table_takes_nothing_and_claims_nothing() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("full", Along::derived(&segment, Rights::READ_WRITE), ALL)?;
    let claim = |names: &Names, rights| {
        names.find_in::<Segment>(Operation::Claim, Class::Plain, "full", rights).map(|(found, _)| found)
    };
    let before = segment.capability_info()?.references;
    let mut filling = Vec::new();
    while let Ok(more) = segment.derive(Rights::READ, 0) {
        filling.push(more);
    }
    let found = [find(&naming.other, "full").err(), claim(&naming.other, Rights::READ_WRITE).err()];
    // With one slot that the service takes for what it means to give.
    filling.pop();
    let last = claim(&naming.other, Rights::READ_WRITE).err();
    drop(filling);
    ensure_eq!((found, last), ([Some(Error::TableFull); 2], Some(Error::TableFull)));
    // What it took for that it gives up when the client comes again.
    naming.other.info("full")?;
    ensure_eq!(segment.capability_info()?.references, before);
    claim(&naming.one, Rights::READ_WRITE).map(drop)?;
    Ok(())
}

/// The account that paid for it was ended, and all capabilities to it went, the service's among them.
fn an_object_that_is_gone_is_not_found_and_its_name_is_free() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let account = program().account().split(64 * PAGE_BYTES)?;
    naming.one.register("gone", Along::moved(Segment::new(&account, PAGE_BYTES)?, Rights::READ), OWN)?;
    find(&naming.one, "gone").map(drop)?;
    account.end()?;
    refused(find(&naming.one, "gone"), Error::NotFound)?;
    naming.other.register("gone", Along::derived(&segment, Rights::READ), ALL)?;
    ensure_eq!(find(&naming.one, "gone")?.capability_info()?.object, segment.capability_info()?.object);
    Ok(())
}

/// Whoever registered what was derived can take all of it back, what others have found included.
fn what_was_taken_back_is_not_found() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("lent", Along::derived(&segment, Rights::READ), ALL)?;
    let found = find(&naming.other, "lent")?;
    segment.revoke()?;
    refused(found.capability_info(), Error::BadHandle)?;
    refused(find(&naming.other, "lent"), Error::NotFound)?;
    naming.one.unregister("lent")?;
    Ok(())
}

/// Neither a reader nor another writer has it meanwhile, whoever they are.
fn one_who_writes_is_alone() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("one", Along::moved(segment, Rights::READ_WRITE), ALL)?;
    let claim = |names: &Names, rights| {
        names.find_in::<Segment>(Operation::Claim, Class::Plain, "one", rights).map(|(found, _)| found)
    };
    let writer = claim(&naming.one, Rights::READ_WRITE)?;
    for names in [&naming.one, &naming.other] {
        for rights in [Rights::READ, Rights::READ_WRITE, Rights::WRITE] {
            refused(claim(names, rights), Error::Busy)?;
        }
    }
    drop(writer);
    claim(&naming.other, Rights::WRITE).map(drop)?;
    Ok(())
}

/// Any number of them, and none of each other.
fn those_who_read_keep_writers_away() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("many", Along::moved(segment, Rights::READ_WRITE), ALL)?;
    let claim = |names: &Names, rights| {
        names.find_in::<Segment>(Operation::Claim, Class::Plain, "many", rights).map(|(found, _)| found)
    };
    let mut readers = Vec::new();
    for round in 0..50 {
        readers.push(claim(if round % 2 == 0 { &naming.one } else { &naming.other }, Rights::READ)?);
    }
    refused(claim(&naming.one, Rights::READ_WRITE), Error::Busy)?;
    readers.truncate(1);
    refused(claim(&naming.one, Rights::READ_WRITE), Error::Busy)?;
    readers.clear();
    claim(&naming.one, Rights::READ_WRITE).map(drop)?;
    Ok(())
}

/// Forgetting its name is not the same: that is let.
fn what_is_in_use_is_not_removed() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("used", Along::derived(&segment, Rights::READ), ALL)?;
    let remove = || naming.one.about(Operation::Remove, Class::Plain, "used").map(drop);
    let found = find(&naming.other, "used")?;
    refused(remove(), Error::Busy)?;
    naming.one.unregister("used")?;
    ensure_eq!(found.rights()?, Rights::READ);
    naming.one.register("used", Along::derived(&segment, Rights::READ), ALL)?;
    remove()?;
    refused(find(&naming.other, "used"), Error::NotFound)
}

/// The first goes on undisturbed.
fn there_is_one_service_at_a_time() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("first", Along::derived(&segment, Rights::READ), ALL)?;
    refused(Naming::new().map(|_| ()), Error::BadState)?;
    find(&naming.other, "first").map(drop)?;
    Ok(())
}

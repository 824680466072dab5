//! The name service: what is registered is found, by whom it may be, as long as it is registered.
//!
//! boot: options="names=start"

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use conformance::{
    Census, Claim, Naming, Verdict, claim, ensure, ensure_eq, leaves_nothing, page, refused, run,
    the_kernel_passes_its_own_checks,
};
use libvas::gate::Along;
use libvas::names::{self, CLIENTS, Class, Mode, Operation};
use libvas::thread;
use libvas::{
    Account, Cap, CapTable, Error, Gate, Names, Object, ObjectKind, PAGE_BYTES, Rights, Segment, Space, program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_is_registered_is_found),
        claim!(whoever_init_starts_has_a_way_to_the_service),
        claim!(a_name_outlives_who_registered_it),
        claim!(a_capability_can_be_given_up_to_a_name),
        claim!(an_object_goes_with_its_last_name),
        claim!(names_have_up_to_32_bytes),
        claim!(objects_of_any_kind_have_names),
        claim!(names_of_different_classes_do_not_meet),
        claim!(a_name_is_told_of),
        claim!(a_mode_counts_from_when_it_is_set),
        claim!(all_names_are_listed),
        claim!(a_name_can_be_given_again),
        claim!(who_started_the_service_forgets_any_name),
        claim!(whom_the_mode_lets_write_forgets_it_as_well),
        claim!(a_claim_ends_with_its_last_capability),
        claim!(a_clients_number_is_free_when_its_names_are),
        claim!(finding_and_naming_leave_nothing),
        claim!(a_service_and_its_clients_leave_nothing),
        claim!(clients_at_work_at_once_do_not_disturb_each_other),
        claim!(threads_of_a_client_wait_for_each_other),
        claim!(a_service_is_started_anew_and_clients_connect_again),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("names_registered", CLAIMS)
}

const ALL: Mode = Mode::new(0o666);
const OWN: Mode = Mode::new(0o600);

fn object_of<T: Object>(capability: &Cap<T>) -> Result<u64, Error> {
    Ok(capability.capability_info()?.object)
}

/// What is found is the object, with the rights that were asked for, and can be used.
fn what_is_registered_is_found() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    segment.write(8, &[77])?;
    naming.one.register("memory", Along::derived(&segment, Rights::READ_WRITE), Mode::new(0o604))?;
    let found: Cap<Segment> = naming.other.find("memory", Rights::READ)?;
    ensure_eq!((object_of(&found)?, found.rights()?), (object_of(&segment)?, Rights::READ));
    let mut byte = [0];
    found.read(8, &mut byte)?;
    ensure_eq!(byte, [77]);
    let own: Cap<Segment> = naming.one.find("memory", Rights::READ_WRITE)?;
    ensure_eq!(own.rights()?, Rights::READ_WRITE);
    Ok(())
}

/// The service that `init` has started knows this program, and what it has registered.
fn whoever_init_starts_has_a_way_to_the_service() -> Verdict {
    let (names, segment) = (names::service()?, page()?);
    names.register("init's", Along::derived(&segment, Rights::READ), OWN)?;
    ensure_eq!(object_of(&names.find::<Segment>("init's", Rights::READ)?)?, object_of(&segment)?);
    ensure!(names.info("init's")?.is_own, "it is this program's");
    names.unregister("init's")?;
    refused(names.find::<Segment>("init's", Rights::READ), Error::NotFound)
}

/// The client has gone, and so has its capability: the name stands for the object still.
fn a_name_outlives_who_registered_it() -> Verdict {
    let naming = Naming::new()?;
    {
        let segment = page()?;
        segment.write(0, &[9])?;
        naming.other.register("left", Along::derived(&segment, Rights::READ), Mode::new(0o004))?;
    }
    naming.service.names().dismiss(naming.number)?;
    let mut byte = [0];
    naming.one.find::<Segment>("left", Rights::READ)?.read(0, &mut byte)?;
    ensure_eq!(byte, [9]);
    Ok(())
}

/// What is moved to the service is its own, and nobody's else.
fn a_capability_can_be_given_up_to_a_name() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let object = object_of(&segment)?;
    naming.one.register("moved", Along::moved(segment, Rights::READ), ALL)?;
    let found: Cap<Segment> = naming.other.find("moved", Rights::READ)?;
    let info = found.capability_info()?;
    ensure_eq!((info.object, info.references, info.has_parent), (object, 2, 1));
    Ok(())
}

/// As long as it is registered, or somebody has found it; no longer.
fn an_object_goes_with_its_last_name() -> Verdict {
    let naming = Naming::new()?;
    let segments = || Ok::<_, Error>(Census::take()?.machine.segments);
    let before = segments()?;
    for holds in [false, true] {
        naming.one.register("last", Along::moved(page()?, Rights::READ), OWN)?;
        let found = holds.then(|| naming.one.find::<Segment>("last", Rights::READ)).transpose()?;
        naming.one.unregister("last")?;
        ensure_eq!(segments()?, before + u64::from(holds));
        drop(found);
        ensure_eq!(segments()?, before);
    }
    Ok(())
}

/// From one byte to 32, of whatever alphabet.
fn names_have_up_to_32_bytes() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let longest = "01234567890123456789012345678901";
    for name in ["a", "12345678", "a name", "größe", "漢字漢字漢字漢字漢字", longest] {
        naming.one.register(name, Along::derived(&segment, Rights::READ), ALL)?;
        naming.other.find::<Segment>(name, Rights::READ)?;
    }
    refused(naming.other.find::<Segment>(&longest[..31], Rights::READ), Error::NotFound)
}

/// Accounts, spaces, tables, gates: each is found as what it is.
fn objects_of_any_kind_have_names() -> Verdict {
    let naming = Naming::new()?;
    let (account, space) = (program().account().split(PAGE_BYTES)?, program().new_space()?);
    let table = CapTable::new(program().account(), 1)?;
    naming.one.register("account", Along::derived(&account, Rights::CHARGE), ALL)?;
    naming.one.register("space", Along::derived(&space, Rights::SWITCH | Rights::INSPECT), ALL)?;
    naming.one.register("table", Along::derived(&table, Rights::INSERT), ALL)?;
    naming.one.register("gate", Along::derived(naming.one.gate(), Rights::CALL), ALL)?;
    ensure_eq!(object_of(&naming.other.find::<Account>("account", Rights::CHARGE)?)?, object_of(&account)?);
    ensure_eq!(naming.other.find::<Space>("space", Rights::SWITCH)?.enter(|| 7)?, 7);
    ensure_eq!(object_of(&naming.other.find::<CapTable>("table", Rights::INSERT)?)?, object_of(&table)?);
    // By a gate that was found one is whoever it belongs to.
    let as_one = Names::new(naming.other.find::<Gate>("gate", Rights::CALL)?);
    ensure!(as_one.info("gate")?.is_own && !naming.other.info("gate")?.is_own, "the gate says who calls");
    Ok(())
}

/// One name, once in each class.
fn names_of_different_classes_do_not_meet() -> Verdict {
    let naming = Naming::new()?;
    for (class, value) in Class::ALL.into_iter().zip(10..) {
        naming.one.register_in(class, "same", Along::moved(page()?, Rights::READ), ALL, value)?;
    }
    for (class, value) in Class::ALL.into_iter().zip(10..) {
        let (_, found) = naming.other.find_in::<Segment>(Operation::Find, class, "same", Rights::READ)?;
        ensure_eq!(found, value);
    }
    naming.one.about(Operation::Unregister, Class::Region, "same")?;
    ensure!(naming.one.info("same").is_ok(), "the others are still there");
    Ok(())
}

/// Kind, mode, whose it is, and what whoever asks may have.
fn a_name_is_told_of() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("told", Along::derived(&segment, Rights::READ_WRITE), Mode::new(0o604))?;
    let [own, others] = [naming.one.info("told")?, naming.other.info("told")?];
    ensure_eq!((own.kind, own.mode, own.rights), (ObjectKind::Segment as u8, Mode::new(0o604), Rights::READ_WRITE));
    ensure_eq!((others.kind, others.mode, others.rights), (own.kind, own.mode, Rights::READ));
    ensure_eq!([own.is_own, others.is_own, naming.service.names().info("told")?.is_own], [true, false, false]);
    Ok(())
}

/// What was found before stays what it is.
fn a_mode_counts_from_when_it_is_set() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("mode", Along::derived(&segment, Rights::READ_WRITE), ALL)?;
    let before: Cap<Segment> = naming.other.find("mode", Rights::READ_WRITE)?;
    naming.one.set_mode(Class::Plain, "mode", Mode::new(0o604))?;
    ensure_eq!(naming.other.find::<Segment>("mode", Rights::READ)?.rights()?, Rights::READ);
    refused(naming.other.find::<Segment>("mode", Rights::WRITE), Error::MissingRight)?;
    ensure_eq!(before.rights()?, Rights::READ_WRITE);
    Ok(())
}

/// Each once, of whoever, and of whatever class and mode.
fn all_names_are_listed() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    ensure_eq!(naming.one.list().count(), 0);
    let mut expected = Vec::new();
    for number in 0..20 {
        let (name, names) = (format!("entry {number}"), if number % 2 == 0 { &naming.one } else { &naming.other });
        names.register(&name, Along::derived(&segment, Rights::READ), OWN)?;
        expected.push(name);
    }
    let mut found = Vec::new();
    for listed in naming.other.list() {
        let listed = listed?;
        ensure_eq!(listed.class, Class::Plain);
        found.push(listed.name.as_str().to_string());
    }
    found.sort();
    expected.sort();
    ensure_eq!(found, expected);
    Ok(())
}

/// To something else, by somebody else.
fn a_name_can_be_given_again() -> Verdict {
    let (naming, first, second) = (Naming::new()?, page()?, page()?);
    for _ in 0..100 {
        naming.one.register("again", Along::derived(&first, Rights::READ), ALL)?;
        naming.one.unregister("again")?;
        naming.other.register("again", Along::derived(&second, Rights::READ), ALL)?;
        ensure_eq!(object_of(&naming.one.find::<Segment>("again", Rights::READ)?)?, object_of(&second)?);
        naming.other.unregister("again")?;
    }
    Ok(())
}

/// Also of a client that has gone.
fn who_started_the_service_forgets_any_name() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.other.register("any", Along::derived(&segment, Rights::READ), OWN)?;
    naming.service.names().dismiss(naming.number)?;
    naming.service.names().unregister("any")?;
    refused(naming.one.info("any"), Error::NotFound)
}

/// And so can its mode be changed.
fn whom_the_mode_lets_write_forgets_it_as_well() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("public", Along::derived(&segment, Rights::READ), ALL)?;
    naming.other.set_mode(Class::Plain, "public", Mode::new(0o662))?;
    naming.other.unregister("public")?;
    refused(naming.one.info("public"), Error::NotFound)
}

/// Whoever has it: nobody counts, so nobody can forget to say that he has gone.
fn a_claim_ends_with_its_last_capability() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let rights = Rights::READ_WRITE | Rights::GRANT;
    naming.one.register("claimed", Along::derived(&segment, rights), ALL)?;
    let claim =
        |rights| naming.other.find_in::<Segment>(Operation::Claim, Class::Plain, "claimed", rights).map(|(cap, _)| cap);
    for _ in 0..10 {
        let table = CapTable::new(program().account(), 2)?;
        let own = claim(rights)?;
        let theirs = own.copy_into(&table, Rights::READ_WRITE, 0)?;
        drop(own);
        ensure!(theirs != libvas::Handle::NONE, "the other table has it");
        refused(claim(Rights::READ), Error::Busy)?;
        // As when a program ends.
        drop(table);
        drop(claim(Rights::READ)?);
    }
    // What is mapped is in use although no capability is left.
    let (space, own) = (Space::new(program().account())?, claim(Rights::READ_WRITE)?);
    space.map(0x1_0000, &own, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    drop(own);
    refused(claim(Rights::READ), Error::Busy)?;
    drop(space);
    claim(Rights::READ).map(drop)?;
    Ok(())
}

/// Until then it is whoever's names are left.
fn a_clients_number_is_free_when_its_names_are() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    let starter = naming.service.names();
    naming.other.register("kept", Along::derived(&segment, Rights::READ), Mode::new(0o602))?;
    starter.dismiss(naming.number)?;
    let mut others = Vec::new();
    for _ in 0..CLIENTS - 3 {
        let (number, gate) = starter.admit()?;
        ensure!(number != naming.number, "a client has the number of one whose name is registered");
        others.push(gate);
    }
    refused(starter.admit().map(|(number, _)| number), Error::LimitReached)?;
    naming.one.unregister("kept")?;
    ensure_eq!(starter.admit()?.0, naming.number);
    Ok(())
}

/// A thousand times each, what is refused included.
fn finding_and_naming_leave_nothing() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("there", Along::derived(&segment, Rights::READ), ALL)?;
    leaves_nothing(1000, |_| {
        naming.other.find::<Segment>("there", Rights::READ).map(drop)?;
        naming.other.find_in::<Segment>(Operation::Claim, Class::Plain, "there", Rights::READ).map(drop)?;
        let _ = naming.other.register("there", Along::derived(&segment, Rights::READ), ALL);
        let _ = naming.other.find::<Space>("there", Rights::READ);
        naming.other.register("more", Along::derived(&segment, Rights::READ), ALL)?;
        naming.other.unregister("more")
    })
}

/// And neither do those with names left.
fn a_service_and_its_clients_leave_nothing() -> Verdict {
    let segment = page()?;
    leaves_nothing(30, |_| {
        let naming = Naming::new()?;
        naming.one.register("left", Along::derived(&segment, Rights::READ), ALL)?;
        naming.other.register("moved", Along::moved(page()?, Rights::READ), ALL)?;
        naming.service.names().dismiss(naming.number)
    })
}

/// Each has its own way in; what one does to its names is nothing to the others.
fn clients_at_work_at_once_do_not_disturb_each_other() -> Verdict {
    let naming = Naming::new()?;
    let mut threads = Vec::new();
    for worker in 0..4_u64 {
        let names = naming.client()?;
        threads.push(thread::spawn(move || {
            for round in 0..60 {
                let (name, segment) = (format!("worker {worker}, {}", round % 7), page()?);
                segment.write(0, &[worker as u8])?;
                names.register(&name, Along::moved(segment, Rights::READ), OWN)?;
                let mut byte = [0xff];
                names.find::<Segment>(&name, Rights::READ)?.read(0, &mut byte)?;
                if byte != [worker as u8] {
                    return Err(Error::BadState);
                }
                names.unregister(&name)?;
            }
            Ok(())
        })?);
    }
    for thread in threads {
        thread.join()??;
    }
    ensure_eq!(naming.one.list().count(), 0);
    Ok(())
}

/// One is inside at a time, and none is told that it is busy.
fn threads_of_a_client_wait_for_each_other() -> Verdict {
    let (naming, segment) = (Naming::new()?, page()?);
    naming.one.register("one way in", Along::derived(&segment, Rights::READ), ALL)?;
    let names = Arc::new(naming.client()?);
    let mut threads = Vec::new();
    for _ in 0..4 {
        let names = Arc::clone(&names);
        threads.push(thread::spawn(move || {
            (0..100).try_for_each(|_| names.find::<Segment>("one way in", Rights::READ).map(drop))
        })?);
    }
    for thread in threads {
        thread.join()??;
    }
    Ok(())
}

/// The old one is gone for all its clients, who keep what they have found; the new one knows nobody's names.
fn a_service_is_started_anew_and_clients_connect_again() -> Verdict {
    let Naming { service, mut one, other, .. } = Naming::new()?;
    one.register("old", Along::moved(page()?, Rights::READ_WRITE), OWN)?;
    let found: Cap<Segment> = one.find("old", Rights::READ_WRITE)?;
    drop(service);
    refused(one.find::<Segment>("old", Rights::READ), Error::Gone)?;
    refused(other.list().next().transpose(), Error::Gone)?;
    let anew = Naming::new()?;
    refused(one.find::<Segment>("old", Rights::READ), Error::Gone)?;
    one.reconnect(anew.service.names().admit()?.1);
    refused(one.find::<Segment>("old", Rights::READ), Error::NotFound)?;
    found.write(0, &[3])?;
    let segment = page()?;
    one.register("new", Along::derived(&segment, Rights::READ), OWN)?;
    ensure_eq!(object_of(&one.find::<Segment>("new", Rights::READ)?)?, object_of(&segment)?);
    Ok(())
}

//! The name service when it has ended: it is started anew for who asks, and all names of before are forgotten.
//!
//! A program of tests starts one as `init` does, and with what `init` does it with, since nobody else can end `init`'s.
//!
//! boot: options="names=start archive=read"

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use conformance::{
    Claim, Verdict, claim, ensure, ensure_eq, leaves_nothing, page, refused, run, the_kernel_passes_its_own_checks,
};
use init::names::{Admission, NameService};
use libvas::gate::Along;
use libvas::names::{self, CLIENTS, Mode};
use libvas::{Cap, Error, Names, Rights, Segment, thread};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_a_service_knew_is_forgotten_when_it_has_ended),
        claim!(what_was_found_stays),
        claim!(what_only_a_name_kept_is_gone),
        claim!(who_asks_again_without_need_stays_the_same_client),
        claim!(asking_again_takes_no_client_from_others),
        claim!(those_who_ask_at_once_get_one_service),
        claim!(a_program_that_comes_later_finds_a_service),
        claim!(who_may_not_ask_again_is_told_so),
        claim!(init_itself_is_asked),
        claim!(services_that_end_leave_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("names_restarted", CLAIMS)
}

const ALL: Mode = Mode::new(0o666);

/// The ways of a program that was let in.
fn client(admission: &Admission<'_>) -> Result<Names, Error> {
    let ways = admission.ways();
    let copy = |gate: &Cap<libvas::Gate>| gate.derive(Rights::CALL | Rights::GRANT, 0);
    Ok(Names::with_way_back(copy(ways.gate)?, ways.again.map(copy).transpose()?))
}

fn find(names: &Names, name: &str) -> Result<Cap<Segment>, Error> {
    names.find(name, Rights::READ)
}

/// Every call is `Gone` until one asks again; then names are not found, and can be given.
fn what_a_service_knew_is_forgotten_when_it_has_ended() -> Verdict {
    let service = NameService::start()?;
    let (admission, segment) = (service.admit()?, page()?);
    let names = client(&admission)?;
    names.register("word", Along::derived(&segment, Rights::READ), ALL)?;
    find(&names, "word")?;
    service.kill()?;
    for _ in 0..2 {
        refused(find(&names, "word"), Error::Gone)?;
        refused(names.register("other", Along::derived(&segment, Rights::READ), ALL), Error::Gone)?;
        refused(names.list().next().transpose(), Error::Gone)?;
    }
    let anew = names.again()?;
    refused(find(&names, "word"), Error::Gone)?;
    refused(find(&anew, "word"), Error::NotFound)?;
    ensure_eq!(anew.list().count(), 0);
    anew.register("word", Along::derived(&segment, Rights::READ), ALL)?;
    ensure_eq!(find(&anew, "word")?.capability_info()?.object, segment.capability_info()?.object);
    ensure!(anew.info("word")?.is_own, "who registered it is known");
    Ok(())
}

/// A capability that was found is the finder's own.
fn what_was_found_stays() -> Verdict {
    let service = NameService::start()?;
    let admission = service.admit()?;
    let (names, segment) = (client(&admission)?, page()?);
    segment.write(0, &[7])?;
    names.register("kept", Along::derived(&segment, Rights::READ), ALL)?;
    let found = find(&names, "kept")?;
    service.kill()?;
    refused(find(&names, "kept"), Error::Gone)?;
    let mut byte = [0];
    found.read(0, &mut byte)?;
    ensure_eq!(byte, [7]);
    Ok(())
}

/// What was moved to a name goes with the service, and its account has it back.
fn what_only_a_name_kept_is_gone() -> Verdict {
    let service = NameService::start()?;
    let admission = service.admit()?;
    let names = client(&admission)?;
    let account = libvas::program().account().split(1 << 20)?;
    let before = account.info()?;
    names.register("moved", Along::moved(Segment::new(&account, 0x4000)?, Rights::READ), ALL)?;
    ensure!(account.info()?.used_bytes > before.used_bytes, "the name keeps the memory");
    service.kill()?;
    refused(find(&names, "moved"), Error::Gone)?;
    ensure_eq!(account.info()?, before);
    refused(find(&names.again()?, "moved"), Error::NotFound)?;
    Ok(())
}

/// The service has not ended: names stay, and are that client's own.
fn who_asks_again_without_need_stays_the_same_client() -> Verdict {
    let service = NameService::start()?;
    let admission = service.admit()?;
    let (names, segment) = (client(&admission)?, page()?);
    names.register("own", Along::derived(&segment, Rights::READ), Mode::new(0o600))?;
    let same = names.again()?;
    ensure!(same.info("own")?.is_own, "another way in is the same client's");
    find(&same, "own")?;
    find(&names, "own")?;
    same.unregister("own")?;
    refused(find(&names, "own"), Error::NotFound)?;
    Ok(())
}

/// There are so many clients, and one may ask as often as it likes.
fn asking_again_takes_no_client_from_others() -> Verdict {
    let service = NameService::start()?;
    let admission = service.admit()?;
    let mut names = client(&admission)?;
    for turn in 0..3 * CLIENTS {
        names = names.again()?;
        ensure_eq!((turn, names.list().count()), (turn, 0));
    }
    Ok(())
}

/// Four threads find the service gone. What one of them registers the others find.
fn those_who_ask_at_once_get_one_service() -> Verdict {
    let service = NameService::start()?;
    let admission = service.admit()?;
    let (names, segment) = (Arc::new(client(&admission)?), Arc::new(page()?));
    for turn in 0..4 {
        service.kill()?;
        let mut threads = Vec::new();
        for number in 0..4_usize {
            let (names, segment) = (Arc::clone(&names), Arc::clone(&segment));
            threads.push(thread::spawn(move || {
                let anew = names.again()?;
                let name = ["a", "b", "c", "d"][number];
                anew.register(name, Along::derived(&segment, Rights::READ), ALL).map(|()| anew)
            })?);
        }
        let mut last = None;
        for thread in threads {
            last = Some(thread.join()??);
        }
        ensure_eq!((turn, last.map(|anew| anew.list().count())), (turn, Some(4)));
    }
    Ok(())
}

/// Whoever starts programs finds out when it lets the next one in.
fn a_program_that_comes_later_finds_a_service() -> Verdict {
    let (service, segment) = (NameService::start()?, page()?);
    for _ in 0..3 {
        let admission = service.admit()?;
        let names = client(&admission)?;
        refused(find(&names, "left"), Error::NotFound)?;
        names.register("left", Along::derived(&segment, Rights::READ), ALL)?;
        service.kill()?;
    }
    Ok(())
}

/// By a gate alone one cannot; and who started the service may have gone.
fn who_may_not_ask_again_is_told_so() -> Verdict {
    let service = NameService::start()?;
    refused(NameService::start(), Error::BadState)?;
    let admission = service.admit()?;
    let names = client(&admission)?;
    let bare = Names::new(admission.ways().gate.derive(Rights::CALL, 0)?);
    refused(bare.again(), names::NO_SERVICE)?;
    drop(admission);
    drop(service);
    refused(names.again(), Error::Gone)?;
    refused(find(&names, "any"), Error::Gone)?;
    Ok(())
}

/// The way that this program was given itself leads to `init`, whose service is there.
fn init_itself_is_asked() -> Verdict {
    let (names, segment) = (names::service()?, page()?);
    names.register("init's", Along::derived(&segment, Rights::READ), Mode::new(0o600))?;
    let same = names.again()?;
    ensure!(same.info("init's")?.is_own, "it is the same client");
    same.unregister("init's")?;
    refused(find(names, "init's"), Error::NotFound)?;
    Ok(())
}

/// Neither the machine nor the account of who started them has anything of them.
fn services_that_end_leave_nothing() -> Verdict {
    let (service, segment) = (NameService::start()?, page()?);
    let admission = service.admit()?;
    let names = client(&admission)?;
    leaves_nothing(3, |_| -> Verdict {
        let anew = names.again()?;
        anew.register("brief", Along::derived(&segment, Rights::READ), ALL)?;
        service.kill()?;
        refused(find(&anew, "brief"), Error::Gone)?;
        drop(anew);
        names.again().map(drop)?;
        Ok(())
    })
}

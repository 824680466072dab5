//! Handlers: gates that are asked what is to become of a thread that cannot go on, or makes a system call.

#![no_std]
#![no_main]

extern crate alloc;

use conformance::{
    Claim, FAULTS, GUEST_DATA, GUEST_NOTHING, GuestScene, UNMAPPED, Verdict, attempt, claim, decides, ensure,
    ensure_eq, fresh_address, handler, leaves_nothing, lent, nap, peek, poke, refused, run,
    the_kernel_passes_its_own_checks, with_handler, with_handler_by,
};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use libvas::guest::End;
use libvas::handler::{Decide, Decision, Upcall, interrupted_registers, set_interrupted_registers};
use libvas::layout::{LentInfo, LentKind};
use libvas::thread;
use libvas::{Cap, Error, Gate, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Thread, program, raw};
use tessera_abi::guest::{FLOATING, GENERAL, GuestState};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_handler_brings_memory_and_the_thread_goes_on),
        claim!(a_handler_is_told_address_access_place_and_badge),
        claim!(subtree_space_and_thread_are_asked_in_this_order),
        claim!(what_all_pass_on_ends_the_thread),
        claim!(a_handler_may_end_the_thread),
        claim!(a_handler_that_faults_exits_or_answers_nonsense_takes_its_thread_alone),
        claim!(a_handler_that_is_closed_meanwhile_has_passed_on),
        claim!(no_register_is_lost_in_a_handler_or_shows_there),
        claim!(a_threads_handler_sees_registers_and_changes_them),
        claim!(who_may_not_see_registers_does_not),
        claim!(registers_that_make_no_sense_are_refused),
        claim!(who_finds_all_stacks_taken_waits),
        claim!(handlers_nest_to_the_bound),
        claim!(handlers_that_nest_go_on_one_by_one),
        claim!(a_guests_fault_goes_to_the_spaces_handler_first),
        claim!(a_handler_is_listed_and_taken_back),
        claim!(handlers_that_make_no_sense_are_refused),
        claim!(what_a_handler_costs_comes_back),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("handlers", CLAIMS)
}

fn page_with(word: u64) -> Result<Cap<Segment>, Error> {
    let page = Segment::new(program().account(), PAGE)?;
    page.write(0, &word.to_le_bytes())?;
    Ok(page)
}

/// What a handler maps, and where.
static SEGMENT: AtomicU64 = AtomicU64::new(0);
static TARGET: AtomicU64 = AtomicU64::new(0);

decides!(Maps, |_, upcall| {
    let Upcall::Fault { address, .. } = upcall else { return Decision::Pass };
    let (space, segment) = (lent::<Space>(TARGET.load(SeqCst)), lent::<Segment>(SEGMENT.load(SeqCst)));
    match space.map(address & !(PAGE - 1), &segment, 0..PAGE, Rights::READ_WRITE) {
        Ok(()) => Decision::Resume,
        Err(_) => Decision::Pass,
    }
});

/// A handler of the space maps the page that is missing, and the thread reads it as though it had been there; again after it has gone.
fn a_handler_brings_memory_and_the_thread_goes_on() -> Verdict {
    let (service, space) = (handler::<Maps>(2)?, program().new_space()?);
    let segment = page_with(0x5eed)?;
    SEGMENT.store(segment.handle().bits(), SeqCst);
    TARGET.store(space.handle().bits(), SeqCst);
    space.set_handler(&service.gate)?;
    let at = fresh_address();
    let handle = space.handle().bits();
    let read = move || -> Result<u64, Error> {
        lent::<Space>(handle).switch()?;
        Ok(Place::<u64>::new(at)?.get())
    };
    for _ in 0..5 {
        ensure_eq!(thread::spawn(read)?.join()??, 0x5eed);
        space.unmap(at..at + PAGE)?;
    }
    // Without it, that is a mistake.
    space.clear_handler()?;
    refused(thread::spawn(read)?.join(), Error::Faulted)
}

static TOLD: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

fn told() -> [u64; 4] {
    TOLD.each_ref().map(|word| word.swap(0, SeqCst))
}

decides!(Notes, |badge, upcall| {
    if let Upcall::Fault { address, access, place } = upcall {
        let words = [badge, address, u64::from(access.bits()), place];
        TOLD.iter().zip(words).for_each(|(to, word)| to.store(word, SeqCst));
    }
    Decision::End
});

fn a_handler_is_told_address_access_place_and_badge() -> Verdict {
    let (service, space) = (handler::<Notes>(1)?, program().new_space()?);
    let by_badge = service.gate.derive(Rights::CALL, 0xbad9e)?;
    space.set_handler(&by_badge)?;
    let handle = space.handle().bits();
    for (at, access) in [(UNMAPPED + 24, Rights::READ), (UNMAPPED, Rights::WRITE)] {
        let touch = move || -> Result<u64, Error> {
            lent::<Space>(handle).switch()?;
            match access {
                Rights::READ => Ok(u64::from(peek(at))),
                _ => {
                    poke(at, 1);
                    Ok(0)
                }
            }
        };
        refused(thread::spawn(touch)?.join(), Error::Faulted)?;
        ensure_eq!(told(), [0xbad9e, at, u64::from(access.bits()), at]);
    }
    Ok(())
}

/// Who was asked, in order: the badges, a byte each.
static ASKED: AtomicU64 = AtomicU64::new(0);

decides!(NotesAndPasses, |badge, upcall| {
    let _ = upcall;
    ASKED.store(ASKED.load(SeqCst) << 8 | badge, SeqCst);
    if let Upcall::Fault { place, .. } = upcall {
        TOLD[badge as usize].store(place, SeqCst);
    }
    Decision::Pass
});

/// Each passes on, and the thread ends as without them.
fn subtree_space_and_thread_are_asked_in_this_order() -> Verdict {
    let (service, space) = (handler::<NotesAndPasses>(1)?, program().new_space()?);
    let [of_subtree, of_space, of_thread] = [1, 2, 3].map(|badge| service.gate.derive(Rights::CALL, badge));
    let subtree = libvas::Subtree::new(program().account())?;
    let slot = libvas::TOP_SLOT_BYTES * 77;
    space.attach(slot, &subtree, Rights::READ)?;
    subtree.set_handler(&of_subtree?)?;
    space.set_handler(&of_space?)?;
    let (handle, of_thread) = (space.handle().bits(), of_thread?);
    let read =
        |at: u64| with_handler(&of_thread, FAULTS, move |_| lent::<Space>(handle).switch().map(|_| peek(at)))?.join();
    ASKED.store(0, SeqCst);
    told();
    refused(read(slot + 5 * PAGE + 3), Error::Faulted)?;
    ensure_eq!(ASKED.swap(0, SeqCst), 0x01_02_03);
    ensure_eq!(told(), [0, 5 * PAGE + 3, slot + 5 * PAGE + 3, slot + 5 * PAGE + 3]);
    refused(read(UNMAPPED), Error::Faulted)?;
    ensure_eq!(ASKED.swap(0, SeqCst), 0x02_03);
    Ok(())
}

fn what_all_pass_on_ends_the_thread() -> Verdict {
    let (service, space) = (handler::<NotesAndPasses>(1)?, program().new_space()?);
    space.set_handler(&service.gate)?;
    let handle = space.handle().bits();
    for _ in 0..3 {
        let read = move || lent::<Space>(handle).switch().map(|_| peek(UNMAPPED));
        refused(thread::spawn(read)?.join(), Error::Faulted)?;
    }
    Ok(())
}

fn a_handler_may_end_the_thread() -> Verdict {
    decides!(Ends, |_, _upcall| Decision::End);
    let service = handler::<Ends>(1)?;
    refused(with_handler(&service.gate, FAULTS, |_| peek(UNMAPPED))?.join(), Error::Faulted)
}

decides!(Fails, |badge, _upcall| {
    match badge {
        0 => {
            peek(UNMAPPED);
        }
        1 => libvas::thread::exit(7),
        _ => {}
    }
    // For a fault, this is no answer; the handler is told so, and its stub does not go on.
    Decision::Cancel(Ok(0))
});

/// Whoever asked it is passed on to the next, who is nobody; and everybody else goes on.
fn a_handler_that_faults_exits_or_answers_nonsense_takes_its_thread_alone() -> Verdict {
    let service = handler::<Fails>(1)?;
    for badge in 0..3 {
        let by_badge = service.gate.derive(Rights::CALL, badge)?;
        refused(with_handler(&by_badge, FAULTS, |_| peek(UNMAPPED))?.join(), Error::Faulted)?;
        ensure_eq!(service.gate.info()?.free, 1);
    }
    Ok(())
}

fn a_handler_that_is_closed_meanwhile_has_passed_on() -> Verdict {
    static IS_IN: AtomicU64 = AtomicU64::new(0);
    decides!(Stays, |_, _upcall| {
        IS_IN.store(1, SeqCst);
        loop {
            nap();
        }
    });
    let service = handler::<Stays>(1)?;
    let thread = with_handler(&service.gate, FAULTS, |_| peek(UNMAPPED))?;
    while IS_IN.load(SeqCst) == 0 {
        nap();
    }
    service.gate.close_now()?;
    refused(thread.join(), Error::Faulted)?;
    // A gate that is closed is no handler for a new one.
    // SAFETY: it is refused.
    refused(unsafe { program().thread().set_handler(&service.gate, FAULTS) }, Error::Gone)
}

/// What a handler found in registers: whether anything was in them that a new thread does not have.
static FOUND: AtomicU64 = AtomicU64::new(0);

decides!(Spoils, |_, upcall| {
    let Upcall::Fault { address, .. } = upcall else { return Decision::Pass };
    let found = raw::read_extra().words();
    let new: [u64; raw::EXTRA_WORDS] = core::array::from_fn(|index| FRESH[index].load(SeqCst));
    FOUND.store(1 + u64::from(found != new), SeqCst);
    raw::set_vector_registers([0x99; 4]);
    let (space, segment) = (lent::<Space>(TARGET.load(SeqCst)), lent::<Segment>(SEGMENT.load(SeqCst)));
    let mapped = space.map(address & !(PAGE - 1), &segment, 0..PAGE, Rights::READ_WRITE);
    mapped.map_or(Decision::Pass, |()| Decision::Resume)
});

static FRESH: [AtomicU64; raw::EXTRA_WORDS] = [const { AtomicU64::new(0) }; raw::EXTRA_WORDS];

/// A store of the second argument to where the first says, then a call.
const STORES: (&[u8], &[u32]) = (&[0x48, 0x89, 0x37, 0x0f, 0x05], &[0xf900_0001, 0xd400_0001]);

/// A guest with all registers set, vectors and thread pointer included, makes a mistake that the space's handler sees to: it finds
/// all of them as they were, and does not come out. The handler finds what a new thread has.
fn no_register_is_lost_in_a_handler_or_shows_there() -> Verdict {
    let new = thread::spawn(|| raw::read_extra().words())?.join()?;
    FRESH.iter().zip(new).for_each(|(to, word)| to.store(word, SeqCst));
    let service = handler::<Spoils>(1)?;
    let scene = GuestScene::new(STORES.0, STORES.1)?;
    let segment = page_with(0)?;
    SEGMENT.store(segment.handle().bits(), SeqCst);
    TARGET.store(scene.space.handle().bits(), SeqCst);
    scene.space.set_handler(&service.gate)?;
    for turn in 1..4_u64 {
        let mut state = scene.context.state();
        state.general.iter_mut().enumerate().for_each(|(index, word)| *word = turn << 32 | index as u64);
        let registers = if raw::ELF_MACHINE == 62 { 20..52 } else { 0..64 };
        registers.for_each(|index| state.floating[index] = turn << 40 | index as u64);
        (state.thread_pointer, state.instruction_pointer) = (0x7000 * turn, conformance::GUEST_CODE);
        state.stack_pointer = GUEST_DATA + PAGE;
        scene.context.set_state(&state);
        scene.context.set_arguments([GUEST_NOTHING, 0xabc0 + turn]);
        let mut before = scene.context.state();
        let end = scene.run()?;
        ensure!(matches!(end, End::Call(_)), "{end:?}");
        let mut after = scene.context.state();
        // Which bits of MXCSR there are stands beside it.
        let bits = if raw::ELF_MACHINE == 62 { 0xffff_ffff } else { !0 };
        (after.floating[3], before.floating[3]) = (after.floating[3] & bits, before.floating[3] & bits);
        ensure_eq!(after.floating, before.floating);
        ensure_eq!(after.thread_pointer, before.thread_pointer);
        // A call leaves its own next instruction and flags in two registers of x86_64.
        if raw::ELF_MACHINE == 62 {
            (after.general[2], after.general[10]) = (before.general[2], before.general[10]);
        }
        ensure_eq!(after.general, before.general);
        ensure_eq!(FOUND.swap(0, SeqCst), 1);
        let mut bytes = [0; 8];
        segment.read(0, &mut bytes)?;
        ensure_eq!(u64::from_le_bytes(bytes), 0xabc0 + turn);
        scene.space.unmap(GUEST_NOTHING..GUEST_NOTHING + PAGE)?;
    }
    Ok(())
}

/// No registers that mean anything.
const EMPTY: GuestState = GuestState {
    end: 0,
    number: 0,
    address: 0,
    access: 0,
    general: [0; GENERAL],
    stack_pointer: 0,
    instruction_pointer: 0,
    flags: 0,
    thread_pointer: 0,
    second_pointer: 0,
    floating: [0; FLOATING],
};

static LANDING: AtomicU64 = AtomicU64::new(0);

/// A thread's handler has it go on somewhere else, with an argument.
fn a_threads_handler_sees_registers_and_changes_them() -> Verdict {
    extern "C" fn lands(argument: u64) -> ! {
        LANDING.store(argument, SeqCst);
        thread::exit(5)
    }
    decides!(Moves, |_, upcall| {
        let (Upcall::Fault { .. }, Ok(mut state)) = (upcall, interrupted_registers()) else { return Decision::Pass };
        TOLD[0].store(state.instruction_pointer, SeqCst);
        state.instruction_pointer = lands as extern "C" fn(u64) -> ! as usize as u64;
        // As a call leaves it.
        state.stack_pointer = (state.stack_pointer & !0xfff) - 0x1000 - raw::STACK_ENTRY_BIAS_BYTES;
        let first = if raw::ELF_MACHINE == 62 { 5 } else { 0 };
        state.general[first] = 0x1a9d;
        // SAFETY: the thread goes on in a function that never returns, on its own stack.
        let set = unsafe { set_interrupted_registers(&state) };
        set.map_or(Decision::Pass, |()| Decision::Resume)
    });
    let service = handler::<Moves>(1)?;
    let _ = with_handler(&service.gate, FAULTS, |_| peek(UNMAPPED))?.join();
    ensure_eq!(LANDING.load(SeqCst), 0x1a9d);
    ensure!(told()[0] != 0, "the handler sees where the thread was");
    Ok(())
}

/// A space's handler, and a thread's that was set without the right, learn nothing of registers. Nor does anybody outside of one.
fn who_may_not_see_registers_does_not() -> Verdict {
    decides!(Looks, |badge, _upcall| {
        let looked = interrupted_registers().err().map_or(1, Error::status);
        // SAFETY: it is refused.
        let set = unsafe { set_interrupted_registers(&EMPTY) }.err().map_or(1, Error::status);
        TOLD[badge as usize].store(looked << 8 | set, SeqCst);
        Decision::End
    });
    let (service, space) = (handler::<Looks>(1)?, program().new_space()?);
    space.set_handler(&service.gate)?;
    let handle = space.handle().bits();
    told();
    let refusal = Error::MissingRight.status();
    refused(thread::spawn(move || lent::<Space>(handle).switch().map(|_| peek(UNMAPPED)))?.join(), Error::Faulted)?;
    ensure_eq!(told()[0], refusal << 8 | refusal);
    let body = |_| peek(UNMAPPED);
    refused(with_handler_by(&service.gate, Rights::CONTROL, FAULTS, body)?.join(), Error::Faulted)?;
    ensure_eq!(told()[0], refusal << 8 | refusal);
    refused(interrupted_registers(), Error::BadState)?;
    // SAFETY: it is refused.
    refused(unsafe { set_interrupted_registers(&EMPTY) }, Error::BadState)
}

fn registers_that_make_no_sense_are_refused() -> Verdict {
    decides!(Tries, |_, _upcall| {
        let Ok(good) = interrupted_registers() else { return Decision::End };
        let mut wrong = 0;
        for address in [libvas::USER_END + 1, 1 << 47, 1 << 63, u64::MAX] {
            for place in 0..3 {
                let mut state = good.clone();
                match place {
                    0 => state.instruction_pointer = address,
                    1 => state.stack_pointer = address,
                    _ => state.thread_pointer = address,
                }
                // SAFETY: it is refused.
                wrong += u64::from(unsafe { set_interrupted_registers(&state) } != Err(Error::BadAddress));
            }
        }
        // All flags at once; those that a program cannot set are left out. Single steps would come one by one.
        let mut state = good.clone();
        state.flags = if raw::ELF_MACHINE == 62 { !0x100 } else { !0 };
        // SAFETY: the thread ends.
        wrong += u64::from(unsafe { set_interrupted_registers(&state) } != Ok(()));
        let kept = if raw::ELF_MACHINE == 62 { 0x24_0cd5 } else { 0xf300_1c00 };
        wrong += u64::from(interrupted_registers().is_ok_and(|state| state.flags & !kept != 0));
        TOLD[0].store(1 + wrong, SeqCst);
        Decision::End
    });
    let service = handler::<Tries>(1)?;
    told();
    refused(with_handler(&service.gate, FAULTS, |_| peek(UNMAPPED))?.join(), Error::Faulted)?;
    ensure_eq!(told()[0], 1);
    Ok(())
}

/// One stack, and several threads that are asked about at once: each has its turn.
fn who_finds_all_stacks_taken_waits() -> Verdict {
    decides!(MapsSlowly, |badge, upcall| {
        nap();
        Maps::decide(badge, upcall)
    });
    let (service, space) = (handler::<MapsSlowly>(1)?, program().new_space()?);
    let segment = page_with(3)?;
    SEGMENT.store(segment.handle().bits(), SeqCst);
    TARGET.store(space.handle().bits(), SeqCst);
    space.set_handler(&service.gate)?;
    let handle = space.handle().bits();
    let mut threads = alloc::vec::Vec::new();
    for _ in 0..6 {
        let at = fresh_address();
        threads.push(thread::spawn(move || -> Result<u64, Error> {
            lent::<Space>(handle).switch()?;
            Ok(Place::<u64>::new(at)?.get())
        })?);
    }
    for thread in threads {
        ensure_eq!(thread.join()??, 3);
    }
    let info = service.gate.info()?;
    ensure_eq!((info.free, info.waiting), (1, 0));
    Ok(())
}

/// A handler whose own faults it is asked of is asked as often as a thread can be in calls, and then everything comes apart.
fn handlers_nest_to_the_bound() -> Verdict {
    decides!(FaultsAgain, |_, _upcall| {
        TOLD[0].fetch_add(1, SeqCst);
        peek(UNMAPPED);
        Decision::End
    });
    let service = handler::<FaultsAgain>(20)?;
    service.space.set_handler(&service.gate)?;
    let handle = service.space.handle().bits();
    told();
    let body = move || lent::<Space>(handle).switch().map(|_| peek(UNMAPPED));
    refused(thread::spawn(body)?.join(), Error::Faulted)?;
    ensure_eq!(told()[0], 15);
    ensure_eq!(service.gate.info()?.free, 20);
    Ok(())
}

/// A handler that is asked of its own fault sees to it, and then to what it was asked of before: once, and with room for more.
fn handlers_that_nest_go_on_one_by_one() -> Verdict {
    decides!(MapsBelow, |badge, upcall| {
        let Upcall::Fault { address, .. } = upcall else { return Decision::Pass };
        // Each question but the last leads to one about what lies a page further, of the handler's own space.
        let next = address + PAGE;
        if TOLD[0].fetch_add(1, SeqCst) < 6 {
            peek(next);
        }
        TARGET.store(TOLD[1].load(SeqCst), SeqCst);
        if TOLD[0].fetch_sub(1, SeqCst) == 1 {
            TARGET.store(TOLD[2].load(SeqCst), SeqCst);
        }
        Maps::decide(badge, upcall)
    });
    let (service, space) = (handler::<MapsBelow>(8)?, program().new_space()?);
    let segment = page_with(0x1234)?;
    SEGMENT.store(segment.handle().bits(), SeqCst);
    space.set_handler(&service.gate)?;
    service.space.set_handler(&service.gate)?;
    let handle = space.handle().bits();
    for _ in 0..3 {
        let at = fresh_address();
        TOLD[0].store(0, SeqCst);
        TOLD[1].store(service.space.handle().bits(), SeqCst);
        TOLD[2].store(handle, SeqCst);
        let read = move || -> Result<u64, Error> {
            lent::<Space>(handle).switch()?;
            Ok(Place::<u64>::new(at)?.get())
        };
        ensure_eq!(thread::spawn(read)?.join()??, 0x1234);
        ensure_eq!(TOLD[0].load(SeqCst), 0);
    }
    ensure_eq!(service.gate.info()?.free, 8);
    Ok(())
}

/// It comes out to its supervisor only if that passes on.
fn a_guests_fault_goes_to_the_spaces_handler_first() -> Verdict {
    let service = handler::<NotesAndPasses>(1)?;
    let scene = GuestScene::new(STORES.0, STORES.1)?;
    let by_badge = service.gate.derive(Rights::CALL, 2)?;
    scene.space.set_handler(&by_badge)?;
    ASKED.store(0, SeqCst);
    for _ in 0..3 {
        scene.context.set_instruction_pointer(conformance::GUEST_CODE);
        scene.context.set_arguments([GUEST_NOTHING, 1]);
        ensure_eq!(scene.run()?, End::Fault { address: GUEST_NOTHING, access: Rights::WRITE });
        ensure_eq!(ASKED.swap(0, SeqCst), 2);
    }
    Ok(())
}

/// Whoever lent the gate sees what it is used for, and takes it back.
fn a_handler_is_listed_and_taken_back() -> Verdict {
    let (service, space) = (handler::<NotesAndPasses>(1)?, program().new_space()?);
    let subtree = libvas::Subtree::new(program().account())?;
    let mine = service.gate.derive(Rights::CALL, 1)?;
    space.set_handler(&mine)?;
    subtree.set_handler(&mine)?;
    // SAFETY: it is taken back before anything happens.
    unsafe { program().thread().set_handler(&mine, FAULTS) }?;
    let is_handler = |info: &LentInfo| info.kind == LentKind::Handler as u64 && info.badge == 1;
    let listed = || -> Result<usize, Error> {
        let mut count = 0;
        for info in service.gate.lent() {
            count += usize::from(is_handler(&info?));
        }
        Ok(count)
    };
    ensure_eq!(listed()?, 3);
    // Handed on to what the other was derived from.
    mine.delete()?;
    ensure_eq!(listed()?, 3);
    service.gate.revoke_badge(1)?;
    ensure_eq!(listed()?, 0);
    ASKED.store(0, SeqCst);
    let handle = space.handle().bits();
    let body = move || lent::<Space>(handle).switch().map(|_| peek(UNMAPPED));
    refused(thread::spawn(body)?.join(), Error::Faulted)?;
    ensure_eq!(ASKED.load(SeqCst), 0);
    // And by what the gate itself is.
    space.set_handler(&service.gate)?;
    drop(service);
    let body = move || lent::<Space>(handle).switch().map(|_| peek(UNMAPPED));
    refused(thread::spawn(body)?.join(), Error::Faulted)?;
    ensure_eq!(ASKED.load(SeqCst), 0);
    Ok(())
}

fn handlers_that_make_no_sense_are_refused() -> Verdict {
    let (service, space) = (handler::<NotesAndPasses>(1)?, program().new_space()?);
    let (gate, own) = (service.bits(), space.handle().bits());
    let set = |object: u64, gate: u64, asks: u64| attempt(number::handler_set, [object, gate, asks, 0, 0, 0]);
    for asks in [0, 2, 4, 8, u64::MAX] {
        refused(set(own, gate, asks), Error::BadArgument)?;
    }
    let current = program().thread().handle().bits();
    for asks in [0, 8, u64::MAX] {
        refused(set(current, gate, asks), Error::BadArgument)?;
    }
    refused(set(own, own, 1), Error::WrongObject)?;
    refused(set(gate, gate, 1), Error::WrongObject)?;
    refused(set(program().account().handle().bits(), gate, 1), Error::WrongObject)?;
    refused(set(0xdead_0000_0001, gate, 1), Error::BadHandle)?;
    refused(set(own, 0xdead_0000_0001, 1), Error::BadHandle)?;
    let weak = space.derive(Rights::all() - Rights::CONTROL, 0)?;
    refused(set(weak.handle().bits(), gate, 1), Error::MissingRight)?;
    refused(set(weak.handle().bits(), 0, 0), Error::MissingRight)?;
    let weak = service.gate.derive(Rights::all() - Rights::CALL, 0)?;
    refused(set(own, weak.handle().bits(), 1), Error::MissingRight)?;
    let ended = {
        let thread = thread::spawn(|| ())?;
        let handle = thread.thread().handle().bits();
        let copy = lent::<Thread>(handle).derive(Rights::all(), 0)?;
        thread.join()?;
        copy
    };
    refused(set(ended.handle().bits(), gate, 1), Error::BadState)?;
    // An account that cannot pay.
    let account = program().account().split(16 * PAGE)?;
    let poor = Space::new(&account)?;
    let info = account.info()?;
    let mut left = info.limit_bytes - info.used_bytes;
    // As much as there is, but for what an account itself takes.
    let _all = loop {
        match account.split(left) {
            Err(Error::AccountExhausted) => left -= 8,
            split => break split?,
        }
    };
    refused(poor.set_handler(&service.gate), Error::AccountExhausted)
}

fn what_a_handler_costs_comes_back() -> Verdict {
    let service = handler::<NotesAndPasses>(1)?;
    let gate = service.bits();
    leaves_nothing(4, move |_| -> Result<(), Error> {
        let (space, subtree) = (program().new_space()?, libvas::Subtree::new(program().account())?);
        space.set_handler(&lent::<Gate>(gate))?;
        space.set_handler(&lent::<Gate>(gate))?;
        subtree.set_handler(&lent::<Gate>(gate))?;
        let handle = space.handle().bits();
        let body = move |_| lent::<Space>(handle).switch().map(|_| peek(UNMAPPED));
        assert_eq!(with_handler(&lent::<Gate>(gate), FAULTS, body)?.join().err(), Some(Error::Faulted));
        Ok(())
    })
}

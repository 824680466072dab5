//! Views on several CPUs: what changes in the base changes at once for threads that run in views of it elsewhere.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Failure, LEVELS, NEW, OLD, Room, Shared, SpareStack, Spinner, Verdict, all_have_faulted, claim, counted,
    ensure_eq, fresh_address, interrupts_for, needs_cpus, on_cpu, refused, run_on, set_fallback, spot,
    the_kernel_passes_its_own_checks, turns_of_each, wait_for_state, wait_until, word_at,
};
use core::sync::atomic::{AtomicU64, Ordering};
use libvas::layout::FallbackReason;
use libvas::thread::{self, ThreadState};
use libvas::{
    Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, View,
    counters, program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(after_unmap_in_the_base_every_view_faults),
        claim!(after_protect_in_the_base_no_view_writes_any_more),
        claim!(after_detach_in_the_base_every_view_faults),
        claim!(after_a_change_in_a_subtree_every_view_faults),
        claim!(what_the_base_comes_to_hold_is_seen_in_views_at_once),
        claim!(windows_are_written_in_views_on_every_cpu),
        claim!(threads_in_views_go_on_without_their_base_s_capability),
        claim!(a_thread_that_runs_elsewhere_lands_when_its_view_goes),
        claim!(without_a_fallback_it_stops_and_its_siblings_go_on),
        claim!(each_cpu_in_base_or_view_is_interrupted_once),
        claim!(views_that_come_and_go_interrupt_nobody),
        claim!(all_cpus_make_and_use_views_of_one_space_at_once),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_views", CLAIMS, 1)
}

fn view_of(space: &Cap<Space>, bounds: Rights) -> Result<Cap<View>, Error> {
    View::new(program().account(), space, bounds)
}

/// A space with a page of its own, which holds `OLD` and which the home space sees as well.
struct Base {
    space: Cap<Space>,
    alias: Room,
    address: u64,
}

impl Base {
    fn new() -> Result<Base, Error> {
        let (space, alias, address) = (program().new_space()?, Room::new(1)?, fresh_address());
        space.map(address, alias.segment(), 0..PAGE, Rights::READ_WRITE)?;
        alias.fill(OLD)?;
        Ok(Base { space, alias, address })
    }

    /// A thread on each CPU but the first that reads a word, each in a view of its own.
    fn readers(&self, address: u64) -> Result<Vec<(Cap<View>, Spinner)>, Failure> {
        let mut all = Vec::new();
        for cpu in 1..counters::cpus()? {
            let view = view_of(&self.space, Rights::READ)?;
            let spinner = Spinner::reading(on_cpu(cpu), &view, address)?;
            spinner.wait()?;
            all.push((view, spinner));
        }
        Ok(all)
    }
}

/// When `unmap` in the base has returned, threads in views on other CPUs fault, and read nothing that comes later.
fn after_unmap_in_the_base_every_view_faults() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..3 {
        let base = Base::new()?;
        let readers = base.readers(base.address)?;
        base.space.unmap(base.address..base.address + PAGE)?;
        base.alias.fill(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// When `protect` in the base has taken `WRITE` away, threads that write through views of wide bounds fault.
fn after_protect_in_the_base_no_view_writes_any_more() -> Verdict {
    needs_cpus(2)?;
    let (base, mut writers) = (Base::new()?, Vec::new());
    for cpu in 1..counters::cpus()? {
        let view = view_of(&base.space, Rights::ACCESS)?;
        let spinner = Spinner::writing(on_cpu(cpu), &view, base.address + 8 * cpu)?;
        spinner.wait()?;
        writers.push((cpu, view, spinner));
    }
    base.space.protect(base.address..base.address + PAGE, Rights::READ)?;
    let last = |cpu: u64| Ok::<_, Error>(base.alias.word(cpu)?.get());
    let words = (1..counters::cpus()?).map(last).collect::<Result<Vec<_>, _>>()?;
    for (cpu, _view, spinner) in writers {
        wait_for_state(spinner.thread()?, ThreadState::Faulted)?;
        ensure_eq!((cpu, last(cpu)?), (cpu, words[cpu as usize - 1]));
        refused(spinner.join(), Error::Faulted)?;
    }
    Ok(())
}

/// When the base has lost a subtree of any level, by `detach` or by `withdraw`, threads in views on other CPUs fault.
fn after_detach_in_the_base_every_view_faults() -> Verdict {
    needs_cpus(2)?;
    for (level, by_detach) in LEVELS.into_iter().flat_map(|level| [(level, true), (level, false)]) {
        let (base, shared, at) = (Base::new()?, Shared::new(level, Rights::READ)?, spot(level));
        shared.set(OLD)?;
        base.space.attach(at, &shared.subtree, Rights::READ)?;
        let readers = base.readers(word_at(at)?.address())?;
        if by_detach {
            base.space.detach(at)?;
        } else {
            shared.subtree.withdraw()?;
        }
        shared.set(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// What goes from a subtree that the base has, or from one within that, goes from the views of it on other CPUs.
fn after_a_change_in_a_subtree_every_view_faults() -> Verdict {
    needs_cpus(2)?;
    for is_nested in [false, true] {
        let (base, shared) = (Base::new()?, Shared::new(Level::OneGib, Rights::READ)?);
        let outer = Subtree::new(program().account())?;
        shared.set(OLD)?;
        let (at, subtree) = match is_nested {
            false => (spot(Level::OneGib), &shared.subtree),
            true => (spot(Level::Top), &outer),
        };
        outer.attach(7 << 30, &shared.subtree, Rights::READ)?;
        base.space.attach(at, subtree, Rights::READ)?;
        let page = if is_nested { at + (7 << 30) } else { at };
        let readers = base.readers(word_at(page)?.address())?;
        shared.subtree.unmap(shared.range())?;
        shared.set(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// A page that the base maps, and a subtree that it attaches, is read at once by threads that run in views elsewhere
/// and wait for nothing but a word in memory.
fn what_the_base_comes_to_hold_is_seen_in_views_at_once() -> Verdict {
    static GO_ON: AtomicU64 = AtomicU64::new(0);
    GO_ON.store(0, Ordering::Release);
    let (base, shared, mut threads) = (Base::new()?, Shared::new(Level::TwoMib, Rights::READ)?, Vec::new());
    shared.set(OLD)?;
    let slot_of_its_own = Place::<u64>::new(95 * SLOT)?;
    let (words, mut views) = ([slot_of_its_own, word_at(spot(Level::TwoMib))?], Vec::new());
    for cpu in 0..counters::cpus()? {
        let view = view_of(&base.space, Rights::READ)?;
        threads.push(on_cpu(cpu).space(&view).spawn(move || {
            let mut seen = [0; 2];
            for (turn, word) in words.into_iter().enumerate() {
                while GO_ON.load(Ordering::Acquire) <= turn as u64 {
                    core::hint::spin_loop();
                }
                seen[turn] = word.get();
            }
            seen
        })?);
        views.push(view);
    }
    base.space.map(slot_of_its_own.address(), base.alias.segment(), 0..PAGE, Rights::READ)?;
    GO_ON.store(1, Ordering::Release);
    base.space.attach(spot(Level::TwoMib), &shared.subtree, Rights::READ)?;
    GO_ON.store(2, Ordering::Release);
    for thread in threads {
        ensure_eq!(thread.join()?, [OLD; 2]);
    }
    Ok(())
}

/// A window of the base is written by threads in read-only views on all CPUs at once, and each sees the others' words.
fn windows_are_written_in_views_on_every_cpu() -> Verdict {
    let (base, shared) = (Base::new()?, Shared::new(Level::Top, Rights::READ_WRITE)?);
    base.space.attach_window(spot(Level::Top), &shared.subtree, Rights::READ_WRITE)?;
    let (first, mut threads) = (word_at(spot(Level::Top))?, Vec::new());
    let views = (0..counters::cpus()?).map(|_| view_of(&base.space, Rights::READ)).collect::<Result<Vec<_>, _>>()?;
    for (cpu, view) in (0..).zip(&views) {
        let own = first.at(cpu)?;
        threads.push(on_cpu(cpu).space(view).spawn(move || (1..=500).for_each(|turn| own.set(turn)))?);
    }
    for thread in threads {
        thread.join()?;
    }
    for cpu in 0..counters::cpus()? {
        ensure_eq!(views[0].enter(|| first.at(cpu).map(Place::get))??, 500);
    }
    Ok(())
}

/// Giving up the last capability to the base does not disturb threads that run in views of it on other CPUs.
fn threads_in_views_go_on_without_their_base_s_capability() -> Verdict {
    needs_cpus(2)?;
    let base = Base::new()?;
    let readers = base.readers(base.address)?;
    let Base { space, alias, .. } = base;
    drop(space);
    alias.fill(NEW)?;
    for (_view, spinner) in readers {
        spinner.wait()?;
        ensure_eq!(spinner.last(), NEW);
        spinner.end()?;
    }
    Ok(())
}

extern "C" fn landing(reason: u64, _: u64) -> ! {
    thread::exit(80 + reason)
}

/// A thread that runs in a view on another CPU without entering the kernel lands at its fallback, the base, when the
/// view goes.
fn a_thread_that_runs_elsewhere_lands_when_its_view_goes() -> Verdict {
    needs_cpus(2)?;
    static TURNS: AtomicU64 = AtomicU64::new(0);
    for cpu in 1..counters::cpus()? {
        TURNS.store(0, Ordering::Relaxed);
        let base = Base::new()?;
        let (view, fallback) = (view_of(&base.space, Rights::READ)?, base.space.derive(Rights::SWITCH, 0)?);
        let (handle, place) = (view.handle(), Place::<u64>::new(base.address)?);
        let thread = on_cpu(cpu).spawn(move || {
            let view = core::mem::ManuallyDrop::new(Cap::<View>::from_handle(handle));
            if set_fallback(&fallback, landing, SpareStack::new()).is_ok() && view.switch().is_ok() {
                loop {
                    TURNS.fetch_add(place.get() & 1, Ordering::Relaxed);
                }
            }
        })?;
        wait_until(|| Ok(TURNS.load(Ordering::Relaxed) > 0))?;
        drop(view);
        ensure_eq!(thread.thread().join(), Ok(80 + FallbackReason::SpaceDestroyed as u64));
        ensure_eq!(base.space.info()?.views, 0);
    }
    Ok(())
}

/// Without a fallback it is stopped; threads in other views of the same space, and in the space, run on.
fn without_a_fallback_it_stops_and_its_siblings_go_on() -> Verdict {
    needs_cpus(2)?;
    let base = Base::new()?;
    let mut readers = base.readers(base.address)?;
    let in_base = Spinner::reading(on_cpu(1), &base.space, base.address)?;
    in_base.wait()?;
    let (view, spinner) = readers.remove(0);
    drop(view);
    let turns = spinner.turns();
    ensure_eq!((spinner.last(), spinner.turns()), (OLD, turns));
    refused(spinner.join(), Error::Gone)?;
    for (_view, spinner) in readers {
        spinner.wait()?;
        spinner.end()?;
    }
    in_base.wait()?;
    in_base.end()?;
    Ok(())
}

/// A change in the base interrupts each other CPU that is in the base or in a view of it, once; not those in views of
/// another space, and not the caller's own CPU, be it in base or view. (On aarch64 none at all.)
fn each_cpu_in_base_or_view_is_interrupted_once() -> Verdict {
    needs_cpus(2)?;
    let (base, other) = (Base::new()?, Base::new()?);
    let (page, own_view) = (base.address + 9 * PAGE, view_of(&base.space, Rights::READ)?);
    let flips = || {
        let map = || match base.space.map(page, base.alias.segment(), 0..PAGE, Rights::READ) {
            Err(Error::Overlap) => Ok(()),
            result => result,
        };
        counted(map, || base.space.unmap(page..page + PAGE)).map(|change| change.shootdowns_sent)
    };
    let outsiders = other.readers(other.address)?;
    ensure_eq!((flips()?, own_view.enter(flips)??), (0, 0));
    let (mut readers, mut views) = (Vec::new(), Vec::new());
    for (cpu, (_view, outsider)) in (1..).zip(outsiders) {
        outsider.end()?;
        let view = view_of(&base.space, Rights::READ)?;
        let spinner = match cpu % 2 {
            0 => Spinner::reading(on_cpu(cpu), &base.space, base.address)?,
            _ => Spinner::reading(on_cpu(cpu), &view, base.address)?,
        };
        spinner.wait()?;
        readers.push(spinner);
        views.push(view);
        ensure_eq!((cpu, flips()?), (cpu, interrupts_for(cpu)));
    }
    ensure_eq!(own_view.enter(flips)??, interrupts_for(readers.len() as u64));
    readers.into_iter().try_for_each(Spinner::end)?;
    Ok(())
}

/// Making a view of a space that other CPUs are in, and destroying one that nobody is in, interrupts nobody.
fn views_that_come_and_go_interrupt_nobody() -> Verdict {
    needs_cpus(2)?;
    let base = Base::new()?;
    let readers = base.readers(base.address)?;
    let change = counted(|| Ok(()), || view_of(&base.space, Rights::READ).map(drop))?;
    ensure_eq!(change.shootdowns_sent, 0);
    for (_view, spinner) in readers {
        spinner.wait()?;
        spinner.end()?;
    }
    Ok(())
}

/// Threads on all CPUs make views of one space, read through them and destroy them, while another changes what the
/// space holds beside: each reads what is true.
fn all_cpus_make_and_use_views_of_one_space_at_once() -> Verdict {
    let base = Base::new()?;
    let (page, mut threads) = (base.address + 3 * SLOT, Vec::new());
    let (place, rounds) = (Place::<u64>::new(base.address)?, turns_of_each(20)?);
    for cpu in 0..counters::cpus()? {
        let space = base.space.derive(Rights::INSPECT | Rights::SWITCH, 0)?;
        threads.push(on_cpu(cpu).spawn(move || -> Result<u64, Error> {
            let mut wrong = 0;
            for _ in 0..rounds {
                let view = view_of(&space, Rights::READ)?;
                wrong += u64::from(view.enter(|| place.get())? != OLD);
                let narrowed = view.narrowed(program().account(), Rights::READ)?;
                drop(view);
                wrong += u64::from(narrowed.enter(|| place.get())? != OLD);
                // Another thread maps and unmaps this page: whoever finds it finds what is in it.
                let mut bytes = [0; 8];
                let found = narrowed.read(page, &mut bytes).is_ok();
                wrong += u64::from(found && u64::from_le_bytes(bytes) != NEW);
            }
            Ok(wrong)
        })?);
    }
    let segment = Segment::new(program().account(), PAGE)?;
    segment.write(0, &NEW.to_le_bytes())?;
    for _ in 0..50 {
        base.space.map(page, &segment, 0..PAGE, Rights::READ)?;
        base.space.unmap(page..page + PAGE)?;
    }
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    ensure_eq!(base.space.info()?.views, 0);
    Ok(())
}

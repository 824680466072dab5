//! Public subtrees on several CPUs: their translations are global, and yet no CPU goes by one that was taken away.
//! boot: options="machine=control"

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, Failure, NEW, OLD, Published, Room, Shared, Spinner, Verdict, all_have_faulted, claim, counted,
    ensure, ensure_eq, interrupts_for, needs_cpus, on_cpu, public_machine, reach_page, refused, run_at, run_on,
    the_kernel_passes_its_own_checks, turns_of_each, wait_for_state, wait_until, word_at,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use libvas::thread::{self, ThreadState};
use libvas::{
    Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, View,
    counters, program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(after_unmap_every_cpu_faults_in_whatever_space),
        claim!(after_protect_no_cpu_executes_any_more),
        claim!(after_withdrawal_every_cpu_faults),
        claim!(after_its_last_capability_went_every_cpu_faults),
        claim!(memory_that_was_withdrawn_and_destroyed_is_read_by_nobody),
        claim!(a_cpu_that_slept_meanwhile_reads_what_is_new),
        claim!(a_cpu_in_a_new_space_reads_what_is_new),
        claim!(what_becomes_public_is_seen_on_every_cpu_at_once),
        claim!(a_change_interrupts_every_other_cpu_once),
        claim!(a_withdrawal_interrupts_every_other_cpu_once),
        claim!(what_needs_no_flush_interrupts_nobody),
        claim!(switching_flushes_nothing_that_is_public),
        claim!(all_cpus_change_a_public_subtree_at_once),
        claim!(spaces_come_and_go_while_it_comes_and_goes),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_public", CLAIMS, 1)
}

/// Where subtrees are made public: a slot that no program uses otherwise.
const AT: u64 = 101 * SLOT;

/// A public subtree with a page that holds `OLD`.
fn publish(rights: Rights, bounds: Rights) -> Result<Published, Error> {
    let published = Published::new(AT, rights, bounds)?;
    published.shared.set(OLD)?;
    Ok(published)
}

/// Something to be in on each CPU but the first: by turns a space, a view, and a space that is local to the CPU.
enum Ground {
    Space(Cap<Space>),
    View(Cap<View>),
}

impl Ground {
    fn for_cpu(cpu: u64) -> Result<Ground, Error> {
        let space = match cpu % 3 {
            0 => Space::new_local(program().account(), cpu)?,
            _ => Space::new(program().account())?,
        };
        space.attach_window(0, program().subtree(), Rights::ACCESS)?;
        if cpu % 3 == 2 {
            return View::new(program().account(), &space, Rights::READ).map(Ground::View);
        }
        Ok(Ground::Space(space))
    }

    fn spawn<T: Send + 'static>(
        &self,
        cpu: u64,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::JoinHandle<T>, Error> {
        match self {
            Ground::Space(space) => on_cpu(cpu).space(space).spawn(body),
            Ground::View(view) => on_cpu(cpu).space(view).spawn(body),
        }
    }

    fn reader(&self, cpu: u64) -> Result<Spinner, Failure> {
        let address = word_at(AT)?.address();
        let spinner = match self {
            Ground::Space(space) => Spinner::reading(on_cpu(cpu), space, address)?,
            Ground::View(view) => Spinner::reading(on_cpu(cpu), view, address)?,
        };
        spinner.wait()?;
        Ok(spinner)
    }
}

/// Threads on all CPUs but the first that read the public page, each in a place of its own.
fn readers() -> Result<Vec<(Ground, Spinner)>, Failure> {
    let mut all = Vec::new();
    for cpu in 1..counters::cpus()? {
        let ground = Ground::for_cpu(cpu)?;
        let spinner = ground.reader(cpu)?;
        all.push((ground, spinner));
    }
    Ok(all)
}

/// When a page of it is unmapped, every CPU that was reading it faults: in spaces, views and local spaces.
fn after_unmap_every_cpu_faults_in_whatever_space() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..3 {
        let published = publish(Rights::READ, Rights::READ)?;
        let readers = readers()?;
        published.shared.subtree.unmap(published.shared.range())?;
        published.shared.set(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// When `EXECUTE` is taken from its code, every CPU that was running it faults, and has not run it since.
fn after_protect_no_cpu_executes_any_more() -> Verdict {
    needs_cpus(2)?;
    static TURNS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
    let published = publish(Rights::READ_EXECUTE, Rights::READ_EXECUTE)?;
    let (mut threads, code) = (Vec::new(), AT + Shared::OFFSET + 64);
    for cpu in 1..counters::cpus()?.min(8) {
        let (ground, turns) = (Ground::for_cpu(cpu)?, &TURNS[cpu as usize]);
        turns.store(0, Ordering::Relaxed);
        let thread = ground.spawn(cpu, move || {
            loop {
                run_at(code);
                turns.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        wait_until(|| Ok(turns.load(Ordering::Relaxed) > 1))?;
        threads.push((ground, thread, turns));
    }
    published.shared.subtree.protect(published.shared.range(), Rights::READ)?;
    let last: Vec<_> = threads.iter().map(|(_, _, turns)| turns.load(Ordering::Relaxed)).collect();
    for ((_ground, thread, turns), last) in threads.into_iter().zip(last) {
        wait_for_state(thread.thread(), ThreadState::Faulted)?;
        // One call may have returned by then, and not been counted yet.
        let since = turns.load(Ordering::Relaxed) - last;
        ensure!(since <= 1, "it ran {since} times since");
        refused(thread.join(), Error::Faulted)?;
    }
    Ok(())
}

/// When it is withdrawn, every CPU that was reading it faults, in whatever space it is.
fn after_withdrawal_every_cpu_faults() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..3 {
        let published = publish(Rights::READ, Rights::READ)?;
        let readers = readers()?;
        ensure_eq!(published.shared.subtree.withdraw()?, 1);
        published.shared.set(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// When its last capability was given up, every CPU that was reading it faults, and reads nothing that comes later.
fn after_its_last_capability_went_every_cpu_faults() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..3 {
        let Shared { subtree, segment } = Shared::new(Level::Top, Rights::READ)?;
        segment.write(0, &OLD.to_le_bytes())?;
        public_machine()?.publish(&subtree, AT, Rights::READ)?;
        let readers = readers()?;
        drop(subtree);
        segment.write(0, &NEW.to_le_bytes())?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// Its tables and memory serve other things as soon as it is withdrawn and destroyed; no reader sees these.
fn memory_that_was_withdrawn_and_destroyed_is_read_by_nobody() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..3 {
        let published = publish(Rights::READ, Rights::READ)?;
        let readers = readers()?;
        drop(published);
        for _ in 0..4 {
            let (memory, tables) = (Room::new(8)?, Subtree::new(program().account())?);
            memory.fill(NEW)?;
            tables.map(Shared::OFFSET, memory.segment(), 0..8 * PAGE, Rights::READ)?;
        }
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// A CPU that read it and then had nothing to do, being in no space at all, reads what is there when it wakes.
fn a_cpu_that_slept_meanwhile_reads_what_is_new() -> Verdict {
    needs_cpus(2)?;
    static GO_ON: AtomicBool = AtomicBool::new(false);
    let (other, word) = (Segment::new(program().account(), PAGE)?, word_at(AT)?);
    other.write(0, &NEW.to_le_bytes())?;
    for cpu in 1..counters::cpus()? {
        GO_ON.store(false, Ordering::Relaxed);
        let (published, ground) = (publish(Rights::READ, Rights::READ)?, Ground::for_cpu(cpu)?);
        let thread = ground.spawn(cpu, move || {
            let before = word.get();
            while !GO_ON.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
            }
            (before, word.get())
        })?;
        wait_for_state(thread.thread(), ThreadState::Sleeping)?;
        published.shared.subtree.unmap(published.shared.range())?;
        published.shared.subtree.map(Shared::OFFSET, &other, 0..PAGE, Rights::READ)?;
        GO_ON.store(true, Ordering::Release);
        ensure_eq!((cpu, thread.join()?), (cpu, (OLD, NEW)));
    }
    Ok(())
}

/// A CPU that read it in one space and enters another, made afterwards, reads what is there now.
fn a_cpu_in_a_new_space_reads_what_is_new() -> Verdict {
    needs_cpus(2)?;
    let (other, word) = (Segment::new(program().account(), PAGE)?, word_at(AT)?);
    other.write(0, &NEW.to_le_bytes())?;
    for cpu in 1..counters::cpus()? {
        let published = publish(Rights::READ, Rights::READ)?;
        for (memory, value) in [(&published.shared.segment, OLD), (&other, NEW), (&published.shared.segment, OLD)] {
            published.shared.subtree.unmap(published.shared.range())?;
            published.shared.subtree.map(Shared::OFFSET, memory, 0..PAGE, Rights::READ)?;
            let ground = Ground::for_cpu(cpu)?;
            ensure_eq!((cpu, ground.spawn(cpu, move || word.get())?.join()?), (cpu, value));
        }
    }
    Ok(())
}

/// Threads that run in spaces made long before, on all CPUs, read it as soon as it is public, and what is mapped in it
/// as soon as it is mapped.
fn what_becomes_public_is_seen_on_every_cpu_at_once() -> Verdict {
    static GO_ON: AtomicU64 = AtomicU64::new(0);
    GO_ON.store(0, Ordering::Release);
    let (words, mut threads) = ([word_at(AT)?, word_at(AT + PAGE)?], Vec::new());
    for cpu in 0..counters::cpus()? {
        let ground = Ground::for_cpu(cpu)?;
        let thread = ground.spawn(cpu, move || {
            let mut seen = [0; 2];
            for (turn, word) in words.into_iter().enumerate() {
                while GO_ON.load(Ordering::Acquire) <= turn as u64 {
                    core::hint::spin_loop();
                }
                seen[turn] = word.get();
            }
            seen
        })?;
        threads.push((ground, thread));
    }
    let published = publish(Rights::READ, Rights::READ)?;
    GO_ON.store(1, Ordering::Release);
    published.shared.subtree.map(Shared::OFFSET + PAGE, &published.shared.segment, 0..PAGE, Rights::READ)?;
    GO_ON.store(2, Ordering::Release);
    for (_ground, thread) in threads {
        ensure_eq!(thread.join()?, [OLD; 2]);
    }
    Ok(())
}

/// Any other CPU may hold global translations, so a change of a page interrupts each of them once, in a space or not,
/// and drops that page. (On aarch64, one broadcast reaches all of them.)
fn a_change_interrupts_every_other_cpu_once() -> Verdict {
    needs_cpus(2)?;
    let (published, others) = (publish(Rights::READ, Rights::READ)?, counters::cpus()? - 1);
    let (subtree, page) = (&published.shared.subtree, published.shared.range().end);
    let flips = || {
        let map = || match subtree.map(page, &published.shared.segment, 0..PAGE, Rights::READ) {
            Err(Error::Overlap) => Ok(()),
            other => other,
        };
        counted(map, || subtree.unmap(page..page + PAGE))
    };
    // While the others idle, then while they are in spaces.
    for are_idle in [true, false] {
        let readers = if are_idle { Vec::new() } else { readers()? };
        let change = flips()?;
        ensure_eq!((change.shootdowns_sent, change.shared_page_flushes), (interrupts_for(others), 1));
        ensure_eq!((change.global_flushes, change.range_flushes), (0, 0));
        readers.into_iter().try_for_each(|(_, spinner)| spinner.end())?;
    }
    Ok(())
}

/// A withdrawal flushes everything, once on each CPU, and interrupts each other CPU once.
fn a_withdrawal_interrupts_every_other_cpu_once() -> Verdict {
    needs_cpus(2)?;
    let (shared, cpus) = (Shared::new(Level::Top, Rights::READ)?, counters::cpus()?);
    let machine = public_machine()?;
    let publish = || match machine.publish(&shared.subtree, AT, Rights::READ) {
        Err(Error::BadState) => Ok(()),
        other => other,
    };
    let change = counted(publish, || shared.subtree.withdraw().map(drop));
    shared.subtree.withdraw()?;
    let change = change?;
    ensure_eq!(change.shootdowns_sent, interrupts_for(cpus - 1));
    ensure_eq!(change.global_flushes, if interrupts_for(1) == 0 { 1 } else { cpus });
    Ok(())
}

/// Making something public, mapping in it, and making a space that shows it, interrupt nobody.
fn what_needs_no_flush_interrupts_nobody() -> Verdict {
    needs_cpus(2)?;
    let (shared, machine) = (Shared::new(Level::Top, Rights::READ)?, public_machine()?);
    let withdraw = || shared.subtree.withdraw().map(drop);
    let change = counted(withdraw, || machine.publish(&shared.subtree, AT, Rights::READ))?;
    ensure_eq!((change.shootdowns_sent, change.global_flushes), (0, 0));
    let readers = readers()?;
    let page = shared.range().end;
    let unmap = || match shared.subtree.unmap(page..page + PAGE) {
        Err(Error::NotMapped) => Ok(()),
        other => other,
    };
    let change = counted(unmap, || shared.subtree.map(page, &shared.segment, 0..PAGE, Rights::READ))?;
    ensure_eq!((change.shootdowns_sent, change.global_flushes), (0, 0));
    ensure_eq!(counted(|| Ok(()), || Space::new(program().account()).map(drop))?.shootdowns_sent, 0);
    readers.into_iter().try_for_each(|(_, spinner)| spinner.end())?;
    withdraw()?;
    Ok(())
}

/// Switching among spaces that show it drops no global translation, however often and under whatever tags.
fn switching_flushes_nothing_that_is_public() -> Verdict {
    let (published, word) = (publish(Rights::READ, Rights::READ)?, word_at(AT)?);
    let spaces = (0..20).map(|_| program().new_space()).collect::<Result<Vec<_>, _>>()?;
    let before = counters::total()?;
    for _ in 0..5 {
        for space in &spaces {
            ensure_eq!(space.enter(|| word.get())?, OLD);
        }
    }
    let after = counters::total()?;
    let switches = after.space_switches - before.space_switches;
    ensure!(switches >= 200, "200 switches were counted as {switches}");
    ensure_eq!((after.global_flushes - before.global_flushes, after.shootdowns_sent - before.shootdowns_sent), (0, 0));
    drop(published);
    Ok(())
}

/// Threads on all CPUs map, read and unmap pages of their own in a public subtree: each reads its own memory.
fn all_cpus_change_a_public_subtree_at_once() -> Verdict {
    let (published, mut threads) = (publish(Rights::READ, Rights::READ)?, Vec::new());
    let rounds = turns_of_each(30)?;
    for cpu in 0..counters::cpus()? {
        let (subtree, page) = (published.shared.subtree.derive(Rights::MAP, 0)?, (8 + cpu) * PAGE);
        let segments = [Segment::new(program().account(), PAGE)?, Segment::new(program().account(), PAGE)?];
        for (number, segment) in (0..).zip(&segments) {
            segment.write(0, &u64::to_le_bytes(cpu * 2 + number))?;
        }
        let (ground, place) = (Ground::for_cpu(cpu)?, Place::<u64>::new(AT + page)?);
        let thread = ground.spawn(cpu, move || -> Result<u64, Error> {
            let mut wrong = 0;
            for round in 0..rounds {
                subtree.map(page, &segments[round as usize % 2], 0..PAGE, Rights::READ)?;
                wrong += u64::from(place.get() != cpu * 2 + round % 2);
                subtree.unmap(page..page + PAGE)?;
            }
            Ok(wrong)
        })?;
        threads.push((ground, thread));
    }
    for (_ground, thread) in threads {
        ensure_eq!(thread.join()??, 0);
    }
    ensure_eq!(reach_page(program().space(), AT)?, Rights::READ);
    Ok(())
}

/// While subtrees are made public and withdrawn, threads on other CPUs make spaces and views: each of these shows what
/// is public at that moment, or nothing. In the end nothing remains.
fn spaces_come_and_go_while_it_comes_and_goes() -> Verdict {
    come_and_go()?;
    let before = Census::take()?.settled();
    come_and_go()?;
    ensure_eq!(Census::take()?.settled(), before);
    Ok(())
}

fn come_and_go() -> Verdict {
    let (rounds, mut threads) = (turns_of_each(20)?, Vec::new());
    for cpu in 1..counters::cpus()? {
        threads.push(on_cpu(cpu).spawn(move || -> Result<u64, Error> {
            let (mut wrong, page, mut bytes) = (0, AT + Shared::OFFSET, [0; 8]);
            for _ in 0..rounds {
                let space = Space::new(program().account())?;
                let view = View::new(program().account(), &space, Rights::READ)?;
                let found = view.read(page, &mut bytes).is_ok();
                wrong += u64::from(found && u64::from_le_bytes(bytes) != OLD);
                let found = space.read(page, &mut bytes).is_ok();
                wrong += u64::from(found && u64::from_le_bytes(bytes) != OLD);
            }
            Ok(wrong)
        })?);
    }
    let shared = Shared::new(Level::Top, Rights::READ)?;
    shared.set(OLD)?;
    for _ in 0..20 {
        public_machine()?.publish(&shared.subtree, AT, Rights::READ)?;
        ensure_eq!(word_at(AT)?.get(), OLD);
        ensure_eq!(shared.subtree.withdraw()?, 1);
    }
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    Ok(())
}

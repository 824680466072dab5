//! Shootdown: after a change returns, no CPU goes by the old translation, and only those are interrupted that must be.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Failure, Room, Spinner, Verdict, claim, counted, ensure, ensure_eq, fresh_address, interrupts_for,
    needs_cpus, on_cpu, refused, run_on, the_kernel_passes_its_own_checks, turns_of_each, wait_for_state,
};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libvas::thread::{self, ThreadState};
use libvas::{
    Cap, Error, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, counters, program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(after_unmap_another_cpu_faults_and_reads_nothing_new),
        claim!(after_protect_another_cpu_writes_no_more),
        claim!(after_detach_another_cpu_faults),
        claim!(what_is_taken_out_of_a_shared_subtree_goes_on_every_cpu),
        claim!(nobody_is_interrupted_while_no_other_cpu_is_in_the_space),
        claim!(each_other_cpu_in_the_space_is_interrupted_once),
        claim!(a_long_range_interrupts_each_cpu_once_too),
        claim!(a_cpu_that_left_the_space_is_not_interrupted_and_reads_what_is_new),
        claim!(a_refused_change_interrupts_nobody),
        claim!(a_change_in_another_space_interrupts_nobody),
        claim!(mapping_what_was_empty_interrupts_nobody),
        claim!(all_cpus_unmap_at_once_in_one_space),
        claim!(all_cpus_unmap_at_once_in_one_subtree),
        claim!(a_thread_that_moves_among_cpus_reads_what_is_true),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_shootdown", CLAIMS, 1)
}

const OLD: u64 = 0x01d0_1d01;
const NEW: u64 = 0x0e20_2e20;

/// A space with the program, an anchor page that stays, and behind a gap a page (or more) that is to go.
struct Target {
    space: Cap<Space>,
    /// The memory of the page that is to go, as the home space sees it.
    alias: Room,
    pages: u64,
    anchor: u64,
}

impl Target {
    fn new(pages: u64) -> Result<Target, Error> {
        let (space, alias) = (program().new_space()?, Room::new(pages)?);
        let anchor = fresh_address();
        space.map(anchor, &Segment::new(program().account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
        let target = Target { space, alias, pages, anchor };
        target.map()?;
        target.alias.fill(OLD)?;
        Ok(target)
    }

    /// Where the page is that is to go.
    fn address(&self) -> u64 {
        self.anchor + 512 * PAGE
    }

    fn map(&self) -> Result<(), Error> {
        self.space.map(self.address(), self.alias.segment(), 0..self.pages * PAGE, Rights::READ_WRITE)
    }

    fn unmap(&self) -> Result<(), Error> {
        self.space.unmap(self.address()..self.address() + self.pages * PAGE)
    }

    /// A spinner on a CPU that reads the page that stays.
    fn bystander(&self, cpu: u64) -> Result<Spinner, Failure> {
        let spinner = Spinner::reading(on_cpu(cpu), &self.space, self.anchor)?;
        spinner.wait()?;
        Ok(spinner)
    }

    /// The interrupts that unmapping it sends.
    fn interrupts(&self) -> Result<u64, Failure> {
        let change = counted(
            || match self.map() {
                Err(Error::Overlap) => Ok(()),
                other => other,
            },
            || self.unmap(),
        )?;
        Ok(change.shootdowns_sent)
    }
}

/// Waits until a spinner was stopped by a fault; the last thing it read is `OLD`.
#[track_caller]
fn has_faulted(spinner: Spinner) -> Verdict {
    wait_for_state(spinner.thread()?, ThreadState::Faulted)?;
    ensure_eq!(spinner.last(), OLD);
    refused(spinner.join(), Error::Faulted)
}

/// When `unmap` has returned, a CPU that was reading the page faults; what the page holds later it never reads.
fn after_unmap_another_cpu_faults_and_reads_nothing_new() -> Verdict {
    needs_cpus(2)?;
    for cpu in 1..counters::cpus()? {
        let target = Target::new(1)?;
        let spinner = Spinner::reading(on_cpu(cpu), &target.space, target.address())?;
        spinner.wait()?;
        target.unmap()?;
        target.alias.fill(NEW)?;
        has_faulted(spinner)?;
    }
    Ok(())
}

/// When `protect` has taken `WRITE` away, a CPU that was writing the page faults, and the page stays as it was then.
fn after_protect_another_cpu_writes_no_more() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(1)?;
    let spinner = Spinner::writing(on_cpu(1), &target.space, target.address())?;
    spinner.wait()?;
    target.space.protect(target.address()..target.address() + PAGE, Rights::READ)?;
    let word = target.alias.word(0)?;
    let last = word.get();
    ensure!(last > 1, "it had written {last} only");
    wait_for_state(spinner.thread()?, ThreadState::Faulted)?;
    ensure_eq!(word.get(), last);
    refused(spinner.join(), Error::Faulted)
}

/// When `detach` has returned, a CPU that was reading through the attachment faults.
fn after_detach_another_cpu_faults() -> Verdict {
    needs_cpus(2)?;
    let (target, subtree) = (Target::new(1)?, Subtree::new(program().account())?);
    subtree.map(PAGE, target.alias.segment(), 0..PAGE, Rights::READ)?;
    let slot = 50 * TOP_SLOT_BYTES;
    target.space.attach(slot, &subtree, Rights::READ)?;
    let spinner = Spinner::reading(on_cpu(1), &target.space, slot + PAGE)?;
    spinner.wait()?;
    target.space.detach(slot)?;
    target.alias.fill(NEW)?;
    has_faulted(spinner)
}

/// A page that goes from a subtree goes at once on every CPU, in whatever space that has the subtree.
fn what_is_taken_out_of_a_shared_subtree_goes_on_every_cpu() -> Verdict {
    needs_cpus(2)?;
    let (alias, subtree, slot) = (Room::new(1)?, Subtree::new(program().account())?, 51 * TOP_SLOT_BYTES);
    alias.fill(OLD)?;
    subtree.map(PAGE, alias.segment(), 0..PAGE, Rights::READ)?;
    let mut spinners = Vec::new();
    let mut spaces = Vec::new();
    for cpu in 1..counters::cpus()? {
        let space = program().new_space()?;
        space.attach(slot, &subtree, Rights::READ)?;
        let spinner = Spinner::reading(on_cpu(cpu), &space, slot + PAGE)?;
        spinner.wait()?;
        spinners.push(spinner);
        spaces.push(space);
    }
    subtree.unmap(PAGE..2 * PAGE)?;
    alias.fill(NEW)?;
    spinners.into_iter().try_for_each(has_faulted)
}

/// Unmapping sends no interrupt while no other CPU is in the space, whether or not the caller is.
fn nobody_is_interrupted_while_no_other_cpu_is_in_the_space() -> Verdict {
    let target = Target::new(1)?;
    ensure_eq!(target.interrupts()?, 0);
    ensure_eq!(target.space.enter(|| target.interrupts())??, 0);
    Ok(())
}

/// Unmapping sends exactly one interrupt to each other CPU that is in the space, and none to the caller's. (On
/// aarch64, where the hardware reaches every CPU, none at all.)
fn each_other_cpu_in_the_space_is_interrupted_once() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(1)?;
    let mut spinners = Vec::new();
    for cpu in 1..counters::cpus()? {
        spinners.push(target.bystander(cpu)?);
        ensure_eq!((cpu, target.interrupts()?), (cpu, interrupts_for(cpu)));
        ensure_eq!((cpu, target.space.enter(|| target.interrupts())??), (cpu, interrupts_for(cpu)));
    }
    spinners.into_iter().try_for_each(Spinner::end)?;
    Ok(())
}

/// A range that is too long to be invalidated page by page still costs one interrupt for each CPU.
fn a_long_range_interrupts_each_cpu_once_too() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(200)?;
    let spinner = target.bystander(1)?;
    let change = counted(|| target.map().or(Ok(())), || target.unmap())?;
    ensure_eq!(change.shootdowns_sent, interrupts_for(1));
    ensure!(change.range_flushes >= 1, "no tag was flushed as a whole");
    ensure_eq!(change.page_flushes, 0);
    spinner.end()?;
    Ok(())
}

/// A CPU that was in the space and left it is not interrupted, and yet reads what is there now when it comes back.
fn a_cpu_that_left_the_space_is_not_interrupted_and_reads_what_is_new() -> Verdict {
    needs_cpus(2)?;
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let target = Target::new(1)?;
    let place = Place::<u64>::new(target.address())?;
    let visitor = target.space.derive(Rights::SWITCH, 0)?;
    let other = Segment::new(program().account(), PAGE)?;
    other.write(0, &NEW.to_le_bytes())?;
    let (thread, go) = on_signal(1, move |_| {
        SEEN.store(visitor.enter(|| place.get()).unwrap_or(0), Ordering::Relaxed);
    })?;
    for _ in 0..20 {
        go.turn()?;
        ensure_eq!(SEEN.load(Ordering::Relaxed), OLD);
        let change = counted(|| target.map().or(Ok(())), || target.unmap())?;
        ensure!(change.shootdowns_sent == 0 && change.stale_marks <= 1, "it counted {change:?}");
        target.space.map(target.address(), &other, 0..PAGE, Rights::READ)?;
        go.turn()?;
        ensure_eq!(SEEN.load(Ordering::Relaxed), NEW);
        target.space.unmap(target.address()..target.address() + PAGE)?;
        target.map()?;
    }
    go.end();
    thread.join()?;
    Ok(())
}

/// A thread's leash: it does one thing each time it is told to.
#[derive(Clone)]
struct Leash(alloc::sync::Arc<[AtomicU64; 2]>);

const END: u64 = u64::MAX;

impl Leash {
    /// Lets the thread do its thing once; returns when it is done.
    fn turn(&self) -> Verdict {
        let turn = self.0[0].fetch_add(1, Ordering::AcqRel) + 1;
        conformance::wait_until(|| Ok(self.0[1].load(Ordering::Acquire) == turn))
    }

    fn end(&self) {
        self.0[0].store(END, Ordering::Release);
    }
}

/// Starts a thread on a CPU that does something whenever its leash says so, and spins meanwhile.
fn on_signal(cpu: u64, act: impl Fn(u64) + Send + 'static) -> Result<(thread::JoinHandle<()>, Leash), Error> {
    let leash = Leash(alloc::sync::Arc::new([const { AtomicU64::new(0) }; 2]));
    let own = leash.clone();
    let thread = on_cpu(cpu).spawn(move || {
        loop {
            let (told, done) = (own.0[0].load(Ordering::Acquire), own.0[1].load(Ordering::Relaxed));
            match told {
                END => return,
                turn if turn != done => {
                    act(turn);
                    own.0[1].store(turn, Ordering::Release);
                }
                // Not asleep: a CPU that changes its thread would spoil every count.
                _ => core::hint::spin_loop(),
            }
        }
    })?;
    Ok((thread, leash))
}

/// A change that is refused interrupts nobody, and what others read stays.
fn a_refused_change_interrupts_nobody() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(1)?;
    let spinner = Spinner::reading(on_cpu(1), &target.space, target.address())?;
    spinner.wait()?;
    let (from, weak) = (target.address(), target.space.derive(Rights::SWITCH | Rights::INSPECT, 0)?);
    let change = counted(
        || Ok(()),
        || {
            let refusals = [
                (weak.unmap(from..from + PAGE), Error::MissingRight),
                (weak.protect(from..from + PAGE, Rights::READ), Error::MissingRight),
                (target.space.unmap(from..from + 2 * PAGE), Error::NotMapped),
                (target.space.unmap(from + 1..from + 1 + PAGE), Error::Misaligned),
                (target.space.protect(from..from + PAGE, Rights::WRITE), Error::BadArgument),
            ];
            refusals.into_iter().try_for_each(|(result, error)| match result {
                Err(refusal) if refusal == error => Ok(()),
                Err(other) => Err(other),
                Ok(()) => Err(Error::BadState),
            })
        },
    )?;
    ensure_eq!((change.shootdowns_sent, change.page_flushes, change.range_flushes), (0, 0, 0));
    spinner.wait()?;
    ensure_eq!(spinner.last(), OLD);
    spinner.end()?;
    Ok(())
}

/// CPUs that are in other spaces are not interrupted.
fn a_change_in_another_space_interrupts_nobody() -> Verdict {
    needs_cpus(2)?;
    let (target, other) = (Target::new(1)?, Target::new(1)?);
    let spinners = (1..counters::cpus()?).map(|cpu| other.bystander(cpu)).collect::<Result<Vec<_>, _>>()?;
    ensure_eq!(target.interrupts()?, 0);
    spinners.into_iter().try_for_each(Spinner::end)?;
    Ok(())
}

/// Where nothing was mapped there is no old translation, so mapping interrupts nobody.
fn mapping_what_was_empty_interrupts_nobody() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(1)?;
    let spinner = target.bystander(1)?;
    let change = counted(|| target.unmap().or(Ok(())), || target.map())?;
    ensure_eq!(change.shootdowns_sent, 0);
    spinner.end()?;
    Ok(())
}

/// Maps, checks and unmaps a page of its own, again and again; gives how often it read something wrong.
fn churn(rounds: u64, own: u64, place: u64, change: impl Fn(bool) -> Result<(), Error>) -> Result<u64, Error> {
    let place = Place::<u64>::new(place)?;
    let mut wrong = 0;
    for round in 0..rounds {
        change(true)?;
        wrong += u64::from(round > 0 && place.get() != own + round - 1);
        place.set(own + round);
        wrong += u64::from(place.get() != own + round);
        change(false)?;
    }
    Ok(wrong)
}

/// Threads on all CPUs unmap pages of one space at the same time: all get done, and each reads its own memory.
fn all_cpus_unmap_at_once_in_one_space() -> Verdict {
    let (target, rounds) = (Target::new(1)?, turns_of_each(150)?);
    let mut threads = Vec::new();
    for cpu in 0..counters::cpus()? {
        let (space, page) = (target.space.derive(Rights::MAP, 0)?, target.address() + (1 + cpu) * PAGE);
        let segment = Segment::new(program().account(), PAGE)?;
        threads.push(on_cpu(cpu).space(&target.space).spawn(move || {
            churn(rounds, cpu << 32, page, |map| match map {
                true => space.map(page, &segment, 0..PAGE, Rights::READ_WRITE),
                false => space.unmap(page..page + PAGE),
            })
        })?);
    }
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    Ok(())
}

/// The same in a subtree that the spaces of all threads share.
fn all_cpus_unmap_at_once_in_one_subtree() -> Verdict {
    let (subtree, slot) = (Subtree::new(program().account())?, 52 * TOP_SLOT_BYTES);
    let (rounds, mut threads) = (turns_of_each(150)?, Vec::new());
    let mut spaces = Vec::new();
    for cpu in 0..counters::cpus()? {
        let (space, page) = (program().new_space()?, (1 + cpu) * PAGE);
        space.attach(slot, &subtree, Rights::READ_WRITE)?;
        let (shared, segment) = (subtree.derive(Rights::MAP, 0)?, Segment::new(program().account(), PAGE)?);
        threads.push(on_cpu(cpu).space(&space).spawn(move || {
            churn(rounds, cpu << 32, slot + page, |map| match map {
                true => shared.map(page, &segment, 0..PAGE, Rights::READ_WRITE),
                false => shared.unmap(page..page + PAGE),
            })
        })?);
        spaces.push(space);
    }
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    Ok(())
}

/// While another thread maps and unmaps beside it, a thread that is moved from CPU to CPU reads what is true.
fn a_thread_that_moves_among_cpus_reads_what_is_true() -> Verdict {
    needs_cpus(2)?;
    let cpus = counters::cpus()?;
    let target = Target::new(1)?;
    target.space.write(target.anchor, &OLD.to_le_bytes())?;
    let spinner = Spinner::reading(on_cpu(1), &target.space, target.anchor)?;
    let (space, page) = (target.space.derive(Rights::MAP, 0)?, target.address() + PAGE);
    let segment = Segment::new(program().account(), PAGE)?;
    let worker = on_cpu(cpus - 1).space(&target.space).spawn(move || {
        churn(300, 1 << 40, page, |map| match map {
            true => space.map(page, &segment, 0..PAGE, Rights::READ_WRITE),
            false => space.unmap(page..page + PAGE),
        })
    })?;
    for round in 0..60 {
        spinner.thread()?.set_affinity(1 << (round % cpus))?;
        target.unmap()?;
        target.map()?;
        thread::sleep(Duration::from_micros(100));
        ensure!(spinner.last() == OLD || spinner.turns() == 0, "it read {:#x}", spinner.last());
    }
    ensure_eq!(worker.join()??, 0);
    spinner.wait()?;
    ensure_eq!(spinner.last(), OLD);
    spinner.end()?;
    Ok(())
}

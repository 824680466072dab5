//! Revocation on several CPUs: when it has returned, no other CPU uses what was lent, and nobody outruns it.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use conformance::{
    Claim, LEVELS, NEW, OLD, Room, Shared, SpareStack, Spinner, Verdict, all_have_faulted, claim, ensure, ensure_eq,
    fresh_address, interrupts_for, needs_cpus, on_cpu, refused, run_on, set_fallback, spot,
    the_kernel_passes_its_own_checks, wait_until, word_at,
};
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use libvas::layout::FallbackReason;
use libvas::thread::{self, JoinHandle};
use libvas::{
    Cap, Enterable, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, View, counters, program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(threads_that_run_elsewhere_land_before_it_returns),
        claim!(threads_in_views_that_run_elsewhere_land),
        claim!(threads_in_local_spaces_elsewhere_land),
        claim!(without_a_fallback_they_are_stopped_and_others_run_on),
        claim!(mappings_are_gone_for_readers_elsewhere),
        claim!(mappings_in_subtrees_are_gone_for_readers_elsewhere),
        claim!(attachments_are_gone_for_readers_elsewhere),
        claim!(core_windows_of_other_cpus_are_gone),
        claim!(memory_given_on_at_once_is_never_seen_by_who_had_it),
        claim!(no_switch_succeeds_after_it_has_returned),
        claim!(no_switch_into_a_view_succeeds_after_it_has_returned),
        claim!(who_derives_as_fast_as_it_can_does_not_win),
        claim!(who_maps_as_fast_as_it_can_does_not_win),
        claim!(who_makes_views_as_fast_as_it_can_does_not_win),
        claim!(two_revoke_the_same_at_once),
        claim!(who_revokes_inside_by_what_another_revokes_lands),
        claim!(a_badge_disturbs_no_other_borrower_elsewhere),
        claim!(a_loan_that_is_used_by_nobody_interrupts_nobody),
        claim!(all_cpus_lend_and_take_back_at_once),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_revoke", CLAIMS, 1)
}

/// The exit code of a thread that landed, less the reason.
const LANDED: u64 = 500;
const REVOKED: Result<u64, Error> = Ok(LANDED + FallbackReason::SpaceRevoked as u64);

extern "C" fn landing(reason: u64, _: u64) -> ! {
    thread::exit(LANDED + reason)
}

fn lend(space: &Cap<Space>, badge: u64) -> Result<Cap<Space>, Error> {
    space.derive(Rights::all() - Rights::MAP, badge)
}

/// A capability of the program's table that this thread does not own.
fn named<T: libvas::Object>(cap: &Cap<T>) -> ManuallyDrop<Cap<T>> {
    ManuallyDrop::new(Cap::from_handle(cap.handle()))
}

/// A thread that runs in a space on a CPU without calling the kernel, and counts.
struct Runner {
    thread: JoinHandle<()>,
    turns: Arc<AtomicU64>,
}

impl Runner {
    /// Starts one that falls back to the home space, if it is to fall back.
    fn new<T: Enterable + 'static>(cpu: u64, by: &Cap<T>, falls_back: bool) -> Result<Runner, Error> {
        let (turns, space) = (Arc::new(AtomicU64::new(0)), named(by));
        let count = Arc::clone(&turns);
        let thread = on_cpu(cpu).spawn(move || {
            if falls_back && set_fallback(program().space(), landing, SpareStack::new()).is_err() {
                return;
            }
            if space.switch().is_ok() {
                loop {
                    count.fetch_add(1, SeqCst);
                }
            }
        })?;
        Ok(Runner { thread, turns })
    }

    fn wait(&self) -> Verdict {
        let before = self.turns.load(SeqCst);
        wait_until(|| Ok(self.turns.load(SeqCst) > before))
    }

    /// Fails unless it does nothing more from here on, and ended like this.
    fn ended(&self, how: Result<u64, Error>) -> Verdict {
        let turns = self.turns.load(SeqCst);
        ensure_eq!(self.thread.thread().join(), how);
        ensure_eq!(self.turns.load(SeqCst), turns);
        Ok(())
    }
}

/// Threads that compute in a space on every other CPU have left it when the call returns, and land.
fn threads_that_run_elsewhere_land_before_it_returns() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..5 {
        let (space, mut runners) = (program().new_space()?, Vec::new());
        for cpu in 1..counters::cpus()? {
            let lent = lend(&space, cpu)?;
            let runner = Runner::new(cpu, &lent, true)?;
            runner.wait()?;
            runners.push((runner, lent));
        }
        space.revoke()?;
        let turns: Vec<u64> = runners.iter().map(|(runner, _)| runner.turns.load(SeqCst)).collect();
        ensure_eq!(space.info()?.threads, 0);
        for ((runner, lent), turns) in runners.into_iter().zip(turns) {
            runner.ended(REVOKED)?;
            ensure_eq!(runner.turns.load(SeqCst), turns);
            refused(lent.enter(|| ()), Error::BadHandle)?;
        }
    }
    Ok(())
}

/// So do those in views of it, and in views of views.
fn threads_in_views_that_run_elsewhere_land() -> Verdict {
    needs_cpus(2)?;
    let (account, space, mut runners) = (program().account(), program().new_space()?, Vec::new());
    for cpu in 1..counters::cpus()? {
        let lent = lend(&space, cpu)?;
        let mut view = View::new(account, &lent, Rights::READ_WRITE)?;
        if cpu % 2 == 0 {
            view = view.narrowed(account, Rights::READ)?;
        }
        let runner = Runner::new(cpu, &view, true)?;
        runner.wait()?;
        runners.push((runner, lent, view));
    }
    space.revoke()?;
    for (runner, _lent, view) in runners {
        runner.ended(REVOKED)?;
        refused(view.enter(|| ()), Error::BadHandle)?;
    }
    ensure_eq!((space.info()?.threads, space.info()?.views), (0, 0));
    Ok(())
}

/// So do those in spaces that are local to other CPUs.
fn threads_in_local_spaces_elsewhere_land() -> Verdict {
    needs_cpus(2)?;
    for cpu in 1..counters::cpus()? {
        let space = Space::new_local(program().account(), cpu)?;
        space.attach(0, program().subtree(), Rights::ACCESS)?;
        let lent = lend(&space, cpu)?;
        let runner = Runner::new(cpu, &lent, true)?;
        runner.wait()?;
        space.revoke()?;
        runner.ended(REVOKED)?;
        ensure_eq!(space.info()?.threads, 0);
    }
    Ok(())
}

/// Those without a fallback are stopped; the lender's own thread inside, on a CPU as well, runs on.
fn without_a_fallback_they_are_stopped_and_others_run_on() -> Verdict {
    needs_cpus(2)?;
    let (space, mut runners) = (program().new_space()?, Vec::new());
    let own = Runner::new(1, &space, true)?;
    for cpu in 1..counters::cpus()? {
        let lent = lend(&space, cpu)?;
        let runner = Runner::new(cpu, &lent, false)?;
        runner.wait()?;
        runners.push((runner, lent));
    }
    space.revoke()?;
    for (runner, _lent) in runners {
        runner.ended(Err(Error::Gone))?;
    }
    own.wait()?;
    own.thread.thread().stop()?;
    own.ended(Err(Error::Gone))
}

/// When it has returned, readers on other CPUs fault that had the memory mapped by borrowed capabilities, and read nothing
/// that is written later.
fn mappings_are_gone_for_readers_elsewhere() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..5 {
        let (alias, mut readers) = (Room::new(3)?, Vec::new());
        alias.fill(OLD)?;
        for cpu in 1..counters::cpus()? {
            let (space, at) = (program().new_space()?, fresh_address());
            let lent = alias.segment().derive(Rights::READ_WRITE, cpu)?;
            space.map(at, &lent, 0..3 * PAGE, Rights::READ_WRITE)?;
            space.protect(at + PAGE..at + 2 * PAGE, Rights::READ)?;
            let spinner = Spinner::reading(on_cpu(cpu), &space, at + cpu % 3 * PAGE)?;
            spinner.wait()?;
            readers.push(((space, lent), spinner));
        }
        alias.segment().revoke()?;
        alias.fill(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// The same for memory that a borrower mapped in a subtree which spaces on all CPUs show.
fn mappings_in_subtrees_are_gone_for_readers_elsewhere() -> Verdict {
    needs_cpus(2)?;
    for level in LEVELS {
        let (alias, subtree) = (Room::new(1)?, Subtree::with_level(program().account(), level)?);
        let lent = alias.segment().derive(Rights::READ, 1)?;
        alias.fill(OLD)?;
        subtree.map(PAGE, &lent, 0..PAGE, Rights::READ)?;
        let mut readers = Vec::new();
        for cpu in 1..counters::cpus()? {
            let space = program().new_space()?;
            space.attach(spot(level), &subtree, Rights::READ)?;
            let spinner = Spinner::reading(on_cpu(cpu), &space, spot(level) + PAGE)?;
            spinner.wait()?;
            readers.push((space, spinner));
        }
        alias.segment().revoke()?;
        alias.fill(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// The same for subtrees of every level that borrowers attached, also when readers are in views of their spaces.
fn attachments_are_gone_for_readers_elsewhere() -> Verdict {
    needs_cpus(2)?;
    for (level, by_view) in LEVELS.into_iter().flat_map(|level| [(level, false), (level, true)]) {
        let (shared, mut readers) = (Shared::new(level, Rights::READ)?, Vec::new());
        shared.set(OLD)?;
        for cpu in 1..counters::cpus()? {
            let (space, lent) = (program().new_space()?, shared.subtree.derive(Rights::READ, cpu)?);
            space.attach(spot(level), &lent, Rights::READ)?;
            let view = View::new(program().account(), &space, Rights::READ)?;
            let address = word_at(spot(level))?.address();
            let spinner = match by_view {
                false => Spinner::reading(on_cpu(cpu), &space, address)?,
                true => Spinner::reading(on_cpu(cpu), &view, address)?,
            };
            spinner.wait()?;
            readers.push(((space, view, lent), spinner));
        }
        shared.subtree.revoke()?;
        shared.set(NEW)?;
        ensure_eq!(shared.subtree.info()?.sharers, 0);
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// The same for core windows of other CPUs.
fn core_windows_of_other_cpus_are_gone() -> Verdict {
    needs_cpus(2)?;
    let (space, mut readers) = (program().new_space()?, Vec::new());
    for cpu in 1..counters::cpus()? {
        let shared = Shared::new(Level::Top, Rights::READ)?;
        shared.set(OLD)?;
        space.attach_core(spot(Level::Top), &shared.subtree.derive(Rights::READ, cpu)?, Rights::READ, cpu)?;
        let spinner = Spinner::reading(on_cpu(cpu), &space, word_at(spot(Level::Top))?.address())?;
        spinner.wait()?;
        readers.push((shared, spinner));
    }
    for (shared, _) in &readers {
        shared.subtree.revoke()?;
        shared.set(NEW)?;
    }
    ensure_eq!(space.info()?.core_windows, 0);
    all_have_faulted(readers)
}

/// Memory that is given up when it was revoked, and taken again by somebody else who writes to it at once, is not seen by who
/// had it mapped on other CPUs.
fn memory_given_on_at_once_is_never_seen_by_who_had_it() -> Verdict {
    needs_cpus(2)?;
    const PAGES: u64 = 4;
    let payer = program().account().split((PAGES + 2) * PAGE)?;
    let whole = payer.info()?;
    for _ in 0..10 {
        let (segment, mut readers) = (Segment::new(&payer, PAGES * PAGE)?, Vec::new());
        segment.write(0, &OLD.to_le_bytes())?;
        for cpu in 1..counters::cpus()? {
            let (space, at, lent) = (program().new_space()?, fresh_address(), segment.derive(Rights::READ, cpu)?);
            space.map(at, &lent, 0..PAGES * PAGE, Rights::READ)?;
            let spinner = Spinner::reading(on_cpu(cpu), &space, at)?;
            spinner.wait()?;
            readers.push(((space, lent), spinner));
        }
        segment.revoke()?;
        drop(segment);
        ensure_eq!(payer.info()?, whole);
        let next = Room::with(Segment::new(&payer, PAGES * PAGE)?, PAGES, Rights::READ_WRITE)?;
        ensure!(next.is_filled(0)?, "memory that was lent is not empty");
        next.fill(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// Switches in a loop by a borrowed capability until that is refused; gives whether a switch succeeded that began after the
/// lender's call had returned.
fn switch_until_refused<T: Enterable>(space: &Cap<T>, has_returned: &AtomicBool, turns: &AtomicU64) -> bool {
    loop {
        let is_late = has_returned.load(SeqCst);
        match space.enter(|| ()) {
            Ok(()) if is_late => return true,
            Ok(()) => turns.fetch_add(1, SeqCst),
            Err(_) => return false,
        };
    }
}

/// Lets other CPUs switch by what `lend` makes while `revoke` is called; gives how many switches came too late.
fn late_switches<T: Enterable + 'static>(
    rounds: u64,
    lend: impl Fn(&Cap<Space>) -> Result<Cap<T>, Error>,
) -> Result<u64, conformance::Failure> {
    let mut late = 0;
    for round in 0..rounds {
        let (space, mut threads) = (program().new_space()?, Vec::new());
        let has_returned = Arc::new(AtomicBool::new(false));
        for cpu in 1..counters::cpus()? {
            let (lent, turns) = (lend(&space)?, Arc::new(AtomicU64::new(0)));
            let (by, seen, count) = (named(&lent), Arc::clone(&has_returned), Arc::clone(&turns));
            let thread = on_cpu(cpu).spawn(move || {
                if set_fallback(program().space(), landing, SpareStack::new()).is_ok() {
                    thread::exit(u64::from(switch_until_refused(&by, &seen, &count)));
                }
            })?;
            threads.push((thread, lent, turns));
        }
        for (_, _, turns) in &threads {
            wait_until(|| Ok(turns.load(SeqCst) > 10 * round))?;
        }
        space.revoke()?;
        has_returned.store(true, SeqCst);
        for (thread, _lent, _) in threads {
            let end = thread.thread().join();
            ensure!(end == REVOKED || end.is_ok_and(|end| end < 2), "it ended otherwise: {end:?}");
            late += u64::from(end == Ok(1));
        }
    }
    Ok(late)
}

/// Other CPUs that enter and leave a space in a loop never succeed once the call has returned.
fn no_switch_succeeds_after_it_has_returned() -> Verdict {
    needs_cpus(2)?;
    ensure_eq!(late_switches(20, |space| lend(space, 1))?, 0);
    Ok(())
}

/// Nor into a view of it.
fn no_switch_into_a_view_succeeds_after_it_has_returned() -> Verdict {
    needs_cpus(2)?;
    ensure_eq!(late_switches(20, |space| View::new(program().account(), &lend(space, 1)?, Rights::READ))?, 0);
    Ok(())
}

/// Runs `outrun` on every other CPU until it is refused, which it must be; revokes `lender` when all have begun.
fn race<T: libvas::Object + 'static>(
    lender: &Cap<T>,
    outrun: impl Fn(&Cap<T>) -> Result<(), Error> + Copy + Send + 'static,
) -> Verdict {
    let mut threads = Vec::new();
    for cpu in 1..counters::cpus()? {
        let (lent, turns) = (lender.derive(Rights::all(), cpu)?, Arc::new(AtomicU64::new(0)));
        let (by, count) = (named(&lent), Arc::clone(&turns));
        let thread = on_cpu(cpu).spawn(move || {
            loop {
                match outrun(&by) {
                    Ok(()) => count.fetch_add(1, SeqCst),
                    Err(error) => return error,
                };
            }
        })?;
        threads.push((thread, lent, turns));
    }
    for (_, _, turns) in &threads {
        wait_until(|| Ok(turns.load(SeqCst) > 3))?;
    }
    lender.revoke()?;
    ensure_eq!(lender.capability_info()?.children, 0);
    ensure_eq!(lender.lent().count(), 0);
    for (thread, lent, _) in threads {
        ensure_eq!(thread.join()?, Error::BadHandle);
        refused(lent.delete(), Error::BadHandle)?;
    }
    Ok(())
}

/// A holder that derives from what it has, and from what it derived, as fast as it can, has nothing in the end.
fn who_derives_as_fast_as_it_can_does_not_win() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..10 {
        let segment = Segment::new(program().account(), PAGE)?;
        race(&segment, |lent| {
            let mut last = lent.derive(Rights::all(), 7)?;
            for _ in 0..8 {
                let next = last.derive(Rights::all(), 8)?;
                last = next;
            }
            drop(last);
            Ok(())
        })?;
        ensure_eq!(segment.capability_info()?.references, 1);
    }
    Ok(())
}

/// One that maps and unmaps, protects and maps again has nothing mapped in the end.
fn who_maps_as_fast_as_it_can_does_not_win() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..10 {
        let segment = Segment::new(program().account(), 4 * PAGE)?;
        race(&segment, |lent| {
            let (space, at) = (program().new_space()?, fresh_address());
            let derived = lent.derive(Rights::READ_WRITE, 9)?;
            space.map(at, lent, 0..4 * PAGE, Rights::READ_WRITE)?;
            space.map(at + 8 * PAGE, &derived, 0..PAGE, Rights::READ)?;
            // Taken back at any moment from here on: then there is nothing to change.
            let _ = space.protect(at + PAGE..at + 2 * PAGE, Rights::READ);
            let _ = space.unmap(at..at + 2 * PAGE);
            Ok(())
        })?;
        ensure_eq!((segment.info()?.mappings, segment.capability_info()?.references), (0, 1));
    }
    Ok(())
}

/// One that makes views and views of views has none in the end.
fn who_makes_views_as_fast_as_it_can_does_not_win() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..10 {
        let space = program().new_space()?;
        race(&space, |lent| {
            let view = View::new(program().account(), lent, Rights::READ_WRITE)?;
            let narrowed = view.narrowed(program().account(), Rights::READ)?;
            drop(view);
            narrowed.delete()
        })?;
        ensure_eq!((space.info()?.views, space.info()?.threads), (0, 0));
    }
    Ok(())
}

/// Two that revoke the same capability, with many derived from it, both come back, and all is gone.
fn two_revoke_the_same_at_once() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..5 {
        let (segment, table) =
            (Segment::new(program().account(), PAGE)?, libvas::CapTable::new(program().account(), 3000)?);
        (0..3000).try_for_each(|badge| segment.copy_into(&table, Rights::READ, badge % 2).map(|_| ()))?;
        let mut threads = Vec::new();
        for cpu in 1..counters::cpus()? {
            let by = named(&segment);
            threads.push(on_cpu(cpu).spawn(move || if cpu % 2 == 0 { by.revoke_badge(1) } else { by.revoke() })?);
        }
        segment.revoke()?;
        ensure_eq!(segment.capability_info()?.references, 1);
        for thread in threads {
            ensure_eq!(thread.join()?, Ok(()));
        }
    }
    Ok(())
}

/// A borrower inside that revokes in a loop, by what it has derived itself, is thrown out by the lender like any other.
fn who_revokes_inside_by_what_another_revokes_lands() -> Verdict {
    needs_cpus(2)?;
    for _ in 0..10 {
        let (space, turns) = (program().new_space()?, Arc::new(AtomicU64::new(0)));
        let lent = lend(&space, 1)?;
        let (by, count) = (named(&lent), Arc::clone(&turns));
        let thread = on_cpu(1).spawn(move || {
            if set_fallback(program().space(), landing, SpareStack::new()).is_err() || by.switch().is_err() {
                return;
            }
            while let Ok(derived) = by.derive(Rights::SWITCH, 2) {
                let _ = by.revoke();
                core::mem::forget(derived);
                count.fetch_add(1, SeqCst);
            }
        })?;
        wait_until(|| Ok(turns.load(SeqCst) > 3))?;
        space.revoke()?;
        ensure_eq!(thread.thread().join(), REVOKED);
        ensure_eq!((space.info()?.threads, space.capability_info()?.children), (0, 0));
    }
    Ok(())
}

/// Taking back by badge stops the reader of this badge; those with others read on.
fn a_badge_disturbs_no_other_borrower_elsewhere() -> Verdict {
    needs_cpus(2)?;
    let (alias, mut readers) = (Room::new(1)?, Vec::new());
    alias.fill(OLD)?;
    for badge in [1, 2] {
        for cpu in 1..counters::cpus()? {
            let (space, at) = (program().new_space()?, fresh_address());
            let lent = alias.segment().derive(Rights::READ, badge)?;
            space.map(at, &lent, 0..PAGE, Rights::READ)?;
            let spinner = Spinner::reading(on_cpu(cpu), &space, at)?;
            spinner.wait()?;
            readers.push((badge, (space, lent), spinner));
        }
    }
    alias.segment().revoke_badge(1)?;
    alias.fill(NEW)?;
    for (badge, ground, spinner) in readers {
        if badge == 1 {
            all_have_faulted(Vec::from([(ground, spinner)]))?;
            continue;
        }
        spinner.wait()?;
        ensure_eq!(spinner.last(), NEW);
        spinner.end()?;
    }
    Ok(())
}

/// Taking back capabilities, and mappings in spaces that no CPU is in, interrupts no other CPU, however busy; a mapping in a
/// space that others are in interrupts those once.
fn a_loan_that_is_used_by_nobody_interrupts_nobody() -> Verdict {
    needs_cpus(2)?;
    let (alias, other, at) = (Room::new(1)?, program().new_space()?, fresh_address());
    let (busy, mut readers) = (program().new_space()?, Vec::new());
    busy.map(at, alias.segment(), 0..PAGE, Rights::READ)?;
    for cpu in 1..counters::cpus()? {
        let spinner = Spinner::reading(on_cpu(cpu), &busy, at)?;
        spinner.wait()?;
        readers.push(spinner);
    }
    let segment = Segment::new(program().account(), PAGE)?;
    let sent = |space: &Cap<Space>| {
        let prepare = || {
            segment.revoke()?;
            let lent = core::mem::ManuallyDrop::new(segment.derive(Rights::READ, 1)?);
            space.map(at + PAGE, &lent, 0..PAGE, Rights::READ)
        };
        conformance::counted(prepare, || segment.revoke()).map(|change| change.shootdowns_sent)
    };
    ensure_eq!(sent(&other)?, 0);
    // A CPU that was just in the kernel is in no space; each is found there at some time, and never twice.
    let most = (0..20).try_fold(0, |most: u64, _| sent(&busy).map(|now| most.max(now)))?;
    ensure_eq!(most, interrupts_for(readers.len() as u64));
    readers.into_iter().try_for_each(Spinner::end)?;
    Ok(())
}

/// Threads on all CPUs lend the same objects to themselves and take back what has their badge, while the lender takes back
/// everything now and then: none sees anything but what is true, and nothing is left.
fn all_cpus_lend_and_take_back_at_once() -> Verdict {
    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, SeqCst);
    let (alias, space) = (Room::new(1)?, program().new_space()?);
    alias.fill(OLD)?;
    let mut threads = Vec::new();
    for cpu in 0..counters::cpus()? {
        let (segment, shown) = (named(alias.segment()), named(&space));
        threads.push(on_cpu(cpu).spawn(move || -> Result<u64, Error> {
            let (own, at, mut wrong) = (program().new_space()?, fresh_address(), 0);
            while !STOP.load(SeqCst) {
                let (lent, way_in) = (segment.derive(Rights::READ, cpu)?, shown.derive(Rights::all(), cpu)?);
                if own.map(at, &lent, 0..PAGE, Rights::READ).is_ok() {
                    let mut bytes = [0; 8];
                    let found = own.read(at, &mut bytes).is_ok();
                    wrong += u64::from(found && u64::from_le_bytes(bytes) != OLD);
                }
                // Revoked before or after: it has no fallback into a space that goes, as it is never inside.
                let _ = View::new(program().account(), &way_in, Rights::READ).map(drop);
                segment.revoke_badge(cpu)?;
                shown.revoke_badge(cpu)?;
                wrong += u64::from(own.read(at, &mut [0]).is_ok());
                wrong += u64::from(lent.capability_info().is_ok());
            }
            Ok(wrong)
        })?);
    }
    for _ in 0..100 {
        alias.segment().revoke()?;
        space.revoke()?;
        thread::sleep(core::time::Duration::from_micros(300));
    }
    STOP.store(true, SeqCst);
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    ensure_eq!((space.info()?.views, alias.segment().info()?.mappings), (0, 1));
    ensure_eq!((space.lent().count(), alias.segment().lent().count()), (0, 0));
    Ok(())
}

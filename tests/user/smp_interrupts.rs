//! Interrupts: a change in a shared subtree disturbs the CPUs that are in a space that has it, once each, and no other.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Failure, LEVELS, OLD, Shared, Spinner, Target, Verdict, claim, counted, ensure, ensure_eq, interrupts_for,
    needs_cpus, on_cpu, run_on, spot, the_kernel_passes_its_own_checks, word_at,
};
use libvas::layout::Counters;
use libvas::{Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, counters, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(each_cpu_in_a_sharer_is_interrupted_once),
        claim!(nested_sharers_are_interrupted_once_each),
        claim!(a_long_range_interrupts_each_cpu_in_a_sharer_once),
        claim!(a_detachment_interrupts_those_in_its_space_only),
        claim!(a_withdrawal_interrupts_each_cpu_in_a_sharer_once),
        claim!(what_needs_no_flush_interrupts_nobody),
        claim!(a_refused_change_interrupts_nobody),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_interrupts", CLAIMS, 1)
}

const GIB: u64 = 1 << 30;

/// What unmapping, and mapping again, the page behind the one that the readers use counts on all CPUs.
fn flips(target: &Target) -> Result<Counters, Failure> {
    let (subtree, page) = (&target.shared.subtree, target.shared.range().end);
    let map = || match subtree.map(page, &target.shared.segment, 0..PAGE, Rights::READ) {
        Err(Error::Overlap) => Ok(()),
        other => other,
    };
    counted(map, || subtree.unmap(page..page + PAGE))
}

/// A change in a subtree interrupts each other CPU that is in a space that has it, once, however many such spaces there
/// are; not the CPUs that are in other spaces. (On aarch64, where the hardware reaches every CPU, none at all.)
fn each_cpu_in_a_sharer_is_interrupted_once() -> Verdict {
    needs_cpus(2)?;
    for level in [Level::Top, Level::TwoMib] {
        let (target, other) = (Target::new(level, Rights::READ)?, Target::new(level, Rights::READ)?);
        let crowd = (0..20).map(|_| target.sharer()).collect::<Result<Vec<_>, _>>()?;
        for space in &crowd {
            space.enter(|| word_at(spot(level)).map(Place::get))??;
        }
        ensure_eq!((level, flips(&target)?.shootdowns_sent), (level, 0));
        let mut readers = Vec::new();
        for ((cpu, space), (_, outsider)) in (1..).zip(&crowd).zip(other.readers()?) {
            // Until now the CPU was in a space that has another subtree there.
            ensure_eq!((level, flips(&target)?.shootdowns_sent), (level, interrupts_for(cpu - 1)));
            outsider.end()?;
            let spinner = Spinner::reading(on_cpu(cpu), space, word_at(spot(level))?.address())?;
            spinner.wait()?;
            readers.push(spinner);
        }
        let sent = crowd[19].enter(|| flips(&target))??.shootdowns_sent;
        ensure_eq!((level, sent), (level, interrupts_for(readers.len() as u64)));
        readers.into_iter().try_for_each(Spinner::end)?;
    }
    Ok(())
}

/// A CPU that sees the change through an outer subtree, or through several ways at once, is interrupted once as well;
/// one whose space has the outer subtree of another is not.
fn nested_sharers_are_interrupted_once_each() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(Level::TwoMib, Rights::READ)?;
    let (outer, other) = (Subtree::new(program().account())?, Subtree::new(program().account())?);
    outer.attach(7 * GIB, &target.shared.subtree, Rights::READ)?;
    outer.attach(8 * GIB, &target.shared.subtree, Rights::READ)?;
    let segment = Segment::new(program().account(), PAGE)?;
    other.map(PAGE, &segment, 0..PAGE, Rights::READ)?;
    let mut readers = Vec::new();
    for cpu in 1..counters::cpus()? {
        let space = program().new_space()?;
        let is_sharer = cpu % 2 == 1;
        space.attach(spot(Level::Top), if is_sharer { &outer } else { &other }, Rights::READ)?;
        if is_sharer {
            space.attach(spot(Level::TwoMib), &target.shared.subtree, Rights::READ)?;
        }
        let word = if is_sharer { word_at(spot(Level::Top) + 7 * GIB)? } else { Place::new(spot(Level::Top) + PAGE)? };
        let spinner = Spinner::reading(on_cpu(cpu), &space, word.address())?;
        spinner.wait()?;
        readers.push((space, spinner));
    }
    let sharers = counters::cpus()? / 2;
    ensure_eq!(flips(&target)?.shootdowns_sent, interrupts_for(sharers));
    let change = counted(
        || match other.map(9 * PAGE, &segment, 0..PAGE, Rights::READ) {
            Err(Error::Overlap) => Ok(()),
            result => result,
        },
        || other.unmap(9 * PAGE..10 * PAGE),
    )?;
    ensure_eq!(change.shootdowns_sent, interrupts_for(counters::cpus()? - 1 - sharers));
    readers.into_iter().try_for_each(|(_, spinner)| spinner.end())?;
    Ok(())
}

/// A range that is too long to be invalidated page by page costs one interrupt for each CPU in a sharer, too.
fn a_long_range_interrupts_each_cpu_in_a_sharer_once() -> Verdict {
    needs_cpus(2)?;
    const PAGES: u64 = 100;
    let target = Target::new(Level::OneGib, Rights::READ)?;
    let (readers, memory) = (target.readers()?, Segment::new(program().account(), PAGES * PAGE)?);
    let (subtree, range) = (&target.shared.subtree, 8 * PAGE..(8 + PAGES) * PAGE);
    let map = || match subtree.map(range.start, &memory, 0..PAGES * PAGE, Rights::READ) {
        Err(Error::Overlap) => Ok(()),
        other => other,
    };
    let change = counted(map, || subtree.unmap(range.clone()))?;
    ensure_eq!(change.shootdowns_sent, interrupts_for(readers.len() as u64));
    ensure!(change.range_flushes >= 1, "no tag was flushed as a whole");
    ensure_eq!((change.page_flushes, change.shared_page_flushes, change.global_flushes), (0, 0, 0));
    readers.into_iter().try_for_each(|(_, spinner)| spinner.end())?;
    Ok(())
}

/// Detaching from one space interrupts the CPUs in that space, and nobody in the other sharers.
fn a_detachment_interrupts_those_in_its_space_only() -> Verdict {
    needs_cpus(2)?;
    for level in LEVELS {
        let target = Target::new(level, Rights::READ)?;
        let (readers, home) = (target.readers()?, target.sharer()?);
        let second = spot(level) + 2 * level.size_bytes();
        let attach = |space: &Cap<Space>| match space.attach(second, &target.shared.subtree, Rights::READ) {
            Err(Error::Overlap) => Ok(()),
            other => other,
        };
        let change = counted(|| attach(&home), || home.detach(second))?;
        ensure_eq!((level, change.shootdowns_sent), (level, 0));
        let space = &readers[level as usize % readers.len()].0;
        let change = counted(|| attach(space), || space.detach(second))?;
        ensure_eq!((level, change.shootdowns_sent), (level, interrupts_for(1)));
        readers.into_iter().try_for_each(|(_, spinner)| spinner.end())?;
    }
    Ok(())
}

/// Withdrawing a subtree from dozens of places interrupts each CPU that is in one of the spaces once.
fn a_withdrawal_interrupts_each_cpu_in_a_sharer_once() -> Verdict {
    needs_cpus(2)?;
    let (moved, resident) = (Shared::new(Level::Top, Rights::READ)?, Target::new(Level::OneGib, Rights::READ)?);
    let readers = resident.readers()?;
    let crowd = (0..30).map(|_| Space::new(program().account())).collect::<Result<Vec<_>, _>>()?;
    let attach = || {
        for space in crowd.iter().chain(readers.iter().map(|(space, _)| space)) {
            match space.attach(spot(Level::Top), &moved.subtree, Rights::READ) {
                Ok(()) | Err(Error::Overlap) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    let change = counted(attach, || moved.subtree.withdraw().map(drop))?;
    ensure_eq!(change.shootdowns_sent, interrupts_for(readers.len() as u64));
    for (_space, spinner) in readers {
        spinner.wait()?;
        spinner.end()?;
    }
    Ok(())
}

/// Mapping where nothing was, attaching, withdrawing what is nowhere and sealing interrupt nobody.
fn what_needs_no_flush_interrupts_nobody() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(Level::OneGib, Rights::READ)?;
    let (readers, page) = (target.readers()?, target.shared.range().end);
    let (subtree, loose) = (&target.shared.subtree, Shared::new(Level::TwoMib, Rights::READ)?);
    let unmap = || match subtree.unmap(page..page + PAGE) {
        Err(Error::NotMapped) => Ok(()),
        other => other,
    };
    let change = counted(unmap, || subtree.map(page, &target.shared.segment, 0..PAGE, Rights::READ))?;
    ensure_eq!(change.shootdowns_sent, 0);
    let detach = || match readers[0].0.detach(spot(Level::TwoMib)) {
        Err(Error::NotMapped) => Ok(()),
        other => other,
    };
    let attach = || readers[0].0.attach(spot(Level::TwoMib), &loose.subtree, Rights::READ);
    ensure_eq!(counted(detach, attach)?.shootdowns_sent, 0);
    loose.subtree.withdraw()?;
    ensure_eq!(counted(|| Ok(()), || loose.subtree.withdraw().map(drop))?.shootdowns_sent, 0);
    readers.into_iter().try_for_each(|(_, spinner)| spinner.end())?;
    Ok(())
}

/// Calls on a subtree that are refused interrupt nobody, and the readers read on.
fn a_refused_change_interrupts_nobody() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(Level::OneGib, Rights::READ)?;
    let (readers, page) = (target.readers()?, target.shared.range());
    let (subtree, weak) = (&target.shared.subtree, target.shared.subtree.derive(Rights::ACCESS, 0)?);
    let (small, sealed) = (Shared::new(Level::TwoMib, Rights::READ)?, Subtree::new(program().account())?);
    sealed.attach(GIB, subtree, Rights::READ)?;
    sealed.seal()?;
    let change = counted(
        || Ok(()),
        || {
            let refusals = [
                (weak.unmap(page.clone()), Error::MissingRight),
                (subtree.unmap(page.start..page.end + PAGE), Error::NotMapped),
                (subtree.protect(page.clone(), Rights::WRITE), Error::BadArgument),
                (subtree.attach(4 << 20, &small.subtree, Rights::READ), Error::TooDeep),
                (sealed.detach(GIB), Error::Sealed),
                (weak.withdraw().map(drop), Error::MissingRight),
                (readers[0].0.detach(spot(Level::Top)), Error::NotMapped),
            ];
            refusals.into_iter().try_for_each(|(result, error)| match result {
                Err(refusal) if refusal == error => Ok(()),
                Err(other) => Err(other),
                Ok(()) => Err(Error::BadState),
            })
        },
    )?;
    let flushes = (change.page_flushes, change.range_flushes, change.shared_page_flushes);
    ensure_eq!((change.shootdowns_sent, flushes), (0, (0, 0, 0)));
    for (_space, spinner) in readers {
        spinner.wait()?;
        ensure_eq!(spinner.last(), OLD);
        spinner.end()?;
    }
    Ok(())
}

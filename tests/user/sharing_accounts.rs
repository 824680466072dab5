//! What sharing costs: tables are charged once, to who made them, and come back; what cannot be paid changes nothing.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, Failure, LEVELS, Shared, Snapshot, Verdict, claim, ends_in_fault, ensure, ensure_eq, leaves_nothing,
    refused, run, spot, the_kernel_passes_its_own_checks, word_at,
};
use libvas::{
    Account, Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT,
    View, program, thread,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(tables_are_charged_once_to_who_made_them),
        claim!(a_sharer_costs_its_root_and_little_else),
        claim!(a_space_tells_its_own_tables_from_shared_ones),
        claim!(a_view_tells_its_root_from_what_it_shows),
        claim!(a_mapping_in_a_subtree_costs_exactly_this),
        claim!(an_attachment_costs_exactly_this),
        claim!(an_attachment_in_a_subtree_costs_exactly_this),
        claim!(a_view_costs_exactly_this),
        claim!(splitting_a_shared_large_page_costs_exactly_this),
        claim!(exhaustion_in_a_long_range_is_seen_by_no_sharer),
        claim!(a_touch_that_cannot_be_paid_faults_in_every_sharer),
        claim!(a_budget_returns_with_the_last_place),
        claim!(everything_together_comes_back),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("sharing_accounts", CLAIMS)
}

const MIB: u64 = 1 << 20;
const LARGE: u64 = 2 * MIB;
const GIB: u64 = 1 << 30;

/// What an attachment costs besides tables, bytes: its place in the subtree's list, at worst.
fn attachment_bytes() -> Result<u64, Error> {
    let account = program().account().split(MIB)?;
    let (space, subtree) = (Space::new(&account)?, Subtree::new(program().account())?);
    let before = used_bytes(&account)?;
    space.attach(SLOT, &subtree, Rights::READ)?;
    Ok(used_bytes(&account)? - before)
}

fn used_bytes(account: &Cap<Account>) -> Result<u64, Error> {
    Ok(account.info()?.used_bytes)
}

/// Makes something at the cost of an account and does something to it: what that costs. With a budget that is ever so
/// little less than it takes, it is refused and neither what `look` tells nor anything on the machine is different;
/// with exactly that budget it is done.
#[track_caller]
fn exact_cost<M, D>(
    make: impl Fn(&Cap<Account>) -> Result<M, Error>,
    act: impl Fn(&M, &Cap<Account>) -> Result<D, Error>,
    look: impl Fn(&M) -> Result<Snapshot, Error>,
) -> Result<u64, Failure> {
    let generous = program().account().split(4 * MIB)?;
    let made = make(&generous)?;
    let before = used_bytes(&generous)?;
    let done = act(&made, &generous)?;
    let cost = used_bytes(&generous)? - before;
    drop((done, made));
    ensure_eq!(used_bytes(&generous)?, 0);
    for lacking in
        [1, 65, PAGE / 2, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE, cost].into_iter().filter(|bytes| *bytes <= cost)
    {
        let account = program().account().split(before + cost - lacking)?;
        let made = make(&account)?;
        let (state, census, used) = (look(&made)?, Census::take()?, used_bytes(&account)?);
        let refusal = act(&made, &account).map(drop);
        let census_after = Census::take()?;
        refused(refusal, Error::AccountExhausted)?;
        ensure_eq!((lacking, census_after, used_bytes(&account)?), (lacking, census, used));
        ensure_eq!((lacking, look(&made)?), (lacking, state));
    }
    let account = program().account().split(before + cost)?;
    let made = make(&account)?;
    let _done = act(&made, &account)?;
    ensure_eq!((used_bytes(&account)?, account.available_bytes()?), (before + cost, 0));
    Ok(cost)
}

/// A subtree's tables stay at what they cost its maker, however many spaces of others share them; those pay their
/// attachments.
fn tables_are_charged_once_to_who_made_them() -> Verdict {
    let (ours, theirs) = (program().account().split(4 * MIB)?, program().account().split(4 * MIB)?);
    let (subtree, segment) = (Subtree::new(&ours)?, Segment::new(program().account(), PAGE)?);
    for part in 1..20 {
        subtree.map(part * GIB, &segment, 0..PAGE, Rights::READ)?;
    }
    let spaces = (0..30).map(|_| Space::new(&theirs)).collect::<Result<Vec<_>, _>>()?;
    let before = (used_bytes(&ours)?, used_bytes(&theirs)?);
    ensure!(before.0 > 39 * PAGE, "its 39 tables cost {} bytes only", before.0);
    for space in &spaces {
        space.attach(SLOT, &subtree, Rights::READ)?;
    }
    ensure_eq!((used_bytes(&ours)?, used_bytes(&theirs)?), (before.0, before.1 + 30 * attachment_bytes()?));
    subtree.map(20 * GIB, &segment, 0..PAGE, Rights::READ)?;
    ensure!(used_bytes(&ours)? >= before.0 + 2 * PAGE, "two more tables were not charged");
    ensure_eq!(used_bytes(&theirs)?, before.1 + 30 * attachment_bytes()?);
    drop(spaces);
    ensure_eq!(used_bytes(&theirs)?, 0);
    drop(subtree);
    ensure_eq!(used_bytes(&ours)?, 0);
    Ok(())
}

/// A hundred spaces that share a subtree take a page each for their root, and less than a quarter of one besides.
fn a_sharer_costs_its_root_and_little_else() -> Verdict {
    const SPACES: u64 = 100;
    let (subtree, segment) = (Subtree::new(program().account())?, Segment::new(program().account(), LARGE)?);
    for part in 1..20 {
        subtree.map(part * GIB + PAGE, &segment, 0..LARGE, Rights::READ)?;
    }
    ensure_eq!(subtree.info()?.table_bytes, (1 + 19 + 19 * 2) * PAGE);
    let mut spaces: Vec<Cap<Space>> = Vec::with_capacity(SPACES as usize);
    let before = Census::take()?.machine;
    for _ in 0..SPACES {
        let space = Space::new(program().account())?;
        space.attach(SLOT, &subtree, Rights::READ)?;
        spaces.push(space);
    }
    let after = Census::take()?.machine;
    let taken = (before.free_bytes - after.free_bytes) / SPACES;
    ensure!((PAGE..PAGE + PAGE / 4).contains(&taken), "each sharer takes {taken} bytes");
    Ok(())
}

/// A space's own tables are its root and what leads to its own mappings and finer attachments; shared are those of all
/// subtrees that it shows, once for each place, and of those within them.
fn a_space_tells_its_own_tables_from_shared_ones() -> Verdict {
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), PAGE)?);
    let tables = || space.info().map(|info| (info.table_bytes / PAGE, info.shared_table_bytes / PAGE));
    ensure_eq!(tables()?, (1, 0));
    space.map(SLOT, &segment, 0..PAGE, Rights::READ)?;
    ensure_eq!(tables()?, (4, 0));
    let (top, gib, small) = (
        Shared::new(Level::Top, Rights::READ)?,
        Shared::new(Level::OneGib, Rights::READ)?,
        Shared::new(Level::TwoMib, Rights::READ)?,
    );
    let sizes = [&top, &gib, &small].map(|shared| shared.subtree.info().map(|info| info.table_bytes / PAGE));
    ensure_eq!(sizes, [Ok(3), Ok(2), Ok(1)]);
    space.attach(2 * SLOT, &top.subtree, Rights::READ)?;
    ensure_eq!(tables()?, (4, 3));
    space.attach(3 * SLOT, &top.subtree, Rights::READ)?;
    ensure_eq!(tables()?, (4, 6));
    space.attach(4 * SLOT, &gib.subtree, Rights::READ)?;
    ensure_eq!(tables()?, (5, 8));
    space.attach(SLOT + LARGE, &small.subtree, Rights::READ)?;
    ensure_eq!(tables()?, (5, 9));
    // In the outer subtree a table leads to the inner one, which shows twice then; and the outer one does.
    top.subtree.attach(5 * GIB, &small.subtree, Rights::READ)?;
    ensure_eq!((top.subtree.info()?.table_bytes / PAGE, tables()?), (4, (5, 2 * (4 + 1) + 2 + 1)));
    gib.subtree.map(9 * LARGE, &segment, 0..PAGE, Rights::READ)?;
    ensure_eq!(tables()?, (5, 14));
    [2, 3, 4].into_iter().try_for_each(|slot| space.detach(slot * SLOT))?;
    space.detach(SLOT + LARGE)?;
    ensure_eq!(tables()?, (4, 0));
    Ok(())
}

/// A view has its root for itself; shared are what its base shares and the base's own tables below the root.
fn a_view_tells_its_root_from_what_it_shows() -> Verdict {
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), PAGE)?);
    let view = View::new(program().account(), &space, Rights::READ)?;
    let tables = || view.info().map(|info| (info.table_bytes / PAGE, info.shared_table_bytes / PAGE));
    ensure_eq!(tables()?, (1, 0));
    space.map(SLOT, &segment, 0..PAGE, Rights::READ)?;
    ensure_eq!(tables()?, (1, 3));
    space.attach(2 * SLOT, &Shared::new(Level::Top, Rights::READ)?.subtree, Rights::READ)?;
    ensure_eq!(tables()?, (1, 6));
    space.attach(3 * SLOT, &Shared::new(Level::OneGib, Rights::READ)?.subtree, Rights::READ)?;
    ensure_eq!(tables()?, (1, 9));
    space.unmap(SLOT..SLOT + PAGE)?;
    space.detach(2 * SLOT)?;
    space.detach(3 * SLOT)?;
    ensure_eq!(tables()?, (1, 0));
    Ok(())
}

/// Mapping a page in an empty subtree costs its account a record and the tables that lead there from its root.
fn a_mapping_in_a_subtree_costs_exactly_this() -> Verdict {
    let segment = Segment::new(program().account(), PAGE)?;
    let sharer = program().new_space()?;
    let mut records = Vec::new();
    for (level, tables) in LEVELS.into_iter().zip([2, 1, 0]) {
        let cost = exact_cost(
            |account| {
                let subtree = Subtree::with_level(account, level)?;
                sharer.attach(spot(level), &subtree, Rights::READ)?;
                Ok(Withdrawn(subtree))
            },
            |subtree, _| subtree.0.map(8 * PAGE, &segment, 0..PAGE, Rights::READ),
            |subtree| Snapshot::of_subtree(&subtree.0),
        )?;
        ensure!(cost > tables * PAGE && cost < tables * PAGE + PAGE / 4, "{level:?}: a mapping costs {cost} bytes");
        records.push(cost - tables * PAGE);
    }
    ensure!(records.iter().all(|record| *record == records[0]), "the records cost {records:?}");
    Ok(())
}

/// A subtree that is withdrawn from everywhere when it is given up, so that its account is credited.
struct Withdrawn(Cap<Subtree>);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        // Without rights or places there is nothing to do, and nothing else can go wrong.
        let _ = self.0.withdraw();
    }
}

/// An attachment costs the space's account its record, and below the top level the tables on the way.
fn an_attachment_costs_exactly_this() -> Verdict {
    for (level, tables) in LEVELS.into_iter().zip([0, 1, 2]) {
        let shared = Shared::new(level, Rights::READ)?;
        let cost =
            exact_cost(Space::new, |space, _| space.attach(spot(level), &shared.subtree, Rights::READ), Snapshot::of)?;
        ensure_eq!((level, cost), (level, tables * PAGE + attachment_bytes()?));
        ensure_eq!((level, shared.subtree.info()?.sharers), (level, 0));
    }
    Ok(())
}

/// The same in a subtree, at the cost of that one's account.
fn an_attachment_in_a_subtree_costs_exactly_this() -> Verdict {
    for (outer, inner, tables) in
        [(Level::Top, Level::OneGib, 0), (Level::Top, Level::TwoMib, 1), (Level::OneGib, Level::TwoMib, 0)]
    {
        let shared = Shared::new(inner, Rights::READ)?;
        let cost = exact_cost(
            |account| Subtree::with_level(account, outer),
            |subtree, _| subtree.attach(3 * inner.size_bytes(), &shared.subtree, Rights::READ),
            Snapshot::of_subtree,
        )?;
        ensure_eq!((outer, inner, cost), (outer, inner, tables * PAGE + attachment_bytes()?));
        ensure_eq!(shared.subtree.info()?.sharers, 0);
    }
    Ok(())
}

/// A view costs the same whatever its base holds: a root, a record and an entry in the base's list.
fn a_view_costs_exactly_this() -> Verdict {
    let (empty, full) = (Space::new(program().account())?, program().new_space()?);
    for slot in 2..40 {
        full.attach(slot * SLOT, &Shared::new(Level::TwoMib, Rights::READ)?.subtree, Rights::READ)?;
    }
    let mut costs = [0; 2];
    for (base, cost) in [&empty, &full].into_iter().zip(&mut costs) {
        // What is made at the account's cost beforehand is nothing.
        *cost = exact_cost(|_| Ok(()), |(), account| View::new(account, base, Rights::READ), |()| Snapshot::of(base))?;
        ensure_eq!(base.info()?.views, 0);
    }
    ensure_eq!(costs[0], costs[1]);
    ensure!((PAGE..2 * PAGE).contains(&costs[0]), "a view costs {} bytes", costs[0]);
    Ok(())
}

/// Protecting the first part of a large page in a subtree costs its account a table and a record, and its sharers
/// nothing.
fn splitting_a_shared_large_page_costs_exactly_this() -> Verdict {
    let (segment, sharer) = (Segment::new(program().account(), LARGE)?, Space::new(program().account())?);
    let before = Snapshot::of(&sharer)?;
    for level in [Level::Top, Level::OneGib] {
        let cost = exact_cost(
            |account| {
                let subtree = Subtree::with_level(account, level)?;
                subtree.map(LARGE, &segment, 0..LARGE, Rights::READ_WRITE)?;
                sharer.attach(SLOT, &subtree, Rights::READ)?;
                Ok(Withdrawn(subtree))
            },
            |subtree, _| subtree.0.protect(LARGE..LARGE + 9 * PAGE, Rights::READ),
            |subtree| Snapshot::of_subtree(&subtree.0),
        )?;
        ensure!(cost > PAGE && cost < PAGE + PAGE / 4, "{level:?}: a split costs {cost} bytes");
    }
    ensure_eq!(Snapshot::of(&sharer)?, before);
    Ok(())
}

/// A long mapping in a subtree that runs out of budget in its middle leaves no page of it, in no space.
fn exhaustion_in_a_long_range_is_seen_by_no_sharer() -> Verdict {
    let account = program().account().split(5 * PAGE)?;
    let (subtree, segment) = (Subtree::new(&account)?, Segment::new(program().account(), 8 * LARGE)?);
    let spaces = [program().new_space()?, program().new_space()?];
    for space in &spaces {
        space.attach(SLOT, &subtree, Rights::READ)?;
    }
    let (before, used) = (Snapshot::of_subtree(&subtree)?, used_bytes(&account)?);
    // Off 2 MiB it takes nine tables of the lowest level and one above them; there is budget for three.
    refused(subtree.map(GIB + PAGE, &segment, 0..8 * LARGE, Rights::READ), Error::AccountExhausted)?;
    ensure_eq!((Snapshot::of_subtree(&subtree)?, used_bytes(&account)?), (before, used));
    for space in &spaces {
        for address in [SLOT + GIB + PAGE, SLOT + GIB + LARGE, SLOT + GIB + 8 * LARGE] {
            refused(space.read(address, &mut [0]), Error::BadAddress)?;
        }
    }
    ensure!(ends_in_fault(&spaces[0], || conformance::peek(SLOT + GIB + PAGE))?, "the first page is there");
    subtree.map(GIB + PAGE, &segment, 0..LARGE - PAGE, Rights::READ)?;
    spaces[1].read(SLOT + GIB + PAGE, &mut [0])?;
    Ok(())
}

/// Memory that is made when touched is paid by its segment's account, once. If that cannot, the touch is a fault
/// wherever it comes from; once it can, the page is there for all.
fn a_touch_that_cannot_be_paid_faults_in_every_sharer() -> Verdict {
    let account = program().account().split(4 * PAGE)?;
    let (lazy, shared) = (Segment::new_lazy(&account, 4 * PAGE)?, Shared::new(Level::OneGib, Rights::READ)?);
    let spaces = [program().new_space()?, program().new_space()?];
    shared.subtree.map(8 * PAGE, &lazy, 0..4 * PAGE, Rights::READ_WRITE)?;
    for space in &spaces {
        space.attach(spot(Level::OneGib), &shared.subtree, Rights::READ_WRITE)?;
    }
    let page = |number: u64| Place::<u64>::new(spot(Level::OneGib) + (8 + number) * PAGE);
    let (first, second) = (page(0)?, page(1)?);
    let used = used_bytes(&account)?;
    spaces[0].enter(|| first.set(1))?;
    ensure_eq!((spaces[1].enter(|| first.get())?, used_bytes(&account)?), (1, used + PAGE));
    let hog = account.split(account.available_bytes()? - PAGE / 2)?;
    for space in &spaces {
        ensure!(ends_in_fault(space, move || second.get())?, "it was paid by nobody");
        refused(space.write(second.address(), &[1]), Error::BadAddress)?;
    }
    ensure_eq!(lazy.info()?.populated_bytes, PAGE);
    drop((hog, lazy));
    let lazy = Segment::new_lazy(program().account(), PAGE)?;
    shared.subtree.unmap(9 * PAGE..10 * PAGE)?;
    shared.subtree.map(9 * PAGE, &lazy, 0..PAGE, Rights::READ_WRITE)?;
    spaces[1].enter(|| second.set(2))?;
    ensure_eq!(spaces[0].enter(|| second.get())?, 2);
    Ok(())
}

/// An account that was given up lives as long as a subtree of its is attached somewhere; its parent has it back then.
fn a_budget_returns_with_the_last_place() -> Verdict {
    for level in LEVELS {
        let parent = program().account().split(MIB)?;
        let child = parent.split(MIB / 2)?;
        let (space, outer) = (program().new_space()?, Subtree::new(program().account())?);
        let Shared { subtree, segment } = Shared::charged_to(&child, level, Rights::READ)?;
        space.attach(spot(level), &subtree, Rights::READ)?;
        if level != Level::Top {
            outer.attach(GIB, &subtree, Rights::READ)?;
        }
        drop((child, subtree));
        let word = word_at(spot(level))?;
        space.enter(|| word.get())?;
        ensure!(used_bytes(&parent)? > MIB / 2, "the budget returned while it was in use");
        drop(outer);
        ensure!(used_bytes(&parent)? > MIB / 2, "the budget returned while it was in use");
        drop(space);
        ensure_eq!((level, used_bytes(&parent)?, segment.info()?.mappings), (level, 0, 0));
    }
    Ok(())
}

/// Subtrees of all levels, nested, sealed and withdrawn, views, threads in them, and refusals in between: objects,
/// charges, frames and kernel heap are in the end what they were.
fn everything_together_comes_back() -> Verdict {
    leaves_nothing(12, |cycle| {
        let account = program().account().split(MIB)?;
        let (space, other) = (program().new_space()?, Space::new(&account)?);
        let outer = Subtree::new(&account)?;
        let mut kept = Vec::new();
        for (number, level) in (0..).zip(LEVELS) {
            let shared = Shared::charged_to(&account, level, Rights::READ_WRITE)?;
            space.attach(spot(level), &shared.subtree, Rights::READ_WRITE)?;
            other.attach(spot(level) + SLOT, &shared.subtree, Rights::READ)?;
            if level != Level::Top {
                outer.attach((number + 1) * GIB, &shared.subtree, Rights::READ)?;
            }
            kept.push(shared);
        }
        other.attach(90 * SLOT, &outer, Rights::READ)?;
        refused(outer.attach(2 * GIB, &kept[2].subtree, Rights::READ), Error::Overlap)?;
        refused(kept[2].subtree.attach(0, &outer, Rights::READ), Error::WrongLevel)?;
        let view = View::new(&account, &space, Rights::READ)?;
        let word = word_at(spot(LEVELS[cycle as usize % 3]))?;
        space.enter(|| word.set(cycle))?;
        ensure_eq!(thread::spawn_in(&view, move || word.get())?.join()?, cycle);
        match cycle % 4 {
            0 => outer.seal()?,
            1 => drop(kept[1].subtree.withdraw()?),
            2 => drop(other),
            _ => kept[2].subtree.unmap(kept[2].range())?,
        }
        if cycle % 2 == 0 {
            drop(space);
        }
        Ok(())
    })
}

use super::{Checker, Now, Stale, What};
use crate::model::{Invalidation, Translation, Walk};
use crate::walk::{Path, Rights};

const PAGE: u64 = 0x4000_5000;

/// A walk by four tables to a page of 4 KiB.
fn path(frame: u64, write: bool, global: bool) -> Path {
    let rights = Rights { write, ..Rights::ALL };
    let result = Some(Translation { frame, page_bits: 12, global, writable: write, user: true, executable: true });
    let walk = Walk { tables: [0x1000, 0x2008, 0x3000, 0x4028, 0], references: 4, root_bits: 48, result };
    Path { walk, rights: [Rights::ALL, Rights::ALL, Rights::ALL, rights, Rights::default()] }
}

/// The same if entry `depth` is not present.
fn broken(depth: u8) -> Path {
    let mut path = path(0, true, false);
    path.walk.result = None;
    path.walk.references = depth + 1;
    path
}

fn access(checker: &mut Checker, cpu: usize, path: &Path) -> Vec<Stale> {
    let mut found = Vec::new();
    checker.access(cpu, PAGE + 8, path, &mut |stale| found.push(stale));
    found
}

#[test]
fn what_is_true_or_allows_less_is_no_bug() {
    let mut checker = Checker::new(1, false);
    assert!(access(&mut checker, 0, &path(0x9000, false, false)).is_empty());
    assert!(access(&mut checker, 0, &path(0x9000, true, false)).is_empty());
    assert!(access(&mut checker, 0, &path(0x9000, true, false)).is_empty());
}

#[test]
fn what_is_false_is_told_once() {
    for (now, expected) in [
        (path(0xa000, true, false), Now::Other(0xa000, Rights::ALL)),
        (path(0x9000, false, false), Now::Other(0x9000, Rights { write: false, ..Rights::ALL })),
        (broken(3), Now::Nothing),
    ] {
        let mut checker = Checker::new(1, false);
        access(&mut checker, 0, &path(0x9000, true, false));
        let found = access(&mut checker, 0, &now);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].kept.what, found[0].kept.frame, found[0].now), (What::Page, 0x9000, expected));
        assert!(access(&mut checker, 0, &now).is_empty());
    }
}

#[test]
fn two_sizes_of_a_page_conflict_on_arm_only() {
    for (sizes_conflict, count) in [(false, 1), (true, 2)] {
        let mut checker = Checker::new(1, sizes_conflict);
        access(&mut checker, 0, &path(0x20_5000, true, false));
        let mut large = path(0x20_0000, true, false);
        large.walk.references = 3;
        large.walk.result = large.walk.result.map(|found| Translation { page_bits: 21, ..found });
        // The table that the large page stands for now goes in any case.
        assert_eq!(access(&mut checker, 0, &large).len(), count);
    }
}

#[test]
fn a_table_that_went_is_told_beside_its_pages() {
    let mut checker = Checker::new(1, false);
    access(&mut checker, 0, &path(0x9000, true, false));
    let what: Vec<_> =
        access(&mut checker, 0, &broken(1)).iter().map(|stale| (stale.kept.what, stale.kept.frame)).collect();
    assert_eq!(what, [(What::Page, 0x9000), (What::Table, 0x4000), (What::Table, 0x3000)]);
}

#[test]
fn invalidations_reach_what_the_architectures_say() {
    let after = |what: Invalidation, globals: bool, now: &Path| {
        let mut checker = Checker::new(1, false);
        checker.set_tag(0, 5);
        access(&mut checker, 0, &path(0x9000, true, globals));
        checker.invalidate(0, &what);
        access(&mut checker, 0, now).len()
    };
    let (gone, table_gone) = (broken(3), broken(2));
    assert_eq!(after(Invalidation::invlpg(5, PAGE), false, &gone), 0);
    assert_eq!(after(Invalidation::invlpg(5, PAGE), true, &gone), 0);
    assert_eq!(after(Invalidation::invlpg(5, PAGE + 0x1000), false, &gone), 1);
    // INVLPG of any address drops the ways under its tag; TLBI drops those of the address.
    assert_eq!(after(Invalidation::invlpg(5, PAGE + (1 << 40)), true, &table_gone), 1);
    assert_eq!(after(Invalidation::vae1(5, PAGE + 0x1000, false), false, &table_gone), 1);
    assert_eq!(after(Invalidation::vae1(5, PAGE + (1 << 40), false), false, &table_gone), 2);
    assert_eq!(after(Invalidation::vae1(5, PAGE, true), false, &table_gone), 1);
    assert_eq!(after(Invalidation::vae1(6, PAGE, false), false, &gone), 1);
    assert_eq!(after(Invalidation::vaae1(PAGE, false), true, &gone), 0);
    assert_eq!(after(Invalidation::Tag(5), false, &table_gone), 0);
    assert_eq!(after(Invalidation::Tag(5), true, &gone), 1);
    assert_eq!(after(Invalidation::All { globals: false }, true, &gone), 1);
    assert_eq!(after(Invalidation::All { globals: true }, true, &gone), 0);
    assert_eq!(after(Invalidation::rvae1(5, PAGE - 0x1000, 0x2000, false), false, &gone), 0);
    assert_eq!(after(Invalidation::rvaae1(PAGE + 0x1000, 0x2000, true), false, &gone), 1);
}

#[test]
fn tags_are_apart_and_global_pages_are_not() {
    for (global, count) in [(false, 0), (true, 1)] {
        let mut checker = Checker::new(2, false);
        checker.set_tag(0, 1);
        access(&mut checker, 0, &path(0x9000, true, global));
        checker.set_tag(0, 2);
        assert_eq!(access(&mut checker, 0, &path(0xa000, true, false)).len(), count);
        assert!(access(&mut checker, 1, &path(0xa000, true, false)).is_empty(), "another CPU holds nothing");
    }
}

#[test]
fn until_the_changer_leaves_the_kernel_the_old_may_be_used() {
    let mut checker = Checker::new(2, false);
    access(&mut checker, 0, &path(0x9000, true, false));
    checker.execute(1, false);
    checker.store(1, 0x4028);
    assert!(access(&mut checker, 0, &broken(3)).is_empty());
    checker.execute(1, false);
    assert!(access(&mut checker, 0, &broken(3)).is_empty());
    checker.wait(1);
    assert_eq!(access(&mut checker, 0, &broken(3)).len(), 1);
}

#[test]
fn freed_memory_must_not_be_reached() {
    let mut checker = Checker::new(2, false);
    for (cpu, tag) in [(0, 1), (1, 2)] {
        checker.set_tag(cpu, tag);
        access(&mut checker, cpu, &path(0x9000, true, false));
    }
    checker.set_tag(1, 3);
    let mut found = Vec::new();
    checker.free(0x8000, 0x1000, &mut |stale| found.push(stale));
    assert!(found.is_empty());
    checker.free(0x8000, 0x2000, &mut |stale| found.push(stale));
    checker.free(0x4000, 0x1000, &mut |stale| found.push(stale));
    let told: Vec<_> = found.iter().map(|stale| (stale.cpu, stale.kept.what, stale.now)).collect();
    assert_eq!(told, [(0, What::Page, Now::Freed), (0, What::Table, Now::Freed)], "a tag not in use reaches nothing");
}

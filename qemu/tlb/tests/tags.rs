//! What tags, root writes and global entries are worth, as computed by hand.

use tlb_model::model::{Access, Figures, Invalidation, Model, Profile};
use tlb_model::synthetic::Tables;

fn neoverse() -> Profile {
    Profile::built_in("neoverse_n1").expect("it comes with the crate")
}

/// How the spaces of a round robin are told apart.
#[derive(Clone, Copy, PartialEq)]
enum Tagging {
    /// A tag each, nothing dropped.
    Tagged,
    /// All under tag 0, dropped at each root write.
    Untagged,
}

/// Each of `spaces` loads from `pages` pages at the same addresses, in turns; the figures of the last round.
fn round_robin(spaces: u64, pages: u64, global: bool, tagging: Tagging) -> Figures {
    let mut model = Model::new(&neoverse(), 1);
    for _ in 0..3 {
        model.clear();
        for space in 0..spaces {
            let tag = if tagging == Tagging::Tagged { space as u16 } else { 0 };
            model.switch_root(0, tag, space << 12, tagging == Tagging::Untagged);
            for address in (0..pages).map(|page| page << 12) {
                model.access(0, Access::Load, tag, address, || Tables::private(space).walk(address, 12, global));
            }
        }
    }
    model.figures(0)
}

#[test]
fn tagged_spaces_keep_what_fits() {
    // 4 spaces of 12 pages are 48 entries: the first level holds all. One page more each, and LRU holds none.
    assert_eq!(round_robin(4, 12, false, Tagging::Tagged).data_misses, 0);
    let figures = round_robin(4, 13, false, Tagging::Tagged);
    assert_eq!((figures.data_misses, figures.walks), (4 * 13, 0));
    // The second level has 256 sets of 5 ways: 5 spaces have room at the same addresses, 6 have not, whatever the number of
    // pages up to 256, while they do not all fit the first level.
    assert_eq!(round_robin(5, 256, false, Tagging::Tagged).walks, 0);
    assert_eq!(round_robin(6, 256, false, Tagging::Tagged).walks, 6 * 256);
    assert_eq!(round_robin(6, 9, false, Tagging::Tagged).walks, 6 * 9);
    assert_eq!(round_robin(6, 8, false, Tagging::Tagged).walks, 0);
}

#[test]
fn with_the_tag_in_the_index_spaces_do_not_meet_in_one_set() {
    let mut profile = neoverse();
    profile.second_level[0].hash_tag = true;
    let mut model = Model::new(&profile, 1);
    // 64 spaces with 16 pages each are 1,024 entries of 1,280; a global page is found as well.
    for round in 0..3 {
        model.clear();
        for space in 0..64 {
            for page in 0..16 {
                let walk = || Tables::private(space).walk(page << 12, 12, page == 0);
                model.access(0, Access::Load, space as u16, page << 12, walk);
            }
        }
        let most = if round == 0 { 64 * 15 + 1 } else { 64 };
        assert!(model.figures(0).walks <= most, "round {round}: {} walks", model.figures(0).walks);
    }
}

#[test]
fn untagged_spaces_walk_for_each_page_after_each_switch() {
    for (spaces, pages) in [(1, 1), (2, 12), (4, 13), (6, 100)] {
        let figures = round_robin(spaces, pages, false, Tagging::Untagged);
        assert_eq!((figures.data_misses, figures.walks), (spaces * pages, spaces * pages));
        // The first walk of a turn reads four entries; walk caches know the last table from then on.
        assert_eq!(figures.walk_references, spaces * (4 + pages - 1));
        assert_eq!((figures.flushing_root_writes, figures.root_writes), (spaces, 0));
    }
}

#[test]
fn tags_save_the_refill() {
    let (spaces, pages) = (4, 12);
    let costs = neoverse().costs;
    let saved = round_robin(spaces, pages, false, Tagging::Untagged).cycles(&costs)
        - round_robin(spaces, pages, false, Tagging::Tagged).cycles(&costs);
    let walks = u64::from(costs.walk) * pages + u64::from(costs.walk_reference) * (3 + pages);
    assert_eq!(saved, spaces * (walks + u64::from(costs.root_write_flush) - u64::from(costs.root_write)));
}

#[test]
fn global_entries_serve_every_tag_and_survive_flushing_root_writes() {
    for tagging in [Tagging::Tagged, Tagging::Untagged] {
        assert_eq!(round_robin(64, 48, true, tagging).data_misses, 0);
        // 49 pages are too many for the first level, but never for the second.
        let figures = round_robin(64, 49, true, tagging);
        assert_eq!((figures.data_misses, figures.walks), (64 * 49, 0));
    }
}

#[test]
fn a_flushing_root_write_drops_what_the_new_tag_has_and_no_more() {
    let mut model = Model::new(&neoverse(), 1);
    let load = |model: &mut Model, tag: u16| {
        let before = model.figures(0).walks;
        model.access(0, Access::Load, tag, 0x1000, || Tables::private(tag.into()).walk(0x1000, 12, false));
        model.figures(0).walks - before
    };
    assert_eq!((load(&mut model, 1), load(&mut model, 2)), (1, 1));
    model.switch_root(0, 2, 0x2000, true);
    assert_eq!((load(&mut model, 1), load(&mut model, 2)), (0, 1));
    model.switch_root(0, 1, 0x1000, false);
    assert_eq!((load(&mut model, 1), load(&mut model, 2)), (0, 0));
    model.switch_root(0, 1, 0x1000, false);
    let figures = model.figures(0);
    assert_eq!((figures.root_writes, figures.flushing_root_writes, figures.repeated_root_writes), (2, 1, 1));
}

#[test]
fn a_broadcast_reaches_every_cpu_and_is_paid_once() {
    let mut model = Model::new(&neoverse(), 3);
    let load = |model: &mut Model, cpu: usize| {
        let before = model.figures(cpu).walks;
        model.access(cpu, Access::Load, 1, 0x1000, || Tables::private(1).walk(0x1000, 12, false));
        model.figures(cpu).walks - before
    };
    let on_all = |model: &mut Model| [load(model, 0), load(model, 1), load(model, 2)];
    assert_eq!(on_all(&mut model), [1, 1, 1], "no CPU knows what another has walked");
    model.invalidate(1, Invalidation::vae1(1, 0x1000, true));
    assert_eq!(on_all(&mut model), [0, 1, 0]);
    model.broadcast(1, Invalidation::vae1(1, 0x1000, true));
    assert_eq!(on_all(&mut model), [1, 1, 1]);
    assert_eq!((model.figures(1).invalidations_of_page, model.figures(1).broadcasts), (2, 1));
    assert_eq!((model.total().invalidations_of_page, model.total().broadcasts), (2, 1));
    assert_eq!(model.total().walks, 7);
}

//! What the oracle takes a CPU to hold of global translations, and what drops it: two hand-made roots that share a
//! table at one slot, without a kernel.

use core::sync::atomic::Ordering::Relaxed;

use host_tests::FLAVOURS;
use tessera_abi::{PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::worst_case::Leaf as HeldLeaf;
use tessera_arch::fake::{FIRST_FRAME, cpu, oracle, power_on, smp};
use tessera_arch::{
    Format, Frame, Leaf, PageFormat, Share, VirtAddr, activate, clear_frames, invalidate_all, invalidate_page,
    invalidate_page_all_tags, invalidate_page_local, invalidate_tag, note_free, publish_tables, table,
};

/// The slot that both roots share.
const SLOT: usize = 5;
/// The page in it.
const INDEX: usize = 7;
/// The page.
const ADDRESS: VirtAddr = VirtAddr::new(SLOT as u64 * TOP_SLOT_BYTES + INDEX as u64 * PAGE_BYTES);
/// Its frame.
const FRAME: Frame = FIRST_FRAME.offset(20);
/// The tag that each root is loaded under.
const TAGS: [u16; 2] = [1, 2];

/// Two roots, and the tables of levels 2 to 0 that both lead to. Another entry of each leads to an empty table.
struct Scene {
    roots: [Frame; 2],
    tables: [Frame; 3],
}

impl Scene {
    /// A machine of this kind: both roots show the page, with a global leaf; CPU 0 has been in both.
    fn new(flavour: tessera_arch::fake::Flavour, broadcasts: bool) -> Scene {
        power_on(flavour, 32, 0);
        smp::set_broadcasts(broadcasts);
        clear_frames(FIRST_FRAME, 32);
        let scene = Scene {
            roots: [0, 1].map(|at| FIRST_FRAME.offset(at)),
            tables: [2, 3, 4].map(|at| FIRST_FRAME.offset(at)),
        };
        let lead = |from: Frame, index: usize, to: Frame| {
            table(from)[index].store(Format::table_entry(to.start(), Rights::ACCESS), Relaxed);
        };
        lead(scene.tables[0], 0, scene.tables[1]);
        lead(scene.tables[1], 0, scene.tables[2]);
        scene.set_leaf(Some(Leaf { rights: Rights::READ_EXECUTE, global: true }));
        for root in scene.roots {
            lead(root, SLOT + 1, FIRST_FRAME.offset(5));
            scene.show(root, Rights::READ_EXECUTE);
        }
        oracle::watch();
        [1, 0].into_iter().for_each(|space| scene.enter(space, false));
        assert_eq!(oracle::take_breach(), None);
        scene
    }

    fn show(&self, root: Frame, bounds: Rights) {
        table(root)[SLOT].store(Format::shared_entry(self.tables[0].start(), bounds, Share::Copy), Relaxed);
        publish_tables();
    }

    fn hide(&self, root: Frame) {
        table(root)[SLOT].store(0, Relaxed);
        publish_tables();
    }

    fn set_leaf(&self, leaf: Option<Leaf>) {
        let entry = leaf.map_or(0, |leaf| Format::leaf_entry(FRAME.start(), 0, leaf));
        table(self.tables[2])[INDEX].store(entry, Relaxed);
        publish_tables();
    }

    fn enter(&self, space: usize, keep: bool) {
        activate(self.roots[space], TAGS[space], keep);
    }
}

/// Both formats, with and without broadcasts.
fn machines() -> impl Iterator<Item = (tessera_arch::fake::Flavour, bool)> {
    FLAVOURS.into_iter().flat_map(|flavour| [(flavour, false), (flavour, true)])
}

/// The rule that was broken since the last call.
fn broken() -> Option<String> {
    oracle::check();
    oracle::take_breach().map(|breach| breach.split(':').next().unwrap_or_default().to_owned())
}

fn is_broken(rule: &str) -> bool {
    broken().as_deref() == Some(rule)
}

#[test]
fn a_global_leaf_is_held_under_every_tag() {
    for (flavour, broadcasts) in machines() {
        let scene = Scene::new(flavour, broadcasts);
        let page = ADDRESS.value() / PAGE_BYTES;
        let leaf = HeldLeaf { page, level: 0, frame: FRAME, rights: Rights::READ_EXECUTE, global: true };
        for space in [0, 1] {
            scene.enter(space, false);
            assert_eq!(oracle::usable(0), [leaf]);
        }
        assert_eq!(broken(), None);
    }
}

#[test]
fn neither_a_flush_of_the_tag_nor_entering_without_keeping_drops_it() {
    for (flavour, broadcasts) in machines() {
        let scene = Scene::new(flavour, broadcasts);
        scene.set_leaf(None);
        invalidate_tag(TAGS[0]);
        invalidate_tag(TAGS[1]);
        assert!(is_broken("stale"), "after the tags were flushed");
        let scene = Scene::new(flavour, broadcasts);
        scene.set_leaf(None);
        scene.enter(1, false);
        assert!(is_broken("global"), "after the other space was entered");
    }
}

#[test]
fn its_page_is_dropped_under_whatever_tag() {
    for (flavour, broadcasts) in machines() {
        let drops: [fn(); 4] = [
            || invalidate_page(ADDRESS, TAGS[0]),
            || invalidate_page_local(ADDRESS, TAGS[0]),
            || invalidate_page_all_tags(ADDRESS),
            invalidate_all,
        ];
        for (number, drop) in drops.into_iter().enumerate() {
            let scene = Scene::new(flavour, broadcasts);
            scene.set_leaf(None);
            drop();
            scene.enter(1, true);
            assert_eq!(broken(), None, "{number}");
        }
    }
}

#[test]
fn a_tag_that_is_not_loaded_is_reached_by_broadcast_only() {
    for (flavour, broadcasts) in machines() {
        // The lowest table goes, and the way to it under the tag that is named; elsewhere, under the one that is loaded.
        let scene = Scene::new(flavour, broadcasts);
        table(scene.tables[1])[0].store(0, Relaxed);
        publish_tables();
        invalidate_page(ADDRESS, TAGS[1]);
        assert_eq!(is_broken("stale"), broadcasts);
        if !broadcasts {
            scene.enter(1, true);
            assert!(is_broken("kept"));
        }
    }
}

#[test]
fn other_cpus_keep_it_unless_the_hardware_reaches_them() {
    for (flavour, broadcasts) in machines() {
        let scene = Scene::new(flavour, broadcasts);
        cpu::set_cpu_index(1);
        scene.enter(1, false);
        cpu::set_cpu_index(0);
        scene.set_leaf(None);
        invalidate_page(ADDRESS, TAGS[0]);
        assert_eq!(is_broken("stale"), !broadcasts, "by address");
        let scene = Scene::new(flavour, true);
        cpu::set_cpu_index(1);
        scene.enter(1, false);
        cpu::set_cpu_index(0);
        scene.set_leaf(None);
        invalidate_page_local(ADDRESS, TAGS[0]);
        assert!(is_broken("stale"), "only here");
    }
}

#[test]
fn ways_to_it_are_held_under_each_tag() {
    for (flavour, broadcasts) in machines() {
        // The lowest table goes; the page's translation was dropped everywhere, the way to the table here.
        let part = |all_tags: bool| {
            let scene = Scene::new(flavour, broadcasts);
            table(scene.tables[1])[0].store(0, Relaxed);
            publish_tables();
            if all_tags {
                invalidate_page_all_tags(ADDRESS)
            } else {
                invalidate_page(ADDRESS, TAGS[0])
            }
            note_free(scene.tables[2], 1);
            assert_eq!(broken(), None);
            scene.enter(1, true);
            broken()
        };
        assert_eq!(part(false).as_deref(), Some("kept"));
        assert_eq!(part(true), None);
    }
}

#[test]
fn a_space_without_it_cannot_be_entered() {
    for (flavour, broadcasts) in machines() {
        for keep in [false, true] {
            let scene = Scene::new(flavour, broadcasts);
            scene.hide(scene.roots[1]);
            invalidate_tag(TAGS[1]);
            scene.enter(0, false);
            assert_eq!(broken(), None);
            // Where nothing names a tag that is not loaded, the way to the table is kept under it.
            let rule = if keep && !broadcasts { "kept" } else { "global" };
            scene.enter(1, keep);
            assert!(is_broken(rule), "{flavour:?}, {keep}");
        }
    }
}

#[test]
fn memory_and_tables_behind_it_are_not_free() {
    for (flavour, broadcasts) in machines() {
        let scene = Scene::new(flavour, broadcasts);
        scene.set_leaf(None);
        note_free(FRAME, 1);
        assert!(is_broken("free"));
        let scene = Scene::new(flavour, broadcasts);
        scene.set_leaf(None);
        invalidate_page_all_tags(ADDRESS);
        note_free(FRAME, 1);
        assert_eq!(broken(), None);
        clear_frames(scene.tables[0], 1);
        assert!(is_broken("reuse"));
    }
}

#[test]
fn its_rights_are_those_of_all_levels_when_it_was_found() {
    for (flavour, broadcasts) in machines() {
        let scene = Scene::new(flavour, broadcasts);
        scene.show(scene.roots[1], Rights::READ);
        scene.enter(1, false);
        // What CPU 0 found with the other root's bounds allows more than this one's.
        assert!(is_broken("global"));
        let scene = Scene::new(flavour, broadcasts);
        scene.roots.into_iter().for_each(|root| scene.show(root, Rights::READ));
        invalidate_all();
        scene.enter(1, false);
        assert_eq!(oracle::usable(0).iter().map(|leaf| leaf.rights).collect::<Vec<_>>(), [Rights::READ]);
        assert_eq!(broken(), None);
    }
}

#[test]
fn one_that_is_not_global_cannot_be_held_beside_it() {
    for (flavour, broadcasts) in machines() {
        let scene = Scene::new(flavour, broadcasts);
        scene.set_leaf(Some(Leaf { rights: Rights::READ_EXECUTE, global: false }));
        oracle::observe();
        assert!(is_broken("conflict"));
        let scene = Scene::new(flavour, broadcasts);
        scene.set_leaf(None);
        invalidate_page(ADDRESS, TAGS[0]);
        scene.set_leaf(Some(Leaf { rights: Rights::READ_EXECUTE, global: false }));
        oracle::observe();
        assert_eq!(broken(), None);
    }
}

#[test]
fn nobody_uses_it_in_a_root_without_entries() {
    for (flavour, broadcasts) in machines() {
        let scene = Scene::new(flavour, broadcasts);
        activate(FIRST_FRAME.offset(9), 3, false);
        assert_eq!(broken(), None);
        scene.set_leaf(None);
        assert_eq!(broken(), None);
        scene.enter(0, false);
        assert!(is_broken("global"));
    }
}

#[test]
fn what_is_written_to_a_table_is_published_before_it_is_walked() {
    for (flavour, broadcasts) in machines() {
        let lead = |scene: &Scene| {
            let entry = Format::table_entry(scene.tables[1].start(), Rights::READ);
            table(scene.tables[0])[1].store(entry, Relaxed);
        };
        let scene = Scene::new(flavour, broadcasts);
        lead(&scene);
        assert!(is_broken("unpublished"), "after an operation");
        let scene = Scene::new(flavour, broadcasts);
        lead(&scene);
        scene.enter(1, true);
        publish_tables();
        assert!(is_broken("unpublished"), "when a root is loaded");
        let scene = Scene::new(flavour, broadcasts);
        lead(&scene);
        publish_tables();
        scene.enter(1, true);
        assert_eq!(broken(), None);
    }
}

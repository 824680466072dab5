//! The model counts what can be computed by hand: strided working sets, page sizes, walk caches.

use tlb_model::model::{Access, Figures, Model, Profile};
use tlb_model::synthetic::Tables;

/// A CPU with one array in each level.
fn profile(first: (u32, u32), second: (u32, u32), walk_caches: &str) -> Profile {
    let text = format!(
        r#"[test]
        what = "a test"
        instruction = [{{ entries = {0}, ways = {1}, pages = ["4K", "2M"] }}]
        data = [{{ entries = {0}, ways = {1}, pages = ["4K", "2M"] }}]
        second_level = [{{ entries = {2}, ways = {3}, pages = ["4K", "2M"] }}]
        walk_caches = [{walk_caches}]
        unverified = []
        [test.costs]
        second_level_hit = 1
        walk = 1
        walk_reference = 1
        root_write = 1
        root_write_flush = 1
        invalidate_all = 1
        invalidate_tag = 1
        invalidate_page = 1
        invalidate_range = 1
        broadcast = 1"#,
        first.0, first.1, second.0, second.1
    );
    Profile::find(&text, "test").expect("the profile is right")
}

/// Sweeps through `pages` pages that are `stride` pages apart, again and again; returns the figures of the last sweep.
fn last_sweep(model: &mut Model, pages: u64, stride: u64, page_bits: u8, sweeps: u32) -> Figures {
    for _ in 0..sweeps {
        model.clear();
        for page in 0..pages {
            let address = (page * stride) << page_bits;
            model.access(0, Access::Load, 0, address, || Tables::private(0).walk(address, page_bits, false));
        }
    }
    model.figures(0)
}

/// How many of `pages` pages miss in each sweep in an array with LRU: a set whose pages are more than its ways keeps none
/// until it is asked for again; one with as many or fewer keeps all.
fn misses(pages: u64, stride: u64, entries: u64, ways: u64) -> u64 {
    let sets = entries / ways;
    let in_set = |set: u64| (0..pages).filter(|page| page * stride % sets == set).count() as u64;
    (0..sets).map(in_set).filter(|count| *count > ways).sum()
}

#[test]
fn a_fully_associative_level_serves_a_sweep_whole_or_not_at_all() {
    for (entries, second) in [(8_u64, 64_u64), (48, 256)] {
        for pages in 1..second + 3 {
            let mut model =
                Model::new(&profile((entries as u32, entries as u32), (second as u32, second as u32), ""), 1);
            let figures = last_sweep(&mut model, pages, 1, 12, 3);
            let all_if = |condition: bool| if condition { pages } else { 0 };
            assert_eq!(figures.data_misses, all_if(pages > entries), "{pages} pages over {entries}");
            assert_eq!(figures.walks, all_if(pages > second), "{pages} pages over {second}");
            assert_eq!(figures.walk_references, 4 * figures.walks);
            assert_eq!((figures.loads, figures.accesses(), figures.instruction_misses), (pages, pages, 0));
        }
    }
}

#[test]
fn a_set_associative_level_serves_a_strided_sweep_set_by_set() {
    for stride in [1, 2, 3, 4, 8, 16, 64] {
        for pages in [1, 4, 5, 16, 17, 20, 63, 64, 65, 128, 200] {
            let mut model = Model::new(&profile((16, 4), (128, 8), ""), 1);
            let figures = last_sweep(&mut model, pages, stride, 12, 4);
            assert_eq!(figures.data_misses, misses(pages, stride, 16, 4), "{pages} pages, stride {stride}");
            // The second level sees the first's misses only, so what misses there is in sets that overflow in both.
            let both = (0..pages)
                .filter(|page| {
                    let over = |sets: u64, ways: u64| {
                        (0..pages).filter(|other| (other * stride) % sets == (page * stride) % sets).count() as u64
                            > ways
                    };
                    over(4, 4) && over(16, 8)
                })
                .count() as u64;
            assert_eq!(figures.walks, both, "{pages} pages, stride {stride}");
        }
    }
}

#[test]
fn large_pages_take_an_entry_each_and_a_reference_less() {
    for (pages, misses) in [(8, 0), (9, 9)] {
        let mut model = Model::new(&profile((8, 8), (8, 8), ""), 1);
        let figures = last_sweep(&mut model, pages, 1, 21, 3);
        assert_eq!((figures.walks, figures.walk_references), (misses, 3 * misses));
    }
}

#[test]
fn a_page_larger_than_an_array_holds_is_taken_in_pieces() {
    let mut model = Model::new(&profile((8, 8), (8, 8), ""), 1);
    let large = |address: u64| move || Tables::private(0).walk(address, 30, false);
    for (address, misses) in [(0, 1), (0x1f_ffff, 1), (0x20_0000, 2), (0, 2)] {
        model.access(0, Access::Load, 0, address, large(address));
        assert_eq!(model.figures(0).walks, misses, "at {address:#x}");
    }
    assert_eq!(model.figures(0).walk_references, 4);
}

#[test]
fn walk_caches_save_what_they_know() {
    // A sweep over 1,024 pages of two last tables: the first walk of each reads four or, once the upper tables are known,
    // two entries; all others read the last entry only.
    let all = r#"{ entries = 8, ways = 8, pages = ["2M", "1G", "512G"] }"#;
    let mut model = Model::new(&profile((8, 8), (8, 8), all), 1);
    let figures = last_sweep(&mut model, 1024, 1, 12, 1);
    assert_eq!(figures.walks, 1024);
    assert_eq!(figures.walk_references, 4 + 511 + 2 + 511);
    assert_eq!(figures.walk_references + figures.saved_references, 4 * 1024);

    // Only the level above: every walk reads two entries, but the first.
    let upper = r#"{ entries = 8, ways = 8, pages = ["1G"] }"#;
    let mut model = Model::new(&profile((8, 8), (8, 8), upper), 1);
    assert_eq!(last_sweep(&mut model, 1024, 1, 12, 1).walk_references, 4 + 1023 * 2);

    // A page in each of 9 tables, swept with room for 8: nothing of the lowest level is found again, all of the next is.
    let lowest = r#"{ entries = 8, ways = 8, pages = ["2M"] }, { entries = 1, ways = 1, pages = ["1G"] }"#;
    let mut model = Model::new(&profile((8, 8), (8, 8), lowest), 1);
    let figures = last_sweep(&mut model, 9, 512, 12, 3);
    assert_eq!((figures.walks, figures.walk_references), (9, 9 * 2));
}

#[test]
fn a_walk_that_finds_nothing_keeps_its_upper_tables_only() {
    let all = r#"{ entries = 8, ways = 8, pages = ["2M", "1G", "512G"] }"#;
    let mut model = Model::new(&profile((8, 8), (8, 8), all), 1);
    let mut hole = Tables::private(0).walk(0, 12, false);
    (hole.references, hole.result) = (3, None);
    for references in [3, 1] {
        model.clear();
        model.access(0, Access::Load, 0, 0, || hole);
        let figures = model.figures(0);
        assert_eq!((figures.walks, figures.failed_walks, figures.walk_references), (1, 1, references));
    }
}

#[test]
fn instructions_and_data_have_a_first_level_each_and_share_the_second() {
    let mut model = Model::new(&profile((8, 8), (64, 4), ""), 1);
    let walk = || Tables::private(0).walk(0x5000, 12, false);
    for access in [Access::Load, Access::Fetch, Access::Store, Access::Fetch, Access::Load] {
        model.access(0, access, 0, 0x5000, walk);
    }
    let figures = model.figures(0);
    assert_eq!((figures.data_misses, figures.instruction_misses, figures.walks), (1, 1, 1));
    let mut own = profile((8, 8), (64, 4), "");
    own.second_level_instruction = own.second_level.clone();
    let mut model = Model::new(&own, 1);
    model.access(0, Access::Load, 0, 0x5000, walk);
    model.access(0, Access::Fetch, 0, 0x5000, walk);
    assert_eq!(model.figures(0).walks, 2, "a second level of its own for fetches knows nothing of loads");
}

#[test]
fn a_store_to_a_page_that_was_not_writable_walks_anew() {
    let mut model = Model::new(&profile((8, 8), (64, 4), ""), 1);
    let mut walk = Tables::private(0).walk(0x5000, 12, false);
    let result = walk.result.as_mut().expect("there is a page");
    result.writable = false;
    for (access, walks) in
        [(Access::Load, 1), (Access::Load, 1), (Access::Store, 2), (Access::Store, 2), (Access::Load, 2)]
    {
        model.access(0, access, 0, 0x5000, || walk);
        assert_eq!(model.figures(0).walks, walks, "{access:?}");
    }
}

#[test]
fn cycles_are_the_figures_times_their_costs() {
    let figures = Figures {
        data_misses: 1_000,
        instruction_misses: 500,
        walks: 200,
        walk_references: 300,
        root_writes: 7,
        flushing_root_writes: 5,
        invalidations_of_page: 3,
        broadcasts: 2,
        loads: 1_000_000,
        ..Figures::default()
    };
    let mut profile = profile((8, 8), (8, 8), "");
    for cost in [
        "second_level_hit=2",
        "walk=10",
        "walk_reference=100",
        "root_write=1000",
        "root_write_flush=10000",
        "invalidate_page=100000",
        "broadcast=1000000",
    ] {
        profile.set_cost(cost).expect("there is such a cost");
    }
    assert_eq!(figures.cycles(&profile.costs), 1300 * 2 + 200 * 10 + 300 * 100 + 7_000 + 50_000 + 300_000 + 2_000_000);
}

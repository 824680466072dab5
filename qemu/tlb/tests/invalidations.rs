//! Random work on the model and on a plain list of entries: the same figures after each step.

mod naive;

use naive::Naive;
use proptest::prelude::*;
use tlb_model::model::{Access, Figures, Invalidation, Model, Profile};
use tlb_model::synthetic::Tables;

const CPUS: usize = 2;
const TAGS: u16 = 3;
/// Small enough that everything overflows.
const PROFILE: &str = r#"[small]
what = "small"
instruction = [{ entries = 4, ways = 2, pages = ["4K"] }, { entries = 2, ways = 2, pages = ["2M"] }]
data = [{ entries = 6, ways = 6, pages = ["4K", "64K", "2M"] }]
second_level = [{ entries = 16, ways = 4, pages = ["4K", "64K", "2M"] }, { entries = 2, ways = 1, pages = ["1G"] }]
walk_caches = [{ entries = 4, ways = 2, pages = ["2M"] }, { entries = 3, ways = 3, pages = ["1G", "512G"] }]
unverified = []
[small.costs]
second_level_hit = 1
walk = 1
walk_reference = 1
root_write = 1
root_write_flush = 1
invalidate_all = 1
invalidate_tag = 1
invalidate_page = 1
invalidate_range = 1
broadcast = 1
"#;

/// A place in the address space: where it begins, the size of its pages, whether they are global, whether writable.
const REGIONS: &[(u64, u8, bool, bool)] = &[
    (0, 12, false, true),
    (0x20_0000, 12, false, false),
    (0x40_0000, 12, true, true),
    (0x60_0000, 21, false, true),
    (0x80_0000, 21, true, true),
    (0xa0_0000, 16, false, true),
    (1 << 30, 30, false, true),
    (2 << 30, 30, true, true),
    (1 << 39, 12, false, true),
    (0xffff_8000_0000_0000, 12, true, true),
    (0xffff_ffff_ffe0_0000, 21, false, true),
];

#[derive(Clone, Debug)]
enum Step {
    Access { access: Access, tag: u16, region: usize, offset: u64 },
    SwitchRoot { tag: u16, flush: bool },
    Invalidate { invalidation: Invalidation, everywhere: bool },
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![(0_u64..10).prop_map(|page| page << 12), (0_u64..4).prop_map(|chunk| chunk << 16), Just(0x1f_f000)]
}

fn address() -> impl Strategy<Value = u64> {
    (0..REGIONS.len(), offset()).prop_map(|(region, offset)| REGIONS[region].0 + offset)
}

fn invalidation() -> impl Strategy<Value = Invalidation> {
    let bytes = prop_oneof![1_u64..0x9000, Just(0x40_0000), Just(1 << 31)];
    (0..12_u8, 0..TAGS, address(), bytes, any::<bool>()).prop_map(
        |(kind, tag, address, bytes, last_level)| match kind {
            0 => Invalidation::invlpg(tag, address),
            1..=4 => Invalidation::invpcid(u64::from(kind - 1), tag, address).expect("there are types 0 to 3"),
            5 => Invalidation::page_global_toggle(),
            6 => Invalidation::vmalle1(),
            7 => Invalidation::aside1(tag),
            8 => Invalidation::vae1(tag, address, last_level),
            9 => Invalidation::vaae1(address, last_level),
            10 => Invalidation::rvae1(tag, address, bytes.min(0x1f_ffff), last_level),
            _ => Invalidation::rvaae1(address, bytes.min(0x1f_ffff), last_level),
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let access = prop_oneof![Just(Access::Fetch), Just(Access::Load), Just(Access::Store)];
    prop_oneof![
        12 => (access, 0..TAGS, 0..REGIONS.len(), offset())
            .prop_map(|(access, tag, region, offset)| Step::Access { access, tag, region, offset }),
        1 => (0..TAGS, any::<bool>()).prop_map(|(tag, flush)| Step::SwitchRoot { tag, flush }),
        2 => (invalidation(), any::<bool>())
            .prop_map(|(invalidation, everywhere)| Step::Invalidate { invalidation, everywhere }),
    ]
}

/// What the list counts as well: invalidations are counted by the caller here.
fn comparable(figures: Figures) -> Figures {
    let (repeated_root_writes, broadcasts) = (0, 0);
    let (invalidations_of_all, invalidations_of_tag, invalidations_of_page, invalidations_of_range) = (0, 0, 0, 0);
    Figures {
        repeated_root_writes,
        broadcasts,
        invalidations_of_all,
        invalidations_of_tag,
        invalidations_of_page,
        invalidations_of_range,
        ..figures
    }
}

fn take(cpu: usize, step: &Step, model: &mut Model, lists: &mut [Naive]) {
    match *step {
        Step::Access { access, tag, region, offset } => {
            let (base, page_bits, global, writable) = REGIONS[region];
            let address = base + offset;
            let mut walk = Tables::private(tag.into()).walk(address, page_bits, global);
            walk.result.as_mut().expect("there is a page").writable = writable;
            model.access(cpu, access, tag, address, || walk);
            lists[cpu].access(access, tag, address, &walk);
        }
        Step::SwitchRoot { tag, flush } => {
            model.switch_root(cpu, tag, 0, flush);
            lists[cpu].switch_root(tag, flush);
        }
        Step::Invalidate { invalidation, everywhere: true } => {
            model.broadcast(cpu, invalidation);
            lists.iter_mut().for_each(|list| list.invalidate(invalidation));
        }
        Step::Invalidate { invalidation, everywhere: false } => {
            model.invalidate(cpu, invalidation);
            lists[cpu].invalidate(invalidation);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_model_does_what_a_plain_list_of_entries_does(
        steps in prop::collection::vec((0..CPUS, step()), 1..300), hash_tag: bool) {
        let mut profile = Profile::find(PROFILE, "small").expect("the profile is right");
        for shape in profile.second_level.iter_mut().chain(&mut profile.walk_caches) {
            shape.hash_tag = hash_tag;
        }
        let mut model = Model::new(&profile, CPUS);
        let shapes = || {
            let own = profile.clone();
            [own.instruction, own.data, own.second_level, own.walk_caches]
        };
        let mut lists: Vec<Naive> = (0..CPUS).map(|_| Naive::new(shapes())).collect();
        for (number, (cpu, step)) in steps.iter().enumerate() {
            take(*cpu, step, &mut model, &mut lists);
            for (cpu, list) in lists.iter().enumerate() {
                prop_assert_eq!(comparable(model.figures(cpu)), list.figures, "CPU {}, step {}: {:?}", cpu, number, step);
            }
        }
    }
}

#[test]
fn an_unknown_type_of_invpcid_invalidates_nothing() {
    assert_eq!(Invalidation::invpcid(4, 1, 0x1000), None);
}

//! What a change costs where subtrees lie in subtrees at many places, which lie in spaces at many, which have many views:
//! it grows with what there is, not with a product. Steps of the kernel's loops and invalidations are counted.

use host_tests::machine::BUFFER;
use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::layout::SpaceInfo;
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::{self, Flavour};
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::base::steps;
use tessera_kernel::lifecycle::check;

const TWO_MIB: u64 = 2 << 20;
const GIB: u64 = 1 << 30;
/// Tables of the program's subtree.
const PROGRAM_TABLES: u64 = 4;
/// The first address for a space's own.
const START: u64 = 1 << 39;

/// A subtree of 2 MiB at places of others of 1 GiB, which are at places of a space, which has views.
struct Chain {
    machine: Machine,
    inner: Handle,
    outers: Vec<Handle>,
    space: Handle,
    views: u64,
}

/// How much of each: `outers` subtrees of 1 GiB, each of which holds the inner one `inside` times and is `shown` times in
/// the space.
#[derive(Clone, Copy, Debug)]
struct Size {
    outers: u64,
    inside: u64,
    shown: u64,
    views: u64,
}

impl Size {
    /// All records that there are of it.
    fn records(&self) -> u64 {
        self.outers * (self.inside + self.shown) + self.views
    }
}

impl Chain {
    fn new(flavour: Flavour, broadcasts: bool, size: Size) -> Chain {
        let options = Options::new(flavour).frames(4096).slots(512);
        let mut machine = Machine::boot(&options);
        // What is counted here is what a change costs, not what being cut does.
        set_entry_units(ENTRY_UNITS);
        fake::smp::set_broadcasts(broadcasts);
        let account = machine.account;
        let subtree = |machine: &mut Machine, level| machine.make(Call::SubtreeCreate { account, level });
        let inner = subtree(&mut machine, 1);
        let segment = machine.segment(4 * PAGE_BYTES, 0);
        machine.map(inner, segment, 0, 0, 4 * PAGE_BYTES, Rights::READ_WRITE).expect("nothing is there");
        let outers: Vec<Handle> = (0..size.outers).map(|_| subtree(&mut machine, 2)).collect();
        let space = machine.new_space();
        machine.attach_program(space);
        let attach = |target, subtree, address| Call::SubtreeAttach {
            target,
            subtree,
            address,
            bounds: Rights::ACCESS,
            flags: 0,
        };
        for (number, outer) in outers.iter().enumerate() {
            let places = (0..size.inside).map(|place| attach(*outer, inner, place * TWO_MIB));
            let first = START + number as u64 * size.shown * GIB;
            let places = places.chain((0..size.shown).map(|place| attach(space, *outer, first + place * GIB)));
            places.for_each(|call| assert_eq!(machine.call(call), Ok(0)));
        }
        for _ in 0..size.views {
            machine.make(Call::ViewCreate { account, space, bounds: Rights::READ });
        }
        machine.switch_fast(space).expect("the program is there too");
        Chain { machine, inner, outers, space, views: size.views }
    }

    /// What a call costs: steps, and words to the translation hardware.
    fn cost(&mut self, call: Call) -> u64 {
        fake::tlb::take_events();
        steps::take();
        self.machine.call(call).expect("nothing stands against it");
        steps::take() + fake::tlb::take_events().len() as u64
    }

    fn protect(&mut self, target: Handle, pages: u64, rights: Rights) -> u64 {
        self.cost(Call::Protect { target, address: 0, length_bytes: pages * PAGE_BYTES, rights })
    }
}

fn for_each_machine(test: impl Fn(Flavour, bool)) {
    FLAVOURS.into_iter().for_each(|flavour| [false, true].into_iter().for_each(|broadcasts| test(flavour, broadcasts)));
}

/// Each at most four steps or words for each record of what there is; a product would be thousands of times as much.
#[test]
fn a_change_inside_costs_the_sum_of_places() {
    let sizes = [
        Size { outers: 1, inside: 512, shown: 512, views: 0 },
        Size { outers: 4, inside: 512, shown: 512, views: 0 },
        Size { outers: 1, inside: 512, shown: 16, views: 100 },
        Size { outers: 64, inside: 1, shown: 4, views: 100 },
    ];
    for_each_machine(|flavour, broadcasts| {
        for size in sizes {
            let mut chain = Chain::new(flavour, broadcasts, size);
            let inner = chain.inner;
            for (pages, rights) in [(1, Rights::READ), (4, Rights::READ_WRITE)] {
                let cost = chain.protect(inner, pages, rights);
                let few = 96 + 4 * (size.outers + chain.views);
                assert!(cost <= few, "{size:?}, {pages} pages: {cost} steps, {broadcasts}");
            }
            check::check(&chain.machine.kernel);
        }
    });
}

/// Where the hardware tells spaces apart, each is told once; else each CPU flushes once.
#[test]
fn each_space_and_view_is_told_once() {
    let size = Size { outers: 8, inside: 32, shown: 32, views: 12 };
    for flavour in FLAVOURS {
        let mut chain = Chain::new(flavour, true, size);
        chain.protect(chain.inner, 1, Rights::READ);
        chain.machine.call(Call::SpaceSwitch { space: chain.machine.space }).expect("it is the program's");
        fake::tlb::take_events();
        let (target, length_bytes, rights) = (chain.inner, PAGE_BYTES, Rights::READ_WRITE);
        chain.machine.call(Call::Protect { target, address: 0, length_bytes, rights }).expect("it may be written");
        // No view was entered: nothing can be held under a tag it never had.
        assert_eq!(fake::tlb::take_events().len(), 1, "the space alone, by its tag");
    }
}

#[test]
fn withdrawing_and_telling_cost_the_sum_of_places() {
    let size = Size { outers: 4, inside: 512, shown: 512, views: 20 };
    for_each_machine(|flavour, broadcasts| {
        let mut chain = Chain::new(flavour, broadcasts, size);
        let before: SpaceInfo =
            chain.machine.info(|buffer| Call::SpaceInfo { space: chain.space, buffer }).expect("it may be asked");
        // At each place of an outer one its own table, and the inner one's for each of its places; besides, the program's.
        let tables = size.outers * size.shown * (size.inside + 1);
        assert_eq!(before.shared_table_bytes / PAGE_BYTES, tables + PROGRAM_TABLES);
        let info = Call::SpaceInfo { space: chain.space, buffer: BUFFER };
        let cost = chain.cost(info);
        assert!(cost <= 8 * size.records(), "info: {cost} steps for {} records", size.records());
        // However it is cut.
        set_entry_units(1);
        let cut: SpaceInfo =
            chain.machine.info(|buffer| Call::SpaceInfo { space: chain.space, buffer }).expect("as well");
        set_entry_units(ENTRY_UNITS);
        assert_eq!(cut, before);
        let (inner, outer) = (chain.inner, chain.outers[0]);
        for subtree in [outer, inner] {
            let cost = chain.cost(Call::SubtreeWithdraw { subtree });
            // Each step has looks of its own.
            assert!(cost <= 6 * size.records(), "withdraw: {cost} steps for {} records", size.records());
        }
        let info: SpaceInfo =
            chain.machine.info(|buffer| Call::SpaceInfo { space: chain.space, buffer }).expect("it may be asked");
        assert!(info.shared_table_bytes < before.shared_table_bytes / 100, "the inner one is gone");
        check::check(&chain.machine.kernel);
    });
}

/// More spaces than a change is told to one by one: it costs the same for any number of them, and reaches all.
#[test]
fn what_very_many_see_is_dropped_everywhere() {
    for_each_machine(|flavour, broadcasts| {
        let costs = [200, 400].map(|views| {
            let mut chain = Chain::new(flavour, broadcasts, Size { outers: 1, inside: 1, shown: 1, views });
            let inner = chain.inner;
            // More pages than are dropped one by one.
            let cost = chain.protect(inner, 4, Rights::READ);
            check::check(&chain.machine.kernel);
            cost
        });
        assert!(costs[1] <= costs[0] + 8, "{flavour:?} {broadcasts}: {costs:?}");
    });
}

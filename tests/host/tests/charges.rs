//! Accounts pay for the kernel heap that their objects take: as much as that at least, whatever the order in which things
//! are made and given up, and whatever they are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tessera_kernel::lifecycle::check;
use tessera_kernel::vm::fault;

use host_tests::{Machine, Options};
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::Access;
use tessera_arch::VirtAddr;
use tessera_arch::fake::{Flavour, tlb};
use tessera_kernel::mem::block::block_bytes;
use tessera_kernel::object::store::ENTRY_BYTES;
use tessera_kernel::object::use_pool::USE_BYTES;

thread_local! {
    static TAKEN_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// The host's allocator, counting what the calling thread's blocks would take of the kernel's heap.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(layout: Layout, sign: i64) {
    let _ = TAKEN_BYTES.try_with(|taken| taken.set(taken.get() + sign * block_bytes(layout) as i64));
}

// SAFETY: both functions do what the system's allocator does, and count.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        // SAFETY: the caller keeps `GlobalAlloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout, -1);
        // SAFETY: as above: the block came from `alloc`, so from the system.
        unsafe { System.dealloc(block, layout) }
    }
}

/// What the first objects of a kind may take besides: a chunk of their store that is not full.
const CHUNK_BYTES: i64 = 64 * ENTRY_BYTES as i64;

/// A machine whose kernel heap is compared with what its program is charged.
struct Scale {
    machine: Machine,
    start: (i64, i64),
    /// Objects that there were at most, whose places in the stores stay.
    most: i64,
}

impl Scale {
    fn new() -> Scale {
        let mut scale = Scale {
            machine: Machine::boot(&Options::new(Flavour::X86).frames(8192).slots(8192)),
            start: (0, 0),
            most: 0,
        };
        scale.begin();
        scale
    }

    /// Counts from here on.
    fn begin(&mut self) {
        self.start = self.now();
    }

    /// Heap taken, and what is charged besides frames.
    fn now(&self) -> (i64, i64) {
        drop(tlb::take_events());
        let used_bytes = self.machine.kernel.accounts[self.machine.account_id].used_bytes();
        let frames = self.machine.kernel.frames.managed_frames() - self.machine.kernel.frames.free_frames();
        // Pages of uses stay while one in them does, as chunks of stores do; how many there are, `use_pool` sees to.
        let uses = &self.machine.kernel.uses;
        let charged = used_bytes as i64 - ((frames * PAGE_BYTES) + uses.len() * USE_BYTES) as i64;
        (TAKEN_BYTES.get() - uses.held_bytes() as i64, charged)
    }

    #[track_caller]
    fn weigh(&self, what: &str) {
        let ((heap_before, before), (heap, charged)) = (self.start, self.now());
        let (heap, charged) = (heap - heap_before, charged - before);
        let allowed = charged + CHUNK_BYTES + self.most * ENTRY_BYTES as i64;
        assert!(heap <= allowed, "{what}: {heap} bytes of heap for {charged} bytes charged");
    }

    fn delete(&mut self, handle: Handle) {
        assert_eq!(self.machine.call(Call::CapabilityDelete { handle }), Ok(0));
    }
}

/// In which order things are made and given up.
const ORDERS: [fn(u64, u64) -> u64; 3] =
    [|number, _| number, |number, count| count - 1 - number, |number, count| number * 977 % count];

fn random() -> TestRng {
    TestRng::deterministic_rng(RngAlgorithm::ChaCha)
}

/// Makes many objects, weighing now and then, and gives them up one by one in a random order.
fn weigh_objects(what: &str, count: u64, make: impl Fn(&mut Machine, u64) -> Handle) {
    let mut scale = Scale::new();
    let mut made = Vec::with_capacity(count as usize);
    scale.begin();
    for number in 0..count {
        made.push(make(&mut scale.machine, number));
        scale.weigh(what);
    }
    scale.most = count as i64;
    let mut random = random();
    while !made.is_empty() {
        let number = random.random_range(0..made.len());
        scale.delete(made.swap_remove(number));
        scale.weigh(what);
    }
    check::check(&scale.machine.kernel);
}

#[test]
fn objects_of_every_kind_pay_for_their_heap() {
    weigh_objects("accounts", 2000, |machine, _| {
        machine.make(Call::AccountCreate { account: machine.account, bytes: 0 })
    });
    weigh_objects("spaces", 1000, |machine, _| machine.make(Call::SpaceCreate { account: machine.account }));
    weigh_objects("subtrees", 1000, |machine, number| {
        machine.make(Call::SubtreeCreate { account: machine.account, level: 1 + number % 3 })
    });
    weigh_objects("segments", 500, |machine, number| machine.segment((1 + number % 7) * PAGE_BYTES, 0));
    weigh_objects("lazy segments", 500, |machine, number| machine.segment((1 + number % 40 * 100) * PAGE_BYTES, 1));
    weigh_objects("tables", 500, |machine, number| {
        machine.make(Call::TableCreate { account: machine.account, slots: 1 + number * number % 999 })
    });
    weigh_objects("threads", 1000, |machine, number| {
        let (account, table, space) = (machine.account, machine.table, machine.space);
        machine.make(Call::ThreadCreate { account, table, space, priority: number % 32 })
    });
    weigh_objects("views", 1000, |machine, _| {
        machine.make(Call::ViewCreate { account: machine.account, space: machine.space, bounds: Rights::READ })
    });
}

/// A view of each of many spaces, given up at once: the first node of the space's list of views stays.
#[test]
fn a_list_that_is_empty_again_is_paid() {
    weigh_objects("spaces that had a view", 500, |machine, _| {
        let space = machine.make(Call::SpaceCreate { account: machine.account });
        let view = machine.make(Call::ViewCreate { account: machine.account, space, bounds: Rights::READ });
        assert_eq!(machine.call(Call::CapabilityDelete { handle: view }), Ok(0));
        space
    });
    weigh_objects("subtrees that had a sharer and a mapping", 300, |machine, _| {
        let subtree = machine.make(Call::SubtreeCreate { account: machine.account, level: 3 });
        let (target, address) = (machine.space, 40 * TOP_SLOT_BYTES);
        let attach = Call::SubtreeAttach { target, subtree, address, bounds: Rights::READ, flags: 0 };
        assert_eq!(machine.call(attach), Ok(0));
        assert_eq!(machine.call(Call::SubtreeDetach { target, address }), Ok(0));
        let segment = machine.segment(PAGE_BYTES, 1);
        assert_eq!(machine.map(subtree, segment, 0, 1 << 30, PAGE_BYTES, Rights::READ), Ok(0));
        let unmap = Call::Unmap { target: subtree, address: 1 << 30, length_bytes: PAGE_BYTES };
        assert_eq!(machine.call(unmap), Ok(0));
        assert_eq!(machine.call(Call::CapabilityDelete { handle: segment }), Ok(0));
        subtree
    });
}

/// Places of one subtree, in one space and in many, in every order.
#[test]
fn attachments_pay_for_the_list_of_their_places() {
    const SPACES: u64 = 100;
    const SLOTS: u64 = 20;
    for order in ORDERS {
        let mut scale = Scale::new();
        let spaces: Vec<Handle> = (0..SPACES).map(|_| scale.machine.new_space()).collect();
        let mut left: Vec<u64> = (0..SPACES * SLOTS).collect();
        scale.begin();
        let subtree = scale.machine.make(Call::SubtreeCreate { account: scale.machine.account, level: 3 });
        let at = |number: u64| {
            let place = order(number, SPACES * SLOTS);
            (spaces[(place / SLOTS) as usize], (1 + place % SLOTS) * TOP_SLOT_BYTES)
        };
        for number in 0..SPACES * SLOTS {
            let (target, address) = at(number);
            let attach = Call::SubtreeAttach { target, subtree, address, bounds: Rights::READ, flags: 0 };
            assert_eq!(scale.machine.call(attach), Ok(0));
            scale.weigh("attachments");
        }
        let mut random = random();
        while !left.is_empty() {
            let (target, address) = at(left.swap_remove(random.random_range(0..left.len())));
            assert_eq!(scale.machine.call(Call::SubtreeDetach { target, address }), Ok(0));
            scale.weigh("attachments");
        }
    }
}

/// Mappings in one space, made in every order and taken out in another.
#[test]
fn mappings_pay_for_their_records() {
    const COUNT: u64 = 1500;
    for order in ORDERS {
        let mut scale = Scale::new();
        let segment = scale.machine.segment(PAGE_BYTES, 1);
        let mut left: Vec<u64> = (0..COUNT).collect();
        scale.begin();
        let target = scale.machine.new_space();
        let address = |number: u64| TOP_SLOT_BYTES + order(number, COUNT) * 2 * PAGE_BYTES;
        for number in 0..COUNT {
            assert_eq!(scale.machine.map(target, segment, 0, address(number), PAGE_BYTES, Rights::READ), Ok(0));
            scale.weigh("mappings");
        }
        let mut random = random();
        while !left.is_empty() {
            let address = address(left.swap_remove(random.random_range(0..left.len())));
            let unmap = Call::Unmap { target, address, length_bytes: PAGE_BYTES };
            assert_eq!(scale.machine.call(unmap), Ok(0));
            scale.weigh("mappings");
        }
    }
}

/// Pages of a segment, touched by many who may not write: each pays for its place in the segment's list.
#[test]
fn readers_pay_for_their_place_among_the_payers() {
    const READERS: u64 = 600;
    for order in ORDERS {
        let mut scale = Scale::new();
        let segment = scale.machine.segment(READERS * PAGE_BYTES, 1);
        let read = Call::CapabilityDerive { handle: segment, rights: Rights::READ, badge: 0 };
        let read = scale.machine.make(read);
        let mut accounts = Vec::new();
        for _ in 0..READERS {
            accounts.push(scale.machine.make(Call::AccountCreate { account: scale.machine.account, bytes: 1 << 15 }));
        }
        let handles: Vec<Handle> =
            accounts.iter().map(|account| scale.machine.make(Call::SpaceCreate { account: *account })).collect();
        let spaces: Vec<_> = handles.iter().map(|handle| scale.machine.space_id(*handle)).collect();
        for handle in &handles {
            let length_bytes = READERS * PAGE_BYTES;
            assert_eq!(scale.machine.map(*handle, read, 0, TOP_SLOT_BYTES, length_bytes, Rights::READ), Ok(0));
        }
        let used = |scale: &Scale| {
            let accounts = scale.machine.kernel.accounts.ids().map(|id| &scale.machine.kernel.accounts[id]);
            let split_off = accounts.filter(|account| account.parent.is_some());
            split_off.map(|account| account.used_bytes() as i64).sum::<i64>()
        };
        scale.begin();
        let (before, free) = (used(&scale), scale.machine.kernel.frames.free_frames());
        let heap_before = TAKEN_BYTES.get();
        for number in 0..READERS {
            let reader = order(number, READERS);
            let address = VirtAddr::new(TOP_SLOT_BYTES + number * PAGE_BYTES);
            let found = fault::handle_fault(&mut scale.machine.kernel, spaces[reader as usize], address, Access::Read);
            assert!(found.is_ok(), "{found:?}");
            drop(tlb::take_events());
            let frames = free - scale.machine.kernel.frames.free_frames();
            let paid = used(&scale) - before - (frames * PAGE_BYTES) as i64;
            // The segment has paid for its first node and for two page lists.
            let heap = TAKEN_BYTES.get() - heap_before - 2 * PAGE_BYTES as i64 - 1024;
            assert!(heap <= paid, "{heap} bytes of heap for {paid} bytes charged");
        }
        check::check(&scale.machine.kernel);
    }
}

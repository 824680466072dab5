//! The kernel's state as a whole, and the rules that hold between objects: what refers to what, and what goes
//! when nothing refers to it any more.

use alloc::vec::Vec;

use tessera_abi::{Rights, TOP_SLOTS};
use tessera_arch::BootInfo;

use crate::cpu::per_cpu::Shared;
use crate::cpu::tags::TagAllocator;
use crate::mem::FrameAllocator;
use crate::object::account::{Account, frame_bytes, object_bytes};
use crate::object::cap_table::CapTable;
use crate::object::doomed::{Debt, Debts};
use crate::object::gate::{GATE_SHARE_BYTES, Gate};
use crate::object::guest::{GUEST_SHARE_BYTES, Guest};
use crate::object::id::{GateId, SpaceId, ThreadId};
use crate::object::neighbour::Neighbour;
use crate::object::segment::Segment;
use crate::object::space::{Space, ViewOf};
use crate::object::store::Store;
use crate::object::subtree::{Public, Subtree};
use crate::object::thread::{THREAD_BYTES, Thread};
use crate::object::use_pool::UsePool;
use crate::state::scheduler::Scheduler;
use crate::state::self_check::SelfCheck;

/// Everything the kernel knows, behind one lock.
///
/// "For a Microkernel, a Big Lock Is Fine" (Peters, Danis, Elphinstone, Heiser; APSys 2015): calls are short,
/// and the paths that matter most take no lock at all (`kernel/cpu/switch.rs`).
pub struct Kernel {
    /// Free memory.
    pub frames: FrameAllocator,
    /// What is being taken apart, and whether there is more.
    pub debts: Debts,
    /// What is to be taken apart that no thread owes.
    pub unowed: Debt,
    /// The thread that owes what this entry dooms, if the one that came in ends: the first of those who waited for its end.
    pub heir: Option<ThreadId>,
    /// Accounts.
    pub accounts: Store<Account>,
    /// Spaces.
    pub spaces: Store<Space>,
    /// Subtrees.
    pub subtrees: Store<Subtree>,
    /// The subtrees among them that are public, or on the way.
    pub public: Vec<Public>,
    /// Whether one of them is on the way: then there are slots that no table shows to be taken.
    pub is_publishing: bool,
    /// Segments.
    pub segments: Store<Segment>,
    /// Threads.
    pub threads: Store<Thread>,
    /// Capability tables.
    pub tables: Store<CapTable>,
    /// Gates.
    pub gates: Store<Gate>,
    /// Guests.
    pub guests: Store<Guest>,
    /// How many of them run that are to come out at some time, so that the timer asks about that only if there are any.
    pub guests_until: u32,
    /// A stack of a gate that is kept for the thread that is being seen to: it has waited for it.
    pub reserved_stack: Option<(GateId, u32)>,
    /// How many subtrees have a handler.
    pub subtree_handlers: u32,
    /// What was lent through capabilities, and where those of each object are listed.
    pub uses: UsePool,
    /// Where those to the machine are.
    pub machine_list: Neighbour,
    /// Who runs next.
    pub scheduler: Scheduler,
    /// TLB tags.
    pub tags: TagAllocator,
    /// What CPUs read without the lock.
    pub shared: &'static Shared,
    /// CPUs that run.
    pub cpus: usize,
    /// How far the check of everything against everything has come.
    pub self_check: SelfCheck,
    /// The machine.
    pub boot_info: &'static BootInfo,
}

// SAFETY: all that keeps it from being `Send` are the counts of nodes that maps of pages share, which are not atomic. Maps that
// share nodes are all in one kernel: none is ever taken out of it, and whoever reaches them holds the lock around it.
#[expect(unsafe_code, reason = "maps of pages share nodes")]
unsafe impl Send for Kernel {}

impl Kernel {
    /// The kernel of a machine with this free memory, tags of so many bits, and one CPU running so far.
    ///
    /// # Panics
    /// If there is too little memory to begin with.
    pub fn new(
        boot_info: &'static BootInfo,
        shared: &'static Shared,
        mut frames: FrameAllocator,
        tag_bits: u32,
    ) -> Kernel {
        let empty_root = crate::paging::page_table::new_table(&mut frames);
        tessera_arch::prepare_root(empty_root);
        shared.empty_root.store(empty_root.to_word(), core::sync::atomic::Ordering::Relaxed);
        let no_ground = crate::paging::page_table::new_table(&mut frames);
        // Not present, and not what an entry is that is not present.
        tessera_arch::table(no_ground)[0].store(1 << 1, core::sync::atomic::Ordering::Relaxed);
        shared.no_ground.store(no_ground.to_word(), core::sync::atomic::Ordering::Relaxed);
        let memory_bytes = frame_bytes(frames.managed_frames());
        crate::mem::provide_list::<Public>(&mut frames, TOP_SLOTS);
        // The tags that are taken, and those that a check has seen.
        (0..2).for_each(|_| crate::mem::provide_list::<u64>(&mut frames, TagAllocator::words(tag_bits)));
        let debts = Debts::new(&shared.debts);
        Kernel {
            // There are no more than slots, so publishing never allocates.
            public: Vec::with_capacity(TOP_SLOTS),
            is_publishing: false,
            tags: TagAllocator::new(tag_bits, boot_info.cpus),
            accounts: Store::for_memory(&mut frames, memory_bytes, object_bytes::<Account>(), debts),
            spaces: Store::for_memory(&mut frames, memory_bytes, Space::LEAST_BYTES, debts),
            subtrees: Store::for_memory(
                &mut frames,
                memory_bytes,
                object_bytes::<Subtree>() + Subtree::NEW_BYTES,
                debts,
            ),
            segments: Store::for_memory(
                &mut frames,
                memory_bytes,
                object_bytes::<Segment>() + Segment::region_bytes(1),
                debts,
            ),
            threads: Store::for_memory(&mut frames, memory_bytes, THREAD_BYTES, debts),
            tables: Store::for_memory(
                &mut frames,
                memory_bytes,
                object_bytes::<CapTable>() + CapTable::slot_bytes(1),
                debts,
            ),
            gates: Store::for_memory(&mut frames, memory_bytes, GATE_SHARE_BYTES, debts),
            guests: Store::for_memory(&mut frames, memory_bytes, GUEST_SHARE_BYTES, debts),
            guests_until: 0,
            reserved_stack: None,
            subtree_handlers: 0,
            uses: UsePool::for_memory(&mut frames, memory_bytes),
            machine_list: Neighbour::NOBODY,
            scheduler: Scheduler::new(&mut frames, shared, boot_info.cpus),
            debts,
            unowed: Debt::NONE,
            heir: None,
            frames,
            shared,
            cpus: 1,
            self_check: SelfCheck::default(),
            boot_info,
        }
    }

    /// CPUs that run.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// The space whose map is seen in a space, and within which bounds: its own, unless it is a view.
    pub fn seen_in(&self, space: SpaceId) -> ViewOf {
        self.spaces[space].seen.unwrap_or(ViewOf { base: space, bounds: Rights::ACCESS })
    }
}

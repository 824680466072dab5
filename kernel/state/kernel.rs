//! The kernel's state as a whole, and the rules that hold between objects: what refers to what, and what goes
//! when nothing refers to it any more.

use alloc::vec::Vec;

use tessera_abi::{Error, Handle, Rights, TOP_SLOTS};
use tessera_arch::BootInfo;

use crate::cpu::per_cpu::Shared;
use crate::cpu::tags::TagAllocator;
use crate::mem::FrameAllocator;
use crate::object::account::{Account, frame_bytes, object_bytes};
use crate::object::cap_table::CapTable;
use crate::object::derivation;
use crate::object::id::{CapId, Id, ObjectRef};
use crate::object::segment::Segment;
use crate::object::space::{Seen, Space};
use crate::object::store::Store;
use crate::object::subtree::{Public, Subtree};
use crate::object::thread::{THREAD_BYTES, Thread};
use crate::sched::ending;
use crate::state::scheduler::Scheduler;
use crate::vm::map;

/// Frames that user programs never get, so that the kernel can go on when they have taken all others.
pub const RESERVE_FRAMES: u64 = 64;

/// Everything the kernel knows, behind one lock.
///
/// "For a Microkernel, a Big Lock Is Fine" (Peters, Danis, Elphinstone, Heiser; APSys 2015): calls are short,
/// and the paths that matter most take no lock at all (`fast`).
pub struct Kernel {
    /// Free memory.
    pub frames: FrameAllocator,
    /// Accounts.
    pub accounts: Store<Account>,
    /// Spaces.
    pub spaces: Store<Space>,
    /// Subtrees.
    pub subtrees: Store<Subtree>,
    /// The subtrees among them that are public.
    pub public: Vec<Public>,
    /// Segments.
    pub segments: Store<Segment>,
    /// Threads.
    pub threads: Store<Thread>,
    /// Capability tables.
    pub tables: Store<CapTable>,
    /// Who runs next.
    pub scheduler: Scheduler,
    /// TLB tags.
    pub tags: TagAllocator,
    /// What CPUs read without the lock.
    pub shared: &'static Shared,
    /// CPUs that run.
    pub cpus: usize,
    /// The machine.
    pub boot_info: &'static BootInfo,
}

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
        let memory_bytes = frame_bytes(frames.managed_frames());
        crate::mem::provide_list::<Public>(&mut frames, TOP_SLOTS);
        // The tags that are taken, and those that a check has seen.
        (0..2).for_each(|_| crate::mem::provide_list::<u64>(&mut frames, TagAllocator::words(tag_bits)));
        Kernel {
            // There are no more than slots, so publishing never allocates.
            public: Vec::with_capacity(TOP_SLOTS),
            tags: TagAllocator::new(tag_bits),
            accounts: Store::for_memory(&mut frames, memory_bytes, object_bytes::<Account>()),
            spaces: Store::for_memory(&mut frames, memory_bytes, Space::LEAST_BYTES),
            subtrees: Store::for_memory(&mut frames, memory_bytes, object_bytes::<Subtree>() + Subtree::NEW_BYTES),
            segments: Store::for_memory(
                &mut frames,
                memory_bytes,
                object_bytes::<Segment>() + Segment::region_bytes(1),
            ),
            threads: Store::for_memory(&mut frames, memory_bytes, THREAD_BYTES),
            tables: Store::for_memory(&mut frames, memory_bytes, object_bytes::<CapTable>() + CapTable::slot_bytes(1)),
            scheduler: Scheduler::default(),
            frames,
            shared,
            cpus: 1,
            boot_info,
        }
    }

    /// CPUs that run.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// The space whose map is seen in a space, and within which bounds: its own, unless it is a view.
    pub fn seen_in(&self, space: Id<Space>) -> Seen {
        self.spaces[space].seen.unwrap_or(Seen { base: space, bounds: Rights::ACCESS })
    }

    /// Checks that so many frames can be had besides the reserve.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn ensure_frames(&self, count: u64) -> Result<(), Error> {
        let enough = count == 0 || self.frames.free_frames() >= count.saturating_add(RESERVE_FRAMES);
        if enough { Ok(()) } else { Err(Error::OutOfMemory) }
    }

    /// Notes one more reference to an object.
    pub fn retain(&mut self, object: ObjectRef) {
        match object {
            ObjectRef::Account(id) => self.accounts.retain(id),
            ObjectRef::Space(id) => self.spaces.retain(id),
            ObjectRef::Subtree(id) => self.subtrees.retain(id),
            ObjectRef::Segment(id) => self.segments.retain(id),
            ObjectRef::Thread(id) => self.threads.retain(id),
            ObjectRef::CapTable(id) => self.tables.retain(id),
            ObjectRef::Machine => {}
        }
    }

    /// Notes one reference less. What nothing refers to any more goes with the next [`Kernel::reap`].
    pub fn release(&mut self, object: ObjectRef) {
        match object {
            ObjectRef::Account(id) => self.accounts.release(id),
            ObjectRef::Space(id) => self.spaces.release(id),
            ObjectRef::Subtree(id) => self.subtrees.release(id),
            ObjectRef::Segment(id) => self.segments.release(id),
            ObjectRef::Thread(id) => self.threads.release(id),
            ObjectRef::CapTable(id) => self.tables.release(id),
            ObjectRef::Machine => {}
        }
    }

    /// How many references an object has.
    pub fn references(&self, object: ObjectRef) -> u32 {
        match object {
            ObjectRef::Account(id) => self.accounts.references(id),
            ObjectRef::Space(id) => self.spaces.references(id),
            ObjectRef::Subtree(id) => self.subtrees.references(id),
            ObjectRef::Segment(id) => self.segments.references(id),
            ObjectRef::Thread(id) => self.threads.references(id),
            ObjectRef::CapTable(id) => self.tables.references(id),
            ObjectRef::Machine => 1,
        }
    }

    /// Takes everything apart that nothing refers to. Taking one apart may doom others; they queue up in their
    /// stores, so the kernel stack stays flat however long the chain.
    #[inline(always)]
    pub fn reap(&mut self) {
        // After most traps there is nothing, and each pays for this look.
        let is_any_doomed = self.threads.has_doomed()
            | self.tables.has_doomed()
            | self.spaces.has_doomed()
            | self.subtrees.has_doomed()
            | self.segments.has_doomed()
            | self.accounts.has_doomed();
        if is_any_doomed {
            self.reap_doomed();
        }
    }

    #[inline(never)]
    fn reap_doomed(&mut self) {
        loop {
            if let Some(id) = self.threads.take_doomed() {
                ending::destroy_thread(self, id);
            } else if let Some(id) = self.tables.take_doomed() {
                self.empty_table(id);
                let table = self.tables.remove(id);
                let bytes = CapTable::slot_bytes(u64::from(table.slots()));
                self.credit_object::<CapTable>(table.account, bytes);
            } else if let Some(id) = self.spaces.take_doomed() {
                map::destroy_space(self, id);
            } else if let Some(id) = self.subtrees.take_doomed() {
                map::destroy_subtree(self, id);
            } else if let Some(id) = self.segments.take_doomed() {
                self.destroy_segment(id);
            } else if let Some(id) = self.accounts.take_doomed() {
                self.destroy_account(id);
            } else {
                return;
            }
        }
    }

    /// Gives a capability up.
    pub fn delete_capability(&mut self, cap: CapId) {
        let object = derivation::record(&self.tables, cap).object.expect("only capabilities that exist are deleted");
        derivation::remove(&mut self.tables, cap);
        self.release(object);
    }

    /// Gives all capabilities of a table up.
    pub fn empty_table(&mut self, table: Id<CapTable>) {
        let mut next = 0;
        while let Some(slot) = self.tables[table].next_used(next) {
            next = slot + 1;
            let parent = derivation::record(&self.tables, CapId { table, slot }).parent;
            if parent.is_none_or(|parent| parent.table != table) {
                self.delete_from_top(CapId { table, slot });
            }
        }
    }

    /// Gives a capability up, and what was derived from it and lies in the same table: parents before children, so
    /// that a child is handed on once and not by each of its ancestors.
    fn delete_from_top(&mut self, top: CapId) {
        let mut waiting = None;
        let mut at = Some(top.slot);
        while let Some(slot) = at {
            let cap = CapId { table: top.table, slot };
            let mut child = derivation::record(&self.tables, cap).first_child;
            while let Some(below) = child {
                if below.table == top.table {
                    waiting = Some(self.tables[top.table].chain(below.slot, waiting));
                }
                child = derivation::record(&self.tables, below).next_sibling;
            }
            self.delete_capability(cap);
            at = waiting;
            waiting = at.and_then(|slot| self.tables[top.table].unchain(slot));
        }
    }

    /// Puts the first capability to a new object, which has one reference, into a table.
    pub fn insert_first(&mut self, table: Id<CapTable>, object: ObjectRef) -> Handle {
        self.insert_with(table, object, Rights::all())
    }

    /// The same, with certain rights only.
    pub fn insert_with(&mut self, table: Id<CapTable>, object: ObjectRef, rights: Rights) -> Handle {
        let slot = self.tables[table].insert(object, rights, 0);
        self.tables[table].handle_of(slot)
    }

    /// Checks that an object of type `T`, plus `extra` bytes, can be charged, and that so many frames can be had.
    ///
    /// # Errors
    /// `AccountExhausted`, `OutOfMemory`.
    pub fn ensure_object<T>(&mut self, account: Id<Account>, extra: u64, frames: u64) -> Result<(), Error> {
        let bytes = object_bytes::<T>();
        self.accounts[account].ensure(bytes.saturating_add(extra))?;
        self.ensure_frames(frames)
    }

    /// Charges an object of type `T`, plus `extra` bytes, to an account.
    pub fn charge_object<T>(&mut self, account: Id<Account>, extra: u64) {
        let bytes = object_bytes::<T>() + extra;
        crate::object::account::open_charge(&mut self.accounts, account, bytes);
    }

    /// Undoes [`Kernel::charge_object`].
    pub fn credit_object<T>(&mut self, account: Id<Account>, extra: u64) {
        let bytes = object_bytes::<T>() + extra;
        crate::object::account::close_charge(&mut self.accounts, account, bytes);
    }

    /// Charges or credits what an object that exists costs more or less than before.
    pub fn settle(&mut self, account: Id<Account>, before_bytes: u64, after_bytes: u64) {
        if after_bytes >= before_bytes {
            self.accounts[account].charge(after_bytes - before_bytes);
        } else {
            self.accounts[account].credit(before_bytes - after_bytes);
        }
    }

    fn destroy_segment(&mut self, id: Id<Segment>) {
        let mut segment = self.segments.remove(id);
        segment.release_frames(&mut self.frames);
        self.credit_object::<Segment>(segment.account, segment.charged_bytes());
        for (account, bytes) in segment.charged_to_others() {
            crate::object::account::close_charge(&mut self.accounts, account, bytes);
        }
    }

    fn destroy_account(&mut self, id: Id<Account>) {
        let account = self.accounts.remove(id);
        if let Some(parent) = account.parent {
            self.credit_object::<Account>(parent, account.limit_bytes());
        }
    }
}

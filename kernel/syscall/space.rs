//! Calls on spaces: making, switching, telling about them, reading and writing their memory.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::SpaceInfo;
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, ObjectKind, PAGE_BYTES, Rights};
use tessera_arch::{Access, CallResult, Frame, UserPlace, VirtAddr};

use super::{Caller, Outcome, Result};
use crate::cpu::switch;
use crate::object::id::{ObjectRef, SpaceId};
use crate::object::space::Space;
use crate::paging::page_table;
use crate::sched::locking::{self, Entering};
use crate::sched::{enter, lock_path, locks, running};
use crate::state::charges::ensure_frames;
use crate::state::kernel::Kernel;
use crate::state::memory::reserve_heap;
use crate::vm::clone;
use crate::vm::public;
use crate::vm::shown_tables::{self, Count};
use crate::vm::user_copy::{self, Side};
use crate::vm::user_memory::{COPY_MAX_BYTES, UserSlice};

impl Caller<'_> {
    pub(super) fn space_create(&mut self, account: Handle) -> Result<u64> {
        self.create(account, None)
    }

    pub(super) fn space_create_local(&mut self, account: Handle, cpu: u64) -> Result<u64> {
        let cpu = self.running_cpu(cpu)?;
        self.create(account, Some(cpu))
    }

    fn create(&mut self, account: Handle, only_cpu: Option<usize>) -> Result<u64> {
        let payer_number = self.number_of(account, ObjectKind::Account, Rights::CHARGE)?;
        let own = self.table();
        let Kernel { accounts, tables, spaces, frames, .. } = &mut *self.kernel;
        spaces.ensure_room()?;
        let mut payer = accounts.open(payer_number).ok_or(Error::BadHandle)?;
        ensure_frames(frames, 1)?;
        tables.at(own).ensure_slot()?;
        reserve_heap(frames, 2)?;
        payer.try_charge_object::<Space>(Space::NEW_BYTES)?;
        let root = page_table::new_table(frames);
        let id = spaces.insert(Space::new(payer.id, root));
        public::show_public(self.kernel, root);
        self.kernel.shared.space_words(id.index()).initialise(root, only_cpu);
        let paid = (Rights::all(), Some(payer_number));
        Ok(self.kernel.insert_paid(own, ObjectRef::Space(id), paid).bits())
    }

    pub(super) fn space_clone(&mut self, account: Handle, space: Handle, flags: u64) -> Result<u64> {
        let payer_number = self.number_of(account, ObjectKind::Account, Rights::CHARGE)?;
        let source = self.space(space, Rights::INSPECT | Rights::MAP)?;
        let own = self.table();
        let payer = self.kernel.accounts.id_at(payer_number).ok_or(Error::BadHandle)?;
        let (is_frozen, is_kept) = clone_flags(flags)?;
        let plan = clone::plan(self.kernel, source, payer)?;
        plan.ensure_kept(is_kept)?;
        let Kernel { accounts, tables, spaces, frames, .. } = &mut *self.kernel;
        spaces.ensure_room()?;
        tables.at(own).ensure_slot()?;
        reserve_heap(frames, plan.heap_pages)?;
        ensure_frames(frames, 1)?;
        let mut payer = accounts.open(payer_number).ok_or(Error::BadHandle)?;
        payer.try_charge_object::<Space>(Space::NEW_BYTES + plan.extra_bytes)?;
        let root = page_table::new_table(frames);
        let space = Space::new(payer.id, root);
        public::show_public(self.kernel, root);
        let id = clone::clone(self.kernel, (source, &plan), space, is_frozen);
        let paid = (Rights::all(), Some(payer_number));
        Ok(self.kernel.insert_paid(own, ObjectRef::Space(id), paid).bits())
    }

    /// The common path of `space_switch`, taken when the space's tag must be renewed or flushed first, or locks are to be seen to.
    pub(super) fn space_switch(&mut self, space: Handle) -> Result<Outcome> {
        self.space_switch_until(space, u64::MAX)
    }

    pub(super) fn space_switch_until(&mut self, space: Handle, until_ns: u64) -> Result<Outcome> {
        let target = self.space(space, Rights::SWITCH)?;
        let registers = self.kernel.threads[self.thread].context.registers();
        let place = UserPlace {
            instruction_pointer: registers.instruction_pointer(),
            stack_pointer: registers.stack_pointer(),
        };
        if locks::concern(self.kernel, self.line, target) {
            return self.switch_with_locks((target, space), until_ns, place);
        }
        self.ensure_ground(target, place)?;
        let previous = self.line.entered_by.load(Relaxed);
        enter::enter_space(self.kernel, self.cpu, target.index(), space);
        Ok(Outcome::Done(previous))
    }

    /// The same where locks are to be seen to.
    #[inline(never)]
    fn switch_with_locks(
        &mut self,
        (space, by): (SpaceId, Handle),
        until_ns: u64,
        place: UserPlace,
    ) -> Result<Outcome> {
        let result = lock_path::switch(self.kernel, self.line, (space.index(), by), place);
        if result != CallResult::COMMON {
            return Ok(Outcome::Done(result.value));
        }
        self.ensure_ground(space, place)?;
        if locking::enter(self.kernel, self.cpu, self.thread, (space, by), until_ns)? == Entering::Waits {
            return Ok(Outcome::Unfinished);
        }
        let previous = self.line.entered_by.load(Relaxed);
        enter::go_to(self.kernel, self.cpu, space.index(), by);
        Ok(Outcome::Done(previous))
    }

    /// Checks that the thread can go on in a space where it is.
    fn ensure_ground(&self, space: SpaceId, place: UserPlace) -> Result<()> {
        let (from, to) = (self.root(self.here()), self.root(space));
        if !switch::is_ground_shared(from, to, place.instruction_pointer, place.stack_pointer) {
            return Err(Error::NotShared);
        }
        enter::ensure_enterable(self.kernel, self.cpu, space)
    }

    pub(super) fn space_jump(
        &mut self,
        space: Handle,
        instruction_pointer: u64,
        stack_pointer: u64,
        argument: u64,
    ) -> Result<Outcome> {
        let target = self.space(space, Rights::SWITCH)?;
        ensure_entry(instruction_pointer, stack_pointer)?;
        enter::ensure_enterable(self.kernel, self.cpu, target)?;
        if locks::concern(self.kernel, self.line, target)
            && locking::enter(self.kernel, self.cpu, self.thread, (target, space), u64::MAX)? == Entering::Waits
        {
            return Ok(Outcome::Unfinished);
        }
        let previous = self.line.entered_by.load(Relaxed);
        enter::go_to(self.kernel, self.cpu, target.index(), space);
        let registers = self.kernel.threads[self.thread].context.registers_mut();
        registers.set_entry(instruction_pointer, stack_pointer, [argument, previous]);
        Ok(Outcome::Unfinished)
    }

    pub(super) fn space_info(&mut self, space: Handle, buffer: u64) -> Result<Outcome> {
        let progress = self.progress(number::space_info);
        let id = self.space(space, Rights::INSPECT)?;
        // What has been counted so far lies in the buffer, where its end will be; nothing depends on it but the answer.
        let mut count = Count::default();
        if progress != 0 {
            let so_far: SpaceInfo = self.read(buffer)?;
            count = Count { tables: so_far.shared_table_bytes, within: so_far.mapped_bytes, subtree: so_far.mappings };
        }
        let kernel = &*self.kernel;
        let base = kernel.seen_in(id).base;
        if let Some(word) = shown_tables::count_further(kernel, base, base == id, progress, &mut count) {
            let Count { tables, within, subtree } = count;
            let so_far = SpaceInfo {
                shared_table_bytes: tables,
                mapped_bytes: within,
                mappings: subtree,
                ..SpaceInfo::default()
            };
            self.write(buffer, &so_far)?;
            return Ok(self.again(number::space_info, word));
        }
        let (space, words) = (&kernel.spaces[id], kernel.shared.space_words(id.index()));
        let (seen, public) = (kernel.seen_in(id), kernel.public.iter().filter(|public| public.is_shown()));
        let public_tables = public.map(|public| kernel.subtrees[public.subtree].map.tree.tables).sum::<u64>();
        let base_tables = if seen.base == id { 0 } else { kernel.spaces[seen.base].map.tree.tables - 1 };
        let shared_tables = count.tables.wrapping_add(public_tables + base_tables);
        let info = SpaceInfo {
            table_bytes: space.table_bytes(),
            shared_table_bytes: shared_tables.wrapping_mul(PAGE_BYTES),
            mapped_bytes: space.map.mapped_pages() * PAGE_BYTES,
            mappings: space.map.len() as u64,
            attachments: space.map.attachments(),
            tag: u64::from(words.tag().tag()),
            tag_generation: words.tag().generation(),
            threads: running::threads_in(kernel, id),
            holders: words.holders(),
            local_to: words.only_cpu().map_or(0, |cpu| cpu as u64 + 1),
            core_windows: space.map.core_windows(),
            views: space.views.len() as u64,
            view_of: space.seen.map_or(0, |seen| u64::from(seen.base.index()) + 1),
            bounds: u64::from(seen.bounds.bits()),
        };
        self.write(buffer, &info).map(|()| Outcome::Done(0))
    }

    pub(super) fn memory_read(
        &mut self,
        space: Handle,
        address: u64,
        buffer: u64,
        length_bytes: u64,
    ) -> Result<Outcome> {
        let space = self.space(space, Rights::INSPECT)?;
        let (theirs, ours) = self.both_sides(space, address, buffer, length_bytes)?;
        if length_bytes == 0 || user_copy::copy_within_page(self.kernel, &theirs, &ours) {
            return Ok(Outcome::Done(length_bytes));
        }
        let mut from = Side::new(self.kernel, theirs, Access::Read, Error::BadAddress);
        let mut to = Side::new(self.kernel, ours, Access::Write, Error::BadPointer);
        if !from.is_short() || !to.is_short() {
            return self.copy_by_steps(number::memory_read, from, to, length_bytes);
        }
        from.fault_in(self.kernel)?;
        to.fault_in(self.kernel)?;
        user_copy::copy_short(self.kernel, &mut from, &mut to).map(|()| Outcome::Done(length_bytes))
    }

    pub(super) fn memory_write(
        &mut self,
        space: Handle,
        address: u64,
        buffer: u64,
        length_bytes: u64,
    ) -> Result<Outcome> {
        let space = self.space(space, Rights::MAP)?;
        let (theirs, ours) = self.both_sides(space, address, buffer, length_bytes)?;
        if length_bytes == 0 || user_copy::copy_within_page(self.kernel, &ours, &theirs) {
            return Ok(Outcome::Done(length_bytes));
        }
        let mut from = Side::new(self.kernel, ours, Access::Read, Error::BadPointer);
        let mut to = Side::new(self.kernel, theirs, Access::Write, Error::BadAddress);
        if !from.is_short() || !to.is_short() {
            return self.copy_by_steps(number::memory_write, from, to, length_bytes);
        }
        to.fault_in(self.kernel)?;
        from.fault_in(self.kernel)?;
        user_copy::copy_short(self.kernel, &mut from, &mut to).map(|()| Outcome::Done(length_bytes))
    }

    #[inline(never)]
    fn copy_by_steps(&mut self, call: u64, mut from: Side, mut to: Side, length_bytes: u64) -> Result<Outcome> {
        let progress = self.progress(call);
        let next = user_copy::copy_step(self.kernel, &mut from, &mut to, progress)?;
        Ok(next.map_or(Outcome::Done(length_bytes), |word| self.again(call, word)))
    }

    #[inline(always)]
    fn both_sides(
        &self,
        space: SpaceId,
        address: u64,
        buffer: u64,
        length_bytes: u64,
    ) -> Result<(UserSlice, UserSlice)> {
        if length_bytes > COPY_MAX_BYTES {
            return Err(Error::BadArgument);
        }
        let theirs = UserSlice::new(space, address, length_bytes).map_err(|_| Error::BadAddress)?;
        Ok((theirs, UserSlice::new(self.here(), buffer, length_bytes)?))
    }

    fn root(&self, space: SpaceId) -> Frame {
        self.kernel.shared.space_words(space.index()).root(self.cpu)
    }
}

/// Reads the flags of a clone: whether what it begins with is only read, and whether nothing of that may be such that it can be taken
/// back.
///
/// # Errors
/// `BadArgument` for any other.
pub(super) fn clone_flags(flags: u64) -> Result<(bool, bool)> {
    if flags <= 3 { Ok((flags & 1 != 0, flags & 2 != 0)) } else { Err(Error::BadArgument) }
}

/// Checks a place where a thread is to go on. A stack pointer may point behind the last byte of its stack.
///
/// # Errors
/// `BadAddress` if one of the two is no user address.
pub(super) fn ensure_entry(instruction_pointer: u64, stack_pointer: u64) -> Result<()> {
    let is_user = |address: u64| VirtAddr::new(address).is_user();
    if is_user(instruction_pointer) && is_user(stack_pointer.wrapping_sub(1)) { Ok(()) } else { Err(Error::BadAddress) }
}

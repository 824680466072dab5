//! The steps of a revocation: whatever one took back was to be taken back, and in the end all of it is gone.

use std::sync::atomic::Ordering::Relaxed;

use host_tests::machine::{CODE, UNFINISHED};
use proptest::prelude::*;
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Error};
use tessera_kernel::object::id::{ObjectRef, ThreadId};
use tessera_kernel::sched::running;
use tessera_kernel::vm::attach;
use tessera_kernel::vm::target;

use crate::acts::GIVEN_UP;
use crate::compare::{Described, Listed};
use crate::model::What;
use crate::scene::{LANDING, Scene, UnderWay};

impl Scene {
    /// Makes a thread do the next step of the revocation that it has begun.
    pub(crate) fn go_on(&mut self, actor: usize, runs: &[Option<ThreadId>]) -> Result<(), TestCaseError> {
        let under_way = self.actors[actor].under_way.clone().expect("it has begun");
        let (id, from) = (self.actors[actor].id, under_way.from);
        let result = self.make_step(id, under_way.call);
        self.follow_wanderers(runs);
        self.absorb(&under_way)?;
        if self.has_landed(id) {
            self.actors[actor].under_way = None;
        }
        let has_ended = self.actors[actor].has_ended;
        match result {
            _ if has_ended || self.actors[actor].under_way.is_none() => self.ensure_all_gone(&under_way)?,
            None => {}
            Some(Ok(value)) => {
                prop_assert_eq!(value, 0);
                self.actors[actor].under_way = None;
                self.ensure_all_gone(&under_way)?;
            }
            Some(Err(error)) => {
                prop_assert_eq!(error, GIVEN_UP);
                prop_assert!(self.model.nodes[from].is_gone, "the capability is there");
                self.actors[actor].under_way = None;
            }
        }
        Ok(())
    }

    /// Makes a call once; nothing if it is not finished: it has done a step or waits for something, or the thread goes on
    /// elsewhere, or nowhere.
    fn make_step(&mut self, id: ThreadId, call: Call) -> Option<Result<u64, Error>> {
        let (number, words) = call.encode();
        self.machine.step_words(number, words);
        let (status, value) = self.machine.kernel.threads.find(id)?.context.registers().result();
        ((status, value) != (0, UNFINISHED)).then(|| Error::from_status(status).map(|()| value))
    }

    fn ensure_all_gone(&self, under_way: &UnderWay) -> Result<(), TestCaseError> {
        let left = self.model.victims(under_way.from, under_way.badge);
        // With a badge, what was handed on or derived behind its back is left.
        let is_due = |victim: &usize| under_way.badge.is_none() || under_way.victims.contains(victim);
        let left: Vec<_> = left.into_iter().filter(is_due).map(|victim| self.model.nodes[victim]).collect();
        prop_assert!(left.is_empty(), "{:?} leaves {:?}", under_way, left);
        Ok(())
    }

    /// Whether a thread is where it falls back to; then it goes on as ever.
    pub(crate) fn has_landed(&mut self, id: ThreadId) -> bool {
        let Some(thread) = self.machine.kernel.threads.find(id) else { return false };
        let registers = thread.context.registers();
        let landed = registers.instruction_pointer() == LANDING && !thread.has_ended();
        if landed {
            let stack = registers.stack_pointer();
            let registers = self.machine.kernel.threads[id].context.registers_mut();
            registers.set_entry(CODE, stack, [0, 0]);
        }
        landed
    }

    /// Takes into the model what a step took back.
    fn absorb(&mut self, under_way: &UnderWay) -> Result<(), TestCaseError> {
        if self.model.nodes[under_way.from].is_gone {
            return Ok(());
        }
        let victims = self.model.victims(under_way.from, under_way.badge);
        // Threads first, which may land beside what goes as well.
        for victim in victims.iter().copied() {
            if let What::Inside { thread } = self.model.nodes[victim].what {
                self.absorb_thread(thread, victim, &victims)?;
            }
        }
        for victim in victims.iter().copied() {
            if !self.model.nodes[victim].is_gone && !self.is_there(victim) {
                self.model.remove(victim);
            }
        }
        for victim in victims.iter().map(|victim| self.model.nodes[*victim]).filter(|victim| victim.is_gone) {
            let What::View { view } = victim.what else { continue };
            let left = self.model.find(|node| node.object == ObjectRef::Space(view));
            prop_assert!(left.is_none(), "{:?} is left of {:?}", left.map(|left| self.model.nodes[left]), victim);
        }
        self.absorb_moves(&victims);
        Ok(())
    }

    fn absorb_thread(&mut self, thread: ThreadId, victim: usize, victims: &[usize]) -> Result<(), TestCaseError> {
        let kernel = &self.machine.kernel;
        let state = kernel.threads.find(thread).map(|found| found.state);
        let fallback = self.model.fallback(thread);
        if state.is_none_or(|state| state == ThreadState::Stopped) {
            let object = |node: usize| self.model.nodes[node].object;
            let is_lost =
                fallback.is_none_or(|fallback| victims.contains(&fallback) || object(fallback) == object(victim));
            let is_lost =
                is_lost || fallback.is_some_and(|node| victims.iter().any(|other| object(*other) == object(node)));
            prop_assert!(is_lost, "{:?} could have landed at {:?}", self.model.nodes[victim], fallback);
            self.model.end_thread(thread);
            self.note_ends(&[thread]);
            return Ok(());
        }
        let is_elsewhere =
            Some(running::space_of(kernel, thread).index()) != self.model.space_of(thread).map(|space| space.index());
        if is_elsewhere {
            let Some(fallback) = fallback else {
                return Err(TestCaseError::fail(format!(
                    "{thread:?} left {:?} for no fallback",
                    self.model.nodes[victim]
                )));
            };
            self.model.stand_beside(victim, fallback);
            prop_assert!(self.has_landed(thread), "a thread that was thrown out is at its fallback");
            if let Some(actor) = self.actors.iter_mut().find(|actor| actor.id == thread) {
                actor.under_way = None;
            }
        }
        Ok(())
    }

    /// Whether something that the model knows is there in the kernel; of a mapping, notes how much.
    fn is_there(&mut self, number: usize) -> bool {
        let node = self.model.nodes[number];
        let kernel = &self.machine.kernel;
        match node.what {
            What::Capability { table, handle, .. } => kernel.tables[self.tables[table]].slot_of(handle).is_ok(),
            What::Mapping { owner, first, pages, rights } => {
                let end = first + pages;
                let Some((found, mapping)) = target::map_of(kernel, owner).find(end - 1) else { return false };
                let (first, pages) = (found.max(first), (found + mapping.pages).min(end) - found.max(first));
                self.model.nodes[number].what = What::Mapping { owner, first, pages, rights };
                true
            }
            What::Attachment { owner, place } => attach::attachment_at(kernel, owner, place).is_some(),
            What::View { view } => kernel.spaces.find(view).is_some_and(|view| view.lent.is_some()),
            What::Inside { .. } => true,
            What::Fallback { thread } => kernel.threads.find(thread).is_some_and(|thread| thread.fallback.is_some()),
        }
    }

    /// What is to be taken back may be moved meanwhile: the caller's own way in, and views of views.
    fn absorb_moves(&mut self, victims: &[usize]) {
        let listed = self.listed();
        for victim in victims.iter().copied() {
            let described = self.described(victim);
            if self.model.nodes[victim].is_gone || !matches!(described, Described::Inside(_) | Described::View(_)) {
                continue;
            }
            let Some(&Listed { object, parent, badge }) = listed.get(&described) else { continue };
            let parent = parent.and_then(|(table, slot)| self.at_slot(table, slot));
            // Of a thread that runs the list may say where it was earlier.
            let is_followed = |thread| self.runs(thread) && !self.is_noted(thread);
            if matches!(self.model.nodes[victim].what, What::Inside { thread } if is_followed(thread)) {
                continue;
            }
            let node = &mut self.model.nodes[victim];
            (node.object, node.parent, node.badge) = (object, parent, badge);
        }
    }

    /// Whether the kernel has noted where a thread that runs is, and by which capability.
    fn is_noted(&self, id: ThreadId) -> bool {
        let kernel = &self.machine.kernel;
        let thread = &kernel.threads[id];
        let entered_by = kernel.shared.cpus[thread.cpu()].entered_by.load(Relaxed);
        thread.space == running::space_of(kernel, id) && thread.entered_by.bits() == entered_by
    }

    /// The model's node of a capability in a slot.
    fn at_slot(&self, table: u32, slot: u32) -> Option<usize> {
        self.model.find(|node| match node.what {
            What::Capability { table: t, handle, .. } => (self.tables[t].index(), handle.slot()) == (table, slot),
            _ => false,
        })
    }
}

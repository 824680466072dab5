//! A worker: does random things until its time is up, and checks what it sees.

use crate::guest::Guest;
use crate::loans::{Lender, lend_and_take_back};
use crate::locks::Locks;
use crate::memory::Memory;
use crate::territory::{Fact, PAGES, Territory, count_wrong};
use crate::world::{Attached, SHARED, WINDOW, World, change};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use demonstration::Random;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Space, Subtree, clock, program, thread};
use rt::println;

/// Where the workers' pages are in the space that they share.
const COMMON: u64 = 0x1300_0000_0000;

const WORLDS: u64 = 4;
const MEMORIES: u64 = 6;

/// A worker stops looking when it has found so many things wrong: one is enough to fail.
const WRONG_MAX: u64 = 10;

/// What all workers share.
pub(crate) struct Commons {
    space: Cap<Space>,
    subtree: Cap<Subtree>,
    pub(crate) lender: Arc<Lender>,
    pub(crate) locks: Arc<Locks>,
}

impl Commons {
    /// A space and a subtree that is attached to it, a lender, and a segment with a lock.
    pub(crate) fn new() -> Result<Commons, Error> {
        let (space, subtree) = (program().new_space()?, Subtree::new(program().account())?);
        space.attach(SHARED, &subtree, Rights::READ_WRITE)?;
        Ok(Commons { space, subtree, lender: Arc::new(Lender::new()?), locks: Arc::new(Locks::new()?) })
    }
}

/// One worker and all that it has.
pub(crate) struct Worker {
    number: u64,
    /// The CPU it stays on, if it does.
    cpu: Option<u64>,
    cpus: u64,
    random: Random,
    serial: u64,
    memories: Vec<Memory>,
    worlds: Vec<World>,
    common_space: Cap<Space>,
    common_land: Territory<Space>,
    shared: Cap<Subtree>,
    shared_land: Territory<Subtree>,
    window: Cap<Subtree>,
    window_land: Territory<Subtree>,
    lender: Arc<Lender>,
    locks: Arc<Locks>,
    guest: Guest,
    doing: &'static str,
}

impl Worker {
    /// A worker with nothing mapped yet.
    pub(crate) fn new(number: u64, cpu: Option<u64>, cpus: u64, seed: u64, commons: &Commons) -> Result<Worker, Error> {
        let area = number * PAGES as u64 * PAGE_BYTES;
        let window = Subtree::new(program().account())?;
        let common_land = Territory::new(commons.space.derive(Rights::MAP, 0)?, COMMON + area, COMMON + area);
        let from = PAGE_BYTES + area;
        let shared_land = Territory::new(commons.subtree.derive(Rights::MAP, 0)?, from, SHARED + from);
        let window_land = Territory::new(window.derive(Rights::MAP, 0)?, PAGE_BYTES, WINDOW + PAGE_BYTES);
        Ok(Worker {
            number,
            cpu,
            cpus,
            random: Random::new(seed * 100 + number + 1),
            serial: 0,
            memories: Vec::new(),
            worlds: Vec::new(),
            common_space: commons.space.derive(Rights::SWITCH | Rights::INSPECT, 0)?,
            common_land,
            shared: commons.subtree.derive(Rights::ACCESS, 0)?,
            shared_land,
            window,
            window_land,
            lender: Arc::clone(&commons.lender),
            locks: Arc::clone(&commons.locks),
            guest: Guest::new(cpu),
            doing: "at the beginning",
        })
    }

    /// Works until the end; gives how much was wrong, or what was refused while it did what.
    pub(crate) fn work(&mut self, end: Duration, done: &AtomicU64) -> Result<u64, (&'static str, Error)> {
        self.until(end, done).map_err(|error| (self.doing, error))
    }

    fn until(&mut self, end: Duration, done: &AtomicU64) -> Result<u64, Error> {
        let mut wrong = 0;
        while clock::now() < end && wrong < WRONG_MAX {
            let found = self.step()?;
            if found != 0 {
                println!("stress: worker {} found {found} pages wrong, {}", self.number, self.doing);
            }
            wrong += found;
            done.fetch_add(1, Ordering::Relaxed);
        }
        self.doing = "at the end";
        wrong += self.look_at_commons()?;
        for index in 0..self.worlds.len() {
            wrong += self.look_at(index)?;
        }
        self.common_land.clear()?;
        self.shared_land.clear()?;
        self.worlds.clear();
        Ok(wrong)
    }

    /// Does one random thing; gives how much was wrong.
    fn step(&mut self) -> Result<u64, Error> {
        if self.memories.is_empty() || (self.memories.len() as u64) < MEMORIES && self.random.below(4) == 0 {
            return self.make_memory();
        }
        if self.worlds.is_empty() || (self.worlds.len() as u64) < WORLDS && self.random.below(8) == 0 {
            return self.make_world();
        }
        let index = self.random.below(self.worlds.len() as u64) as usize;
        match self.random.below(100) {
            0..=24 => self.change_something(index),
            25..=49 => self.look_at(index),
            50..=63 => self.look_at_commons(),
            64..=67 => self.move_window(index),
            68..=70 => self.look_from_a_thread(index),
            71..=73 => self.forget_memory(),
            74..=75 => self.destroy_world(index),
            76 => self.destroy_under_a_thread(index),
            77..=82 => self.lend(index),
            83..=87 => self.borrow(index),
            88..=90 => self.clone_world(index),
            91..=95 => self.visit_locks(),
            96..=97 => self.end_somebody(),
            _ => self.rest(),
        }
    }

    fn make_memory(&mut self) -> Result<u64, Error> {
        self.doing = "making memory";
        self.serial += 1;
        self.memories.push(Memory::new(self.number, self.serial, &mut self.random)?);
        Ok(0)
    }

    fn forget_memory(&mut self) -> Result<u64, Error> {
        self.doing = "giving memory up";
        let index = self.random.below(self.memories.len() as u64) as usize;
        // What is mapped of it stays as long as it is mapped.
        drop(self.memories.swap_remove(index));
        Ok(0)
    }

    fn make_world(&mut self) -> Result<u64, Error> {
        self.doing = "making a space";
        let local_to = self.cpu.filter(|_| self.random.below(3) == 0);
        self.worlds.push(World::new(&self.shared, local_to)?);
        Ok(0)
    }

    fn destroy_world(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "destroying a space";
        drop(self.worlds.swap_remove(index));
        Ok(0)
    }

    fn destroy_under_a_thread(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "destroying a space under a thread";
        let was_stopped = self.worlds.swap_remove(index).destroy_under_a_thread()?;
        Ok(u64::from(!was_stopped))
    }

    fn change_something(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "changing mappings";
        let memory = &self.memories[self.random.below(self.memories.len() as u64) as usize];
        match self.random.below(4) {
            0 => change(&mut self.common_land, memory, &mut self.random),
            1 => change(&mut self.shared_land, memory, &mut self.random),
            2 => change(&mut self.window_land, memory, &mut self.random),
            _ => self.worlds[index].change(memory, &mut self.random),
        }?;
        Ok(0)
    }

    /// Attaches the worker's own subtree to a space, for all CPUs or as a core window, or takes it out.
    fn move_window(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "moving a window";
        if let Some(world) = self.worlds.iter_mut().find(|world| world.window.is_some()) {
            return world.detach().map(|()| 0);
        }
        let how = match self.random.below(2) {
            0 => Attached::Everywhere,
            _ => Attached::On(self.cpu.unwrap_or(self.random.below(self.cpus))),
        };
        let world = &mut self.worlds[index];
        match how {
            Attached::Everywhere => world.space.attach(WINDOW, &self.window, Rights::READ_WRITE)?,
            Attached::On(cpu) => world.space.attach_core(WINDOW, &self.window, Rights::READ_WRITE, cpu)?,
        }
        world.window = Some(how);
        Ok(0)
    }

    /// What a thread on the given CPU (`None`: on any) must find in a space.
    fn facts(&self, world: &World, cpu: Option<u64>) -> Result<Vec<Fact>, Error> {
        let mut facts = world.facts()?;
        facts.extend(self.shared_land.facts()?);
        let is_seen = match world.window {
            Some(Attached::Everywhere) => true,
            Some(Attached::On(there)) => cpu == Some(there),
            None => false,
        };
        if is_seen {
            facts.extend(self.window_land.facts()?);
        }
        Ok(facts)
    }

    fn look_at(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "looking at a space";
        let (world, stamp) = (&self.worlds[index], self.random.next());
        let facts = self.facts(world, self.cpu)?;
        world.space.enter(|| count_wrong(&facts, stamp))
    }

    fn look_from_a_thread(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "looking at a space from another thread";
        let (world, stamp) = (&self.worlds[index], self.random.next());
        let cpu = self.cpu.filter(|_| world.is_local);
        world.look_from_a_thread(self.facts(world, cpu)?, stamp)
    }

    fn look_at_commons(&mut self) -> Result<u64, Error> {
        self.doing = "looking at the space that all share";
        let mut facts = self.common_land.facts()?;
        facts.extend(self.shared_land.facts()?);
        let stamp = self.random.next();
        self.common_space.enter(|| {
            let wrong = count_wrong(&facts, stamp);
            // Others run in the space meanwhile, and change it.
            thread::yield_now();
            wrong + count_wrong(&facts, stamp + 1)
        })
    }

    fn lend(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "lending and taking back";
        let memory = &self.memories[self.random.below(self.memories.len() as u64) as usize];
        lend_and_take_back(memory, &self.worlds[index], &mut self.guest, &mut self.random)
    }

    fn borrow(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "borrowing from the lender that all know";
        self.lender.borrow_and_take_back(self.number, &self.worlds[index].space, &mut self.random)
    }

    fn clone_world(&mut self, index: usize) -> Result<u64, Error> {
        self.doing = "cloning a space";
        let (world, stamp) = (&self.worlds[index], self.random.next());
        let facts = self.facts(world, self.cpu)?;
        world.clone_and_compare(&facts, stamp, &mut self.random)
    }

    fn visit_locks(&mut self) -> Result<u64, Error> {
        self.doing = "visiting a space with a lock";
        self.locks.visit(&mut self.random)
    }

    fn end_somebody(&mut self) -> Result<u64, Error> {
        self.doing = "ending a thread that visits a space with a lock";
        self.locks.end_somebody(self.number, &mut self.random)
    }

    fn rest(&mut self) -> Result<u64, Error> {
        self.doing = "resting";
        clock::sleep(Duration::from_micros(self.random.below(300)));
        Ok(0)
    }
}

//! Translations, the CPUs that may hold them, and who changes them.
//!
//! Two spaces see entries of page tables at up to two places each. An entry is old until it is changed. A CPU caches
//! an entry when it uses it and goes by what it has cached until it flushes that. What a CPU does here is what
//! `switch`, `enter` and `flush` do around the handshake, in as few words.

use std::sync::Arc;

use loom::sync::Notify;

use crate::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::handshake::{NO_SPACE, Pass, Presence, Request};

/// One space.
pub const S: usize = 0;
/// The other.
pub const T: usize = 1;
const SPACES: usize = 2;
const PLACES: usize = 2;

const OLD: u64 = 1;
const NEW: u64 = 2;
const TAG: u16 = 3;

/// Which entry each space sees at each place.
pub type Layout = [[Option<usize>; PLACES]; SPACES];

/// One entry, seen by S alone.
pub const ALONE: Layout = [[Some(0), None], [None, None]];
/// One entry, seen by both spaces.
pub const SHARED: Layout = [[Some(0), None], [Some(0), None]];
/// One entry, seen by S twice.
pub const TWICE: Layout = [[Some(0), Some(0)], [None, None]];
/// Two entries, seen by S at one place each.
pub const TWO: Layout = [[Some(0), Some(1)], [None, None]];
/// An entry for each space.
pub const APART: Layout = [[Some(0), None], [Some(1), None]];

/// What CPUs share.
#[derive(Debug)]
pub struct World {
    layout: Layout,
    passes: Vec<[Pass; SPACES]>,
    lines: Vec<Presence>,
    entries: [AtomicU64; SPACES],
    /// The entries whose change is complete, a bit each: their old meaning may have been reused.
    complete: AtomicU32,
    /// The roots that are gone, a bit each.
    gone: AtomicU32,
    /// The kernel's lock.
    lock: AtomicBool,
    /// Requests made, requests served.
    requests: [AtomicU32; 2],
    /// Wake CPUs that have nothing to do but to take interrupts.
    bells: Vec<Notify>,
}

impl World {
    /// So many CPUs, all of which have been in both spaces.
    pub fn new(cpus: usize, layout: Layout) -> Arc<World> {
        let passes = || {
            let pass = |space: usize| {
                let pass = Pass::new();
                pass.reset(root_of(space));
                pass.make_good(root_of(space));
                pass
            };
            [pass(S), pass(T)]
        };
        Arc::new(World {
            layout,
            passes: (0..cpus).map(|_| passes()).collect(),
            lines: (0..cpus).map(|_| Presence::new()).collect(),
            entries: [AtomicU64::new(OLD), AtomicU64::new(OLD)],
            complete: AtomicU32::new(0),
            gone: AtomicU32::new(0),
            lock: AtomicBool::new(false),
            requests: [AtomicU32::new(0), AtomicU32::new(0)],
            bells: (0..cpus).map(|_| Notify::new()).collect(),
        })
    }

    fn ask(&self, cpu: usize, request: Request) {
        while !self.lines[cpu].is_acknowledged() {
            loom::thread::yield_now();
        }
        self.requests[0].fetch_add(1, Ordering::Relaxed);
        self.lines[cpu].post(request);
        self.bells[cpu].notify();
    }

    fn await_acknowledgements(&self, asked: &[usize]) {
        for cpu in asked {
            while !self.lines[*cpu].is_acknowledged() {
                loom::thread::yield_now();
            }
        }
    }

    /// Under the lock: changes an entry and sees to all others that may hold it. `here`: the CPU that does it, which
    /// sees to itself.
    pub fn change(&self, entry: usize, mut here: Option<&mut Cpu>) {
        self.entries[entry].store(NEW, Ordering::Relaxed);
        let mut asked = Vec::new();
        let seen = |space: usize| (0..PLACES).filter(move |place| self.layout[space][*place] == Some(entry));
        let is_here = |here: &Option<&mut Cpu>, cpu: usize, space: usize| {
            here.as_ref().is_some_and(|this| this.index == cpu && this.space == space)
        };
        for space in (0..SPACES).filter(|space| seen(*space).next().is_some()) {
            for cpu in (0..self.lines.len()).filter(|cpu| !is_here(&here, *cpu, space)) {
                self.passes[cpu][space].make_stale();
            }
        }
        for cpu in 0..self.lines.len() {
            if let Some(this) = here.as_mut().filter(|this| this.index == cpu) {
                let space = this.space;
                seen(space).for_each(|place| this.held[space][place] = None);
                continue;
            }
            let [next, entered] = self.lines[cpu].places_after_change();
            let other = if entered == next { NO_SPACE } else { entered };
            for space in [next, other].into_iter().filter(|space| *space != NO_SPACE) {
                let Some(first) = seen(space as usize).next() else { continue };
                let count = seen(space as usize).count() as u64;
                self.ask(cpu, Request::Pages { space, tag: TAG, first: first as u64, count });
                asked.push(cpu);
            }
        }
        self.await_acknowledgements(&asked);
        self.complete.fetch_or(1 << entry, Ordering::Release);
    }

    /// Under the lock: takes a space away from all CPUs; then its root is gone.
    pub fn retire(&self, space: usize) {
        self.passes.iter().for_each(|passes| passes[space].reset(0));
        self.park_all_in(space);
        self.gone.fetch_or(1 << (root_of(space) >> 12), Ordering::Release);
    }

    /// Under the lock: gives a space another root, and makes CPUs leave the old one; then that is gone.
    pub fn move_root(&self, space: usize) {
        self.passes.iter().for_each(|passes| passes[space].redirect(root_of(space) + (64 << 12)));
        self.park_all_in(space);
        self.gone.fetch_or(1 << (root_of(space) >> 12), Ordering::Release);
    }

    fn park_all_in(&self, space: usize) {
        for cpu in 0..self.lines.len() {
            if self.lines[cpu].is_in(space as u32) {
                self.ask(cpu, Request::Park);
                self.await_acknowledgements(&[cpu]);
            }
        }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> bool {
        self.lock.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Frees the lock.
    pub fn unlock(&self) {
        self.lock.store(false, Ordering::Release);
    }

    /// Somebody is done; who waits for that looks.
    pub fn finish(&self, done: &AtomicBool) {
        done.store(true, Ordering::Release);
        self.bells.iter().for_each(Notify::notify);
    }

    /// When all is over: every request was served, and once.
    pub fn check(&self) {
        let [made, served] = self.requests.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(made, served, "every request is served once");
    }
}

/// The root of a space, as the address of a page.
fn root_of(space: usize) -> u64 {
    (space as u64 + 1) << 12
}

/// One CPU.
#[derive(Debug)]
pub struct Cpu {
    world: Arc<World>,
    index: usize,
    space: usize,
    root: u64,
    held: [[Option<u64>; PLACES]; SPACES],
}

impl Cpu {
    /// A CPU in a space, which holds all that there was.
    pub fn new(world: &Arc<World>, index: usize, space: usize) -> Cpu {
        world.lines[index].stay(space as u32);
        let held = world.layout.map(|places| places.map(|entry| entry.map(|_| OLD)));
        Cpu { world: world.clone(), index, space, root: root_of(space), held }
    }

    /// Uses all translations of the space it is in.
    pub fn touch(&mut self) {
        if self.space == NO_SPACE as usize {
            return;
        }
        let world = self.world.clone();
        let gone = world.gone.load(Ordering::Acquire);
        let number = self.root >> 12;
        assert!(number >= 64 || gone & 1 << number == 0, "the root is in use that is gone");
        for (place, entry) in world.layout[self.space].iter().enumerate() {
            let Some(entry) = *entry else { continue };
            let complete = world.complete.load(Ordering::Acquire) & 1 << entry != 0;
            let held = &mut self.held[self.space][place];
            let value = *held.get_or_insert_with(|| world.entries[entry].load(Ordering::Relaxed));
            assert!(!complete || value == NEW, "a stale translation is used after the change was complete");
        }
    }

    /// Tries to switch by the fast path; gives whether that did it.
    pub fn switch_fast(&mut self, space: usize) -> bool {
        let world = self.world.clone();
        let way = &world.passes[self.index][space];
        let pass = way.read();
        if !pass.is_good() || !world.lines[self.index].enter(space as u32, way, pass) {
            return false;
        }
        (self.space, self.root) = (space, pass.root());
        true
    }

    /// Switches, by the common path if need be.
    pub fn switch(&mut self, space: usize) {
        if !self.switch_fast(space) {
            self.lock();
            self.enter(space);
            self.world.unlock();
        }
    }

    /// Waits for the lock, serving meanwhile.
    pub fn lock(&mut self) {
        while !self.world.clone().try_lock() {
            self.serve();
            loom::thread::yield_now();
        }
    }

    /// Under the lock: enters a space, unless it is gone.
    fn enter(&mut self, space: usize) {
        let world = self.world.clone();
        let way = &world.passes[self.index][space];
        let pass = way.read();
        if pass.root() == 0 {
            return;
        }
        world.lines[self.index].enter(space as u32, way, pass);
        way.make_good(pass.root());
        if !pass.is_good() {
            self.held[space] = [None; PLACES];
        }
        (self.space, self.root) = (space, pass.root());
    }

    /// Takes an interrupt, if there is one.
    pub fn serve(&mut self) {
        let world = self.world.clone();
        let line = &world.lines[self.index];
        line.handle_request(|request| {
            world.requests[1].fetch_add(1, Ordering::Relaxed);
            match request {
                Request::Pages { space, first, count, .. } => {
                    let held = &mut self.held[space as usize][first as usize..(first + count) as usize];
                    line.invalidate(space, &world.passes[self.index][space as usize], false, || held.fill(None));
                }
                // Nothing here is public.
                Request::Global { .. } => {}
                Request::Park => {
                    line.stay(NO_SPACE);
                    self.space = NO_SPACE as usize;
                }
            }
        });
    }

    /// Takes interrupts until somebody else is done.
    pub fn serve_until(&mut self, done: &AtomicBool) {
        while !done.load(Ordering::Acquire) {
            self.serve();
            self.world.bells[self.index].wait();
        }
        self.serve();
    }
}

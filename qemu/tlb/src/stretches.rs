//! Stretches: how many instructions a CPU executes in the kernel in one go, with interrupts off.
//!
//! A stretch begins where a CPU comes into the kernel. It ends where the CPU goes back to a program or waits for an interrupt; and
//! where it takes those that are pending, for what comes then is the next stretch, of the same cause.
//!
//! A CPU that waits for another one goes round a loop that gives the hint for that. A short round is all waiting, from one hint to
//! the next; what takes longer is work, which was done in between. Waiting ends when the other CPU has done what it does, in a
//! stretch of its own, so stretches are compared without it.

mod decode;

pub use decode::{Edge, edge_arm, edge_x86};

use std::collections::BTreeMap;

/// What a stretch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The call of this number.
    Call(u64),
    /// An access that faulted.
    Fault,
    /// Any other way into the kernel: an interrupt, or an exception of another kind.
    Interrupt,
}

/// A stretch as far as it has come, or the longest of some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Instructions that were executed.
    pub instructions: u64,
    /// Those of them in loops that wait for another CPU.
    pub waiting: u64,
    /// Those since the last hint of such a loop, or since the stretch began.
    since_hint: u64,
}

/// Instructions of a round of waiting, at most: looking for the lock, at the clock, and doing what another CPU asks meanwhile, which
/// that one waits for. So less work than this between two waits is taken for waiting.
const ROUND_MOST: u64 = 200;

impl Stretch {
    /// Of so many instructions, of which so many waited.
    #[must_use]
    pub fn new(instructions: u64, waiting: u64) -> Stretch {
        Stretch { instructions, waiting, since_hint: 0 }
    }

    /// Instructions that did not wait.
    #[must_use]
    pub fn worked(&self) -> u64 {
        self.instructions - self.waiting
    }

    fn execute(&mut self, block: Block) {
        let count = u64::from(block.instructions);
        self.instructions += count;
        self.since_hint += count;
        if block.waits {
            // The first hint has none before it.
            let is_round = self.waiting != 0 && self.since_hint <= ROUND_MOST;
            self.waiting += if is_round { self.since_hint } else { count };
            self.since_hint = 0;
        }
    }
}

/// What is known of all stretches of one cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The longest.
    pub longest: Stretch,
    /// How many there were.
    pub count: u64,
}

/// Instructions that are executed one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whether they are the kernel's.
    pub is_kernel: bool,
    /// Whether they hold the hint that whoever waits for another CPU gives.
    pub waits: bool,
    /// How many there are.
    pub instructions: u32,
}

/// One CPU.
#[derive(Debug)]
struct Cpu {
    /// What tells it from others.
    identity: u64,
    /// The call that its program has just made.
    called: Option<u64>,
    current: Option<(Cause, Stretch)>,
}

/// All CPUs. Nothing counts before a program has made a call: the kernel comes up with interrupts off, and what runs before it
/// lies where programs do later.
#[derive(Debug, Default)]
pub struct Stretches {
    cpus: Vec<Cpu>,
    has_begun: bool,
    found: BTreeMap<Cause, Summary>,
}

impl Stretches {
    /// A CPU executes a block, as far as it knows.
    pub fn execute(&mut self, identity: u64, block: Block) {
        if !block.is_kernel {
            return self.leave(identity);
        }
        if !self.has_begun {
            return;
        }
        let cpu = self.cpu(identity);
        let cause = cpu.called.take().map_or(Cause::Interrupt, Cause::Call);
        let (_, stretch) = cpu.current.get_or_insert((cause, Stretch::default()));
        stretch.execute(block);
    }

    /// A CPU's program makes a call.
    pub fn call(&mut self, identity: u64, number: u64) {
        self.has_begun = true;
        self.cpu(identity).called = Some(number);
    }

    /// A CPU asks in the kernel where an access has faulted. The kernel asks for no call.
    pub fn fault(&mut self, identity: u64) {
        if let Some((cause @ Cause::Interrupt, _)) = &mut self.cpu(identity).current {
            *cause = Cause::Fault;
        }
    }

    /// A CPU takes in the kernel what interrupts are pending. So many instructions of the block that it executes come behind that.
    pub fn take_interrupts(&mut self, identity: u64, behind: u32) {
        self.split(identity, behind, |cause| cause);
    }

    /// A CPU waits for an interrupt in the kernel, likewise. What comes then has another cause.
    pub fn wait(&mut self, identity: u64, behind: u32) {
        self.split(identity, behind, |_| Cause::Interrupt);
    }

    /// A CPU goes back to a program. Where an interrupt is pending, that comes to nothing: it is in the kernel again.
    pub fn leave(&mut self, identity: u64) {
        let Some((cause, stretch)) = self.cpu(identity).current.take() else { return };
        let summary = self.found.entry(cause).or_default();
        summary.count += 1;
        if stretch.worked() > summary.longest.worked() {
            summary.longest = Stretch::new(stretch.instructions, stretch.waiting);
        }
    }

    /// The longest stretch of each cause, the longest first, with those that have ended.
    #[must_use]
    pub fn longest(&self) -> Vec<(Cause, Summary)> {
        let mut found: Vec<(Cause, Summary)> = self.found.iter().map(|(cause, summary)| (*cause, *summary)).collect();
        // Sorting is stable: of equal ones the first by cause comes first.
        found.sort_by_key(|(_, summary)| core::cmp::Reverse(summary.longest.worked()));
        found
    }

    fn split(&mut self, identity: u64, behind: u32, next: impl FnOnce(Cause) -> Cause) {
        let Some((cause, stretch)) = &mut self.cpu(identity).current else { return };
        let behind = u64::from(behind).min(stretch.worked());
        stretch.instructions -= behind;
        let rest = (next(*cause), Stretch::new(behind, 0));
        self.leave(identity);
        self.cpu(identity).current = Some(rest);
    }

    fn cpu(&mut self, identity: u64) -> &mut Cpu {
        let index = self.cpus.iter().position(|cpu| cpu.identity == identity).unwrap_or_else(|| {
            self.cpus.push(Cpu { identity, called: None, current: None });
            self.cpus.len() - 1
        });
        &mut self.cpus[index]
    }
}

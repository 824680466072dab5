//! What is known of the guest, and what its accesses lead to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tlb_model::checker::Checker;
use tlb_model::decode::{Architecture, Instruction};
use tlb_model::model::{Access, Costs, Figures, Invalidation, Model, Walk};
use tlb_model::walk::{ArmControl, Control, Path, Unreadable, X86Control};

use crate::arguments::Arguments;
use crate::memory::Memory;
use crate::output::Output;
use crate::registers::Registers;
use crate::stretches::Watch;

/// Pages whose translations were found true a moment ago, by CPU.
const RECENT: usize = 1024;
const PAGE_BITS: u32 = 12;
/// Of addresses that programs can use.
const USER_BITS: u32 = 48;

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Does something with the state.
pub(crate) fn with<R: Default>(act: impl FnOnce(&mut State) -> R) -> R {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.as_mut().map(act).unwrap_or_default()
}

/// One CPU.
pub(crate) struct Cpu {
    pub(crate) control: Control,
    is_user: bool,
    /// Counts what changes its translations but stores to tables.
    pub(crate) changes: u64,
    /// Page, changes, stores.
    recent: Vec<[u64; 3]>,
}

/// The model, and what it counted within the measured regions of a benchmark.
pub(crate) struct Counter {
    pub(crate) model: Model,
    pub(crate) costs: Costs,
    pub(crate) regions: u64,
    pub(crate) sum: Figures,
}

/// All of it.
pub(crate) struct State {
    pub(crate) architecture: Architecture,
    /// Of each CPU that the kernel has said it serves us on, in their order, what tells it from others.
    pub(crate) begun: Vec<u64>,
    /// The one that executes the block at hand. CPUs take turns, a block at least.
    pub(crate) current: Option<usize>,
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) registers: Registers,
    pub(crate) memory: Memory,
    pub(crate) checker: Option<Checker>,
    pub(crate) counter: Option<Counter>,
    /// If only this is watched.
    pub(crate) watch: Option<Watch>,
    pub(crate) output: Output,
    /// Instructions that change translations: what they are, where they lie, and where the next ones do.
    pub(crate) watched: Vec<(Instruction, u64, u64)>,
    numbers: HashMap<(u64, Instruction), usize>,
    /// Counts stores to tables.
    pub(crate) stores: u64,
}

impl State {
    pub(crate) fn new(architecture: Architecture, cpus: usize, arguments: Arguments) -> Result<State, String> {
        let control = match architecture {
            Architecture::X86 => Control::X86(X86Control::default()),
            Architecture::Arm => Control::Arm(ArmControl::default()),
        };
        let cpu = || Cpu { control, is_user: false, changes: 1, recent: vec![[0; 3]; RECENT] };
        Ok(State {
            architecture,
            begun: Vec::new(),
            current: None,
            cpus: (0..cpus).map(|_| cpu()).collect(),
            registers: Registers::default(),
            memory: Memory::default(),
            checker: arguments.checks.then(|| Checker::new(cpus, architecture == Architecture::Arm)),
            counter: arguments.profile.map(|profile| Counter {
                model: Model::new(&profile, cpus),
                costs: profile.costs,
                regions: 0,
                sum: Figures::default(),
            }),
            watch: arguments.stretches.then(|| Watch { is_alone: cpus == 1, ..Watch::default() }),
            output: Output::create(&arguments.out)?,
            watched: Vec::new(),
            numbers: HashMap::new(),
            stores: 0,
        })
    }

    pub(crate) fn install(self) {
        *STATE.lock().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    pub(crate) fn find_registers(&mut self) {
        self.registers = Registers::find(self.architecture);
    }

    pub(crate) fn end(&mut self) {
        if let Some(watch) = &self.watch {
            return self.output.stretches(&watch.stretches.longest());
        }
        self.output.end(!self.begun.is_empty(), self.checker.as_ref().map_or(0, Checker::confirmed));
    }

    /// The number of an instruction at a place; the same each time.
    pub(crate) fn number(&mut self, instruction: Instruction, pc: u64, next: u64) -> usize {
        *self.numbers.entry((pc, instruction)).or_insert_with(|| {
            self.watched.push((instruction, pc, next));
            self.watched.len() - 1
        })
    }

    /// A CPU comes to the beginning of a block.
    pub(crate) fn begin_block(&mut self, pc: u64) {
        let begun = &self.begun;
        let number_of = |identity| begun.iter().position(|known| *known == identity);
        self.current = self.registers.identities(!is_kernel(pc)).find_map(number_of);
    }

    /// A CPU goes on at another page, or at the beginning of a block.
    pub(crate) fn fetch(&mut self, pc: u64) {
        let Some(cpu) = self.current else { return };
        let is_user = !is_kernel(pc);
        if core::mem::replace(&mut self.cpus[cpu].is_user, is_user) != is_user
            && let Some(checker) = &mut self.checker
        {
            checker.execute(cpu, is_user);
        }
        self.access(Access::Fetch, pc, pc);
    }

    /// A CPU has accessed memory.
    pub(crate) fn access(&mut self, access: Access, address: u64, pc: u64) {
        let Some(cpu) = self.current.filter(|cpu| self.cpus[*cpu].control.is_on()) else { return };
        if access == Access::Store && is_kernel(pc) {
            self.store(cpu, address);
        }
        if let Some(counter) = &mut self.counter {
            let (control, memory, output) = (&self.cpus[cpu].control, &mut self.memory, &mut self.output);
            let walker = || walk(control, memory, output, address, pc).map_or_else(no_walk, |path| path.walk);
            counter.model.access(cpu, access, control.tag(), address, walker);
        }
        self.check(cpu, address, pc);
    }

    /// Has the checker compare what a CPU keeps for a user address with what is true. The kernel's half never changes.
    pub(crate) fn check(&mut self, cpu: usize, address: u64, pc: u64) {
        let Some(checker) = self.checker.as_mut().filter(|_| address >> USER_BITS == 0) else { return };
        let Cpu { control, changes, recent, .. } = &mut self.cpus[cpu];
        let page = address >> PAGE_BITS;
        let slot = &mut recent[page as usize % RECENT];
        let found_true = [page, *changes, self.stores];
        if *slot == found_true {
            return;
        }
        let Some(path) = walk(control, &mut self.memory, &mut self.output, address, pc) else { return };
        let output = &mut self.output;
        if !checker.access(cpu, address, &path, &mut |stale| output.stale(&stale, pc)) {
            *slot = found_true;
        }
    }

    /// The kernel stores, perhaps to a table.
    fn store(&mut self, cpu: usize, address: u64) {
        if let Some(place) = self.memory.table_at(address) {
            self.memory.forget(place);
            self.note_store(cpu, place);
        }
    }

    pub(crate) fn note_store(&mut self, cpu: usize, place: u64) {
        self.stores += 1;
        if let Some(checker) = &mut self.checker {
            checker.store(cpu, place);
        }
    }

    /// A CPU drops translations, its own or everybody's.
    pub(crate) fn invalidate(&mut self, cpu: usize, what: Invalidation, everywhere: bool) {
        for index in (0..self.cpus.len()).filter(|index| everywhere || *index == cpu) {
            self.cpus[index].changes += 1;
            if let Some(checker) = &mut self.checker {
                checker.invalidate(index, &what);
            }
        }
        match &mut self.counter {
            Some(counter) if everywhere => counter.model.broadcast(cpu, what),
            Some(counter) => counter.model.invalidate(cpu, what),
            None => {}
        }
    }
}

/// Whether an address is in the kernel's half, and so whether code there is the kernel's.
pub(crate) fn is_kernel(address: u64) -> bool {
    address >> 63 != 0
}

/// Walks the tables; nothing if they cannot be read, which the output tells.
fn walk(control: &Control, memory: &mut Memory, output: &mut Output, address: u64, pc: u64) -> Option<Path> {
    let is_user = !is_kernel(pc);
    match control.walk(address, &mut |place| memory.entry(place, is_user)) {
        Ok(path) => Some(path),
        Err(Unreadable(place)) => {
            output.unreadable(place, address, pc);
            None
        }
    }
}

fn no_walk() -> Walk {
    Walk { tables: [0; 5], references: 0, root_bits: 48, result: None }
}

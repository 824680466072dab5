//! What CPUs read of each other without the kernel's lock.
//!
//! A line per CPU; for each space a few words, and for each CPU and space a pass, the one word that a switch needs. Each
//! CPU's passes lie together, and there are those of the CPUs that the machine has. All of it lives for ever and is reused,
//! never freed, so the fast path can hold plain references.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

use spin::Mutex;
use tessera_abi::Handle;
use tessera_arch::{CPUS_MAX, Fault, Frame};

use crate::base::console::{Console, Ring};
use crate::base::counters::CounterBlock;
use crate::base::cpu_set::CpuSet;
use crate::cpu::activations::{Activations, NO_ACTIVATIONS};
use crate::cpu::cap_word::CapWord;
use crate::cpu::debt_words::DebtWords;
use crate::cpu::gate_words::GateWords;
use crate::cpu::handshake::{NO_SPACE, Pass, Presence};
use crate::cpu::note::Note;
use crate::cpu::slice_pointer::{Kept, Pointer, SlicePointer};
use crate::cpu::table_view::{NO_TABLE, TableView};
use crate::cpu::tags::TagWord;

/// No gate.
pub(crate) const NO_GATE: u32 = u32::MAX;

/// Any CPU may enter the space.
const ANY_CPU: u32 = u32::MAX;

/// What is told of a space besides the [`Pass`] that each CPU has. The size is a power of two, so that finding it is a shift.
///
/// Words and passes are found by the space's number, which the next space has again. A CPU that is in the middle of a switch
/// when a space goes and another gets its words cannot come into the other one: a pass is good only after this very CPU has
/// entered by the long way, with the lock.
#[repr(align(64))]
#[derive(Debug)]
pub struct Words {
    tag: AtomicU64,
    only_cpu: AtomicU32,
    takes_locks: AtomicBool,
    /// What the space sees of the change that is under way.
    note: Note,
}

const _: () = assert!(size_of::<Words>().is_power_of_two(), "a space's words are found by a shift");

impl Words {
    /// Those of no space yet.
    #[expect(clippy::new_without_default, reason = "no words are what a space would have by default")]
    pub const fn new() -> Words {
        Words {
            tag: AtomicU64::new(0),
            only_cpu: AtomicU32::new(ANY_CPU),
            takes_locks: AtomicBool::new(false),
            note: Note::new(),
        }
    }
}

/// All that is told of one space: its words, and every CPU's pass to it.
#[derive(Clone, Copy, Debug)]
pub struct SpaceWords<'a> {
    shared: &'a Shared,
    words: &'a Words,
    space: u32,
}

impl<'a> SpaceWords<'a> {
    /// Sets them for a new space, local to one CPU or not.
    pub fn initialise(self, root: Frame, only_cpu: Option<usize>) {
        self.passes().for_each(|pass| pass.reset(root.to_word()));
        self.words.tag.store(0, Relaxed);
        self.words.takes_locks.store(false, Relaxed);
        self.words.only_cpu.store(only_cpu.map_or(ANY_CPU, |cpu| cpu as u32), Relaxed);
    }

    /// Closes every CPU's way in: the space goes.
    pub fn retire(self) {
        self.passes().for_each(|pass| pass.reset(0));
    }

    /// A CPU's way in. A space that is local to one CPU never has another's good.
    #[inline(always)]
    pub fn pass(self, cpu: usize) -> &'a Pass {
        self.shared.cpus[cpu].pass_to(self.space)
    }

    /// The ways in of all CPUs that the machine has.
    fn passes(self) -> impl Iterator<Item = &'a Pass> {
        // The first apart, so that nothing is gone through where it is the only one.
        let [first, ..] = &self.shared.cpus;
        let others = self.shared.lines().get(1..).unwrap_or(&[]);
        core::iter::once(first).chain(others).map(move |line| line.pass_to(self.space))
    }

    /// The root table on a CPU.
    pub fn root(self, cpu: usize) -> Frame {
        Frame::from_word(self.pass(cpu).read().root())
    }

    /// The tag with its generation.
    #[inline(always)]
    pub fn tag(self) -> TagWord {
        TagWord(self.words.tag.load(Relaxed))
    }

    /// Gives the space a tag. Under another number than before, no CPU holds anything yet; under the same, what the
    /// passes say goes on to hold.
    pub fn set_tag(self, tag: TagWord) {
        if tag.tag() != self.tag().tag() {
            self.forget_passes();
        }
        self.words.tag.store(tag.0, Relaxed);
    }

    /// Makes every CPU go the long way when it next enters.
    pub fn forget_passes(self) {
        self.passes().for_each(Pass::forget);
    }

    /// The same, of passes by which CPUs may hold translations that are good still.
    pub fn make_passes_stale(self) {
        self.passes().for_each(|pass| {
            pass.make_stale();
        });
    }

    /// The CPUs that may hold translations under the tag.
    pub fn holders(self) -> CpuSet {
        let bit = |(cpu, pass): (usize, &Pass)| u64::from(!pass.read().is_never()) << cpu;
        self.passes().enumerate().map(bit).sum()
    }

    /// The CPU the space is local to, if it is.
    #[inline(always)]
    pub fn only_cpu(self) -> Option<usize> {
        let cpu = self.words.only_cpu.load(Relaxed);
        (cpu != ANY_CPU).then_some(cpu as usize)
    }

    /// Whether who enters takes locks (`sched::locks`).
    #[inline(always)]
    pub fn takes_locks(self) -> bool {
        self.words.takes_locks.load(Relaxed)
    }

    /// Says whether who enters takes locks. If so, nobody enters by a pass from here on.
    pub fn set_takes_locks(self, takes_locks: bool) {
        self.words.takes_locks.store(takes_locks, Relaxed);
        if takes_locks {
            self.passes().for_each(Pass::lock);
        }
    }

    /// Room to note what the space sees of a change.
    #[inline(always)]
    pub(crate) fn note(self) -> &'a Note {
        &self.words.note
    }
}

/// What one CPU publishes and counts. The size is a power of two, so that finding a CPU's line is a shift.
#[repr(align(512))]
#[derive(Debug)]
pub struct PerCpu {
    /// Which CPU this is.
    pub index: usize,
    /// The space it is in, and what others ask of it.
    pub presence: Presence,
    /// Its way into each space.
    passes: SlicePointer<Pass>,
    /// The root that is loaded.
    pub root: AtomicU64,
    /// The handle by which the current thread entered the space.
    pub entered_by: AtomicU64,
    /// What is told of the current thread's capability table.
    pub(crate) table: Pointer<TableView>,
    /// What that thread goes back to.
    pub(crate) activations: Pointer<Activations>,
    /// The gate for a stack of which somebody waits that this CPU has just given back.
    pub(crate) due_gate: AtomicU32,
    /// Whether anything has changed here since it was found that the current thread goes on (`RunQueue::need_resched`).
    pub need_resched: AtomicBool,
    /// What happened on this CPU.
    pub counters: CounterBlock,
    /// The space it was in when it was last parked.
    pub parked_space: AtomicU32,
    /// The table that its thread used then.
    pub(crate) parked_table: Pointer<TableView>,
    /// The fault that its thread had come in with, and that nothing was done about, when it was last parked. The CPU sets
    /// it while the parker waits, which takes it then: the lock is never found taken.
    pub pending: Mutex<Option<Fault>>,
}

const _: () = assert!(size_of::<PerCpu>().is_power_of_two(), "a CPU's line is found by a shift");

impl PerCpu {
    const fn new(index: usize) -> PerCpu {
        PerCpu {
            index,
            presence: Presence::new(),
            passes: SlicePointer::none(),
            root: AtomicU64::new(0),
            entered_by: AtomicU64::new(Handle::NONE.bits()),
            table: Pointer::to(&NO_TABLE),
            activations: Pointer::to(&NO_ACTIVATIONS),
            due_gate: AtomicU32::new(NO_GATE),
            need_resched: AtomicBool::new(false),
            counters: CounterBlock::new(),
            parked_space: AtomicU32::new(NO_SPACE),
            parked_table: Pointer::to(&NO_TABLE),
            pending: Mutex::new(None),
        }
    }
}

impl PerCpu {
    /// The CPU's number. The remainder changes nothing; it tells the compiler that the number is in bounds wherever it is used.
    #[inline(always)]
    pub fn number(&self) -> usize {
        self.index % CPUS_MAX
    }

    /// The number of the table that it uses.
    #[inline(always)]
    pub fn table_number(&self) -> u32 {
        self.table.get().number()
    }

    /// Has the CPU use none.
    pub(crate) fn leave_table(&self) {
        self.table.set(Kept::of(&NO_TABLE));
    }

    /// What the capability permits, and to what, that a handle names in the current thread's table.
    #[inline(always)]
    pub fn word_of(&self, handle: Handle) -> Option<CapWord> {
        self.table.get().word_of(handle)
    }

    /// This CPU's way into a space.
    #[inline(always)]
    pub fn pass_to(&self, space: u32) -> &Pass {
        // `IN_HANDLER` is followed by no space.
        self.numbered_pass(space.wrapping_add(1))
    }

    /// The pass that a capability slot names: to the space with this number less one, to no space if it is zero.
    #[inline(always)]
    pub fn numbered_pass(&self, number: u32) -> &Pass {
        self.passes.named(number)
    }
}

/// All of it.
pub struct Shared {
    /// A line for each CPU that a machine can have.
    pub cpus: [PerCpu; CPUS_MAX],
    /// How many CPUs this one has.
    count: AtomicUsize,
    /// A root table without user mappings, for CPUs that are in no space.
    pub empty_root: AtomicU64,
    /// A table of which no entry is like any in a root: while a thread is where it holds locks, its CPU shares no ground with any
    /// space, so that it leaves by the common path.
    pub no_ground: AtomicU64,
    /// Whether no pass may become good, as tags are taken back. Changed by the holder of the kernel's lock only.
    pub is_closing_tags: AtomicBool,
    /// How many objects have a handler. Changed by the holder of the kernel's lock only; the entry code knows its place.
    pub handlers: &'static AtomicU32,
    /// Where text waits for the serial line.
    pub console: Console,
    /// What is being taken apart. Used by the holder of the kernel's lock only; here every call finds it by one load.
    pub debts: DebtWords,
    spaces: SlicePointer<Words>,
    gates: SlicePointer<GateWords>,
}

impl Shared {
    /// Fresh lines, a console with this memory, and a place to count handlers; meant for a static, or to be leaked by a test.
    pub const fn new(ring: &'static Ring, handlers: &'static AtomicU32) -> Shared {
        let mut cpus = [const { PerCpu::new(0) }; CPUS_MAX];
        let mut index = 0;
        while index < CPUS_MAX {
            cpus[index].index = index;
            index += 1;
        }
        Shared {
            cpus,
            count: AtomicUsize::new(0),
            empty_root: AtomicU64::new(0),
            no_ground: AtomicU64::new(0),
            is_closing_tags: AtomicBool::new(false),
            handlers,
            console: Console::new(ring),
            debts: DebtWords::new(),
            spaces: SlicePointer::none(),
            gates: SlicePointer::none(),
        }
    }

    /// Gives it the words of spaces, once, at boot, and for each CPU of the machine its passes to them: as many as
    /// `Space::most` says, so that memory runs out first, and in front of them those of no space, which nobody can enter.
    ///
    /// # Panics
    /// If a CPU has not as many passes as there are words.
    pub fn give_spaces(&self, words: &'static [Words], passes: impl Iterator<Item = &'static [Pass]>) {
        self.spaces.set_static(words);
        for (line, passes) in self.cpus.iter().zip(passes) {
            assert_eq!(passes.len(), words.len(), "a CPU has a pass to every space");
            line.passes.set_static(passes);
            self.count.fetch_add(1, Relaxed);
        }
    }

    /// Gives it the words of gates, once, at boot: as many as `Gate::most` says.
    pub fn give_gates(&self, words: &'static [GateWords]) {
        self.gates.set_static(words);
    }

    /// What is told of a gate that exists.
    #[inline(always)]
    pub fn gate_words(&self, gate: u32) -> &GateWords {
        self.gates.named(gate)
    }

    /// The lines of the CPUs that the machine has.
    #[inline(always)]
    pub fn lines(&self) -> &[PerCpu] {
        &self.cpus[..self.count.load(Relaxed)]
    }

    /// What is told of a space that exists.
    ///
    /// # Panics
    /// If there are no words with this number: the kernel makes no more spaces than it has words.
    #[inline(always)]
    pub fn space_words(&self, space: u32) -> SpaceWords<'_> {
        let words = self.spaces.get(space + 1).expect("every space has its words");
        SpaceWords { shared: self, words, space }
    }

    /// The tag under which a CPU runs; 0 in no space.
    pub fn tag_of(&self, line: &PerCpu) -> u16 {
        let space = line.presence.space();
        if space == NO_SPACE { 0 } else { self.space_words(space).tag().tag() }
    }

    /// Makes the calling CPU leave its space for the empty root.
    pub fn leave_space(&self, line: &PerCpu) {
        let root = Frame::from_word(self.empty_root.load(Relaxed));
        tessera_arch::activate(root, 0, false);
        line.root.store(root.to_word(), Relaxed);
        line.presence.stay(NO_SPACE);
    }
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("Shared")
    }
}

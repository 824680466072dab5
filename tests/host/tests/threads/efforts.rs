//! An entry has one effort for taking apart, whoever comes in between and however often it comes in before its thread's registers
//! are saved.

use host_tests::smp::Cpus;
use host_tests::{Machine, Options};
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::Flavour;
use tessera_arch::{Interrupt, Trap};
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::{check, reap};
use tessera_kernel::object::id::{ObjectRef, ThreadId};
use tessera_kernel::sched::running;

use crate::started;

/// Capabilities in a table: far more than an entry gives up.
const CAPABILITIES: u64 = 2000;

/// Two CPUs; a table full of capabilities that the other CPU's thread gives up.
struct Scene {
    machine: Machine,
    cpus: Cpus,
    other: (Handle, ThreadId),
    table: Handle,
    index: u32,
}

impl Scene {
    fn new() -> Scene {
        let mut machine = Machine::boot(&Options { cpus: 2, ..Options::new(Flavour::X86).frames(4096) });
        let cpus = Cpus::new(machine.kernel.shared);
        let (own, account, space) = (machine.thread, machine.account, machine.space);
        machine.call(Call::ThreadSetAffinity { thread: own, cpus: 1 }).expect("CPU 0 runs");
        let other = started(&mut machine, space, 31, 2);
        let (table, handle) =
            (machine.make(Call::TableCreate { account, slots: CAPABILITIES }), machine.segment(PAGE_BYTES, 0));
        for badge in 0..CAPABILITIES {
            machine.call(Call::CapabilityCopy { handle, table, rights: Rights::READ, badge }).expect("it has room");
        }
        let ObjectRef::CapTable(id) = machine.object(table) else { panic!("it is a table") };
        cpus.play(1);
        assert!(trap::schedule(&mut machine.kernel, 1));
        assert_eq!(running::current(&machine.kernel, 1), Some(other.1));
        set_entry_units(ENTRY_UNITS);
        Scene { machine, cpus, other, table, index: id.index() }
    }

    /// How many capabilities are in the table still.
    fn left(&self) -> u32 {
        self.machine.kernel.tables.at(self.index).used()
    }

    /// How many an entry gives up.
    fn done(&mut self, entry: impl FnOnce(&mut Scene)) -> u32 {
        let before = self.left();
        entry(self);
        before - self.left()
    }
}

/// The first entry's half that has no registers gives up what the effort is for, and the half that has them nothing more.
#[test]
fn both_halves_of_an_entry_have_one_effort() {
    let mut scene = Scene::new();
    let handle = scene.table;
    let quick = scene.done(|scene| {
        assert_eq!(scene.machine.call_without_registers(Call::CapabilityDelete { handle }), Some(false));
    });
    assert!((10..60).contains(&quick), "{quick} are given up at once");
    assert_eq!(scene.done(|scene| trap::finish(&mut scene.machine.kernel)), 0);
    // The next entry has its own.
    let next = scene.done(|scene| reap::go_on(&mut scene.machine.kernel, 1));
    assert!(next.abs_diff(quick) < 5, "{next} after {quick}");
    check::check(&scene.machine.kernel);
}

/// A step of a long call has the effort of its own entry, and of no other CPU's that comes before its registers are saved.
#[test]
fn a_step_has_its_own_entry_s_effort_and_no_other_s() {
    let mut scene = Scene::new();
    let (handle, thread) = (scene.table, scene.other.0);
    scene.machine.call_without_registers(Call::CapabilityDelete { handle });
    trap::finish(&mut scene.machine.kernel);
    scene.cpus.play(0);
    scene.machine.call(Call::ThreadStop { thread }).expect("it is there");
    assert!(!scene.machine.kernel.unowed.is_none(), "nobody owes the table any more");
    let long = Call::SegmentCreate { account: scene.machine.account, length_bytes: 1000 * PAGE_BYTES, flags: 0 };
    assert_eq!(scene.done(|scene| assert_eq!(scene.machine.call_without_registers(long), None)), 0);
    scene.cpus.play(1);
    let others = scene.done(|scene| trap::handle(&mut scene.machine.kernel, 1, Trap::Interrupt(Interrupt::Timer)));
    assert!((10..60).contains(&others), "the other CPU's entry has its effort: {others}");
    scene.cpus.play(0);
    assert!(scene.machine.kernel.scheduler.cpus[0].is_again, "the call was cut");
    assert_eq!(scene.done(|scene| trap::handle(&mut scene.machine.kernel, 0, Trap::Call)), 0);
    let next = scene.done(|scene| trap::handle(&mut scene.machine.kernel, 0, Trap::Interrupt(Interrupt::Timer)));
    assert!(next.abs_diff(others) < 5, "the next entry has its effort: {next} after {others}");
    check::check(&scene.machine.kernel);
}

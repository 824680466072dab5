//! Several CPUs, played in turn by one test thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tessera_arch::fake::{self, Event};
use tessera_arch::{CPUS_MAX, Interrupt};
use tessera_kernel::cpu::per_cpu::Shared;
use tessera_kernel::tlb::flush;

/// What each CPU's translation hardware was told.
type Log = [Vec<Event>; CPUS_MAX];

/// The CPUs of a machine.
pub struct Cpus {
    playing: Rc<Cell<usize>>,
    log: Rc<RefCell<Log>>,
}

impl Cpus {
    /// CPUs that see to shootdowns at once, as long as this value exists and no other machine is switched on.
    pub fn new(shared: &'static Shared) -> Cpus {
        let (playing, log) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(std::array::from_fn(|_| Vec::new()))));
        let (sender, events) = (playing.clone(), log.clone());
        fake::smp::on_interrupt(move |cpu, interrupt| {
            note(&events, sender.get());
            if interrupt == Interrupt::Shootdown {
                flush::handle_ipi(shared, &shared.cpus[cpu], None);
            }
            note(&events, cpu);
        });
        Cpus { playing, log }
    }

    /// Plays this CPU from now on.
    pub fn play(&self, cpu: usize) {
        note(&self.log, self.playing.replace(cpu));
        fake::cpu::set_cpu_index(cpu);
    }

    /// What a CPU's hardware was told since the last time.
    pub fn take_events(&self, cpu: usize) -> Vec<Event> {
        note(&self.log, self.playing.get());
        std::mem::take(&mut self.log.borrow_mut()[cpu])
    }
}

fn note(log: &RefCell<Log>, cpu: usize) {
    log.borrow_mut()[cpu].extend(fake::tlb::take_events());
}

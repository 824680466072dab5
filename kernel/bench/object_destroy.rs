//! A kernel object, taken apart.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::cpu::debt_words::DebtWords;
use crate::object::account::Account;
use crate::object::doomed::Debts;
use crate::object::store::Store;
use crate::state::kernel::Kernel;

/// Where nothing is ever put.
static DEBTS: DebtWords = DebtWords::new();

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_object_destroy",
    points: &[],
    axis: "",
    what: "Taking a small kernel object (an account) out of its store and giving its memory back",
    leaves_out: "credits; handles; what the object refers to",
    measure: destroy,
};

fn destroy(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let mut store = Store::<Account>::for_memory(&mut kernel.frames, 1, 1, Debts::new(&DEBTS));
    let create = |store: &mut Store<Account>| store.insert(Account::new(0, None));
    meter.sample(1, &mut store, create, |store, id| drop(store.remove(id)), |_, ()| ());
    Ok(())
}

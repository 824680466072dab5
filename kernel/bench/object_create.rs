//! A kernel object, made.

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
    name: "kernel_object_create",
    points: &[],
    axis: "",
    what: "Making a small kernel object (an account) and putting it into a store that has room",
    leaves_out: "charges; handles; larger objects' own memory",
    measure: create,
};

fn create(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let mut store = Store::<Account>::for_memory(&mut kernel.frames, 1, 1, Debts::new(&DEBTS));
    meter.sample(
        1,
        &mut store,
        |_| (),
        |store, ()| store.insert_boxed(Account::boxed(0, None)),
        |store, id| drop(store.remove(id)),
    );
    Ok(())
}

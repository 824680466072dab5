//! The queue of threads that may run on some CPUs: the first for each CPU, whoever comes and goes.

use host_tests::Machine;
use tessera_kernel::base::steps;
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::object::set_queue::SetQueue;
use tessera_kernel::object::store::Store;
use tessera_kernel::object::thread::Thread;

use crate::costs::{bare_threads, machine, scrambled};

/// CPUs at the ends of words and halves of words.
const LOOKED_AT: [usize; 6] = [0, 1, 31, 32, 62, 63];

/// Threads with sets of CPUs from nearly none to nearly all, and nine priorities.
fn threads(machine: &mut Machine, count: u64) -> Vec<ThreadId> {
    let ids = bare_threads(machine, count);
    for (id, number) in ids.iter().zip(0_u64..) {
        let [one, two, three] = [1, 2, 3].map(|turn| scrambled(number << 2 | turn));
        let thread = &mut machine.kernel.threads[*id];
        thread.affinity = [one & two & three, one & two, one, one | two, 1 << (one % 64)][number as usize % 5];
        thread.order = (one % 9, number);
    }
    ids
}

/// Who is first for a CPU, by a look at all.
fn first_of(threads: &Store<Thread>, ids: &[ThreadId], cpu: usize) -> Option<u32> {
    let may_run = |id: &&ThreadId| threads[**id].affinity & (1 << cpu) != 0;
    ids.iter().filter(may_run).min_by_key(|id| threads[**id].order).map(|id| id.index())
}

#[test]
fn each_cpu_finds_the_first_that_it_may_run_whoever_comes_and_goes() {
    let mut machine = machine();
    let ids = threads(&mut machine, 400);
    let threads = &mut machine.kernel.threads;
    let (mut queue, mut inside, mut outside) = (SetQueue::default(), Vec::new(), ids);
    for round in 0..4000 {
        // First more come than go, then more go than come.
        let comes = scrambled(round) % 8 < if round < 2000 { 5 } else { 3 };
        let (from, to) = if comes { (&mut outside, &mut inside) } else { (&mut inside, &mut outside) };
        if from.is_empty() {
            continue;
        }
        let id = from.swap_remove(scrambled(round + 1) as usize % from.len());
        to.push(id);
        if comes {
            queue.insert(threads, id)
        } else {
            queue.remove(threads, id)
        }
        assert_eq!(queue.check(threads, |_| ()), inside.len() as u64);
        for cpu in LOOKED_AT {
            assert_eq!(queue.first_on(threads, cpu), first_of(threads, &inside, cpu), "for CPU {cpu} in round {round}");
        }
    }
    while let Some(id) = inside.pop() {
        queue.remove(threads, id);
    }
    assert!(queue.is_empty());
}

/// However many sets there are, and whoever filled the queue: of 16,384 threads with as many sets no step takes more
/// look-ups than a small multiple of the logarithm, 14.
#[test]
fn no_step_of_a_set_queue_is_long() {
    const COUNT: u64 = 16_384;
    const STEPS: u64 = 14 * 30;
    let mut machine = machine();
    let ids = bare_threads(&mut machine, COUNT);
    let threads = &mut machine.kernel.threads;
    for order in [|number: u64| number, |number: u64| COUNT - number, scrambled] {
        let (mut queue, mut longest) = (SetQueue::default(), 0);
        for (id, number) in ids.iter().zip(0_u64..) {
            // Each another set; CPU 63 is in none but the last.
            threads[*id].affinity = number | 1 << 40 | u64::from(number == COUNT - 1) << 63;
            threads[*id].order = (order(number), number);
            steps::take();
            queue.insert(threads, *id);
            longest = longest.max(steps::take());
        }
        assert_eq!(queue.first_on(threads, 63), ids.last().map(|id| id.index()));
        assert_eq!(queue.first_on(threads, 62), None);
        longest = longest.max(steps::take());
        for id in ids.iter().step_by(3).chain(ids.iter().skip(1).step_by(3)).chain(ids.iter().skip(2).step_by(3)) {
            steps::take();
            queue.remove(threads, *id);
            longest = longest.max(steps::take());
        }
        assert!(queue.is_empty() && longest < STEPS, "{longest} look-ups in one step");
    }
}

//! Whatever is taken away finds who is in it, however they came in: topmost, they come out at once; suspended, they are passed over.

use host_tests::smp::Cpus;
use host_tests::{FLAVOURS, Machine};
use tessera_abi::layout::GateInfo;
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_kernel::base::mutants::{Mutant, seed};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::sched::running;

use crate::scene::*;

/// A program's thread on CPU 1, which calls gates, and one on CPU 0, which takes things away.
struct Pair {
    machine: Machine,
    cpus: Cpus,
    service: Service,
    /// What the caller calls by, and what that was derived from.
    lent: Handle,
    caller: ThreadId,
}

impl Pair {
    fn new(flavour: tessera_arch::fake::Flavour) -> Pair {
        let mut machine = boot(flavour, 2);
        let cpus = Cpus::new(machine.kernel.shared);
        let service = service(&mut machine, 2);
        let lent = machine.make(Call::CapabilityDerive { handle: service.gate, rights: Rights::CALL, badge: 5 });
        let (_, caller) = new_thread(&mut machine);
        let mut pair = Pair { machine, cpus, service, lent, caller };
        pair.cpus.play(1);
        tessera_kernel::entry::trap::schedule(&mut pair.machine.kernel, 1);
        assert_eq!(running::current(&pair.machine.kernel, 1), Some(caller));
        // From here on it goes the fast way.
        call_fast(&mut pair.machine, lent);
        return_fast(&mut pair.machine);
        pair
    }

    /// The caller goes in by the fast path, and runs on there on the other CPU.
    fn go_in(&mut self) {
        self.cpus.play(1);
        assert_eq!(call_fast(&mut self.machine, self.lent), Path::Fast);
        self.cpus.play(0);
    }

    fn take(&mut self, call: Call) {
        self.machine.call(call).expect("it is granted");
        check::check(&self.machine.kernel);
    }

    /// The caller is back where it called, and was told why.
    fn is_back(&mut self, error: Error) {
        assert_eq!(here(&self.machine, self.caller), home(&self.machine));
        assert_eq!(result(&self.machine, self.caller), Err(error));
        self.cpus.play(1);
        tessera_kernel::entry::trap::schedule(&mut self.machine.kernel, 1);
        assert_eq!(running::current(&self.machine.kernel, 1), Some(self.caller));
        assert_eq!(self.machine.kernel.shared.cpus[1].table_number(), self.machine.table_id.index());
        check::check(&self.machine.kernel);
        self.cpus.play(0);
    }
}

#[test]
fn who_is_inside_by_what_is_revoked_comes_out() {
    for flavour in FLAVOURS {
        let mut pair = Pair::new(flavour);
        pair.go_in();
        pair.take(Call::CapabilityRevoke { handle: pair.service.gate });
        pair.is_back(Error::Gone);
        pair.cpus.play(1);
        commonly(&mut pair.machine, calls(pair.lent, 0));
        assert_eq!(result(&pair.machine, pair.caller), Err(Error::BadHandle));
    }
}

#[test]
fn deleting_takes_nobody_out_and_revoking_above_finds_them() {
    for flavour in FLAVOURS {
        let mut pair = Pair::new(flavour);
        pair.go_in();
        pair.take(Call::CapabilityDelete { handle: pair.lent });
        assert_eq!(here(&pair.machine, pair.caller), inside(&pair.service, 0, 1));
        pair.take(Call::CapabilityRevoke { handle: pair.service.gate });
        pair.is_back(Error::Gone);
    }
}

#[test]
fn the_end_of_a_space_a_table_or_a_gate_takes_out_who_is_inside() {
    for flavour in FLAVOURS {
        for what in 0..4 {
            let mut pair = Pair::new(flavour);
            pair.go_in();
            let Service { gate, space, table, .. } = pair.service;
            match what {
                0 => pair.take(Call::CapabilityDelete { handle: space }),
                1 => pair.take(Call::CapabilityDelete { handle: table }),
                2 => pair.take(Call::GateClose { gate, how: 1 }),
                _ => {
                    // All capabilities to the gate go.
                    pair.take(Call::CapabilityDelete { handle: gate });
                    pair.take(Call::CapabilityDelete { handle: pair.lent });
                }
            }
            pair.is_back(Error::Gone);
            if what < 3 {
                pair.cpus.play(1);
                commonly(&mut pair.machine, calls(pair.lent, 0));
                assert_eq!(result(&pair.machine, pair.caller), Err(Error::Gone), "nobody comes in any more");
            }
        }
    }
}

#[test]
fn closing_gently_lets_those_inside_finish() {
    for flavour in FLAVOURS {
        let mut pair = Pair::new(flavour);
        pair.go_in();
        pair.take(Call::GateClose { gate: pair.service.gate, how: 0 });
        assert_eq!(here(&pair.machine, pair.caller), inside(&pair.service, 0, 1));
        pair.cpus.play(1);
        assert_eq!(return_fast(&mut pair.machine), Path::Fast);
        assert_eq!(
            (here(&pair.machine, pair.caller), result(&pair.machine, pair.caller)),
            (home(&pair.machine), Ok(0))
        );
        commonly(&mut pair.machine, calls(pair.lent, 0));
        assert_eq!(result(&pair.machine, pair.caller), Err(Error::Gone));
        // Closed once more, and for good: those who had gone in since then are none.
        pair.cpus.play(0);
        pair.take(Call::GateClose { gate: pair.service.gate, how: 1 });
    }
}

#[test]
fn a_gate_made_by_what_is_revoked_closes() {
    for flavour in FLAVOURS {
        for of_table in [false, true] {
            let mut pair = Pair::new(flavour);
            let Service { space, table, .. } = pair.service;
            let parent = if of_table { table } else { space };
            let rights = if of_table { Rights::CONTROL } else { Rights::SWITCH };
            let lent = pair.machine.make(Call::CapabilityDerive { handle: parent, rights, badge: 1 });
            let by = if of_table { (space, lent) } else { (lent, table) };
            let gate = gate(&mut pair.machine, by, 1).expect("a gate is made");
            pair.lent = gate;
            pair.cpus.play(1);
            call_fast(&mut pair.machine, gate);
            return_fast(&mut pair.machine);
            pair.go_in();
            pair.take(Call::CapabilityRevoke { handle: parent });
            pair.is_back(Error::Gone);
            let info: GateInfo = pair.machine.info(|buffer| Call::GateInfo { gate, buffer }).expect("it tells");
            assert_eq!(info.is_open, 0);
        }
    }
}

#[test]
fn a_suspended_activation_that_lost_its_space_is_passed_over() {
    for flavour in FLAVOURS {
        for by_revoking in [false, true] {
            let mut machine = boot(flavour, 1);
            let (first, second) = (service(&mut machine, 1), service(&mut machine, 1));
            let id = machine.thread_id;
            let copy = Call::CapabilityCopy { handle: second.gate, table: first.table, rights: Rights::CALL, badge: 0 };
            let onward = machine.make(copy);
            // Another thread takes the first service away while it waits for the second.
            let (_, other) = new_thread(&mut machine);
            for _ in 0..2 {
                call_fast(&mut machine, first.gate);
                return_fast(&mut machine);
            }
            call_fast(&mut machine, first.gate);
            call_fast(&mut machine, onward);
            assert_eq!(here(&machine, id), inside(&second, 0, 2));
            run(&mut machine, other);
            let call = match by_revoking {
                true => Call::GateClose { gate: first.gate, how: 1 },
                false => Call::CapabilityDelete { handle: first.space },
            };
            machine.call(call).expect("it is granted");
            check::check(&machine.kernel);
            run(&mut machine, id);
            assert_eq!(here(&machine, id), inside(&second, 0, 2), "where it is, nothing was taken away");
            return_fast(&mut machine);
            check::check(&machine.kernel);
            assert_eq!((here(&machine, id), result(&machine, id)), (home(&machine), Err(Error::Gone)));
        }
    }
}

#[test]
fn who_comes_out_nowhere_lands_or_ends() {
    for flavour in FLAVOURS {
        for has_fallback in [true, false] {
            let mut machine = boot(flavour, 1);
            let outer = service(&mut machine, 1);
            // A thread of a program in a space of its own, which goes while it is in a call.
            let (account, table) = (machine.account, machine.table);
            let own = machine.new_space();
            machine.attach_program(own);
            let create = Call::ThreadCreate { account, table, space: own, priority: tessera_abi::PRIORITY_MAX.into() };
            let (thread, id) = machine.new_thread(create);
            let (ip, sp) = (host_tests::machine::CODE, host_tests::machine::STACK_END);
            let start = Call::ThreadStart { thread, instruction_pointer: ip, stack_pointer: sp, argument: 0 };
            machine.call(start).expect("it starts");
            run(&mut machine, id);
            let landing = ip + 0x40;
            if has_fallback {
                let space = machine.space;
                let call = Call::ThreadSetFallback { space, instruction_pointer: landing, stack_pointer: sp };
                machine.call(call).expect("it is granted");
            }
            call_fast(&mut machine, outer.gate);
            let first = machine.thread_id;
            run(&mut machine, first);
            machine.call(Call::CapabilityDelete { handle: own }).expect("it is granted");
            check::check(&machine.kernel);
            run(&mut machine, id);
            assert_eq!(here(&machine, id), inside(&outer, 0, 1), "the callee goes on");
            machine.call_commonly(RETURNS);
            check::check(&machine.kernel);
            if has_fallback {
                run(&mut machine, id);
                let there = here(&machine, id);
                assert_eq!((there.ip, there.space, there.depth), (landing, machine.space_id, 0));
            } else {
                assert!(machine.kernel.threads[id].has_ended());
            }
        }
    }
}

/// Which claims of this file a seeded bug makes false.
fn fails_with(mutant: Mutant, claim: fn()) -> bool {
    seed(Some(mutant));
    let result = std::panic::catch_unwind(claim);
    seed(None);
    result.is_err()
}

#[test]
fn seeded_bugs_are_caught() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let fresh = fails_with(Mutant::FreshNotNoted, who_is_inside_by_what_is_revoked_comes_out);
    let holder = fails_with(Mutant::HolderStays, the_end_of_a_space_a_table_or_a_gate_takes_out_who_is_inside);
    std::panic::set_hook(hook);
    assert_eq!((fresh, holder), (true, true));
}

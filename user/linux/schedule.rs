//! Whose turn it is: processes run one after the other, each until it waits or its time is over.
//!
//! A call that cannot be served yet is made anew at each of its process's turns, so nobody has to know who waits for what. All that
//! processes wait for are each other and the time; so when all wait, and none for a time, none will ever go on (ADR 30).

use crate::calls;
use crate::delivery::{self, deliver, fault};
use crate::errno::Errno;
use crate::process::{Ended, Process};
use crate::signals::{ARITHMETIC, BUS, ILLEGAL, KILL, SEGMENT, TRAP};
use crate::world::World;
use alloc::vec::Vec;
use core::time::Duration;
use libvas::guest::{End, GuestException};
use libvas::{Error, Rights, clock};
use rt::println;

/// How long a process runs before others do, nanoseconds.
const TURN_NS: u64 = 10_000_000;

impl<'a> World<'a> {
    /// Runs a process, and all that come of it, to their ends.
    pub fn run(&mut self, first: Process<'a>) {
        self.lead(first.identity.number);
        self.processes.insert(first.identity.number, first);
        while !self.processes.is_empty() {
            let numbers: Vec<u64> = self.processes.keys().copied().collect();
            let mut has_moved = false;
            for number in numbers {
                let Some(mut process) = self.processes.remove(&number) else { continue };
                has_moved |= self.turn(&mut process);
                if process.is_stopped {
                    self.stop_others(process.identity.number);
                }
                match process.ended {
                    Some(ended) => self.bury(process, ended),
                    None => drop(self.processes.insert(process.identity.thread, process)),
                }
            }
            if !has_moved {
                self.wait();
            }
        }
    }

    /// Runs a process for a while; says whether there was anything to run.
    fn turn(&mut self, process: &mut Process<'a>) -> bool {
        deliver(process);
        if process.ended.is_some() {
            return true;
        }
        if process.is_stopped || process.waits_in.is_some_and(|(call, arguments)| !self.serve(process, call, arguments))
        {
            return false;
        }
        let mut end_ns = u64::MAX;
        loop {
            deliver(process);
            // As long as it is alone it runs without an end.
            if end_ns == u64::MAX && !self.processes.is_empty() {
                end_ns = now_ns().saturating_add(TURN_NS);
            }
            if process.ended.is_some() || process.is_stopped || !self.run_until(process, end_ns) {
                return true;
            }
        }
    }

    /// Runs a process until it comes out, and does what is to be done then; says whether it goes on.
    fn run_until(&mut self, process: &mut Process<'a>, end_ns: u64) -> bool {
        // SAFETY: the space has nothing of this program.
        match unsafe { process.guest.run_until(process.memory.space(), end_ns) } {
            Ok(End::Call(number)) => return self.serve(process, number, process.guest.call_arguments()),
            Ok(End::Fault { address, access }) => {
                let tried = match access {
                    Rights::WRITE => "write to",
                    Rights::EXECUTE => "execute",
                    _ => "read",
                };
                fault(process, SEGMENT, address, format_args!("tried to {tried} {address:#x}"));
            }
            Ok(End::Exception { what: Ok(GuestException::Wait), .. } | End::Step) => {}
            Ok(End::Kick | End::Deadline) => return false,
            Ok(End::Exception { what, address }) => {
                fault(process, signal_of(what), address, format_args!("did what it cannot do, at {address:#x}"));
            }
            Ok(End::Breakpoint) => {
                let at = process.guest.instruction_pointer();
                fault(process, TRAP, at, "came to a breakpoint");
            }
            // Its stack pointer is no address, which it would have found out at its next access.
            Err(Error::BadAddress) => delivery::kill(process, SEGMENT, "set a pointer that is no address"),
            Err(error) => delivery::kill(process, KILL, format_args!("cannot be run: {error}")),
        }
        true
    }

    /// Serves a call; says whether it is over.
    fn serve(&mut self, process: &mut Process<'a>, number: u64, arguments: [u64; 6]) -> bool {
        let served = calls::serve(self, process, number, arguments);
        if served == Err(Errno::RESTART) {
            process.waits_in = Some((number, arguments));
            return false;
        }
        process.end_wait();
        process.guest.set_call_result(served.unwrap_or_else(Errno::as_result));
        true
    }

    /// All wait: lets the time pass until one need not any more, or ends all if there is no such time.
    fn wait(&mut self) {
        let running = self.processes.values().filter(|process| !process.is_stopped);
        if let Some(until_ns) = running.filter_map(|process| process.progress.until_ns).min() {
            clock::sleep(Duration::from_nanos(until_ns.saturating_sub(now_ns())));
            return;
        }
        println!("linux: every process waits for another one, or is stopped; they end as by signal {KILL}");
        self.processes.values_mut().for_each(|process| process.ended = Some(Ended::Killed(KILL)));
    }
}

/// The time since boot, nanoseconds.
pub(crate) fn now_ns() -> u64 {
    clock::now().as_nanos() as u64
}

fn signal_of(what: Result<GuestException, u64>) -> u8 {
    match what {
        Ok(GuestException::Instruction | GuestException::Wait) => ILLEGAL,
        Ok(GuestException::Address) => BUS,
        Ok(GuestException::Arithmetic) => ARITHMETIC,
        Err(_) => SEGMENT,
    }
}

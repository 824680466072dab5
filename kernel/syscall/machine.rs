//! Calls on the machine as a whole.

use tessera_abi::layout::{MachineInfo, Provocation};
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, PAGE_BYTES, Rights};

use super::{Caller, Outcome, Result};
use crate::base::log::end_machine;
use crate::lifecycle::check::{self, Step};

impl Caller<'_> {
    pub(super) fn counters(&mut self, cpu: u64, buffer: u64) -> Result<u64> {
        let cpus = self.kernel.cpus() as u64;
        if cpu >= cpus {
            return Err(Error::BadArgument);
        }
        let counters = self.kernel.shared.cpus[cpu as usize].counters.read();
        self.write(buffer, &counters).map(|()| cpus)
    }

    pub(super) fn machine_power_off(&mut self, machine: Handle, code: u64) -> Result<u64> {
        self.machine(machine, Rights::CONTROL)?;
        let code = u8::try_from(code).map_err(|_| Error::BadArgument)?;
        end_machine(&self.kernel.shared.console, code)
    }

    pub(super) fn machine_check(&mut self, machine: Handle) -> Result<Outcome> {
        let needed = self.progress(number::machine_check);
        self.machine(machine, Rights::INSPECT)?;
        match check::check_further(self.kernel, (needed != 0).then_some(needed)) {
            Step::Held(facts) => Ok(facts.into()),
            Step::Until(pass) => Ok(self.again(number::machine_check, pass)),
        }
    }

    pub(super) fn machine_provoke(&mut self, machine: Handle, what: u64) -> Result<u64> {
        self.machine(machine, Rights::CONTROL)?;
        match Provocation::from_number(what).ok_or(Error::BadArgument)? {
            Provocation::Panic => panic!("a program asked for a panic"),
            other => tessera_arch::provoke(other),
        }
        Ok(0)
    }

    pub(super) fn machine_info(&mut self, machine: Handle, buffer: u64) -> Result<u64> {
        self.machine(machine, Rights::INSPECT)?;
        let kernel = &*self.kernel;
        let info = MachineInfo {
            memory_bytes: kernel.frames.managed_frames() * PAGE_BYTES,
            free_bytes: kernel.frames.free_frames() * PAGE_BYTES,
            heap_bytes: kernel.heap_used_bytes(),
            cpus: kernel.cpus() as u64,
            tag_bits: u64::from(kernel.tags.bits()),
            accounts: kernel.accounts.len() as u64,
            spaces: kernel.spaces.len() as u64,
            subtrees: kernel.subtrees.len() as u64,
            segments: kernel.segments.len() as u64,
            threads: kernel.threads.len() as u64,
            tables: kernel.tables.len() as u64,
            heap_held_bytes: kernel.heap_held_bytes(),
            capabilities: kernel.tables.objects().map(|table| u64::from(table.used())).sum(),
        };
        self.write(buffer, &info).map(|()| 0)
    }
}

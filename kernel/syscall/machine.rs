//! Calls on the machine as a whole.

use tessera_abi::layout::{MachineInfo, Provocation};
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, PAGE_BYTES, Rights};

use super::{Caller, Outcome, Result};
use crate::base::effort::Effort;
use crate::base::log::end_machine;
use crate::lifecycle::check::{self, Step};
use crate::object::cap_table::CapTable;
use crate::object::store::Store;

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

    pub(super) fn machine_info(&mut self, machine: Handle, buffer: u64) -> Result<Outcome> {
        let word = self.progress(number::machine_info);
        self.machine(machine, Rights::INSPECT)?;
        let capabilities = match count_capabilities(&self.kernel.tables, word) {
            Ok(capabilities) => capabilities,
            Err(word) => return Ok(self.again(number::machine_info, word)),
        };
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
            capabilities,
        };
        self.write(buffer, &info).map(|()| Outcome::from(0))
    }
}

/// So many tables are few, if an entry has all of its effort: they are looked at without counting that.
const FEW: usize = 32;

/// Effort of looking at a table.
const TABLE_UNITS: u32 = 4;

/// Bits of what the call remembers for how many capabilities it has counted; above them is the table with which it goes on.
const COUNT_BITS: u32 = 28;

/// Counts what all tables hold, as far as an entry's effort goes, from where the call remembers.
///
/// # Errors
/// What it is to remember, if something is left.
#[inline(always)]
fn count_capabilities(tables: &Store<CapTable>, word: u64) -> core::result::Result<u64, u64> {
    let effort = Effort::of_entry();
    if tables.len() <= FEW && effort.left() >= FEW as u32 * TABLE_UNITS {
        return Ok(tables.objects().map(|table| u64::from(table.used())).sum());
    }
    count_further(tables, word, effort)
}

#[cold]
#[inline(never)]
fn count_further(tables: &Store<CapTable>, word: u64, mut effort: Effort) -> core::result::Result<u64, u64> {
    const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
    let (mut number, mut capabilities) = ((word >> COUNT_BITS) as u32, word & COUNT_MAX);
    loop {
        match tables.first_from(number, &mut effort) {
            Ok(Some(id)) => {
                capabilities += u64::from(tables[id].used());
                number = id.index() + 1;
                effort.spend(TABLE_UNITS);
            }
            Ok(None) => return Ok(capabilities),
            Err(number) => return Err(u64::from(number) << COUNT_BITS | capabilities.min(COUNT_MAX)),
        }
    }
}

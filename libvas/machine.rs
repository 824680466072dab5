//! The machine as a whole: power, self-checks, figures.

use crate::Cap;
use crate::call::{fill_in, perform};
use core::convert::Infallible;
use tessera_abi::layout::{MachineInfo, Provocation};
use tessera_abi::{Call, Error};

/// The machine. Only the first program, `init`, starts with all rights to it.
#[derive(Debug)]
pub enum Machine {}

impl Cap<Machine> {
    /// Ends the machine; `code` becomes the exit code of `./x.py run`. Returns only if that was refused.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn power_off(&self, code: u8) -> Result<Infallible, Error> {
        perform(Call::MachinePowerOff { machine: self.handle(), code: u64::from(code) })?;
        Err(Error::NotSupported)
    }

    /// Runs every consistency check the kernel has over its own state; returns how many facts were checked.
    /// One found false panics the kernel.
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`).
    pub fn check(&self) -> Result<u64, Error> {
        perform(Call::MachineCheck { machine: self.handle() })
    }

    /// Makes the kernel itself do something forbidden, to test its last defences.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn provoke(&self, what: Provocation) -> Result<(), Error> {
        perform(Call::MachineProvoke { machine: self.handle(), what: what as u64 }).map(|_| ())
    }

    /// Memory, CPUs, and how many objects of each kind exist.
    ///
    /// ```no_run
    /// use libvas::program;
    ///
    /// if let Some(machine) = program().machine() {
    ///     let free_bytes = machine.info()?.free_bytes;
    /// }
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`).
    pub fn info(&self) -> Result<MachineInfo, Error> {
        let machine = self.handle();
        fill_in(|buffer| Call::MachineInfo { machine, buffer }).map(|(info, _)| info)
    }
}

//! `mapping_move`.

use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, Rights};

use super::{Caller, Outcome, Result};
use crate::vm::moving::{self, Move};
use crate::vm::target;

/// The flag of `mapping_move`: what is mapped stays where it was as well.
const STAYS: u64 = 1;

impl Caller<'_> {
    pub(super) fn mapping_move(
        &mut self,
        from: Handle,
        address: u64,
        length_bytes: u64,
        to: Handle,
        to_address: u64,
        flags: u64,
    ) -> Result<Outcome> {
        let progress = self.progress(number::mapping_move);
        // Whoever moves memory can read it where it comes to.
        let (from, to) = (self.map_owner(from, Rights::MAP | Rights::INSPECT)?, self.map_owner(to, Rights::MAP)?);
        if flags > STAYS {
            return Err(Error::BadArgument);
        }
        let (source, target) = (target::look(self.kernel, from), target::look(self.kernel, to));
        target.ensure_changeable()?;
        if flags != STAYS {
            source.ensure_changeable()?;
        }
        let (range, place) = (source.range(address, length_bytes)?, target.range(to_address, length_bytes)?);
        let moved = Move { from, range, to, first: place.first, stays: flags == STAYS };
        let next = moving::move_step(self.kernel, &moved, progress)?;
        Ok(next.map_or(Outcome::Done(0), |word| self.again(number::mapping_move, word)))
    }
}

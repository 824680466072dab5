//! What objects cost: checked before they are made, charged to an account, credited when they go.

use tessera_abi::Error;

use crate::mem::FrameAllocator;
use crate::object::account::{close_charge, object_bytes, open_charge};
use crate::object::id::{AccountId, Object};
use crate::state::kernel::Kernel;

/// Frames that user programs never get, so that the kernel can go on when they have taken all others.
pub const RESERVE_FRAMES: u64 = 64;

/// The same as [`Kernel::ensure_frames`], for who has other parts of the kernel in hand.
#[inline(always)]
pub fn ensure_frames(frames: &FrameAllocator, count: u64) -> Result<(), Error> {
    let enough = count == 0 || frames.free_frames() >= count.saturating_add(RESERVE_FRAMES);
    if enough { Ok(()) } else { Err(Error::OutOfMemory) }
}

impl Kernel {
    /// Checks that so many frames can be had besides the reserve.
    ///
    /// # Errors
    /// `OutOfMemory`.
    #[inline(always)]
    pub fn ensure_frames(&self, count: u64) -> Result<(), Error> {
        ensure_frames(&self.frames, count)
    }

    /// Checks that an object of type `T`, plus `extra` bytes, can be charged, and that so many frames can be had.
    ///
    /// # Errors
    /// `AccountExhausted`, `OutOfMemory`.
    #[inline(always)]
    pub fn ensure_object<T>(&mut self, account: AccountId, extra: u64, frames: u64) -> Result<(), Error> {
        let bytes = object_bytes::<T>();
        self.accounts[account].ensure(bytes.saturating_add(extra))?;
        self.ensure_frames(frames)
    }

    /// Charges an object to who pays for it.
    #[inline(always)]
    pub fn charge<T: Object>(&mut self, object: &T) {
        if let Some(payer) = object.payer() {
            open_charge(&mut self.accounts, payer, object_bytes::<T>() + object.extra_bytes());
        }
    }

    /// Undoes [`Kernel::charge`], with what the object costs now.
    #[inline(always)]
    pub fn credit<T: Object>(&mut self, object: &T) {
        if let Some(payer) = object.payer() {
            close_charge(&mut self.accounts, payer, object_bytes::<T>() + object.extra_bytes());
        }
    }

    /// Charges or credits what an object that exists costs more or less than before.
    #[inline(always)]
    pub fn adjust_charge(&mut self, account: AccountId, before_bytes: u64, after_bytes: u64) {
        if after_bytes >= before_bytes {
            self.accounts[account].charge(after_bytes - before_bytes);
        } else {
            self.accounts[account].credit(before_bytes - after_bytes);
        }
    }
}

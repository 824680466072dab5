//! Guests: registers that a thread runs in a space, in the place of its own.
//!
//! While a thread runs a guest, the two have exchanged their registers: the thread has the guest's, so that whoever takes it off
//! its CPU and puts it back knows nothing of guests, and the guest keeps the thread's.

use tessera_abi::guest::GuestEnd;
use tessera_abi::layout::Name;
use tessera_abi::{ObjectKind, PAGE_BYTES};
use tessera_arch::{CPUS_MAX, Frame, ThreadContext};

use crate::object::id::{AccountId, Object, SegmentId, ThreadId, UseId, kind};
use crate::object::use_pool::USE_BYTES;

/// Where a guest's state is.
#[derive(Clone, Copy, Debug)]
pub struct StatePage {
    /// The segment, which the guest keeps.
    pub segment: SegmentId,
    /// The use of the capability to it.
    pub lent: UseId,
    /// The page of it.
    pub page: u64,
    /// The page's frame.
    pub frame: Frame,
}

/// Why a guest came out, and what is to be said of it.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// Why.
    pub end: GuestEnd,
    /// The first words of its state behind that: number, address, access.
    pub words: [u64; 3],
}

impl Came {
    /// For a reason of which there is nothing to be said.
    pub fn by(end: GuestEnd) -> Came {
        Came { end, words: [0; 3] }
    }
}

/// How a guest stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing(u32);

impl Standing {
    /// Nobody runs it, and whoever can may.
    pub const READY: Standing = Standing(0);
    /// Nobody runs it, and its next run ends at once.
    pub const KICKED: Standing = Standing(u32::MAX - 1);
    /// It is noted who runs it, or it is over.
    pub const OTHER: Standing = Standing(u32::MAX);

    /// The thread of a CPU runs it, and that is not noted.
    #[inline(always)]
    pub fn fresh_on(cpu: usize) -> Standing {
        Standing(cpu as u32 + 1)
    }
}

/// A guest.
pub struct Guest {
    /// For people.
    pub name: Name,
    /// Who pays.
    pub account: AccountId,
    /// Its registers, or those of the thread that runs it.
    pub context: ThreadContext,
    /// Where its state is, unless that was taken back: then it is over.
    pub state: Option<StatePage>,
    /// How it stands, so that the fast path needs one look.
    pub standing: Standing,
    /// Who runs it, once that is noted.
    pub runner: Option<ThreadId>,
    /// Whether somebody kicked it while it did not run.
    pub is_kicked: bool,
    /// When it is to come out, nanoseconds since boot; `u64::MAX` for never.
    pub deadline_ns: u64,
    /// Why it is about to come out.
    pub came: Option<Came>,
}

impl Guest {
    /// Finds out how it stands, after a change to what else says that.
    #[inline(always)]
    pub fn settle(&mut self) {
        self.standing = self.settled();
    }

    /// How it stands, unless it is run and that is not noted.
    #[inline(always)]
    pub fn settled(&self) -> Standing {
        if self.state.is_none() || self.runner.is_some() {
            return Standing::OTHER;
        }
        if self.is_kicked { Standing::KICKED } else { Standing::READY }
    }

    /// The CPU whose thread runs it, if that is not noted.
    pub fn fresh_cpu(&self) -> Option<usize> {
        let cpu = self.standing.0.wrapping_sub(1) as usize;
        (cpu < CPUS_MAX).then_some(cpu)
    }

    /// Whether somebody runs it.
    pub fn is_run(&self) -> bool {
        self.runner.is_some() || self.fresh_cpu().is_some()
    }
}

impl Object for Guest {
    type Kind = kind::Guest;
    const KIND: ObjectKind = ObjectKind::Guest;
    const WHAT: &'static str = "guest";

    #[inline(always)]
    fn payer(&self) -> Option<AccountId> {
        Some(self.account)
    }

    #[inline(always)]
    fn extra_bytes(&self) -> u64 {
        GUEST_EXTRA_BYTES
    }
}

/// What a guest costs besides its record, bytes: its registers, and the use that it is.
pub const GUEST_EXTRA_BYTES: u64 = crate::mem::block::block_bytes(ThreadContext::LAYOUT) + USE_BYTES;

/// Memory for each guest that there may be, bytes: a page of state, which it needs.
pub const GUEST_SHARE_BYTES: u64 = PAGE_BYTES;

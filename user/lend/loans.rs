//! What the lender has, and what it has lent of that.

use crate::ledger::Ledger;
use demonstration::{Failure, check};
use libvas::{Account, Cap, CapTable, Error, Handle, Object, PAGE_BYTES, Rights, Segment, Space, Subtree, program};
use rt::println;

/// How much the segment's account has: the segment, and what an account and a segment take themselves.
const BUDGET: u64 = 64 * PAGE_BYTES;

/// Length of the segment.
pub(crate) const LENGTH: u64 = 8 * PAGE_BYTES;

/// What the borrowers read in the segment, in the subtree and in the space.
pub(crate) const WORDS: [u64; 3] = [0x5e6_3e17, 0x5b7_2ee, 0x5bace];

/// Where in the subtree its page is, and where the space has one of its own.
pub(crate) const IN_SUBTREE: u64 = PAGE_BYTES;
/// See [`IN_SUBTREE`].
pub(crate) const IN_SPACE: u64 = 0x100_0000_0000;

/// The lender's objects.
pub(crate) struct Loans {
    payer: Cap<Account>,
    segment: Cap<Segment>,
    subtree: Cap<Subtree>,
    space: Cap<Space>,
}

/// A borrower's handles of them, in its own table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lent {
    pub(crate) segment: Handle,
    pub(crate) subtree: Handle,
    pub(crate) space: Handle,
}

impl Loans {
    /// Makes them, each with a page that holds its word.
    pub(crate) fn new() -> Result<Loans, Error> {
        let account = program().account();
        let payer = account.split(BUDGET)?;
        let (segment, subtree) = (Segment::new(&payer, LENGTH)?, Subtree::new(account)?);
        let space = program().new_space()?;
        space.set_name("lent")?;
        segment.write(0, &WORDS[0].to_le_bytes())?;
        let page = |word: u64| -> Result<Cap<Segment>, Error> {
            let page = Segment::new(account, PAGE_BYTES)?;
            page.write(0, &word.to_le_bytes())?;
            Ok(page)
        };
        subtree.map(IN_SUBTREE, &page(WORDS[1])?, 0..PAGE_BYTES, Rights::READ)?;
        space.map(IN_SPACE, &page(WORDS[2])?, 0..PAGE_BYTES, Rights::READ)?;
        Ok(Loans { payer, segment, subtree, space })
    }

    /// Puts a capability to each into a borrower's table, with its badge.
    pub(crate) fn lend_to(&self, table: &Cap<CapTable>, badge: u64) -> Result<Lent, Error> {
        Ok(Lent {
            segment: self.segment.copy_into(table, Rights::READ, badge)?,
            subtree: self.subtree.copy_into(table, Rights::READ, badge)?,
            space: self.space.copy_into(table, Rights::SWITCH | Rights::INSPECT, badge)?,
        })
    }

    /// What the kernel says is lent to a borrower.
    pub(crate) fn lent_to(&self, badge: u64) -> Result<Ledger, Error> {
        let mut ledger = Ledger::default();
        ledger.add(&self.segment, badge)?;
        ledger.add(&self.subtree, badge)?;
        ledger.add(&self.space, badge)?;
        Ok(ledger)
    }

    /// Takes everything back from one borrower.
    pub(crate) fn take_back_from(&self, badge: u64) -> Result<(), Error> {
        self.segment.revoke_badge(badge)?;
        self.subtree.revoke_badge(badge)?;
        self.space.revoke_badge(badge)
    }

    /// Takes everything back.
    pub(crate) fn take_everything_back(&self) -> Result<(), Error> {
        self.segment.revoke()?;
        self.subtree.revoke()?;
        self.space.revoke()
    }

    /// Checks that nobody but the lender has anything of it.
    pub(crate) fn is_whole(&self) -> Result<(), Failure> {
        let (space, mappings) = (self.space.info()?, self.segment.info()?.mappings);
        println!(
            "lender: mappings {mappings}, sharers {}, views {}, threads inside {}",
            self.subtree.info()?.sharers,
            space.views,
            space.threads
        );
        check(mappings == 0 && self.subtree.info()?.sharers == 0, "no space shows what was lent")?;
        check((space.views, space.threads) == (0, 0), "nobody sees the space, or is in it")?;
        let alone = |cap: u64| check(cap == 0, "no capability is derived from the lender's");
        alone(derived(&self.segment)?)?;
        alone(derived(&self.subtree)?)?;
        alone(derived(&self.space)?)
    }

    /// Gives the memory up and takes as much again: the account has it at once, and it holds zeros.
    pub(crate) fn give_to_somebody_else(self) -> Result<(), Failure> {
        let Loans { payer, segment, .. } = self;
        drop(segment);
        check(payer.info()?.used_bytes == 0, "the account has everything back")?;
        let next = Segment::new(&payer, LENGTH)?;
        let mut bytes = [1; 8];
        next.read(0, &mut bytes)?;
        println!("lender: gave the memory up, and took as much again: it holds {}", u64::from_le_bytes(bytes));
        check(bytes == [0; 8], "memory that was lent is empty when somebody else gets it")
    }
}

fn derived<T: Object>(cap: &Cap<T>) -> Result<u64, Error> {
    cap.capability_info().map(|info| info.children)
}

//! Accounts: budgets in bytes, to which every frame, page table and kernel object is charged.

use alloc::boxed::Box;

use tessera_abi::layout::Name;
use tessera_abi::{Error, ObjectKind, PAGE_BYTES};

use crate::object::charged::{CHARGED, Ends, KINDS, place_of};
use crate::object::id::{AccountId, Object, kind};
use crate::object::store::{ENTRY_BYTES, Opened, Store};
use crate::object::use_pool::USE_BYTES;

/// A budget. Budgets split off count as used until they return.
#[derive(Debug)]
pub struct Account {
    /// For people.
    pub name: Name,
    /// Where the budget came from, and returns to; only the first account has none.
    pub parent: Option<AccountId>,
    /// The chains of the objects that it pays for, of each kind.
    charges: [Ends; KINDS],
    limit_bytes: u64,
    used_bytes: u64,
}

impl Object for Account {
    type Kind = kind::Account;
    const KIND: ObjectKind = ObjectKind::Account;
    const WHAT: &'static str = "account";

    #[inline(always)]
    fn payer(&self) -> Option<AccountId> {
        self.parent
    }

    /// What it may spend is no one else's any more.
    #[inline(always)]
    fn extra_bytes(&self) -> u64 {
        self.limit_bytes
    }
}

impl Account {
    /// A budget of so many bytes, of which nothing is used.
    pub fn new(limit_bytes: u64, parent: Option<AccountId>) -> Account {
        Account { parent, limit_bytes, ..Account::EMPTY }
    }

    /// The same where it will stay.
    #[inline(always)]
    pub fn boxed(limit_bytes: u64, parent: Option<AccountId>) -> Box<Account> {
        // Copied from the constant at once, instead of being made elsewhere first.
        let mut account = Box::new(Account::EMPTY);
        (account.limit_bytes, account.parent) = (limit_bytes, parent);
        account
    }

    /// One of nothing.
    const EMPTY: Account =
        Account { name: Name::EMPTY, parent: None, charges: [Ends::EMPTY; KINDS], limit_bytes: 0, used_bytes: 0 };

    /// The ends of the chain of the objects of a kind that it pays for.
    #[inline(always)]
    pub fn charges_mut(&mut self, kind: ObjectKind) -> &mut Ends {
        &mut self.charges[place_of(kind)]
    }

    /// The same for all kinds, with their numbers.
    pub fn charges(&self) -> impl Iterator<Item = (ObjectKind, Ends)> {
        CHARGED.into_iter().zip(self.charges.iter().copied())
    }

    /// The whole budget, bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// What is charged now, bytes.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Whether so many bytes could be charged.
    ///
    /// # Errors
    /// `AccountExhausted` if not.
    #[inline(always)]
    pub fn ensure(&self, bytes: u64) -> Result<(), Error> {
        if bytes <= self.limit_bytes - self.used_bytes { Ok(()) } else { Err(Error::AccountExhausted) }
    }

    /// Whether an object of type `T`, plus `extra` bytes, could be charged.
    ///
    /// # Errors
    /// `AccountExhausted` if not.
    #[inline(always)]
    pub fn ensure_object<T>(&self, extra: u64) -> Result<(), Error> {
        self.ensure(object_bytes::<T>().saturating_add(extra))
    }

    /// Charges so many bytes if they are left.
    ///
    /// # Errors
    /// `AccountExhausted` if not.
    #[inline(always)]
    pub fn try_charge(&mut self, bytes: u64) -> Result<(), Error> {
        self.ensure(bytes)?;
        self.used_bytes += bytes;
        Ok(())
    }

    /// Charges what `ensure` has allowed.
    ///
    /// # Panics
    /// If the budget does not suffice: every charge is checked before anything is done.
    #[inline(always)]
    pub fn charge(&mut self, bytes: u64) {
        self.try_charge(bytes).expect("a charge is checked before it is made");
    }

    /// Credits what was charged.
    ///
    /// # Panics
    /// If more is credited than was charged.
    #[inline(always)]
    pub fn credit(&mut self, bytes: u64) {
        self.used_bytes = self.used_bytes.checked_sub(bytes).expect("nothing is credited that was not charged");
    }
}

/// What an object of type `T` costs its account: the block of its record, its share of the store, its place in the list of
/// its capabilities.
pub const fn object_bytes<T>() -> u64 {
    crate::mem::block::box_bytes::<T>() + ENTRY_BYTES + USE_BYTES
}

/// Bytes in so many frames.
pub const fn frame_bytes(frames: u64) -> u64 {
    frames * PAGE_BYTES
}

impl Opened<'_, Account> {
    /// Charges what an object of type `T` costs, plus `extra` bytes, as `ensure_object` has allowed. The account comes to be
    /// referred to once more.
    #[inline(always)]
    pub fn charge_object<T>(&mut self, extra: u64) {
        *self.references += 1;
        self.object.charge(object_bytes::<T>() + extra);
    }

    /// The same, checked at once: the last check, and the first change.
    ///
    /// # Errors
    /// `AccountExhausted`.
    #[inline(always)]
    pub fn try_charge_object<T>(&mut self, extra: u64) -> Result<(), Error> {
        self.object.try_charge(object_bytes::<T>().saturating_add(extra))?;
        *self.references += 1;
        Ok(())
    }
}

/// Charges an account, which also comes to be referred to once more: it cannot go while something is charged.
#[inline]
pub fn open_charge(accounts: &mut Store<Account>, account: AccountId, bytes: u64) {
    accounts.retained(account).charge(bytes);
}

/// Undoes [`open_charge`]: the account that this number had then has it still.
#[inline]
pub fn close_charge(accounts: &mut Store<Account>, account: AccountId, bytes: u64) {
    accounts.released_at(account.index()).credit(bytes);
}

#[cfg(test)]
mod tests {
    use super::Account;
    use tessera_abi::Error;

    #[test]
    fn a_budget_is_never_exceeded() {
        let mut account = Account::new(100, None);
        account.charge(60);
        assert_eq!(account.ensure(41), Err(Error::AccountExhausted));
        assert_eq!(account.ensure(u64::MAX), Err(Error::AccountExhausted));
        account.charge(40);
        account.credit(100);
        assert_eq!(account.used_bytes(), 0);
    }
}

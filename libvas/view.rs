//! Views: a whole space, seen through bounds.

use crate::call::perform;
use crate::{Account, Cap, Space};
use tessera_abi::{Call, Error, Handle, Rights};

/// A space that shows what another one, its *base*, holds, but allows at most certain rights.
///
/// What the base gains or loses, the view gains or loses with it. It is entered, read and listed like a space, and
/// never mapped into. The base's *windows* ([`Cap::attach_window`]), the program subtree of
/// [`crate::Program::new_space`] among them, keep their rights, so that threads of the program can go on inside a
/// read-only view: their stacks stay writable.
#[derive(Debug)]
pub enum View {}

impl View {
    /// Makes a view of a space that allows at most `bounds` (`READ` and no, one or both of `WRITE` and `EXECUTE`).
    ///
    /// The new capability carries the rights of `space`, without `MAP`.
    ///
    /// ```no_run
    /// use libvas::{Place, Rights, Segment, View, program};
    ///
    /// const HERE: u64 = 0x100_0000_0000;
    ///
    /// let space = program().new_space()?;
    /// space.map(HERE, &Segment::new(program().account(), 0x1000)?, 0..0x1000, Rights::READ_WRITE)?;
    /// let view = View::new(program().account(), &space, Rights::READ)?;
    /// let place = Place::<u64>::new(HERE)?;
    /// space.enter(|| place.set(7))?;
    /// assert_eq!(view.enter(|| place.get())?, 7); // and `place.set` would fault there
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE` on the account, `INSPECT` on the space), `BadArgument` (no `READ`),
    /// `AccountExhausted`, `OutOfMemory`, `TableFull`.
    pub fn new(account: &Cap<Account>, space: &Cap<Space>, bounds: Rights) -> Result<Cap<View>, Error> {
        create(account, space.handle(), bounds)
    }
}

impl Cap<View> {
    /// Makes a view of the same base with at most this one's bounds.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn narrowed(&self, account: &Cap<Account>, bounds: Rights) -> Result<Cap<View>, Error> {
        create(account, self.handle(), bounds)
    }
}

fn create(account: &Cap<Account>, space: Handle, bounds: Rights) -> Result<Cap<View>, Error> {
    let bits = perform(Call::ViewCreate { account: account.handle(), space, bounds })?;
    Ok(Cap::from_handle(Handle::from_bits(bits)))
}

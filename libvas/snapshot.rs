//! Snapshots: what a space holds now, to be gone back to as often as one likes.

use crate::{Account, Cap, Error, Space};

/// What a space held at one moment.
///
/// It is a clone ([`Space::clone_of`]) that nobody writes to, so taking one and going back to one take as long however much the space
/// holds, and each costs what has been written since. As many can be kept as can be paid for.
///
/// What is attached to the space, the program among it, is not part of it: that is the same before and after.
#[derive(Debug)]
pub struct Snapshot(Cap<Space>);

impl Snapshot {
    /// Takes one.
    ///
    /// # Errors
    /// As [`Space::clone_of`].
    pub fn take(account: &Cap<Account>, space: &Cap<Space>) -> Result<Snapshot, Error> {
        Space::clone_of(account, space).map(Snapshot)
    }

    /// Goes back to it: what `space` names from now on is another space, which holds what the snapshot does. The one it named before
    /// is given up, and gone if nobody else holds it. No thread of the program should be in it.
    ///
    /// ```no_run
    /// use libvas::{Place, Rights, Segment, program, snapshot::Snapshot};
    ///
    /// const HERE: u64 = 0x100_0000_0000;
    ///
    /// let account = program().account();
    /// let mut space = program().new_space()?;
    /// space.map(HERE, &Segment::new(account, 0x1000)?, 0..0x1000, Rights::READ_WRITE)?;
    /// let place = Place::<u64>::new(HERE)?;
    /// let empty = Snapshot::take(account, &space)?;
    /// space.enter(|| place.set(7))?;
    /// empty.roll_back(account, &mut space)?;
    /// assert_eq!(space.enter(|| place.get())?, 0);
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Space::clone_of`], with the space as it was.
    pub fn roll_back(&self, account: &Cap<Account>, space: &mut Cap<Space>) -> Result<(), Error> {
        *space = Space::clone_of(account, &self.0)?;
        Ok(())
    }

    /// The space that holds it. Who writes to that changes the snapshot.
    pub fn space(&self) -> &Cap<Space> {
        &self.0
    }
}

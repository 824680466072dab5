//! Owned capabilities: [`Cap<T>`].

use crate::call::{fill_in, perform, perform_short};
use crate::{Account, CapTable, Gate, Guest, Machine, Segment, Space, Subtree, Thread, View};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use tessera_abi::layout::{CapabilityInfo, LentInfo, Name};
use tessera_abi::{Call, Error, Handle, ObjectKind, Rights};

/// A kind of kernel object; implemented by the marker types such as [`Space`].
pub trait Object: sealed::Sealed {
    /// The kind's number and name in the ABI.
    const KIND: ObjectKind;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! objects {
    ($($name:ident is $kind:ident),*) => {$(
        impl sealed::Sealed for $name {}
        impl Object for $name {
            const KIND: ObjectKind = ObjectKind::$kind;
        }
    )*};
}

objects!(
    Account is Account,
    CapTable is CapTable,
    Gate is Gate,
    Guest is Guest,
    Machine is Machine,
    Segment is Segment,
    Space is Space,
    Subtree is Subtree,
    Thread is Thread,
    View is Space
);

/// A capability to an object of kind `T`, owned: dropping it gives the capability up.
///
/// When the last capability to an object goes, the object goes with it, and what it cost returns to its account.
/// Lend a capability as `&Cap<T>`; to keep one for good, or to hand it on as a number, use
/// [`Cap::into_handle`].
///
/// ```no_run
/// use libvas::{Rights, Segment, program};
///
/// let segment = Segment::new(program().account(), 0x1000)?;
/// let for_reading = segment.derive(Rights::READ, 0)?;
/// assert_eq!(for_reading.capability_info()?.object, segment.capability_info()?.object);
/// # Ok::<(), libvas::Error>(())
/// ```
pub struct Cap<T: Object> {
    handle: Handle,
    object: PhantomData<fn() -> T>,
}

impl<T: Object> Cap<T> {
    /// Takes over the capability that a handle names. The kernel checks handle and kind at each use, so a wrong
    /// one costs errors, not safety.
    pub const fn from_handle(handle: Handle) -> Cap<T> {
        Cap { handle, object: PhantomData }
    }

    /// The handle, without the duty to give the capability up.
    pub fn into_handle(self) -> Handle {
        ManuallyDrop::new(self).handle
    }

    /// The handle, for system calls and for people.
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// Makes a child capability with the given rights, a subset of this one's, and a badge, in the same table.
    ///
    /// # Errors
    /// `MissingRight` for a right this one lacks, `TableFull`, `BadHandle`.
    pub fn derive(&self, rights: Rights, badge: u64) -> Result<Cap<T>, Error> {
        let bits = perform(Call::CapabilityDerive { handle: self.handle, rights, badge })?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }

    /// Makes a child capability in another table; returns its handle there, which means nothing here.
    ///
    /// # Errors
    /// `MissingRight` (`GRANT` here, `INSERT` on the table, or a right this one lacks), `TableFull`,
    /// `BadHandle`.
    pub fn copy_into(&self, table: &Cap<CapTable>, rights: Rights, badge: u64) -> Result<Handle, Error> {
        let call = Call::CapabilityCopy { handle: self.handle, table: table.handle, rights, badge };
        Ok(Handle::from_bits(perform(call)?))
    }

    /// Takes back all that was lent through this capability: what was derived from it goes, in all tables, and what was done
    /// with that is undone. The capability stays, and what was done with itself.
    ///
    /// ```no_run
    /// # use libvas::{Rights, Segment};
    /// let segment = Segment::new(libvas::program().account(), 4096)?;
    /// let lent = segment.derive(Rights::READ, 7)?;
    /// segment.revoke()?;
    /// assert!(lent.capability_info().is_err());
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `BadHandle`, also if the capability goes meanwhile.
    pub fn revoke(&self) -> Result<(), Error> {
        perform(Call::CapabilityRevoke { handle: self.handle }).map(|_| ())
    }

    /// The same for what was derived from this one with a badge, and all that came of it: from one borrower only.
    ///
    /// # Errors
    /// As [`Cap::revoke`].
    pub fn revoke_badge(&self, badge: u64) -> Result<(), Error> {
        perform(Call::CapabilityRevokeBadge { handle: self.handle, badge }).map(|_| ())
    }

    /// What [`Cap::revoke`] would take back. What comes or goes while it is listed may be listed or not.
    pub fn lent(&self) -> Lent<'_> {
        Lent {
            handle: self.handle,
            goes_on: false,
            is_over: false,
            found: Default::default(),
            next: 0,
            count: 0,
            of: PhantomData,
        }
    }

    /// Gives the capability up and says whether that worked, which dropping it does not.
    ///
    /// # Errors
    /// `BadHandle` if it was gone already.
    pub fn delete(self) -> Result<(), Error> {
        perform_short(Call::CapabilityDelete { handle: self.into_handle() }).map(|_| ())
    }

    /// What the kernel knows of this capability: kind, rights, badge, parent, and the object's name.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn capability_info(&self) -> Result<CapabilityInfo, Error> {
        let handle = self.handle;
        fill_in(|buffer| Call::CapabilityInfo { handle, buffer }).map(|(info, _)| info)
    }

    /// The rights that this capability carries.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn rights(&self) -> Result<Rights, Error> {
        Ok(Rights::from_bits_truncate(self.capability_info()?.rights as u32))
    }

    /// Names the object, for people: at most 32 bytes. The kernel shows the name where it tells of the object.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`), `BadText` for a longer name, `WrongObject` for the machine.
    pub fn set_name(&self, name: &str) -> Result<(), Error> {
        let text = name.as_ptr().expose_provenance() as u64;
        let call = Call::ObjectSetName { handle: self.handle, text, length_bytes: name.len() as u64 };
        perform(call).map(|_| ())
    }

    /// The object's name; empty if it has none.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn name(&self) -> Result<Name, Error> {
        let info = self.capability_info()?;
        Ok(Name::from_words([info.name0, info.name1, info.name2, info.name3]))
    }
}

/// How many entries one call lists.
const LENT_AT_ONCE: usize = 16;

/// Iterator over what is lent; each item is one thing or the error that ends the listing. A thread lists one capability at
/// a time: another listing, or taking back by badge, ends it.
#[derive(Debug)]
pub struct Lent<'a> {
    handle: Handle,
    goes_on: bool,
    is_over: bool,
    found: [LentInfo; LENT_AT_ONCE],
    next: usize,
    count: usize,
    of: PhantomData<&'a ()>,
}

impl Iterator for Lent<'_> {
    type Item = Result<LentInfo, Error>;

    fn next(&mut self) -> Option<Result<LentInfo, Error>> {
        if self.is_over {
            return None;
        }
        if self.next == self.count {
            let buffer = self.found.as_mut_ptr().expose_provenance() as u64;
            let (handle, capacity, goes_on) = (self.handle, LENT_AT_ONCE as u64, u64::from(self.goes_on));
            let count = match perform(Call::LentList { handle, buffer, capacity, goes_on }) {
                Ok(count) => count as usize,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            };
            // A call that finds nothing has come to the end; another would begin anew.
            (self.goes_on, self.next, self.count, self.is_over) = (true, 0, count, count == 0);
        }
        let found = *self.found[..self.count].get(self.next)?;
        self.next += 1;
        Some(Ok(found))
    }
}

impl core::iter::FusedIterator for Lent<'_> {}

impl<T: Object> Drop for Cap<T> {
    /// Gives the capability up. A handle that is stale already is no error here: the capability is gone, as wanted.
    fn drop(&mut self) {
        let _ = perform_short(Call::CapabilityDelete { handle: self.handle });
    }
}

impl<T: Object> fmt::Debug for Cap<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cap<{:?}>({:#x})", T::KIND, self.handle.bits())
    }
}

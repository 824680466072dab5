//! Segments of a VAS: memory with a name and a fixed address.

use super::{Access, Process, START, Vid, offset_of};
use crate::gate::Along;
use crate::names::{Class, Mode, NameInfo, Operation};
use crate::{Cap, Error, Rights, Segment, Subtree, program};
use core::ops::Range;
use tessera_abi::ObjectKind;
use tessera_abi::layout::Name;

/// A segment, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sid(Name);

/// A segment where it lies in every VAS.
struct Placed {
    segment: Cap<Segment>,
    offset: u64,
    length_bytes: u64,
}

impl Process<'_> {
    /// Makes a segment, with all its memory, that lies at these addresses wherever it is attached.
    ///
    /// # Errors
    /// `Exists`, `Misaligned`; `BadAddress` outside of what a VAS fills; and the others of [`crate::Names::register`] and
    /// [`Segment::new`].
    pub fn create_segment(&self, name: &str, addresses: Range<u64>, mode: Mode) -> Result<Sid, Error> {
        let sid = Sid(Name::new(name).ok_or(Error::BadText)?);
        offset_of(addresses.start, addresses.end)?;
        let segment = Segment::new(program().account(), addresses.end - addresses.start)?;
        segment.set_name(name)?;
        let along = Along::moved(segment, Rights::ACCESS | Rights::CONTROL);
        self.names.register_in(Class::Segment, name, along, mode, addresses.start)?;
        Ok(sid)
    }

    /// The segment of this name.
    ///
    /// # Errors
    /// As [`Process::find`].
    pub fn find_segment(&self, name: &str) -> Result<Sid, Error> {
        self.names.about(Operation::Info, Class::Segment, name)?;
        Name::new(name).map(Sid).ok_or(Error::BadText)
    }

    /// Forgets a segment that is attached to no VAS; this process must have made it, or its mode let it write.
    ///
    /// # Errors
    /// As [`Process::delete`].
    pub fn delete_segment(&self, sid: Sid) -> Result<(), Error> {
        self.names.about(Operation::Remove, Class::Segment, sid.0.as_str()).map(|_| ())
    }

    /// Attaches a segment to a VAS: whoever has that attached sees it at once. One that is attached there already stays as it is. The
    /// VAS need not be attached, but its mode must let this process write.
    ///
    /// # Errors
    /// `Busy` if it is attached elsewhere to be written, or at all while this one is to write; `Overlap` if another one lies there;
    /// `NotFound`, `MissingRight`, and the others of [`Cap::map`].
    pub fn attach_segment(&self, vid: Vid, sid: Sid, access: Access) -> Result<(), Error> {
        let vas = self.changed(vid)?;
        // Given up before the claim, which would find it.
        let is_there = self.placed(sid, Operation::Find, Rights::READ)?.is_in(&vas)?;
        if is_there {
            return Ok(());
        }
        let rights = if access.writes() { Rights::READ_WRITE } else { Rights::READ };
        let Placed { segment, offset, length_bytes } = self.placed(sid, Operation::Claim, rights)?;
        vas.map(offset, &segment, 0..length_bytes, rights)
    }

    /// Detaches a segment from a VAS, for all who have that attached.
    ///
    /// # Errors
    /// `BadArgument` if it is not attached there, `NotFound`, `MissingRight`, and the others of [`Cap::unmap`].
    pub fn detach_segment(&self, vid: Vid, sid: Sid) -> Result<(), Error> {
        let (vas, placed) = (self.changed(vid)?, self.placed(sid, Operation::Find, Rights::READ)?);
        if !placed.is_in(&vas)? {
            return Err(Error::BadArgument);
        }
        vas.unmap(placed.offset..placed.offset + placed.length_bytes)
    }

    /// A segment's attributes; [`NameInfo::value`] is where it begins.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn segment_attributes(&self, sid: Sid) -> Result<NameInfo, Error> {
        self.names.about(Operation::Info, Class::Segment, sid.0.as_str()).map(NameInfo::decode)
    }

    /// Gives a segment another mode, which holds for what is attached from then on.
    ///
    /// # Errors
    /// As [`Process::set_attributes`].
    pub fn set_segment_attributes(&self, sid: Sid, mode: Mode) -> Result<(), Error> {
        self.names.set_mode(Class::Segment, sid.0.as_str(), mode)
    }

    /// A VAS, to change what is attached to it, which no claim to the VAS minds.
    fn changed(&self, vid: Vid) -> Result<Cap<Subtree>, Error> {
        let rights = Rights::MAP | Rights::INSPECT;
        self.names.find_in(Operation::Find, Class::Space, vid.0.as_str(), rights).map(|(vas, _)| vas)
    }

    fn placed(&self, sid: Sid, operation: Operation, rights: Rights) -> Result<Placed, Error> {
        let (segment, start) = self.names.find_in::<Segment>(operation, Class::Segment, sid.0.as_str(), rights)?;
        let length_bytes = segment.info()?.length_bytes;
        Ok(Placed { segment, offset: start - START, length_bytes })
    }
}

impl Placed {
    /// Whether it is attached to a VAS.
    fn is_in(&self, vas: &Cap<Subtree>) -> Result<bool, Error> {
        let own = self.segment.capability_info()?.object;
        let found = vas.mappings(self.offset).next().transpose()?;
        Ok(found.is_some_and(|found| {
            (found.address, found.kind, found.object) == (self.offset, ObjectKind::Segment as u64, own)
        }))
    }
}

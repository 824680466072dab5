//! Clones of a VAS: another one that begins with all that it holds.

use super::{Access, Attached, LOCKED, Process, START, Vid};
use crate::names::{Class, Mode, Operation};
use crate::{Cap, Error, PAGE_BYTES, Rights, Segment, Subtree, program};
use tessera_abi::ObjectKind;
use tessera_abi::layout::MappingInfo;

impl Process<'_> {
    /// Makes a VAS of another name that begins with all that one holds (`vas_clone`): whichever is written to, the other does not see
    /// it. It has the same addresses and no segments with names, has a lock if that one has, and is paid by the program's account. That
    /// one is attached for reading meanwhile; one with a lock is entered, unless the thread is in it.
    ///
    /// Pages are copied when they are written to, as [`Subtree::clone_of`] does, if the kernel lets them be: if that VAS is a clone itself,
    /// of this program's making, and its mode lets this program write. Else they are copied at once: mappings of segments with names can
    /// be taken back by themselves, and would be from the clone as well.
    ///
    /// # Errors
    /// `Exists`, `NotFound`, `BadText`; `Busy` if anybody has it attached to write; `MissingRight` if the mode withholds reading;
    /// `Deadlock` as [`Cap::enter`]; `BadState` if something else than segments is mapped in it;
    /// `LimitReached` for a segment of more than 1 GiB; and those of [`Subtree::kept_clone_of`], [`Segment::new`] and [`Cap::map`].
    pub fn clone_of(&self, vid: Vid, name: &str, mode: Mode) -> Result<Vid, Error> {
        let kind = self.attributes(vid)?.value;
        let shown = self.shown(vid, Access::Read)?;
        let is_inside = self.active().is_ok_and(|active| active == Some(vid));
        let clone = match kind {
            LOCKED if !is_inside => shown.space.enter(|| self.copied(vid, &shown))??,
            _ => self.copied(vid, &shown)?,
        };
        self.register(name, clone, mode, kind)
    }

    fn copied(&self, vid: Vid, shown: &Attached) -> Result<Cap<Subtree>, Error> {
        let rights = Rights::READ | Rights::MAP | Rights::INSPECT;
        let whole = self.names.find_in::<Subtree>(Operation::Find, Class::Space, vid.0.as_str(), rights);
        match whole.and_then(|(vas, _)| Subtree::kept_clone_of(program().account(), &vas)) {
            // Not all of it may be changed; another one pays for it; something has a name.
            Err(Error::MissingRight | Error::BadArgument | Error::BadState) => {}
            made => return made,
        }
        let clone = Subtree::new(program().account())?;
        for mapping in shown.subtree.mappings(0) {
            copy(shown, &mapping?, &clone)?;
        }
        Ok(clone)
    }
}

/// Maps in a clone what is mapped, with memory of its own.
fn copy(shown: &Attached, mapping: &MappingInfo, clone: &Cap<Subtree>) -> Result<(), Error> {
    if mapping.kind != ObjectKind::Segment as u64 {
        return Err(Error::BadState);
    }
    let length_bytes = mapping.length_bytes;
    let segment = Segment::new(program().account(), length_bytes)?;
    let window = program().window(&segment, 0..length_bytes, Rights::READ_WRITE)?;
    let mut page = [0; PAGE_BYTES as usize];
    for offset in (0..length_bytes).step_by(page.len()) {
        shown.space.read(START + mapping.address + offset, &mut page)?;
        window.write(offset, &page)?;
    }
    drop(window);
    clone.map(mapping.address, &segment, 0..length_bytes, Rights::from_bits_truncate(mapping.rights as u32))
}

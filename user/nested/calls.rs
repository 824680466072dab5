//! The system calls that a supervisor serves: those by which a program of libvas makes spaces, memory and guests, and speaks.
//!
//! Each is made with the supervisor's own call, on what the guest may name, so a supervisor can serve it whose own calls are served
//! so. Whatever memory a guest names is in its space.

use crate::child::Child;
use alloc::vec;
use alloc::vec::Vec;
use libvas::layout::Words;
use libvas::{Account, Cap, Error, Guest, Handle, Segment, Space, Subtree, clock, console, guest};
use tessera_abi::Call;

/// The most bytes that one call copies.
const COPIED_MAX: u64 = 1 << 16;

/// What became of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Served {
    /// The guest goes on with this.
    Goes(Result<u64, Error>),
    /// It has ended, with this code.
    Exits(u64),
}

impl Child {
    /// Serves a call.
    pub(crate) fn serve(&mut self, call: Call) -> Served {
        match call {
            Call::ThreadExit { code } => Served::Exits(code),
            _ => Served::Goes(self.make_or_use(call)),
        }
    }

    fn make_or_use(&mut self, call: Call) -> Result<u64, Error> {
        match call {
            Call::AccountCreate { account, bytes } => {
                let made = self.held.named::<Account>(account)?.split(bytes)?;
                self.held.keep(made)
            }
            Call::SpaceCreate { account } => {
                let made = Space::new(&*self.held.named(account)?)?;
                self.held.keep(made)
            }
            Call::SubtreeCreate { account, level: 3 } => {
                let made = Subtree::new(&*self.held.named(account)?)?;
                self.held.keep(made)
            }
            Call::SegmentCreate { account, length_bytes, flags } => self.make_segment(account, length_bytes, flags),
            Call::GuestCreate { account, segment, offset } => {
                let (account, segment) = (self.held.named(account)?, self.held.named(segment)?);
                self.held.keep(Cap::new_guest(&account, &segment, offset)?)
            }
            Call::CapabilityDerive { handle, rights, badge } => {
                let made = self.held.named::<Segment>(handle)?.derive(rights, badge)?;
                self.held.keep(made)
            }
            Call::CapabilityDelete { handle } => self.held.delete(handle).map(|()| 0),
            _ => self.use_only(call),
        }
    }

    fn make_segment(&mut self, account: Handle, length_bytes: u64, flags: u64) -> Result<u64, Error> {
        let account = self.held.named(account)?;
        let made = match flags {
            0 => Segment::new(&account, length_bytes),
            1 => Segment::new_lazy(&account, length_bytes),
            _ => Err(Error::BadArgument),
        };
        self.held.keep(made?)
    }

    fn use_only(&self, call: Call) -> Result<u64, Error> {
        match call {
            Call::Clock {} => Ok(clock::now().as_nanos() as u64),
            Call::ConsoleWrite { text, length_bytes } => self.speak(text, length_bytes),
            Call::AccountInfo { account, buffer } => {
                let mut words = [0; libvas::layout::AccountInfo::COUNT];
                self.held.named::<Account>(account)?.info()?.write(&mut words);
                self.tell(buffer, &words)
            }
            Call::CapabilityInfo { handle, buffer } => {
                let mut words = [0; libvas::layout::CapabilityInfo::COUNT];
                self.held.named::<Segment>(handle)?.capability_info()?.write(&mut words);
                self.tell(buffer, &words)
            }
            Call::SubtreeAttach { target, subtree, address, bounds, flags: 1 } => self
                .held
                .named::<Space>(target)?
                .attach_window(address, &*self.held.named(subtree)?, bounds)
                .map(|()| 0),
            // Whether it is a space or a subtree that is changed the kernel finds out.
            Call::Map { target, segment, offset, address, length_bytes, rights } => {
                let range = offset..offset.checked_add(length_bytes).ok_or(Error::BadArgument)?;
                self.held.named::<Space>(target)?.map(address, &*self.held.named(segment)?, range, rights).map(|()| 0)
            }
            Call::Unmap { target, address, length_bytes } => {
                let end = address.checked_add(length_bytes).ok_or(Error::BadAddress)?;
                self.held.named::<Space>(target)?.unmap(address..end).map(|()| 0)
            }
            Call::MemoryRead { space, address, buffer, length_bytes } => {
                let mut bytes = room_for(length_bytes)?;
                self.held.named::<Space>(space)?.read(address, &mut bytes)?;
                self.space.write(buffer, &bytes).map_err(|_| Error::BadPointer).map(|()| 0)
            }
            Call::MemoryWrite { space, address, buffer, length_bytes } => {
                let bytes = self.bytes_at(buffer, length_bytes)?;
                self.held.named::<Space>(space)?.write(address, &bytes).map(|()| 0)
            }
            Call::GuestStateBytes {} => guest::state_bytes(),
            Call::GuestRun { guest, space, flags, deadline_ns } => {
                let (guest, space) = (self.held.named::<Guest>(guest)?, self.held.named::<Space>(space)?);
                // SAFETY: what a guest may name are spaces that were made for it, which have nothing of this program.
                unsafe { guest.run(&*space, flags, deadline_ns) }.map(|end| end as u64)
            }
            _ => Err(Error::BadCall),
        }
    }

    /// Says what the guest says, behind a mark: so many marks, so many supervisors.
    fn speak(&self, text: u64, length_bytes: u64) -> Result<u64, Error> {
        let mut said = Vec::from(*b"   | ");
        said.extend(self.bytes_at(text, length_bytes)?);
        let said = core::str::from_utf8(&said).map_err(|_| Error::BadText)?;
        console::write(said).map(|()| 0)
    }

    fn bytes_at(&self, address: u64, length_bytes: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = room_for(length_bytes)?;
        self.space.read(address, &mut bytes).map_err(|_| Error::BadPointer)?;
        Ok(bytes)
    }

    /// Fills in a structure for the guest.
    fn tell(&self, buffer: u64, words: &[u64]) -> Result<u64, Error> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.space.write(buffer, &bytes).map_err(|_| Error::BadPointer).map(|()| 0)
    }
}

fn room_for(length_bytes: u64) -> Result<Vec<u8>, Error> {
    if length_bytes > COPIED_MAX {
        return Err(Error::BadArgument);
    }
    Ok(vec![0; length_bytes as usize])
}

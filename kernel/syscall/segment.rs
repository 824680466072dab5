//! Calls on segments.

use alloc::boxed::Box;

use tessera_abi::layout::SegmentInfo;
use tessera_abi::{Error, Handle, PAGE_BYTES, Rights};

use super::{Caller, Result};
use crate::object::account::{object_bytes, open_charge};
use crate::object::id::ObjectRef;
use crate::object::segment::{LENGTH_MAX_BYTES, Segment};

/// Flag of `segment_create`: populate on first touch.
const ON_FIRST_TOUCH: u64 = 1;

impl Caller<'_> {
    pub(super) fn segment_create(&mut self, account: Handle, length_bytes: u64, flags: u64) -> Result<u64> {
        let (account, payer) = self.payer(account, Rights::CHARGE)?;
        if !length_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        if length_bytes == 0 || length_bytes > LENGTH_MAX_BYTES || flags > ON_FIRST_TOUCH {
            return Err(Error::BadArgument);
        }
        let pages = length_bytes / PAGE_BYTES;
        let populated = if flags == ON_FIRST_TOUCH { 0 } else { pages };
        let bytes = Segment::new_bytes(pages, populated == 0);
        self.kernel.segments.ensure_room()?;
        payer.ensure_object::<Segment>(bytes)?;
        self.kernel.ensure_frames(populated)?;
        self.ensure_can_create(if populated == 0 { 0 } else { Segment::heap_pages(pages) })?;
        self.kernel.reserve_block(Segment::list_bytes(pages))?;
        // Once more: the heap may have taken some.
        self.kernel.ensure_frames(populated)?;
        let mut segment = Box::new(Segment::new(account, pages)?);
        if populated != 0 {
            segment.populate(&mut self.kernel.frames);
        }
        // What `charge` would find, and is at hand.
        open_charge(&mut self.kernel.accounts, account, object_bytes::<Segment>() + bytes);
        let id = self.kernel.segments.insert_boxed(segment);
        Ok(self.kernel.insert_first(self.table, ObjectRef::Segment(id)).bits())
    }

    pub(super) fn segment_info(&mut self, segment: Handle, buffer: u64) -> Result<u64> {
        let (_, object, rights) = self.capability(segment)?;
        let ObjectRef::Segment(id) = object else { return Err(Error::WrongObject) };
        if !rights.intersects(Rights::READ | Rights::CONTROL) {
            return Err(Error::MissingRight);
        }
        let segment = &self.kernel.segments[id];
        let info = SegmentInfo {
            length_bytes: segment.pages() * PAGE_BYTES,
            populated_bytes: segment.populated_pages() * PAGE_BYTES,
            mappings: segment.mappings,
        };
        self.write(buffer, &info).map(|()| 0)
    }
}

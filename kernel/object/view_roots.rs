//! The root tables that the views of a space show it by: one for each kind of bounds.
//!
//! What a view's root holds follows from its base and its bounds alone, so views that agree on both use the same root, each
//! under a tag of its own. A change of the base's root is brought over four times at most, however many views there are.
//! How many use a root is noted with its frame.

use tessera_abi::Rights;
use tessera_arch::Frame;

use crate::mem::FrameAllocator;

/// What a view may allow besides reading: nothing, writing, executing, or both.
const BOUNDS: usize = 4;

/// In the place of the number of a frame: no view allows just that.
const NONE: u32 = u32::MAX;

/// The roots of a space's views, by number of frame.
#[derive(Debug)]
pub struct ViewRoots([u32; BOUNDS]);

impl Default for ViewRoots {
    #[inline(always)]
    fn default() -> ViewRoots {
        ViewRoots([NONE; BOUNDS])
    }
}

impl ViewRoots {
    /// The root of the views that allow this much, if there are any.
    pub fn root(&self, bounds: Rights) -> Option<Frame> {
        frame_of(self.0[place_of(bounds)])
    }

    /// Notes one view more, which has the root of the others that allow as much; gives that, if there are any.
    #[inline(always)]
    pub fn share(&self, frames: &mut FrameAllocator, bounds: Rights) -> Option<Frame> {
        let root = self.root(bounds)?;
        let views = frames.table_owner(root);
        frames.set_table_owner(root, views + 1);
        Some(root)
    }

    /// Notes the root of the first view that allows this much.
    #[inline(always)]
    pub fn begin(&mut self, frames: &mut FrameAllocator, bounds: Rights, root: Frame) {
        frames.set_table_owner(root, 1);
        debug_assert!(root.number() < u64::from(NONE), "memory ends before 16 TiB");
        self.0[place_of(bounds)] = root.number() as u32;
    }

    /// Notes one view less; gives its root if no other uses it.
    ///
    /// # Panics
    /// If there is none.
    #[must_use = "a root that nobody uses is to be freed"]
    pub fn remove(&mut self, frames: &mut FrameAllocator, bounds: Rights) -> Option<Frame> {
        let root = self.root(bounds).expect("a view has a root");
        let views = frames.table_owner(root) - 1;
        frames.set_table_owner(root, views);
        if views != 0 {
            return None;
        }
        self.0[place_of(bounds)] = NONE;
        Some(root)
    }

    /// All roots that views use, with what these allow.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = (Rights, Frame)> {
        let all = self.0.iter().enumerate();
        all.filter_map(|(place, number)| frame_of(*number).map(|root| (bounds_at(place), root)))
    }
}

fn frame_of(number: u32) -> Option<Frame> {
    (number != NONE).then(|| Frame::new(u64::from(number)))
}

fn place_of(bounds: Rights) -> usize {
    usize::from(bounds.contains(Rights::WRITE)) | usize::from(bounds.contains(Rights::EXECUTE)) << 1
}

fn bounds_at(place: usize) -> Rights {
    let write = if place & 1 != 0 { Rights::WRITE } else { Rights::empty() };
    let execute = if place & 2 != 0 { Rights::EXECUTE } else { Rights::empty() };
    Rights::READ | write | execute
}

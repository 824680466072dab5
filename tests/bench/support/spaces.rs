//! Spaces that the thread switches among, and its way home.

use alloc::vec::Vec;
use libvas::{Cap, Error, Handle, Space, program};

/// So many spaces that show the program.
pub(crate) fn spaces(count: u64) -> Result<Vec<Cap<Space>>, Error> {
    (0..count).map(|_| program().new_space()).collect()
}

/// Back to the program's own space.
#[inline(always)]
pub(crate) fn go_home() -> Result<(), Error> {
    program().space().switch().map(|_: Handle| ())
}

/// The space that the thread is in; dropped, it goes home first, for a space goes with its last capability.
pub(crate) struct Visit(#[expect(dead_code, reason = "kept until the thread has left")] pub(crate) Cap<Space>);

impl Drop for Visit {
    fn drop(&mut self) {
        // Refused, the thread ends when the space goes, which nobody can miss.
        let _ = go_home();
    }
}

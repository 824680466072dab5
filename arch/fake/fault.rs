//! What a fault tells of: here the number of the access.

use crate::Access;

/// What a fault tried to do: 0 to read, 1 to write, 2 to execute. Others are no page's.
pub fn page_access(syndrome: u64) -> Option<Access> {
    [Access::Read, Access::Write, Access::Execute].get(usize::try_from(syndrome).ok()?).copied()
}

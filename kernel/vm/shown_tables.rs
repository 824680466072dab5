//! Counting the tables of others that a space shows: of subtrees attached to it, and of those attached to these. Each counts as
//! often as it shows.
//!
//! Nobody keeps that number: an attached subtree grows without asking who shows it. So it is counted in steps, place by place.
//! What is attached to a subtree is counted once for all places side by side.

use crate::base::effort::Effort;
use crate::base::steps;
use crate::object::id::{MapTarget, SpaceId, SubtreeId};
use crate::object::space::SLOT_PAGES;
use crate::paging::chunk::entry_pages;
use crate::state::kernel::Kernel;
use crate::vm::attach;

/// Effort of looking at a place.
const PLACE_UNITS: u32 = 60;

/// Pages of the smallest thing that can be attached: places are multiples of it.
const LEAST_PAGES: u64 = entry_pages(1);

/// How far a count has come, in a word.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// The next place to be looked at, of those of all CPUs; or, behind these, the slot and CPU of the next core window.
    place: u64,
    in_windows: bool,
    /// In the subtree at that place, where to go on.
    inner: u64,
}

const INNER_BITS: u32 = 20;

impl Cursor {
    fn of_word(word: u64) -> Cursor {
        let (inner, rest) = (word % (1 << INNER_BITS), word >> INNER_BITS);
        Cursor { place: rest >> 1, in_windows: rest & 1 != 0, inner }
    }

    fn to_word(self) -> u64 {
        (self.place << 1 | u64::from(self.in_windows)) << INNER_BITS | self.inner
    }
}

/// What was counted so far. Whoever asks may keep it between two steps: nothing depends on what it says but the answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Tables that were counted.
    pub tables: u64,
    /// Those of what is attached to the subtree at hand, and the number of that, plus one, once they are all counted.
    pub within: u64,
    /// As said.
    pub subtree: u64,
}

/// Counts further, from where a word says that the step before came to, 0 for the first. Gives where it came to, if that was not
/// the end.
pub fn count_further(kernel: &Kernel, space: SpaceId, with_windows: bool, word: u64, count: &mut Count) -> Option<u64> {
    let (mut cursor, mut effort) = (Cursor::of_word(word), Effort::of_entry());
    let map = &kernel.spaces[space].map;
    // Behind the last one there is nothing to be looked for, if all were seen in this step.
    let mut left = if word == 0 { map.attachments() - map.core_windows() } else { u64::MAX };
    loop {
        let has_more = left != 0 && !cursor.in_windows;
        let (subtree, behind) = subtree_at(kernel, space, (has_more, with_windows), &mut cursor)?;
        if !count_within(kernel, subtree, &mut cursor, count, &mut effort) {
            return Some(cursor.to_word());
        }
        let tables = kernel.subtrees[subtree].map.tree.tables;
        count.tables = count.tables.wrapping_add(tables).wrapping_add(count.within);
        (cursor.place, cursor.inner, left) = (behind, 0, left.saturating_sub(1));
        if !effort.spend(PLACE_UNITS) {
            return Some(cursor.to_word());
        }
    }
}

/// The subtree at the first place from the cursor on, which moves there, and the place behind it. `has_more` says whether it may
/// be attached on every CPU, `with_windows` whether it may be in a core window.
fn subtree_at(
    kernel: &Kernel,
    space: SpaceId,
    (has_more, with_windows): (bool, bool),
    cursor: &mut Cursor,
) -> Option<(SubtreeId, u64)> {
    steps::count();
    let owner = MapTarget::Space(space);
    if has_more {
        let page = cursor.place * LEAST_PAGES;
        if let Some((place, found)) = attach::attachments_between(kernel, owner, page, u64::MAX).next() {
            cursor.place = place.page / LEAST_PAGES;
            return Some((found.subtree, (place.page + found.pages()) / LEAST_PAGES));
        }
    }
    if !cursor.in_windows {
        *cursor = Cursor { place: 0, in_windows: true, inner: 0 };
    }
    let cpus = kernel.cpus() as u64;
    let first = cursor.place / cpus * SLOT_PAGES;
    let number = |page: u64, cpu: Option<usize>| page / SLOT_PAGES * cpus + cpu.unwrap_or(0) as u64;
    let mut windows = attach::core_windows(kernel, owner, first, if with_windows { u64::MAX } else { 0 });
    let (place, found) = windows.find(|(place, _)| number(place.page, place.cpu) >= cursor.place)?;
    cursor.place = number(place.page, place.cpu);
    Some((found.subtree, cursor.place + 1))
}

/// Counts the tables of what is attached to a subtree, if that is not the one at hand; gives whether it came to the end.
fn count_within(
    kernel: &Kernel,
    subtree: SubtreeId,
    cursor: &mut Cursor,
    count: &mut Count,
    effort: &mut Effort,
) -> bool {
    let number = u64::from(subtree.index()) + 1;
    if count.subtree == number && cursor.inner == 0 {
        return true;
    }
    if cursor.inner == 0 {
        (count.subtree, count.within) = (0, 0);
    }
    let owner = MapTarget::Subtree(subtree);
    while let Some((place, found)) =
        attach::attachments_between(kernel, owner, cursor.inner * LEAST_PAGES, u64::MAX).next()
    {
        steps::count();
        count.within = count.within.wrapping_add(kernel.subtrees[found.subtree].map.tree.tables);
        cursor.inner = (place.page + found.pages()) / LEAST_PAGES;
        if !effort.spend(PLACE_UNITS) {
            return false;
        }
    }
    (count.subtree, cursor.inner) = (number, 0);
    true
}

//! Counting the tables of others that a space shows: of subtrees attached to it, and of those attached to these. Each counts as
//! often as it shows.
//!
//! Nobody keeps that number: an attached subtree grows without asking who shows it. So it is counted in steps, place by place.
//! What is attached to a subtree is counted once for all places side by side.

use crate::base::effort::Effort;
use crate::object::id::{MapTarget, SpaceId, SubtreeId};
use crate::object::space::SLOT_PAGES;
use crate::paging::chunk::entry_pages;
use crate::state::kernel::Kernel;
use crate::vm::next_attachment::{Next, next_attachment, next_core_window};

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
        let (subtree, behind) = match subtree_at(kernel, space, (has_more, with_windows), &mut cursor, &mut effort) {
            Place::Shows(subtree, behind) => (subtree, behind),
            Place::Nothing => return None,
            Place::Left => return Some(cursor.to_word()),
        };
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

/// What is at the first place from a cursor on that shows a subtree.
enum Place {
    /// This subtree; and the place behind it.
    Shows(SubtreeId, u64),
    /// There is no such place.
    Nothing,
    /// It is still to be looked for.
    Left,
}

/// Looks for the first place from the cursor on, which moves there, or to where it has to go on. `has_more` says whether it may
/// be attached on every CPU, `with_windows` whether it may be in a core window.
#[inline(always)]
fn subtree_at(
    kernel: &Kernel,
    space: SpaceId,
    (has_more, with_windows): (bool, bool),
    cursor: &mut Cursor,
    effort: &mut Effort,
) -> Place {
    let owner = MapTarget::Space(space);
    if has_more {
        match next_attachment(kernel, owner, cursor.place * LEAST_PAGES, u64::MAX, effort) {
            Next::Found(place, found) => {
                cursor.place = place.page / LEAST_PAGES;
                return Place::Shows(found.subtree, (place.page + found.pages()) / LEAST_PAGES);
            }
            Next::Left(page) => {
                cursor.place = page / LEAST_PAGES;
                return Place::Left;
            }
            Next::Nothing => {}
        }
    }
    if !cursor.in_windows {
        *cursor = Cursor { place: 0, in_windows: true, inner: 0 };
    }
    if with_windows { window_at(kernel, owner, cursor, effort) } else { Place::Nothing }
}

/// The same among core windows.
#[inline(always)]
fn window_at(kernel: &Kernel, owner: MapTarget, cursor: &mut Cursor, effort: &mut Effort) -> Place {
    let cpus = kernel.cpus() as u64;
    let from = (cursor.place / cpus * SLOT_PAGES, (cursor.place % cpus) as usize);
    let number = |page: u64, cpu: Option<usize>| page / SLOT_PAGES * cpus + cpu.unwrap_or(0) as u64;
    match next_core_window(kernel, owner, from, u64::MAX, effort) {
        Next::Found(place, found) => {
            cursor.place = number(place.page, place.cpu);
            Place::Shows(found.subtree, cursor.place + 1)
        }
        Next::Left(page) => {
            cursor.place = number(page, None);
            Place::Left
        }
        Next::Nothing => Place::Nothing,
    }
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
    loop {
        match next_attachment(kernel, owner, cursor.inner * LEAST_PAGES, u64::MAX, effort) {
            Next::Found(place, found) => {
                count.within = count.within.wrapping_add(kernel.subtrees[found.subtree].map.tree.tables);
                cursor.inner = (place.page + found.pages()) / LEAST_PAGES;
                if !effort.spend(PLACE_UNITS) {
                    return false;
                }
            }
            Next::Left(page) => {
                cursor.inner = page / LEAST_PAGES;
                return false;
            }
            Next::Nothing => break,
        }
    }
    (count.subtree, cursor.inner) = (number, 0);
    true
}

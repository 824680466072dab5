//! Uses: what was done with capabilities and lasts, so that it can be taken back when they are.
//!
//! A mapping is a use of the capability to its segment, an attachment one of that to its subtree; a thread in a space, and
//! a fallback that leads there, are uses of the capability by which they came. Each stands in the derivation list, beside
//! its capability (`derivation`). Object and use know each other: by the number of the use, and by what it says of itself.
//!
//! Uses are small and many, come and go with every mapping, and must stay where they are, as neighbours know their numbers.
//! So they have pages of their own, sixty-four in each. A page without uses goes, but for one, and
//! for what is promised: what an object that exists may yet take, whatever memory there is then.

use alloc::boxed::Box;
use alloc::vec::Vec;

use tessera_abi::{Handle, ObjectKind, PAGE_BYTES};

use crate::cpu::cap_word::CapWord;
use crate::mem::FrameAllocator;
use crate::object::id::{AttachPoint, MapTarget, UseId};
use crate::object::neighbour::Neighbour;

/// Uses in a page: a power of two, so that one is found by a shift.
const PAGE_USES: u32 = 64;

/// Where there is no page, or no free use.
const NONE: u32 = u32::MAX;

/// Free uses beyond those that are promised, from which on a page without uses goes: one stays.
const SPARE_USES: u64 = 2 * PAGE_USES as u64;

/// What a use costs, bytes.
pub const USE_BYTES: u64 = PAGE_BYTES.div_ceil(PAGE_USES as u64);

/// Bits of a marker's badge for what its thread has counted; above them is when it moved last.
const COUNTED_BITS: u32 = 30;
const COUNTED_MAX: u64 = (1 << COUNTED_BITS) - 1;

/// What is used, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum UseKind {
    /// Nothing: it is free.
    Free,
    /// Not a use: where the list of an object's capabilities begins and ends.
    Object,
    /// A segment's pages are mapped.
    Mapping,
    /// A subtree is attached.
    Attachment,
    /// A view shows a space.
    View,
    /// A thread is in a space.
    Inside,
    /// A thread falls back to a space.
    Fallback,
    /// A gate leads into a space, or with a table.
    Gate,
    /// A thread goes back to a space when a call returns.
    Suspended,
    /// A thread is in a call of a gate.
    Called,
    /// A guest's state is in a page of a segment.
    State,
    /// A gate is the handler of a thread, a space or a subtree.
    Handler,
    /// Not a use: how far a thread has come that goes through the list.
    Marker,
}

/// One use.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Use {
    pub(super) previous: Neighbour,
    pub(super) next: Neighbour,
    /// What it is.
    pub kind: UseKind,
    /// Whether the number is a space's; of mappings and attachments.
    is_in_space: bool,
    /// Of the space or subtree that shows something, of the view, of the thread, of the object.
    pub number: u32,
    /// Where in it: a mapping's first page, an attachment's place; the kind of the object, or of what has the handler; a marker's handle.
    at: u64,
    /// The badge of the capability that was used; of a marker, when it moved last, and what its thread has counted.
    pub badge: u64,
}

const _: () = assert!(size_of::<Use>() == 64, "a use is a cache line");
const _: () = assert!(size_of::<Page>() == PAGE_BYTES as usize, "a page of uses is a page of the heap");

impl Use {
    const FREE: Use = Use {
        previous: Neighbour::NOBODY,
        next: Neighbour::NOBODY,
        kind: UseKind::Free,
        is_in_space: false,
        number: NONE,
        at: 0,
        badge: 0,
    };

    #[inline(always)]
    fn new(kind: UseKind, number: u32) -> Use {
        Use { kind, number, ..Use::FREE }
    }

    /// Where the capabilities of an object are listed, by its word: from the first one's beginning to the last one's end.
    #[inline(always)]
    pub(super) fn object(word: CapWord, last: Neighbour, first: Neighbour) -> Use {
        let at = word.kind().map_or(0, |kind| kind as u64);
        Use { previous: last, next: first, at, ..Use::new(UseKind::Object, word.index()) }
    }

    /// A mapping that begins at a page.
    #[inline(always)]
    pub fn mapping(owner: MapTarget, page: u64) -> Use {
        Use::of_owner(UseKind::Mapping, owner, page)
    }

    /// An attachment.
    #[inline(always)]
    pub fn attachment(owner: MapTarget, place: AttachPoint) -> Use {
        Use::of_owner(UseKind::Attachment, owner, place.key())
    }

    #[inline(always)]
    fn of_owner(kind: UseKind, owner: MapTarget, at: u64) -> Use {
        let (is_in_space, number) = match owner {
            MapTarget::Space(id) => (true, id.index()),
            MapTarget::Subtree(id) => (false, id.index()),
        };
        Use { is_in_space, at, ..Use::new(kind, number) }
    }

    /// One that a number tells: of a thread in a space, or that falls back to one, of a view.
    #[inline(always)]
    pub fn of_number(kind: UseKind, number: u32) -> Use {
        Use::new(kind, number)
    }

    /// One that is the handler of an object.
    pub fn handler(kind: ObjectKind, number: u32) -> Use {
        Use { at: kind as u64, ..Use::new(UseKind::Handler, number) }
    }

    /// One of an activation of a thread that is suspended: of so many below.
    pub fn of_level(kind: UseKind, thread: u32, level: usize) -> Use {
        Use { at: level as u64, ..Use::new(kind, thread) }
    }

    /// Of how many below.
    pub fn level(&self) -> usize {
        self.at as usize
    }

    /// How far a thread has come in what stands below the capability that one of its handles names. It has counted nothing yet.
    pub fn marker(thread: u32, handle: Handle, moved: u64) -> Use {
        Use { at: handle.bits(), badge: moved << COUNTED_BITS, ..Use::new(UseKind::Marker, thread) }
    }

    /// Whether a marker was put below the capability that this handle names.
    pub fn is_left_below(&self, handle: Handle) -> bool {
        self.at == handle.bits()
    }

    /// The same between two neighbours, through a capability with this badge.
    #[inline(always)]
    pub(super) fn standing(self, previous: Neighbour, next: Neighbour, badge: u64) -> Use {
        Use { previous, next, badge, ..self }
    }

    /// The kind of the object whose capabilities are listed, or that has the handler.
    pub fn object_kind(&self) -> Option<ObjectKind> {
        ObjectKind::from_number(self.at)
    }

    /// Whether what shows a mapping or attachment is a space.
    #[inline(always)]
    pub fn is_in_space(&self) -> bool {
        self.is_in_space
    }

    /// A mapping's first page.
    #[inline(always)]
    pub fn page(&self) -> u64 {
        self.at
    }

    /// The same, of a mapping that begins at another page.
    pub(super) fn at(&self, page: u64) -> Use {
        Use { at: page, ..*self }
    }

    /// An attachment's place.
    #[inline(always)]
    pub fn attach_point(&self) -> AttachPoint {
        AttachPoint::of_key(self.at)
    }
}

/// A page of uses.
type Page = [Use; PAGE_USES as usize];

/// What is known of a page.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// The first free use; the next is in its `number`.
    free: u32,
    used: u32,
    /// The pages with free uses before and behind this one, if it has any.
    before: u32,
    behind: u32,
}

/// All uses.
#[derive(Debug)]
pub struct UsePool {
    pages: Vec<Option<Box<Page>>>,
    heads: Vec<Head>,
    /// The first page with free uses.
    open: u32,
    /// The last one. Pages without uses are behind all others.
    last: u32,
    /// Places in the list of pages that have none any more.
    vacant: Vec<u32>,
    count: u64,
    /// Free uses in all pages, and how many of them are promised.
    free: u64,
    promised: u64,
    /// How often markers have moved.
    moves: u64,
}

impl UsePool {
    /// A pool for as many uses as can be paid for with so much memory. Takes the room for its lists at once.
    pub fn for_memory(frames: &mut FrameAllocator, memory_bytes: u64) -> UsePool {
        let pages = (memory_bytes / PAGE_BYTES) as usize + 1;
        crate::mem::provide_list::<Option<Box<Page>>>(frames, pages);
        crate::mem::provide_list::<Head>(frames, pages);
        crate::mem::provide_list::<u32>(frames, pages);
        let (heads, vacant) = (Vec::with_capacity(pages), Vec::with_capacity(pages));
        UsePool {
            pages: Vec::with_capacity(pages),
            heads,
            open: NONE,
            last: NONE,
            vacant,
            count: 0,
            free: 0,
            promised: 0,
            moves: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// What the pages take of the heap now, bytes.
    pub fn held_bytes(&self) -> u64 {
        (self.pages.len() - self.vacant.len()) as u64 * PAGE_BYTES
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Counts that a marker moves, or is put in.
    #[inline(always)]
    pub fn count_move(&mut self) -> u64 {
        self.moves += 1;
        self.moves
    }

    /// Notes that a marker has moved: who has seen where it stood does not know it any more.
    #[inline(never)]
    pub fn note_moved(&mut self, marker: UseId) {
        let moved = self.count_move();
        let marker = self.get_mut(marker);
        marker.badge = moved << COUNTED_BITS | marker.badge & COUNTED_MAX;
    }

    /// When a marker has moved last, if this is one.
    pub fn moved(&self, marker: UseId) -> Option<u64> {
        let (page, at) = place_of(marker);
        let lent = &self.pages.get(page)?.as_deref()?[at];
        (lent.kind == UseKind::Marker).then_some(lent.badge >> COUNTED_BITS)
    }

    /// What a marker's thread has counted.
    pub fn counted(&self, marker: UseId) -> u64 {
        self.get(marker).badge & COUNTED_MAX
    }

    /// Notes what a marker's thread has counted.
    pub fn note_counted(&mut self, marker: UseId, counted: u64) {
        let marker = self.get_mut(marker);
        marker.badge = marker.badge & !COUNTED_MAX | counted.min(COUNTED_MAX);
    }

    /// A use that exists.
    #[inline(always)]
    pub fn get(&self, id: UseId) -> &Use {
        let (page, at) = place_of(id);
        &self.pages[page].as_deref().expect(EXISTS)[at]
    }

    /// The same, to be changed.
    #[inline(always)]
    pub(super) fn get_mut(&mut self, id: UseId) -> &mut Use {
        let (page, at) = place_of(id);
        &mut self.pages[page].as_deref_mut().expect(EXISTS)[at]
    }

    /// Notes that a thread is not in a space now but goes back to it, or the other way round.
    pub fn set_kind(&mut self, id: UseId, kind: UseKind, level: usize) {
        let lent = self.get_mut(id);
        (lent.kind, lent.at) = (kind, level as u64);
    }

    /// Notes that a mapping begins at another page now.
    pub(super) fn set_page(&mut self, id: UseId, page: u64) {
        self.get_mut(id).at = page;
    }

    /// Whether two uses stand side by side and have the same badge, so that whatever takes one back takes the other back.
    pub fn are_alike(&self, one: UseId, other: UseId) -> bool {
        let (left, right) = (self.get(one), self.get(other));
        left.badge == right.badge && [left.previous, left.next].contains(&Neighbour::of_use(other))
    }

    /// Sees that one more use can be taken in later, when the heap may have no page. Now it has one.
    #[inline(always)]
    pub fn promise(&mut self) {
        self.promised += 1;
        if self.promised > self.free {
            self.add_page();
        }
    }

    /// Takes a promise back.
    #[inline(always)]
    pub fn unpromise(&mut self) {
        self.promised -= 1;
        if self.free >= self.promised + SPARE_USES {
            self.let_page_go();
        }
    }

    /// Takes a use in for which there is a promise.
    pub fn insert_promised(&mut self, value: Use) -> UseId {
        self.promised -= 1;
        self.insert(value)
    }

    /// Lets a use go, for which there is a promise again.
    pub(super) fn remove_promised(&mut self, id: UseId) -> Use {
        self.promised += 1;
        self.remove(id)
    }

    /// Takes a use in, and gives its name. The heap has a page.
    #[inline(always)]
    pub(super) fn insert(&mut self, value: Use) -> UseId {
        if self.free == self.promised {
            self.add_page();
        }
        self.count += 1;
        self.free -= 1;
        let number = self.open;
        let head = &mut self.heads[number as usize];
        let at = head.free;
        let place = &mut self.pages[number as usize].as_deref_mut().expect(EXISTS)[(at % PAGE_USES) as usize];
        head.free = place.number;
        head.used += 1;
        *place = value;
        if head.free == NONE {
            self.close(number);
        }
        UseId::new(number * PAGE_USES + at)
    }

    /// Lets a use go.
    #[inline(always)]
    pub(super) fn remove(&mut self, id: UseId) -> Use {
        self.count -= 1;
        self.free += 1;
        let (number, at) = place_of(id);
        let head = &mut self.heads[number];
        let place = &mut self.pages[number].as_deref_mut().expect(EXISTS)[at];
        let (gone, free) = (*place, core::mem::replace(&mut head.free, at as u32));
        head.used -= 1;
        (place.kind, place.number) = (UseKind::Free, free);
        if head.used == 0 || free == NONE {
            self.has_room_again(number as u32, free == NONE);
        }
        gone
    }

    /// All uses, with their names: for the checks.
    pub fn iter(&self) -> impl Iterator<Item = (UseId, &Use)> {
        let pages = (0_u32..).zip(&self.pages);
        let uses = pages.filter_map(|(number, page)| Some((number, page.as_ref()?)));
        let uses = uses.flat_map(|(number, page)| {
            (number * PAGE_USES..).zip(page.iter()).map(|(number, value)| (UseId::new(number), value))
        });
        uses.filter(|(_, value)| value.kind != UseKind::Free)
    }

    #[cold]
    #[inline(never)]
    fn add_page(&mut self) {
        let mut page = Box::new([Use::FREE; PAGE_USES as usize]);
        for (place, next) in page.iter_mut().zip(1..PAGE_USES) {
            place.number = next;
        }
        self.free += u64::from(PAGE_USES);
        let number = self.vacant.pop().unwrap_or(self.pages.len() as u32);
        let head = Head { free: 0, used: 0, before: NONE, behind: NONE };
        match self.pages.get_mut(number as usize) {
            Some(place) => (*place, self.heads[number as usize]) = (Some(page), head),
            None => {
                self.pages.push(Some(page));
                self.heads.push(head);
            }
        }
        self.append(number);
    }

    /// A page is full, or goes.
    #[cold]
    #[inline(never)]
    fn close(&mut self, number: u32) {
        let Head { before, behind, .. } = self.heads[number as usize];
        match self.heads.get_mut(before as usize) {
            Some(head) => head.behind = behind,
            None => self.open = behind,
        }
        match self.heads.get_mut(behind as usize) {
            Some(head) => head.before = before,
            None => self.last = before,
        }
    }

    /// A page that was full has a free use.
    fn reopen(&mut self, number: u32) {
        let behind = core::mem::replace(&mut self.open, number);
        let head = &mut self.heads[number as usize];
        (head.before, head.behind) = (NONE, behind);
        match self.heads.get_mut(behind as usize) {
            Some(head) => head.before = number,
            None => self.last = number,
        }
    }

    /// A page has no use, or none any more.
    fn append(&mut self, number: u32) {
        let before = core::mem::replace(&mut self.last, number);
        let head = &mut self.heads[number as usize];
        (head.before, head.behind) = (before, NONE);
        match self.heads.get_mut(before as usize) {
            Some(head) => head.behind = number,
            None => self.open = number,
        }
    }

    /// A page that was full has lost a use, or one has lost its last.
    #[cold]
    #[inline(never)]
    fn has_room_again(&mut self, number: u32, was_full: bool) {
        if was_full {
            self.reopen(number);
        }
        if self.heads[number as usize].used == 0 {
            self.close(number);
            self.append(number);
            if self.free >= self.promised + SPARE_USES {
                self.let_page_go();
            }
        }
    }

    /// There are more free uses than are promised, and likely to be wanted: a page goes, if there is one without uses.
    #[cold]
    #[inline(never)]
    fn let_page_go(&mut self) {
        let number = self.last;
        if self.heads.get(number as usize).is_some_and(|head| head.used == 0) {
            self.close(number);
            self.free -= u64::from(PAGE_USES);
            self.pages[number as usize] = None;
            self.vacant.push(number);
        }
    }
}

/// The page of a use, and its place in it.
#[inline(always)]
fn place_of(id: UseId) -> (usize, usize) {
    ((id.number() / PAGE_USES) as usize, (id.number() % PAGE_USES) as usize)
}

const EXISTS: &str = "who knows a use keeps its page";

#[cfg(test)]
mod tests {
    use super::{NONE, PAGE_BYTES, PAGE_USES, Use, UseId, UseKind, UsePool};

    fn pool() -> UsePool {
        UsePool {
            pages: Vec::new(),
            heads: Vec::new(),
            open: NONE,
            last: NONE,
            vacant: Vec::new(),
            count: 0,
            free: 0,
            promised: 0,
            moves: 0,
        }
    }

    #[test]
    fn uses_stay_where_they_are_and_places_are_used_again() {
        let mut pool = pool();
        let ids: Vec<_> = (0..1000).map(|number| pool.insert(Use::of_number(UseKind::Inside, number))).collect();
        assert!(ids.iter().zip(0..).all(|(id, number)| pool.get(*id).number == number));
        for id in ids.iter().step_by(2) {
            assert_eq!(pool.remove(*id).kind, UseKind::Inside);
        }
        assert_eq!(pool.len(), 500);
        assert!(ids.iter().zip(0..).skip(1).step_by(2).all(|(id, number)| pool.get(*id).number == number));
        let pages = pool.pages.len();
        let again: Vec<_> = (0..500).map(|number| pool.insert(Use::of_number(UseKind::Fallback, number))).collect();
        assert!(again.iter().all(|id| ids.contains(id)), "no place is made that there was");
        assert_eq!((pool.pages.len(), pool.len(), pool.iter().count()), (pages, 1000, 1000));
    }

    #[test]
    fn pages_without_uses_go_but_for_one() {
        let mut pool = pool();
        for _ in 0..3 {
            let ids: Vec<_> =
                (0..5 * PAGE_USES).map(|number| pool.insert(Use::of_number(UseKind::Inside, number))).collect();
            for id in ids {
                pool.remove(id);
            }
            assert_eq!((pool.pages.iter().flatten().count(), pool.held_bytes()), (1, PAGE_BYTES));
            assert!(pool.is_empty());
        }
        assert_eq!(pool.pages.len(), 5, "places of pages are used again");
    }

    #[test]
    fn a_use_is_as_small_in_an_option() {
        assert_eq!(size_of::<Option<UseId>>(), 4);
    }
}

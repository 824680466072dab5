//! The machine and the model side by side: two spaces, and a subtree that both show.

use host_tests::machine::BUFFER;
use host_tests::{Machine, Options, walker};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::{Flavour, oracle};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ObjectRef;

use crate::model::{Page, Segment, Space};

/// Where mappings begin in a space, and in the subtree, which is attached one entry further.
pub(crate) const FIRST: u64 = (TOP_SLOT_BYTES + 0x4000_0000) / PAGE_BYTES;
const SLOT_PAGES: u64 = TOP_SLOT_BYTES / PAGE_BYTES;
/// Pages in which mappings are made.
pub(crate) const PAGES: u64 = 3 * 512;
/// Pages that each segment has at first, and may grow to; how it is made.
pub(crate) const SEGMENTS: [(u64, u64, u64); 4] =
    [(1024, 1300, 4), (700, 1400, 5), (1, 600, 4), (128 * 512 - 100, 128 * 512 + 900, 5)];

/// What mappings are made in: two spaces, and the subtree.
pub(crate) const TARGETS: usize = 3;
const SUBTREE: usize = 2;

/// Both.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    pub(crate) handles: Vec<Handle>,
    pub(crate) segments: Vec<Segment>,
    targets: [Handle; TARGETS],
    pub(crate) spaces: [Space; TARGETS],
    charged_bytes: u64,
    mappings: u64,
    /// Whether derived capabilities are used to map.
    derived: Vec<Handle>,
}

impl Scene {
    pub(crate) fn new(flavour: Flavour) -> Scene {
        let mut machine = Machine::boot(&Options::new(flavour).frames(8192).slots(64));
        let charged_bytes = machine.kernel.accounts[machine.account_id].used_bytes();
        let account = machine.account;
        let spaces = [machine.new_space(), machine.new_space()];
        let subtree = machine.make(Call::SubtreeCreate { account, level: 3 });
        for space in spaces {
            machine.attach_program(space);
            let call = Call::SubtreeAttach {
                target: space,
                subtree,
                address: 2 * TOP_SLOT_BYTES,
                bounds: Rights::ACCESS,
                flags: 0,
            };
            machine.call(call).expect("the slot is free");
        }
        let handles = SEGMENTS.map(|(pages, _, flags)| machine.segment(pages * PAGE_BYTES, flags)).to_vec();
        let derive = |handle| Call::CapabilityDerive { handle, rights: Rights::all(), badge: 0 };
        let derived = handles.iter().map(|handle| machine.make(derive(*handle))).collect();
        oracle::watch();
        let segments = SEGMENTS.map(|(pages, _, flags)| Segment {
            pages,
            present: if flags & 1 == 0 { (0..pages).collect() } else { Default::default() },
            ..Segment::default()
        });
        let targets = [spaces[0], spaces[1], subtree];
        let spaces = Default::default();
        Scene { machine, handles, segments: segments.to_vec(), targets, spaces, charged_bytes, mappings: 0, derived }
    }

    /// The page of a target at which the page of this number lies, as its calls count.
    fn page(at: usize, first: u64) -> u64 {
        if at == SUBTREE { FIRST + first - SLOT_PAGES } else { FIRST + first }
    }

    pub(crate) fn map(
        &mut self,
        at: usize,
        segment: usize,
        (offset, first, pages): (u64, u64, u64),
        (rights, is_private, is_derived): (Rights, bool, bool),
    ) {
        let pages = pages.min(self.segments[segment].pages - offset).min(PAGES - first);
        let expected = if self.spaces[at].is_free(first, pages) { Ok(0) } else { Err(Error::Overlap) };
        let handle = if is_derived { self.derived[segment] } else { self.handles[segment] };
        let (target, address) = (self.targets[at], Scene::page(at, first) * PAGE_BYTES);
        let (offset_bytes, length_bytes) = (offset * PAGE_BYTES, pages * PAGE_BYTES);
        let call = if is_private {
            Call::MapPrivate { target, segment: handle, offset: offset_bytes, address, length_bytes, rights }
        } else {
            Call::Map { target, segment: handle, offset: offset_bytes, address, length_bytes, rights }
        };
        let result = self.machine.call(call);
        assert_eq!(result, expected, "map {pages} pages at {first:#x}");
        if result.is_ok() {
            self.mappings += 1;
            for number in 0..pages {
                let (page, mapping) = (offset + number, self.mappings);
                let what = Page { segment, page, rights, is_private, own: None, is_derived, mapping };
                self.spaces[at].0.insert(first + number, what);
            }
        }
    }

    pub(crate) fn unmap(&mut self, at: usize, first: u64, pages: u64) {
        let expected = if self.spaces[at].is_mapped(first, pages) { Ok(0) } else { Err(Error::NotMapped) };
        let (target, address) = (self.targets[at], Scene::page(at, first) * PAGE_BYTES);
        let result = self.machine.call(Call::Unmap { target, address, length_bytes: pages * PAGE_BYTES });
        assert_eq!(result, expected, "unmap {pages} pages at {first:#x}");
        if result.is_ok() {
            self.spaces[at].unmap(first, pages);
        }
    }

    pub(crate) fn protect(&mut self, at: usize, first: u64, pages: u64, rights: Rights) {
        let expected = if self.spaces[at].is_mapped(first, pages) { Ok(0) } else { Err(Error::NotMapped) };
        let (target, address) = (self.targets[at], Scene::page(at, first) * PAGE_BYTES);
        let result = self.machine.call(Call::Protect { target, address, length_bytes: pages * PAGE_BYTES, rights });
        assert_eq!(result, expected, "protect {pages} pages at {first:#x}");
        if result.is_ok() {
            self.spaces[at].0.range_mut(first..first + pages).for_each(|(_, page)| page.rights = rights);
        }
    }

    /// Writes to a page of a space, or of the subtree as a space shows it.
    pub(crate) fn write(&mut self, at: usize, first: u64, value: u64) {
        self.machine.write(BUFFER, &value.to_le_bytes());
        let (space, address) = self.seen(at, first);
        let result = self.machine.call(Call::MemoryWrite { space, address, buffer: BUFFER, length_bytes: 8 });
        let may_write = self.spaces[at].write(&mut self.segments, first, value);
        assert_eq!(result.is_ok(), may_write, "write to {first:#x}: {result:?}");
    }

    /// A space that shows a page of a target, and at which address.
    fn seen(&self, at: usize, first: u64) -> (Handle, u64) {
        let (space, slot) = if at == SUBTREE { (first as usize % 2, SLOT_PAGES) } else { (at, 0) };
        (self.targets[space], (FIRST + slot + first) * PAGE_BYTES + 16)
    }

    pub(crate) fn discard(&mut self, segment: usize, first: u64, pages: u64) {
        let pages = pages.min(self.segments[segment].pages - first);
        let call = Call::SegmentDiscard {
            segment: self.handles[segment],
            offset: first * PAGE_BYTES,
            length_bytes: pages * PAGE_BYTES,
        };
        assert_eq!(self.machine.call(call), Ok(0), "discard {pages} pages from {first:#x}");
        self.segments[segment].discard(first, pages);
    }

    pub(crate) fn grow(&mut self, segment: usize, pages: u64) {
        let had = self.segments[segment].pages;
        let pages = (had + pages).min(SEGMENTS[segment].1);
        let call = Call::SegmentGrow { segment: self.handles[segment], length_bytes: pages * PAGE_BYTES };
        assert_eq!(self.machine.call(call), Ok(had * PAGE_BYTES));
        self.segments[segment].pages = pages;
    }

    pub(crate) fn move_range(
        &mut self,
        (from, first): (usize, u64),
        pages: u64,
        (to, place): (usize, u64),
        stays: bool,
    ) {
        let pages = pages.min(PAGES - first).min(PAGES - place);
        let taken = self.spaces[from].take(first, pages);
        let mut parts: Vec<u64> = taken.iter().map(|(_, page)| page.mapping).collect();
        parts.dedup();
        let call = Call::MappingMove {
            from: self.targets[from],
            address: Scene::page(from, first) * PAGE_BYTES,
            length_bytes: pages * PAGE_BYTES,
            to: self.targets[to],
            to_address: Scene::page(to, place) * PAGE_BYTES,
            flags: u64::from(stays),
        };
        let result = self.machine.call(call);
        let is_whole = taken.len() as u64 == pages;
        let is_private = taken.iter().any(|(_, page)| page.is_private);
        match result {
            Ok(value) => {
                assert!(value == 0 && is_whole && !is_private, "moved {pages} pages from {first:#x}");
                assert!(self.spaces[to].is_free(place, pages), "nothing was in the way at {place:#x}");
                if !stays {
                    self.spaces[from].unmap(first, pages);
                }
                self.spaces[to].0.extend(taken.into_iter().map(|(number, page)| (place + number, page)));
            }
            Err(Error::NotMapped) => assert!(!is_whole),
            Err(Error::BadState) => assert!(is_private),
            Err(Error::Overlap) => assert!(!self.spaces[to].is_free(place, pages)),
            // `protect` may have cut what the model takes for one.
            Err(Error::LimitReached) => assert!(pages > 16),
            other => panic!("move {pages} pages from {first:#x}: {other:?}"),
        }
    }

    /// Takes back what was mapped through a derived capability, wherever it was moved.
    pub(crate) fn revoke(&mut self, segment: usize) {
        self.machine.call(Call::CapabilityRevoke { handle: self.handles[segment] }).expect("it is held");
        for space in &mut self.spaces {
            space.0.retain(|_, page| page.segment != segment || !page.is_derived);
        }
        let handle = self.handles[segment];
        self.derived[segment] = self.machine.make(Call::CapabilityDerive { handle, rights: Rights::all(), badge: 0 });
    }

    /// Checks that the CPU holds nothing that the tables do not say.
    pub(crate) fn check_held(&self) {
        oracle::check();
        assert_eq!(oracle::take_breach(), None);
    }

    /// Goes on in a space, where the CPU comes to hold all that it could.
    pub(crate) fn enter(&mut self, at: usize) {
        let space = self.targets[at % SUBTREE];
        self.machine.call(Call::SpaceSwitch { space }).expect("each has the program");
    }

    /// Checks some pages: what the hardware would find, and what the kernel reads.
    pub(crate) fn check_pages(&mut self, pages: impl Iterator<Item = u64>) {
        for first in pages {
            for at in 0..TARGETS {
                let expected = self.spaces[at].read(&self.segments, first);
                self.check_translation(at, first, expected);
                let (space, address) = self.seen(at, first);
                let result = self.machine.call(Call::MemoryRead { space, address, buffer: BUFFER, length_bytes: 8 });
                let mut bytes = [0; 8];
                self.machine.read(BUFFER, &mut bytes);
                let found = result.ok().map(|_| u64::from_le_bytes(bytes));
                assert_eq!(found, expected, "target {at}, page {first:#x}");
            }
        }
    }

    fn check_translation(&self, at: usize, first: u64, expected: Option<u64>) {
        let (space, address) = self.seen(at, first);
        let root = self.machine.kernel.spaces[self.machine.space_id(space)].map.tree.root;
        let Some(found) = walker::translate(root, address) else { return };
        let expected = expected.unwrap_or_else(|| panic!("target {at} shows {first:#x}, where nothing is"));
        let mut bytes = [0; 8];
        tessera_arch::read_physical(found.physical, &mut bytes);
        assert_eq!(u64::from_le_bytes(bytes), expected, "target {at}: what a load from {first:#x} finds");
        let page = self.spaces[at].0[&first];
        assert!(page.rights.contains(found.rights), "target {at}, page {first:#x}: {:?} is shown", found.rights);
        let may_write = found.rights.contains(Rights::WRITE);
        assert!(!may_write || !page.is_private || page.own.is_some(), "target {at}: {first:#x} is not to be written");
    }

    /// The kernel's own checks, and what segments say that they have.
    pub(crate) fn check_kernel(&self) {
        check::check(&self.machine.kernel);
        for (handle, model) in self.handles.iter().zip(&self.segments) {
            let ObjectRef::Segment(id) = self.machine.object(*handle) else { panic!("it is a segment") };
            let segment = &self.machine.kernel.segments[id];
            assert_eq!(segment.pages(), model.pages);
            // Reading, too, brings memory by `memory_read`'s own rules: it does not.
            assert_eq!(segment.populated_pages(), model.present.len() as u64, "pages that have memory");
        }
    }

    /// Gives all up, and checks that everything is as it was.
    pub(crate) fn end(mut self) {
        let home = self.machine.space;
        self.machine.call(Call::SpaceSwitch { space: home }).expect("its own space has the program");
        let handles = self.targets.into_iter().chain(self.derived.clone()).chain(self.handles.clone());
        for handle in handles.collect::<Vec<_>>() {
            self.machine.call(Call::CapabilityDelete { handle }).expect("what there is can be given up");
        }
        check::check(&self.machine.kernel);
        let used_bytes = self.machine.kernel.accounts[self.machine.account_id].used_bytes();
        assert_eq!(used_bytes, self.charged_bytes, "nothing is charged for what has gone");
    }
}

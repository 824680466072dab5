//! The machine and the model side by side.

use std::collections::BTreeMap;

use host_tests::machine::BUFFER;
use host_tests::{Machine, Options, walker};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::{Flavour, oracle};
use tessera_arch::{Access, PhysAddr, VirtAddr};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::address_map::AddressMap;
use tessera_kernel::object::id::{Object, ObjectRef};
use tessera_kernel::state::charges::RESERVE_FRAMES;
use tessera_kernel::vm::fault;

use crate::around::{Around, Common};
use crate::model::{Behind, Segments, Space};

/// Where mappings begin: so that large pages fit, in the space's own part.
pub(crate) const FIRST: u64 = (0x80_0000_0000 + 0x4000_0000) / PAGE_BYTES;
/// Pages in which mappings are made.
pub(crate) const PAGES: u64 = 4 * 512;
/// Pages of each segment.
pub(crate) const SEGMENT_PAGES: [u64; 3] = [1024, 700, 40];

/// What is cloned, and what it should hold.
pub(crate) struct Cloned {
    /// The space, or the subtree.
    pub(crate) target: Handle,
    /// The space that shows it.
    pub(crate) handle: Handle,
    pub(crate) model: Space,
    pub(crate) around: Around,
}

/// What is cloned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Spaces,
    /// Each attached to a space of its own.
    Subtrees,
}

/// Both.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    segments: Vec<Handle>,
    /// Derived from the capabilities to these.
    lenders: Vec<Handle>,
    memory: Segments,
    pub(crate) spaces: Vec<Cloned>,
    charged_bytes: u64,
    /// The space that the thread is in, if it is not its own.
    inside: Option<Handle>,
    pub(crate) of: Of,
    pub(crate) common: Common,
}

impl Scene {
    /// A space of nothing, and segments of all sorts: in large pages, on first touch, small.
    pub(crate) fn new(flavour: Flavour, of: Of) -> Scene {
        let mut machine = Machine::boot(&Options { cpus: 2, ..Options::new(flavour).frames(8192).slots(64) });
        let segments = [(SEGMENT_PAGES[0], 0), (SEGMENT_PAGES[1], 1), (SEGMENT_PAGES[2], 0)];
        let segments = segments.map(|(pages, flags)| machine.segment(pages * PAGE_BYTES, flags)).to_vec();
        let common = Common::new(&mut machine);
        let charged_bytes = machine.kernel.accounts[machine.account_id].used_bytes();
        let handle = machine.new_space();
        machine.attach_program(handle);
        oracle::watch();
        let (spaces, memory, lenders) = (Vec::new(), Segments::default(), Vec::new());
        let mut scene = Scene { machine, segments, lenders, memory, spaces, charged_bytes, inside: None, of, common };
        scene.lenders = (0..SEGMENT_PAGES.len()).map(|segment| scene.derive(segment)).collect();
        let target = match of {
            Of::Spaces => handle,
            Of::Subtrees => {
                let account = scene.machine.account;
                let subtree = scene.machine.make(Call::SubtreeCreate { account, level: 3 });
                scene.show(handle, subtree);
                subtree
            }
        };
        scene.spaces.push(Cloned { target, handle, model: Space::default(), around: Around::default() });
        scene
    }

    /// Attaches a subtree where it is to be found.
    fn show(&mut self, target: Handle, subtree: Handle) {
        let (address, bounds) = (TOP_SLOT_BYTES, Rights::ACCESS);
        let call = Call::SubtreeAttach { target, subtree, address, bounds, flags: 0 };
        self.machine.call(call).expect("the slot is free");
    }

    /// The address in what is cloned at which a page of the space lies.
    fn address(&self, page: u64) -> u64 {
        page * PAGE_BYTES - if self.of == Of::Spaces { 0 } else { TOP_SLOT_BYTES }
    }

    fn derive(&mut self, segment: usize) -> Handle {
        let rights = Rights::ACCESS;
        self.machine.make(Call::CapabilityDerive { handle: self.segments[segment], rights, badge: 0 })
    }

    /// Takes back what was lent of a segment, and lends it anew.
    pub(crate) fn revoke(&mut self, segment: usize) {
        self.machine.call(Call::CapabilityRevoke { handle: self.segments[segment] }).expect("it can be taken back");
        self.spaces.iter_mut().for_each(|space| space.model.take_back(segment));
        self.lenders[segment] = self.derive(segment);
    }

    /// Does something while no frames are left but the kernel's own.
    pub(crate) fn without_memory(&mut self, act: impl FnOnce(&mut Scene)) {
        let mut taken = Vec::new();
        while self.machine.kernel.frames.free_frames() > RESERVE_FRAMES {
            taken.push(self.machine.kernel.frames.allocate(0).expect("some are free"));
        }
        act(self);
        taken.into_iter().for_each(|frame| self.machine.kernel.frames.free(frame, 0));
    }

    /// Whether nothing of some pages can be had in a space, neither by calls nor by the hardware.
    pub(crate) fn is_out_of_reach(&mut self, at: usize, mut pages: impl Iterator<Item = u64>) -> bool {
        let space = self.spaces[at].handle;
        let root = self.machine.kernel.spaces[self.machine.space_id(space)].map.tree.root;
        pages.all(|page| {
            let address = page * PAGE_BYTES;
            self.load(space, address) == Err(Error::BadAddress) && walker::translate(root, address).is_none()
        })
    }

    /// Maps a part of a segment, lent or not.
    pub(crate) fn map(
        &mut self,
        at: usize,
        (segment, is_lent): (usize, bool),
        (offset, first, pages): (u64, u64, u64),
        rights: Rights,
    ) {
        let address = self.address(first);
        let space = &mut self.spaces[at];
        let pages = pages.min(SEGMENT_PAGES[segment] - offset).min(FIRST + PAGES - first);
        let expected = if space.model.is_free(first, pages) { Ok(0) } else { Err(Error::Overlap) };
        let length_bytes = pages * PAGE_BYTES;
        let segment_handle = if is_lent { self.lenders[segment] } else { self.segments[segment] };
        let result = self.machine.map(space.target, segment_handle, offset * PAGE_BYTES, address, length_bytes, rights);
        assert_eq!(result, expected, "map {pages} pages at {first:#x}");
        if result.is_ok() {
            space.model.map(first, (segment, offset), pages, (rights, is_lent));
        }
    }

    pub(crate) fn unmap(&mut self, at: usize, first: u64, pages: u64) {
        let address = self.address(first);
        let space = &mut self.spaces[at];
        let expected = if space.model.is_mapped(first, pages) { Ok(0) } else { Err(Error::NotMapped) };
        let length_bytes = pages * PAGE_BYTES;
        let result = self.machine.call(Call::Unmap { target: space.target, address, length_bytes });
        assert_eq!(result, expected, "unmap {pages} pages at {first:#x}");
        if result.is_ok() {
            space.model.unmap(first, pages);
        }
    }

    /// Unmaps what was left of mappings that were taken back, by which nobody can do anything; gives how many these are.
    pub(crate) fn unmap_left(&mut self, at: usize) -> usize {
        let target = self.spaces[at].target;
        let left: Vec<_> = self.map_of(target).from(0).filter(|(_, mapping)| mapping.maximum.is_empty()).collect();
        for (first, mapping) in &left {
            let call = Call::Unmap { target, address: first * PAGE_BYTES, length_bytes: mapping.pages * PAGE_BYTES };
            assert_eq!(self.machine.call(call), Ok(0), "a record is left at {first:#x}");
        }
        left.len()
    }

    pub(crate) fn protect(&mut self, at: usize, first: u64, pages: u64, rights: Rights) {
        let address = self.address(first);
        let space = &mut self.spaces[at];
        let is_denied = rights.contains(Rights::WRITE) && space.model.is_frozen(first, pages);
        let expected = match space.model.is_mapped(first, pages) {
            true if is_denied => Err(Error::MissingRight),
            true => Ok(0),
            false => Err(Error::NotMapped),
        };
        let length_bytes = pages * PAGE_BYTES;
        let result = self.machine.call(Call::Protect { target: space.target, address, length_bytes, rights });
        assert_eq!(result, expected, "protect {pages} pages at {first:#x}");
        if result.is_ok() {
            space.model.protect(first, pages, rights);
        }
    }

    /// Protects, while the account has nothing left; whether that is refused depends on where it ends.
    pub(crate) fn protect_without_means(&mut self, at: usize, first: u64, pages: u64) {
        let account = &mut self.machine.kernel.accounts[self.machine.account_id];
        let left = account.limit_bytes() - account.used_bytes();
        account.charge(left);
        let (target, address) = (self.spaces[at].target, self.address(first));
        let call = Call::Protect { target, address, length_bytes: pages * PAGE_BYTES, rights: Rights::READ };
        let result = self.machine.call(call);
        assert!(matches!(result, Ok(0) | Err(Error::AccountExhausted)), "{result:?}");
        self.machine.kernel.accounts[self.machine.account_id].credit(left);
    }

    /// Writes to a word of a page through the kernel, as a store would.
    pub(crate) fn write(&mut self, at: usize, page: u64, value: u64) {
        let result = self.store(self.spaces[at].handle, page * PAGE_BYTES, value);
        let may_write = self.spaces[at].model.write(&mut self.memory, page, value);
        assert_eq!(result.is_ok(), may_write, "write to {page:#x}: {result:?}");
    }

    /// The same by a store that faults in its view, if it has one.
    pub(crate) fn write_by_view(&mut self, at: usize, page: u64, value: u64) {
        let Some((view, bounds)) = self.spaces[at].around.view else { return };
        let (view, address) = (self.machine.space_id(view), VirtAddr::new(page * PAGE_BYTES));
        let result = fault::handle_fault(&mut self.machine.kernel, view, address, Access::Write);
        if let Ok(frame) = result {
            tessera_arch::write_physical(PhysAddr::new(frame.start().value() + 16), &value.to_le_bytes());
        }
        let may_write = bounds.contains(Rights::WRITE) && self.spaces[at].model.write(&mut self.memory, page, value);
        assert_eq!(result.is_ok(), may_write, "write to {page:#x} through a view: {result:?}");
    }

    /// Writes to a word of a page of a space.
    pub(crate) fn store(&mut self, space: Handle, address: u64, value: u64) -> Result<u64, Error> {
        self.machine.write(BUFFER, &value.to_le_bytes());
        self.machine.call(Call::MemoryWrite { space, address: address + 16, buffer: BUFFER, length_bytes: 8 })
    }

    /// Reads it.
    pub(crate) fn load(&mut self, space: Handle, address: u64) -> Result<u64, Error> {
        self.machine.call(Call::MemoryRead { space, address: address + 16, buffer: BUFFER, length_bytes: 8 })?;
        let mut bytes = [0; 8];
        self.machine.read(BUFFER, &mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Pins the first mapping that ends behind a page, if there is one.
    pub(crate) fn pin(&mut self, at: usize, page: u64) {
        let (target, within) = (self.spaces[at].target, self.address(page) / PAGE_BYTES);
        let Some((first, mapping)) = self.map_of(target).first_from(within) else { return };
        let (address, length_bytes) = (first * PAGE_BYTES, mapping.pages * PAGE_BYTES);
        if address + length_bytes <= self.address(FIRST) {
            return;
        }
        let result = self.machine.call(Call::Pin { target, address, length_bytes });
        let first = first + if self.of == Of::Spaces { 0 } else { TOP_SLOT_BYTES / PAGE_BYTES };
        let expected = if self.spaces[at].model.pin(first, mapping.pages) { Ok(0) } else { Err(Error::BadState) };
        assert_eq!(result, expected, "pin {} pages at {first:#x}", mapping.pages);
    }

    fn map_of(&self, target: Handle) -> &AddressMap {
        match self.machine.object(target) {
            ObjectRef::Space(id) => &self.machine.kernel.spaces[id].map,
            ObjectRef::Subtree(id) => &self.machine.kernel.subtrees[id].map,
            other => panic!("{other:?} has no mappings"),
        }
    }

    /// Clones a space at the cost of its own account, or of the one that was split off.
    pub(crate) fn clone_space(&mut self, at: usize, is_frozen: bool, is_childs: bool) {
        let flags = u64::from(is_frozen);
        let (account, is_childs) = self.payer_of_clone(at, is_childs);
        let source = self.spaces[at].target;
        if self.map_of(source).lent().is_err() {
            let call = match self.of {
                Of::Spaces => Call::SpaceClone { account, space: source, flags },
                Of::Subtrees => Call::SubtreeClone { account, subtree: source, flags },
            };
            return assert_eq!(self.machine.call(call), Err(Error::LimitReached), "too much is lent");
        }
        let (target, handle) = match self.of {
            Of::Spaces => {
                let clone = self.machine.make(Call::SpaceClone { account, space: source, flags });
                (clone, clone)
            }
            Of::Subtrees => {
                let clone = self.machine.make(Call::SubtreeClone { account, subtree: source, flags });
                let space = self.machine.new_space();
                self.machine.attach_program(space);
                self.show(space, clone);
                (clone, space)
            }
        };
        let model = self.spaces[at].model.clone_it(is_frozen);
        let around = self.spaces[at].around.clone_it(is_frozen, is_childs);
        self.spaces.push(Cloned { target, handle, model, around });
    }

    pub(crate) fn destroy(&mut self, at: usize) {
        let space = self.spaces.swap_remove(at);
        if self.inside == Some(space.handle) {
            let home = self.machine.space;
            self.machine.call(Call::SpaceSwitch { space: home }).expect("its own space has the program");
            self.inside = None;
        }
        let kept = if self.of == Of::Spaces { None } else { Some(space.target) };
        let view = space.around.view.map(|(view, _)| view);
        for handle in [Some(space.handle), kept, view].into_iter().flatten() {
            self.machine.call(Call::CapabilityDelete { handle }).expect("what there is can be given up");
        }
    }

    /// Goes on in a space, where the CPU comes to hold all that it could.
    pub(crate) fn enter(&mut self, at: usize) {
        let space = self.spaces[at].handle;
        self.machine.call(Call::SpaceSwitch { space }).expect("each has the program");
        self.inside = Some(space);
    }

    /// Checks that the CPU holds nothing that the tables do not say.
    pub(crate) fn check_held(&self) {
        oracle::check();
        assert_eq!(oracle::take_breach(), None);
    }

    /// Checks some pages of all spaces: what the kernel reads, and what the hardware would.
    pub(crate) fn check_pages(&mut self, pages: impl Iterator<Item = u64> + Clone) {
        for at in 0..self.spaces.len() {
            for page in pages.clone() {
                let expected = self.spaces[at].model.read(&self.memory, page);
                let (space, view, address) = (self.spaces[at].handle, self.spaces[at].around.view, page * PAGE_BYTES);
                assert_eq!(self.load(space, address).ok(), expected, "space {at}, page {page:#x}");
                let seen = view.map(|(view, _)| self.load(view, address).ok());
                assert!(seen.is_none_or(|seen| seen == expected), "the view of space {at}, page {page:#x}: {seen:?}");
                self.check_translation(at, page, expected);
            }
        }
    }

    fn check_translation(&self, at: usize, page: u64, expected: Option<u64>) {
        let root = self.machine.kernel.spaces[self.machine.space_id(self.spaces[at].handle)].map.tree.root;
        let Some(found) = walker::translate(root, page * PAGE_BYTES) else { return };
        let expected = expected.unwrap_or_else(|| panic!("space {at} shows {page:#x}, where nothing is"));
        let mut bytes = [0; 8];
        let word = PhysAddr::new(found.physical.value() + 16);
        tessera_arch::read_physical(word, &mut bytes);
        assert_eq!(u64::from_le_bytes(bytes), expected, "space {at}: what a load from {page:#x} finds");
        let allowed = self.spaces[at].model.0[&page].rights;
        assert!(allowed.contains(found.rights), "space {at}, page {page:#x}: {:?} is shown", found.rights);
    }

    /// No frame that somebody may write to by an entry is shown by another page, unless both are of one segment's page, for all.
    pub(crate) fn check_writable(&self) {
        let mut shown: BTreeMap<u64, Vec<(usize, u64, bool)>> = BTreeMap::new();
        for (at, space) in self.spaces.iter().enumerate() {
            let root = self.machine.kernel.spaces[self.machine.space_id(space.handle)].map.tree.root;
            for page in space.model.0.keys() {
                if let Some(found) = walker::translate(root, page * PAGE_BYTES) {
                    let may_write = found.rights.contains(Rights::WRITE);
                    shown.entry(found.physical.value()).or_default().push((at, *page, may_write));
                }
            }
        }
        for pages in shown.values().filter(|pages| pages.len() > 1) {
            for (at, page, _) in pages.iter().filter(|(.., may_write)| *may_write) {
                let behind = self.spaces[*at].model.0[page].behind;
                let is_common = matches!(behind, Behind::Segment { is_copied: false, .. });
                assert!(is_common, "space {at} may write to {page:#x}, which others show: {pages:x?}");
            }
        }
    }

    /// What the kernel says was written to since the last clone is what was.
    pub(crate) fn check_written(&mut self) {
        for at in 0..self.spaces.len() {
            let (target, mut from, mut told) = (self.spaces[at].target, 0, Vec::new());
            loop {
                let call = Call::WrittenList { target, from, buffer: BUFFER, capacity: 5 };
                let value = self.machine.call(call).expect("who made a space may look into it");
                let mut bytes = vec![0; 8 * (value % PAGE_BYTES) as usize];
                self.machine.read(BUFFER, &mut bytes);
                let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
                told.extend(words);
                from = value / PAGE_BYTES * PAGE_BYTES;
                if from == 0 {
                    break;
                }
            }
            let expected: Vec<u64> = self.spaces[at].model.1.iter().map(|page| self.address(*page)).collect();
            assert_eq!(told, expected, "space {at}: what was written to");
        }
    }

    /// The kernel's own checks.
    pub(crate) fn check_kernel(&self) {
        check::check(&self.machine.kernel);
    }

    /// Gives all up, in this order, and checks that everything is as it was.
    pub(crate) fn end(mut self, mut order: impl FnMut(usize) -> usize) {
        while !self.spaces.is_empty() {
            let at = order(self.spaces.len());
            self.destroy(at);
            self.check_kernel();
            self.check_writable();
        }
        let ObjectRef::Account(child) = self.machine.object(self.common.child) else { panic!("it is an account") };
        assert_eq!(self.machine.kernel.accounts[child].used_bytes(), 0, "nothing is charged to who was split off");
        let used_bytes = self.machine.kernel.accounts[self.machine.account_id].used_bytes();
        // What segments were touched for is theirs.
        let segments: u64 = self.segment_bytes();
        assert_eq!(used_bytes - segments, self.charged_bytes, "nothing is charged for what has gone");
    }

    fn segment_bytes(&self) -> u64 {
        let lazy = self.segments[1];
        let ObjectRef::Segment(id) = self.machine.object(lazy) else { return 0 };
        let segment = &self.machine.kernel.segments[id];
        segment.extra_bytes() - tessera_kernel::object::segment::Segment::new_bytes(SEGMENT_PAGES[1], true)
    }
}

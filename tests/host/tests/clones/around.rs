//! What spaces have besides mappings: attached subtrees, core windows, views, and who pays.

use std::collections::BTreeMap;

use host_tests::Machine;
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};

use crate::scene::{Of, Scene};

/// Subtrees that are attached here and there.
pub(crate) const SUBTREES: usize = 3;
/// The slot of the first of them, and of the core window.
const SUBTREE_SLOT: u64 = 3;
const WINDOW_SLOT: u64 = SUBTREE_SLOT + SUBTREES as u64;
/// Where in each its only page is.
const PAGE: u64 = 0x20_0000;

/// What one space has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    /// Of the subtrees that are attached, whether they may be written to from there.
    attached: BTreeMap<usize, bool>,
    /// The CPU that has the core window.
    window: Option<u64>,
    /// A view, and its bounds.
    pub(crate) view: Option<(Handle, Rights)>,
    /// Whether the account that was split off pays.
    is_childs: bool,
}

/// What there is to be attached, and what is in it.
#[derive(Debug)]
pub(crate) struct Common {
    subtrees: [Handle; SUBTREES],
    values: [u64; SUBTREES],
    window: Handle,
    pub(crate) child: Handle,
}

impl Common {
    pub(crate) fn new(machine: &mut Machine) -> Common {
        let subtrees = [(); SUBTREES].map(|()| subtree_with_page(machine));
        let window = subtree_with_page(machine);
        let child = machine.make(Call::AccountCreate { account: machine.account, bytes: 2000 * PAGE_BYTES });
        Common { subtrees, values: [0; SUBTREES], window, child }
    }
}

fn subtree_with_page(machine: &mut Machine) -> Handle {
    let account = machine.account;
    let (subtree, segment) = (machine.make(Call::SubtreeCreate { account, level: 3 }), machine.segment(PAGE_BYTES, 0));
    machine.map(subtree, segment, 0, PAGE, PAGE_BYTES, Rights::READ_WRITE).expect("a new subtree is empty");
    machine.call(Call::CapabilityDelete { handle: segment }).expect("the mapping keeps it");
    subtree
}

fn address_of(number: usize) -> u64 {
    (SUBTREE_SLOT + number as u64) * TOP_SLOT_BYTES
}

impl Around {
    /// What a clone has of that.
    pub(crate) fn clone_it(&self, is_frozen: bool, is_childs: bool) -> Around {
        let attached = self.attached.iter().map(|(number, may_write)| (*number, *may_write && !is_frozen)).collect();
        Around { attached, is_childs, ..Around::default() }
    }
}

impl Scene {
    /// Who pays for a clone of a space: the account that was split off cannot have its parent pay.
    pub(crate) fn payer_of_clone(&mut self, at: usize, is_childs: bool) -> (Handle, bool) {
        let (account, child) = (self.machine.account, self.common.child);
        if !self.spaces[at].around.is_childs {
            return if is_childs { (child, true) } else { (account, false) };
        }
        let source = self.spaces[at].target;
        let call = match self.of {
            Of::Spaces => Call::SpaceClone { account, space: source, flags: 0 },
            Of::Subtrees => Call::SubtreeClone { account, subtree: source, flags: 0 },
        };
        assert_eq!(self.machine.call(call), Err(Error::BadArgument), "it would outlive what it has mapped");
        (child, true)
    }

    pub(crate) fn attach(&mut self, at: usize, number: usize, may_write: bool) {
        if self.of == Of::Subtrees {
            return;
        }
        let (target, subtree) = (self.spaces[at].target, self.common.subtrees[number]);
        let bounds = if may_write { Rights::READ_WRITE } else { Rights::READ };
        let call = Call::SubtreeAttach { target, subtree, address: address_of(number), bounds, flags: 0 };
        let attached = &mut self.spaces[at].around.attached;
        let expected = if attached.contains_key(&number) { Err(Error::Overlap) } else { Ok(0) };
        assert_eq!(self.machine.call(call), expected, "attach subtree {number} in space {at}");
        self.spaces[at].around.attached.entry(number).or_insert(may_write);
    }

    pub(crate) fn detach(&mut self, at: usize, number: usize) {
        if self.of == Of::Subtrees {
            return;
        }
        let call = Call::SubtreeDetach { target: self.spaces[at].target, address: address_of(number) };
        let was_there = self.spaces[at].around.attached.remove(&number).is_some();
        assert_eq!(self.machine.call(call), if was_there { Ok(0) } else { Err(Error::NotMapped) });
    }

    /// Takes a subtree out of all spaces.
    pub(crate) fn withdraw(&mut self, number: usize) {
        let places = self.spaces.iter_mut().filter_map(|space| space.around.attached.remove(&number)).count();
        let call = Call::SubtreeWithdraw { subtree: self.common.subtrees[number] };
        assert_eq!(self.machine.call(call), Ok(places as u64), "withdraw subtree {number}");
    }

    pub(crate) fn write_attached(&mut self, at: usize, number: usize, value: u64) {
        let (space, address) = (self.spaces[at].handle, address_of(number) + PAGE);
        let may_write = self.spaces[at].around.attached.get(&number) == Some(&true);
        assert_eq!(self.store(space, address, value).is_ok(), may_write, "write to subtree {number} in space {at}");
        if may_write {
            self.common.values[number] = value;
        }
    }

    /// Attaches the only core window there is, or takes it out again.
    pub(crate) fn toggle_window(&mut self, at: usize, cpu: u64) {
        if self.of == Of::Subtrees {
            return;
        }
        let (space, address) = (self.spaces[at].target, WINDOW_SLOT * TOP_SLOT_BYTES);
        if let Some(cpu) = self.spaces[at].around.window.take() {
            let result = self.machine.call(Call::SubtreeDetachCore { space, address, cpu });
            return assert_eq!(result, Ok(0), "space {at} has a window");
        }
        let (subtree, bounds) = (self.common.window, Rights::READ);
        let is_elsewhere = self.spaces.iter().any(|space| space.around.window.is_some());
        let result = self.machine.call(Call::SubtreeAttachCore { space, subtree, address, bounds, cpu });
        assert_eq!(result, if is_elsewhere { Err(Error::BadState) } else { Ok(0) }, "a window in space {at}");
        self.spaces[at].around.window = result.is_ok().then_some(cpu);
    }

    /// Makes a view, or gives it up.
    pub(crate) fn toggle_view(&mut self, at: usize, may_write: bool) {
        if let Some((handle, _)) = self.spaces[at].around.view.take() {
            self.machine.call(Call::CapabilityDelete { handle }).expect("a view can be given up");
            return;
        }
        let bounds = if may_write { Rights::READ_WRITE } else { Rights::READ };
        let (account, space) = (self.machine.account, self.spaces[at].handle);
        let view = self.machine.make(Call::ViewCreate { account, space, bounds });
        self.spaces[at].around.view = Some((view, bounds));
    }

    /// Checks what is attached, in windows, and seen through views.
    pub(crate) fn check_around(&mut self) {
        for at in 0..self.spaces.len() {
            let (space, around) = (self.spaces[at].handle, self.spaces[at].around.clone());
            for number in 0..SUBTREES {
                let expected = around.attached.get(&number).map(|_| self.common.values[number]);
                let (address, view) = (address_of(number) + PAGE, around.view);
                assert_eq!(self.load(space, address).ok(), expected, "subtree {number} in space {at}");
                let seen = view.map(|(view, _)| self.load(view, address).ok());
                assert!(seen.is_none_or(|seen| seen == expected), "subtree {number} in the view of space {at}");
            }
            let shown = self.load(space, WINDOW_SLOT * TOP_SLOT_BYTES + PAGE).ok();
            assert_eq!(shown, (around.window == Some(0)).then_some(0), "the window of space {at}");
        }
    }
}

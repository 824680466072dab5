//! What the test has handles to, and which of the model's spaces and subtrees still exist.

use std::collections::BTreeMap;

use host_tests::model::{Sight, World};
use tessera_abi::{Handle, Rights};
use tessera_kernel::object::id::ObjectRef;

/// A space or subtree with its number in the model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub(crate) handle: Handle,
    pub(crate) number: usize,
}

/// A view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedView {
    pub(crate) handle: Handle,
    pub(crate) base: usize,
    pub(crate) bounds: Rights,
}

/// All that is named, and all that exists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) spaces: Vec<Named>,
    pub(crate) subtrees: Vec<Option<Named>>,
    pub(crate) views: Vec<Option<NamedView>>,
    /// The kernel's names of the spaces and subtrees that exist, by number.
    pub(crate) living: BTreeMap<usize, ObjectRef>,
}

impl Names {
    /// The numbers of the spaces that exist.
    pub(crate) fn living_spaces(&self, world: &World) -> Vec<usize> {
        self.living.keys().copied().filter(|number| world.is_space(*number)).collect()
    }

    /// Handle and sight of a space, or behind them a view.
    pub(crate) fn seer(&self, number: usize, cpu: usize) -> Option<(Handle, Sight)> {
        match self.spaces.get(number) {
            Some(space) => Some((space.handle, Sight::of_space(space.number, cpu))),
            None => {
                let view = self.views[number - self.spaces.len()]?;
                Some((view.handle, Sight::of_view(view.base, view.bounds)))
            }
        }
    }

    /// Forgets what nothing refers to any more; with a space or subtree goes what is attached in it. Being public keeps
    /// no subtree.
    pub(crate) fn sweep(&mut self, world: &mut World) {
        while let Some(number) = self.living.keys().copied().find(|number| !self.is_kept(world, *number)) {
            world.empty(number);
            world.public.remove(&number);
            self.living.remove(&number);
        }
    }

    fn is_kept(&self, world: &World, number: usize) -> bool {
        let named = self.subtrees.iter().flatten().chain(&self.spaces);
        let is_shown = || self.views.iter().flatten().any(|view| view.base == number);
        let is_shared = || world.places_of(number).next().is_some();
        let mut named = named.map(|named| named.number);
        named.any(|other| other == number) || is_shown() || is_shared()
    }
}

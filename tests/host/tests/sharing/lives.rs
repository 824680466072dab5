//! Spaces, subtrees and views that come and go.

use host_tests::model::Attached;
use proptest::prelude::*;
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_arch::TOP_LEVEL;

use crate::names::{Named, NamedView};
use crate::scene::{Check, PROGRAM, Scene};

impl Scene {
    /// Goes back to the program's own space, so that any other can be given up.
    pub(crate) fn go_home(&mut self) {
        let home = Call::SpaceSwitch { space: self.machine.space };
        self.machine.call(home).expect("nobody takes the program's own space away");
    }

    pub(crate) fn delete(&mut self, handle: Handle) {
        self.machine.call(Call::CapabilityDelete { handle }).expect("the handle is valid");
    }

    pub(crate) fn add_space(&mut self) -> Result<Option<Named>, TestCaseError> {
        let Some(bits) = self.call(Call::SpaceCreate { account: self.account }, &[])? else { return Ok(None) };
        let (handle, subtree) = (Handle::from_bits(bits), self.machine.program);
        let attach = Call::SubtreeAttach { target: handle, subtree, address: 0, bounds: Rights::ACCESS, flags: 1 };
        if self.call(attach, &[])?.is_none() {
            self.delete(handle);
            return Ok(None);
        }
        let number = self.world.add_space();
        self.names.living.insert(number, self.machine.object(handle));
        self.attach_program(number);
        Ok(Some(Named { handle, number }))
    }

    pub(crate) fn attach_program(&mut self, space: usize) {
        let attached = Attached { subtree: PROGRAM, bounds: Rights::ACCESS, is_window: true };
        assert_eq!(self.world.attach(space, 0, None, attached), []);
    }

    pub(crate) fn add_subtree(&mut self, level: u8) -> Result<Option<Named>, TestCaseError> {
        let errors = if (1..=TOP_LEVEL).contains(&level) { vec![] } else { vec![Error::WrongLevel] };
        let call = Call::SubtreeCreate { account: self.account, level: u64::from(level) };
        let Some(bits) = self.call(call, &errors)? else { return Ok(None) };
        let (handle, number) = (Handle::from_bits(bits), self.world.add_subtree(level));
        self.names.living.insert(number, self.machine.object(handle));
        Ok(Some(Named { handle, number }))
    }

    pub(crate) fn replace_space(&mut self, space: usize) -> Check {
        self.go_home();
        if let Some(named) = self.add_space()? {
            let old = std::mem::replace(&mut self.names.spaces[space], named);
            self.delete(old.handle);
        }
        Ok(())
    }

    pub(crate) fn replace_subtree(&mut self, subtree: usize, level: u8) -> Check {
        if let Some(named) = self.add_subtree(level)?
            && let Some(old) = self.names.subtrees[subtree].replace(named)
        {
            self.delete(old.handle);
        }
        Ok(())
    }

    pub(crate) fn replace_view(&mut self, view: usize, of: usize, bounds: Rights) -> Check {
        let Some((space, sight)) = self.names.seer(of, 0) else { return Ok(()) };
        self.go_home();
        let errors = if bounds.contains(Rights::READ) { vec![] } else { vec![Error::BadArgument] };
        let call = Call::ViewCreate { account: self.account, space, bounds };
        if let Some(bits) = self.call(call, &errors)? {
            let handle = Handle::from_bits(bits);
            let made = NamedView { handle, base: sight.space, bounds: sight.bounds & bounds };
            if let Some(old) = self.names.views[view].replace(made) {
                self.delete(old.handle);
            }
        }
        Ok(())
    }
}

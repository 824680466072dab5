//! Spaces, views, subtrees and segments that come and go.

use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::cpu;
use tessera_kernel::sched::running;

use super::operation::{LEVELS, SPACES, VIEWS};
use super::scene::{SEGMENT_PAGES, Scene};

impl Scene {
    pub(super) fn replace_space(&mut self, index: usize, only_cpu: Option<u64>) {
        let account = self.machine.account;
        let call = match only_cpu {
            Some(cpu) => Call::SpaceCreateLocal { account, cpu: cpu % self.cpus as u64 },
            None => Call::SpaceCreate { account },
        };
        if self.replace_map(index, call) {
            let (space, subtree, bounds) = (self.maps[index], self.machine.program, Rights::ACCESS);
            // Not if the caller has gone with the space it was in, or there is no memory.
            running::current(&self.machine.kernel, cpu::cpu_index()).is_some().then(|| {
                self.machine.call(Call::SubtreeAttach { target: space, subtree, address: 0, bounds, flags: 0 }).ok()
            });
        }
    }

    pub(super) fn replace_subtree(&mut self, index: usize) {
        let account = self.machine.account;
        self.replace_map(SPACES + index, Call::SubtreeCreate { account, level: LEVELS[index] });
    }

    pub(super) fn replace_view(&mut self, view: usize, of: usize, bounds: Rights) {
        let (account, space) = (self.machine.account, self.enterable(of));
        self.views[view] = self.replace(self.views[view], Call::ViewCreate { account, space, bounds });
        self.tell_others();
    }

    pub(super) fn tell_others(&self) {
        let mut known = self.known.borrow_mut();
        known.clear();
        known.extend((0..SPACES + VIEWS).filter(|space| *space < self.maps.len()).map(|space| self.enterable(space)));
    }

    /// Gives up what is there, if anything is; gives whether something new is there.
    pub(super) fn replace_map(&mut self, index: usize, call: Call) -> bool {
        if self.maps.len() <= index {
            self.maps.push(Handle::NONE);
        }
        self.maps[index] = self.replace(self.maps[index], call);
        self.tell_others();
        self.maps[index] != Handle::NONE
    }

    pub(super) fn replace_segment(&mut self, index: usize) {
        if self.segments.len() <= index {
            self.segments.push(Handle::NONE);
        }
        // One has all its memory from the start, the other gets it page by page.
        let flags = u64::from(index != 1);
        let (account, length_bytes) = (self.machine.account, SEGMENT_PAGES * PAGE_BYTES);
        self.segments[index] = self.replace(self.segments[index], Call::SegmentCreate { account, length_bytes, flags });
    }

    pub(super) fn replace(&mut self, handle: Handle, call: Call) -> Handle {
        if handle != Handle::NONE {
            self.machine.call(Call::CapabilityDelete { handle }).ok();
        }
        // The thread that ran here may have lost its space; another one makes the new thing.
        let playing = cpu::cpu_index();
        if running::current(&self.machine.kernel, playing).is_none() {
            return Handle::NONE;
        }
        self.machine.call(call).map_or(Handle::NONE, Handle::from_bits)
    }
}

//! The compartment, and guests in it.

use crate::plugin::{Desk, Plugin};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use core::time::Duration;
use demonstration::{Failure, check};
use libvas::layout::FallbackReason;
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::thread::{self, Builder, JoinHandle};
use libvas::{Cap, Error, Handle, PAGE_BYTES, Place, Rights, Segment, Space, clock, program};

/// Where the plugins' page is in the compartment, and behind it the host's.
const PAGES: u64 = 0x100_0000_0000;

/// How long anything may take, on however busy a machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The exit code of a plugin's thread that has landed, less the reason.
const LANDED: u64 = 100;

/// A space for plugins.
pub(crate) struct Compartment {
    space: Cap<Space>,
    hosts: Cap<Segment>,
}

/// How far a plugin has come.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    /// One step further.
    pub(crate) fn step(&self) {
        self.0.store(self.0.load(Acquire) + 1, Release);
    }
}

/// A plugin that runs in the compartment.
pub(crate) struct Guest {
    badge: u64,
    way_in: Handle,
    thread: JoinHandle<u64>,
    progress: Arc<Progress>,
}

impl Compartment {
    /// A compartment with a page to work in, and one that shows what the host writes.
    pub(crate) fn new() -> Result<Compartment, Error> {
        let (space, account) = (program().new_space()?, program().account());
        space.set_name("compartment")?;
        let (own, hosts) = (Segment::new(account, PAGE_BYTES)?, Segment::new(account, PAGE_BYTES)?);
        space.map(PAGES, &own, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        space.map(PAGES + PAGE_BYTES, &hosts, 0..PAGE_BYTES, Rights::READ)?;
        Ok(Compartment { space, hosts })
    }

    /// Lets a plugin in, by a capability of its own.
    pub(crate) fn admit(&self, badge: u64, plugin: Plugin) -> Result<Guest, Error> {
        // It is never dropped here: it goes when the plugin is thrown out.
        let way_in = self.space.derive(Rights::SWITCH, badge)?.into_handle();
        let progress = Arc::new(Progress::default());
        let desk = Desk { own: Place::new(PAGES)?, hosts: Place::new(PAGES + PAGE_BYTES)? };
        let (seen, priority) = (Arc::clone(&progress), program().thread().info()?.priority);
        let body = move || {
            let compartment = ManuallyDrop::new(Cap::<Space>::from_handle(way_in));
            let fallen = fall_back_to_home().and_then(|()| compartment.enter(|| plugin(desk, &seen)));
            thread::clear_fallback();
            fallen.unwrap_or(u64::MAX)
        };
        let thread = Builder::new().name("plugin").priority(priority.saturating_sub(1)).spawn(body)?;
        Ok(Guest { badge, way_in, thread, progress })
    }

    /// Lets a plugin run to its end on a number; gives what it computed.
    pub(crate) fn run(&self, number: u64, plugin: Plugin) -> Result<Result<u64, Error>, Failure> {
        const BADGE: u64 = 99;
        self.hosts.write(0, &number.to_le_bytes())?;
        let result = self.admit(BADGE, plugin)?.thread.join();
        self.space.revoke_badge(BADGE)?;
        Ok(result)
    }

    /// Takes back what let a plugin in.
    pub(crate) fn throw_out(&self, guest: &Guest) -> Result<(), Error> {
        self.space.revoke_badge(guest.badge)
    }

    /// How many threads are inside.
    pub(crate) fn threads(&self) -> Result<u64, Error> {
        Ok(self.space.info()?.threads)
    }

    /// Whether nobody has anything of it.
    pub(crate) fn is_unlent(&self) -> Result<bool, Error> {
        Ok(self.space.lent().next().is_none() && self.threads()? == 0)
    }
}

impl Guest {
    /// Waits until the plugin has come further.
    pub(crate) fn works(&self) -> Result<(), Failure> {
        let (before, deadline) = (self.progress.0.load(Acquire), clock::now() + LIMIT);
        while self.progress.0.load(Acquire) <= before {
            check(clock::now() < deadline, "the plugin works")?;
            clock::sleep(Duration::from_micros(500));
        }
        Ok(())
    }

    /// Waits until its thread has landed at home, with the reason; it has done nothing since it was thrown out.
    pub(crate) fn came_home_because_it_was_revoked(&self) -> Result<(), Failure> {
        let steps = self.progress.0.load(Acquire);
        let code = self.thread.thread().join()?;
        check(code == LANDED + FallbackReason::SpaceRevoked as u64, "its thread lands because it was revoked")?;
        check(self.progress.0.load(Acquire) == steps, "it does nothing more once it was thrown out")
    }

    /// Tries to go in by the capability that it had.
    pub(crate) fn enter_again(&self) -> Result<(), Error> {
        ManuallyDrop::new(Cap::<Space>::from_handle(self.way_in)).enter(|| ())
    }
}

/// Says where the calling thread lands: at home, on a stack that is given away to it, since its own is in the middle of what
/// the plugin did.
fn fall_back_to_home() -> Result<(), Error> {
    type Stack = [u128; 1024];
    let stack = Box::leak(Box::<Stack>::new([0; 1024]));
    let top = (&raw const *stack).expose_provenance() as u64 + size_of::<Stack>() as u64;
    // SAFETY: `land` is this program's code, and nobody else uses the stack. What the thread leaves behind on its own is
    // never used again: whoever joins it learns its exit code only.
    unsafe { thread::set_fallback(program().space(), land as *const () as usize as u64, top - STACK_ENTRY_BIAS_BYTES) }
}

extern "C" fn land(reason: u64, _: u64) -> ! {
    thread::exit(LANDED + reason)
}

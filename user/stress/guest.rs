//! A thread that a worker lets into a space, to be thrown out by revoking.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libvas::layout::FallbackReason;
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::thread::{self, Builder, JoinHandle};
use libvas::{Cap, Error, Place, Space, program};

/// How a guest's thread ends: it landed, less the reason; or it came too late to be let in.
const LANDED: u64 = 100;
const CAME_LATE: u64 = 99;

type Stack = [u128; 512];

/// A worker's guest: one thread at a time.
pub(crate) struct Guest {
    /// The only CPU for it, if there is one.
    cpu: Option<u64>,
    /// Where it lands. Kept for good: the worker may be stopped while its guest is inside.
    stack_pointer: u64,
    /// What it found wrong. Who is thrown out drops nothing, so it is kept here as well.
    wrong: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Guest {
    /// Nobody yet.
    pub(crate) fn new(cpu: Option<u64>) -> Guest {
        let stack = Box::leak(Box::<Stack>::new([0; 512]));
        let top = (&raw const *stack).expose_provenance() as u64 + size_of::<Stack>() as u64;
        Guest { cpu, stack_pointer: top - STACK_ENTRY_BIAS_BYTES, wrong: Arc::default(), thread: None }
    }

    /// Lets a thread in that reads a page, of this name, until it is thrown out.
    pub(crate) fn admit(&mut self, way_in: &Cap<Space>, page: u64, name: u64) -> Result<(), Error> {
        let (handle, stack_pointer, wrong) = (way_in.handle(), self.stack_pointer, Arc::clone(&self.wrong));
        let place = Place::<u64>::new(page)?;
        let body = move || {
            let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
            if fall_back_to_home(stack_pointer).is_err() || space.switch().is_err() {
                thread::exit(CAME_LATE);
            }
            for turn in 0_u64.. {
                if place.get() != name {
                    wrong.fetch_add(1, Relaxed);
                }
                if turn % 64 == 0 {
                    thread::yield_now();
                }
            }
        };
        let builder = Builder::new().name("guest");
        let builder = self.cpu.map_or(builder, |cpu| builder.cpus(1 << cpu));
        self.thread = Some(builder.spawn(body)?);
        Ok(())
    }

    /// Waits for its end, after it was thrown out; gives how much was wrong.
    pub(crate) fn has_left(&mut self) -> Result<u64, Error> {
        let thread = self.thread.take().ok_or(Error::BadState)?;
        let code = thread.thread().join();
        // It gives no result; this is for its stack.
        let _ = thread.join();
        let landed = LANDED + FallbackReason::SpaceRevoked as u64;
        let is_right = code == Ok(landed) || code == Ok(CAME_LATE);
        Ok(self.wrong.swap(0, Relaxed) + u64::from(!is_right))
    }
}

fn fall_back_to_home(stack_pointer: u64) -> Result<(), Error> {
    // SAFETY: `land` is this program's code, and the stack is lent to one guest after the other, each of which has ended
    // before the next one begins.
    unsafe { thread::set_fallback(program().space(), land as *const () as usize as u64, stack_pointer) }
}

extern "C" fn land(reason: u64, _: u64) -> ! {
    thread::exit(LANDED + reason)
}

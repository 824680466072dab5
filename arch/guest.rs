//! A guest's page of state, word by word, as backends load registers from it and store them there.
//!
//! The program that runs the guest may write there at any moment, on another CPU. So each word is read once, as an atomic one, and
//! checked then.

use core::mem::offset_of;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::USER_END;
use tessera_abi::guest::GuestState;

/// A page of state, as the direct map shows it.
pub type GuestPage = [AtomicU64];

/// Where the parts begin, in words.
pub(crate) const GENERAL: usize = offset_of!(GuestState, general) / 8;
const STACK_POINTER: usize = offset_of!(GuestState, stack_pointer) / 8;
const INSTRUCTION_POINTER: usize = offset_of!(GuestState, instruction_pointer) / 8;
const FLAGS: usize = offset_of!(GuestState, flags) / 8;
const THREAD_POINTER: usize = offset_of!(GuestState, thread_pointer) / 8;
const SECOND_POINTER: usize = offset_of!(GuestState, second_pointer) / 8;
pub(crate) const FLOATING: usize = offset_of!(GuestState, floating) / 8;

/// The registers that every architecture has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common {
    pub(crate) stack_pointer: u64,
    pub(crate) instruction_pointer: u64,
    pub(crate) flags: u64,
    pub(crate) thread_pointer: u64,
    pub(crate) second_pointer: u64,
}

/// Where they go, but for flags.
pub(crate) struct CommonPlaces<'a> {
    pub(crate) stack_pointer: &'a mut u64,
    pub(crate) instruction_pointer: &'a mut u64,
    pub(crate) thread_pointer: &'a mut u64,
    pub(crate) second_pointer: &'a mut u64,
}

impl Common {
    /// Reads them; `None` if an address is not a user's. A stack may end where user memory does.
    pub(crate) fn read(page: &GuestPage) -> Option<Common> {
        let word = |at: usize| page[at].load(Relaxed);
        let read = Common {
            stack_pointer: word(STACK_POINTER),
            instruction_pointer: word(INSTRUCTION_POINTER),
            flags: word(FLAGS),
            thread_pointer: word(THREAD_POINTER),
            second_pointer: word(SECOND_POINTER),
        };
        let is_user = read.instruction_pointer < USER_END
            && read.stack_pointer <= USER_END
            && read.thread_pointer < USER_END
            && read.second_pointer < USER_END;
        is_user.then_some(read)
    }

    /// Reads all but flags to where they are used, one by one, so that they take few registers; gives whether they are plainly fit for
    /// that, which is found by one comparison. Few are fit that are not plainly so.
    #[inline(always)]
    pub(crate) fn read_plain(page: &GuestPage, to: CommonPlaces<'_>) -> bool {
        let mut all = 0;
        let mut read = |at: usize, to: &mut u64| {
            *to = page[at].load(Relaxed);
            all |= *to;
        };
        read(INSTRUCTION_POINTER, to.instruction_pointer);
        read(STACK_POINTER, to.stack_pointer);
        read(THREAD_POINTER, to.thread_pointer);
        read(SECOND_POINTER, to.second_pointer);
        all < USER_END
    }

    /// Reads the flags.
    #[inline(always)]
    pub(crate) fn read_flags(page: &GuestPage) -> u64 {
        page[FLAGS].load(Relaxed)
    }

    /// Writes them.
    pub(crate) fn write(self, page: &GuestPage) {
        let Common { stack_pointer, instruction_pointer, flags, thread_pointer, second_pointer } = self;
        page[STACK_POINTER].store(stack_pointer, Relaxed);
        page[INSTRUCTION_POINTER].store(instruction_pointer, Relaxed);
        page[FLAGS].store(flags, Relaxed);
        page[THREAD_POINTER].store(thread_pointer, Relaxed);
        page[SECOND_POINTER].store(second_pointer, Relaxed);
    }
}

/// Copies words of the page.
#[inline(always)]
pub(crate) fn read_words(page: &GuestPage, at: usize, to: &mut [u64]) {
    to.iter_mut().zip(&page[at..]).for_each(|(to, from)| *to = from.load(Relaxed));
}

/// Copies words to the page.
#[inline(always)]
pub(crate) fn write_words(page: &GuestPage, at: usize, from: &[u64]) {
    from.iter().zip(&page[at..]).for_each(|(from, to)| to.store(*from, Relaxed));
}

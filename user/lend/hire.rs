//! Making a borrower: an account, a capability table, a space, and a thread that uses them.

use crate::borrower;
use crate::desk::{DESKS, Desk, Item};
use crate::loans::Loans;
use alloc::boxed::Box;
use core::mem::ManuallyDrop;
use core::time::Duration;
use demonstration::{Failure, check};
use libvas::layout::FallbackReason;
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::{Account, Cap, CapTable, Error, PAGE_BYTES, Rights, Space, Thread, clock, program, thread};
use rt::{Outcome, println};

/// What a borrower may use at most, and room in its table.
const BUDGET: u64 = 64 * PAGE_BYTES;
const TABLE_SLOTS: u64 = 16;

/// How long anything may take, on however busy a machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A stack, on the heap.
type Stack = [u128; 2048];

/// The exit code of a borrower that landed and found everything as it should be there, less the reason.
const LANDED: u64 = 100;

/// Where each borrower lands: a landing is told why, and not whose it is.
const LANDINGS: [extern "C" fn(u64, u64) -> !; DESKS.len()] = [land::<0>, land::<1>, land::<2>];

/// A borrower, as the lender sees it.
pub(crate) struct Borrower {
    number: usize,
    account: Cap<Account>,
    space: Cap<Space>,
    table: Cap<CapTable>,
    thread: Cap<Thread>,
}

impl Borrower {
    /// Makes the borrower with this number, lends to it, and lets it begin.
    pub(crate) fn hire(loans: &Loans, number: usize) -> Result<Borrower, Failure> {
        let account = program().account().split(BUDGET)?;
        let (table, space) = (CapTable::new(&account, TABLE_SLOTS)?, Space::new(&account)?);
        space.attach_window(0, program().subtree(), Rights::ACCESS)?;
        table.set_name("borrower")?;
        let priority = program().thread().info()?.priority.saturating_sub(1);
        let (thread, desk) = (Thread::new(&account, &table, &space, priority)?, &DESKS[number]);
        let rights = Rights::SWITCH | Rights::MAP | Rights::INSPECT;
        desk.write(Item::Home, space.copy_into(&table, rights, 0)?.bits());
        desk.write(Item::Account, account.copy_into(&table, Rights::CHARGE, 0)?.bits());
        desk.write(Item::LandingStack, stack_pointer());
        let borrower = Borrower { number, account, space, table, thread };
        desk.put_loans(loans.lend_to(&borrower.table, borrower.badge())?);
        // SAFETY: `begin` is this program's code, which the borrower's space shows, and the stack is given away to it.
        unsafe { borrower.thread.start(begin as *const () as usize as u64, stack_pointer(), number as u64) }?;
        Ok(borrower)
    }

    /// The badge by which the lender knows it; 0 is nobody's.
    pub(crate) fn badge(&self) -> u64 {
        self.number as u64 + 1
    }

    fn desk(&self) -> &'static Desk {
        &DESKS[self.number]
    }

    /// Waits until it has read in the lender's space again.
    pub(crate) fn works(&self) -> Result<(), Failure> {
        let (turns, deadline) = (self.desk().read(Item::Turns), clock::now() + LIMIT);
        while self.desk().read(Item::Turns) <= turns {
            check(clock::now() < deadline, "the borrower works")?;
            clock::sleep(Duration::from_micros(500));
        }
        Ok(())
    }

    /// Waits until it has landed at home and looked around there.
    pub(crate) fn has_landed(&self) -> Result<(), Failure> {
        self.desk().write(Item::TakenBack, 1);
        let (turns, code) = (self.desk().read(Item::Turns), self.thread.join()?);
        check(code == LANDED + FallbackReason::SpaceRevoked as u64, "the borrower lands because it was revoked")?;
        println!("lender: borrower {} has landed at home, and has nothing any more", self.badge());
        check(self.desk().read(Item::Turns) == turns, "it did no work after it was revoked")
    }

    /// Lets it go, and checks that its account has everything back.
    pub(crate) fn settle(self) -> Result<(), Failure> {
        let (badge, Borrower { account, space, table, thread, .. }) = (self.badge(), self);
        drop((thread, table, space));
        let info = account.info()?;
        println!("lender: borrower {badge} uses {} of {} bytes", info.used_bytes, info.limit_bytes);
        check(info.used_bytes == 0 && info.limit_bytes == BUDGET, "the borrower's account is whole")
    }
}

/// Where a stack begins that is given away to a thread. It is never freed: the kernel, and not Rust, knows when the thread is
/// done with it.
fn stack_pointer() -> u64 {
    let stack = Box::leak(Box::<Stack>::new([0; 2048]));
    let top = (&raw const *stack).expose_provenance() as u64 + size_of::<Stack>() as u64;
    top - STACK_ENTRY_BIAS_BYTES
}

/// Where a borrower's thread begins.
extern "C" fn begin(number: u64) -> ! {
    let number = number as usize;
    let worked = fall_back_to_home(number).map_err(Failure::from).and_then(|()| borrower::work(&DESKS[number]));
    thread::exit(u64::from(worked.code()))
}

fn fall_back_to_home(number: usize) -> Result<(), Error> {
    let home = ManuallyDrop::new(Cap::<Space>::from_handle(DESKS[number].handle(Item::Home)));
    let (landing, stack) = (LANDINGS[number] as *const () as usize as u64, DESKS[number].read(Item::LandingStack));
    // SAFETY: the landing is this program's code, which home shows, and the stack was given away to this thread.
    unsafe { thread::set_fallback(&*home, landing, stack) }
}

extern "C" fn land<const NUMBER: usize>(reason: u64, _: u64) -> ! {
    let found = borrower::look_around(&DESKS[NUMBER]);
    thread::exit(if found.is_ok() { LANDED + reason } else { u64::from(found.code()) })
}

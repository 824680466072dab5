//! lend: everything that can be lent, and taken back while the borrowers work with it.
//!
//! A lender has a segment, a subtree and a space. Each of three borrowers, threads with a capability table of their own, gets
//! a capability to each that was derived for it, with a badge by which the lender tells them apart. A borrower maps the
//! segment, attaches the subtree, makes a view of the space, and works inside the space. The lender looks at what it has lent
//! to whom; revokes one borrower by its badge, while all work; and then everything.
//!
//! What a borrower has made of a loan is of no use to it afterwards: pages are unmapped and entries cleared, the view is gone,
//! and the thread inside finds itself at home, where it asked to fall back to, with the reason.

#![no_std]
#![no_main]

extern crate alloc;

mod borrower;
mod desk;
mod hire;
mod ledger;
mod loans;

use demonstration::{Failure, chapter, check, counted};
use hire::Borrower;
use libvas::{Error, program};
use loans::Loans;
use rt::println;

rt::main!(main);

fn main() -> Result<(), Failure> {
    let before = what_exists()?;
    story()?;
    chapter("Afterwards");
    println!("lender: accounts, spaces, subtrees, tables and threads: as many as before");
    check(what_exists()? == before, "nothing is left of what was lent")?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("lender: the kernel checked {facts} facts about itself");
    println!("lend: all as told");
    Ok(())
}

fn story() -> Result<(), Failure> {
    chapter("The lender lends to three");
    let loans = Loans::new()?;
    let borrowers = [Borrower::hire(&loans, 0)?, Borrower::hire(&loans, 1)?, Borrower::hire(&loans, 2)?];
    for borrower in &borrowers {
        borrower.works()?;
        check(loans.lent_to(borrower.badge())?.is_whole(), "the lender sees what it has lent, and to whom")?;
        println!("lender: borrower {} has a mapping, an attachment and a view, and works inside", borrower.badge());
    }
    take_back_from_one(&loans, &borrowers)?;
    take_all_back(&loans, &borrowers)?;
    chapter("What the borrowers paid for, and the lender's memory");
    borrowers.into_iter().try_for_each(Borrower::settle)?;
    loans.give_to_somebody_else()
}

/// Revokes the second borrower; the others do not notice.
fn take_back_from_one(loans: &Loans, [first, second, third]: &[Borrower; 3]) -> Result<(), Failure> {
    chapter("It takes back from the second, while all work");
    let (counters, ()) = counted(|| loans.take_back_from(second.badge()))?;
    check(counters.faults == 0, "taking back is no fault of anybody")?;
    second.has_landed()?;
    check(loans.lent_to(second.badge())?.is_nothing(), "nothing is lent to the second")?;
    for other in [first, third] {
        other.works()?;
        check(loans.lent_to(other.badge())?.is_whole(), "the others keep what they have")?;
    }
    println!("lender: borrowers 1 and 3 work on");
    Ok(())
}

fn take_all_back(loans: &Loans, borrowers: &[Borrower; 3]) -> Result<(), Failure> {
    chapter("It takes everything back");
    let (counters, ()) = counted(|| loans.take_everything_back())?;
    check(counters.faults == 0, "taking back is no fault of anybody")?;
    for borrower in [&borrowers[0], &borrowers[2]] {
        borrower.has_landed()?;
    }
    for borrower in borrowers {
        check(loans.lent_to(borrower.badge())?.is_nothing(), "nothing is lent to anybody")?;
    }
    loans.is_whole()
}

/// How many objects of each kind there are, but for those that the program's heap grows by.
fn what_exists() -> Result<[u64; 5], Error> {
    let info = program().machine().ok_or(Error::MissingRight)?.info()?;
    Ok([info.accounts, info.spaces, info.subtrees, info.tables, info.threads])
}

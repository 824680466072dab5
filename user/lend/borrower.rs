//! The borrower's side. Its threads use another capability table than the lender's, so nothing here may use the lender's
//! objects, `libvas::program()` and a heap that grows among them.

use crate::desk::{Desk, Item};
use crate::loans::{IN_SPACE, IN_SUBTREE, WORDS};
use core::mem::ManuallyDrop;
use core::time::Duration;
use demonstration::{Failure, check};
use libvas::{
    Account, Cap, Error, Object, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, View, clock,
};

/// Where a borrower maps the segment, and attaches the subtree, in its own space.
const MAPPED: u64 = 0x100_0000_0000;
/// See [`MAPPED`].
const ATTACHED: u64 = 40 * TOP_SLOT_BYTES;

/// What a borrower's thread does, until it is thrown out.
pub(crate) fn work(desk: &Desk) -> Result<(), Failure> {
    let (home, space) = (named::<Space>(desk, Item::Home), named::<Space>(desk, Item::Space));
    home.map(MAPPED, &named::<Segment>(desk, Item::Segment), 0..PAGE_BYTES, Rights::READ)?;
    home.attach(ATTACHED, &named::<Subtree>(desk, Item::Subtree), Rights::READ)?;
    let view = ManuallyDrop::new(View::new(&named::<Account>(desk, Item::Account), &space, Rights::READ)?);
    desk.write(Item::View, view.handle().bits());
    let (mapped, attached) = (Place::<u64>::new(MAPPED)?, Place::<u64>::new(ATTACHED + IN_SUBTREE)?);
    let inside = Place::<u64>::new(IN_SPACE)?;
    check([mapped.get(), attached.get()] == WORDS[..2], "the borrower reads what it has borrowed")?;
    // Home by the handle that it has of it: that of its creator, by which it began here, is in another table.
    view.switch()?;
    let seen = inside.get();
    space.switch()?;
    check(seen == WORDS[2], "it sees the space through its view")?;
    let mut turns = 0;
    while inside.get() == WORDS[2] {
        turns += 1;
        desk.write(Item::Turns, turns);
    }
    Err(Failure::NotAsTold("inside the space, the thread reads the space's page"))
}

/// What it finds when it has landed at home: nothing of all that.
pub(crate) fn look_around(desk: &Desk) -> Result<(), Failure> {
    // With many CPUs the lender takes back in steps, and whoever has landed is not the last thing to go.
    while desk.read(Item::TakenBack) == 0 {
        clock::sleep(Duration::from_micros(500));
    }
    let home = named::<Space>(desk, Item::Home);
    let gone = |what: Result<(), Error>| check(what == Err(Error::BadHandle), "its handles name nothing any more");
    gone(named::<Segment>(desk, Item::Segment).capability_info().map(|_| ()))?;
    gone(named::<Subtree>(desk, Item::Subtree).capability_info().map(|_| ()))?;
    gone(named::<Space>(desk, Item::Space).switch().map(|_| ()))?;
    gone(named::<View>(desk, Item::View).switch().map(|_| ()))?;
    for address in [MAPPED, ATTACHED + IN_SUBTREE] {
        check(home.read(address, &mut [0]) == Err(Error::BadAddress), "its space shows nothing of the loan")?;
    }
    Ok(())
}

/// The capability that a number of the desk means, in the table of the thread that asks. It stays where it is.
fn named<T: Object>(desk: &Desk, item: Item) -> ManuallyDrop<Cap<T>> {
    ManuallyDrop::new(Cap::from_handle(desk.handle(item)))
}

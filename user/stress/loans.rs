//! Lending and taking back: what a worker lends to itself, and what all workers borrow from one lender.

use crate::guest::Guest;
use crate::memory::Memory;
use crate::world::World;
use demonstration::Random;
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, View, program};

/// Where a space shows a page by a borrowed capability, and beside it one that stays, for a thread inside to read.
const LENT: u64 = 0x1400_0000_0000;
const KEPT: u64 = LENT + 2 * PAGE_BYTES;
/// Where it shows what was borrowed from the lender that all know.
const BORROWED: u64 = LENT + 4 * PAGE_BYTES;
const BORROWED_SUBTREE: u64 = 62 * TOP_SLOT_BYTES;

/// The name of the lender's page.
const NAME: u64 = 0x01e4_de75_9a6e;

/// Badges of what a worker lends to itself are from here on; below are the workers' own numbers.
const FIRST_BADGE: u64 = 1000;

/// A page of memory and a subtree that shows it, from which all workers borrow at once.
pub(crate) struct Lender {
    segment: Cap<Segment>,
    subtree: Cap<Subtree>,
}

impl Lender {
    /// A lender from whom nobody has borrowed yet.
    pub(crate) fn new() -> Result<Lender, Error> {
        let (segment, subtree) = (Segment::new(program().account(), PAGE_BYTES)?, Subtree::new(program().account())?);
        segment.write(0, &NAME.to_le_bytes())?;
        subtree.map(PAGE_BYTES, &segment, 0..PAGE_BYTES, Rights::READ)?;
        Ok(Lender { segment, subtree })
    }

    /// Borrows by a badge, shows what was borrowed in a space, and takes it back, from everybody now and then; gives how much
    /// was wrong. Others take it back at any moment meanwhile: then it is not there any more, and what it was cannot be used.
    pub(crate) fn borrow_and_take_back(
        &self,
        badge: u64,
        space: &Cap<Space>,
        random: &mut Random,
    ) -> Result<u64, Error> {
        let gone_is_fine = |result: Result<(), Error>| if result == Err(Error::BadHandle) { Ok(()) } else { result };
        let (segment, subtree) = (self.segment.derive(Rights::READ, badge)?, self.subtree.derive(Rights::READ, badge)?);
        let below = (0..random.below(6)).map_while(|_| segment.derive(Rights::READ, FIRST_BADGE).ok()).last();
        gone_is_fine(space.map(BORROWED, below.as_ref().unwrap_or(&segment), 0..PAGE_BYTES, Rights::READ))?;
        gone_is_fine(space.attach(BORROWED_SUBTREE, &subtree, Rights::READ))?;
        let mut wrong = 0;
        let places = [BORROWED, BORROWED_SUBTREE + PAGE_BYTES];
        for place in places {
            let mut bytes = [0; 8];
            match space.read(place, &mut bytes) {
                Ok(()) => wrong += u64::from(u64::from_le_bytes(bytes) != NAME),
                Err(Error::BadAddress) => {}
                Err(error) => return Err(error),
            }
        }
        if random.below(4) == 0 {
            self.segment.revoke()?;
            self.subtree.revoke()?;
        } else {
            self.segment.revoke_badge(badge)?;
            self.subtree.revoke_badge(badge)?;
        }
        wrong += places.iter().filter(|place| space.read(**place, &mut [0]).is_ok()).count() as u64;
        wrong += u64::from(segment.capability_info().is_ok()) + u64::from(subtree.capability_info().is_ok());
        Ok(wrong)
    }

    /// How much of it is still lent: nothing, when nobody borrows.
    pub(crate) fn still_lent(&self) -> Result<u64, Error> {
        Ok(self.segment.lent().count() as u64 + self.subtree.lent().count() as u64 + self.subtree.info()?.sharers)
    }
}

/// Lends a page of memory and a space, each through a row of capabilities; uses them by a mapping, a view and a thread inside;
/// gives up some of what stands between, and takes everything back while the thread reads. Gives how much was wrong.
pub(crate) fn lend_and_take_back(
    memory: &Memory,
    world: &World,
    guest: &mut Guest,
    random: &mut Random,
) -> Result<u64, Error> {
    let (page, badge) = (random.below(memory.pages), FIRST_BADGE + random.below(8));
    let (range, name) = (page * PAGE_BYTES..(page + 1) * PAGE_BYTES, memory.name(page));
    let lender = world.space.derive(Rights::all(), badge)?;
    let ways_in =
        [lender.derive(Rights::all(), 1)?, lender.derive(Rights::all(), 2)?, lender.derive(Rights::all(), 1)?];
    let way_in = ways_in[2].derive(Rights::SWITCH | Rights::INSPECT, 3)?;
    let (lent, below) = (memory.segment.derive(Rights::READ, badge)?, random.below(2) == 0);
    let by = if below { lent.derive(Rights::READ, badge + 1)? } else { lent };
    world.space.map(LENT, &by, range.clone(), Rights::READ)?;
    world.space.map(KEPT, &memory.segment, range, Rights::READ)?;
    let view = View::new(program().account(), &way_in, Rights::READ)?;
    let narrowed = view.narrowed(program().account(), Rights::READ)?;
    let place = Place::<u64>::new(LENT)?;
    let mut wrong = u64::from(narrowed.enter(|| place.get())? != name);
    guest.admit(&way_in, KEPT, name)?;
    if random.below(2) == 0 {
        // What was lent through it is lent through its parent from here on.
        drop((ways_in, by));
    }
    if random.below(2) == 0 {
        drop(view);
    }
    libvas::clock::sleep(core::time::Duration::from_micros(random.below(200)));
    memory.segment.revoke()?;
    wrong += u64::from(world.space.read(LENT, &mut [0]).is_ok());
    lender.revoke()?;
    wrong += u64::from(narrowed.info().is_ok()) + u64::from(way_in.info().is_ok());
    wrong += guest.has_left()?;
    world.space.unmap(KEPT..KEPT + PAGE_BYTES)?;
    Ok(wrong)
}

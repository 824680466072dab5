//! One mapping changes, and every client sees it.

use crate::area::Area;
use crate::clients::Clients;
use demonstration::{Failure, chapter, check, counted, refused};
use libvas::layout::Counters;
use libvas::{Cap, Error, PAGE_BYTES, Segment, Space, program, thread};
use rt::println;

/// What the new page says.
const NEWS: u64 = 0x006e_6577_7300_2026;

/// Takes one page of the area away, shows that it is gone, puts another in its place, and lets all clients look.
pub(crate) fn show(area: &Area, clients: &Clients) -> Result<(), Failure> {
    chapter("One mapping changes, for all at once");
    let page = area.pages() / 2;
    let memory = Segment::new(program().account(), PAGE_BYTES)?;
    memory.write(0, &NEWS.to_le_bytes())?;
    let (cost, ()) = clients.first()?.enter(|| counted(|| area.unmap_page(page)))??;
    tell_cost(&cost);
    println!("   another that reads the hole is stopped, and the kernel says why:");
    refused("joining its thread", reader(area, page, clients.last()?), Error::Faulted)?;
    area.map_page(page, &memory)?;
    let mut seen = 0;
    for space in clients.spaces() {
        let (new, neighbours) = space.enter(|| look(area, page))??;
        check(new == NEWS, "every client reads the new page")?;
        check(neighbours, "the pages around it are what they were")?;
        seen += 1;
    }
    println!("   another page was mapped there: {seen} clients read {NEWS:#x}, and around it what was there before");
    Ok(())
}

fn tell_cost(cost: &Counters) {
    println!("   a thread inside the first client unmaps a page of the area:");
    println!(
        "     pages invalidated under one tag {}, under all tags at once {}",
        cost.page_flushes, cost.shared_page_flushes
    );
    println!("     tags flushed {}, interrupts sent to other CPUs {}", cost.range_flushes, cost.shootdowns_sent);
}

/// A thread of its own that reads a page in a client's space; its end tells whether it could.
fn reader(area: &Area, page: u64, space: &Cap<Space>) -> Result<u64, Error> {
    let place = area.place_of(page)?;
    thread::Builder::new().space(space).name("client").spawn(move || place.get())?.join()
}

/// The word of the changed page, and whether the pages around it are right, in the space that the thread is in.
fn look(area: &Area, page: u64) -> Result<(u64, bool), Error> {
    Ok((area.place_of(page)?.get(), area.is_right(page - 1)? && area.is_right(page + 1)?))
}

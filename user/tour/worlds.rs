//! Three spaces with different bytes at one address, and how threads visit them.

use core::sync::atomic::{AtomicU64, Ordering};
use demonstration::{Failure, chapter, check};
use libvas::layout::Name;
use libvas::{Cap, PAGE_BYTES, Place, Rights, Segment, Space, counters, program, thread};
use rt::println;

/// The address that means something else in every space: 1 TiB, above the program subtree.
pub(crate) const HERE: u64 = 0x100_0000_0000;

/// A space, with a page of its own at [`HERE`].
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) bytes: [u8; 8],
    pub(crate) space: Cap<Space>,
    pub(crate) memory: Cap<Segment>,
}

/// The tour's three spaces.
pub(crate) struct Worlds(pub(crate) [World; 3]);

impl World {
    fn new(name: &'static str, bytes: [u8; 8]) -> Result<World, Failure> {
        let space = program().new_space()?;
        space.set_name(name)?;
        let memory = Segment::new(program().account(), PAGE_BYTES)?;
        space.map(HERE, &memory, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        space.write(HERE, &bytes)?;
        println!("   space {name:<5}: one page mapped at {HERE:#x}, filled with \"{}\"", text(bytes));
        Ok(World { name, bytes, space, memory })
    }
}

impl Worlds {
    /// Makes the three spaces, and fills them while no thread is in any of them.
    pub(crate) fn new() -> Result<Worlds, Failure> {
        chapter("Three spaces");
        println!("A space exists without threads. This program makes three, and fills them from outside.");
        Ok(Worlds([
            World::new("red", *b"cherries")?,
            World::new("green", *b"limes   ")?,
            World::new("blue", *b"plums   ")?,
        ]))
    }

    /// One thread goes through all three and reads the same address each time.
    pub(crate) fn visit_one_after_another(&self) -> Result<(), Failure> {
        chapter("One thread, one address, three answers");
        println!("The thread switches into each space, reads address {HERE:#x} with one load, and switches back.");
        println!("Code, heap and stacks stay: one page-table subtree with the program is attached to every space.");
        let before = counters::total()?.space_switches;
        for world in &self.0 {
            let seen = world.space.enter(bytes_here)??;
            println!("   in {:<5} it reads \"{}\"", world.name, text(seen));
            check(seen == world.bytes, "each space has its own bytes at the address")?;
        }
        let switches = counters::total()?.space_switches - before;
        println!("   the kernel counted {switches} switches: there and back, three times");
        check(switches >= 6, "three visits are six switches")
    }

    /// Two threads are inside two spaces at once and read the same address.
    pub(crate) fn visit_at_the_same_time(&self) -> Result<(), Failure> {
        chapter("Two threads, one address, at the same time");
        println!("Each thread waits inside its space until the other has read as well.");
        let [red, _, blue] = &self.0;
        let in_red = thread::spawn_in(&red.space, read_together)?;
        let in_blue = thread::spawn_in(&blue.space, read_together)?;
        let (in_red, in_blue) = (in_red.join()??, in_blue.join()??);
        println!("   the thread in red reads \"{}\", the one in blue \"{}\"", text(in_red), text(in_blue));
        check((in_red, in_blue) == (red.bytes, blue.bytes), "each thread sees the bytes of its own space")
    }
}

/// Reads the eight bytes at [`HERE`] in whatever space the thread is.
pub(crate) fn bytes_here() -> Result<[u8; 8], libvas::Error> {
    Ok(Place::<u64>::new(HERE)?.get().to_le_bytes())
}

/// The text in eight bytes.
pub(crate) fn text(bytes: [u8; 8]) -> impl core::fmt::Display {
    struct Text(Name);
    impl core::fmt::Display for Text {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            formatter.write_str(self.0.as_str().trim_end())
        }
    }
    Text(Name::from_words([u64::from_le_bytes(bytes), 0, 0, 0]))
}

/// Reads between two meetings with the other thread, so that both reads happen while both threads are inside.
fn read_together() -> Result<[u8; 8], libvas::Error> {
    static ARRIVED: AtomicU64 = AtomicU64::new(0);
    static DONE: AtomicU64 = AtomicU64::new(0);
    meet(&ARRIVED);
    let bytes = bytes_here();
    meet(&DONE);
    bytes
}

/// Waits until both threads have come here.
fn meet(visitors: &AtomicU64) {
    visitors.fetch_add(1, Ordering::AcqRel);
    while visitors.load(Ordering::Acquire) < 2 {
        thread::yield_now();
    }
}

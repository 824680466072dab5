//! Random updates over more memory than one window shows, by switching among spaces.
//!
//! The GUPS pattern as SpaceJMP measured it (El Hajj et al., ASPLOS 2016): a table is cut into windows, each mapped
//! at the same address in a space of its own; each update goes to a random word of a random window. The same
//! updates are done to one flat array, and both must end with the same checksum.
//!
//! Arguments: `spaces=16 updates=20000 batch=8`; `batch` updates go to one window before the next is drawn.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use demonstration::Random;
use libvas::{Cap, Error, Place, Rights, Segment, Space, clock, counters, program};
use rt::println;

rt::main!(main);

/// Where every window lies: 1 TiB, above the program subtree.
const WINDOW: u64 = 0x100_0000_0000;
const WINDOW_BYTES: u64 = 1 << 20;
const WINDOW_WORDS: u64 = WINDOW_BYTES / 8;

/// What to do, from the arguments.
#[derive(Clone, Copy)]
struct Task {
    spaces: u64,
    updates: u64,
    batch: u64,
}

/// One update: which window, which word in it, and what to combine it with.
#[derive(Clone, Copy)]
struct Update {
    window: u64,
    word: u64,
    value: u64,
}

fn main() -> Result<u8, Error> {
    let Some(task) = Task::from_arguments(program().arguments()) else {
        println!("windows: usage: spaces=N updates=N batch=N, each from 1 on, at most 256 spaces");
        return Ok(2);
    };
    println!("windows: {} spaces, {} KiB of window in each, all at {WINDOW:#x}", task.spaces, WINDOW_BYTES / 1024);
    let spaces = (0..task.spaces).map(|_| window_space()).collect::<Result<Vec<_>, _>>()?;
    let switches = update_windows(task, &spaces)?;
    println!("windows: {} updates, {switches} switches", task.updates);
    let flat = checksum(update_flat(task).into_iter());
    let windows = windows_checksum(&spaces)?;
    println!("windows: checksum by switching {windows:#018x}, in one flat array {flat:#018x}");
    Ok(u8::from(windows != flat))
}

impl Task {
    /// Reads `key=number` words; `None` if a word is unknown or a number is out of range.
    fn from_arguments(arguments: &str) -> Option<Task> {
        let mut task = Task { spaces: 16, updates: 20_000, batch: 8 };
        for word in arguments.split_whitespace() {
            let (key, number) = word.split_once('=')?;
            let goal = match key {
                "spaces" => &mut task.spaces,
                "updates" => &mut task.updates,
                "batch" => &mut task.batch,
                _ => return None,
            };
            *goal = number.parse().ok().filter(|number| *number > 0)?;
        }
        (task.spaces <= 256).then_some(task)
    }

    /// The updates, the same each time it is asked.
    fn updates(self) -> impl Iterator<Item = Update> {
        let mut random = Random::new(2026);
        let mut window = 0;
        (0..self.updates).map(move |index| {
            if index % self.batch == 0 {
                window = random.below(self.spaces);
            }
            Update { window, word: random.below(WINDOW_WORDS), value: random.next() }
        })
    }
}

/// A space with the program and a window of its own.
fn window_space() -> Result<Cap<Space>, Error> {
    let space = program().new_space()?;
    let memory = Segment::new(program().account(), WINDOW_BYTES)?;
    space.map(WINDOW, &memory, 0..WINDOW_BYTES, Rights::READ_WRITE)?;
    Ok(space)
}

/// Does the updates through the windows, switching where the window changes; returns how often that was.
fn update_windows(task: Task, spaces: &[Cap<Space>]) -> Result<u64, Error> {
    let table = Place::<u64>::new(WINDOW)?;
    let (start, before) = (clock::now(), counters::total()?);
    let mut current = None;
    for update in task.updates() {
        if current != Some(update.window) {
            spaces[update.window as usize].switch()?;
            current = Some(update.window);
        }
        let place = table.at(update.word)?;
        place.set(place.get() ^ update.value);
    }
    program().space().switch()?;
    let (after, time) = (counters::total()?, clock::now() - start);
    println!(
        "windows: {} us; {} switches kept the TLB's entries, {} flushed",
        time.as_micros(),
        after.tag_hits - before.tag_hits,
        after.tag_flushes - before.tag_flushes
    );
    Ok(after.space_switches - before.space_switches)
}

/// Does the updates in one array that holds all windows one after another.
fn update_flat(task: Task) -> Vec<u64> {
    let mut words = vec![0; (task.spaces * WINDOW_WORDS) as usize];
    for update in task.updates() {
        words[(update.window * WINDOW_WORDS + update.word) as usize] ^= update.value;
    }
    words
}

/// The checksum over all windows, in order.
fn windows_checksum(spaces: &[Cap<Space>]) -> Result<u64, Error> {
    let table = Place::<u64>::new(WINDOW)?;
    let mut sum = 0;
    for space in spaces {
        sum = space.enter(|| (0..WINDOW_WORDS).try_fold(sum, |sum, index| Ok(mix(sum, table.at(index)?.get()))))??;
    }
    Ok(sum)
}

fn checksum(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0, mix)
}

/// Takes one word into a checksum in which the order counts.
fn mix(sum: u64, word: u64) -> u64 {
    (sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

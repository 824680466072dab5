//! sga: a database's memory, shared by all its clients, with one set of page tables.
//!
//! A database server with 512 GiB of memory ran out of it, because 1,500 clients shared 300 GiB (Oracle calls it the
//! system global area) in pages of 4 KiB: the memory was there once, but each client had page tables of its own for
//! it, 878.9 GiB if all touched everything. That failure is what Khalid Aziz gave in 2022 as the reason for mshare, the
//! proposal to share page tables in Linux. Here it is at full scale, on a machine with 2 GiB: the area is one subtree,
//! its pages are mapped one by one (to a few frames, again and again), and each client's space has one entry for it.
//!
//! Arguments: `gib=300 clients=1500`. With `rows`, prints the table memory of several areas and numbers of clients
//! instead, from which `./x.py figures sharing` makes docs/sharing.md.

#![no_std]
#![no_main]

extern crate alloc;

mod area;
mod change;
mod clients;
mod rows;

use area::Area;
use clients::Clients;
use core::time::Duration;
use demonstration::{Failure, Size, chapter, check, refused};
use libvas::{PAGE_BYTES, clock, program};
use rt::println;

rt::main!(main);

/// What to do, from the arguments.
#[derive(Clone, Copy)]
struct Task {
    gib: u64,
    clients: u64,
    rows: bool,
}

fn main() -> Result<u8, Failure> {
    let Some(task) = Task::from_arguments(program().arguments()) else {
        println!("sga: usage: gib=N (at most 500) clients=N (at most 4000), or rows");
        return Ok(2);
    };
    if task.rows {
        return rows::print_all().map(|()| 0);
    }
    let area = build(task)?;
    let mut clients = attach(task, &area)?;
    compare(task, &area, &clients)?;
    read(&area, &clients)?;
    change::show(&area, &clients)?;
    withdraw(task, &area, &mut clients)?;
    println!("sga: all as told, {} s after the boot", clock::now().as_secs());
    Ok(0)
}

impl Task {
    /// Reads `key=number` words; `None` if a word is unknown or a number is out of range.
    fn from_arguments(arguments: &str) -> Option<Task> {
        let mut task = Task { gib: 300, clients: 1500, rows: false };
        for word in arguments.split_whitespace() {
            match word.split_once('=') {
                Some(("gib", number)) => task.gib = number.parse().ok()?,
                Some(("clients", number)) => task.clients = number.parse().ok()?,
                None if word == "rows" => task.rows = true,
                _ => return None,
            }
        }
        ((1..=500).contains(&task.gib) && (1..=4000).contains(&task.clients)).then_some(task)
    }
}

/// The time since the last call.
fn lap(since: &mut Duration) -> Seconds {
    let now = clock::now();
    Seconds(now - core::mem::replace(since, now))
}

/// Seconds and milliseconds.
struct Seconds(Duration);

impl core::fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{}.{:03} s", self.0.as_secs(), self.0.subsec_millis())
    }
}

fn build(task: Task) -> Result<Area, Failure> {
    chapter("The area: one subtree");
    let mut since = clock::now();
    let area = Area::new(task.gib << 30)?;
    area.map_with_progress()?;
    let info = area.subtree().info()?;
    let (pages, last_level) = (area.pages(), area.last_level_tables());
    println!("   {pages} pages of 4 KiB, mapped in {}; {last_level} tables hold their entries", lap(&mut since));
    println!("   with the levels above: {} of page tables", Size(info.table_bytes));
    check(info.mapped_bytes == task.gib << 30, "the whole area is mapped")?;
    check(info.table_bytes == area.expected_table_bytes(), "each page has an entry of its own: no large pages")?;
    Ok(area)
}

fn attach(task: Task, area: &Area) -> Result<Clients, Failure> {
    chapter("The clients: a space each, with one entry for the area");
    let mut since = clock::now();
    let before = area.subtree().info()?.table_bytes;
    let mut clients = Clients::new(task.clients);
    clients.add_up_to(task.clients, area)?;
    let info = area.subtree().info()?;
    println!("   {} spaces made and attached to in {}", info.sharers, lap(&mut since));
    check(info.sharers == task.clients, "the subtree knows every space it is attached to")?;
    check(info.table_bytes == before, "its tables are there once, whoever shares them")?;
    Ok(clients)
}

/// Prints what the tables take, against what they would take if each client had its own.
fn compare(task: Task, area: &Area, clients: &Clients) -> Result<(), Failure> {
    chapter("Page tables");
    let (shared, roots) = (area.subtree().info()?.table_bytes, clients.table_bytes()?);
    let private = task.clients * area.pages() * 8;
    let machine = program().machine().ok_or(libvas::Error::MissingRight)?.info()?;
    println!("   the area's, once                             {:>12}", Size(shared));
    println!("   a root for each of {:>4} clients             {:>12}", task.clients, Size(roots));
    println!("   together                                     {:>12}", Size(shared + roots));
    println!("   if each client had its own, the last level   {:>12}", Size(private));
    println!("   memory of this machine                       {:>12}", Size(machine.memory_bytes));
    println!("   of which free                                {:>12}", Size(machine.free_bytes));
    check(roots == task.clients * PAGE_BYTES, "a client has a root table of its own and no other")?;
    check(task.clients < 10 || private > 5 * (shared + roots), "sharing is what makes it fit")
}

fn read(area: &Area, clients: &Clients) -> Result<(), Failure> {
    chapter("Each client reads");
    let mut since = clock::now();
    let words = clients.read_through(area)?;
    println!("   switched into each space and read {words} words there, all as they should be, in {}", lap(&mut since));
    Ok(())
}

/// Takes the area away from all clients by one call.
fn withdraw(task: Task, area: &Area, clients: &mut Clients) -> Result<(), Failure> {
    chapter("The end");
    let mut since = clock::now();
    let places = area.subtree().withdraw()?;
    println!("   the area was withdrawn from {places} spaces in {}", lap(&mut since));
    check(places == task.clients, "withdrawing takes it from everybody")?;
    check(area.subtree().info()?.sharers == 0, "nobody shares it then")?;
    let address = area.place_of(0)?.address();
    refused("reading it through the last client", clients.last()?.read(address, &mut [0]), libvas::Error::BadAddress)?;
    clients.dismiss();
    println!("   the clients' spaces are gone in {}", lap(&mut since));
    Ok(())
}

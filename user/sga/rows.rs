//! Table memory by size of the area and number of clients, as lines for `./x.py figures`.

use crate::area::Area;
use crate::clients::Clients;
use demonstration::{Failure, check};
use libvas::{Error, PAGE_BYTES, Space, program};
use rt::println;

/// Sizes of areas, MiB: 64 MiB is what Linux was measured with, 300 GiB what brought the server down.
const AREAS_MIB: [u64; 3] = [64, 1 << 10, 300 << 10];

/// Numbers of clients.
const CLIENTS: [u64; 6] = [1, 10, 100, 500, 1000, 1500];

/// Up to this size an area is also mapped into one space without sharing, to measure what that takes.
const PRIVATE_MAX_MIB: u64 = 1 << 10;

/// Prints all rows.
pub(crate) fn print_all() -> Result<(), Failure> {
    AREAS_MIB.into_iter().try_for_each(print_area)
}

fn print_area(mib: u64) -> Result<(), Failure> {
    let area = Area::new(mib << 20)?;
    // The subtree's first table is there already.
    let before = in_use_bytes()? - PAGE_BYTES;
    area.map()?;
    let tables = area.subtree().info()?.table_bytes;
    check(tables == area.expected_table_bytes(), "each page has an entry of its own")?;
    let private = tables + PAGE_BYTES;
    if mib <= PRIVATE_MAX_MIB {
        check(measure_private(&area)? == private, "private tables are as many, and a root")?;
    }
    let mut clients = Clients::new(CLIENTS[CLIENTS.len() - 1]);
    for count in CLIENTS {
        clients.add_up_to(count, &area)?;
        check(area.subtree().info()?.sharers == count, "each client shares the area")?;
        let (roots, taken) = (clients.table_bytes()?, in_use_bytes()? - before);
        check(taken >= tables + roots, "the tables are among the memory that was taken")?;
        println!("sga row mib={mib} clients={count} tables={tables} roots={roots} taken={taken} private={private}");
    }
    Ok(())
}

/// What the area's tables take in one space that has them for itself, root included, bytes.
fn measure_private(area: &Area) -> Result<u64, Error> {
    let space = Space::new(program().account())?;
    area.map_privately(&space)?;
    Ok(space.info()?.table_bytes)
}

/// Memory in use: what is neither free nor a free block of the kernel's heap.
fn in_use_bytes() -> Result<u64, Error> {
    let info = program().machine().ok_or(Error::MissingRight)?.info()?;
    Ok(info.memory_bytes - info.free_bytes - info.heap_held_bytes + info.heap_bytes)
}

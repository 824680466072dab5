//! Which CPUs the machine has, from ACPI's tables (ACPI 6.5, 5.2.5 to 5.2.12). Read through the direct map.

use super::memory::read_physical;
use crate::PhysAddr;

/// Bytes of the header that every table begins with; the length is its second word.
const HEADER_BYTES: u64 = 36;
/// Where the entries of the interrupt controller table begin.
const CONTROLLERS: u64 = 44;
/// Tables longer than this are taken for broken.
const TABLE_BYTES_MAX: u64 = 1 << 20;

/// A little-endian number of `N` bytes in physical memory.
fn number<const N: usize>(address: u64) -> u64 {
    let mut bytes = [0; 8];
    read_physical(PhysAddr::new(address), &mut bytes[..N]);
    u64::from_le_bytes(bytes)
}

/// Numbers of the local APICs of the CPUs that the firmware says can be used; none if its tables do not tell.
pub(super) fn usable_cpus(root_pointer: PhysAddr) -> impl Iterator<Item = u32> {
    find_controllers(root_pointer.value())
        .into_iter()
        .flat_map(entries)
        .filter_map(|(kind, address)| usable_cpu(kind, address))
}

/// The table of interrupt controllers, signature `APIC`.
fn find_controllers(root_pointer: u64) -> Option<u64> {
    // Revision 2 and later have a table of 64-bit addresses, which goes before the one of 32-bit addresses.
    let is_extended = number::<1>(root_pointer + 15) >= 2;
    let (list, width) =
        if is_extended { (number::<8>(root_pointer + 24), 8) } else { (number::<4>(root_pointer + 16), 4) };
    let end = list + length(list)?;
    (list + HEADER_BYTES..end)
        .step_by(width)
        .map(|entry| if width == 8 { number::<8>(entry) } else { number::<4>(entry) })
        .find(|table| number::<4>(*table) == u64::from(u32::from_le_bytes(*b"APIC")))
}

/// A table's length, if it is credible.
fn length(table: u64) -> Option<u64> {
    let length = number::<4>(table + 4);
    (HEADER_BYTES..TABLE_BYTES_MAX).contains(&length).then_some(length)
}

/// Kind and address of each entry of the interrupt controller table.
fn entries(table: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = table + length(table).unwrap_or(0);
    let mut next = table + CONTROLLERS;
    core::iter::from_fn(move || {
        let entry = next;
        if entry + 2 > end {
            return None;
        }
        // An entry is at least its own two first bytes long.
        next += number::<1>(entry + 1).max(2);
        Some((number::<1>(entry), entry))
    })
}

/// The number of the CPU's APIC, if an entry describes one that runs or can be started: a local APIC or local
/// x2APIC with the flag "enabled".
fn usable_cpu(kind: u64, entry: u64) -> Option<u32> {
    let (number, flags) = match kind {
        0 => (number::<1>(entry + 3), number::<4>(entry + 4)),
        9 => (number::<4>(entry + 4), number::<4>(entry + 8)),
        _ => return None,
    };
    (flags & 1 != 0).then_some(number as u32)
}

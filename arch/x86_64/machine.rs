//! What ACPI's tables say, as far as the kernel needs it: functions of their bytes.
//!
//! The table of interrupt controllers (ACPI 6.5, 5.2.12) lists CPUs and I/O APICs, the fixed table (5.2.9) tells of a timer.

/// Where the entries of the table of interrupt controllers begin.
const ENTRIES: usize = 44;
/// Numbers that stand for all CPUs, or for none: outside of x2APIC mode, and in it.
const NO_APIC: [u32; 2] = [0xff, 0xffff_ffff];

/// Where the fixed table tells the port of ACPI's timer (ACPI 6.5, 5.2.9).
const PORT_IN_TABLE: usize = 76;

/// The CPUs that firmware lists, the running one included or not, by the numbers of their local APICs.
#[derive(Clone, Copy)]
pub(super) struct CpuList {
    apics: [u32; CPUS_LISTED_MAX],
    count: usize,
}

/// How many CPUs of firmware's list are looked at. Those that cannot be reached, and this one, are among them.
const CPUS_LISTED_MAX: usize = 64;

impl CpuList {
    /// Reads ACPI's table of interrupt controllers.
    pub(super) fn in_table(table: &[u8]) -> CpuList {
        let mut apics = [0; CPUS_LISTED_MAX];
        let count = usable_cpus(table, &mut apics);
        CpuList { apics, count }
    }

    /// The numbers.
    pub(super) fn apics(&self) -> &[u32] {
        &self.apics[..self.count]
    }
}

/// Kind and bytes of each entry. Ends at the first that is too short to be one, or longer than what is left.
fn entries(table: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = table.get(ENTRIES..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let (kind, length) = (*rest.first()?, usize::from(*rest.get(1)?));
        if length < 2 || length > rest.len() {
            return None;
        }
        let (entry, behind) = rest.split_at(length);
        rest = behind;
        Some((kind, entry))
    })
}

fn number(entry: &[u8], at: usize) -> Option<u32> {
    let bytes = entry.get(at..at + 4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Numbers of the local APICs of the CPUs that can be used, each once, though firmware may list a CPU as local APIC and as
/// local x2APIC; as many as `found` holds. Gives how many there are.
fn usable_cpus(table: &[u8], found: &mut [u32]) -> usize {
    let mut count = 0;
    for apic in entries(table).filter_map(|(kind, entry)| usable_cpu(kind, entry)) {
        if count < found.len() && !found[..count].contains(&apic) {
            found[count] = apic;
            count += 1;
        }
    }
    count
}

/// The number of the CPU's APIC, if an entry describes one that runs or can be started: a local APIC or local x2APIC with
/// the flag "enabled", and with a number of its own.
fn usable_cpu(kind: u8, entry: &[u8]) -> Option<u32> {
    let (apic, flags, nobody) = match kind {
        0 => (u32::from(*entry.get(3)?), number(entry, 4)?, NO_APIC[0]),
        9 => (number(entry, 4)?, number(entry, 8)?, NO_APIC[1]),
        _ => return None,
    };
    (flags & 1 != 0 && apic != nobody).then_some(apic)
}

/// Physical addresses of the I/O APICs' registers.
pub(super) fn io_apics(table: &[u8]) -> impl Iterator<Item = u64> {
    entries(table).filter(|(kind, _)| *kind == 1).filter_map(|(_, entry)| number(entry, 4).map(u64::from))
}

/// The I/O port of ACPI's timer, by the bytes of the fixed table.
pub(super) fn timer_port(table: &[u8]) -> Option<u16> {
    let port = table.get(PORT_IN_TABLE..PORT_IN_TABLE + 4)?;
    let port = u32::from_le_bytes([port[0], port[1], port[2], port[3]]);
    u16::try_from(port).ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::{CPUS_LISTED_MAX, CpuList, ENTRIES, io_apics, timer_port};

    fn table(entries: &[&[u8]]) -> Vec<u8> {
        let mut table = vec![0; ENTRIES];
        table[..4].copy_from_slice(b"APIC");
        entries.iter().for_each(|entry| table.extend_from_slice(entry));
        table
    }

    fn local(apic: u8, flags: u8) -> Vec<u8> {
        vec![0, 8, 0, apic, flags, 0, 0, 0]
    }

    fn extended(apic: u32, flags: u8) -> Vec<u8> {
        let mut entry = vec![9, 16, 0, 0];
        entry.extend(apic.to_le_bytes());
        entry.extend([flags, 0, 0, 0, 0, 0, 0, 0]);
        entry
    }

    fn cpus(table: &[u8]) -> Vec<u32> {
        CpuList::in_table(table).apics().to_vec()
    }

    #[test]
    fn a_cpu_that_is_listed_twice_counts_once() {
        let table = table(&[&local(0, 1), &local(2, 1), &extended(0, 1), &extended(2, 1), &extended(0x1_0000, 1)]);
        assert_eq!(cpus(&table), [0, 2, 0x1_0000]);
    }

    #[test]
    fn disabled_entries_and_numbers_for_all_are_no_cpus() {
        let table = table(&[
            &local(1, 0),
            &local(3, 2),
            &local(0xff, 1),
            &extended(u32::MAX, 1),
            &extended(0xff, 1),
            &local(4, 1),
        ]);
        assert_eq!(cpus(&table), [0xff, 4]);
    }

    #[test]
    fn more_cpus_than_there_is_room_for_are_left_out() {
        let numbers = 0..CPUS_LISTED_MAX as u32;
        let entries: Vec<_> = (0..numbers.end + 5).map(|apic| extended(apic, 1)).collect();
        let entries: Vec<_> = entries.iter().map(Vec::as_slice).collect();
        assert_eq!(cpus(&table(&entries)), numbers.collect::<Vec<_>>());
    }

    #[test]
    fn broken_entries_end_the_list_and_nothing_else() {
        let mut endless = table(&[&local(1, 1), &[0, 0, 0, 0], &local(2, 1)]);
        assert_eq!(cpus(&endless), [1]);
        endless[ENTRIES + 9] = 1;
        assert_eq!(cpus(&endless), [1]);
        let whole = table(&[&local(1, 1), &extended(7, 1)]);
        for length in 0..whole.len() {
            assert!(cpus(&whole[..length]).len() < 2, "{length} bytes hold two CPUs");
        }
        // An entry that says it is longer than its kind, and one that is shorter.
        assert_eq!(cpus(&table(&[&[0, 10, 0, 5, 1, 0, 0, 0, 9, 9], &[0, 4, 0, 6], &local(7, 1)])), [5, 7]);
    }

    #[test]
    fn io_apics_tell_where_they_are() {
        let table = table(&[&local(0, 1), &[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0], &[1, 4, 0, 0]]);
        assert_eq!(io_apics(&table).collect::<Vec<_>>(), [0xfec0_0000]);
    }

    #[test]
    fn the_port_of_the_timer_is_where_the_table_says() {
        let mut table = vec![0; 80];
        table[76..].copy_from_slice(&0x608_u32.to_le_bytes());
        assert_eq!(timer_port(&table), Some(0x608));
        assert_eq!(timer_port(&table[..79]), None);
        table[78] = 1;
        assert_eq!(timer_port(&table), None);
        assert_eq!(timer_port(&[0; 244]), None);
    }
}

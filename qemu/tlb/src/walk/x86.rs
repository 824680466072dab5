//! x86-64 with four levels of tables.

use super::{ADDRESS, PAGE_BITS, Path, Rights, Unreadable};
use crate::model::Translation;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
/// CR0.PG and CR4.PGE.
const PAGING: u64 = 1 << 31;
const GLOBAL_PAGES: u64 = 1 << 7;
const ROOT_BITS: u8 = 48;

/// The control registers. EFER is taken to have NXE and LMA set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct X86Control {
    /// CR0.
    pub enable: u64,
    /// CR3.
    pub root: u64,
    /// CR4.
    pub control: u64,
}

impl X86Control {
    pub(super) fn is_on(&self) -> bool {
        self.enable & PAGING != 0
    }

    /// The tag in CR3's low bits, whatever CR4.PCIDE says: where the emulator has no PCIDs, it stays clear.
    pub(super) fn tag(&self) -> u16 {
        (self.root & 0xfff) as u16
    }

    /// Whether another value of CR4 has global translations go.
    #[must_use]
    pub fn drops_globals(&self, control: u64) -> bool {
        (self.control ^ control) & GLOBAL_PAGES != 0
    }
}

pub(super) fn walk(
    control: &X86Control,
    address: u64,
    read: &mut dyn FnMut(u64) -> Option<u64>,
) -> Result<Path, Unreadable> {
    let mut path = Path::begin(ROOT_BITS);
    let mut table = control.root & ADDRESS;
    loop {
        let (bits, entry) = path.read(table, address, read)?;
        if entry & PRESENT == 0 {
            return Ok(path);
        }
        let rights = path.narrow(Rights {
            write: entry & WRITE != 0,
            user: entry & USER != 0,
            execute: entry & NO_EXECUTE == 0,
        });
        let is_large = matches!(bits, 21 | 30) && entry & LARGE != 0;
        if bits == PAGE_BITS || is_large {
            path.walk.result = Some(Translation {
                frame: entry & ADDRESS & !((1 << bits) - 1),
                page_bits: bits,
                global: entry & GLOBAL != 0 && control.control & GLOBAL_PAGES != 0,
                writable: rights.write,
                user: rights.user,
                executable: rights.execute,
            });
            return Ok(path);
        }
        table = entry & ADDRESS;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::Unreadable;
    use super::{GLOBAL, GLOBAL_PAGES, LARGE, NO_EXECUTE, PRESENT, USER, WRITE, X86Control, walk};
    use crate::model::Translation;

    const CONTROL: X86Control = X86Control { enable: 1 << 31, root: 0x1000 | 5, control: GLOBAL_PAGES };
    const ALL: u64 = PRESENT | WRITE | USER;

    fn tables(entries: &[(u64, u64)]) -> impl FnMut(u64) -> Option<u64> {
        let map: HashMap<u64, u64> = entries.iter().copied().collect();
        move |place| map.get(&place).copied()
    }

    #[test]
    fn rights_are_those_of_all_levels() {
        let address = 1 << 39 | 2 << 30 | 3 << 21 | 4 << 12 | 0x123;
        let entries = [
            (0x1008, 0x2000 | ALL),
            (0x2010, 0x3000 | PRESENT | USER | NO_EXECUTE),
            (0x3018, 0x4000 | ALL),
            (0x4020, 0x9000 | ALL | GLOBAL),
        ];
        let path = walk(&CONTROL, address, &mut tables(&entries)).expect("all entries can be read");
        assert_eq!((path.walk.tables, path.walk.references), ([0x1008, 0x2010, 0x3018, 0x4020, 0], 4));
        let found =
            Translation { frame: 0x9000, page_bits: 12, global: true, writable: false, user: true, executable: false };
        assert_eq!(path.walk.result, Some(found));
        assert!(path.rights[0].write && path.rights[0].execute && !path.rights[1].write && !path.rights[3].execute);
        assert_eq!(CONTROL.tag(), 5);
    }

    #[test]
    fn large_pages_end_a_walk_and_absent_entries_too() {
        let large = [(0x1000, 0x2000 | ALL), (0x2000, 0x4000_0000 | ALL | LARGE)];
        let path = walk(&CONTROL, 0x1234_5678, &mut tables(&large)).expect("all entries can be read");
        let found = path.walk.result.expect("a page of 1 GiB");
        assert_eq!((found.frame, found.page_bits, path.walk.references), (0x4000_0000, 30, 2));
        let absent = walk(&CONTROL, 0, &mut tables(&[(0x1000, 0x2000 | ALL), (0x2000, 0)])).expect("as above");
        assert_eq!((absent.walk.result, absent.walk.references), (None, 2));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_told() {
        assert_eq!(walk(&CONTROL, 0, &mut |_| None), Err(Unreadable(0x1000)));
    }
}

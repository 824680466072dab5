//! The fake machine speaks either architecture's page-table format, as the test chooses.

use core::cell::Cell;

use tessera_abi::Rights;

use crate::{Leaf, PageFormat, PhysAddr, aarch64, x86_64};

/// Which architecture's format the calling thread's machine uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Entries as x86_64 has them.
    X86,
    /// Entries as aarch64 has them.
    Arm,
}

thread_local! {
    static FLAVOUR: Cell<Flavour> = const { Cell::new(Flavour::X86) };
}

pub(super) fn choose(flavour: Flavour) {
    FLAVOUR.set(flavour);
}

/// Hands each question to the chosen format.
pub struct Format;

macro_rules! chosen {
    ($function:ident($($argument:expr),*)) => {
        match FLAVOUR.get() {
            Flavour::X86 => x86_64::format::Format::$function($($argument),*),
            Flavour::Arm => aarch64::format::Format::$function($($argument),*),
        }
    };
}

impl PageFormat for Format {
    fn table_entry(table: PhysAddr, bounds: Rights) -> u64 {
        chosen!(table_entry(table, bounds))
    }
    fn leaf_entry(address: PhysAddr, level: u8, leaf: Leaf) -> u64 {
        chosen!(leaf_entry(address, level, leaf))
    }
    fn is_present(entry: u64) -> bool {
        chosen!(is_present(entry))
    }
    fn is_table(entry: u64, level: u8) -> bool {
        chosen!(is_table(entry, level))
    }
    fn address(entry: u64) -> PhysAddr {
        chosen!(address(entry))
    }
    fn leaf(entry: u64) -> Leaf {
        chosen!(leaf(entry))
    }
    fn read_only(entry: u64) -> u64 {
        chosen!(read_only(entry))
    }
    fn bounds(entry: u64) -> Rights {
        chosen!(bounds(entry))
    }
}

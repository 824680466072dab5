//! What the device tree says, as far as the kernel needs it.
//!
//! Sources: Devicetree Specification 0.4; the bindings `arm,pl011`, `arm,gic-v3`, `arm,armv8-timer`, `arm,psci`.

use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

use crate::CPUS_MAX;

/// The devices, by physical address.
pub(super) struct Machine {
    /// Registers of the serial line.
    pub(super) uart: Range<u64>,
    /// Its clock, in Hz, if the tree tells.
    pub(super) uart_clock_hertz: Option<u32>,
    /// Registers of the interrupt controller's distributor.
    pub(super) distributor: Range<u64>,
    /// Registers of its redistributors.
    pub(super) redistributors: Range<u64>,
    /// The virtual timer's interrupt, counted from the first private peripheral interrupt.
    pub(super) timer_interrupt: u32,
    /// Whether PSCI is called by SMC instead of HVC.
    pub(super) firmware_by_smc: bool,
    /// The CPUs.
    pub(super) cpus: CpuList,
}

/// CPUs by their affinity, the number that MPIDR_EL1, PSCI and the interrupt controller share.
#[derive(Clone)]
pub(super) struct CpuList {
    /// The CPU that booted.
    pub(super) boot: u64,
    others: [u64; CPUS_MAX - 1],
    other_count: usize,
}

impl CpuList {
    /// The CPU that booted, and those of the tree that PSCI can start, each once, as far as the kernel uses them.
    fn read(tree: Fdt<'_>, boot: u64) -> CpuList {
        let mut list = CpuList { boot, others: [0; CPUS_MAX - 1], other_count: 0 };
        let cpus = tree.find_node("/cpus").into_iter().flat_map(|parent| parent.children());
        for affinity in cpus.filter(|node| can_be_started(*node)).filter_map(affinity) {
            if affinity != boot && !list.others().contains(&affinity) && list.other_count < list.others.len() {
                list.others[list.other_count] = affinity;
                list.other_count += 1;
            }
        }
        list
    }

    /// All but the CPU that booted.
    pub(super) fn others(&self) -> &[u64] {
        &self.others[..self.other_count]
    }

    /// How many there are, at most `CPUS_MAX`.
    pub(super) fn count(&self) -> usize {
        1 + self.other_count
    }
}

/// The fields Aff0 to Aff3 of MPIDR_EL1: all of it that tells one CPU from another.
pub(super) const AFFINITY_FIELDS: u64 = 0xff_00ff_ffff;

/// Whether a node is that of a CPU that PSCI can start and that is not out of order.
fn can_be_started(node: FdtNode<'_>) -> bool {
    node.name_without_address() == "cpu"
        && text(node, "enable-method") == Some("psci")
        && text(node, "status").is_none_or(|status| status == "okay" || status == "ok")
}

/// What the `reg` property of a CPU's node says: one or two cells, most significant first.
fn affinity(node: FdtNode<'_>) -> Option<u64> {
    let bytes = value(node, "reg")?;
    let affinity = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (matches!(bytes.len(), 4 | 8) && affinity & !AFFINITY_FIELDS == 0).then_some(affinity)
}

impl Machine {
    /// Reads the tree, on the CPU with this affinity.
    ///
    /// # Panics
    /// If a device is missing that the kernel cannot do without.
    pub(super) fn read(tree: Fdt<'_>, boot_affinity: u64) -> Machine {
        let uart = serial_line(tree).expect("the kernel needs a PL011 serial line");
        let controller =
            find_compatible(tree, &["arm,gic-v3"]).expect("the kernel needs a GICv3 (QEMU: -M virt,gic-version=3)");
        let firmware = find_compatible(tree, &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]);
        let method = firmware.and_then(|node| text(node, "method"));
        Machine {
            uart: registers(uart, 0),
            uart_clock_hertz: clock_hertz(tree, uart),
            distributor: registers(controller, 0),
            redistributors: registers(controller, 1),
            timer_interrupt: virtual_timer_interrupt(tree),
            firmware_by_smc: method == Some("smc"),
            cpus: CpuList::read(tree, boot_affinity),
        }
    }
}

/// Where the registers of the serial line begin, for messages before the rest of the tree is read.
pub(super) fn serial_line_address(tree: Fdt<'_>) -> Option<u64> {
    serial_line(tree).map(|line| registers(line, 0).start)
}

/// The PL011 that `/chosen/stdout-path` names, by its path or by a name that `/aliases` has for it, or else the first.
fn serial_line(tree: Fdt<'_>) -> Option<FdtNode<'_>> {
    const PL011: &str = "arm,pl011";
    let named = tree
        .find_node("/chosen")
        .and_then(|chosen| text(chosen, "stdout-path"))
        .and_then(|name| tree.find_node(name).or_else(|| tree.find_node(text(tree.find_node("/aliases")?, name)?)));
    named.filter(|node| node.is_compatible(PL011)).or_else(|| find_compatible(tree, &[PL011]))
}

/// The first node that is compatible with one of these, of all in the tree.
fn find_compatible<'a>(tree: Fdt<'a>, names: &[&str]) -> Option<FdtNode<'a>> {
    find(tree.root(), &|node| node.compatible().is_some_and(|mut known| known.any(|name| names.contains(&name))))
}

/// The first node of which something holds: this one, or one below it.
fn find<'a>(node: FdtNode<'a>, is_it: &dyn Fn(&FdtNode<'a>) -> bool) -> Option<FdtNode<'a>> {
    if is_it(&node) { Some(node) } else { node.children().find_map(|child| find(child, is_it)) }
}

/// The bytes of a node's property.
fn value<'a>(node: FdtNode<'a>, name: &str) -> Option<&'a [u8]> {
    node.property(name)?.value_as().ok()
}

/// A node's property as text.
fn text<'a>(node: FdtNode<'a>, name: &str) -> Option<&'a str> {
    node.property(name)?.value_as().ok()
}

/// The addresses of a node's registers, by the index in its `reg` property.
fn registers(node: FdtNode<'_>, index: usize) -> Range<u64> {
    let region = node.reg().ok().flatten().and_then(|mut regions| regions.nth(index));
    let (start, bytes) = region
        .and_then(|region| {
            Some((region.address::<u64>().ok()?, region.size::<u64>().ok().filter(|bytes| *bytes != 0)?))
        })
        .unwrap_or_else(|| panic!("device {} has no registers {index} in the device tree", node.name()));
    start..start.saturating_add(bytes)
}

/// The frequency of the first clock of a node.
fn clock_hertz(tree: Fdt<'_>, node: FdtNode<'_>) -> Option<u32> {
    let handle = cell(value(node, "clocks")?, 0)?;
    let clock = find(tree.root(), &|node| node.phandle() == Ok(Some(handle)))?;
    cell(value(clock, "clock-frequency")?, 0)
}

/// The third of the timer's interrupts, each of three cells: type (1 for private), number, flags.
fn virtual_timer_interrupt(tree: Fdt<'_>) -> u32 {
    find_compatible(tree, &["arm,armv8-timer"])
        .and_then(|timer| {
            let interrupts = value(timer, "interrupts")?;
            (cell(interrupts, 6)? == 1).then_some(cell(interrupts, 7)?)
        })
        .expect("the device tree tells no virtual timer interrupt")
}

/// The cell (32-bit big-endian word) at `index` of a property.
fn cell(value: &[u8], index: usize) -> Option<u32> {
    let bytes = value.get(index * 4..index * 4 + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use dtoolkit::fdt::Fdt;

    use super::{CpuList, Machine, serial_line_address};
    use crate::CPUS_MAX;

    /// A device tree as bytes (Devicetree Specification 0.4, chapter 5), written node by node.
    #[derive(Default)]
    struct Blob {
        structure: Vec<u8>,
        strings: Vec<u8>,
    }

    impl Blob {
        fn word(&mut self, word: u32) {
            self.structure.extend(word.to_be_bytes());
        }

        fn padded(&mut self, bytes: &[u8]) {
            self.structure.extend(bytes);
            self.structure.resize(self.structure.len().next_multiple_of(4), 0);
        }

        fn node(&mut self, name: &str, inside: impl FnOnce(&mut Blob)) {
            self.word(1);
            self.padded(format!("{name}\0").as_bytes());
            inside(self);
            self.word(2);
        }

        fn property(&mut self, name: &str, value: &[u8]) {
            let at = self.strings.len() as u32;
            self.strings.extend(format!("{name}\0").as_bytes());
            self.word(3);
            self.word(value.len() as u32);
            self.word(at);
            self.padded(value);
        }

        fn text(&mut self, name: &str, value: &str) {
            self.property(name, format!("{value}\0").as_bytes());
        }

        fn cells(&mut self, name: &str, cells: &[u32]) {
            let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
            self.property(name, &bytes);
        }

        /// A node with registers: addresses and lengths of two cells each.
        fn device(&mut self, name: &str, compatible: &str, registers: &[u32]) {
            self.node(name, |blob| {
                blob.text("compatible", compatible);
                blob.cells("reg", registers);
            });
        }

        fn cpu(&mut self, registers: &[u8], properties: &[(&str, &str)]) {
            self.node(&format!("cpu@{}", registers.len()), |blob| {
                blob.property("reg", registers);
                properties.iter().for_each(|(name, value)| blob.text(name, value));
            });
        }

        fn finish(mut self) -> Vec<u8> {
            const HEADER_BYTES: u32 = 40;
            const RESERVATIONS_BYTES: u32 = 16;
            self.word(9);
            let (structure, strings) = (self.structure.len() as u32, self.strings.len() as u32);
            let structure_at = HEADER_BYTES + RESERVATIONS_BYTES;
            let strings_at = structure_at + structure;
            let header = [
                0xd00d_feed,
                strings_at + strings,
                structure_at,
                strings_at,
                HEADER_BYTES,
                17,
                16,
                0,
                strings,
                structure,
            ];
            let mut bytes: Vec<u8> = header.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
            bytes.resize(structure_at as usize, 0);
            bytes.extend(self.structure);
            bytes.extend(self.strings);
            bytes
        }
    }

    /// A tree with a root node that holds what `inside` writes.
    fn tree(inside: impl FnOnce(&mut Blob)) -> Vec<u8> {
        let mut blob = Blob::default();
        blob.node("", |blob| {
            blob.cells("#address-cells", &[2]);
            blob.cells("#size-cells", &[2]);
            inside(blob);
        });
        blob.finish()
    }

    /// All that the kernel cannot do without, with a timer, and no `/chosen`, `/cpus` or `/memory`.
    fn devices(blob: &mut Blob) {
        blob.device("intc@8000000", "arm,gic-v3", &[0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0xf6_0000]);
        blob.device("pl011@9000000", "arm,pl011", &[0, 0x900_0000, 0, 0x1000]);
        blob.device("pl011@9040000", "arm,pl011", &[1, 0x904_0000, 0, 0x1000]);
        blob.node("timer", |blob| {
            blob.text("compatible", "arm,armv8-timer");
            blob.cells("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]);
        });
    }

    const BOOT: u64 = 0x1_0000_0000;
    const PSCI: (&str, &str) = ("enable-method", "psci");

    fn others(inside: impl FnOnce(&mut Blob)) -> Vec<u64> {
        let bytes = tree(|blob| blob.node("cpus", inside));
        let list = CpuList::read(Fdt::new(&bytes).expect("a tree"), BOOT);
        assert_eq!((list.boot, list.count()), (BOOT, 1 + list.others().len()));
        list.others().to_vec()
    }

    #[test]
    fn a_tree_with_devices_alone_will_do() {
        let bytes = tree(devices);
        let machine = Machine::read(Fdt::new(&bytes).expect("a tree"), BOOT);
        assert_eq!((machine.uart, machine.uart_clock_hertz), (0x900_0000..0x900_1000, None));
        assert_eq!((machine.distributor, machine.redistributors), (0x800_0000..0x801_0000, 0x80a_0000..0x900_0000));
        assert_eq!((machine.timer_interrupt, machine.firmware_by_smc, machine.cpus.count()), (11, false, 1));
    }

    #[test]
    fn the_serial_line_is_the_chosen_one_or_else_the_first() {
        let line = |path: Option<&str>| {
            let bytes = tree(|blob| {
                devices(blob);
                blob.node("aliases", |blob| blob.text("serial1", "/pl011@9040000"));
                blob.node("chosen", |blob| path.into_iter().for_each(|path| blob.text("stdout-path", path)));
            });
            serial_line_address(Fdt::new(&bytes).expect("a tree"))
        };
        for second in ["/pl011@9040000", "serial1"] {
            assert_eq!(line(Some(second)), Some(0x1_0904_0000), "{second}");
        }
        for unfit in [None, Some(""), Some("/timer"), Some("/nowhere"), Some("nonsense")] {
            assert_eq!(line(unfit), Some(0x900_0000), "{unfit:?}");
        }
        let nothing = tree(|_| {});
        assert_eq!(serial_line_address(Fdt::new(&nothing).expect("a tree")), None);
    }

    #[test]
    fn firmware_and_clock_are_found() {
        let bytes = tree(|blob| {
            blob.node("pl011@9000000", |blob| {
                blob.text("compatible", "arm,pl011");
                blob.cells("reg", &[0, 0x900_0000, 0, 0x1000]);
                blob.cells("clocks", &[7]);
            });
            devices(blob);
            blob.node("clock", |blob| {
                blob.cells("phandle", &[7]);
                blob.cells("clock-frequency", &[24_000_000]);
            });
            blob.node("psci", |blob| {
                blob.text("compatible", "arm,psci-1.0");
                blob.text("method", "smc");
            });
        });
        let machine = Machine::read(Fdt::new(&bytes).expect("a tree"), BOOT);
        assert_eq!((machine.uart_clock_hertz, machine.firmware_by_smc), (Some(24_000_000), true));
    }

    #[test]
    fn cpus_count_once_and_the_boot_cpu_not_at_all() {
        let found = others(|blob| {
            blob.cpu(&1_u32.to_be_bytes(), &[PSCI]);
            blob.cpu(&BOOT.to_be_bytes(), &[PSCI]);
            blob.cpu(&1_u64.to_be_bytes(), &[PSCI]);
            blob.cpu(&0xff_0000_0203_u64.to_be_bytes(), &[PSCI, ("status", "okay")]);
            blob.cpu(&1_u32.to_be_bytes(), &[PSCI]);
        });
        assert_eq!(found, [1, 0xff_0000_0203]);
    }

    #[test]
    fn cpus_that_cannot_be_started_are_left_out() {
        let found = others(|blob| {
            blob.cpu(&1_u32.to_be_bytes(), &[]);
            blob.cpu(&2_u32.to_be_bytes(), &[("enable-method", "spin-table")]);
            blob.cpu(&3_u32.to_be_bytes(), &[PSCI, ("status", "disabled")]);
            blob.cpu(&4_u32.to_be_bytes(), &[PSCI, ("status", "fail")]);
            blob.cpu(&5_u32.to_be_bytes(), &[PSCI, ("status", "ok")]);
            // No affinity at all: empty, odd, too long, with bits that are none of its fields.
            blob.cpu(&[], &[PSCI]);
            blob.cpu(&[1, 2, 3], &[PSCI]);
            blob.cpu(&[0; 12], &[PSCI]);
            blob.cpu(&0x8000_0006_u32.to_be_bytes(), &[PSCI]);
            blob.cpu(&u64::MAX.to_be_bytes(), &[PSCI]);
            blob.node("cpu-map", |blob| blob.property("reg", &7_u32.to_be_bytes()));
        });
        assert_eq!(found, [5]);
    }

    #[test]
    fn no_more_cpus_than_the_kernel_uses() {
        let found = others(|blob| (1..=80_u32).for_each(|number| blob.cpu(&number.to_be_bytes(), &[PSCI])));
        assert_eq!(found, (1..CPUS_MAX as u64).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "device intc@8000000 has no registers 1")]
    fn a_device_without_registers_is_named() {
        let bytes = tree(|blob| {
            blob.device("intc@8000000", "arm,gic-v3", &[0, 0x800_0000, 0, 0x1_0000]);
            devices(blob);
        });
        Machine::read(Fdt::new(&bytes).expect("a tree"), BOOT);
    }

    #[test]
    #[should_panic(expected = "no virtual timer interrupt")]
    fn a_timer_of_another_kind_is_refused() {
        let bytes = tree(|blob| {
            blob.node("timer", |blob| {
                blob.text("compatible", "arm,armv8-timer");
                blob.cells("interrupts", &[1, 13, 4, 0, 14, 4, 0, 11, 4]);
            });
            devices(blob);
        });
        Machine::read(Fdt::new(&bytes).expect("a tree"), BOOT);
    }
}

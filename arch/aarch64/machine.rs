//! What the device tree says, as far as the kernel needs it.
//!
//! Sources: Devicetree Specification 0.4; the bindings `arm,pl011`, `arm,gic-v3`, `arm,armv8-timer`, `arm,psci`.

use core::ops::Range;

use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use fdt::Fdt;
use fdt::node::FdtNode;
use fdt::standard_nodes::Cpu;

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
    /// The CPU that runs this, and those of the tree that PSCI can start, as far as the kernel uses them.
    fn read(tree: &Fdt<'_>) -> CpuList {
        let mut list = CpuList { boot: own_affinity(), others: [0; CPUS_MAX - 1], other_count: 0 };
        let cpus = tree.cpus().filter(|cpu| {
            text(*cpu, "enable-method") == Some("psci") && text(*cpu, "status").is_none_or(|status| status == "okay")
        });
        // One or two cells, most significant first.
        let affinities = cpus.filter_map(|cpu| {
            let bytes = cpu.property("reg")?.value;
            Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        });
        let boot = list.boot;
        for (place, affinity) in list.others.iter_mut().zip(affinities.filter(|affinity| *affinity != boot)) {
            *place = affinity;
            list.other_count += 1;
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

/// A property of a CPU's node.
fn text<'a>(cpu: Cpu<'_, 'a>, name: &str) -> Option<&'a str> {
    cpu.property(name)?.as_str()
}

/// The affinity of the CPU that runs this: the four fields Aff0 to Aff3 of MPIDR_EL1.
pub(super) fn own_affinity() -> u64 {
    const FIELDS: u64 = 0xff_00ff_ffff;
    MPIDR_EL1.get() & FIELDS
}

impl Machine {
    /// Reads the tree.
    ///
    /// # Panics
    /// If a device is missing that the kernel cannot do without.
    pub(super) fn read(tree: &Fdt<'_>) -> Machine {
        let uart = serial_line(tree).expect("the kernel needs a PL011 serial line");
        let controller =
            tree.find_compatible(&["arm,gic-v3"]).expect("the kernel needs a GICv3 (QEMU: -M virt,gic-version=3)");
        let firmware = tree.find_compatible(&["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]);
        let method = firmware.and_then(|node| node.property("method")).and_then(|method| method.as_str());
        Machine {
            uart: registers(uart, 0),
            uart_clock_hertz: clock_hertz(tree, uart),
            distributor: registers(controller, 0),
            redistributors: registers(controller, 1),
            timer_interrupt: virtual_timer_interrupt(tree),
            firmware_by_smc: method == Some("smc"),
            cpus: CpuList::read(tree),
        }
    }
}

/// Where the registers of the serial line begin, for messages before the rest of the tree is read.
pub(super) fn serial_line_address(tree: &Fdt<'_>) -> Option<u64> {
    serial_line(tree).map(|line| registers(line, 0).start)
}

/// The PL011 that `/chosen/stdout-path` names, or else the first.
fn serial_line<'b, 'a>(tree: &'b Fdt<'a>) -> Option<FdtNode<'b, 'a>> {
    const PL011: &str = "arm,pl011";
    let is_pl011 =
        |node: &FdtNode<'_, '_>| node.compatible().is_some_and(|names| names.all().any(|name| name == PL011));
    let chosen = tree.chosen().stdout().filter(is_pl011);
    chosen.or_else(|| tree.find_compatible(&[PL011]))
}

/// The addresses of a node's registers, by the index in its `reg` property.
fn registers(node: FdtNode<'_, '_>, index: usize) -> Range<u64> {
    let region = node.reg().and_then(|mut regions| regions.nth(index));
    let (start, bytes) = region
        .and_then(|region| Some((region.starting_address.addr() as u64, region.size? as u64)))
        .unwrap_or_else(|| panic!("device {} has no registers {index} in the device tree", node.name));
    start..start + bytes
}

/// The frequency of the first clock of a node.
fn clock_hertz(tree: &Fdt<'_>, node: FdtNode<'_, '_>) -> Option<u32> {
    let clock = tree.find_phandle(cell(node.property("clocks")?.value, 0)?)?;
    cell(clock.property("clock-frequency")?.value, 0)
}

/// The third of the timer's interrupts, each of three cells: type (1 for private), number, flags.
fn virtual_timer_interrupt(tree: &Fdt<'_>) -> u32 {
    tree.find_compatible(&["arm,armv8-timer"])
        .and_then(|timer| {
            let interrupts = timer.property("interrupts")?.value;
            (cell(interrupts, 6)? == 1).then_some(cell(interrupts, 7)?)
        })
        .expect("the device tree tells no virtual timer interrupt")
}

/// The cell (32-bit big-endian word) at `index` of a property.
fn cell(value: &[u8], index: usize) -> Option<u32> {
    let bytes = value.get(index * 4..index * 4 + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

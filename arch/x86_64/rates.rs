//! How fast the clocks run, by what CPUID says: functions of values.

/// Rates that can be: anything else is an error of whoever told it.
const STAMP_HZ: core::ops::RangeInclusive<u64> = 10_000_000..=100_000_000_000;
/// Rates per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rates {
    /// Of the time-stamp counter.
    pub(super) stamp_hz: u64,
    /// Of the local APIC's timer, which counts each 16th tick of its clock; `None` if only the other is known.
    pub(super) tick_hz: Option<u64>,
}

impl Rates {
    fn new(stamp_hz: u64, clock_hz: Option<u64>) -> Option<Rates> {
        let tick_hz = clock_hz.map(|hz| hz / 16).filter(|hz| *hz != 0);
        STAMP_HZ.contains(&stamp_hz).then_some(Rates { stamp_hz, tick_hz })
    }
}

/// The rates that the machine tells exactly: hypervisors in leaf 0x40000010 (kHz), Intel's CPUs in leaf 0x15 (crystal and
/// ratio; the APIC's timer runs by the crystal). `leaf` gives EAX to EDX of a leaf, zeros if there is none.
pub(super) fn announced(leaf: impl Fn(u32) -> [u32; 4]) -> Option<Rates> {
    let [stamp_khz, bus_khz, ..] = leaf(0x4000_0010).map(u64::from);
    let by_hypervisor = Rates::new(stamp_khz * 1000, (bus_khz != 0).then_some(bus_khz * 1000));
    by_hypervisor.or_else(|| {
        let [denominator, numerator, crystal_hz, _] = leaf(0x15).map(u64::from);
        Rates::new((crystal_hz * numerator).checked_div(denominator)?, Some(crystal_hz))
    })
}

/// The rates by the CPU's nominal frequency (leaf 0x16), which is rounded to MHz: better than none.
pub(super) fn nominal(leaf: impl Fn(u32) -> [u32; 4]) -> Option<Rates> {
    let stamp_hz = u64::from(leaf(0x16)[0] & 0xffff) * 1_000_000;
    let [denominator, numerator, ..] = leaf(0x15).map(u64::from);
    Rates::new(stamp_hz, (stamp_hz * denominator).checked_div(numerator).filter(|hz| *hz != 0))
}

#[cfg(test)]
mod tests {
    use super::{Rates, announced, nominal};

    /// What a CPU with these leaves says.
    fn cpu(leaves: &[(u32, [u32; 4])]) -> impl Fn(u32) -> [u32; 4] + Clone {
        move |wanted| leaves.iter().find(|(number, _)| *number == wanted).map_or([0; 4], |(_, values)| *values)
    }

    fn rates(stamp_hz: u64, clock_hz: Option<u64>) -> Option<Rates> {
        Some(Rates { stamp_hz, tick_hz: clock_hz.map(|hz| hz / 16) })
    }

    #[test]
    fn hypervisors_and_crystals_tell_exactly() {
        assert_eq!(
            announced(cpu(&[(0x4000_0010, [2_400_000, 1_000_000, 0, 0])])),
            rates(2_400_000_000, Some(1_000_000_000))
        );
        // A hypervisor that tells one of the two only.
        assert_eq!(announced(cpu(&[(0x4000_0010, [2_400_000, 0, 0, 0])])), rates(2_400_000_000, None));
        // Alder Lake: 38.4 MHz times 116 / 2.
        assert_eq!(announced(cpu(&[(0x15, [2, 116, 38_400_000, 0])])), rates(2_227_200_000, Some(38_400_000)));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        for leaves in [
            [(0x15, [0, 116, 38_400_000, 0])],
            [(0x15, [2, 0, 38_400_000, 0])],
            [(0x15, [2, 116, 0, 0])],
            [(0x15, [1, u32::MAX, u32::MAX, 0])],
            [(0x15, [u32::MAX, 1, 1, 0])],
            [(0x4000_0010, [1, 1, 0, 0])],
            [(0x4000_0010, [0, 1_000_000, 0, 0])],
        ] {
            assert_eq!(announced(cpu(&leaves)), None, "{leaves:x?}");
        }
        assert_eq!(nominal(cpu(&[])), None);
        assert_eq!(nominal(cpu(&[(0x16, [1, 0, 0, 0])])), None);
    }

    #[test]
    fn a_nominal_frequency_is_better_than_none() {
        // Skylake: the ratio is told, the crystal (24 MHz) is not.
        let skylake = cpu(&[(0x15, [2, 250, 0, 0]), (0x16, [3000, 3500, 100, 0])]);
        assert_eq!(announced(skylake.clone()), None);
        assert_eq!(nominal(skylake), rates(3_000_000_000, Some(24_000_000)));
        assert_eq!(nominal(cpu(&[(0x16, [0xffff_0bb8, 0, 0, 0])])), rates(3_000_000_000, None));
    }
}

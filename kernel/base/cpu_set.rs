//! Sets of CPUs.

use tessera_arch::CPUS_MAX;

/// A set of CPUs, a bit each.
pub type CpuSet = u64;

const _: () = assert!(CPUS_MAX <= CpuSet::BITS as usize, "every CPU has its bit");

/// All CPUs that a machine can have.
pub const ALL: CpuSet = CpuSet::MAX;

/// The first so many CPUs, of which there is one at least.
#[inline(always)]
pub const fn first(count: usize) -> CpuSet {
    ALL >> (CpuSet::BITS as usize - count)
}

#[cfg(test)]
mod tests {
    use super::{ALL, first};

    #[test]
    fn the_first_cpus_are_those_with_the_lowest_bits() {
        assert_eq!([1, 2, 31, 32, 33].map(first), [1, 3, 0x7fff_ffff, 0xffff_ffff, 0x1_ffff_ffff]);
        assert_eq!([63, 64].map(first), [ALL >> 1, ALL]);
    }
}

//! What is known of certain models of CPU, by the values of CPUID.

/// Family, model and microcode of a CPU, and whether a hypervisor stands between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    /// Whether CPUID's leaf 0 says `GenuineIntel`.
    pub(super) is_intel: bool,
    /// EAX of leaf 1.
    pub(super) signature: u32,
    /// The revision that the microcode tells.
    pub(super) microcode: u32,
    /// ECX of leaf 1, bit 31.
    pub(super) is_guest: bool,
}

/// Models of family 6 whose INVLPG can leave global translations behind while PCIDs are on, and the microcode that mends
/// it: Alder Lake, Alder Lake L, Alder Lake N, Raptor Lake, Raptor Lake P, Raptor Lake S. (Intel's specification updates,
/// errata ADL063 and RPL042; models and revisions as in Linux' `arch/x86/mm/init.c`.)
const FORGETFUL: [(u32, u32); 6] =
    [(0x97, 0x2e), (0x9a, 0x42c), (0xbe, 0x11), (0xb7, 0x118), (0xba, 0x4117), (0xbf, 0x2e)];

impl Model {
    /// Family and model (SDM volume 2, CPUID, "Version Information").
    fn family_and_model(self) -> (u32, u32) {
        let (family, model) = (self.signature >> 8 & 0xf, self.signature >> 4 & 0xf);
        let (more_family, more_model) = (self.signature >> 20 & 0xff, self.signature >> 16 & 0xf);
        let model = if matches!(family, 6 | 15) { more_model << 4 | model } else { model };
        (if family == 15 { family + more_family } else { family }, model)
    }

    /// Whether INVLPG drops global translations also while PCIDs are on. Under a hypervisor it does: what it runs on is
    /// that one's business.
    pub(super) fn drops_global_pages(self) -> bool {
        let (family, model) = self.family_and_model();
        let is_forgetful = |(which, mended): &(u32, u32)| family == 6 && model == *which && self.microcode < *mended;
        !self.is_intel || self.is_guest || !FORGETFUL.iter().any(is_forgetful)
    }
}

#[cfg(test)]
mod tests {
    use super::Model;

    fn intel(signature: u32, microcode: u32) -> Model {
        Model { is_intel: true, signature, microcode, is_guest: false }
    }

    #[test]
    fn the_models_of_the_erratum_are_known_by_their_microcode() {
        // Alder Lake S and L, Alder Lake N, Raptor Lake S, P and the S of the refresh: signatures as CPUID gives them.
        for (signature, mended) in [
            (0x9_0672, 0x2e),
            (0x9_06a3, 0x42c),
            (0xb_06e0, 0x11),
            (0xb_0671, 0x118),
            (0xb_06a2, 0x4117),
            (0xb_06f2, 0x2e),
        ] {
            assert!(!intel(signature, mended - 1).drops_global_pages(), "{signature:x} before");
            assert!(intel(signature, mended).drops_global_pages(), "{signature:x} mended");
            assert!(Model { is_guest: true, ..intel(signature, 0) }.drops_global_pages(), "{signature:x} as guest");
        }
    }

    #[test]
    fn other_models_are_not_meant() {
        // Skylake X, Meteor Lake, Sapphire Rapids, a Pentium 4, and AMD's with the same digits.
        for signature in [0x5_0654, 0xa_06a4, 0x8_06f8, 0xf41] {
            assert!(intel(signature, 0).drops_global_pages(), "{signature:x}");
        }
        assert!(Model { is_intel: false, ..intel(0x9_0672, 0) }.drops_global_pages());
    }
}

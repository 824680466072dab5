//! Which CPUs do not do what the architecture says, and what is done about it. As pure data: tested on every host.
//!
//! Sources: Arm's Software Developer Errata Notices of the CPUs named, and the list that Linux keeps of them
//! (`Documentation/arch/arm64/silicon-errata.rst`, `arch/arm64/kernel/cpu_errata.c`). What is not done about others
//! stands in `docs/caveats.md`.

/// What a CPU needs done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Errata {
    /// The barrier after a broadcast TLBI may end before accesses that used the translation have: both are done twice.
    pub(super) repeat_invalidation: bool,
    /// CTR_EL0.DIC says that instruction caches see writes by themselves, and they do not always.
    pub(super) ignore_instruction_coherence: bool,
}

/// Some revisions of one CPU.
struct Cpus {
    /// MIDR_EL1.Implementer and PartNum.
    model: (u64, u64),
    /// The first and the last revision: MIDR_EL1.Variant and Revision, as in "r1p2".
    revisions: [(u64, u64); 2],
}

const ARM: u64 = 0x41;
const NVIDIA: u64 = 0x4e;
const QUALCOMM: u64 = 0x51;
const MICROSOFT: u64 = 0x6d;
const EVERY: [(u64, u64); 2] = [(0, 0), (0xf, 0xf)];

const fn cpus(implementer: u64, part: u64, revisions: [(u64, u64); 2]) -> Cpus {
    Cpus { model: (implementer, part), revisions }
}

/// CPUs on which the completion of a broadcast TLBI does not mean that all accesses by the old translation are done.
const REPEAT_INVALIDATION: &[Cpus] = &[
    // Cortex-A55: 2441007.
    cpus(ARM, 0xd05, EVERY),
    // Cortex-A510: 2441009.
    cpus(ARM, 0xd46, [(0, 0), (1, 1)]),
    // Cortex-A76 and Neoverse N1: 1286807 up to r3p0, 4193800 in all revisions. Qualcomm's Kryo 4xx Gold derives from
    // the former, with revisions of its own.
    cpus(ARM, 0xd0b, EVERY),
    cpus(ARM, 0xd0c, EVERY),
    cpus(QUALCOMM, 0x804, [(0xc, 0xe), (0xf, 0xe)]),
    // Qualcomm Falkor v1: E1009.
    cpus(QUALCOMM, 0x800, [(0, 0), (0, 0)]),
    // The same as 4193800 under other numbers: Cortex-A76AE, A77, A78, A78AE, A78C, A710.
    cpus(ARM, 0xd0e, EVERY),
    cpus(ARM, 0xd0d, EVERY),
    cpus(ARM, 0xd41, EVERY),
    cpus(ARM, 0xd42, EVERY),
    cpus(ARM, 0xd4b, EVERY),
    cpus(ARM, 0xd47, EVERY),
    // Cortex-X1, X1C, X2, X3, X4, X925.
    cpus(ARM, 0xd44, EVERY),
    cpus(ARM, 0xd4c, EVERY),
    cpus(ARM, 0xd48, EVERY),
    cpus(ARM, 0xd4e, EVERY),
    cpus(ARM, 0xd82, EVERY),
    cpus(ARM, 0xd85, EVERY),
    // Neoverse N2, V1, V2, V3AE, V3; C1-Ultra, C1-Premium.
    cpus(ARM, 0xd49, EVERY),
    cpus(ARM, 0xd40, EVERY),
    cpus(ARM, 0xd4f, EVERY),
    cpus(ARM, 0xd83, EVERY),
    cpus(ARM, 0xd84, EVERY),
    cpus(ARM, 0xd8c, EVERY),
    cpus(ARM, 0xd90, EVERY),
    // Azure Cobalt 100 (a Neoverse N2), Olympus.
    cpus(MICROSOFT, 0xd49, EVERY),
    cpus(NVIDIA, 0x010, EVERY),
];

/// Neoverse N1: 1542419. (The rest of the workaround is the firmware's.)
const IGNORE_INSTRUCTION_COHERENCE: &[Cpus] = &[cpus(ARM, 0xd0c, EVERY)];

impl Errata {
    /// What the CPU needs that has this MIDR_EL1 (DDI 0487, D24.2.122). Its upper half is reserved and means nothing.
    pub(super) fn of(main_id: u64) -> Errata {
        let model = ((main_id >> 24) & 0xff, (main_id >> 4) & 0xfff);
        let revision = ((main_id >> 20) & 0xf, main_id & 0xf);
        let is_among = |list: &[Cpus]| {
            list.iter()
                .any(|cpus| cpus.model == model && cpus.revisions[0] <= revision && revision <= cpus.revisions[1])
        };
        Errata {
            repeat_invalidation: is_among(REPEAT_INVALIDATION),
            ignore_instruction_coherence: is_among(IGNORE_INSTRUCTION_COHERENCE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Errata;

    const NONE: Errata = Errata { repeat_invalidation: false, ignore_instruction_coherence: false };
    const REPEAT: Errata = Errata { repeat_invalidation: true, ..NONE };

    #[test]
    fn cpus_of_one_model_differ_by_revision() {
        // Cortex-A510 r0p0, r0p3, r1p1; then r1p2 and r1p3, where it is mended.
        assert_eq!([0x410f_d460, 0x410f_d463, 0x411f_d461].map(Errata::of), [REPEAT; 3]);
        assert_eq!([0x411f_d462, 0x411f_d463].map(Errata::of), [NONE; 2]);
        // Falkor v1 r0p0 alone; Kryo 4xx Gold from rcpe to rfpe, by both numbers together.
        assert_eq!([0x510f_8000, 0x510f_8001, 0x511f_8000].map(Errata::of), [REPEAT, NONE, NONE]);
        assert_eq!([0x51cf_804d, 0x51cf_804e, 0x51df_8040].map(Errata::of), [NONE, REPEAT, REPEAT]);
        assert_eq!([0x51ff_804e, 0x51ff_804f].map(Errata::of), [REPEAT, NONE]);
    }

    #[test]
    fn the_known_models_are_found_in_any_revision() {
        // Cortex-A55 r1p0 and r2p0, A76 r4p1, A78 r1p2, X4 r0p1, Neoverse V1, Cobalt 100.
        let found = [0x411f_d050, 0x412f_d050, 0x414f_d0b1, 0x411f_d412, 0x410f_d821, 0x411f_d401, 0x6d0f_d490];
        assert_eq!(found.map(Errata::of), [REPEAT; 7]);
        let neoverse_n1 = Errata { repeat_invalidation: true, ignore_instruction_coherence: true };
        assert_eq!([0x410f_d0c0, 0x413f_d0c1, 0x414f_d0c1].map(Errata::of), [neoverse_n1; 3]);
    }

    #[test]
    fn others_need_nothing() {
        // Cortex-A53 r0p4, A57, A72 r0p3, A73, A75, A715, A720; QEMU's `max`; A64FX; a part number of Arm's with another's
        // name on it; zero.
        let sound = [
            0x410f_d034,
            0x411f_d070,
            0x410f_d083,
            0x410f_d090,
            0x410f_d0a0,
            0x411f_d4d0,
            0x410f_d810,
            0x000f_0510,
            0x461f_0010,
            0x481f_d0b0,
            0,
        ];
        assert_eq!(sound.map(Errata::of), [NONE; 11]);
    }

    #[test]
    fn only_the_fields_that_name_the_cpu_count() {
        // The architecture field (bits 19 to 16) and what may come to stand in the upper half.
        for added in [0, 0xf << 16, 0xffff_ffff << 32] {
            assert_eq!(Errata::of(0x410f_d050 | added), REPEAT);
            assert_eq!(Errata::of(0x410f_d083 | added), NONE);
        }
    }
}

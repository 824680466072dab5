//! Which protections and conveniences the CPU has, and switching them on.

use core::arch::x86_64::__cpuid_count;

use spin::Once;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};

use super::percpu;

/// What CPUID offers of the things the kernel uses (SDM volume 2, CPUID).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Features {
    /// Tags in the TLB.
    pub(super) pcid: bool,
    /// Invalidation under a tag that is not active.
    pub(super) invpcid: bool,
    /// The kernel cannot execute user memory.
    pub(super) smep: bool,
    /// The kernel cannot touch user memory.
    pub(super) smap: bool,
    /// Programs cannot read descriptor table addresses.
    pub(super) umip: bool,
    /// Programs set their FS and GS bases themselves.
    pub(super) fsgsbase: bool,
    /// Memory that cannot be executed.
    pub(super) no_execute: bool,
    /// Pages of 1 GiB.
    pub(super) gigabyte_pages: bool,
    /// Machine checks are reported.
    pub(super) machine_check: bool,
    /// Translations that hold under every tag.
    pub(super) global_pages: bool,
}

static FEATURES: Once<Features> = Once::new();

/// A CPUID leaf: EAX, EBX, ECX, EDX; zeros if the CPU does not have it.
pub(super) fn cpuid(leaf: u32) -> [u32; 4] {
    let most = __cpuid_count(leaf & 0xf000_0000, 0).eax;
    // The hypervisor's leaves tell their number in the same way, if they exist at all.
    if leaf > most || most & 0xf000_0000 != leaf & 0xf000_0000 {
        return [0; 4];
    }
    let result = __cpuid_count(leaf, 0);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// What this machine has.
pub(super) fn features() -> &'static Features {
    FEATURES.call_once(|| {
        let bit = |register: u32, number: u32| register >> number & 1 != 0;
        let [_, _, basic_c, basic_d] = cpuid(1);
        let [_, more_b, more_c, _] = cpuid(7);
        let [_, _, _, extended_d] = cpuid(0x8000_0001);
        Features {
            // Without global pages nothing would drop a public page under all tags at once.
            pcid: bit(basic_c, 17) && bit(basic_d, 13),
            invpcid: bit(more_b, 10),
            smep: bit(more_b, 7),
            smap: bit(more_b, 20),
            umip: bit(more_c, 2),
            fsgsbase: bit(more_b, 0),
            no_execute: bit(extended_d, 20),
            gigabyte_pages: bit(extended_d, 26),
            machine_check: bit(basic_d, 7),
            global_pages: bit(basic_d, 13),
        }
    })
}

/// Switches on, on the running CPU, what the kernel's page tables rely on.
///
/// # Panics
/// If the CPU cannot keep data from being executed: the kernel promises that it is not.
pub(super) fn enable_for_paging() {
    assert!(features().no_execute, "the CPU lacks the no-execute bit (NX)");
    // SAFETY: NX exists. The loaders' tables set the bit only where nothing is executed; write protection
    // makes read-only pages read-only for the kernel too, which writes none.
    unsafe {
        Efer::update(|flags| flags.insert(EferFlags::NO_EXECUTE_ENABLE));
        Cr0::update(|flags| flags.insert(Cr0Flags::WRITE_PROTECT));
    }
}

/// Switches everything else on, on the running CPU. The kernel's own page tables are in use.
pub(super) fn enable() {
    let have = features();
    let mut wanted = Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    for (exists, flag) in [
        (have.global_pages, Cr4Flags::PAGE_GLOBAL),
        (have.smep, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (have.smap, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (have.umip, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
        (have.fsgsbase, Cr4Flags::FSGSBASE),
        (have.pcid, Cr4Flags::PCID),
        (have.machine_check, Cr4Flags::MACHINE_CHECK_EXCEPTION),
    ] {
        wanted.set(flag, exists);
    }
    // What a loader may have switched on and programs should not have: virtual machines, time stamp limits,
    // performance counters, AVX and newer state, protection keys.
    let kept = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION;
    // SAFETY: `syscall` exists in long mode; `trap` says where it leads before the first program runs.
    unsafe { Efer::update(|flags| flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS)) };
    // SAFETY: each flag set exists by CPUID; PAE stays as long mode wants; CR3's low bits are zero, as PCID
    // wants when it is switched on (SDM volume 3, 5.10.1). CR0 loses EM and TS, so that FXSAVE works.
    unsafe {
        Cr4::write_raw((wanted | kept).bits());
        Cr0::update(|flags| {
            flags.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED | Cr0Flags::ALIGNMENT_MASK);
            flags.insert(Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::NUMERIC_ERROR);
        });
    }
    percpu::this().clears_access_flag.set(have.smap);
}

/// Writes the names of the protections switched on, separated by spaces.
///
/// # Errors
/// Those of the writer.
pub fn describe_features(out: &mut dyn core::fmt::Write) -> core::fmt::Result {
    let have = features();
    let mut separator = "";
    for (exists, name) in [
        (have.no_execute, "nx"),
        (have.smep, "smep"),
        (have.smap, "smap"),
        (have.umip, "umip"),
        (have.fsgsbase, "fsgsbase"),
        (have.global_pages, "pge"),
        (have.pcid, "pcid"),
        (have.pcid && have.invpcid, "invpcid"),
        (have.gigabyte_pages, "1gib-pages"),
    ] {
        if exists {
            write!(out, "{separator}{name}")?;
            separator = " ";
        }
    }
    Ok(())
}

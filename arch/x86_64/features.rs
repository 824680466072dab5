//! Which protections and conveniences the CPU has, and switching them on.

use core::arch::x86_64::__cpuid_count;

use spin::Once;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::debug::Dr7;
use x86_64::registers::model_specific::Msr;

use super::errata::Model;
use super::floating;
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
    /// Ranges of memory have types of their own.
    pub(super) memory_types: bool,
    /// The time-stamp counter runs at one rate, whatever the CPU sleeps or slows.
    pub(super) steady_clock: bool,
    /// The local APIC's timer runs on while the CPU sleeps.
    pub(super) steady_timer: bool,
}

static FEATURES: Once<Features> = Once::new();

/// The leaves of CPUID that are a hypervisor's.
const HYPERVISOR_LEAVES: u32 = 0x4000_0000;
/// In its upper half, the revision of the microcode.
const MICROCODE: Msr = Msr::new(0x8b);

/// A CPUID leaf: EAX, EBX, ECX, EDX; zeros if the CPU does not have it.
pub(super) fn cpuid(leaf: u32) -> [u32; 4] {
    // Without a hypervisor its leaves are not there, and some CPUs answer with those of another number.
    if leaf & 0xf000_0000 == HYPERVISOR_LEAVES && !is_guest() {
        return [0; 4];
    }
    let most = __cpuid_count(leaf & 0xf000_0000, 0).eax;
    if leaf > most || most & 0xf000_0000 != leaf & 0xf000_0000 {
        return [0; 4];
    }
    let result = __cpuid_count(leaf, 0);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// How many bits physical addresses have; 36 where the CPU does not tell (SDM volume 2, CPUID, leaf 0x8000_0008).
pub(super) fn address_bits() -> u32 {
    match cpuid(0x8000_0008)[0] & 0xff {
        0 => 36,
        bits => bits,
    }
}

/// Whether a hypervisor stands between the CPU and us.
fn is_guest() -> bool {
    __cpuid_count(1, 0).ecx >> 31 != 0
}

/// What is known of the CPU's model.
fn model() -> Model {
    let [_, b, c, d] = cpuid(0);
    let is_intel = [b, d, c] == [*b"Genu", *b"ineI", *b"ntel"].map(u32::from_le_bytes);
    // The revision is there after CPUID's leaf 1 was asked for with the register zero (SDM volume 3, 11.11.7.1).
    let microcode = if is_intel && !is_guest() {
        let mut revision = MICROCODE;
        // SAFETY: every Intel CPU of 64 bits has the register, and writing zero is what the manual asks for.
        unsafe {
            revision.write(0);
            cpuid(1);
            (revision.read() >> 32) as u32
        }
    } else {
        0
    };
    Model { is_intel, signature: cpuid(1)[0], microcode, is_guest: is_guest() }
}

/// What this machine has.
pub(super) fn features() -> &'static Features {
    FEATURES.call_once(|| {
        let bit = |register: u32, number: u32| register >> number & 1 != 0;
        let [_, _, basic_c, basic_d] = cpuid(1);
        let [_, more_b, more_c, _] = cpuid(7);
        let [_, _, _, extended_d] = cpuid(0x8000_0001);
        let ([power, ..], [_, _, _, advanced]) = (cpuid(6), cpuid(0x8000_0007));
        Features {
            // Without global pages nothing would drop a public page under all tags at once.
            pcid: bit(basic_c, 17) && bit(basic_d, 13) && model().drops_global_pages(),
            invpcid: bit(more_b, 10),
            smep: bit(more_b, 7),
            smap: bit(more_b, 20),
            umip: bit(more_c, 2),
            fsgsbase: bit(more_b, 0),
            no_execute: bit(extended_d, 20),
            gigabyte_pages: bit(extended_d, 26),
            machine_check: bit(basic_d, 7),
            global_pages: bit(basic_d, 13),
            memory_types: bit(basic_d, 12),
            steady_clock: bit(advanced, 8),
            steady_timer: bit(power, 2),
        }
    })
}

/// Switches on, on the running CPU, what the kernel's page tables rely on.
///
/// # Panics
/// If the CPU cannot keep data from being executed: the kernel promises that it is not.
pub(super) fn enable_for_paging() {
    assert!(features().no_execute, "the CPU lacks the no-execute bit (NX)");
    // What a loader may have switched on and nobody asked for goes: fast FXSAVE, which leaves registers out, the
    // translation cache extension, under which INVLPG drops less, and what has no name here, such as addresses whose
    // upper bits are ignored (APM volume 2, 3.1.7).
    let known = EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE | EferFlags::NO_EXECUTE_ENABLE;
    // SAFETY: long mode stays on and NX exists. The loaders' tables set the bit only where nothing is executed; write
    // protection makes read-only pages read-only for the kernel too, which writes none.
    unsafe {
        Efer::write_raw(known.bits());
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
    // Global translations that a loader may have left go when the flag does (SDM volume 3, 5.10.4.1).
    // SAFETY: paging stays as it is.
    unsafe { Cr4::update(|flags| flags.remove(Cr4Flags::PAGE_GLOBAL)) };
    // SAFETY: each flag set exists by CPUID; PAE stays as long mode wants; CR3's low bits are zero, as PCID
    // wants when it is switched on (SDM volume 3, 5.10.1). CR0 loses EM and TS, so that FXSAVE works.
    unsafe {
        Cr4::write_raw((wanted | kept).bits());
        Cr0::write(
            Cr0Flags::PROTECTED_MODE_ENABLE
                | Cr0Flags::MONITOR_COPROCESSOR
                | Cr0Flags::EXTENSION_TYPE
                | Cr0Flags::NUMERIC_ERROR
                | Cr0Flags::WRITE_PROTECT
                | Cr0Flags::PAGING,
        );
    }
    // No breakpoint of a loader's hits (SDM volume 3, 19.2.4: bit 10 is always set).
    Dr7::write_raw(1 << 10);
    floating::note_control_bits();
    percpu::this().clears_access_flag.set(have.smap);
    percpu::this().has_base_instructions.set(have.fsgsbase);
}

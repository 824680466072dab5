//! Tells instructions that are not for programs from others: the CPU reports both, and accesses to non-canonical
//! addresses, as general protection faults.

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
use super::{memory, paging};

/// The longest instruction (SDM volume 2, 2.3.11).
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
const INSTRUCTION_BYTES_MAX: usize = 15;

/// Whether the instruction at a user address is one that is not for programs.
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub(super) fn is_privileged_at(address: u64) -> bool {
    let mut bytes = [0; INSTRUCTION_BYTES_MAX];
    let mut count = 0;
    // By hand through the page tables, as the instruction may end in a page that is not there.
    for byte in &mut bytes {
        let at = address.wrapping_add(count as u64);
        // Some CPUs (and QEMU) report a jump to an address that is not canonical with that address as its own.
        let Some(physical) = crate::VirtAddr::new(at).is_user().then(|| paging::translate_active(at)).flatten() else {
            break;
        };
        memory::read_physical(physical, core::slice::from_mut(byte));
        count += 1;
    }
    is_privileged(&bytes[..count])
}

/// Whether an instruction is one that is not for programs (SDM volume 3, 6.9, and I/O, volume 1, 20.5).
fn is_privileged(bytes: &[u8]) -> bool {
    let is_prefix =
        |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    let start = bytes.iter().position(|byte| !is_prefix(byte)).unwrap_or(bytes.len());
    match &bytes[start..] {
        // HLT, CLI, STI; INS and OUTS; IN and OUT.
        [0xf4 | 0xfa | 0xfb | 0x6c..=0x6f | 0xe4..=0xe7 | 0xec..=0xef, ..] => true,
        // CLTS, SYSRET, INVD, WBINVD; moves from and to control and debug registers; WRMSR, RDMSR, RDPMC; SYSENTER,
        // SYSEXIT.
        [0x0f, 0x06..=0x09 | 0x20..=0x23 | 0x30 | 0x32..=0x35, ..] => true,
        // SLDT, STR, LLDT, LTR; SGDT, SIDT, LGDT, LIDT, SMSW, LMSW, INVLPG and their neighbours, SWAPGS, but not
        // XGETBV and the like, which share the opcode.
        [0x0f, 0x00, modrm, ..] => modrm >> 3 & 7 <= 3,
        [0x0f, 0x01, modrm, ..] => *modrm < 0xc0 || *modrm == 0xf8 || matches!(modrm >> 3 & 7, 4 | 6),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_privileged;

    #[test]
    fn privileged_instructions_are_known() {
        for bytes in [
            &[0xf4][..],
            &[0xfa],
            &[0xec],
            &[0x66, 0xef],
            &[0xf3, 0x6d],
            &[0x0f, 0x22, 0xd8],
            &[0x41, 0x0f, 0x20, 0xc0],
            &[0x0f, 0x30],
            &[0x0f, 0x34],
            &[0x0f, 0x01, 0x17],
            &[0x0f, 0x01, 0xf8],
            &[0x0f, 0x00, 0xd8],
        ] {
            assert!(is_privileged(bytes), "{bytes:x?}");
        }
    }

    #[test]
    fn ordinary_instructions_are_not() {
        for bytes in [
            &[][..],
            &[0x48],
            &[0x8b, 0x00],
            &[0x48, 0x89, 0x18],
            &[0x0f, 0x05],
            &[0x0f, 0x31],
            &[0x0f, 0x01, 0xd0],
            &[0x0f, 0xae, 0x00],
            &[0xff, 0x20],
            &[0xc3],
        ] {
            assert!(!is_privileged(bytes), "{bytes:x?}");
        }
    }
}

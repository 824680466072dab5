//! The guest's registers, by QEMU's names for them.

use std::collections::HashMap;
use std::ffi::CStr;

use tlb_model::decode::{Architecture, Operand};

use crate::ffi::{self, RegisterDescription};

const X86_GENERAL: [&str; 16] =
    ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

/// Handles of registers. They are QEMU's, and the same in all CPUs.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    general: Vec<usize>,
    named: HashMap<String, usize>,
    /// Those of which one tells in the kernel which CPU it is, and in user mode: in the order in which they are to be looked at
    /// in the kernel.
    identity: Vec<usize>,
    buffer: usize,
}

impl Registers {
    /// Asks QEMU; to be called when a CPU begins.
    pub(crate) fn find(architecture: Architecture) -> Registers {
        let mut named = HashMap::new();
        // SAFETY: called from the callback of a CPU's beginning, where QEMU has the list; it is ours to free, and its
        // elements are descriptions with names that live as long as QEMU.
        unsafe {
            let list = ffi::qemu_plugin_get_registers();
            let descriptions = (*list).data.cast::<RegisterDescription>();
            for index in 0..(*list).length as usize {
                let description = *descriptions.add(index);
                let name = CStr::from_ptr(description.name).to_string_lossy().to_lowercase();
                named.entry(name).or_insert(description.handle.expose_provenance());
            }
            ffi::g_array_free(list, 1);
        }
        let general = (0..31).map(|number| match architecture {
            Architecture::X86 => X86_GENERAL.get(number).copied().unwrap_or("none").to_string(),
            Architecture::Arm => format!("x{number}"),
        });
        let general = general.map(|name| named.get(&name).copied().unwrap_or(0)).collect();
        let identity: &[&str] = match architecture {
            Architecture::X86 => &["gs_base", "k_gs_base"],
            Architecture::Arm => &["tpidr_el1"],
        };
        let identity = identity.iter().map(|name| named.get(*name).copied().unwrap_or(0)).collect();
        // SAFETY: making an array has no conditions.
        let buffer = unsafe { ffi::g_byte_array_new() }.expose_provenance();
        Registers { general, named, identity, buffer }
    }

    /// A general register's value; 0 for AArch64's zero register. From callbacks that read registers only.
    pub(crate) fn general(&self, number: u8) -> u64 {
        self.general.get(usize::from(number)).map_or(0, |handle| self.read(*handle))
    }

    /// A register's value by its name, if there is such a one. Likewise.
    pub(crate) fn named(&self, name: &str) -> Option<u64> {
        self.named.get(name).map(|handle| self.read(*handle))
    }

    /// What may tell which CPU executes code of the kernel or of a program: where the kernel keeps what belongs to the CPU, after
    /// what a program may have put into such a register.
    pub(crate) fn identities(&self, is_user: bool) -> impl Iterator<Item = u64> {
        let count = self.identity.len();
        (0..count).map(move |index| self.read(self.identity[if is_user { count - 1 - index } else { index }]))
    }

    /// The address that an operand stands for.
    pub(crate) fn address(&self, operand: &Operand, next: u64) -> u64 {
        let base = operand.base.map_or(0, |base| self.general(base));
        let index = operand.index.map_or(0, |(index, shift)| self.general(index) << shift);
        let relative = if operand.relative { next } else { 0 };
        base.wrapping_add(index).wrapping_add(relative).wrapping_add_signed(operand.displacement)
    }

    fn read(&self, handle: usize) -> u64 {
        if handle == 0 {
            return 0;
        }
        let buffer = std::ptr::with_exposed_provenance_mut::<ffi::Array>(self.buffer);
        let mut bytes = [0; 8];
        // SAFETY: the handle is QEMU's, the array is ours, and the callback reads registers; QEMU appends the value, of which
        // the first eight bytes are taken.
        unsafe {
            ffi::g_byte_array_set_size(buffer, 0);
            ffi::qemu_plugin_read_register(std::ptr::with_exposed_provenance_mut(handle), buffer);
            let length = ((*buffer).length as usize).min(8);
            std::ptr::copy_nonoverlapping((*buffer).data, bytes.as_mut_ptr(), length);
        }
        u64::from_le_bytes(bytes)
    }
}

//! QEMU's plugin interface, version 4 (`qemu-plugin.h` of QEMU 10.0), as far as it is used here, and three functions of GLib,
//! which QEMU is linked with.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The version that QEMU asks for.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "QEMU looks for this name")]
pub(crate) static qemu_plugin_version: c_int = 4;

/// A callback that reads no registers.
pub(crate) const NO_REGISTERS: c_int = 0;
/// A callback that reads registers.
pub(crate) const READS_REGISTERS: c_int = 1;
/// Loads and stores.
pub(crate) const LOADS_AND_STORES: c_int = 3;

/// What is being translated.
#[repr(C)]
pub(crate) struct Block {
    _opaque: [u8; 0],
}
/// An instruction of it.
#[repr(C)]
pub(crate) struct Instruction {
    _opaque: [u8; 0],
}
/// A register, as QEMU names it.
#[repr(C)]
pub(crate) struct Register {
    _opaque: [u8; 0],
}

/// What QEMU says of itself.
#[repr(C)]
#[allow(dead_code, reason = "this is QEMU's layout")]
pub(crate) struct Info {
    pub(crate) target_name: *const c_char,
    pub(crate) version_min: c_int,
    pub(crate) version_current: c_int,
    pub(crate) is_system: bool,
    pub(crate) cpus: c_int,
    pub(crate) cpus_max: c_int,
}

/// A register's handle and names.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "this is QEMU's layout")]
pub(crate) struct RegisterDescription {
    pub(crate) handle: *mut Register,
    pub(crate) name: *const c_char,
    pub(crate) feature: *const c_char,
}

/// GLib's GArray and GByteArray.
#[repr(C)]
pub(crate) struct Array {
    pub(crate) data: *mut u8,
    pub(crate) length: c_uint,
}

pub(crate) type CpuCallback = extern "C" fn(id: u64, cpu: c_uint);
pub(crate) type BlockCallback = extern "C" fn(id: u64, block: *mut Block);
pub(crate) type ExecutionCallback = extern "C" fn(cpu: c_uint, data: *mut c_void);
pub(crate) type MemoryCallback = extern "C" fn(cpu: c_uint, info: u32, address: u64, data: *mut c_void);
pub(crate) type ExitCallback = extern "C" fn(id: u64, data: *mut c_void);

unsafe extern "C" {
    pub(crate) fn qemu_plugin_register_vcpu_init_cb(id: u64, callback: CpuCallback);
    pub(crate) fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: BlockCallback);
    pub(crate) fn qemu_plugin_register_atexit_cb(id: u64, callback: ExitCallback, data: *mut c_void);
    pub(crate) fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub(crate) fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub(crate) fn qemu_plugin_insn_data(instruction: *const Instruction, to: *mut c_void, length: usize) -> usize;
    pub(crate) fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    pub(crate) fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub(crate) fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: ExecutionCallback,
        flags: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: MemoryCallback,
        flags: c_int,
        which: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_mem_is_store(info: u32) -> bool;
    pub(crate) fn qemu_plugin_read_memory_vaddr(address: u64, to: *mut Array, length: usize) -> bool;
    pub(crate) fn qemu_plugin_get_registers() -> *mut Array;
    pub(crate) fn qemu_plugin_read_register(register: *mut Register, to: *mut Array) -> c_int;

    pub(crate) fn g_byte_array_new() -> *mut Array;
    pub(crate) fn g_byte_array_set_size(array: *mut Array, length: c_uint) -> *mut Array;
    pub(crate) fn g_array_free(array: *mut Array, frees_data: c_int) -> *mut c_char;
}

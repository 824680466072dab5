//! At translation: every load and store is watched, every fetch from another page than the one before, and every instruction
//! that changes translations.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use tlb_model::decode::{Architecture, decode_arm, decode_x86};
use tlb_model::model::Access;

use crate::arguments::Arguments;
use crate::ffi::{self, Block, Info};
use crate::state::{State, with};
use crate::stretches;

/// No instruction is longer.
const INSTRUCTION_BYTES_MAX: usize = 16;
const PAGE_BITS: u32 = 12;

/// QEMU calls this once. 0 says that the plugin is willing.
///
/// # Safety
/// 1. `info` is what QEMU says of itself.
/// 2. `words` are `count` strings.
#[unsafe(no_mangle)]
unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    info: *const Info,
    count: c_int,
    words: *const *const c_char,
) -> c_int {
    // SAFETY: as the caller says.
    let (target, cpus) = unsafe { (text((*info).target_name), (*info).cpus_max) };
    // SAFETY: as the caller says.
    let words: Vec<String> = (0..count as usize).map(|index| unsafe { text(*words.add(index)) }).collect();
    let architecture = match &*target {
        "x86_64" => Architecture::X86,
        "aarch64" => Architecture::Arm,
        _ => return refuse(&format!("it does not know {target}")),
    };
    let state = Arguments::read(&words).and_then(|arguments| State::new(architecture, cpus as usize, arguments));
    let translate = match state {
        Ok(state) => {
            let translate = if state.watch.is_some() { stretches::translate } else { translate };
            state.install();
            translate
        }
        Err(reason) => return refuse(&reason),
    };
    // SAFETY: the callbacks have the types that QEMU wants, and live as long as QEMU does.
    unsafe {
        ffi::qemu_plugin_register_vcpu_init_cb(id, begin_cpu);
        ffi::qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
        ffi::qemu_plugin_register_atexit_cb(id, end, ptr::null_mut());
    }
    0
}

fn refuse(reason: &str) -> c_int {
    eprintln!("the TLB plugin: {reason}");
    1
}

/// # Safety
/// It is a string that ends in a zero.
unsafe fn text(string: *const c_char) -> String {
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

extern "C" fn begin_cpu(_id: u64, _cpu: c_uint) {
    with(State::find_registers);
}

extern "C" fn end(_id: u64, _data: *mut c_void) {
    with(State::end);
}

extern "C" fn translate(_id: u64, block: *mut Block) {
    let mut page = None;
    // SAFETY: the block and its instructions are QEMU's, for as long as this callback runs; what is registered takes a
    // number as its data, which nobody follows as a pointer.
    unsafe {
        for index in 0..ffi::qemu_plugin_tb_n_insns(block) {
            let instruction = ffi::qemu_plugin_tb_get_insn(block, index);
            let (pc, bytes) = (ffi::qemu_plugin_insn_vaddr(instruction), ffi::qemu_plugin_insn_size(instruction));
            let data = ptr::without_provenance_mut::<c_void>(pc as usize);
            let last = pc.wrapping_add(bytes as u64).wrapping_sub(1);
            if index == 0 {
                ffi::qemu_plugin_register_vcpu_insn_exec_cb(instruction, begin_block, ffi::READS_REGISTERS, data);
            }
            for place in [pc, last] {
                if page.replace(place >> PAGE_BITS) != Some(place >> PAGE_BITS) {
                    let data = ptr::without_provenance_mut(place as usize);
                    ffi::qemu_plugin_register_vcpu_insn_exec_cb(instruction, fetch, ffi::NO_REGISTERS, data);
                }
            }
            let mut code = [0; INSTRUCTION_BYTES_MAX];
            let length = ffi::qemu_plugin_insn_data(instruction, code.as_mut_ptr().cast(), code.len());
            if let Some(number) = with(|state| state.privileged(&code[..length], pc, bytes as u64)) {
                let data = ptr::without_provenance_mut(number);
                ffi::qemu_plugin_register_vcpu_insn_exec_cb(instruction, privileged, ffi::READS_REGISTERS, data);
            }
            ffi::qemu_plugin_register_vcpu_mem_cb(instruction, access, ffi::NO_REGISTERS, ffi::LOADS_AND_STORES, data);
        }
    }
}

impl State {
    /// The number under which an instruction is to be executed here, if it must be.
    fn privileged(&mut self, code: &[u8], pc: u64, bytes: u64) -> Option<usize> {
        let instruction = match self.architecture {
            Architecture::X86 => decode_x86(code),
            Architecture::Arm => decode_arm(u32::from_le_bytes(code.try_into().ok()?)),
        };
        Some(self.number(instruction?, pc, pc.wrapping_add(bytes)))
    }
}

// QEMU's numbers of CPUs are not looked at: where CPUs take turns, QEMU 10.0 gives that of the CPU for which a block was
// translated (`gen_cpu_index`), whoever executes it.

extern "C" fn begin_block(_cpu: c_uint, data: *mut c_void) {
    with(|state| state.begin_block(data.addr() as u64));
}

extern "C" fn fetch(_cpu: c_uint, data: *mut c_void) {
    with(|state| state.fetch(data.addr() as u64));
}

extern "C" fn access(_cpu: c_uint, info: u32, address: u64, data: *mut c_void) {
    // SAFETY: the word is what QEMU has just told of the access.
    let is_store = unsafe { ffi::qemu_plugin_mem_is_store(info) };
    let access = if is_store { Access::Store } else { Access::Load };
    with(|state| state.access(access, address, data.addr() as u64));
}

extern "C" fn privileged(_cpu: c_uint, data: *mut c_void) {
    with(|state| state.execute(data.addr()));
}

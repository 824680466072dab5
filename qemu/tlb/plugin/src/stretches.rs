//! Watching how long the kernel works in one go: at translation, and at execution. Nothing else is watched then.

use std::ffi::{c_uint, c_void};
use std::ptr;

use tlb_model::decode::Architecture;
use tlb_model::stretches::{Block, Edge, Stretches, edge_arm, edge_x86};

use crate::ffi::{self, Instruction};
use crate::state::{State, is_kernel, with};

/// No instruction is longer.
const INSTRUCTION_BYTES_MAX: usize = 16;
/// Where calls have their number: RAX, X8.
const X86_NUMBER: u8 = 0;
const ARM_NUMBER: u8 = 8;
/// RSP; an IRET finds the code segment above the instruction pointer there, whose lowest bits are the ring.
const X86_STACK: u8 = 4;
const CODE_SEGMENT: u64 = 8;
const RING: u64 = 3;

/// The counting, and how it knows who executes.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) stretches: Stretches,
    /// Whether there is one CPU, which then need not be told from others.
    pub(crate) is_alone: bool,
}

/// At translation: the block is counted when it begins, and its edges are watched.
pub(crate) extern "C" fn translate(_id: u64, block: *mut ffi::Block) {
    // SAFETY: the block and its instructions are QEMU's, for as long as this callback runs; what is registered takes a
    // number as its data, which nobody follows as a pointer.
    unsafe {
        let count = ffi::qemu_plugin_tb_n_insns(block);
        let edges: Vec<Option<Edge>> = (0..count)
            .map(|index| {
                let instruction = ffi::qemu_plugin_tb_get_insn(block, index);
                let mut code = [0; INSTRUCTION_BYTES_MAX];
                let length = ffi::qemu_plugin_insn_data(instruction, code.as_mut_ptr().cast(), code.len());
                with(|state| state.edge(&code[..length]))
            })
            .collect();
        let first = ffi::qemu_plugin_tb_get_insn(block, 0);
        let whole = Block {
            is_kernel: is_kernel(ffi::qemu_plugin_insn_vaddr(first)),
            waits: edges.contains(&Some(Edge::Hint)),
            instructions: count as u32,
        };
        ffi::qemu_plugin_register_vcpu_insn_exec_cb(first, execute, ffi::READS_REGISTERS, pack_block(whole));
        for (index, edge) in edges.iter().enumerate() {
            let Some(edge) = edge.filter(|edge| (*edge == Edge::Call) != whole.is_kernel) else { continue };
            watch(ffi::qemu_plugin_tb_get_insn(block, index), edge, (count - 1 - index) as u32);
        }
    }
}

/// # Safety
/// The instruction is QEMU's, in the callback of its translation.
unsafe fn watch(instruction: *mut Instruction, edge: Edge, behind: u32) {
    let callback = match edge {
        Edge::Call => call,
        Edge::Wait => wait,
        Edge::Window => take_interrupts,
        Edge::Leave => leave,
        Edge::Return => leave_if_to_program,
        Edge::Fault => fault,
        Edge::Hint => return,
    };
    let data = ptr::without_provenance_mut(behind as usize);
    // SAFETY: as the caller says; the data is a number, which nobody follows as a pointer.
    unsafe { ffi::qemu_plugin_register_vcpu_insn_exec_cb(instruction, callback, ffi::READS_REGISTERS, data) };
}

/// A block as one word.
fn pack_block(block: Block) -> *mut c_void {
    let word = block.instructions << 2 | u32::from(block.waits) << 1 | u32::from(block.is_kernel);
    ptr::without_provenance_mut(word as usize)
}

fn unpack_block(data: *mut c_void) -> Block {
    let word = data.addr() as u32;
    Block { is_kernel: word & 1 != 0, waits: word & 2 != 0, instructions: word >> 2 }
}

extern "C" fn execute(_cpu: c_uint, data: *mut c_void) {
    let block = unpack_block(data);
    with(|state| state.for_cpu(!block.is_kernel, |found, cpu| found.execute(cpu, block)));
}

extern "C" fn call(_cpu: c_uint, _data: *mut c_void) {
    with(|state| {
        let number = state.registers.general(match state.architecture {
            Architecture::X86 => X86_NUMBER,
            Architecture::Arm => ARM_NUMBER,
        });
        state.for_cpu(true, |found, cpu| found.call(cpu, number));
    });
}

extern "C" fn wait(_cpu: c_uint, data: *mut c_void) {
    with(|state| state.for_cpu(false, |found, cpu| found.wait(cpu, data.addr() as u32)));
}

extern "C" fn take_interrupts(_cpu: c_uint, data: *mut c_void) {
    with(|state| state.for_cpu(false, |found, cpu| found.take_interrupts(cpu, data.addr() as u32)));
}

extern "C" fn leave(_cpu: c_uint, _data: *mut c_void) {
    with(|state| state.for_cpu(false, Stretches::leave));
}

extern "C" fn leave_if_to_program(_cpu: c_uint, _data: *mut c_void) {
    with(|state| {
        let segment = state.memory.read(state.registers.general(X86_STACK).wrapping_add(CODE_SEGMENT));
        if segment.is_some_and(|segment| segment & RING == RING) {
            state.for_cpu(false, Stretches::leave);
        }
    });
}

extern "C" fn fault(_cpu: c_uint, _data: *mut c_void) {
    with(|state| state.for_cpu(false, Stretches::fault));
}

impl State {
    fn edge(&self, code: &[u8]) -> Option<Edge> {
        match self.architecture {
            Architecture::X86 => edge_x86(code),
            Architecture::Arm => edge_arm(u32::from_le_bytes(code.try_into().ok()?)),
        }
    }

    /// Does something with the stretches of the CPU that executes code of the kernel, or of a program. One that does not know
    /// yet which it is comes up, and counts for nothing. Nobody tells us of CPUs here: a kernel as it is shall be watched.
    fn for_cpu(&mut self, is_user: bool, act: impl FnOnce(&mut Stretches, u64)) {
        let Some(watch) = &mut self.watch else { return };
        let identity = if watch.is_alone {
            Some(0)
        } else {
            self.registers.identities(is_user).find(|identity| is_kernel(*identity))
        };
        if let Some(identity) = identity {
            act(&mut watch.stretches, identity);
        }
    }
}

//! Instructions that change translations, and markers, just before they are executed.

use tlb_model::decode::{Architecture, Instruction, Operand, Reach, Tlbi, operand_address, operand_range, operand_tag};
use tlb_model::model::{Figures, Invalidation};
use tlb_model::walk::Control;

use crate::state::{State, is_kernel};

/// Markers of measured code: a region begins, ends; a benchmark is complete.
const REGION_BEGINS: u32 = 1;
const REGION_ENDS: u32 = 2;
const COMPLETE: u32 = 3;
/// Markers of the kernel (`arch/*/plugin.rs`).
const BEGIN: u32 = 16;
const DROP_TAG: u32 = 17;
const DROP_ALL: u32 = 18;
const FREE: u32 = 19;

/// Where the kernel's markers have their operands.
const X86_OPERANDS: [u8; 2] = [7, 6];
const ARM_OPERANDS: [u8; 2] = [0, 1];
const FRAME_BYTES: u64 = 4096;

/// Classes of exception in ESR_EL1: instruction and data aborts from EL0.
const USER_ABORTS: [u64; 2] = [0x20, 0x24];

impl State {
    /// A CPU is about to execute a watched instruction.
    pub(crate) fn execute(&mut self, number: usize) {
        let (instruction, pc, next) = self.watched[number];
        if instruction == Instruction::Mark(BEGIN) && is_kernel(pc) {
            return self.begin();
        }
        let Some(cpu) = self.current else { return };
        match instruction {
            Instruction::Mark(code) => self.mark(cpu, code, pc),
            _ if !is_kernel(pc) && self.is_program() => {}
            Instruction::FaultAddress => self.fault(cpu, pc),
            Instruction::Invlpg(operand) => self.invlpg(cpu, &operand, next),
            // QEMU has no INVPCID: the kernel uses markers, and who does execute it gets an exception.
            Instruction::Invpcid(..) => {}
            Instruction::Tlbi(what, reach, register) => self.tlbi(cpu, what, reach, register),
            Instruction::ClearBlock(register) => self.clear(cpu, register),
            Instruction::Wait => {
                if let Some(checker) = &mut self.checker {
                    checker.wait(cpu);
                }
            }
            Instruction::Root(register)
            | Instruction::KernelRoot(register)
            | Instruction::Enable(register)
            | Instruction::Control(register) => self.set_control(cpu, instruction, register),
        }
    }

    /// Whether the CPU is in user mode, where it gets an exception instead: by CS on x86-64, by PSTATE on AArch64. Code at low
    /// addresses may also be what lets a CPU start.
    fn is_program(&self) -> bool {
        let ring = self.registers.named("cs").map(|cs| cs & 3);
        ring.map(|ring| ring == 3).or_else(|| self.registers.named("cpsr").map(|state| state & 0xf == 0)) == Some(true)
    }

    /// A control register changes.
    fn set_control(&mut self, cpu: usize, instruction: Instruction, register: u8) {
        let value = self.registers.general(register);
        self.cpus[cpu].changes += 1;
        let before = self.cpus[cpu].control;
        match (&mut self.cpus[cpu].control, instruction) {
            (Control::X86(control), Instruction::Root(_)) => control.root = value,
            (Control::X86(control), Instruction::Enable(_)) => control.enable = value,
            (Control::X86(control), Instruction::Control(_)) => control.control = value,
            (Control::Arm(control), Instruction::Root(_)) => control.user_root = value,
            (Control::Arm(control), Instruction::KernelRoot(_)) => control.kernel_root = value,
            (Control::Arm(control), Instruction::Enable(_)) => control.enable = value,
            (Control::Arm(control), Instruction::Control(_)) => control.control = value,
            _ => return,
        }
        self.control_changed(cpu, before, matches!(instruction, Instruction::Root(_)));
    }

    fn control_changed(&mut self, cpu: usize, before: Control, is_root: bool) {
        let control = self.cpus[cpu].control;
        let tag = control.tag();
        if let Some(checker) = &mut self.checker {
            checker.set_tag(cpu, tag);
        }
        if let (Control::X86(before), Control::X86(now)) = (before, control)
            && before.drops_globals(now.control)
        {
            self.invalidate(cpu, Invalidation::page_global_toggle(), false);
        }
        if !is_root {
            return;
        }
        // Without a tag, x86 keeps nothing; see `arch/x86_64/plugin.rs` for those with one.
        let drops = matches!(control, Control::X86(_)) && tag == 0;
        if let Some(counter) = &mut self.counter {
            counter.model.switch_root(cpu, tag, control.root(), drops);
        }
        if let Some(checker) = self.checker.as_mut().filter(|_| drops) {
            checker.invalidate(cpu, &Invalidation::Tag(0));
        }
    }

    fn invlpg(&mut self, cpu: usize, operand: &Operand, next: u64) {
        let address = self.registers.address(operand, next);
        let tag = self.cpus[cpu].control.tag();
        self.invalidate(cpu, Invalidation::invlpg(tag, address), false);
    }

    fn tlbi(&mut self, cpu: usize, what: Tlbi, reach: Reach, register: u8) {
        let operand = self.registers.general(register);
        let (tag, address) = (operand_tag(operand), operand_address(operand));
        let what = match what {
            Tlbi::All => Invalidation::vmalle1(),
            Tlbi::Tag => Invalidation::aside1(tag),
            Tlbi::Page { every_tag: false, last_level } => Invalidation::vae1(tag, address, last_level),
            Tlbi::Page { every_tag: true, last_level } => Invalidation::vaae1(address, last_level),
            Tlbi::Range { every_tag, last_level } => {
                let (start, bytes) = operand_range(operand);
                if every_tag {
                    Invalidation::rvaae1(start, bytes, last_level)
                } else {
                    Invalidation::rvae1(tag, start, bytes, last_level)
                }
            }
        };
        self.invalidate(cpu, what, reach == Reach::All);
    }

    /// DC ZVA: the block is part of a frame, whose entries are all read again.
    fn clear(&mut self, cpu: usize, register: u8) {
        let address = self.registers.general(register);
        if let Some(place) = self.memory.table_at(address) {
            self.memory.forget_table(place);
            self.note_store(cpu, place);
        }
    }

    /// The kernel asks where an access has faulted: that access used what the CPU keeps, too.
    fn fault(&mut self, cpu: usize, pc: u64) {
        let is_abort = |syndrome: u64| USER_ABORTS.contains(&(syndrome >> 26 & 0x3f));
        if self.registers.named("esr_el1").is_some_and(|syndrome| !is_abort(syndrome)) {
            return;
        }
        let address = self.registers.named("cr2").or_else(|| self.registers.named("far_el1"));
        if let Some(address) = address {
            self.check(cpu, address, pc);
        }
    }

    fn mark(&mut self, cpu: usize, code: u32, pc: u64) {
        match code {
            REGION_BEGINS => {
                if let Some(counter) = &mut self.counter {
                    counter.model.clear();
                }
            }
            REGION_ENDS => {
                if let Some(counter) = &mut self.counter {
                    counter.sum += counter.model.total();
                    counter.regions += 1;
                }
            }
            COMPLETE => {
                if let Some(counter) = &mut self.counter {
                    self.output.figures(counter.regions, &counter.sum, &counter.costs);
                    (counter.sum, counter.regions) = (Figures::default(), 0);
                }
            }
            _ if is_kernel(pc) => self.kernel_mark(cpu, code, pc),
            _ => {}
        }
    }

    fn kernel_mark(&mut self, cpu: usize, code: u32, pc: u64) {
        let [first, second] = self.operands();
        match code {
            DROP_TAG => self.invalidate(cpu, Invalidation::Tag(first as u16), false),
            DROP_ALL => self.invalidate(cpu, Invalidation::All { globals: true }, false),
            FREE => {
                let (output, bytes) = (&mut self.output, second * FRAME_BYTES);
                if let Some(checker) = &mut self.checker {
                    checker.free(first, bytes, &mut |stale| output.stale(&stale, pc));
                }
            }
            _ => {}
        }
    }

    /// The operands of a marker.
    fn operands(&self) -> [u64; 2] {
        let operands = match self.architecture {
            Architecture::X86 => X86_OPERANDS,
            Architecture::Arm => ARM_OPERANDS,
        };
        operands.map(|register| self.registers.general(register))
    }

    /// The kernel serves us from here on, on the CPU that executes this. That is when its control registers are looked at: by what
    /// ways it came here is nobody's business.
    fn begin(&mut self) {
        let Some(identity) = self.registers.identities(false).next() else { return };
        let cpu = self.begun.len();
        if self.begun.contains(&identity) || cpu == self.cpus.len() {
            return;
        }
        let [direct_map, alias] = self.operands();
        self.begun.push(identity);
        self.current = Some(cpu);
        if cpu == 0 {
            self.memory.begin(direct_map, alias);
        }
        let named = |name: &str, value: &mut u64| *value = self.registers.named(name).unwrap_or(*value);
        match &mut self.cpus[cpu].control {
            Control::X86(control) => {
                named("cr0", &mut control.enable);
                named("cr3", &mut control.root);
                named("cr4", &mut control.control);
            }
            Control::Arm(control) => {
                named("sctlr", &mut control.enable);
                named("ttbr0_el1", &mut control.user_root);
                named("ttbr1_el1", &mut control.kernel_root);
                named("tcr_el1", &mut control.control);
            }
        }
        let tag = self.cpus[cpu].control.tag();
        if let Some(checker) = &mut self.checker {
            checker.set_tag(cpu, tag);
        }
    }
}

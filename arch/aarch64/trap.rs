//! The Rust side of the exception entry.

use core::sync::atomic::Ordering;

use crate::Trap;
use crate::upcall;

use super::fault::{self, KernelException, read_syndrome};
use super::registers::Registers;
use super::{console, context, cpu, percpu, power, smp};

/// Which of the four vectors of an origin was taken; `entry.rs` passes the number.
pub(super) const SYNCHRONOUS: u64 = 0;
const INTERRUPT: u64 = 1;
/// Instead of `SYNCHRONOUS`: a system call, as the entry code found out.
pub(super) const CALL: u64 = 4;
/// The same of a guest.
pub(super) const GUEST_CALL: u64 = 6;
/// No new exception: the kernel has something left to do after a call.
pub(super) const FINISH: u64 = 5;

/// Takes every trap from user mode that the entry code did not finish by itself. The registers are saved.
pub(super) extern "C" fn dispatch(kind: u64) {
    let trap = match kind {
        CALL => Trap::Call,
        GUEST_CALL => Trap::GuestCall,
        FINISH => return upcall::kernel_finish(),
        SYNCHRONOUS => {
            let syndrome = read_syndrome();
            if syndrome.is_vectors_trapped() && context::begin_floating_point() {
                return;
            }
            fault::trap_of(syndrome)
        }
        INTERRUPT => Trap::Interrupt(smp::take_interrupt()),
        // FIQs are masked (`registers::USER_PSTATE`), which leaves the system error: the hardware is broken.
        _ => panic!("system error while in user mode, syndrome {:#x}", read_syndrome().bits),
    };
    upcall::kernel_trap(trap);
}

/// Reports an exception that the kernel itself caused, and ends the machine.
pub(super) extern "C" fn report_kernel_exception(kind: u64, registers: &Registers) -> ! {
    let syndrome = read_syndrome();
    if kind == SYNCHRONOUS && power::is_refused_semihosting(syndrome, registers.instruction_pointer()) {
        power::off_by_firmware();
    }
    let earlier = percpu::current().kernel_exceptions.fetch_add(1, Ordering::Relaxed);
    if earlier == 1 {
        smp::stop_other_cpus();
        console::write_last(b"\n[kernel] PANIC: another exception while one was being reported\n");
    }
    if earlier > 0 {
        cpu::halt_after_panic();
    }
    upcall::kernel_report(format_args!("{registers}"));
    if kind == SYNCHRONOUS {
        panic!("{}", KernelException { syndrome, registers });
    }
    panic!("unexpected {} in the kernel", ["", "interrupt", "fast interrupt", "system error"][kind as usize & 3]);
}

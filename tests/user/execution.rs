//! Execution: what may not be executed is not, at the border of a page, in the middle of an instruction, in a large page.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Code, Room, Verdict, claim, ends_in_fault, ensure, fresh_address, peek, run, run_at,
    the_kernel_passes_its_own_checks,
};
use libvas::{PAGE_BYTES, Rights, Segment, program, raw};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(execution_over_a_border_goes_on_where_it_may),
        claim!(execution_does_not_run_over_a_border_into_nothing),
        claim!(execution_does_not_run_over_a_border_into_data),
        claim!(an_instruction_across_a_border_needs_both_pages),
        claim!(a_large_page_of_data_is_not_executed),
        claim!(a_part_of_a_large_page_is_executed_alone),
        claim!(no_frame_with_the_kernels_privilege_comes_from_a_program),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("execution", CLAIMS)
}

const PAGE: u64 = PAGE_BYTES;
const LARGE: u64 = 2 << 20;

/// Whether this program is x86_64's.
const IS_X86_64: bool = raw::ELF_MACHINE == 62;

/// Instructions that do nothing, so many bytes of them: `nop` (SDM volume 2B; DDI 0487, C6.2).
fn nothing(length_bytes: u64) -> Vec<u8> {
    let word = if IS_X86_64 { [0x90; 4] } else { 0xd503_201f_u32.to_le_bytes() };
    word.into_iter().cycle().take(length_bytes as usize).collect()
}

/// Two pages, mapped executable: the first ends with instructions that do nothing, the second begins with a return.
fn two_pages() -> Result<Room, libvas::Error> {
    let segment = Segment::new(program().account(), 2 * PAGE)?;
    segment.write(PAGE - 64, &nothing(64))?;
    segment.write(PAGE, &Code::Return.bytes())?;
    Room::with(segment, 2, Rights::READ_EXECUTE)
}

/// Code that begins on one page and goes on on the next runs.
fn execution_over_a_border_goes_on_where_it_may() -> Verdict {
    let room = two_pages()?;
    run_at(room.address() + PAGE - 64);
    Ok(())
}

/// Code that runs off its page to where nothing is mapped is stopped there, though the same code ran before.
fn execution_does_not_run_over_a_border_into_nothing() -> Verdict {
    let room = two_pages()?;
    let last = room.address() + PAGE - 64;
    run_at(last);
    program().space().unmap(room.address() + PAGE..room.end())?;
    ensure!(ends_in_fault(program().space(), move || run_at(last))?, "it ran on behind the border");
    ensure!(ends_in_fault(program().space(), move || run_at(last + 64))?, "what was unmapped ran");
    Ok(())
}

/// Code that runs off its page to a page of data, readable and even writable, is stopped there.
fn execution_does_not_run_over_a_border_into_data() -> Verdict {
    for rights in [Rights::READ, Rights::READ_WRITE] {
        let room = two_pages()?;
        let last = room.address() + PAGE - 64;
        program().space().protect(room.address() + PAGE..room.end(), rights)?;
        ensure!(ends_in_fault(program().space(), move || run_at(last))?, "it ran on in data");
        ensure!(peek(room.address() + PAGE) == Code::Return.bytes()[0], "the data cannot be read");
        program().space().protect(room.address() + PAGE..room.end(), Rights::READ_EXECUTE)?;
        run_at(last);
    }
    Ok(())
}

/// An instruction of which one part lies on each page runs if both may be executed, and is stopped if the second may
/// not be. Where instructions are aligned (aarch64), the last whole one before the border runs and the next is stopped.
fn an_instruction_across_a_border_needs_both_pages() -> Verdict {
    // `mov eax, imm32` with two of its five bytes on the first page, then `ret`.
    let split = [0xb8, 0x01, 0x02, 0x03, 0x04, 0xc3];
    let code: &[u8] = if IS_X86_64 { &split } else { &Code::Return.bytes() };
    let start = if IS_X86_64 { PAGE - 2 } else { PAGE - 4 };
    let segment = Segment::new(program().account(), 2 * PAGE)?;
    segment.write(start, code)?;
    let room = Room::with(segment, 2, Rights::READ_EXECUTE)?;
    let address = room.address() + start;
    run_at(address);
    let behind = room.address() + PAGE..room.end();
    for rights in [Rights::READ, Rights::READ_WRITE] {
        program().space().protect(behind.clone(), rights)?;
        let stops_at = if IS_X86_64 { address } else { behind.start };
        ensure!(ends_in_fault(program().space(), move || run_at(stops_at))?, "the second part was data and ran");
    }
    program().space().unmap(behind.clone())?;
    let stops_at = if IS_X86_64 { address } else { behind.start };
    ensure!(ends_in_fault(program().space(), move || run_at(stops_at))?, "the second part was nothing and ran");
    Ok(())
}

/// A large page that may be read and written is executed at none of its addresses.
fn a_large_page_of_data_is_not_executed() -> Verdict {
    let (segment, address) = (Segment::new(program().account(), LARGE)?, fresh_address());
    for offset in [0, LARGE / 2, LARGE - PAGE] {
        segment.write(offset, &Code::Return.bytes())?;
    }
    program().space().map(address, &segment, 0..LARGE, Rights::READ_WRITE)?;
    let tried = [0, LARGE / 2, LARGE - PAGE].map(|offset| address + offset);
    let executed = |at: u64| ends_in_fault(program().space(), move || run_at(at)).map(|stopped| !stopped);
    for at in tried {
        ensure!(!executed(at)?, "data in a large page ran at {at:#x}");
    }
    program().space().protect(address..address + LARGE, Rights::READ_EXECUTE)?;
    for at in tried {
        run_at(at);
    }
    program().space().protect(address..address + LARGE, Rights::READ)?;
    for at in tried {
        ensure!(!executed(at)?, "code that is data again ran at {at:#x}");
    }
    program().space().unmap(address..address + LARGE)?;
    Ok(())
}

/// Of a large page of data one small page is made executable: that page runs, and its neighbours do not.
fn a_part_of_a_large_page_is_executed_alone() -> Verdict {
    let (segment, address) = (Segment::new(program().account(), LARGE)?, fresh_address());
    for page in 6..9 {
        segment.write(page * PAGE, &Code::Return.bytes())?;
    }
    program().space().map(address, &segment, 0..LARGE, Rights::READ_WRITE)?;
    program().space().protect(address + 7 * PAGE..address + 8 * PAGE, Rights::READ_EXECUTE)?;
    run_at(address + 7 * PAGE);
    for neighbour in [6, 8] {
        let at = address + neighbour * PAGE;
        ensure!(ends_in_fault(program().space(), move || run_at(at))?, "page {neighbour} of data ran");
    }
    program().space().unmap(address..address + LARGE)?;
    Ok(())
}

/// Instructions that would return with a frame of the program's own making to the kernel's privilege, or unmask what the
/// kernel masks, stop the thread: nothing that they set before is of use.
fn no_frame_with_the_kernels_privilege_comes_from_a_program() -> Verdict {
    // x86_64 (SDM volume 2): `push 0x3002; popf; cli`: IOPL cannot be raised, so `cli` is refused. `sysretq`.
    // `xor eax, eax; push rax; push rsp; push 2; push 8; push rax; iretq`: no code segment 8 at this privilege.
    const X86_64: [&[u8]; 3] = [
        &[0x68, 0x02, 0x30, 0x00, 0x00, 0x9d, 0xfa, 0xc3],
        &[0x48, 0x0f, 0x07, 0xc3],
        &[0x31, 0xc0, 0x50, 0x54, 0x6a, 0x02, 0x6a, 0x08, 0x50, 0x48, 0xcf],
    ];
    // aarch64 (DDI 0487, C5.2 and C6.2): `msr spsr_el1, xzr; ret`, `msr elr_el1, xzr; ret`, `eret`, each refused.
    const AARCH64: [&[u8]; 3] = [
        &[0x1f, 0x40, 0x18, 0xd5, 0xc0, 0x03, 0x5f, 0xd6],
        &[0x3f, 0x40, 0x18, 0xd5, 0xc0, 0x03, 0x5f, 0xd6],
        &[0xe0, 0x03, 0x9f, 0xd6],
    ];
    for code in if IS_X86_64 { X86_64 } else { AARCH64 } {
        let segment = Segment::new(program().account(), PAGE)?;
        segment.write(0, code)?;
        let room = Room::with(segment, 1, Rights::READ_EXECUTE)?;
        let address = room.address();
        ensure!(ends_in_fault(program().space(), move || run_at(address))?, "{code:x?} was not stopped");
    }
    Ok(())
}

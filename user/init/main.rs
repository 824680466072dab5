//! The first program: reads what to run from the boot archive's `cmdline`, runs it, ends the machine.
//!
//! Each program gets an account, a capability table, a program subtree, a space and a first thread of its own,
//! all taken down when that thread has ended. The machine's exit code is the last one that was not 0.

#![no_std]
#![no_main]

extern crate alloc;

mod leak;

use alloc::vec::Vec;
use executable::{Executable, Flaw};
use init::loader::{Gifts, IMAGES, Loaded};
use init::names::{Admission, NameService};
use init::outcome::{LEAKED, NO_ARCHIVE, NO_PROGRAM, NOT_STARTED, of_machine, of_program};
use init::plan::Plan;
use leak::Census;
use libvas::{Cap, Error, Machine, PAGE_BYTES, Rights, program, raw};
use rt::println;
use tar_no_std::{ArchiveEntry, TarArchiveRef};

rt::main!(main);

fn main() -> Result<(), Error> {
    let Some(machine) = program().machine() else {
        println!("[init] was not given the machine; this is a program for the kernel to start");
        return Err(Error::MissingRight);
    };
    let code = run_archive(machine).unwrap_or_else(|error| {
        println!("[init] cannot read the boot archive: {error}");
        NO_ARCHIVE
    });
    machine.power_off(code).map(|_| ())
}

/// Runs what the boot archive asks for; returns the machine's exit code.
fn run_archive(machine: &Cap<Machine>) -> Result<u8, Error> {
    let (archive, archive_bytes) = program().archive().ok_or(Error::Gone)?;
    let window = program().window(archive, 0..archive_bytes.next_multiple_of(PAGE_BYTES), Rights::READ)?;
    // SAFETY: the kernel lets nobody write to the archive, neither this program nor those that it lets read.
    let bytes = unsafe { window.as_slice() };
    // A loader may hand over more than the file; a tar is whole blocks of 512 bytes.
    let bytes = &bytes[..archive_bytes as usize / 512 * 512];
    let Ok(files) = TarArchiveRef::new(bytes) else {
        println!("[init] the boot archive is no tar file ({archive_bytes} bytes)");
        return Ok(NO_ARCHIVE);
    };
    let files: Vec<ArchiveEntry<'_>> = files.entries().collect();
    let cmdline = find(&files, "cmdline").and_then(|bytes| core::str::from_utf8(bytes).ok());
    let plan = Plan::parse(cmdline.unwrap_or_default());
    let service = if plan.names_start { start_names() } else { None };
    Ok(of_machine(plan.programs().map(|name| run_checked(machine, &files, &plan, name, service.as_ref()))))
}

/// Starts the name service. Where it cannot be, programs run without, and are told so when they want it.
fn start_names() -> Option<NameService> {
    NameService::start().inspect_err(|error| println!("[init] cannot start names: {error}")).ok()
}

fn find<'a>(files: &[ArchiveEntry<'a>], name: &str) -> Option<&'a [u8]> {
    files.iter().find(|file| file.filename().as_str() == Ok(name)).map(ArchiveEntry::data)
}

/// Runs one program and, if asked to, checks that nothing of it remains.
fn run_checked(
    machine: &Cap<Machine>,
    files: &[ArchiveEntry<'_>],
    plan: &Plan<'_>,
    name: &str,
    service: Option<&NameService>,
) -> u8 {
    let before = plan.leak_check.then(|| {
        leak::warm_heap();
        Census::take(machine)
    });
    let code = run(machine, files, plan, name, service);
    if code != 0 {
        println!("[init] {name} ended with exit code {code}");
    }
    match (before, plan.leak_check.then(|| Census::take(machine))) {
        (Some(Ok(before)), Some(Ok(after))) if !before.compare(&after, name) => LEAKED,
        (Some(Err(error)), _) | (_, Some(Err(error))) => {
            println!("[init] cannot check for leaks: {error}");
            LEAKED
        }
        _ => code,
    }
}

/// Runs one program; returns its exit code.
fn run(
    machine: &Cap<Machine>,
    files: &[ArchiveEntry<'_>],
    plan: &Plan<'_>,
    name: &str,
    service: Option<&NameService>,
) -> u8 {
    let Some(file) = find(files, name) else {
        println!("[init] there is no program {name}; the boot archive holds:");
        files.iter().for_each(|file| println!("[init]   {}", file.filename().as_str().unwrap_or("?")));
        return NO_PROGRAM;
    };
    let image = match Executable::parse(file, raw::ELF_MACHINE, &IMAGES) {
        Ok(image) => image,
        Err(flaw) => return refuse(name, flaw),
    };
    let machine_rights = plan.machine_rights();
    let archive = program().archive().filter(|_| plan.archive_read);
    // Until the program has ended; what it has registered stays.
    let admission = service.and_then(|service| service.admit().ok());
    let names = admission.as_ref().map(Admission::ways);
    let gifts = Gifts { name, arguments: plan.arguments, machine, machine_rights, archive, names, budget_bytes: None };
    match Loaded::new(&image, &gifts).map(|loaded| loaded.run()) {
        Err(error) => {
            println!("[init] cannot start {name}: {error}");
            NOT_STARTED
        }
        Ok(joined) => {
            // The kernel has told of a fault already.
            if let Err(error) = joined
                && error != Error::Faulted
            {
                println!("[init] {name}: {error}");
            }
            of_program(joined)
        }
    }
}

fn refuse(name: &str, flaw: Flaw) -> u8 {
    println!("[init] {name} is no program that runs here: {flaw}");
    NO_PROGRAM
}

//! Any system call, by number and words, whether it makes sense or not.

use libvas::layout::program::SCRATCH;
use libvas::{Error, ObjectKind, PAGE_BYTES, raw};
use tessera_abi::syscall::{DESCRIPTIONS, number};

/// Calls that move a thread to an address.
const MOVING: [u64; 3] = [number::space_jump, number::thread_start, number::thread_set_fallback];

/// Makes a system call.
///
/// # Errors
/// The kernel's.
///
/// # Panics
/// If the call, were it granted, would write to the program's own memory or send a thread to the program's code.
pub fn attempt(number: u64, words: [u64; 6]) -> Result<u64, Error> {
    for (name, only_for) in [("buffer", None), ("instruction_pointer", Some(MOVING))] {
        let concerned = only_for.is_none_or(|calls| calls.contains(&number));
        if let Some(index) = argument_named(number, name).filter(|_| concerned) {
            assert!(is_foreign(words[index]), "call {number} would touch the program itself");
        }
    }
    if number == number::gate_call {
        // A callee may leave anything in registers that other calls keep.
        let [gate, flags, capability, rights, ..] = words;
        let (status, value) = raw::gate_call_keeping([gate, flags, capability, rights], &Default::default());
        return Error::from_status(status).map(|()| value);
    }
    // SAFETY: every buffer and every goal was just found to lie outside of the addresses at which this program has
    // code, statics, heap and stacks, so no Rust object changes and no Rust code is entered. Calls that take memory
    // away from the program (unmap, detach) make it fault, as libvas says of its own safe versions.
    let (status, value) = unsafe { raw::call(number, words) };
    Error::from_status(status).map(|()| value)
}

/// The position of a call's argument with this name.
pub fn argument_named(number: u64, name: &str) -> Option<usize> {
    let description = DESCRIPTIONS.get(usize::try_from(number).ok()?)?;
    description.arguments.iter().position(|(argument, _)| *argument == name)
}

/// Whether the argument of this name takes capabilities to objects of this kind, in whatever call.
pub fn takes(name: &str, kind: ObjectKind) -> bool {
    match name {
        "handle" | "capability" => true,
        "target" | "from" | "to" => matches!(kind, ObjectKind::Space | ObjectKind::Subtree),
        "object" => matches!(kind, ObjectKind::Thread | ObjectKind::Space | ObjectKind::Subtree),
        "account" => kind == ObjectKind::Account,
        "space" => kind == ObjectKind::Space,
        "subtree" => kind == ObjectKind::Subtree,
        "segment" => kind == ObjectKind::Segment,
        "thread" => kind == ObjectKind::Thread,
        "table" => kind == ObjectKind::CapTable,
        "gate" => kind == ObjectKind::Gate,
        "guest" => kind == ObjectKind::Guest,
        "machine" => kind == ObjectKind::Machine,
        _ => false,
    }
}

/// Whether nothing of the program lies at an address, or behind it as far as a call may write.
fn is_foreign(address: u64) -> bool {
    !(PAGE_BYTES..SCRATCH).contains(&address)
}

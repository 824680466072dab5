//! Rights and derivation: a capability permits what it says, and less is all that can be made of it.

#![no_std]
#![no_main]

use conformance::{
    Claim, Fixture, NEEDS, Need, Verdict, attempt, claim, ensure, ensure_eq, refused, run,
    the_kernel_passes_its_own_checks,
};
use libvas::{Cap, CapTable, Error, Handle, ObjectKind, PAGE_BYTES, Rights, Segment, Space, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(every_call_refuses_a_capability_that_lacks_its_right),
        claim!(the_rights_a_call_needs_are_all_it_needs),
        claim!(a_right_given_up_is_never_added_again),
        claim!(unknown_rights_are_refused),
        claim!(a_new_object_comes_with_all_rights),
        claim!(a_child_tells_its_parent_and_its_badge),
        claim!(a_parent_counts_its_children),
        claim!(children_outlive_their_parent_and_get_its_parent),
        claim!(a_copy_in_another_table_is_a_child),
        claim!(a_copy_carries_no_right_that_was_not_given),
        claim!(a_program_cannot_turn_the_machine_off),
        claim!(deriving_needs_a_free_slot),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("rights", CLAIMS)
}

/// Makes the call of a need with a capability derived for it.
fn with_rights(fixture: &Fixture, need: &Need, rights: impl FnOnce(Rights) -> Rights) -> Result<u64, Error> {
    let mut words = fixture.words(need.call);
    let parent = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(Handle::from_bits(words[need.argument])));
    let child = parent.derive(rights(parent.rights()?), 0)?;
    words[need.argument] = child.handle().bits();
    attempt(need.call, words)
}

/// Whether a call with the fixture's arguments returns to its caller, leaves the fixture usable, and needs no right
/// that these programs lack (`public` makes subtrees public).
fn is_harmless(call: u64) -> bool {
    use number::{
        gate_call, machine_power_off, machine_provoke, object_set_name, space_jump, space_switch, space_switch_until,
        subtree_detach, subtree_detach_core, subtree_publish, thread_join, thread_set_fallback, thread_start,
        thread_stop,
    };
    ![
        gate_call,
        machine_power_off,
        machine_provoke,
        object_set_name,
        space_jump,
        space_switch,
        space_switch_until,
        subtree_detach,
        subtree_detach_core,
        subtree_publish,
        thread_join,
        thread_set_fallback,
        thread_start,
        thread_stop,
    ]
    .contains(&call)
}

/// All rights but the one that is needed are not enough, for every call and every argument that names an object.
fn every_call_refuses_a_capability_that_lacks_its_right() -> Verdict {
    let fixture = Fixture::new()?;
    for need in NEEDS {
        let result = with_rights(&fixture, need, |all| all - need.right);
        ensure!(result == Err(Error::MissingRight), "{need:?}: {result:?}");
    }
    let executable = [
        fixture.space.handle().bits(),
        fixture.segment.derive(Rights::READ_WRITE, 0)?.into_handle().bits(),
        0,
        fixture.address + PAGE_BYTES,
        PAGE_BYTES,
        u64::from(Rights::READ_EXECUTE.bits()),
    ];
    refused(attempt(number::map, executable), Error::MissingRight)
}

/// The rights documented for an argument, without any other, let the call succeed.
fn the_rights_a_call_needs_are_all_it_needs() -> Verdict {
    let mut tried = 0;
    for need in NEEDS.iter().filter(|need| is_harmless(need.call)) {
        let fixture = Fixture::new()?;
        let of_argument = |other: &&Need| (other.call, other.argument) == (need.call, need.argument);
        let together = NEEDS.iter().filter(of_argument).fold(Rights::empty(), |all, other| all | other.right);
        // What is handed on or derived must be held too: the fixture copies READ.
        let handed_on = if need.call == number::capability_copy { Rights::READ } else { Rights::empty() };
        let result = with_rights(&fixture, need, |all| all & (together | handed_on));
        ensure!(result.is_ok(), "{need:?}: {result:?}");
        tried += 1;
    }
    ensure!(tried > 20, "only {tried} calls were tried");
    Ok(())
}

/// Deriving asks for a subset of the parent's rights; anything else is refused, also later in the line.
fn a_right_given_up_is_never_added_again() -> Verdict {
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    let reader = segment.derive(Rights::READ | Rights::GRANT, 0)?;
    for more in [Rights::WRITE, Rights::READ_WRITE, Rights::all(), Rights::CONTROL, Rights::CALL] {
        refused(reader.derive(more, 0), Error::MissingRight)?;
        let table = CapTable::new(program().account(), 1)?;
        refused(reader.copy_into(&table, more, 0), Error::MissingRight)?;
    }
    let nothing = reader.derive(Rights::empty(), 0)?;
    refused(nothing.derive(Rights::READ, 0), Error::MissingRight)?;
    ensure_eq!(nothing.rights()?, Rights::empty());
    Ok(())
}

/// Bits that stand for no right are refused instead of being passed over.
fn unknown_rights_are_refused() -> Verdict {
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    for bits in [1 << 19, 1 << 31, 1 << 32, 1 << 63, u64::MAX] {
        let words = [segment.handle().bits(), bits, 0, 0, 0, 0];
        refused(attempt(number::capability_derive, words), Error::BadArgument)?;
    }
    Ok(())
}

/// Who makes an object gets every right to it.
fn a_new_object_comes_with_all_rights() -> Verdict {
    let fixture = Fixture::new()?;
    for kind in ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Machine) {
        let object = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(fixture.handle(kind)));
        ensure_eq!(object.rights()?, Rights::all());
        ensure_eq!(object.capability_info()?.kind, kind as u64);
        ensure_eq!(object.capability_info()?.has_parent, 0);
    }
    Ok(())
}

/// A derived capability names the same object, its parent and the badge it was given.
fn a_child_tells_its_parent_and_its_badge() -> Verdict {
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    let child = segment.derive(Rights::READ, 0xb4d6_e000_0000_0001)?;
    let (parent, info) = (segment.capability_info()?, child.capability_info()?);
    ensure_eq!(info.badge, 0xb4d6_e000_0000_0001_u64);
    ensure_eq!((info.has_parent, info.parent), (1, segment.handle().bits()));
    ensure_eq!((info.kind, info.object), (parent.kind, parent.object));
    ensure_eq!(info.rights, u64::from(Rights::READ.bits()));
    Ok(())
}

/// Children are counted when they come and when they go; grandchildren are not among them.
fn a_parent_counts_its_children() -> Verdict {
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    let first = segment.derive(Rights::READ, 1)?;
    let second = segment.derive(Rights::READ, 2)?;
    let grandchild = first.derive(Rights::READ, 3)?;
    ensure_eq!((segment.capability_info()?.children, first.capability_info()?.children), (2, 1));
    ensure_eq!(segment.capability_info()?.references, 4);
    drop(second);
    ensure_eq!(segment.capability_info()?.children, 1);
    drop(grandchild);
    drop(first);
    ensure_eq!((segment.capability_info()?.children, segment.capability_info()?.references), (0, 1));
    Ok(())
}

/// Deleting a capability leaves its children usable; they become children of its own parent.
fn children_outlive_their_parent_and_get_its_parent() -> Verdict {
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    let middle = segment.derive(Rights::READ | Rights::WRITE, 0)?;
    let (left, right) = (middle.derive(Rights::READ, 1)?, middle.derive(Rights::READ, 2)?);
    drop(middle);
    for child in [&left, &right] {
        let info = child.capability_info()?;
        ensure_eq!((info.has_parent, info.parent), (1, segment.handle().bits()));
        child.info()?;
    }
    ensure_eq!(segment.capability_info()?.children, 2);
    drop(segment);
    ensure_eq!(left.capability_info()?.has_parent, 0);
    ensure_eq!(left.info()?.length_bytes, PAGE_BYTES);
    Ok(())
}

/// A copy into another table is a child too, and goes with its table.
fn a_copy_in_another_table_is_a_child() -> Verdict {
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    let table = CapTable::new(program().account(), 4)?;
    segment.copy_into(&table, Rights::READ, 7)?;
    ensure_eq!(segment.capability_info()?.children, 1);
    drop(table);
    ensure_eq!((segment.capability_info()?.children, segment.capability_info()?.references), (0, 1));
    Ok(())
}

/// Copying into one's own table by the table's handle gives exactly the rights that were asked for.
fn a_copy_carries_no_right_that_was_not_given() -> Verdict {
    let segment = Segment::new(program().account(), 2 * PAGE_BYTES)?;
    let copy: Cap<Segment> = Cap::from_handle(segment.copy_into(program().table(), Rights::READ, 9)?);
    ensure_eq!((copy.rights()?, copy.capability_info()?.badge), (Rights::READ, 9));
    refused(copy.copy_into(program().table(), Rights::READ, 0), Error::MissingRight)?;
    refused(copy.set_name("mine"), Error::MissingRight)
}

/// A program that may look at the machine may neither end it nor make the kernel misbehave.
fn a_program_cannot_turn_the_machine_off() -> Verdict {
    let machine = program().machine().ok_or(Error::MissingRight)?;
    ensure_eq!(machine.rights()? & Rights::CONTROL, Rights::empty());
    for code in [0, 1, 255, 256] {
        refused(attempt(number::machine_power_off, [machine.handle().bits(), code, 0, 0, 0, 0]), Error::MissingRight)?;
    }
    for what in 0..10 {
        refused(attempt(number::machine_provoke, [machine.handle().bits(), what, 0, 0, 0, 0]), Error::MissingRight)?;
    }
    Ok(())
}

/// When the caller's table is full, nothing can be derived or made, and nothing is charged.
fn deriving_needs_a_free_slot() -> Verdict {
    let mut held = None;
    let space = program().space();
    // Each capability holds the one before it in its badge, so that the test needs no memory of its own.
    while let Ok(next) = space.derive(Rights::empty(), held.map_or(0, Handle::bits)) {
        held = Some(next.into_handle());
    }
    let used_bytes = program().account().info()?.used_bytes;
    let results = (
        space.derive(Rights::empty(), 0).err(),
        Space::new(program().account()).err(),
        Segment::new(program().account(), PAGE_BYTES).err(),
        program().account().split(0).err(),
    );
    let used_bytes_after = program().account().info()?.used_bytes;
    while let Some(handle) = held {
        let last: Cap<Space> = Cap::from_handle(handle);
        held = Some(Handle::from_bits(last.capability_info()?.badge)).filter(|badge| *badge != Handle::NONE);
    }
    let full = Some(Error::TableFull);
    ensure_eq!(results, (full, full, full, full));
    ensure_eq!(used_bytes_after, used_bytes);
    Ok(())
}

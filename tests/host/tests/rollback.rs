//! A call that its account or the machine cannot bear changes nothing, wherever in its course the means run out.

use host_tests::snapshot::Snapshot;
use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::{Access, VirtAddr};
use tessera_kernel::object::id::ObjectRef;
use tessera_kernel::state::charges::RESERVE_FRAMES;
use tessera_kernel::vm::fault;
use tessera_kernel::vm::showing::AccessError;

const GIG: u64 = 1 << 30;
const BASE: u64 = 1 << 40;
/// Enough for every call here, bytes.
const PLENTY: u64 = 1 << 20;

/// A machine on which everything is ready but the call under test, which charges the account of this handle.
type Prepare = fn(&mut Machine, Handle) -> Call;

/// Every call that takes memory.
const CALLS: [(&str, Prepare); 20] = [
    ("map of small pages", |machine, account| map(machine, account, 1, BASE + GIG - 0x3000, 0x20_6000)),
    ("map of large pages", |machine, account| map(machine, account, 0, BASE, 2 * GIG + 0x20_1000)),
    ("map across top-level slots", |machine, account| map(machine, account, 1, (3 << 39) - 0x20_0000, 0x40_0000)),
    ("unmap that splits", |machine, account| {
        let target = mapped(machine, account);
        Call::Unmap { target, address: BASE + 0x3000, length_bytes: GIG + 0x5000 }
    }),
    ("unmap of one page", |machine, account| {
        let target = mapped(machine, account);
        Call::Unmap { target, address: BASE + 0x3000, length_bytes: 0x1000 }
    }),
    ("protect that splits", |machine, account| {
        let target = mapped(machine, account);
        Call::Protect { target, address: BASE + 0x3000, length_bytes: GIG + 0x5000, rights: Rights::READ }
    }),
    ("attach", |machine, account| {
        let space = machine.make(Call::SpaceCreate { account });
        Call::SubtreeAttach {
            target: space,
            subtree: machine.program,
            address: 1 << 39,
            bounds: Rights::READ,
            flags: 0,
        }
    }),
    ("attach of 2 MiB", |machine, account| {
        let (target, subtree) = (machine.make(Call::SpaceCreate { account }), subtree(machine, 1));
        Call::SubtreeAttach { target, subtree, address: BASE + GIG - 0x20_0000, bounds: Rights::READ, flags: 0 }
    }),
    ("attach of 1 GiB beside others", |machine, account| {
        let (target, subtree) = (mapped(machine, account), subtree(machine, 2));
        Call::SubtreeAttach { target, subtree, address: BASE + 4 * GIG, bounds: Rights::READ, flags: 0 }
    }),
    ("attach to a subtree", |machine, account| {
        let (target, subtree) = (machine.make(Call::SubtreeCreate { account, level: 3 }), subtree(machine, 1));
        Call::SubtreeAttach { target, subtree, address: GIG, bounds: Rights::READ, flags: 0 }
    }),
    ("map in a subtree of 2 MiB", |machine, account| {
        let target = machine.make(Call::SubtreeCreate { account, level: 1 });
        let segment = machine.borrow_frames(1 << 28, 3 << 18);
        Call::Map { target, segment, offset: 0, address: 0, length_bytes: 0x20_0000, rights: Rights::READ }
    }),
    ("space", |_, account| Call::SpaceCreate { account }),
    ("view", |machine, account| Call::ViewCreate { account, space: machine.space, bounds: Rights::READ }),
    ("view of a view", |machine, account| {
        let view = Call::ViewCreate { account: machine.account, space: machine.space, bounds: Rights::READ };
        Call::ViewCreate { account, space: machine.make(view), bounds: Rights::READ }
    }),
    ("subtree", |_, account| Call::SubtreeCreate { account, level: 3 }),
    ("small subtree", |_, account| Call::SubtreeCreate { account, level: 1 }),
    ("segment", |_, account| Call::SegmentCreate { account, length_bytes: 37 * PAGE_BYTES, flags: 0 }),
    ("table", |_, account| Call::TableCreate { account, slots: 100 }),
    ("thread", |machine, account| Call::ThreadCreate {
        account,
        table: machine.table,
        space: machine.space,
        priority: 3,
    }),
    ("account", |_, account| Call::AccountCreate { account, bytes: 5000 }),
];

fn map(machine: &mut Machine, account: Handle, crooked: u64, address: u64, length_bytes: u64) -> Call {
    let target = machine.make(Call::SpaceCreate { account });
    let segment = machine.borrow_frames((1 << 28) + crooked, 3 << 18);
    Call::Map { target, segment, offset: 0, address, length_bytes, rights: Rights::READ }
}

/// A subtree that another account pays for.
fn subtree(machine: &mut Machine, level: u64) -> Handle {
    machine.make(Call::SubtreeCreate { account: machine.account, level })
}

fn mapped(machine: &mut Machine, account: Handle) -> Handle {
    let target = machine.make(Call::SpaceCreate { account });
    let segment = machine.borrow_frames(1 << 28, 3 << 18);
    assert_eq!(machine.map(target, segment, 0, BASE, 2 * GIG, Rights::READ_WRITE), Ok(0));
    target
}

/// The machine before the call, with so many bytes left in the account; and the call.
fn prepared(flavour: tessera_arch::fake::Flavour, prepare: Prepare, left: u64) -> (Machine, Handle, Call) {
    let mut machine = Machine::boot(&Options::new(flavour));
    let account = machine.make(Call::AccountCreate { account: machine.account, bytes: PLENTY });
    let call = prepare(&mut machine, account);
    let rest = left_in(&machine, account) - left;
    let ObjectRef::Account(id) = machine.object(account) else { panic!("an account") };
    // What is left over is charged for nothing: the check that every charge is accounted for is not made here.
    machine.kernel.accounts[id].charge(rest);
    (machine, account, call)
}

fn left_in(machine: &Machine, account: Handle) -> u64 {
    let ObjectRef::Account(id) = machine.object(account) else { panic!("an account") };
    let account = &machine.kernel.accounts[id];
    account.limit_bytes() - account.used_bytes()
}

/// Budgets to try: all that a call could stumble over, at page and record granularity.
fn budgets(needed: u64) -> Vec<u64> {
    let mut budgets: Vec<u64> = (0..needed).step_by(PAGE_BYTES as usize / 2).collect();
    budgets.extend([1, 63, 64, 127, 128].iter().filter_map(|less| needed.checked_sub(*less)));
    budgets.retain(|budget| *budget < needed);
    budgets
}

#[test]
fn an_exhausted_account_leaves_all_as_it_was() {
    for flavour in FLAVOURS {
        for (name, prepare) in CALLS {
            let (mut machine, account, call) = prepared(flavour, prepare, PLENTY / 2);
            assert!(machine.call(call).is_ok(), "{name}");
            let taken = (PLENTY / 2).saturating_sub(left_in(&machine, account));
            for budget in budgets(taken) {
                let (mut machine, _, call) = prepared(flavour, prepare, budget);
                let before = Snapshot::of(&machine.kernel);
                assert_eq!(machine.call(call), Err(Error::AccountExhausted), "{name} with {budget} bytes");
                assert_eq!(before, Snapshot::of(&machine.kernel), "{name} with {budget} bytes");
            }
            // What is planned may be a little more than what is taken in the end.
            let (mut machine, account, call) = prepared(flavour, prepare, taken + 3 * PAGE_BYTES);
            assert!(machine.call(call).is_ok(), "{name} with a little more than it takes");
            assert_eq!(left_in(&machine, account), 3 * PAGE_BYTES, "{name} takes the same again");
        }
    }
}

#[test]
fn exhausted_memory_leaves_all_as_it_was() {
    for flavour in FLAVOURS {
        for (name, prepare) in CALLS {
            let (mut machine, _, call) = prepared(flavour, prepare, PLENTY / 2);
            let before = machine.kernel.frames.free_frames();
            assert!(machine.call(call).is_ok(), "{name}");
            let taken = before.saturating_sub(machine.kernel.frames.free_frames());
            for frames in 0..taken + 3 {
                let (mut machine, _, call) = prepared(flavour, prepare, PLENTY / 2);
                hoard(&mut machine, RESERVE_FRAMES + frames);
                let before = Snapshot::of(&machine.kernel);
                let result = machine.call(call);
                assert!(matches!(result, Ok(_) | Err(Error::OutOfMemory)), "{name}: {result:?}");
                assert!(result.is_err() || frames >= taken, "{name} took memory of the reserve");
                assert!(result.is_ok() || frames < taken + 2, "{name} is refused with {frames} frames");
                if result.is_err() {
                    assert_eq!(before, Snapshot::of(&machine.kernel), "{name} with {frames} frames");
                }
            }
        }
    }
}

/// Takes frames until so many are left.
fn hoard(machine: &mut Machine, left: u64) {
    while machine.kernel.frames.free_frames() > left {
        machine.kernel.frames.allocate(0).expect("there are free frames");
    }
}

/// A page that gets its memory at first touch, in a space of its own.
fn lazy(machine: &mut Machine, account: Handle) -> Call {
    let target = machine.make(Call::SpaceCreate { account });
    let segment = machine.make(Call::SegmentCreate { account, length_bytes: PAGE_BYTES, flags: 1 });
    assert_eq!(machine.map(target, segment, 0, BASE, PAGE_BYTES, Rights::READ), Ok(0));
    Call::SpaceInfo { space: target, buffer: 0 }
}

#[test]
fn a_first_touch_that_cannot_be_paid_changes_nothing() {
    for flavour in FLAVOURS {
        for pages in 0..6 {
            let (mut machine, account, call) = prepared(flavour, lazy, pages * PAGE_BYTES);
            let Call::SpaceInfo { space, .. } = call else { panic!("`lazy` names the space") };
            let space = machine.space_id(space);
            let before = Snapshot::of(&machine.kernel);
            let result = fault::handle_fault(&mut machine.kernel, space, VirtAddr::new(BASE), Access::Read);
            if pages < 4 {
                assert_eq!(
                    result,
                    Err(AccessError::AccountExhausted),
                    "a page and three tables for {pages} pages' bytes"
                );
                assert_eq!(before, Snapshot::of(&machine.kernel), "{pages} pages");
            } else {
                assert!(result.is_ok(), "{result:?} with {pages} pages");
                assert_eq!(left_in(&machine, account), (pages - 4) * PAGE_BYTES);
            }
        }
    }
}

#[test]
fn a_first_touch_without_memory_changes_nothing() {
    for flavour in FLAVOURS {
        for frames in 0..8 {
            let (mut machine, _, call) = prepared(flavour, lazy, PLENTY / 2);
            let Call::SpaceInfo { space, .. } = call else { panic!("`lazy` names the space") };
            let space = machine.space_id(space);
            hoard(&mut machine, RESERVE_FRAMES + frames);
            let before = Snapshot::of(&machine.kernel);
            match fault::handle_fault(&mut machine.kernel, space, VirtAddr::new(BASE), Access::Read) {
                Ok(_) => assert!(frames >= 4, "the reserve stays"),
                Err(denial) => {
                    assert_eq!((denial, frames < 4), (AccessError::OutOfMemory, true), "{frames} frames");
                    assert_eq!(before, Snapshot::of(&machine.kernel), "{frames} frames");
                }
            }
        }
    }
}

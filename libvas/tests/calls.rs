//! What reaches the kernel: a function that stands for it on the host records every call.

use libvas::layout::{SegmentInfo, Words};
use libvas::{Account, Cap, Error, Handle, Machine, Rights, Segment, Space, Subtree, View, raw};
use std::cell::RefCell;
use tessera_abi::Call;

std::thread_local! {
    static CALLS: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
}

const REFUSED: Handle = Handle::new(99, 1);

/// Answers every call with value 7, and those on `REFUSED` with `NotShared`.
fn recorder(number: u64, words: [u64; 6]) -> (u64, u64) {
    let call = Call::decode(number, words).expect("libvas makes valid calls");
    CALLS.with_borrow_mut(|calls| calls.push(call));
    match call {
        Call::SpaceSwitch { space: REFUSED } => (Error::NotShared.status(), 0),
        Call::SegmentInfo { buffer, .. } => {
            let goal = std::ptr::with_exposed_provenance_mut::<u64>(buffer as usize);
            // SAFETY: libvas passes a buffer that holds the structure.
            let goal = unsafe { std::slice::from_raw_parts_mut(goal, SegmentInfo::COUNT) };
            let info =
                SegmentInfo { length_bytes: 0x5000, populated_bytes: 0x1000, mappings: 3, ..SegmentInfo::default() };
            info.write(goal);
            (0, 0)
        }
        _ => (0, 7),
    }
}

/// The calls that `body` makes.
fn calls_of(body: impl FnOnce()) -> Vec<Call> {
    raw::set_host_kernel(Some(recorder));
    CALLS.with_borrow_mut(Vec::clear);
    body();
    CALLS.take()
}

fn delete(handle: Handle) -> Call {
    Call::CapabilityDelete { handle }
}

#[test]
fn without_a_kernel_every_call_is_refused() {
    raw::set_host_kernel(None);
    let space = Cap::<Space>::from_handle(Handle::new(1, 1));
    assert_eq!(space.switch(), Err(Error::BadCall));
}

#[test]
fn dropping_gives_up_and_into_handle_does_not() {
    let (first, second, third) = (Handle::new(1, 1), Handle::new(2, 1), Handle::new(3, 1));
    let calls = calls_of(|| {
        drop(Cap::<Space>::from_handle(first));
        assert_eq!(Cap::<Space>::from_handle(second).into_handle(), second);
        assert_eq!(Cap::<Space>::from_handle(third).delete(), Ok(()));
    });
    assert_eq!(calls, [delete(first), delete(third)]);
}

#[test]
fn entering_switches_there_and_back() {
    let there = Handle::new(5, 2);
    let calls = calls_of(|| {
        let space = Cap::<Space>::from_handle(there);
        assert_eq!(space.enter(|| libvas::clock::now().as_nanos()), Ok(7));
    });
    let back = Call::SpaceSwitch { space: Handle::from_bits(7) };
    assert_eq!(calls, [Call::SpaceSwitch { space: there }, Call::Clock {}, back, delete(there)]);
}

#[test]
fn a_refused_switch_runs_nothing() {
    let calls = calls_of(|| {
        let space = Cap::<Space>::from_handle(REFUSED);
        assert_eq!(space.enter(|| unreachable!("the switch was refused")), Err(Error::NotShared));
    });
    assert_eq!(calls, [Call::SpaceSwitch { space: REFUSED }, delete(REFUSED)]);
}

#[test]
fn ranges_become_offset_and_length() {
    let (space, segment) = (Handle::new(1, 1), Handle::new(2, 1));
    let calls = calls_of(|| {
        let (space, segment) = (Cap::<Space>::from_handle(space), Cap::<Segment>::from_handle(segment));
        space.map(0x1_0000, &segment, 0x2000..0x5000, Rights::READ).expect("the recorder agrees");
        assert_eq!(space.map(0x1_0000, &segment, 0x2000..0x2000, Rights::READ), Err(Error::BadAddress));
        let _ = (space.into_handle(), segment.into_handle());
    });
    let map = Call::Map {
        target: space,
        segment,
        offset: 0x2000,
        address: 0x1_0000,
        length_bytes: 0x3000,
        rights: Rights::READ,
    };
    assert_eq!(calls, [map]);
}

#[test]
fn structures_come_back() {
    raw::set_host_kernel(Some(recorder));
    let segment = Cap::<Segment>::from_handle(Handle::new(2, 1));
    let info = segment.info().expect("the recorder fills it in");
    assert_eq!((info.length_bytes, info.populated_bytes, info.mappings), (0x5000, 0x1000, 3));
}

#[test]
fn sharing_names_target_subtree_bounds_and_flags() {
    let cap = |slot| Handle::new(slot, 1);
    let (space, outer, inner, machine) = (
        Cap::<Space>::from_handle(cap(1)),
        Cap::<Subtree>::from_handle(cap(2)),
        Cap::<Subtree>::from_handle(cap(3)),
        Cap::<Machine>::from_handle(cap(4)),
    );
    let (address, bounds) = (1 << 39, Rights::READ_EXECUTE);
    let attach = |target, flags| Call::SubtreeAttach { target, subtree: cap(3), address, bounds, flags };
    let calls = calls_of(|| {
        assert_eq!(space.attach(address, &inner, bounds), Ok(()));
        assert_eq!(space.attach_window(address, &inner, bounds), Ok(()));
        assert_eq!(outer.attach(address, &inner, bounds), Ok(()));
        assert_eq!(outer.detach(address), Ok(()));
        assert_eq!((inner.seal(), inner.withdraw()), (Ok(()), Ok(7)));
        assert_eq!(machine.publish(&inner, address, bounds), Ok(()));
    });
    let expected = [
        attach(cap(1), 0),
        attach(cap(1), 1),
        attach(cap(2), 0),
        Call::SubtreeDetach { target: cap(2), address },
        Call::SubtreeSeal { subtree: cap(3) },
        Call::SubtreeWithdraw { subtree: cap(3) },
        Call::SubtreePublish { machine: cap(4), subtree: cap(3), address, bounds },
    ];
    assert_eq!(calls, expected);
    calls_of(|| drop((space, outer, inner, machine)));
}

#[test]
fn a_view_is_made_from_a_space_or_a_view_and_entered_like_one() {
    let cap = |slot| Handle::new(slot, 1);
    let (account, space) = (Cap::<Account>::from_handle(cap(1)), Cap::<Space>::from_handle(cap(2)));
    let create = |space, bounds| Call::ViewCreate { account: cap(1), space, bounds };
    let made = Handle::from_bits(7);
    let calls = calls_of(|| {
        let view = View::new(&account, &space, Rights::READ_WRITE).expect("the recorder refuses nothing");
        let narrowed = view.narrowed(&account, Rights::READ).expect("the recorder refuses nothing");
        assert_eq!(narrowed.into_handle(), made);
        assert_eq!(view.switch(), Ok(made));
    });
    let expected = [
        create(cap(2), Rights::READ_WRITE),
        create(made, Rights::READ),
        Call::SpaceSwitch { space: made },
        delete(made),
    ];
    assert_eq!(calls, expected);
    calls_of(|| drop((account, space)));
}

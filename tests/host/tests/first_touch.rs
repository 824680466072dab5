//! Who pays for a page that gets its memory on first touch: whoever may write it, by the segment's account; else the
//! space that touches it.

use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::{Access, VirtAddr};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ObjectRef;
use tessera_kernel::object::segment::PAYER_BYTES;
use tessera_kernel::vm::fault;
use tessera_kernel::vm::showing::AccessError;

const HERE: u64 = 3 * TOP_SLOT_BYTES;
const PAGES: u64 = 16;

/// An account with a budget of its own, and a space that it pays for.
struct Party {
    account: Handle,
    space: Handle,
}

impl Party {
    fn new(machine: &mut Machine) -> Party {
        let account = machine.make(Call::AccountCreate { account: machine.account, bytes: 1 << 18 });
        Party { account, space: machine.make(Call::SpaceCreate { account }) }
    }

    fn used_bytes(&self, machine: &Machine) -> u64 {
        let ObjectRef::Account(id) = machine.object(self.account) else { panic!("an account") };
        machine.kernel.accounts[id].used_bytes()
    }

    fn touch(&self, machine: &mut Machine, page: u64, access: Access) -> Result<(), AccessError> {
        let space = machine.space_id(self.space);
        let address = VirtAddr::new(HERE + page * PAGE_BYTES);
        fault::handle_fault(&mut machine.kernel, space, address, access).map(drop)
    }
}

/// Who may write, and how it was kept from the reader.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Mapped by the reader, from a capability without `WRITE`.
    Mapped,
    /// In a subtree of the owner's, attached without `WRITE`.
    Attached,
    /// Seen through a view without `WRITE` of the owner's space, that the reader pays for.
    Viewed,
}

const WAYS: [Way; 3] = [Way::Mapped, Way::Attached, Way::Viewed];

/// Shows a lazy segment of the owner's to another, who may write it or not. Page 1 (a subtree's first page stays free)
/// has its memory, so that the tables are there.
fn show(machine: &mut Machine, way: Way, may_write: bool, owner: &Party, reader: &mut Party) -> Handle {
    let length_bytes = PAGES * PAGE_BYTES;
    let segment = machine.make(Call::SegmentCreate { account: owner.account, length_bytes, flags: 1 });
    let (all, bounds) = (Rights::READ_WRITE, if may_write { Rights::READ_WRITE } else { Rights::READ });
    match way {
        Way::Mapped => {
            let shown = machine.make(Call::CapabilityDerive { handle: segment, rights: bounds, badge: 0 });
            assert_eq!(machine.map(owner.space, segment, 0, HERE, length_bytes, all), Ok(0));
            assert_eq!(machine.map(reader.space, shown, 0, HERE, length_bytes, bounds), Ok(0));
        }
        Way::Attached => {
            let subtree = machine.make(Call::SubtreeCreate { account: owner.account, level: 3 });
            assert_eq!(machine.map(subtree, segment, 0, PAGE_BYTES, length_bytes, all), Ok(0));
            for (target, bounds) in [(owner.space, all), (reader.space, bounds)] {
                let attach = Call::SubtreeAttach { target, subtree, address: HERE, bounds, flags: 0 };
                assert_eq!(machine.call(attach), Ok(0));
            }
        }
        Way::Viewed => {
            assert_eq!(machine.map(owner.space, segment, 0, HERE, length_bytes, all), Ok(0));
            reader.space = machine.make(Call::ViewCreate { account: reader.account, space: owner.space, bounds });
        }
    }
    for party in [owner, reader] {
        assert_eq!(party.touch(machine, 1, Access::Read), Ok(()));
    }
    segment
}

#[test]
fn whoever_may_write_lets_the_segments_account_pay() {
    for flavour in FLAVOURS {
        for (way, access) in WAYS.into_iter().flat_map(|way| [(way, Access::Read), (way, Access::Write)]) {
            let mut machine = Machine::boot(&Options::new(flavour));
            let (owner, mut reader) = (Party::new(&mut machine), Party::new(&mut machine));
            let _segment = show(&mut machine, way, true, &owner, &mut reader);
            let (ours, theirs) = (owner.used_bytes(&machine), reader.used_bytes(&machine));
            assert_eq!(reader.touch(&mut machine, 5, access), Ok(()));
            assert_eq!(owner.used_bytes(&machine), ours + PAGE_BYTES, "{way:?} {access:?}");
            assert_eq!(reader.used_bytes(&machine), theirs, "{way:?} {access:?}");
            check::check(&machine.kernel);
        }
    }
}

#[test]
fn who_may_only_read_pays_for_what_it_touches() {
    for flavour in FLAVOURS {
        for way in WAYS {
            let mut machine = Machine::boot(&Options::new(flavour));
            let (owner, mut reader) = (Party::new(&mut machine), Party::new(&mut machine));
            let segment = show(&mut machine, way, false, &owner, &mut reader);
            let (ours, theirs) = (owner.used_bytes(&machine), reader.used_bytes(&machine));
            for page in 5..8 {
                assert_eq!(reader.touch(&mut machine, page, Access::Read), Ok(()));
                // Once more costs nothing more, whoever does it.
                assert_eq!(reader.touch(&mut machine, page, Access::Read), Ok(()));
                assert_eq!(owner.touch(&mut machine, page, Access::Write), Ok(()));
            }
            assert_eq!(owner.used_bytes(&machine), ours, "{way:?}");
            assert_eq!(reader.used_bytes(&machine), theirs + PAYER_BYTES + 3 * PAGE_BYTES, "{way:?}");
            assert!(
                matches!(reader.touch(&mut machine, 9, Access::Write), Err(denial) if denial != AccessError::AccountExhausted)
            );
            check::check(&machine.kernel);
            // All is credited when the segment goes, and not before.
            assert_eq!(machine.call(Call::CapabilityDelete { handle: segment }), Ok(0));
            for handle in [reader.space, owner.space] {
                assert_eq!(machine.call(Call::CapabilityDelete { handle }), Ok(0));
            }
            check::check(&machine.kernel);
        }
    }
}

#[test]
fn a_reader_that_cannot_pay_faults_and_leaves_the_rest_alone() {
    for flavour in FLAVOURS {
        for way in WAYS {
            let mut machine = Machine::boot(&Options::new(flavour));
            let (owner, mut reader) = (Party::new(&mut machine), Party::new(&mut machine));
            let _segment = show(&mut machine, way, false, &owner, &mut reader);
            let ObjectRef::Account(id) = machine.object(reader.account) else { panic!("an account") };
            let left = machine.kernel.accounts[id].limit_bytes() - machine.kernel.accounts[id].used_bytes();
            machine.kernel.accounts[id].charge(left - PAGE_BYTES);
            let free = machine.kernel.frames.free_frames();
            assert_eq!(reader.touch(&mut machine, 5, Access::Read), Err(AccessError::AccountExhausted), "{way:?}");
            assert_eq!(machine.kernel.frames.free_frames(), free);
            assert_eq!(owner.touch(&mut machine, 5, Access::Read), Ok(()));
            assert_eq!(reader.touch(&mut machine, 5, Access::Read), Ok(()), "what is there can be read for nothing");
        }
    }
}

/// An account that has paid for pages of a segment stays until that goes, though nobody names it any more.
#[test]
fn an_account_that_paid_stays_as_long_as_the_page() {
    let mut machine = Machine::boot(&Options::new(FLAVOURS[0]));
    let (owner, mut reader) = (Party::new(&mut machine), Party::new(&mut machine));
    let segment = show(&mut machine, Way::Mapped, false, &owner, &mut reader);
    assert_eq!(reader.touch(&mut machine, 5, Access::Read), Ok(()));
    for handle in [reader.space, reader.account] {
        assert_eq!(machine.call(Call::CapabilityDelete { handle }), Ok(0));
    }
    assert_eq!(machine.kernel.accounts.len(), 3);
    for handle in [segment, owner.space] {
        assert_eq!(machine.call(Call::CapabilityDelete { handle }), Ok(0));
        check::check(&machine.kernel);
    }
    // The segment's other handle, derived for the reader, holds it still.
    assert_eq!(machine.kernel.accounts.len(), 3);
}

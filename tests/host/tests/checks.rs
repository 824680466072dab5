//! The kernel's checks find what is wrong: each record that others repeat, and each word that CPUs read without the lock,
//! is harmed once. And what they cost grows with what there is.

use core::sync::atomic::Ordering::Relaxed;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tessera_kernel::Kernel;
use tessera_kernel::base::effort::set_entry_units;
use tessera_kernel::lifecycle::check;

use host_tests::{Machine, Options, checking};
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_arch::Frame;
use tessera_arch::fake::Flavour;
use tessera_kernel::base::steps;
use tessera_kernel::cpu::handshake::Request;
use tessera_kernel::cpu::per_cpu::SpaceWords;
use tessera_kernel::cpu::tags::TagWord;
use tessera_kernel::object::id::{AttachPoint, MapTarget, ObjectRef, SpaceId, SubtreeId};
use tessera_kernel::object::reverse_map::Sharer;
use tessera_kernel::paging::page_table::new_table;

/// A program with an object of each kind besides its own.
struct Scene {
    machine: Machine,
    space: SpaceId,
    view: SpaceId,
    /// Of the second CPU.
    local: SpaceId,
    subtree: SubtreeId,
    segment: Handle,
}

impl Scene {
    fn new() -> Scene {
        let mut machine = Machine::boot(&Options { cpus: 2, ..Options::new(Flavour::X86) });
        let account = machine.account;
        let space = machine.new_space();
        let view = machine.make(Call::ViewCreate { account, space, bounds: Rights::READ });
        let local = machine.make(Call::SpaceCreateLocal { account, cpu: 1 });
        let subtree = machine.make(Call::SubtreeCreate { account, level: 3 });
        let segment = machine.segment(PAGE_BYTES, 0);
        machine.map(subtree, segment, 0, PAGE_BYTES, PAGE_BYTES, Rights::READ).expect("nothing is there");
        let attach = Call::SubtreeAttach { target: space, subtree, address: 1 << 39, bounds: Rights::READ, flags: 0 };
        machine.call(attach).expect("nothing is there");
        let ObjectRef::Subtree(subtree) = machine.object(subtree) else { panic!("a subtree") };
        let [space, view, local] = [space, view, local].map(|handle| machine.space_id(handle));
        check::check(&machine.kernel);
        Scene { machine, space, view, local, subtree, segment }
    }

    fn words(&self, space: SpaceId) -> SpaceWords<'static> {
        self.machine.kernel.shared.space_words(space.index())
    }
}

/// Checks in steps of a unit each.
fn check_in_steps(kernel: &mut Kernel) -> u64 {
    set_entry_units(1);
    checking::check_in_steps(kernel)
}

/// What a check says after something was harmed.
fn complaint(harm: fn(&mut Scene), check: fn(&mut Kernel) -> u64) -> String {
    let mut scene = Scene::new();
    harm(&mut scene);
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&mut scene.machine.kernel))) else {
        return String::new();
    };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

macro_rules! found {
    ($($test:ident: $harm:expr, $reason:literal;)*) => {$(
        #[test]
        fn $test() {
            for check in [|kernel: &mut Kernel| check::check(kernel), check_in_steps] {
                let complaint = complaint($harm, check);
                assert!(complaint.contains($reason), "the checks say {complaint:?}");
            }
        }
    )*};
}

found! {
    a_pass_to_another_root_is_found: |scene| scene.words(scene.space).pass(1).reset(0x1000), "a pass leads to";
    a_pass_that_is_closed_is_found: |scene| scene.words(scene.space).retire(), "a pass leads to";
    a_pass_that_is_good_and_stale_is_found: |scene| {
        let pass = scene.words(scene.space).pass(1);
        pass.make_good(pass.read().root() | tessera_arch::PASS_MARKS[1]);
    }, "good or stale";
    a_good_pass_under_another_tag_is_found: |scene| {
        let pass = scene.words(scene.space).pass(1);
        pass.make_good(tessera_arch::root_word(Frame::from_word(pass.read().root()), 201));
    }, "what the root register takes";
    a_pass_to_another_cpus_space_is_found: |scene| {
        let (words, pass) = (scene.words(scene.local), scene.words(scene.local).pass(0));
        pass.make_good(tessera_arch::root_word(words.root(0), words.tag().tag()));
    }, "no other CPU has been";
    a_view_that_is_local_alone_is_found: |scene| {
        let root = scene.machine.kernel.spaces[scene.view].map.tree.root;
        scene.words(scene.view).initialise(root, Some(1));
    }, "a view is local where its base is";
    a_space_local_to_nothing_is_found: |scene| {
        let root = scene.machine.kernel.spaces[scene.local].map.tree.root;
        scene.words(scene.local).initialise(root, Some(7));
    }, "local to a CPU that runs";
    a_tag_of_the_future_is_found: |scene| {
        let generation = scene.machine.kernel.tags.generation();
        scene.words(scene.space).set_tag(TagWord::new(generation + 1, 1));
    }, "of a generation to come";
    a_tag_that_nobody_gave_is_found: |scene| {
        let generation = scene.machine.kernel.tags.generation();
        scene.words(scene.space).set_tag(TagWord::new(generation, 200));
    }, "was given out";
    a_tag_that_two_have_is_found: |scene| {
        let own = scene.words(scene.machine.space_id).tag();
        assert_ne!(own.tag(), 0);
        scene.words(scene.space).set_tag(own);
    }, "no two spaces have one tag";
    a_standing_of_another_thread_is_found:
        |scene| scene.machine.kernel.scheduler.cpus[0].standing = Default::default(), "when its turn is over";
    slots_of_nobody_are_found: |scene| scene.machine.kernel.scheduler.cpus[0].current = None, "knows its current";
    a_request_that_stays_is_found:
        |scene| scene.machine.kernel.shared.cpus[1].presence.post(Request::Park), "nothing is asked";
    an_idle_cpu_in_a_space_is_found:
        |scene| scene.machine.kernel.shared.cpus[1].presence.stay(scene.local.index()), "is in no space";
    a_cpu_in_a_space_that_is_none_is_found:
        |scene| scene.machine.kernel.shared.cpus[0].presence.stay(900), "a space that exists";
    a_cpu_in_another_ones_space_is_found:
        |scene| scene.machine.kernel.shared.cpus[0].presence.stay(scene.local.index()), "another one's local space";
    another_root_that_is_loaded_is_found:
        |scene| scene.machine.kernel.shared.cpus[0].root.store(0x1000, Relaxed), "the root that is loaded";
    a_root_that_names_another_subtree_is_found: |scene| {
        let root = scene.machine.kernel.subtrees[scene.subtree].map.tree.root;
        scene.machine.kernel.frames.set_table_owner(root, 900);
    }, "knows the subtree";
    a_place_that_is_not_listed_is_found: |scene| {
        let owner = MapTarget::Space(scene.space);
        let sharer = Sharer::new(owner, AttachPoint { page: 1 << 27, cpu: None });
        scene.machine.kernel.subtrees[scene.subtree].sharers.remove(&sharer);
    }, "knows where it is attached";
    a_place_that_is_none_is_found: |scene| {
        let owner = MapTarget::Space(scene.space);
        let sharer = Sharer::new(owner, AttachPoint { page: 2 << 27, cpu: None });
        scene.machine.kernel.subtrees[scene.subtree].sharers.insert(sharer, None);
    }, "a sharer has the attachment";
    a_table_that_is_kept_with_an_entry_is_found: |scene| {
        let table = new_table(&mut scene.machine.kernel.frames);
        tessera_arch::table(table)[7].store(1, Relaxed);
        scene.machine.kernel.frames.free_table(table);
    }, "holds zeros";
    a_view_that_is_none_is_found: |scene| {
        let (space, local) = (scene.space, scene.local);
        scene.machine.kernel.spaces[space].views.insert(local);
    }, "what a base lists are its views";
    a_view_that_is_not_listed_is_found: |scene| scene.machine.kernel.spaces[scene.space].views.clear(), "that have a root";
    a_view_whose_root_counts_another_is_found: |scene| {
        let root = scene.machine.kernel.spaces[scene.view].map.tree.root;
        scene.machine.kernel.frames.set_table_owner(root, 2);
    }, "that have a root";
    a_view_on_a_root_of_its_own_is_found: |scene| {
        scene.machine.kernel.spaces[scene.view].seen.as_mut().expect("it is a view").bounds = Rights::READ_WRITE;
    }, "views that allow the same have one root";
    a_reference_too_many_to_a_space_is_found: |scene| scene.machine.kernel.spaces.retain(scene.space), "space #";
    a_reference_too_many_to_a_subtree_is_found: |scene| scene.machine.kernel.subtrees.retain(scene.subtree), "subtree #";
    a_reference_too_many_to_an_account_is_found:
        |scene| scene.machine.kernel.accounts.retain(scene.machine.account_id), "account #";
    a_reference_too_many_to_a_table_is_found:
        |scene| scene.machine.kernel.tables.retain(scene.machine.table_id), "table #";
    a_reference_too_many_to_a_thread_is_found:
        |scene| scene.machine.kernel.threads.retain(scene.machine.thread_id), "thread #";
    a_reference_too_many_to_a_segment_is_found: |scene| {
        let ObjectRef::Segment(id) = scene.machine.object(scene.segment) else { panic!("a segment") };
        scene.machine.kernel.segments.retain(id);
    }, "segment #";
    a_mapping_too_many_is_found: |scene| {
        let ObjectRef::Segment(id) = scene.machine.object(scene.segment) else { panic!("a segment") };
        scene.machine.kernel.segments[id].mappings += 1;
    }, "a segment counts its mappings";
    a_view_that_nobody_lent_is_found: |scene| scene.machine.kernel.spaces[scene.view].lent = None, "knows the use";
    a_thread_in_a_space_by_nothing_is_found: |scene| {
        let (account, table, handle) = (scene.machine.account, scene.machine.table, scene.machine.space);
        let derive = Call::CapabilityDerive { handle, rights: Rights::SWITCH, badge: 0 };
        let space = scene.machine.make(derive);
        let (_, thread) = scene.machine.new_thread(Call::ThreadCreate { account, table, space, priority: 1 });
        scene.machine.kernel.threads[thread].inside = None;
    }, "knows the use";
    a_charge_too_many_is_found:
        |scene| scene.machine.kernel.accounts[scene.machine.account_id].charge(1), "what its objects cost";
    a_capability_to_what_is_gone_is_found: |scene| {
        let ObjectRef::Segment(id) = scene.machine.object(scene.segment) else { panic!("a segment") };
        drop(scene.machine.kernel.segments.remove(id));
    }, "name objects that exist";
}

/// With twice as many of everything, the checks look at twice as much.
#[test]
fn checks_cost_what_there_is() {
    let cost = |count: u64| {
        let mut machine = Machine::boot(&Options::new(Flavour::Arm).frames(16384).slots(16384));
        let account = machine.account;
        for number in 0..count {
            let (space, segment) = (machine.new_space(), machine.segment(2 * PAGE_BYTES, 1));
            let address = (1 << 39) + number * 2 * PAGE_BYTES;
            machine.map(space, segment, 0, address, PAGE_BYTES, Rights::READ).expect("nothing is there");
            machine.map(machine.space, segment, 0, address, PAGE_BYTES, Rights::READ).expect("nothing is there");
            machine.make(Call::AccountCreate { account, bytes: 100 });
            machine.make(Call::TableCreate { account, slots: 16 });
        }
        steps::take();
        check::check(&machine.kernel);
        steps::take()
    };
    let (once, twice) = (cost(200), cost(400));
    assert!(once > 1000, "steps are counted");
    assert!(twice < 2 * once + once / 4, "{once} steps, and {twice} for twice as much");
}

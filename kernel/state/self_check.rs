//! Where the check of everything against everything stands that is under way, as `lifecycle::check` goes on with it.
//!
//! It is made in steps, and whatever others do between two of them, it must not take for wrong what is only new. What it
//! looks at within one step is as it is. What it counts, or where it stands in a list, over several steps holds while nobody
//! else has done anything: `Kernel::activity` tells.

use core::cell::Cell;

use crate::mem::free_lists::FreeLists;
use crate::object::agenda::AgendaPlace;
use crate::object::charge_chain::ChainPlace;
use crate::object::id::{AccountId, SpaceId};
use crate::object::list::ListPlace;
use crate::object::list_check::DerivationPlace;
use crate::object::reverse_map::SharerPlace;
use crate::object::slot_check::SlotPlace;
use crate::paging::table_check::TreePlace;
use crate::state::queue_check::{RunQueuePlace, SomewherePlace};

/// What the kernel keeps of checks.
#[derive(Debug, Default)]
pub struct SelfCheck {
    /// How many passes have come to their end. The one that is under way, or comes next, has the next number.
    pub passes: u64,
    /// How many facts held in the last of them.
    pub facts: u64,
    /// The pass that is under way, if one is.
    pub course: Option<Course>,
    /// How often everything was begun to be counted anew.
    pub tallies: Cell<u32>,
    /// How often something was done that no counter of a CPU counts.
    pub(super) uncounted: Cell<u64>,
}

/// How far a pass has come.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// At which of the stages.
    pub stage: usize,
    /// In that stage.
    pub walk: Walk,
    /// How often the walk was begun anew because others had changed something.
    pub begun_anew: u32,
    /// How many facts held in the walks before.
    pub facts: u64,
    /// What `Kernel::activity` was when the last step ended.
    pub seen: u64,
}

/// How far a stage has come: walks over one thing after the other.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Which thing, by its number, the walk at hand is over, or is to begin with.
    pub number: u32,
    /// Where in it.
    pub place: Place,
    /// How many facts of it held so far.
    pub facts: u64,
    /// Whether nobody has done anything since the walk began.
    pub is_still: bool,
    /// What is counted over several things.
    pub sums: Sums,
    /// Whether nobody has done anything since that began.
    pub is_whole: bool,
}

/// What is counted over several things, to be compared in the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// Threads that have not ended, and those that wait for a CPU.
    pub alive: u64,
    /// Those of them that were stopped in a call.
    pub stopping: u64,
    /// As said.
    pub waiting: u64,
    /// Threads in the lists of spaces and of tables.
    pub in_spaces: u64,
    /// As said.
    pub in_tables: u64,
    /// Capabilities and uses that are listed.
    pub capabilities: u64,
    /// As said.
    pub uses: u64,
    /// Capabilities that tables hold.
    pub held: u64,
}

macro_rules! places {
    ($($(#[doc = $doc:literal])* $function:ident $variant:ident($type:ty);)*) => {
        /// Where in a thing a walk stands.
        #[derive(Clone, Copy, Debug)]
        pub enum Place {
            /// At its beginning.
            Beginning,
            $($(#[doc = $doc])* $variant($type),)*
        }

        impl Place {
            $(
                $(#[doc = $doc])*
                ///
                /// At the beginning, if it stands nowhere like that.
                pub fn $function(&mut self) -> &mut $type {
                    if !matches!(self, Place::$variant(_)) {
                        *self = Place::$variant(<$type>::default());
                    }
                    let Place::$variant(place) = self else { unreachable!("it was just made one") };
                    place
                }
            )*
        }
    };
}

places! {
    /// In the free lists.
    free_lists FreeLists(FreeLists);
    /// Among the threads that may run on some CPUs.
    somewhere Somewhere(SomewherePlace);
    /// In a CPU's queue.
    run_queue RunQueue(RunQueuePlace);
    /// Among those that sleep on a CPU.
    sleepers Sleepers(AgendaPlace);
    /// In the list of a space's or a table's threads.
    threads Threads(ListPlace);
    /// In a table's slots.
    slots Slots(SlotPlace);
    /// In a tree of tables, and in what is attached to it.
    tables Tables(TablesPlace);
    /// Among a map's mappings.
    mappings Mappings(MappingsPlace);
    /// Among the roots of a space, and its views.
    roots Roots(RootsPlace);
    /// Among the places of a subtree.
    sharers Sharers(SharerPlace);
    /// In the list of an object's capabilities and uses.
    derivations Derivations(DerivationPlace);
    /// In what an account pays for.
    charges Charges(ChargesPlace);
    /// Among all that is counted anew.
    tallies Tallies(TallyPlace);
}

/// Where in a tree of tables a walk stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct TablesPlace {
    /// In the tables.
    pub tree: TreePlace,
    /// Whether they were all seen, and core windows come next.
    pub is_seen: bool,
    /// The next slot where one may be.
    pub slot: u64,
    /// Attachments that were found.
    pub attachments: u64,
}

/// Where among mappings.
#[derive(Clone, Copy, Debug, Default)]
pub struct MappingsPlace {
    /// The page behind the last one.
    pub end: u64,
    /// Pages of those that were seen.
    pub pages: u64,
}

/// Where among the roots of a space.
#[derive(Clone, Copy, Debug, Default)]
pub struct RootsPlace {
    /// The next public subtree.
    pub public: usize,
    /// The next slot.
    pub slot: usize,
    /// The last view that was looked at.
    pub view: Option<SpaceId>,
}

/// Where in what an account pays for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChargesPlace {
    /// The kind of objects.
    pub kind: usize,
    /// In their chain.
    pub chain: ChainPlace,
}

/// Where among all that is counted anew.
#[derive(Clone, Copy, Debug, Default)]
pub struct TallyPlace {
    /// Of the kinds of things to be counted, which.
    pub phase: usize,
    /// Which object, by its number.
    pub index: u32,
    /// The next slot, or page.
    pub inner: u64,
    /// The last account that was seen which pays for a part of it.
    pub account: Option<AccountId>,
    /// In the list of its threads.
    pub threads: ListPlace,
}

impl Walk {
    /// At the first thing.
    pub fn new() -> Walk {
        let (sums, place) = (Sums::default(), Place::Beginning);
        Walk { number: 0, place, facts: 0, is_still: true, sums, is_whole: true }
    }

    /// Goes to the beginning of a thing.
    pub fn begin(&mut self, number: u32) {
        (self.number, self.place, self.facts, self.is_still) = (number, Place::Beginning, 0, true);
    }

    /// Whether it is at the beginning of a thing.
    pub fn is_at_beginning(&self) -> bool {
        matches!(self.place, Place::Beginning)
    }
}

impl Default for Walk {
    fn default() -> Walk {
        Walk::new()
    }
}

impl Course {
    /// A pass that begins now.
    pub fn new() -> Course {
        Course { stage: 0, walk: Walk::new(), begun_anew: 0, facts: 0, seen: 0 }
    }
}

impl Default for Course {
    fn default() -> Course {
        Course::new()
    }
}

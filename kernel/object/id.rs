//! Names of objects: of one kind, of any kind, of a slot, of what has mappings, of a place for an attachment.

use core::cmp::Ordering;
use core::fmt;
use core::marker::PhantomData;
use core::num::{NonZeroU32, NonZeroU64};

use tessera_abi::ObjectKind;

/// Names an object in its store. Index and generation: the number of an object that went is never taken for
/// the one that came after it, however long the id is kept and however many came meanwhile. Generations do not wrap:
/// an entry whose generations have run out is not used again, which takes centuries of nothing else.
///
/// Packed, so that links made of ids stay small: twelve bytes, and none more for an `Option`.
#[repr(Rust, packed(4))]
pub struct Id<T: ?Sized> {
    index: u32,
    generation: NonZeroU64,
    kind: PhantomData<fn() -> T>,
}

impl<T: ?Sized> Id<T> {
    /// The id of a store's entry, which alone knows it.
    #[inline(always)]
    pub(super) fn new(index: u32, generation: NonZeroU64) -> Id<T> {
        Id { index, generation, kind: PhantomData }
    }

    /// The object's number, the one that programs see in `info` structures.
    #[inline(always)]
    pub fn index(self) -> u32 {
        self.index
    }

    #[inline(always)]
    pub(super) fn generation(self) -> NonZeroU64 {
        self.generation
    }
}

/// The id of no object.
impl<T: ?Sized> Default for Id<T> {
    fn default() -> Id<T> {
        Id { index: u32::MAX, generation: NonZeroU64::MAX, kind: PhantomData }
    }
}

impl<T: ?Sized> Clone for Id<T> {
    fn clone(&self) -> Id<T> {
        *self
    }
}

impl<T: ?Sized> Copy for Id<T> {}

impl<T: ?Sized> PartialEq for Id<T> {
    fn eq(&self, other: &Id<T>) -> bool {
        (self.index(), self.generation()) == (other.index(), other.generation())
    }
}

impl<T: ?Sized> Eq for Id<T> {}

impl<T: ?Sized> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Id<T>) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: ?Sized> Ord for Id<T> {
    fn cmp(&self, other: &Id<T>) -> core::cmp::Ordering {
        (self.index(), self.generation()).cmp(&(other.index(), other.generation()))
    }
}

impl<T: ?Sized> fmt::Debug for Id<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}.{}", self.index(), self.generation())
    }
}

/// The list of kinds that live in stores: the object's type, and the store in `Kernel`. What is done alike for all kinds goes
/// by it, so a new kind is a line here, a file, and what its end takes (`lifecycle::destroy`).
macro_rules! with_kinds {
    ($work:ident $($arguments:tt)*) => {
        $work! {
            [$($arguments)*]
            Account accounts;
            Space spaces;
            Subtree subtrees;
            Segment segments;
            Thread threads;
            CapTable tables;
            Gate gates;
            Guest guests;
        }
    };
}

pub(crate) use with_kinds;

macro_rules! name_kinds {
    ([] $($kind:ident $store:ident;)*) => {
        /// What tells ids of one kind from those of another: names of kinds, of which there is no value. So an id can be
        /// held by whoever knows nothing of the object.
        pub mod kind {
            $(
                #[doc = concat!("What `Kernel::", stringify!($store), "` holds.")]
                pub enum $kind {}
            )*
        }

        /// Names an object of whatever kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ObjectRef {
            $(
                #[doc = concat!("One of `Kernel::", stringify!($store), "`.")]
                $kind(Id<kind::$kind>),
            )*
            /// The machine, of which there is one.
            Machine,
        }

        impl ObjectRef {
            /// The object's kind.
            #[inline(always)]
            pub fn kind(self) -> ObjectKind {
                match self {
                    $(ObjectRef::$kind(_) => ObjectKind::$kind,)*
                    ObjectRef::Machine => ObjectKind::Machine,
                }
            }

            /// The object's number among those of its kind.
            #[inline(always)]
            pub fn index(self) -> u32 {
                match self {
                    $(ObjectRef::$kind(id) => id.index(),)*
                    ObjectRef::Machine => 0,
                }
            }
        }
    };
}

with_kinds!(name_kinds);

/// Names a gate.
pub type GateId = Id<kind::Gate>;
/// Names a guest.
pub type GuestId = Id<kind::Guest>;
/// Names an account.
pub type AccountId = Id<kind::Account>;
/// Names a capability table.
pub type TableId = Id<kind::CapTable>;
/// Names a segment.
pub type SegmentId = Id<kind::Segment>;
/// Names a space.
pub type SpaceId = Id<kind::Space>;
/// Names a subtree.
pub type SubtreeId = Id<kind::Subtree>;
/// Names a thread.
pub type ThreadId = Id<kind::Thread>;

/// A kernel object: what lives in a store and has an id.
pub trait Object {
    /// What its ids are ids of.
    type Kind: ?Sized;
    /// What capabilities to it say that it is.
    const KIND: ObjectKind;
    /// What messages call it.
    const WHAT: &'static str;

    /// Who pays for it: nobody for the account that a machine begins with.
    fn payer(&self) -> Option<AccountId>;

    /// What that account is charged besides the record and its share of the store, now; bytes.
    fn extra_bytes(&self) -> u64;

    /// It is about to get this number in its store.
    #[inline(always)]
    fn be_numbered(&mut self, _number: u32) {}
}

/// A capability's place: a table and a slot in it, by their numbers. Whoever keeps one knows that the capability exists:
/// it is deleted before its table goes, and leaves its relatives first.
///
/// One word, and none more for an `Option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapId(NonZeroU64);

/// Bits of a slot's number, and more.
const SLOT_BITS: u32 = 20;

/// Set beside every slot: there are fewer than 2^31.
const IS_SLOT: NonZeroU64 = NonZeroU64::new(1 << 31).expect("a bit is not zero");

impl CapId {
    /// A slot of a table.
    #[inline(always)]
    pub fn new(table: TableId, slot: u32) -> CapId {
        CapId::at(table.index(), slot)
    }

    /// The same for the table with this number.
    #[inline(always)]
    pub fn at(table: u32, slot: u32) -> CapId {
        CapId(IS_SLOT | u64::from(table) << 32 | u64::from(slot))
    }

    /// The capability that [`CapId::bits`] said.
    #[inline(always)]
    pub(super) fn from_bits(bits: u64) -> CapId {
        CapId::at((bits >> SLOT_BITS) as u32, (bits % (1 << SLOT_BITS)) as u32)
    }

    /// Both numbers as one, of few enough bits that a few more can stand beside them.
    #[inline(always)]
    pub(super) fn bits(self) -> u64 {
        u64::from(self.table()) << SLOT_BITS | u64::from(self.slot())
    }

    /// The table's number.
    #[inline(always)]
    pub fn table(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    /// The slot.
    #[inline(always)]
    pub fn slot(self) -> u32 {
        (self.0.get() & !IS_SLOT.get()) as u32
    }

    /// Another slot of the same table.
    #[inline(always)]
    pub fn beside(self, slot: u32) -> CapId {
        CapId::at(self.table(), slot)
    }
}

/// Names a use of a capability (`use_pool`), while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseId(NonZeroU32);

impl UseId {
    /// The use with this number.
    #[inline(always)]
    pub(crate) fn new(number: u32) -> UseId {
        UseId(NonZeroU32::MIN.saturating_add(number))
    }

    /// Its number.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        self.0.get() - 1
    }
}

/// What `map`, `unmap` and `protect` work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapTarget {
    /// The mappings in a subtree.
    Subtree(SubtreeId),
    /// A space's own mappings.
    Space(SpaceId),
}

/// Where an attachment is: its first page, on every CPU or on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachPoint {
    /// The first page.
    pub page: u64,
    /// The CPU, for a core window.
    pub cpu: Option<usize>,
}

impl AttachPoint {
    /// The place as one number, which orders places by page, then by CPU.
    #[inline(always)]
    pub(super) fn key(&self) -> u64 {
        self.page << CPU_BITS | self.cpu.map_or(0, |cpu| cpu as u64 + 1)
    }

    /// The place that a number says.
    pub(super) fn of_key(key: u64) -> AttachPoint {
        AttachPoint { page: key >> CPU_BITS, cpu: (key as usize % (1 << CPU_BITS)).checked_sub(1) }
    }
}

/// Of a CPU's number plus one.
const CPU_BITS: u32 = 7;

const _: () = assert!(tessera_arch::CPUS_MAX + 1 < 1 << CPU_BITS);

impl Ord for AttachPoint {
    #[inline(always)]
    fn cmp(&self, other: &AttachPoint) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for AttachPoint {
    #[inline(always)]
    fn partial_cmp(&self, other: &AttachPoint) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

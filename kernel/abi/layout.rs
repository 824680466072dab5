//! Structures that calls fill in, and what a program finds when it starts.
//!
//! Every field is a 64-bit word (or an array of bytes in whole words), so both sides see the same layout
//! without padding; [`Words`] turns a structure into words and back without unsafe code.

use crate::NAME_BYTES;
use crate::text::is_visible;

/// Implemented by the structures below: fixed-size arrays of 64-bit words.
pub trait Words: Sized {
    /// How many words the structure has.
    const COUNT: usize;
    /// Bytes that the structure takes in memory.
    const BYTES: usize = Self::COUNT * 8;
    /// The most words any structure has.
    const MAXIMUM: usize = 32;
    /// Writes the structure into `words`, which must hold at least `COUNT`.
    fn write(&self, words: &mut [u64]);
    /// Reads the structure from `words`, which must hold at least `COUNT`.
    fn read(words: &[u64]) -> Self;
}

macro_rules! word_structures {
    ($(
        $(#[doc = $doc:literal])*
        pub struct $name:ident { $( $(#[doc = $field_doc:literal])* pub $field:ident: u64, )* }
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name { $( $(#[doc = $field_doc])* pub $field: u64, )* }

        impl Words for $name {
            const COUNT: usize = [$(stringify!($field)),*].len();
            fn write(&self, words: &mut [u64]) {
                let source = [$(self.$field),*];
                words[..source.len()].copy_from_slice(&source);
            }
            fn read(words: &[u64]) -> $name {
                let mut next = words.iter().copied();
                $name { $($field: next.next().unwrap_or(0)),* }
            }
        }

        const _: () = assert!(size_of::<$name>() == <$name as Words>::BYTES);
        const _: () = assert!(<$name as Words>::COUNT <= <$name as Words>::MAXIMUM);
    )*};
}

word_structures! {
    /// What `account_info` tells.
    pub struct AccountInfo {
        /// The whole budget, bytes.
        pub limit_bytes: u64,
        /// What is charged now, bytes, budgets split off included.
        pub used_bytes: u64,
    }

    /// What `capability_info` tells, the object's name apart (`name0` to `name3` hold it, see [`Name`]).
    pub struct CapabilityInfo {
        /// The object's kind, a number of `ObjectKind`.
        pub kind: u64,
        /// The rights, bits of `Rights`.
        pub rights: u64,
        /// The badge given when it was derived.
        pub badge: u64,
        /// 1 if the capability has a parent, 0 if it came with the object.
        pub has_parent: u64,
        /// The parent's handle if it lies in the same table, else the null handle.
        pub parent: u64,
        /// How many capabilities were derived from it directly and exist still.
        pub children: u64,
        /// Number of the object among those of its kind; equal numbers, same object.
        pub object: u64,
        /// How many capabilities to the object exist, this one included.
        pub references: u64,
        /// First word of the name.
        pub name0: u64,
        /// Second word of the name.
        pub name1: u64,
        /// Third word of the name.
        pub name2: u64,
        /// Fourth word of the name.
        pub name3: u64,
    }

    /// What `segment_info` tells.
    pub struct SegmentInfo {
        /// Length, bytes.
        pub length_bytes: u64,
        /// Memory that exists so far, bytes.
        pub populated_bytes: u64,
        /// How many mappings of it exist.
        pub mappings: u64,
        /// Whether it is lockable, 1 if so.
        pub is_lockable: u64,
        /// How many threads hold its lock exclusively, one at most.
        pub writers: u64,
        /// How many hold it together.
        pub readers: u64,
        /// How many wait for it.
        pub waiting: u64,
    }

    /// What `space_info` tells.
    pub struct SpaceInfo {
        /// Page tables that belong to the space alone, root included, bytes.
        pub table_bytes: u64,
        /// Page tables it shares with others, bytes: those of the subtrees it shows, public ones and those within
        /// others included, each counted once for each place; for a view also the base's own, but for the root.
        pub shared_table_bytes: u64,
        /// Address range covered by the space's own mappings, bytes.
        pub mapped_bytes: u64,
        /// How many own mappings it has.
        pub mappings: u64,
        /// How many attachments it has.
        pub attachments: u64,
        /// The hardware TLB tag it used last; 0 for untagged.
        pub tag: u64,
        /// The tag's generation.
        pub tag_generation: u64,
        /// How many threads are in it now, running or not.
        pub threads: u64,
        /// CPUs that may hold translations of it: bit n for CPU n.
        pub holders: u64,
        /// The CPU it is local to, plus one; 0 for a space that any CPU may enter.
        pub local_to: u64,
        /// Core windows, over all CPUs.
        pub core_windows: u64,
        /// How many views of it exist.
        pub views: u64,
        /// For a view, the number of its base space plus one; 0 for a space that is none.
        pub view_of: u64,
        /// What a view allows of its base, bits of `Rights`; read, write and execute for a space that is none.
        pub bounds: u64,
    }

    /// What `subtree_info` tells.
    pub struct SubtreeInfo {
        /// Level of the entry that holds it: 3 for a top-level entry, 2 for 1 GiB, 1 for 2 MiB.
        pub level: u64,
        /// Addresses at which it can be attached are multiples of this, bytes.
        pub alignment_bytes: u64,
        /// How much address space it fills, bytes.
        pub size_bytes: u64,
        /// Its page tables, bytes; they are counted once however many spaces share them.
        pub table_bytes: u64,
        /// Address range covered by its mappings, bytes.
        pub mapped_bytes: u64,
        /// How many mappings it has.
        pub mappings: u64,
        /// How many places it is attached at (an entry each), views and public places not counted.
        pub sharers: u64,
        /// How many subtrees are attached in it.
        pub attachments: u64,
        /// 1 if it is sealed.
        pub sealed: u64,
        /// Where it is public, in all spaces; 0 if it is not.
        pub public_address: u64,
    }

    /// One mapping or attachment, from `mappings_list`.
    pub struct MappingInfo {
        /// Where it begins.
        pub address: u64,
        /// How long it is, bytes.
        pub length_bytes: u64,
        /// Where in the segment it begins, bytes; 0 for an attachment.
        pub offset: u64,
        /// What it allows, bits of `Rights`.
        pub rights: u64,
        /// `ObjectKind::Segment` or `ObjectKind::Subtree`.
        pub kind: u64,
        /// Number of the segment or subtree among those of its kind.
        pub object: u64,
    }

    /// One thing that was lent, from `lent_list`.
    pub struct LentInfo {
        /// A number of `LentKind`.
        pub kind: u64,
        /// The badge: of the capability, or of the one that was used.
        pub badge: u64,
        /// What it allows, bits of `Rights`; 0 where nothing is said.
        pub rights: u64,
        /// The kind of who holds it, a number of `ObjectKind`: the table of a capability, the space or subtree of a mapping or
        /// attachment, the view, the thread.
        pub holder_kind: u64,
        /// The holder's number among those of its kind.
        pub holder: u64,
        /// Where in the holder it begins, bytes; of a mapping or attachment.
        pub address: u64,
        /// How long it is, bytes; of a mapping.
        pub length_bytes: u64,
    }

    /// What `thread_info` tells.
    pub struct ThreadInfo {
        /// A number of `ThreadState`.
        pub state: u64,
        /// Priority, 0 to 31.
        pub priority: u64,
        /// Number of the space it is in.
        pub space: u64,
        /// The exit code, if it has exited.
        pub exit_code: u64,
        /// The CPU it ran on last.
        pub cpu: u64,
        /// The CPUs it may run on, a bit each.
        pub affinity: u64,
        /// Its program counter when it last entered the kernel; 0 while it runs on another CPU.
        pub instruction_pointer: u64,
        /// Its stack pointer then; 0 likewise.
        pub stack_pointer: u64,
        /// In how many gate calls it is, one within the other.
        pub calls: u64,
    }

    /// What `gate_create` reads: where calls go on in the gate's space.
    pub struct GateLayout {
        /// The first instruction of each call.
        pub entry: u64,
        /// Where the first stack begins; a multiple of 16.
        pub stacks: u64,
        /// Bytes of each stack, a multiple of 16; they lie one behind the other.
        pub stack_bytes: u64,
        /// How many stacks there are, 1 to 63: so many calls can be under way.
        pub count: u64,
    }

    /// What `gate_info` tells.
    pub struct GateInfo {
        /// Whether calls are let in: 1, or 0 if it is closed.
        pub is_open: u64,
        /// Number of the space that calls go to.
        pub space: u64,
        /// How many stacks it has.
        pub stacks: u64,
        /// How many of them nobody is on.
        pub free: u64,
        /// How many threads wait for one.
        pub waiting: u64,
    }

    /// What `counters` tells of one CPU. All count from boot.
    pub struct Counters {
        /// Changes of the CPU's space, whatever the reason.
        pub space_switches: u64,
        /// Of these, the ones that could keep the translations under the space's tag.
        pub tag_hits: u64,
        /// Of these, the ones that had to flush a tag (or, untagged, everything).
        pub tag_flushes: u64,
        /// Times the tag allocator ran out and began a new generation (counted on the CPU that did).
        pub tag_rollovers: u64,
        /// Pages invalidated one by one.
        pub page_flushes: u64,
        /// Tags flushed as a whole because a changed range was too long to be invalidated page by page.
        pub range_flushes: u64,
        /// Pages invalidated under all tags at once, because many spaces share them.
        pub shared_page_flushes: u64,
        /// Times everything was flushed, global translations included.
        pub global_flushes: u64,
        /// Shootdown interrupts sent.
        pub shootdowns_sent: u64,
        /// Shootdown interrupts received.
        pub shootdowns_received: u64,
        /// Of these, the ones that found nothing to do.
        pub shootdowns_spurious: u64,
        /// Times a tag was marked stale here by another CPU instead of interrupting this one.
        pub stale_marks: u64,
        /// System calls that took the common path.
        pub system_calls: u64,
        /// Page faults and other faults of user threads.
        pub faults: u64,
        /// Changes of thread.
        pub thread_switches: u64,
        /// Timer interrupts.
        pub timer_interrupts: u64,
        /// Device interrupts that meant nothing.
        pub spurious_interrupts: u64,
    }

    /// What `machine_info` tells.
    pub struct MachineInfo {
        /// Memory the kernel manages, bytes.
        pub memory_bytes: u64,
        /// Of this, free memory, bytes.
        pub free_bytes: u64,
        /// Kernel heap in use, bytes.
        pub heap_bytes: u64,
        /// CPUs running.
        pub cpus: u64,
        /// Bits in a tag; 0 for untagged.
        pub tag_bits: u64,
        /// Accounts that exist.
        pub accounts: u64,
        /// Spaces that exist.
        pub spaces: u64,
        /// Subtrees that exist.
        pub subtrees: u64,
        /// Segments that exist.
        pub segments: u64,
        /// Threads that exist.
        pub threads: u64,
        /// Capability tables that exist.
        pub tables: u64,
        /// Capabilities that exist.
        pub capabilities: u64,
        /// Memory that the kernel heap has taken for good, bytes: with `free_bytes` it adds up to what is not in
        /// use by anything that can go.
        pub heap_held_bytes: u64,
    }

    /// What a program finds at the address that its first thread gets as argument.
    pub struct ProgramInfo {
        /// Layout version, [`PROGRAM_INFO_VERSION`].
        pub version: u64,
        /// Handle: the account that pays for the program.
        pub account: u64,
        /// Handle: the space the program started in.
        pub space: u64,
        /// Handle: the subtree that holds the program's code, data, heap and stacks, attached at address 0.
        pub program: u64,
        /// Handle: the program's capability table.
        pub table: u64,
        /// Handle: the first thread.
        pub thread: u64,
        /// Handle: the machine, or the null handle.
        pub machine: u64,
        /// Handle: the segment with the boot archive, or the null handle.
        pub archive: u64,
        /// Bytes of the boot archive.
        pub archive_bytes: u64,
        /// Where the arguments lie, one string.
        pub arguments: u64,
        /// Their length, bytes.
        pub arguments_bytes: u64,
        /// First address of the program's image.
        pub image_start: u64,
        /// First address after the image.
        pub image_end: u64,
    }
}

/// The version of [`ProgramInfo`] that this file describes.
pub const PROGRAM_INFO_VERSION: u64 = 1;

/// The addresses a program is laid out at, all within the program subtree (top-level slot 0).
pub mod program {
    /// Where the image is linked to begin (`user/rt/program.ld` says the same).
    pub const IMAGE: u64 = 0x0040_0000;
    /// The page with `ProgramInfo`, and the arguments behind it.
    pub const INFO: u64 = 0x1000_0000;
    /// Bytes mapped at [`INFO`].
    pub const INFO_BYTES: u64 = 0x1000;
    /// Where the heap begins.
    pub const HEAP: u64 = 0x10_0000_0000;
    /// Where stacks begin; each lies at the upper end of an area of [`STACK_STRIDE`].
    pub const STACKS: u64 = 0x20_0000_0000;
    /// Distance from one stack area to the next; the lowest part of an area stays unmapped, as guard.
    pub const STACK_STRIDE: u64 = 0x20_0000;
    /// Bytes of stack a first thread gets.
    pub const STACK_BYTES: u64 = 0x1_0000;
    /// Where libvas may map things for a moment (windows for loading, for instance).
    pub const SCRATCH: u64 = 0x40_0000_0000;
}

/// The state of a thread, as `ThreadInfo` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ThreadState {
    /// Made, not yet started.
    Created = 0,
    /// Running or ready to.
    Ready = 1,
    /// Sleeping until a time.
    Sleeping = 2,
    /// Waiting for another thread's end.
    Joining = 3,
    /// Ended by itself.
    Exited = 4,
    /// Stopped by a fault.
    Faulted = 5,
    /// Ended by another thread, or because its space went.
    Stopped = 6,
    /// Waiting for a stack of a gate.
    Calling = 7,
    /// Waiting for the locks of a space.
    Entering = 8,
}

/// Why a thread landed at its fallback; the first function argument there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum FallbackReason {
    /// The space it was in was destroyed.
    SpaceDestroyed = 1,
    /// The space was revoked.
    SpaceRevoked = 2,
}

/// What is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum LentKind {
    /// A capability.
    Capability = 1,
    /// Pages of a segment, mapped.
    Mapping = 2,
    /// A subtree, attached.
    Attachment = 3,
    /// A space, shown by a view.
    View = 4,
    /// A space, with a thread in it.
    Thread = 5,
    /// A space, to which a thread falls back.
    Fallback = 6,
    /// A space or a table, by a gate.
    Gate = 7,
    /// A space, to which a thread returns that is in a call.
    Suspended = 8,
    /// A gate, with a thread in it.
    Call = 9,
    /// Pages of a segment, in which a guest's state is.
    Guest = 10,
    /// A gate, as a handler.
    Handler = 11,
}

impl LentKind {
    /// The kind with this number.
    pub fn from_number(number: u64) -> Option<LentKind> {
        use LentKind::{
            Attachment, Call, Capability, Fallback, Gate, Guest, Handler, Mapping, Suspended, Thread, View,
        };
        let all = [Capability, Mapping, Attachment, View, Thread, Fallback, Gate, Suspended, Call, Guest, Handler];
        all.into_iter().find(|kind| *kind as u64 == number)
    }
}

/// What `machine_provoke` can make the kernel do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Provocation {
    /// Panic.
    Panic = 0,
    /// Write to the kernel's code.
    WriteCode = 1,
    /// Execute the kernel's data.
    ExecuteData = 2,
    /// Recurse until the kernel stack is used up.
    OverflowStack = 3,
    /// Read user memory directly (stopped by SMAP or PAN where the CPU has them).
    ReadUser = 4,
    /// Execute user memory (stopped by SMEP or PXN).
    ExecuteUser = 5,
    /// Read the page at address 0.
    ReadNull = 6,
    /// Write to the kernel's read-only data.
    WriteReadOnlyData = 7,
    /// Execute from the direct map of physical memory.
    ExecuteDirectMap = 8,
    /// Write to the kernel's code through the direct map of physical memory.
    WriteCodeInDirectMap = 9,
    /// Write to the kernel's read-only data through the direct map of physical memory.
    WriteReadOnlyDataInDirectMap = 10,
    /// Interrupt every CPU in the way that cannot be masked, for no reason; nothing on aarch64, which has no such way.
    NonMaskableInterrupt = 11,
}

impl Provocation {
    /// The provocation with this number.
    pub fn from_number(number: u64) -> Option<Provocation> {
        use Provocation::{
            ExecuteData, ExecuteDirectMap, ExecuteUser, NonMaskableInterrupt, OverflowStack, Panic, ReadNull, ReadUser,
            WriteCode, WriteCodeInDirectMap, WriteReadOnlyData, WriteReadOnlyDataInDirectMap,
        };
        let all = [
            Panic,
            WriteCode,
            ExecuteData,
            OverflowStack,
            ReadUser,
            ExecuteUser,
            ReadNull,
            WriteReadOnlyData,
            ExecuteDirectMap,
            WriteCodeInDirectMap,
            WriteReadOnlyDataInDirectMap,
            NonMaskableInterrupt,
        ];
        all.into_iter().find(|what| *what as u64 == number)
    }
}

/// A name of at most [`NAME_BYTES`] bytes of UTF-8, padded with zero bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Name([u8; NAME_BYTES]);

impl Name {
    /// The name that says nothing.
    pub const EMPTY: Name = Name([0; NAME_BYTES]);

    /// Takes a text; `None` if it is too long, or holds what [`is_visible`] says nobody can see.
    pub fn new(text: &str) -> Option<Name> {
        if !text.chars().all(is_visible) {
            return None;
        }
        let mut bytes = [0; NAME_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Name(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
        core::str::from_utf8(&self.0[..length]).unwrap_or("?")
    }

    /// The name as four words, for [`CapabilityInfo`].
    pub fn words(&self) -> [u64; 4] {
        core::array::from_fn(|index| u64::from_le_bytes(core::array::from_fn(|byte| self.0[index * 8 + byte])))
    }

    /// The name from its four words.
    pub fn from_words(words: [u64; 4]) -> Name {
        let mut bytes = [0; NAME_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Name(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{CapabilityInfo, Name, SpaceInfo, Words};

    #[test]
    fn structures_survive_the_boundary() {
        let mut words = [0; 32];
        for (index, word) in words.iter_mut().enumerate() {
            *word = index as u64 * 3 + 1;
        }
        let info = SpaceInfo::read(&words);
        let mut back = [0; SpaceInfo::COUNT];
        info.write(&mut back);
        assert_eq!(back, words[..SpaceInfo::COUNT]);
        assert_eq!(CapabilityInfo::read(&words).name3, words[CapabilityInfo::COUNT - 1]);
    }

    #[test]
    fn names_survive_and_too_long_ones_are_refused() {
        let name = Name::new("a program").expect("short enough");
        assert_eq!(Name::from_words(name.words()).as_str(), "a program");
        assert!(Name::new("0123456789012345678901234567890123").is_none());
        assert_eq!(Name::new("01234567890123456789012345678901").map(|name| name.as_str().len()), Some(32));
    }

    #[test]
    fn names_show_all_that_is_in_them() {
        for text in ["a\n[kernel] PANIC: false", "a\rb", "\u{1b}[2J", "a\0b", "\u{202e}gnp.exe", "a\u{2028}b"] {
            assert!(Name::new(text).is_none(), "{text:?}");
        }
        assert!(Name::new("Käse, 漢字").is_some());
    }
}

//! Address spaces as values: the interface of Tessera for user programs.
//!
//! A program holds **capabilities** ([`Cap`]) to kernel objects: spaces, subtrees, segments, threads, accounts,
//! capability tables. A thread switches among the spaces it holds, while its program (code, statics, heap and
//! stacks) stays where it is, because one page-table subtree is attached to all of them:
//!
//! ```no_run
//! use libvas::{Place, Rights, Segment, program};
//!
//! const HERE: u64 = 0x100_0000_0000;
//!
//! fn two_worlds() -> Result<(), libvas::Error> {
//!     let place = Place::<u64>::new(HERE)?;
//!     for value in [1, 2] {
//!         let space = program().new_space()?;
//!         let memory = Segment::new(program().account(), 0x1000)?;
//!         space.map(HERE, &memory, 0..0x1000, Rights::READ_WRITE)?;
//!         space.enter(|| place.set(value))?;
//!         assert_eq!(space.enter(|| place.get())?, value);
//!     }
//!     Ok(())
//! }
//! # two_worlds().ok();
//! ```
//!
//! | to | use |
//! |---|---|
//! | find what the program was given | [`program()`] |
//! | make a space, run inside it, look into it | [`Program::new_space`], [`Cap::enter`], [`space`] |
//! | make memory and map it | [`segment`], [`Cap::map`], [`window`] |
//! | read and write memory that only some spaces have | [`Place`] |
//! | share whole page tables | [`subtree`], [`Cap::attach`] |
//! | show a space to others without letting them change it | [`view`] |
//! | go on with a copy of a space, or back to what it held | [`Space::clone_of`], [`snapshot`] |
//! | run a closure in a thread of its own, in any space | [`thread::spawn`], [`thread::spawn_in`] |
//! | share what changes among threads | [`sync::Mutex`] |
//! | call into another space and come back | [`gate`] |
//! | see to faults and system calls of other threads | [`handler`] |
//! | run code elsewhere until it wants something | [`guest`]; in Linux's words [`process_vm_exec`], [`unprivilege`] |
//! | give capabilities names, and find them | [`names`] |
//! | share spaces by name, in the words of others | [`vas`], [`mshare`] |
//! | budget memory | [`account`] |
//! | weaken and hand on capabilities | [`capability`], [`table`] |
//! | run code that the program wrote | [`code`] |
//! | see what switching cost | [`counters`], [`clock`] |
//!
//! # Units and errors
//!
//! Lengths, offsets and addresses are in bytes, and where pages are concerned multiples of 4096. Address ranges
//! are half open (`start..end`). Times are [`core::time::Duration`]. Whatever the kernel refuses comes back as
//! [`Error`]; every operation on a capability can fail with `BadHandle` (it was given up elsewhere by number) and
//! `WrongObject` (it was made from a foreign number), which the single items do not repeat.
//!
//! # What is unsafe here
//!
//! Mapping, unmapping and protecting hand out no references, so they are safe calls, in the way that writing to a
//! file that happens to be one's own memory is: whoever unmaps the program's own code, heap or stacks gets a
//! fault, which ends the thread. Making a reference to mapped memory ([`Window::as_slice`]) and sending a thread
//! to an address ([`Cap::jump`]) are `unsafe`, because only the caller can know what is there.

#![cfg_attr(target_os = "none", no_std)]
#![allow(clippy::new_ret_no_self, reason = "objects are owned through capabilities: `Space::new` gives a `Cap<Space>`")]

pub mod account;
mod call;
pub mod capability;
pub mod clock;
pub mod code;
pub mod console;
pub mod counters;
pub mod gate;
pub mod guest;
pub mod handler;
mod lock;
pub mod machine;
pub mod mapping;
pub mod memory;
pub mod mshare;
pub mod names;
pub mod process_vm_exec;
pub mod program;
pub mod raw;
pub mod segment;
mod slots;
pub mod snapshot;
pub mod space;
mod spawn;
mod stack;
pub mod subtree;
pub mod sync;
pub mod table;
pub mod thread;
pub mod unprivilege;
pub mod vas;
pub mod view;
pub mod window;

pub use account::Account;
pub use capability::{Cap, Object};
pub use gate::Gate;
pub use guest::{Guest, GuestContext};
pub use machine::Machine;
pub use mapping::{Mappable, Mapped};
pub use memory::Place;
pub use names::Names;
pub use program::{Program, program};
pub use segment::Segment;
pub use space::{Enterable, Space};
pub use subtree::{Level, Subtree};
pub use table::CapTable;
pub use thread::Thread;
pub use view::View;
pub use window::Window;

pub use tessera_abi::{
    Error, Handle, NAME_BYTES, ObjectKind, PAGE_BYTES, PRIORITY_MAX, Rights, TOP_SLOT_BYTES, TOP_SLOTS, USER_END,
    USER_START, layout,
};

//! The name service: names that stand for capabilities.
//!
//! | file | gives |
//! |---|---|
//! | `directory` | which name stands for what: a table with a fixed number of places |
//! | `clients` | who may ask, and by which gate |
//! | `answers` | what is done with a question |
//! | `service` | the space, the stacks and the gates: [`Service`] |
//! | `main.rs` | the program, which gives whoever started it the first gate |
//!
//! # Who is who
//!
//! Each client has a gate of its own, with one stack. The stack that a call runs on says who made it. A badge would not do: whoever
//! holds a capability may derive one with any badge. Client 0 is whoever started the service; it lets others in, and ends their ways
//! in.
//!
//! # What one client can do to others
//!
//! * Take no name from them but those that they have not taken yet: names are given to whoever comes first.
//! * Take no room from them: there are places for all names of all clients ([`libvas::names::NAMES_OF_CLIENT`] of each of
//!   [`libvas::names::CLIENTS`]), made when the service starts and paid by it. A client that was dismissed keeps its number as long
//!   as one of its names is registered.
//! * Take no stack from them. Threads of one client wait for each other, in order of coming.
//! * Make them wait while it is inside: one question is answered at a time, by the client's own thread at its own priority, and none
//!   waits for anything but the kernel. A claim looks at all that is lent of one object, so its time grows with that.
//!
//! What is registered is charged to whoever made it, as before. What goes with its name, because nobody else has it, goes in the call
//! of whoever had the name forgotten.

#![cfg_attr(target_os = "none", no_std)]

mod answers;
mod clients;
mod directory;
mod service;

pub use directory::{Directory, Entry, Key};
pub use service::Service;

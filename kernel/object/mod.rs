//! The kernel objects, one file each, and what holds them together: ids, stores, derivations, reverse maps, queues of threads.
//! Nothing here knows `Kernel`.

pub mod account;
pub mod activation_stack;
pub mod address_map;
pub mod agenda;
pub mod cap_table;
pub mod charge_chain;
pub mod charged;
mod chunk;
pub mod derivation;
pub mod doomed;
pub mod gate;
pub mod guest;
pub mod handler;
pub mod id;
pub mod interrupted;
pub mod links;
pub mod list;
pub mod list_check;
pub mod lock;
pub mod map_clone;
pub mod map_steps;
pub mod mapping;
pub mod neighbour;
pub mod page_map;
#[cfg(test)]
mod page_map_tests;
mod page_node;
pub mod private_pages;
pub mod progress;
mod regions;
pub mod reverse_map;
pub mod segment;
pub mod segment_change;
pub mod set_queue;
pub mod slot_check;
pub mod space;
pub mod store;
mod store_facts;
pub mod subtree;
pub mod tally;
pub mod thread;
pub mod use_pool;
pub mod view_roots;

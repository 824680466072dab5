//! What address spaces show: mapping, attaching, views, public subtrees, and memory of user programs.

pub mod attach;
pub mod clone;
pub(crate) mod copied;
pub mod discard;
pub mod dismantle;
pub mod fast_attach;
pub mod fast_map;
pub mod fault;
pub mod lockable;
pub mod map;
pub mod map_steps;
pub mod moving;
pub mod next_attachment;
pub(crate) mod own;
pub mod public;
pub mod showing;
pub mod shown_tables;
pub mod taking_back;
pub mod target;
pub mod user_copy;
pub mod user_memory;
pub mod view;

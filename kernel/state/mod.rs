//! All state together: `Kernel`, references to objects, and the queues of the scheduler.

mod activity;
mod capabilities;
pub mod charges;
pub mod kernel;
pub mod memory;
pub mod queue_check;
mod references;
pub mod scheduler;
pub mod self_check;

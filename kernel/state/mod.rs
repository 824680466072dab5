//! All state together: `Kernel`, references to objects, and the queues of the scheduler.

mod capabilities;
pub mod charges;
pub mod kernel;
pub mod memory;
mod references;
pub mod scheduler;

//! All state together: `Kernel`, references to objects, and the queues of the scheduler.

pub mod kernel;
pub mod scheduler;

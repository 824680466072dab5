//! Who runs: entering a space, dispatching, parking; how threads come and go.

pub mod ending;
pub mod running;
pub mod turn;

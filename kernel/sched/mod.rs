//! Who runs: entering a space, making ready, changing threads, taking one off another CPU; how threads come and go.

pub mod activations;
pub mod along;
pub mod calling;
pub mod closing;
pub mod deletion;
pub mod ending;
pub mod enter;
pub mod entering;
pub mod eviction;
pub mod exchange;
pub mod fresh;
pub mod guest_path;
pub mod guests;
pub mod handlers;
pub mod inside;
mod interrupting;
pub mod landing;
pub mod looking;
pub mod moving;
pub mod noting;
pub mod preference;
pub mod ready;
pub mod remote;
pub mod running;
pub mod turn;
pub mod upcall;
pub mod way_in;

//! Gate calls: activations are made and unmade alike on both paths, and whatever is taken away finds who is in it.

mod alike;
mod along;
mod ends;
mod model;
mod scene;
mod taken;
mod waiting;

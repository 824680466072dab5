//! The host has no emulator, and so no plugin in it.

/// Does nothing.
pub fn serve_plugin() {}

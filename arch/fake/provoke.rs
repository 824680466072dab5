//! Nothing is forbidden on the fake machine.

use tessera_abi::layout::Provocation;

/// Does nothing.
pub fn provoke(_what: Provocation) {}

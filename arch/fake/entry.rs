//! The fake machine has no user mode, hence no way into it.

/// There is no user mode to go to.
pub fn enter_user() -> ! {
    panic!("the fake machine has no user mode")
}

/// Likewise.
pub fn resume_user() -> ! {
    enter_user()
}

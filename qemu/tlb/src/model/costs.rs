//! The cost table: cycles of each kind of event.

use serde::Deserialize;

macro_rules! costs {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Cycles of each kind of event, all of them parameters.
        #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
        #[serde(deny_unknown_fields)]
        pub struct Costs {
            $($(#[$doc])* pub $name: u32,)*
        }

        impl Costs {
            /// Every cost's name, in the order of the fields.
            pub const NAMES: &[&str] = &[$(stringify!($name),)*];

            /// Every cost with its name.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u32)> {
                vec![$((stringify!($name), self.$name),)*]
            }

            /// The cost of that name, to be changed.
            pub fn get_mut(&mut self, name: &str) -> Option<&mut u32> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

costs! {
    /// The second level serves what the first did not.
    second_level_hit,
    /// A walk, besides what it reads.
    walk,
    /// A page-table entry that a walk reads.
    walk_reference,
    /// A write of the root register that drops nothing.
    root_write,
    /// One that drops what is held under the new tag.
    root_write_flush,
    /// An invalidation of everything.
    invalidate_all,
    /// An invalidation of a tag.
    invalidate_tag,
    /// An invalidation of a page.
    invalidate_page,
    /// An invalidation of a range, however long.
    invalidate_range,
    /// Sending an invalidation to all CPUs and waiting for them, besides the invalidation itself.
    broadcast,
}

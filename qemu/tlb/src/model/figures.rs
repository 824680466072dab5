//! What is counted, and what it costs.

use std::ops::{Add, AddAssign};

use super::costs::Costs;

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one CPU, or several together, did since the figures were cleared.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Figures {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Figures {
            /// Every figure with its name.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        impl AddAssign for Figures {
            fn add_assign(&mut self, other: Figures) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

figures! {
    /// Accesses of kind fetch.
    fetches,
    /// Accesses of kind load.
    loads,
    /// Accesses of kind store.
    stores,
    /// Fetches that the first level did not serve.
    instruction_misses,
    /// Loads and stores that the first level did not serve.
    data_misses,
    /// Misses that the second level did not serve either: each makes a walk.
    walks,
    /// Walks that found no translation.
    failed_walks,
    /// Page-table entries that walks read.
    walk_references,
    /// Page-table entries that walks need not read, as a walk cache knew where they lead.
    saved_references,
    /// Writes of the root register that drop nothing.
    root_writes,
    /// Writes of the root register that drop what is held under the new tag.
    flushing_root_writes,
    /// Of both, those that wrote the same root and tag as stood there.
    repeated_root_writes,
    /// Invalidations of everything.
    invalidations_of_all,
    /// Invalidations of a tag.
    invalidations_of_tag,
    /// Invalidations of a page.
    invalidations_of_page,
    /// Invalidations of a range.
    invalidations_of_range,
    /// Of all these, those that were sent to every CPU.
    broadcasts,
    /// Entries of TLBs and walk caches that root writes and invalidations dropped.
    entries_dropped,
}

impl Figures {
    /// All accesses.
    #[must_use]
    pub fn accesses(&self) -> u64 {
        self.fetches + self.loads + self.stores
    }

    /// All misses of the first level.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.instruction_misses + self.data_misses
    }

    /// All misses of the second level, which are as many as walks.
    #[must_use]
    pub fn second_level_misses(&self) -> u64 {
        self.walks
    }

    /// Each figure times its cost, added up. A hit of the first level costs nothing.
    #[must_use]
    pub fn cycles(&self, costs: &Costs) -> u64 {
        [
            (self.misses() - self.walks, costs.second_level_hit),
            (self.walks, costs.walk),
            (self.walk_references, costs.walk_reference),
            (self.root_writes, costs.root_write),
            (self.flushing_root_writes, costs.root_write_flush),
            (self.invalidations_of_all, costs.invalidate_all),
            (self.invalidations_of_tag, costs.invalidate_tag),
            (self.invalidations_of_page, costs.invalidate_page),
            (self.invalidations_of_range, costs.invalidate_range),
            (self.broadcasts, costs.broadcast),
        ]
        .iter()
        .map(|&(count, cost)| count * u64::from(cost))
        .sum()
    }
}

impl Add for Figures {
    type Output = Figures;

    fn add(mut self, other: Figures) -> Figures {
        self += other;
        self
    }
}

//! Whose a cached entry is, and who may use it.

/// The number of [`Owner::GLOBAL`]; tags are below it.
const GLOBAL: u32 = 1 << 16;
/// Shared spaces are from here on.
const SHARED: u32 = 1 << 17;
/// The most shared spaces: bits of a subscription bitmap.
pub(crate) const SHARED_SPACES: u32 = u64::BITS;

/// Whose an entry is: a tag's, everybody's, a shared space's, or nobody's, which is an empty entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u32);

impl Owner {
    /// An empty entry; no reader may use it.
    pub(crate) const NOBODY: Owner = Owner(u32::MAX);
    /// A global translation.
    pub(crate) const GLOBAL: Owner = Owner(GLOBAL);

    /// What a tag adds to the index of an array that mixes tags in: nothing for who has no tag.
    #[inline(always)]
    pub(crate) fn spread(self) -> u64 {
        if self.0 < GLOBAL { (u64::from(self.0) * 0x9e37_79b9) >> 16 } else { 0 }
    }

    /// One tag.
    pub(crate) fn tag(tag: u16) -> Owner {
        Owner(u32::from(tag))
    }

    /// A shared space, below [`SHARED_SPACES`].
    pub(crate) fn shared(space: u8) -> Owner {
        Owner(SHARED | u32::from(space))
    }
}

/// Who looks for an entry: a tag and the shared spaces that it subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    tag: u32,
    subscriptions: u64,
}

impl Reader {
    pub(crate) fn new(tag: u16, subscriptions: u64) -> Reader {
        Reader { tag: u32::from(tag), subscriptions }
    }

    /// The owner of what is this reader's alone.
    #[inline(always)]
    pub(crate) fn owner(self) -> Owner {
        Owner(self.tag)
    }

    /// Whether this is the reader of that tag.
    #[inline(always)]
    pub(crate) fn is(self, tag: u16) -> bool {
        self.tag == u32::from(tag)
    }

    /// Whether an entry of `owner` serves this reader.
    #[inline(always)]
    pub(crate) fn may_use(self, owner: Owner) -> bool {
        owner.0 == self.tag || owner.0 == GLOBAL || self.subscribes(owner)
    }

    /// Whether `owner` is a shared space that this reader subscribes to.
    #[inline(always)]
    pub(crate) fn subscribes(self, owner: Owner) -> bool {
        owner.0 & !(SHARED_SPACES - 1) == SHARED && self.subscriptions >> (owner.0 & (SHARED_SPACES - 1)) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Owner, Reader};

    #[test]
    fn a_reader_uses_its_own_global_and_subscribed_entries() {
        let reader = Reader::new(5, 1 << 63 | 1);
        for (owner, may) in [
            (Owner::tag(5), true),
            (Owner::tag(6), false),
            (Owner::GLOBAL, true),
            (Owner::shared(0), true),
            (Owner::shared(1), false),
            (Owner::shared(63), true),
            (Owner::NOBODY, false),
        ] {
            assert_eq!(reader.may_use(owner), may, "{owner:?}");
        }
        assert!(!Reader::new(5, u64::MAX).may_use(Owner::NOBODY));
    }
}

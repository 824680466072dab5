//! Random numbers that are the same in every run.

/// Marsaglia's xorshift generator with 64 bits of state ("Xorshift RNGs", 2003, the triple 13, 7, 17).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; the seed must not be 0.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number, never 0.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 to `limit` - 1, by the upper half of a product, which unlike a remainder uses the high bits.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

//! The only door to randomness: a seed, and named children of it.

use super::digest::Digest;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// A point in a tree of seeds. The same path gives the same stream on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The root that a stage's `seed` field names.
    pub fn new(seed: u64) -> Self {
        Seed(blake3::derive_key("srlm seed root v1", &seed.to_le_bytes()))
    }

    /// The seed for one named use, such as `("rollout", step)`.
    pub fn child(&self, name: &str, index: u64) -> Seed {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&index.to_le_bytes()).update(name.as_bytes());
        Seed(*hasher.finalize().as_bytes())
    }

    /// What names this seed among all others.
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(&self.0)
    }

    /// The stream of this seed, from its start.
    pub fn stream(&self) -> Stream {
        Stream(ChaCha8Rng::from_seed(self.0))
    }
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Uniform in [0, 1), with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound`, without bias; `bound` must be positive.
    pub fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "an empty range has no member");
        let zone = u64::MAX - (u64::MAX - bound + 1) % bound;
        loop {
            let draw = self.0.next_u64();
            if draw <= zone {
                return draw % bound;
            }
        }
    }

    /// Uniform in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    /// One element of a slice that is not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Fisher–Yates, in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_differ_by_name_and_by_index() {
        let root = Seed::new(0);
        assert_ne!(root.child("a", 0), root.child("a", 1));
        assert_ne!(root.child("a", 0), root.child("b", 0));
        assert_eq!(root.child("a", 7), Seed::new(0).child("a", 7));
    }

    #[test]
    fn below_covers_its_range_evenly() {
        let mut stream = Seed::new(1).stream();
        let mut counts = [0usize; 7];
        (0..70_000).for_each(|_| counts[stream.below(7) as usize] += 1);
        assert!(counts.iter().all(|&n| (9_500..10_500).contains(&n)), "{counts:?}");
    }
}

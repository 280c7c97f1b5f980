//! The order in which samples are seen: a seeded shuffle an epoch, addressed by position so that it resumes exactly.

use crate::base::seed::Seed;

/// A shuffle of `0..len` for every epoch. The whole state is the position, a number that the caller keeps.
#[derive(Clone, Debug)]
pub struct Order {
    len: usize,
    seed: Seed,
    epoch: u64,
    shuffled: Vec<usize>,
}

impl Order {
    /// The order of `len` samples, which must be at least one, under a seed.
    pub fn new(len: usize, seed: Seed) -> Self {
        assert!(len > 0, "an order of no samples has no first");
        Order { len, seed, epoch: 0, shuffled: shuffle(len, seed, 0) }
    }

    /// The sample at a position counted over all epochs.
    pub fn at(&mut self, position: u64) -> usize {
        let epoch = self.epoch_of(position);
        if epoch != self.epoch {
            self.shuffled = shuffle(self.len, self.seed, epoch);
            self.epoch = epoch;
        }
        self.shuffled[(position % self.len as u64) as usize]
    }

    /// The samples at `position..position + count`; a batch may reach into the next epoch.
    pub fn batch(&mut self, position: u64, count: usize) -> Vec<usize> {
        (position..position + count as u64).map(|at| self.at(at)).collect()
    }

    /// The epoch, from 0, that a position lies in.
    pub fn epoch_of(&self, position: u64) -> u64 {
        position / self.len as u64
    }
}

fn shuffle(len: usize, seed: Seed, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    seed.child("order", epoch).stream().shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_holds_every_sample_once_and_differs() {
        let mut order = Order::new(50, Seed::new(3));
        let first = order.batch(0, 50);
        let second = order.batch(50, 50);
        assert_ne!(first, second);
        for mut epoch in [first, second] {
            epoch.sort_unstable();
            assert_eq!(epoch, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn it_resumes_from_any_position() {
        let mut straight = Order::new(7, Seed::new(1));
        let all = straight.batch(0, 40);
        for start in 0..40 {
            assert_eq!(Order::new(7, Seed::new(1)).batch(start as u64, 40 - start), all[start..]);
        }
        // Backwards too: a batch that is done again sees the same samples.
        assert_eq!(straight.batch(5, 10), all[5..15]);
    }
}

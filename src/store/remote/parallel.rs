//! The same for many items at once: most of the time with a remote cache is spent waiting for answers.

use super::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What `work` makes of each item, in their order, with at most `width` at a time.
pub(super) fn parallel<I: Sync, O: Send>(items: &[I], width: usize, work: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let one_after_another = || {
        while let Some((at, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
        {
            let made = work(item);
            lock(&done).push((at, made));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..width.min(items.len()) {
            scope.spawn(one_after_another);
        }
        one_after_another();
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(parallel(&items, 7, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(parallel(&[0_u8; 0], 4, |item| *item).is_empty());
    }
}

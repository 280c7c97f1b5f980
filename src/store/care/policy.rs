//! Which of the things that nothing needs go, and in which order: by numbers alone, without a look at the disk.

use crate::base::digest::Digest;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

/// What limits the things that no root reaches. Without a limit all of them go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Those that were last used longer ago than this go.
    pub older_than: Option<Duration>,
    /// The least valuable go until what has weight has at most this many bytes.
    pub max_size: Option<u64>,
}

/// Something that may go.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub key: Digest,
    /// A training state; else a result.
    pub is_state: bool,
    /// When it was made, or last asked for by a run.
    pub used: SystemTime,
    /// Work that it took to make.
    pub seconds: f64,
    /// Bytes that go with it in any case: the state, or what came second under the key.
    pub own: u64,
    /// What goes with it where nothing else needs it.
    pub blobs: BTreeSet<Digest>,
}

/// Why something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    NoRoot,
    Old,
    Size,
}

/// Something that goes.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub it: Candidate,
    pub why: Why,
    /// Bytes that its going frees, as what goes before it is gone.
    pub freed: u64,
}

/// How many need each blob, and what each weighs.
pub(super) struct Weights<'a> {
    pub users: HashMap<Digest, usize>,
    pub size: &'a dyn Fn(&Digest) -> u64,
    /// Bytes that have weight, without what goes in any case.
    pub total: u64,
}

/// Picks what goes, in the order in which it goes.
///
/// The order, least valuable first: training states before results, as they only save time should the same training be
/// asked for once more; what was used on an earlier day before what was used on a later one; what took less work for
/// each byte before what took more; and by key, so that it is the same every time.
pub(super) fn choose(
    mut candidates: Vec<Candidate>,
    mut weights: Weights,
    limits: Limits,
    now: SystemTime,
) -> Vec<Gone> {
    let size_of = weights.size;
    candidates.sort_by_cached_key(|it| {
        let bytes = it.own + it.blobs.iter().map(size_of).sum::<u64>();
        // Of floats that are not negative, the bits sort as the numbers do.
        let effort = (it.seconds.max(0.0) / bytes.max(1) as f64).to_bits();
        (!it.is_state, day(it.used), effort, it.key)
    });
    let is_old = |it: &Candidate| match limits {
        Limits { older_than: None, max_size: None } => true,
        Limits { older_than, .. } => {
            older_than.is_some_and(|limit| now.duration_since(it.used).is_ok_and(|age| age > limit))
        }
    };
    let (old, rest): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_old);
    let mut gone = Vec::new();
    for it in old {
        gone.push(weights.take(it, if limits.older_than.is_some() { Why::Old } else { Why::NoRoot }));
    }
    for it in rest {
        if limits.max_size.is_none_or(|limit| weights.total <= limit) {
            break;
        }
        gone.push(weights.take(it, Why::Size));
    }
    gone
}

impl Weights<'_> {
    /// Takes something away, and what nothing else needs.
    fn take(&mut self, it: Candidate, why: Why) -> Gone {
        let mut freed = it.own;
        for blob in &it.blobs {
            if let Some(users) = self.users.get_mut(blob) {
                *users -= 1;
                if *users == 0 {
                    freed += (self.size)(blob);
                }
            }
        }
        self.total = self.total.saturating_sub(freed);
        Gone { it, why, freed }
    }
}

fn day(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

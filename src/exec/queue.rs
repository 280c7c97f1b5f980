//! Which stage runs next: a ready queue over a graph, depth first, so that the first result appears early.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Stages that wait for others. `N` names a stage.
#[derive(Debug)]
pub struct Queue<N> {
    /// In the order in which they should run: everything behind the first target, then the second, …
    order: Vec<N>,
    needs: BTreeMap<N, BTreeSet<N>>,
    ready: BTreeSet<usize>,
}

impl<N: Copy + Ord> Queue<N> {
    /// A queue of everything that `targets` need. `needs` tells what a stage waits for, or nothing for one whose result
    /// is there; it is asked once a stage.
    pub fn new(targets: &[N], mut needs: impl FnMut(N) -> Option<Vec<N>>) -> Self {
        let mut walk = Walk { order: Vec::new(), found: BTreeMap::new() };
        targets.iter().for_each(|&target| walk.visit(target, &mut needs));
        let waiting = |found: &BTreeMap<N, Option<Vec<N>>>, inputs: &[N]| -> BTreeSet<N> {
            inputs.iter().copied().filter(|input| found[input].is_some()).collect()
        };
        let needs: BTreeMap<N, BTreeSet<N>> = walk
            .found
            .iter()
            .filter_map(|(&stage, inputs)| Some((stage, waiting(&walk.found, inputs.as_deref()?))))
            .collect();
        let ready = (0..walk.order.len()).filter(|&at| needs[&walk.order[at]].is_empty()).collect();
        Queue { order: walk.order, needs, ready }
    }

    /// Takes the first stage that waits for nothing.
    pub fn take(&mut self) -> Option<N> {
        self.ready.pop_first().map(|at| self.order[at])
    }

    /// The result of `stage` is there: what waited for it alone is ready.
    pub fn finish(&mut self, stage: N) {
        self.needs.remove(&stage);
        for (at, other) in self.order.iter().enumerate() {
            let Some(needs) = self.needs.get_mut(other) else { continue };
            if needs.remove(&stage) && needs.is_empty() {
                self.ready.insert(at);
            }
        }
    }

    /// `stage` has no result: removes everything that needs it, directly or not, and returns it in order.
    pub fn fail(&mut self, stage: N) -> Vec<N> {
        self.needs.remove(&stage);
        let mut lost = BTreeSet::from([stage]);
        // Inputs stand before what uses them, so one pass finds all.
        for other in &self.order {
            if self.needs.get(other).is_some_and(|needs| !needs.is_disjoint(&lost)) {
                lost.insert(*other);
            }
        }
        lost.remove(&stage);
        let blocked: Vec<N> = self.order.iter().copied().filter(|other| lost.contains(other)).collect();
        blocked.iter().for_each(|other| drop(self.needs.remove(other)));
        blocked
    }
}

struct Walk<N> {
    order: Vec<N>,
    found: BTreeMap<N, Option<Vec<N>>>,
}

impl<N: Copy + Ord> Walk<N> {
    /// Post-order without recursion: a chain may be longer than the stack is deep.
    fn visit(&mut self, target: N, needs: &mut impl FnMut(N) -> Option<Vec<N>>) {
        let mut open = vec![(target, false)];
        while let Some((stage, expanded)) = open.pop() {
            if expanded {
                self.order.push(stage);
            } else if let Entry::Vacant(entry) = self.found.entry(stage) {
                let inputs = needs(stage);
                if let Some(inputs) = &inputs {
                    open.push((stage, true));
                    open.extend(inputs.iter().rev().map(|&input| (input, false)));
                }
                entry.insert(inputs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// base → warm → {reason → exam1, exam2}; `base` is cached.
    fn needs(stage: &'static str) -> Option<Vec<&'static str>> {
        Some(match stage {
            "base" => return None,
            "warm" => vec!["base", "data"],
            "data" => vec![],
            "reason" => vec!["warm", "data"],
            "exam1" => vec!["reason"],
            "exam2" => vec!["warm"],
            "other" => vec![],
            _ => panic!("{stage}"),
        })
    }

    fn queue() -> Queue<&'static str> {
        Queue::new(&["exam1", "exam2", "other"], needs)
    }

    #[test]
    fn depth_first_by_target() {
        let mut queue = queue();
        let mut order = Vec::new();
        while let Some(stage) = queue.take() {
            order.push(stage);
            queue.finish(stage);
        }
        assert_eq!(order, ["data", "warm", "reason", "exam1", "exam2", "other"]);
    }

    #[test]
    fn only_what_waits_for_nothing_is_ready() {
        let mut queue = queue();
        assert_eq!([queue.take(), queue.take(), queue.take()], [Some("data"), Some("other"), None]);
        queue.finish("data");
        assert_eq!([queue.take(), queue.take()], [Some("warm"), None]);
    }

    #[test]
    fn a_failure_blocks_all_that_follows_and_nothing_else() {
        let mut queue = queue();
        assert_eq!(queue.take(), Some("data"));
        queue.finish("data");
        assert_eq!(queue.take(), Some("warm"));
        assert_eq!(queue.fail("warm"), ["reason", "exam1", "exam2"]);
        assert_eq!([queue.take(), queue.take()], [Some("other"), None]);
    }
}

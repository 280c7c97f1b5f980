//! Which stage runs next: a ready queue over a graph, depth first, so that the first result appears early.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Stages that wait for others. `N` names a stage.
#[derive(Debug)]
pub struct Queue<N> {
    /// In the order in which they should run: everything behind the first target, then the second, …
    order: Vec<N>,
    needs: BTreeMap<N, BTreeSet<N>>,
    /// What a stage waits for though it does not need its result.
    put_off: BTreeMap<N, BTreeSet<N>>,
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
        Queue { order: walk.order, needs, put_off: BTreeMap::new(), ready }
    }

    /// Puts `stage` off until `other` has ended, well or not. To be called before the first stage is taken; nothing may
    /// wait for itself by way of others.
    pub fn put_off(&mut self, stage: N, other: N) {
        if self.needs.contains_key(&stage) && self.needs.contains_key(&other) {
            self.put_off.entry(stage).or_default().insert(other);
            let order = &self.order;
            self.ready.retain(|&at| order[at] != stage);
        }
    }

    /// `stage` has ended: what was put off for it alone, and needs nothing more, is ready.
    fn release(&mut self, stage: N) {
        for (at, other) in self.order.iter().enumerate() {
            let Some(put_off) = self.put_off.get_mut(other) else { continue };
            if !put_off.remove(&stage) || !put_off.is_empty() {
                continue;
            }
            self.put_off.remove(other);
            if self.needs.get(other).is_some_and(BTreeSet::is_empty) {
                self.ready.insert(at);
            }
        }
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
            if needs.remove(&stage) && needs.is_empty() && !self.put_off.contains_key(other) {
                self.ready.insert(at);
            }
        }
        self.release(stage);
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
        blocked.iter().chain([&stage]).for_each(|&ended| self.release(ended));
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
    fn what_is_put_off_waits_for_the_end_of_another_whichever_it_is() {
        let mut waits = queue();
        waits.put_off("other", "warm");
        assert_eq!([waits.take(), waits.take()], [Some("data"), None]);
        waits.finish("data");
        assert_eq!([waits.take(), waits.take()], [Some("warm"), None]);
        assert_eq!(waits.fail("warm"), ["reason", "exam1", "exam2"]);
        assert_eq!([waits.take(), waits.take()], [Some("other"), None]);

        let mut waits = queue();
        waits.put_off("exam1", "exam2");
        let mut order = Vec::new();
        while let Some(stage) = waits.take() {
            order.push(stage);
            waits.finish(stage);
        }
        assert_eq!(order, ["data", "warm", "reason", "exam2", "exam1", "other"]);
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

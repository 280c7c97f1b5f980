//! Which stage runs next: a ready queue over a graph, depth first, so that the first result appears early.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Stages that wait for others. `N` names a stage.
///
/// Every call costs what it changes, not what there is: a run of ten thousand stages makes twenty thousand of them.
#[derive(Debug)]
pub struct Queue<N> {
    /// In the order in which they should run: everything behind the first target, then the second, …
    stages: Vec<Waiting<N>>,
    at: BTreeMap<N, usize>,
    ready: BTreeSet<usize>,
}

/// A stage by its place in the order.
#[derive(Debug)]
struct Waiting<N> {
    stage: N,
    /// How many results it still needs, and how many ends of others it waits for besides.
    needs: usize,
    /// Those that need its result.
    needed_by: Vec<usize>,
    /// Those that wait for its end, well or not.
    put_off: Vec<usize>,
    /// Finished, failed, or lost to a failure.
    is_over: bool,
}

impl<N: Copy + Ord> Queue<N> {
    /// A queue of everything that `targets` need. `needs` tells what a stage waits for, or nothing for one whose result
    /// is there; it is asked once a stage.
    pub fn new(targets: &[N], mut needs: impl FnMut(N) -> Option<Vec<N>>) -> Self {
        let mut walk = Walk { order: Vec::new(), found: BTreeMap::new() };
        targets.iter().for_each(|&target| walk.visit(target, &mut needs));
        let at: BTreeMap<N, usize> = walk.order.iter().enumerate().map(|(at, &stage)| (stage, at)).collect();
        let new = |stage| Waiting { stage, needs: 0, needed_by: vec![], put_off: vec![], is_over: false };
        let mut stages: Vec<Waiting<N>> = walk.order.into_iter().map(new).collect();
        for user in 0..stages.len() {
            let inputs = walk.found.get(&stages[user].stage).cloned().flatten().unwrap_or_default();
            // A stage may take one result in two roles.
            let inputs: BTreeSet<usize> = inputs.iter().filter_map(|input| at.get(input).copied()).collect();
            stages[user].needs = inputs.len();
            inputs.into_iter().for_each(|input| stages[input].needed_by.push(user));
        }
        let ready = (0..stages.len()).filter(|&at| stages[at].needs == 0).collect();
        Queue { stages, at, ready }
    }

    /// Puts `stage` off until `other` has ended, well or not. To be called before the first stage is taken; nothing may
    /// wait for itself by way of others.
    pub fn put_off(&mut self, stage: N, other: N) {
        if let (Some(&stage), Some(&other)) = (self.at.get(&stage), self.at.get(&other)) {
            self.stages[other].put_off.push(stage);
            self.stages[stage].needs += 1;
            self.ready.remove(&stage);
        }
    }

    /// Takes the first stage that waits for nothing.
    #[cfg(test)]
    pub fn take(&mut self) -> Option<N> {
        self.take_first(|_| true)
    }

    /// Takes the first stage that waits for nothing and that `fits`; the others keep their places.
    pub fn take_first(&mut self, mut fits: impl FnMut(N) -> bool) -> Option<N> {
        let at = self.ready.iter().copied().find(|&at| fits(self.stages[at].stage))?;
        self.ready.remove(&at);
        Some(self.stages[at].stage)
    }

    /// Puts a stage that was taken back to its place.
    pub fn put_back(&mut self, stage: N) {
        if let Some(&at) = self.at.get(&stage).filter(|&&at| !self.stages[at].is_over) {
            self.ready.insert(at);
        }
    }

    /// Whether a stage waits for its turn or runs.
    pub fn is_open(&self, stage: N) -> bool {
        self.at.get(&stage).is_some_and(|&at| !self.stages[at].is_over)
    }

    /// Brings a stage to the queue that was over, or whose result was there; it waits for those of its inputs that are
    /// open.
    pub fn reopen(&mut self, stage: N, inputs: impl IntoIterator<Item = N>) {
        let new = self.stages.len();
        let at = *self.at.entry(stage).or_insert(new);
        if at == new {
            self.stages.push(Waiting { stage, needs: 0, needed_by: vec![], put_off: vec![], is_over: true });
        }
        self.stages[at].is_over = false;
        self.stages[at].needs = 0;
        self.ready.insert(at);
        for input in inputs {
            if self.is_open(input) {
                self.wait_for(stage, input);
            }
        }
    }

    /// Lets a stage that could start, or was taken, wait for another that is open.
    pub fn wait_for(&mut self, stage: N, other: N) {
        if let (Some(&stage), Some(&other)) = (self.at.get(&stage), self.at.get(&other)) {
            self.stages[other].needed_by.push(stage);
            self.stages[stage].needs += 1;
            self.ready.remove(&stage);
        }
    }

    /// The result of `stage` is there: what waited for it alone is ready.
    pub fn finish(&mut self, stage: N) {
        let Some(at) = self.end(stage) else { return };
        for user in std::mem::take(&mut self.stages[at].needed_by) {
            self.release(user);
        }
        self.release_put_off(at);
    }

    /// `stage` has no result: removes everything that needs it, directly or not, and returns it in order.
    pub fn fail(&mut self, stage: N) -> Vec<N> {
        let Some(first) = self.end(stage) else { return Vec::new() };
        let (mut lost, mut open) = (BTreeSet::new(), vec![first]);
        while let Some(at) = open.pop() {
            for user in std::mem::take(&mut self.stages[at].needed_by) {
                if !self.stages[user].is_over {
                    self.stages[user].is_over = true;
                    self.ready.remove(&user);
                    lost.insert(user);
                    open.push(user);
                }
            }
        }
        lost.iter().chain([&first]).for_each(|&at| self.release_put_off(at));
        lost.into_iter().map(|at| self.stages[at].stage).collect()
    }

    /// Marks a stage as over; none where it is no stage of the queue, or was over before.
    fn end(&mut self, stage: N) -> Option<usize> {
        let at = *self.at.get(&stage)?;
        self.ready.remove(&at);
        (!std::mem::replace(&mut self.stages[at].is_over, true)).then_some(at)
    }

    fn release_put_off(&mut self, at: usize) {
        for other in std::mem::take(&mut self.stages[at].put_off) {
            self.release(other);
        }
    }

    /// One thing less that a stage waits for.
    fn release(&mut self, at: usize) {
        let waiting = &mut self.stages[at];
        waiting.needs = waiting.needs.saturating_sub(1);
        if waiting.needs == 0 && !waiting.is_over {
            self.ready.insert(at);
        }
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
    fn what_does_not_fit_keeps_its_place() {
        let mut queue = queue();
        assert_eq!(queue.take_first(|stage| stage != "data"), Some("other"));
        assert_eq!(queue.take_first(|stage| stage != "data"), None);
        queue.put_back("other");
        assert_eq!([queue.take(), queue.take()], [Some("data"), Some("other")]);
        queue.finish("other");
        queue.put_back("other");
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn what_was_over_or_cached_comes_back_and_others_wait_for_it() {
        let mut queue = queue();
        let [data, other] = [queue.take(), queue.take()];
        assert_eq!([data, other], [Some("data"), Some("other")]);
        queue.finish("data");
        queue.finish("other");
        assert_eq!(queue.take(), Some("warm"));
        // The result of `base` was there, and is not any more: `warm` waits for it, and it for `other`.
        queue.reopen("other", []);
        queue.reopen("base", ["other", "data"]);
        queue.wait_for("warm", "base");
        assert!(queue.is_open("base") && !queue.is_open("data"));
        let mut order = Vec::new();
        while let Some(stage) = queue.take() {
            order.push(stage);
            queue.finish(stage);
        }
        assert_eq!(order, ["other", "base", "warm", "reason", "exam1", "exam2"]);
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

//! The plan with a remote cache: what would run is asked for there, all of it at once.

use super::graph::{Graph, Node};
use super::resolve::{Plan, Resolver, Step, hit, known_inputs, shallow_hit, usable};
use crate::base::digest::Digest;
use crate::store::remote::{Answer, Question, Remote};
use crate::store::{Lookup, MissReason, Record};
use std::collections::{BTreeMap, BTreeSet};

/// What a remote cache knows of a stage without a result here.
pub(super) enum Elsewhere {
    /// It has a result.
    Found(Box<Step>),
    /// It has none, or was not asked.
    Absent,
    /// It was of no help.
    Failed(MissReason),
}

impl<'a> Resolver<'a> {
    /// A resolver that looks into a remote cache, too. It knows what was asked of it, and asks by itself only in
    /// [`Resolver::plan`].
    pub fn with_remote(mut self, remote: Option<&'a Remote>) -> Self {
        self.remote = remote;
        self
    }

    /// Asks anew about one stage whose inputs are made by now: another machine may have made its result meanwhile.
    pub fn ask_about(&self, index: usize, known: &BTreeMap<usize, Digest>) {
        let Some(remote) = self.remote else { return };
        let node = self.graph().node(index);
        remote.ask(questions(node, known_inputs(node, known).as_ref()));
    }

    /// Asks about every stage that would run, as far as that was not done yet; false where nothing is left to ask. A
    /// stage that nothing needs is none of the network's business.
    pub(super) fn ask_for(&self, steps: &[Step], asked: &mut BTreeSet<Question>) -> bool {
        let Some(remote) = self.remote else { return false };
        let open = steps.iter().filter(|step| step.status.runs());
        let open = open.flat_map(|step| questions(self.graph().node(step.node), step.inputs.as_ref()));
        let open: Vec<Question> = open.filter(|question| asked.insert(*question)).collect();
        remote.ask(open.iter().copied());
        !open.is_empty()
    }

    /// What the answers so far say of a stage: first by its deep key, then by its shallow one.
    pub(super) fn elsewhere(&self, index: usize, inputs: Option<&BTreeMap<String, Digest>>) -> Elsewhere {
        let Some(remote) = self.remote else { return Elsewhere::Absent };
        let node = self.graph().node(index);
        let mut trouble = None;
        for question in questions(node, inputs) {
            match remote.answer(&question) {
                Some(Answer::Found(record)) => {
                    if let Lookup::Found(record) = usable(node, Lookup::Found(record)) {
                        return Elsewhere::Found(Box::new(far(index, question, inputs, *record)));
                    }
                }
                Some(Answer::Failed(why)) => trouble = trouble.or(Some(MissReason::Remote { why })),
                Some(Answer::Absent) | None => {}
            }
        }
        trouble.map_or(Elsewhere::Absent, Elsewhere::Failed)
    }
}

impl Plan {
    /// The results in a remote cache that must come here: those of targets, and what goes into a stage that runs.
    pub fn to_fetch(&self, graph: &Graph) -> Vec<&Record> {
        let mut needed: BTreeSet<usize> = self.targets.iter().copied().collect();
        for step in self.steps.iter().filter(|step| step.status.runs()) {
            needed.extend(graph.node(step.node).inputs.iter().map(|(_, input)| *input));
        }
        let far = self.steps.iter().filter(|step| step.far && needed.contains(&step.node));
        far.filter_map(|step| step.record.as_ref()).collect()
    }
}

fn questions(node: &Node, inputs: Option<&BTreeMap<String, Digest>>) -> Vec<Question> {
    let shallow = inputs.map(|inputs| Question::Shallow(node.shallow_key(inputs)));
    std::iter::once(Question::Key(node.key)).chain(shallow).collect()
}

/// The step of a stage whose result is in the remote cache.
fn far(index: usize, question: Question, inputs: Option<&BTreeMap<String, Digest>>, record: Record) -> Step {
    let step = match (question, inputs) {
        (Question::Shallow(_), Some(inputs)) => shallow_hit(index, inputs.clone(), record),
        _ => hit(index, record),
    };
    Step { reason: format!("in the remote cache: {}", step.reason), far: true, ..step }
}

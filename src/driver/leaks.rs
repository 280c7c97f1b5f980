//! Test items inside the training data, found along the graph before anything runs.

use super::inputs::field_span;
use crate::base::kind::Kind;
use crate::diag::{Diagnostic, codes};
use crate::lang::program::{Program, StageCall};
use crate::lang::value::NodeId;
use crate::plan::facts::model_input;
use crate::stage;
use crate::stage::inspect::Prompt;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A warning for each dataset that a model is trained on and that holds prompts of one it is tested on. `prompts` are
/// those of declared files, by the index of their call.
pub fn warnings(program: &Program, prompts: &BTreeMap<usize, Vec<Prompt>>) -> Vec<Diagnostic> {
    if prompts.is_empty() {
        return Vec::new();
    }
    let graph = Graph { program, prompts };
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for scores in program.calls.iter().filter(|call| call.output == Kind::Scores) {
        let tests = graph.files(scores);
        for trained in graph.trained(scores).into_iter().filter(|_| !tests.is_empty()) {
            for (role, train) in graph.files(trained) {
                for (_, test) in &tests {
                    let place = (trained.span.source, trained.span.start, train, *test);
                    if told.insert(place) {
                        found.extend(graph.overlap(trained, &role, train, *test));
                    }
                }
            }
        }
    }
    found
}

struct Graph<'a> {
    program: &'a Program,
    prompts: &'a BTreeMap<usize, Vec<Prompt>>,
}

impl<'a> Graph<'a> {
    /// The stages that trained the model of a call.
    fn trained(&self, call: &'a StageCall) -> Vec<&'a StageCall> {
        let mut found = Vec::new();
        let mut next = model_input(call);
        while let Some(id) = next {
            let call = self.program.call(id);
            found.push(call);
            next = model_input(call);
        }
        found
    }

    /// The declared files whose rows a stage takes, each with the role they come in by.
    fn files(&self, call: &StageCall) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        for (role, id) in &call.inputs {
            let mut files = BTreeSet::new();
            self.collect(*id, &mut BTreeSet::new(), &mut files);
            found.extend(files.into_iter().map(|file| (role.clone(), file)));
        }
        found
    }

    /// The files behind a dataset, as far as its stages keep their prompts.
    fn collect(&self, id: NodeId, seen: &mut BTreeSet<usize>, files: &mut BTreeSet<usize>) {
        let call = self.program.call(id);
        if call.output != Kind::Dataset || !seen.insert(id.0) {
            return;
        }
        if self.prompts.contains_key(&id.0) {
            files.insert(id.0);
        } else if stage::find(&call.kind).is_some_and(|stage| stage.keeps_prompts()) {
            call.inputs.iter().for_each(|(_, input)| self.collect(*input, seen, files));
        }
    }

    fn overlap(&self, trained: &StageCall, role: &str, train: usize, test: usize) -> Option<Diagnostic> {
        let (training, testing) = (self.prompts.get(&train)?, self.prompts.get(&test)?);
        let keys: HashSet<u64> = training.iter().map(|prompt| prompt.key).collect();
        let mut shared = testing.iter().filter(|prompt| keys.contains(&prompt.key));
        let example = shared.next()?;
        let count = 1 + shared.count();
        let message = format!(
            "`{}` is trained on {count} of the {} prompts that its model is tested on",
            trained.name,
            testing.len()
        );
        let field = role.split('.').next().unwrap_or(role);
        let span = field_span(trained, |name| name == field);
        let test = &self.program.calls[test];
        let found = Diagnostic::warning(codes::TEST_IN_TRAINING, message, span, "test items are among these")
            .label(test.span, format!("tested on these; line {} is one", example.line));
        Some(found.help(format!("for example: \"{}\"; take such rows out, or test on others", example.text)))
    }
}

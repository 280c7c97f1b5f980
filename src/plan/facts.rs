//! Facts of models carried along the graph, so that a teacher with another tokenizer is found before any compute.

use crate::base::digest::Digest;
use crate::base::facts::{ModelFacts, TokenizerId};
use crate::base::kind::Kind;
use crate::diag::{Diagnostic, codes};
use crate::lang::program::{Program, StageCall};
use crate::lang::value::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// The role under which a stage takes the model that it changes.
pub const MODEL_ROLE: &str = "model";

/// What stages know: the stage catalogue in the driver, a table in tests.
pub trait FactSource {
    /// The facts of the model that a stage makes from nothing but its arguments and declared files.
    fn facts(&self, call: &StageCall) -> Option<ModelFacts>;
    /// The roles of the models that must have the tokenizer of the stage's own model.
    fn same_tokenizer(&self, call: &StageCall) -> Vec<&'static str>;
    /// The digest of the tokenizer that srlm trains itself.
    fn built_in(&self, vocabulary: usize) -> Option<Digest>;
}

/// For each stage the one that its model comes from: what trains a model keeps its architecture and its tokenizer.
/// Inputs come before what uses them, so one look at each is enough.
fn origins(program: &Program) -> Vec<NodeId> {
    let mut origins: Vec<NodeId> = Vec::with_capacity(program.calls.len());
    for (index, call) in program.calls.iter().enumerate() {
        origins.push(model_input(call).map_or(NodeId(index), |before| origins[before.0]));
    }
    origins
}

/// The model that a stage changes.
pub fn model_input(call: &StageCall) -> Option<NodeId> {
    let input = call.inputs.iter().find(|(role, _)| role == MODEL_ROLE);
    input.filter(|_| matches!(call.output, Kind::Model | Kind::Scores)).map(|(_, id)| *id)
}

/// An error for each stage that compares the distributions of models whose tokenizers differ.
pub fn tokenizer_conflicts(program: &Program, source: &dyn FactSource) -> Vec<Diagnostic> {
    let mut known = Known { program, source, facts: BTreeMap::new() };
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    let origins = origins(program);
    for call in &program.calls {
        let Some(student) = model_input(call).map(|id| origins[id.0]) else { continue };
        for role in source.same_tokenizer(call) {
            let Some((_, teacher)) = call.inputs.iter().find(|(name, _)| name == role) else { continue };
            let teacher = origins[teacher.0];
            let place = (call.span.source, call.span.start, student, teacher);
            if program.call(teacher).output == Kind::Teacher {
                found.extend(told.insert(place).then(|| words_only(call, role, program.call(teacher))));
            } else if known.differ(student, teacher) && told.insert(place) {
                found.push(conflict(call, role, [&known.show(student), &known.show(teacher)], program.call(student)));
            }
        }
    }
    found
}

/// A loss over distributions whose teacher tells no distributions.
fn words_only(call: &StageCall, role: &str, teacher: &StageCall) -> Diagnostic {
    let field = call.field_spans.iter().find(|(name, _)| name == role);
    let span = field.map_or(call.span, |(_, span)| *span);
    let message = format!("`{}` compares distributions, and a server tells none", call.name);
    Diagnostic::error(codes::WORDS_ONLY, message, span, format!("the {role} is behind a server"))
        .label(teacher.span, "declared here")
        .help("write `loss: text()`, which learns from the teacher's words; or take a teacher whose weights are here")
}

fn conflict(call: &StageCall, role: &str, [student, teacher]: [&str; 2], origin: &StageCall) -> Diagnostic {
    let field = call.field_spans.iter().find(|(name, _)| name == role);
    let span = field.map_or(call.span, |(_, span)| *span);
    let message = format!("`{}` compares token by token, and its {role} has another tokenizer", call.name);
    Diagnostic::error(codes::OTHER_TOKENIZER, message, span, format!("the {role}: {teacher}"))
        .label(origin.span, format!("the student comes from here: {student}"))
        .help("write `loss: text()`, which learns from the teacher's words; or take models of one tokenizer family")
}

/// Facts that were asked for.
struct Known<'a> {
    program: &'a Program,
    source: &'a dyn FactSource,
    facts: BTreeMap<NodeId, Option<ModelFacts>>,
}

impl Known<'_> {
    fn facts(&mut self, id: NodeId) -> Option<&ModelFacts> {
        let (program, source) = (self.program, self.source);
        self.facts.entry(id).or_insert_with(|| source.facts(program.call(id))).as_ref()
    }

    fn tokenizer(&mut self, id: NodeId) -> Option<TokenizerId> {
        self.facts(id).and_then(|facts| facts.tokenizer)
    }

    /// Whether two models surely have different tokenizers.
    fn differ(&mut self, one: NodeId, other: NodeId) -> bool {
        use TokenizerId::{BuiltIn, File};
        match (self.tokenizer(one), self.tokenizer(other)) {
            (Some(BuiltIn { vocabulary }), Some(File(digest))) | (Some(File(digest)), Some(BuiltIn { vocabulary })) => {
                self.source.built_in(vocabulary).is_some_and(|built_in| built_in != digest)
            }
            (Some(one), Some(other)) => one != other,
            _ => false,
        }
    }

    fn show(&mut self, id: NodeId) -> String {
        let facts = self.facts(id).map(|facts| (facts.architecture.clone(), facts.vocabulary));
        facts.map_or_else(String::new, |(architecture, rows)| format!("{architecture}, {rows} tokens"))
    }
}

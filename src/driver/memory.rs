//! What the stages of a plan need of memory, by the formulas of their kinds: shown in the plan, and held against what
//! there is before anything runs.

use super::{Checked, Failure, Project, inputs};
use crate::base::memory;
use crate::base::words::bytes;
use crate::diag::{Diagnostic, codes};
use crate::exec::settings::Settings;
use crate::hub::Cache;
use crate::lang::program::Program;
use crate::plan::facts::MODEL_ROLE;
use crate::plan::{Estimate, Node, Plan, Status};
use crate::stage::memory::{ModelConfig, Sizes, fitting, longest_row, shape_of};
use crate::stage::{self, Files};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Fills in the memory of stages to run where the kind has a formula; what the stage itself took once tells better.
pub fn estimate(project: &Project, plan: &mut Plan) {
    let known = Known::new(project, plan, Unknown::AsLongAsMayBe);
    let runs = |index: &usize| plan.steps[*index].status.runs();
    let found: Vec<(usize, u64)> =
        (0..plan.steps.len()).filter(runs).filter_map(|at| Some((at, known.needed(plan.steps[at].node)?))).collect();
    for (at, needed) in found {
        let step = &mut plan.steps[at];
        step.estimate = Some(Estimate::with_formula(step.estimate.take(), needed));
    }
}

/// Refuses a plan with a stage that cannot fit into the memory there is, however short the rows are that are not made
/// yet. A stage whose memory the profile says is never refused.
///
/// # Errors
/// [`Failure::File`] with an error at each such stage.
pub fn refuse(project: &Project, plan: &Plan, settings: &Settings) -> Result<(), Failure> {
    let Some(there) = settings.limits.memory.or_else(memory::total) else { return Ok(()) };
    let known = Known::new(project, plan, Unknown::AsShortAsMayBe);
    let surely_runs = |status: Status| status.runs() && status != Status::MayBeCutOff;
    let mut found = Vec::new();
    for step in plan.steps.iter().filter(|step| surely_runs(step.status)) {
        let node = project.graph.node(step.node);
        if settings.rules.of(&node.name, &node.kind).memory.is_some() {
            continue;
        }
        let measured = step.estimate.as_ref().and_then(Estimate::measured);
        if let Some(needed) = measured.or_else(|| known.needed(step.node)).filter(|needed| *needed > there) {
            found.push(too_large(node, needed, there, &known.fitting(step.node, there)));
        }
    }
    let sources = project.checked.sources.clone();
    Checked { program: Program::default(), diagnostics: Vec::new(), sources }.with(found).map(drop)
}

fn too_large(node: &Node, needed: u64, there: u64, fitting: &[String]) -> Diagnostic {
    let message = format!("`{}` needs about {} of memory, and there are {}", node.name, bytes(needed), bytes(there));
    let fit = match fitting {
        [] => "no single setting of it would fit: take a smaller model, or a machine with more memory".to_string(),
        some => format!("each of these alone would fit: {}", some.join("; ")),
    };
    let known = format!("where you know better, say so in a profile: `stages: {{ {}: {{ memory: … }} }}`", node.name);
    Diagnostic::error(codes::TOO_LARGE, message, node.span, "it would not fit").help(format!("{fit}. {known}"))
}

/// What is taken of rows that are not made yet.
#[derive(Clone, Copy, PartialEq)]
enum Unknown {
    AsLongAsMayBe,
    AsShortAsMayBe,
}

/// Sizes along the graph: from results that are there, else from declarations.
struct Known<'a> {
    project: &'a Project,
    plan: &'a Plan,
    unknown: Unknown,
    cache: Cache,
    shapes: RefCell<BTreeMap<usize, Option<ModelConfig>>>,
    rows: RefCell<BTreeMap<usize, Option<usize>>>,
}

impl<'a> Known<'a> {
    fn new(project: &'a Project, plan: &'a Plan, unknown: Unknown) -> Self {
        let (shapes, rows) = Default::default();
        Known { project, plan, unknown, cache: Cache::from_env(), shapes, rows }
    }

    fn needed(&self, index: usize) -> Option<u64> {
        let node = self.project.graph.node(index);
        let stage = stage::find(&node.kind).filter(|stage| !stage.memory_settings().is_empty())?;
        stage.memory(&node.args(), &Around { known: self, node })
    }

    fn fitting(&self, index: usize, there: u64) -> Vec<String> {
        let node = self.project.graph.node(index);
        let sizes = Around { known: self, node };
        let found = stage::find(&node.kind).map(|stage| fitting(stage, &node.args(), &sizes, there));
        found.into_iter().flatten().map(|(setting, needed)| format!("{setting} ({})", bytes(needed))).collect()
    }

    /// The files of a stage's result, where it is here.
    fn files(&self, index: usize) -> Option<Files> {
        let step = self.plan.step(index).filter(|step| !step.far)?;
        let digest = step.output(&self.project.graph)?;
        Some(self.project.store.artifact(&digest).ok()?.files())
    }

    fn shape(&self, index: usize) -> Option<ModelConfig> {
        if let Some(known) = self.shapes.borrow().get(&index) {
            return known.clone();
        }
        let node = self.project.graph.node(index);
        let found = self.files(index).as_ref().and_then(shape_of);
        let found = found.or_else(|| match input(node, MODEL_ROLE) {
            // What trains a model keeps its shape.
            Some(before) => self.shape(before),
            None => {
                let inputs = stage::inspect::Inputs { locate: &inputs::located, cache: &self.cache };
                stage::find(&node.kind)?.model_shape(&node.args(), &inputs)
            }
        });
        self.shapes.borrow_mut().insert(index, found.clone());
        found
    }

    fn longest_row(&self, index: usize) -> Option<usize> {
        let read = || self.files(index).as_ref().and_then(longest_row);
        let found = *self.rows.borrow_mut().entry(index).or_insert_with(read);
        found.or((self.unknown == Unknown::AsShortAsMayBe).then_some(1))
    }
}

/// The sizes of what goes into one stage.
struct Around<'a> {
    known: &'a Known<'a>,
    node: &'a Node,
}

impl Sizes for Around<'_> {
    fn model(&self, role: &str) -> Option<ModelConfig> {
        self.known.shape(input(self.node, role)?)
    }

    fn longest_row(&self, role: &str) -> Option<usize> {
        self.known.longest_row(input(self.node, role)?)
    }
}

fn input(node: &Node, role: &str) -> Option<usize> {
    node.inputs.iter().find(|(name, _)| name == role).map(|(_, index)| *index)
}

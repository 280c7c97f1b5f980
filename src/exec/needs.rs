//! What a stage needs of memory, once everything that goes into it is there.

use super::resources::Demand;
use super::run::World;
use super::settings::Settings;
use crate::base::digest::Digest;
use crate::base::words::bytes;
use crate::plan::{Estimate, Node, known_inputs};
use crate::stage::memory::{OfFiles, fitting};
use crate::stage::{self, Files, Stage};
use std::collections::BTreeMap;

/// What a stage takes: as a profile says it, else as it took once, else by the formula of its kind.
pub fn demand(world: &World, settings: &Settings, index: usize, known: &BTreeMap<usize, Digest>) -> Demand {
    let node = world.graph.node(index);
    let given = settings.rules.of(&node.name, &node.kind);
    let measured = || world.plan.step(index)?.estimate.as_ref().and_then(Estimate::measured);
    let (memory, is_estimated) = match given.memory {
        Some(said) => (said, false),
        None => (measured().or_else(|| estimate(world, node, known)).unwrap_or(0), true),
    };
    Demand { memory, is_estimated, cores: given.cpus, gpus: given.gpus, mutex: given.mutex, alone: false }
}

fn estimate(world: &World, node: &Node, known: &BTreeMap<usize, Digest>) -> Option<u64> {
    let (stage, files) = (with_formula(node)?, files(world, node, known)?);
    stage.memory(&node.args(), &OfFiles(&files))
}

/// Settings of a stage that would fit into so many bytes, each changed alone, in words; nothing where none would.
pub fn advice(world: &World, node: &Node, known: &BTreeMap<usize, Digest>, there: u64) -> String {
    let found = with_formula(node).zip(files(world, node, known));
    let found = found.map(|(stage, files)| fitting(stage, &node.args(), &OfFiles(&files), there)).unwrap_or_default();
    let written: Vec<String> =
        found.iter().map(|(setting, needed)| format!("{setting} ({})", bytes(*needed))).collect();
    match written.is_empty() {
        true => "; no single setting of it would fit: take a smaller model".to_string(),
        false => format!("; each of these alone would fit: {}", written.join("; ")),
    }
}

fn with_formula(node: &Node) -> Option<&'static dyn Stage> {
    stage::find(&node.kind).filter(|stage| !stage.memory_settings().is_empty())
}

fn files(world: &World, node: &Node, known: &BTreeMap<usize, Digest>) -> Option<BTreeMap<String, Files>> {
    let inputs = known_inputs(node, known)?;
    inputs.iter().map(|(role, digest)| Some((role.clone(), world.store.artifact(digest).ok()?.files()))).collect()
}

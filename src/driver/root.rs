//! What a run wants, told to the store before the run looks at it, so that gc keeps it.

use super::Project;
use crate::store::RunRootGuard;
use std::path::Path;

/// Roots the targets of these names, or all, with every stage they need; to be held as long as the run works. None where
/// the store cannot be written, or a name means nothing, which the plan says.
pub fn root(project: &Project, file: &Path, targets: &[String]) -> Option<RunRootGuard> {
    let graph = &project.graph;
    let wanted: Vec<usize> = graph.select(targets).ok()?.iter().map(|target| target.node).collect();
    let keys = |nodes: &[usize]| nodes.iter().map(|&node| graph.node(node).key).collect();
    let stages = graph.in_order(&wanted);
    project.store.root_run(&file.to_string_lossy(), keys(&wanted), keys(&stages))
}

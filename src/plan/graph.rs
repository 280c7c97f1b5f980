//! The stage graph: equal stages are one node, whatever they are called and wherever they stand.

use super::key;
use crate::base::digest::Digest;
use crate::base::kind::Kind;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use crate::lang::name::Name;
use crate::lang::program::{Program, StageCall};
use crate::lang::signature::Training;
use crate::lang::value::{NodeId, Value, fields_to_json};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{DfsPostOrder, Reversed};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

/// The content of declared input files: the disk in the driver, a map in tests.
pub trait Files {
    /// The digest of the content of a file or folder, by the path that the arguments name.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read.
    fn digest(&self, path: &str) -> Result<Digest, String>;
}

/// One distinct stage.
#[derive(Clone, Debug)]
pub struct Node {
    /// The deep key.
    pub key: Digest,
    /// The stage kind.
    pub kind: String,
    /// Its semantic version.
    pub version: u32,
    /// The name of the binding that configured it first.
    pub name: String,
    /// The arguments, paths as written.
    args: Arc<Vec<(Name, Value)>>,
    /// Those of them that are no part of the key.
    unkeyed: Vec<&'static str>,
    /// The paths in them, each with the digest of the content that the key stands for.
    pub contents: Arc<BTreeMap<String, Digest>>,
    /// Made where someone asks: as JSON, the stages of a large program would take up hundreds of megabytes.
    document: OnceLock<Json>,
    /// Role to the index of the node that makes it.
    pub inputs: Vec<(String, usize)>,
    /// The deep keys of the inputs, in their order.
    upstream: Vec<Digest>,
    /// What it makes.
    pub output: Kind,
    /// What of it this version cannot run.
    pub unbuilt: Option<&'static str>,
    /// Where it was first configured.
    pub span: Span,
    /// Where each written field stands.
    pub field_spans: Arc<[(Name, Span)]>,
    /// How its training depends on its length, where it trains.
    pub training: Option<Training>,
    /// The targets that need it: pipelines `name`, cells `sweep[order=sft_rl, seed=1]`.
    pub labels: Vec<Arc<str>>,
}

impl Node {
    /// The role of its output in the record.
    pub fn output_role(&self) -> String {
        self.output.name().to_lowercase()
    }

    /// Canonical arguments for the worker, paths as written.
    pub fn args(&self) -> Json {
        fields_to_json(&self.args)
    }

    /// What the deep key hashes.
    pub fn document(&self) -> &Json {
        self.document.get_or_init(|| {
            let roles = self.inputs.iter().map(|(role, _)| role.as_str());
            let inputs = roles.zip(self.upstream.iter().copied()).collect();
            let args = keyed(&self.args, &self.unkeyed);
            key::document(&self.kind, self.version, &args, &inputs, &self.contents)
        })
    }

    /// Its shallow key, given the artifact digest of every input by role.
    pub fn shallow_key(&self, inputs: &BTreeMap<String, Digest>) -> Digest {
        key::shallow_key(self.document(), inputs)
    }
}

/// Something the file wants made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `name`, or `sweep[order=sft_rl, seed=1]`.
    pub label: String,
    /// The pipeline or sweep it belongs to.
    pub owner: String,
    /// Whether it is a cell of a sweep.
    pub is_cell: bool,
    /// The node that makes it.
    pub node: usize,
}

/// A name that is no pipeline, sweep, compare or cell of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file has no pipeline, sweep or compare called `{name}`; it has {}", .known.join(", "))]
pub struct UnknownTarget {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: Vec<String>,
}

/// All distinct stages of a program; an edge leads from a stage to one that takes its result.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    dag: DiGraph<Node, ()>,
    by_key: HashMap<Digest, usize>,
    /// The node of each call of the program.
    calls: Vec<Option<usize>>,
    targets: Vec<Target>,
    compares: Vec<(String, String)>,
}

impl Graph {
    /// Gives every stage call its key and merges those with the same.
    ///
    /// # Errors
    /// A diagnostic for each declared file that cannot be read, at the call that names it.
    pub fn build(program: &Program, files: &dyn Files) -> Result<Graph, Vec<Diagnostic>> {
        let mut builder = Builder::new(files);
        builder.graph.dag.reserve_exact_nodes(program.calls.len());
        program.calls.iter().for_each(|call| builder.add(call));
        builder.add_targets(program);
        builder.mark_unbuilt(program);
        builder.graph.calls = std::mem::take(&mut builder.nodes);
        if builder.errors.is_empty() { Ok(builder.graph) } else { Err(builder.errors) }
    }

    /// How many distinct stages there are.
    pub fn len(&self) -> usize {
        self.dag.node_count()
    }

    /// Whether there is no stage at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stage at an index below [`Graph::len`].
    pub fn node(&self, index: usize) -> &Node {
        &self.dag[NodeIndex::new(index)]
    }

    /// All stages; each stands after those it takes from.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.dag.node_weights()
    }

    /// The stage with that deep key.
    pub fn find(&self, key: &Digest) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The stage that a call of the program is.
    pub fn node_of(&self, call: NodeId) -> Option<usize> {
        self.calls.get(call.0).copied().flatten()
    }

    /// The stages that people may mean: by name, by label, or by at least four first digits of the key.
    pub fn named(&self, text: &str) -> Vec<usize> {
        let by_label = self.targets.iter().filter(|target| target.label == text).map(|target| target.node);
        let mut found: Vec<usize> = by_label.collect();
        found.extend((0..self.len()).filter(|&index| {
            let node = self.node(index);
            node.name == text || (text.len() >= 4 && node.key.to_string().starts_with(text))
        }));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Everything the file wants made, in its order.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The targets that these names of pipelines, sweeps, compares or cells mean; all of them for no name.
    ///
    /// # Errors
    /// [`UnknownTarget`] for a name that means none.
    pub fn select(&self, names: &[String]) -> Result<Vec<&Target>, UnknownTarget> {
        if names.is_empty() {
            return Ok(self.targets.iter().collect());
        }
        let mut chosen = vec![false; self.targets.len()];
        for name in names {
            let owner = self.compares.iter().find(|(compare, _)| compare == name).map_or(name, |(_, of)| of);
            let matches = |target: &Target| target.owner == *owner || target.label == *name;
            let found: Vec<usize> = (0..chosen.len()).filter(|&at| matches(&self.targets[at])).collect();
            if found.is_empty() {
                return Err(self.unknown(name));
            }
            found.into_iter().for_each(|at| chosen[at] = true);
        }
        Ok(self.targets.iter().zip(chosen).filter_map(|(target, chosen)| chosen.then_some(target)).collect())
    }

    /// A stage and everything upstream, each after its inputs.
    pub fn closure(&self, index: usize) -> Vec<usize> {
        self.in_order(&[index])
    }

    /// Some stages and everything upstream, each once and after its inputs, depth-first in the order given: what the
    /// first one needs comes first.
    pub fn in_order(&self, wanted: &[usize]) -> Vec<usize> {
        let upstream = Reversed(&self.dag);
        let mut walk = DfsPostOrder::empty(upstream);
        let mut order = Vec::new();
        for &index in wanted {
            walk.move_to(NodeIndex::new(index));
            while let Some(next) = walk.next(upstream) {
                order.push(next.index());
            }
        }
        order
    }

    fn unknown(&self, name: &str) -> UnknownTarget {
        let mut known: Vec<String> = self.targets.iter().map(|target| format!("`{}`", target.owner)).collect();
        known.extend(self.compares.iter().map(|(compare, _)| format!("`{compare}`")));
        known.dedup();
        if known.is_empty() {
            known.push("none".to_string());
        }
        UnknownTarget { name: name.to_string(), known }
    }
}

/// The graph while it grows.
struct Builder<'a> {
    files: &'a dyn Files,
    graph: Graph,
    /// The node of each call; none where it or something upstream is in error.
    nodes: Vec<Option<usize>>,
    contents: HashMap<String, Result<Digest, String>>,
    /// What calls with these paths read: many read the same.
    read: HashMap<Vec<String>, Arc<BTreeMap<String, Digest>>>,
    errors: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(files: &'a dyn Files) -> Self {
        let (graph, nodes, contents, read, errors) = Default::default();
        Builder { files, graph, nodes, contents, read, errors }
    }

    fn add(&mut self, call: &StageCall) {
        let contents = self.contents_of(call);
        let inputs = self.inputs_of(call);
        let node = contents.zip(inputs).map(|(contents, inputs)| self.intern(call, &contents, inputs));
        self.nodes.push(node);
    }

    /// The digests of the files that a call names; an error for each that cannot be read.
    fn contents_of(&mut self, call: &StageCall) -> Option<Arc<BTreeMap<String, Digest>>> {
        let paths = key::paths(&call.args);
        if let Some(read) = self.read.get(&paths) {
            return Some(read.clone());
        }
        let mut found = BTreeMap::new();
        for path in &paths {
            let content = self.contents.entry(path.clone()).or_insert_with(|| self.files.digest(path));
            match content {
                Ok(digest) => drop(found.insert(path.clone(), *digest)),
                Err(message) => self.errors.push(unreadable(call, path, message)),
            }
        }
        let is_whole = found.len() == paths.len();
        is_whole.then(|| self.read.entry(paths).or_insert_with(|| Arc::new(found)).clone())
    }

    fn inputs_of(&mut self, call: &StageCall) -> Option<Vec<(String, usize)>> {
        let mut inputs = Vec::with_capacity(call.inputs.len());
        for (role, id) in &call.inputs {
            match self.nodes.get(id.0) {
                Some(node) => inputs.push((role.clone(), (*node)?)),
                None => {
                    self.errors.push(broken(call.span, "a stage stands before its input"));
                    return None;
                }
            }
        }
        Some(inputs)
    }

    /// The node of a call, made unless there is one with its key.
    fn intern(
        &mut self,
        call: &StageCall,
        contents: &Arc<BTreeMap<String, Digest>>,
        inputs: Vec<(String, usize)>,
    ) -> usize {
        let upstream: Vec<Digest> = inputs.iter().map(|(_, index)| self.graph.node(*index).key).collect();
        let keys = inputs.iter().map(|(role, _)| role.as_str()).zip(upstream.iter().copied()).collect();
        let args = keyed(&call.args, &call.unkeyed);
        let key = key::deep_key(&key::document(&call.kind, call.version, &args, &keys, contents));
        if let Some(index) = self.graph.find(&key) {
            return index;
        }
        let sources: Vec<usize> = inputs.iter().map(|(_, index)| *index).collect();
        let index = self.graph.dag.add_node(node(call, key, inputs, upstream, contents.clone()));
        for source in sources {
            self.graph.dag.add_edge(NodeIndex::new(source), index, ());
        }
        self.graph.by_key.insert(key, index.index());
        index.index()
    }

    fn add_targets(&mut self, program: &Program) {
        for pipeline in &program.pipelines {
            self.add_target(pipeline.target, pipeline.span, pipeline.name.clone(), &pipeline.name, false);
        }
        for sweep in &program.sweeps {
            for cell in &sweep.cells {
                let label = cell_label(&sweep.name, &cell.coordinates);
                self.add_target(cell.target, sweep.span, label, &sweep.name, true);
            }
        }
        let compares = program.compares.iter().map(|compare| (compare.name.clone(), compare.of.clone()));
        self.graph.compares = compares.collect();
    }

    fn mark_unbuilt(&mut self, program: &Program) {
        for unbuilt in &program.unbuilt {
            if let Some(Some(node)) = self.nodes.get(unbuilt.node.0) {
                self.graph.dag[NodeIndex::new(*node)].unbuilt.get_or_insert(unbuilt.what);
            }
        }
    }

    fn add_target(&mut self, id: NodeId, span: Span, label: String, owner: &str, is_cell: bool) {
        match self.nodes.get(id.0) {
            Some(Some(node)) => {
                let shared: Arc<str> = label.as_str().into();
                for index in self.graph.closure(*node) {
                    self.graph.dag[NodeIndex::new(index)].labels.push(shared.clone());
                }
                self.graph.targets.push(Target { label, owner: owner.to_string(), is_cell, node: *node });
            }
            // What is wrong upstream has been told.
            Some(None) => {}
            None => self.errors.push(broken(span, "a target is no stage of the program")),
        }
    }
}

/// The label of a cell: `sweep[order=sft_rl, seed=1]`.
pub fn cell_label(sweep: &str, coordinates: &[(String, String)]) -> String {
    let coordinates: Vec<String> = coordinates.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    format!("{sweep}[{}]", coordinates.join(", "))
}

fn node(
    call: &StageCall,
    key: Digest,
    inputs: Vec<(String, usize)>,
    upstream: Vec<Digest>,
    contents: Arc<BTreeMap<String, Digest>>,
) -> Node {
    Node {
        key,
        kind: call.kind.clone(),
        version: call.version,
        name: call.name.clone(),
        args: call.args.clone(),
        unkeyed: call.unkeyed.clone(),
        contents,
        document: OnceLock::new(),
        inputs,
        upstream,
        output: call.output,
        unbuilt: None,
        span: call.span,
        field_spans: call.field_spans.clone(),
        training: call.training,
        labels: Vec::new(),
    }
}

/// The arguments that are part of the key.
fn keyed<'a>(args: &'a [(Name, Value)], unkeyed: &[&str]) -> Cow<'a, [(Name, Value)]> {
    if unkeyed.is_empty() {
        return Cow::Borrowed(args);
    }
    Cow::Owned(args.iter().filter(|(name, _)| !unkeyed.contains(&name.as_str())).cloned().collect())
}

fn unreadable(call: &StageCall, path: &str, message: &str) -> Diagnostic {
    let names_it = |name: &str| call.args.iter().any(|(field, value)| field == name && mentions(value, path));
    let field = call.field_spans.iter().find(|(name, _)| names_it(name));
    let span = field.map_or(call.span, |(_, span)| *span);
    Diagnostic::error(codes::UNREADABLE_INPUT, format!("`{path}` cannot be read"), span, message)
}

fn mentions(value: &Value, path: &str) -> bool {
    key::paths(&[("".into(), value.clone())]).iter().any(|found| found == path)
}

fn broken(span: Span, what: &str) -> Diagnostic {
    let message = format!("srlm made a broken program: {what}; please report this");
    Diagnostic::error(codes::BROKEN_PROGRAM, message, span, "made from this")
}

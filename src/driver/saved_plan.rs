//! A plan in a file: what would be done, so that a run can be held to it.

use super::{Failure, Project, Settings};
use crate::base::digest::Digest;
use crate::base::fs::at;
use crate::plan::{Earlier, Explainer, History, Node, Past, Plan, Status, Step};
use crate::store::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The form of the file, raised when an older srlm could misread it.
const VERSION: u32 = 1;
/// Differences that are told before "and N more".
const TOLD: usize = 8;

/// What `srlm plan --out` writes and `srlm run --plan` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    version: u32,
    srlm: String,
    time: String,
    /// The folder that paths count from.
    pub folder: PathBuf,
    /// The pipeline file.
    pub file: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// `-p name=expr`
    pub params: Vec<(String, String)>,
    /// `--params FILE`
    pub params_file: Option<PathBuf>,
    /// `--target NAME`
    pub targets: Vec<String>,
    /// The digest of what stands in each declared file or folder, by the path as it is written.
    inputs: BTreeMap<String, Digest>,
    /// Every distinct stage, each after its inputs.
    stages: Vec<SavedStage>,
}

/// A stage of a saved plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedStage {
    key: Digest,
    kind: String,
    name: String,
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resume_step: Option<u64>,
    reason: String,
    document: Json,
}

impl SavedPlan {
    /// The plan of a project's targets, as it was made in the current folder.
    ///
    /// # Errors
    /// [`Failure::Machine`] where there is no current folder.
    pub fn new(
        project: &Project,
        plan: &Plan,
        file: &Path,
        settings: Settings,
        targets: &[String],
    ) -> Result<Self, Failure> {
        let folder = std::env::current_dir().map_err(|error| Failure::Machine(error.to_string()))?;
        let node = |step: &Step| project.graph.node(step.node);
        let inputs = plan.steps.iter().flat_map(|step| node(step).contents.iter());
        let inputs = inputs.map(|(path, digest)| (path.clone(), *digest)).collect();
        Ok(SavedPlan {
            version: VERSION,
            srlm: env!("CARGO_PKG_VERSION").to_string(),
            time: rfc3339(SystemTime::now()),
            store: folder.join(project.store.root()),
            folder,
            file: file.to_path_buf(),
            params: settings.params.to_vec(),
            params_file: settings.file.map(Path::to_path_buf),
            targets: targets.to_vec(),
            inputs,
            stages: plan.steps.iter().map(|step| SavedStage::new(node(step), step)).collect(),
        })
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`Failure::Input`] where it is none, or of another version.
    pub fn read(path: &Path) -> Result<SavedPlan, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::Input(at(path, error).to_string()))?;
        let broken = |why: String| Failure::Input(format!("{} is no plan of `srlm plan --out`: {why}", path.display()));
        let json: Json = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        match json["version"].as_u64() {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                return Err(broken(format!("it has version {version}, this srlm reads version {VERSION}")));
            }
            None => return Err(broken("it has no version".to_string())),
        }
        serde_json::from_value(json).map_err(|error| broken(error.to_string()))
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What the command line set.
    pub fn settings(&self) -> Settings<'_> {
        Settings { params: &self.params, file: self.params_file.as_deref() }
    }

    /// Refuses a plan that is not this one any more.
    ///
    /// # Errors
    /// [`Failure::Input`] that says which declared files, fields and results changed.
    pub fn hold(&self, project: &Project, plan: &Plan) -> Result<(), Failure> {
        let mut changes = self.changed_inputs(project, plan);
        changes.extend(self.changed_stages(project, plan));
        changes.extend(self.changed_statuses(project, plan));
        if changes.is_empty() {
            return Ok(());
        }
        let more = changes.len().saturating_sub(TOLD);
        changes.truncate(TOLD);
        changes.extend((more > 0).then(|| format!("and {more} more")));
        let told = changes.join("\n  ");
        Err(Failure::Input(format!(
            "the plan of {} does not hold any more, so nothing was run:\n  {told}\nmake a new one with `srlm plan {} --out …`, or run without --plan",
            self.time,
            self.file.display()
        )))
    }

    fn changed_inputs(&self, project: &Project, plan: &Plan) -> Vec<String> {
        let contents = plan.steps.iter().flat_map(|step| project.graph.node(step.node).contents.iter());
        let now: BTreeMap<&String, &Digest> = contents.collect();
        let change = |(path, was): (&String, &Digest)| {
            let is = now.get(path).filter(|is| **is != was)?;
            Some(format!("{path} changed: its content was {}, and is {}", was.short(), is.short()))
        };
        self.inputs.iter().filter_map(change).collect()
    }

    /// Stages that the plan does not have, where all their inputs are ones that it has; and targets that went.
    fn changed_stages(&self, project: &Project, plan: &Plan) -> Vec<String> {
        let graph = &project.graph;
        let saved: HashMap<Digest, &SavedStage> = self.stages.iter().map(|stage| (stage.key, stage)).collect();
        let past = self.stages.iter().map(|stage| Past::new(stage.key, &stage.kind, &stage.name, &stage.document));
        let look = |key: &Digest| saved.get(key).map(|stage| stage.earlier());
        let history = History::new(past.collect());
        let explainer = Explainer::new(graph, &project.checked.sources, history, Box::new(look));
        let is_saved = |node: usize| saved.contains_key(&graph.node(node).key);
        let is_first = |node: &Node| node.inputs.iter().all(|(_, input)| is_saved(*input));
        let new = plan.steps.iter().map(|step| step.node).filter(|&node| !is_saved(node) && is_first(graph.node(node)));
        let told = |node: usize| {
            let explanation = explainer.explain(node);
            let name = &graph.node(node).name;
            match explanation.nearest {
                Some(_) if explanation.beside.is_none() => format!("`{name}`: {explanation}"),
                _ => format!("`{name}` is no stage of the plan"),
            }
        };
        let mut changes: Vec<String> = new.map(told).collect();
        let planned = |stage: &&SavedStage| graph.find(&stage.key).and_then(|node| plan.step(node)).is_some();
        let gone = self.stages.iter().filter(|stage| !planned(stage));
        if changes.is_empty() {
            changes
                .extend(gone.map(|stage| format!("`{}` ({}) is not needed any more", stage.name, stage.key.short())));
        }
        changes
    }

    fn changed_statuses(&self, project: &Project, plan: &Plan) -> Vec<String> {
        let change = |stage: &SavedStage| {
            let step = plan.step(project.graph.find(&stage.key)?)?;
            let (was, is) = (stage.told(), SavedStage::new(project.graph.node(step.node), step).told());
            (was != is).then(|| format!("`{}` {was} by the plan, and now {is}: {}", stage.name, step.reason))
        };
        self.stages.iter().filter_map(change).collect()
    }
}

impl SavedStage {
    fn new(node: &Node, step: &Step) -> SavedStage {
        let resume_step = match step.status {
            Status::Resume { step } => Some(step),
            _ => None,
        };
        SavedStage {
            key: node.key,
            kind: node.kind.clone(),
            name: node.name.clone(),
            status: step.status.word().to_string(),
            resume_step,
            reason: step.reason.clone(),
            document: node.document().clone(),
        }
    }

    fn earlier(&self) -> Earlier {
        let SavedStage { key, kind, name, document, .. } = self.clone();
        Earlier { key, kind, name, document }
    }

    fn told(&self) -> String {
        match (self.status.as_str(), self.resume_step) {
            ("hit", _) => "is cached".to_string(),
            ("run", _) => "runs".to_string(),
            ("resume", Some(step)) => format!("resumes at step {step}"),
            ("resume", None) => "goes on from a shorter training".to_string(),
            ("not_needed", _) => "is not needed".to_string(),
            (other, _) => format!("is {other}"),
        }
    }
}

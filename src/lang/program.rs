//! What a checked and evaluated file is: stage calls without duplicates, and what the file asks of them.

use super::name::Name;
use super::signature::Training;
use super::value::{NodeId, Value};
use crate::base::kind::Kind;
use crate::base::measure::Measure;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use std::sync::Arc;

/// A stage with all its arguments, hash-consed: equal calls are one.
#[derive(Clone, Debug)]
pub struct StageCall {
    /// The stage kind.
    pub kind: String,
    /// Its semantic version.
    pub version: u32,
    /// Every field with its default filled in, in the signature's order; artifacts appear as [`Value::Input`]. Shared with
    /// the plan's graph: of a large program they are most of the memory.
    pub args: Arc<Vec<(Name, Value)>>,
    /// Those of them that are no part of the key.
    pub unkeyed: Vec<&'static str>,
    /// Role to the call that makes it, the piped one included. Roles are `model`, `data`, `suite.arith.data`, …
    pub inputs: Vec<(String, NodeId)>,
    /// What it makes.
    pub output: Kind,
    /// The name of the binding that configured it, or the kind.
    pub name: String,
    /// Where it was first configured.
    pub span: Span,
    /// Where each written field stands, for messages about a change.
    pub field_spans: Arc<[(Name, Span)]>,
    /// How its training depends on its length, where it trains.
    pub training: Option<Training>,
}

/// A named value that the file wants made.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Its doc comment.
    pub doc: Option<String>,
    /// The last stage.
    pub target: NodeId,
    /// Where it is declared.
    pub span: Span,
}

/// One point of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Axis name to the label of its value.
    pub coordinates: Vec<(String, String)>,
    /// The stage that gives its result.
    pub target: NodeId,
}

/// All combinations of some axes, those skipped left out.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Its name.
    pub name: String,
    /// Its doc comment.
    pub doc: Option<String>,
    /// Axis names in the order written, each with the labels of its values.
    pub axes: Vec<(String, Vec<String>)>,
    /// The cells, in the order of the axes, the last axis fastest.
    pub cells: Vec<Cell>,
    /// Where it is declared.
    pub span: Span,
}

/// A table that compares the cells of a sweep.
#[derive(Clone, Debug)]
pub struct Compare {
    /// Its name.
    pub name: String,
    /// The sweep's name.
    pub of: String,
    /// The benchmark's name in the suite.
    pub bench: String,
    /// The number to compare.
    pub metric: Measure,
    /// The axes whose combinations are the rows.
    pub by: Vec<String>,
    /// The axis that repeats a row, such as the seed.
    pub across: Option<String>,
    /// Coordinates of the row the others are compared with.
    pub baseline: Vec<(String, String)>,
    /// Where it is declared.
    pub span: Span,
}

/// How to run: never part of a key.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: Vec<(Name, Value)>,
    /// Where it is declared.
    pub span: Span,
}

/// Something in a stage that this version checks and plans, but cannot run.
#[derive(Clone, Debug)]
pub struct Unbuilt {
    /// The stage.
    pub node: NodeId,
    /// What it is.
    pub what: &'static str,
    /// Where it is written.
    pub span: Span,
    /// The user's call that leads there, where the place itself is in the standard library.
    pub by_way_of: Option<Span>,
}

impl Unbuilt {
    /// The warning; none where nothing of the user's leads to the place.
    pub fn warning(&self, in_std: impl Fn(Span) -> bool) -> Option<Diagnostic> {
        let message = format!("this version checks and plans {}, but cannot run it yet", self.what);
        let span = self.by_way_of.unwrap_or(self.span);
        let found = Diagnostic::warning(codes::CANNOT_RUN_YET, message, span, "`srlm run` will refuse this");
        (!in_std(span)).then_some(found)
    }

    /// The error of a run that needs it.
    pub fn error(&self) -> Diagnostic {
        let message = format!("this version cannot run {} yet", self.what);
        let help = "run other targets, or leave it out; `srlm check` and `srlm plan` work with it";
        match self.by_way_of {
            Some(call) => {
                Diagnostic::error(codes::NOT_BUILT, message, call, "by way of this call").label(self.span, "here")
            }
            None => Diagnostic::error(codes::NOT_BUILT, message, self.span, "not built yet"),
        }
        .help(help)
    }
}

/// A whole file, evaluated.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The stage calls; every input comes before what uses it.
    pub calls: Vec<StageCall>,
    /// In the order of the file.
    pub pipelines: Vec<Pipeline>,
    /// In the order of the file.
    pub sweeps: Vec<Sweep>,
    /// In the order of the file.
    pub compares: Vec<Compare>,
    /// In the order of the file.
    pub profiles: Vec<Profile>,
    /// In the order of the calls.
    pub unbuilt: Vec<Unbuilt>,
}

impl Program {
    /// The call behind an id.
    pub fn call(&self, id: NodeId) -> &StageCall {
        &self.calls[id.0]
    }
}

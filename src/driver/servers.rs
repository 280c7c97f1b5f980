//! Models behind a server: whether they can be reached as the file says, and whether the keys to them are there.

use super::inputs::field_span;
use super::{Checked, Failure, Project};
use crate::api::Secret;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use crate::lang::program::{Program, StageCall};
use crate::lang::value::fields_to_json;
use crate::plan::Plan;
use crate::stage::api::{ApiArgs, KIND};
use serde::Deserialize;
use serde_json::Value as Json;

/// An error for each server whose address or variables are written wrongly, and a warning for each whose key is not
/// there: whoever runs the file may have it.
pub fn findings(program: &Program) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = program.calls.iter().filter(|call| call.kind == KIND).filter_map(judge).collect();
    found.dedup();
    found
}

fn judge(call: &StageCall) -> Option<Diagnostic> {
    let args = ApiArgs::deserialize(fields_to_json(&call.args)).ok()?;
    if let Some(fault) = args.fault() {
        let message = format!("the `{}` of `{}` cannot be used", fault.field, call.name);
        let found = Diagnostic::error(codes::BAD_SERVER, message, field_span(call, |name| name == fault.field), "here");
        return Some(found.help(fault.why));
    }
    let name = args.key_env.filter(|name| Secret::from_env(name).is_none())?;
    let (message, span) = (unset(&name), field_span(call, |name| name == "key_env"));
    let found = Diagnostic::warning(codes::KEY_NOT_SET, message, span, "`srlm run` will ask for it");
    Some(found.help(format!("set it where the file is run: export {name}=…")))
}

fn unset(name: &str) -> String {
    format!("the environment variable {name} is not set, and holds the key to a server")
}

/// Refuses a plan with a stage to run that asks a server whose key is not there: nothing starts.
///
/// # Errors
/// [`Failure::File`] with an error for each.
pub fn refuse_without_keys(project: &Project, plan: &Plan) -> Result<(), Failure> {
    let graph = &project.graph;
    let to_run = plan.steps.iter().filter(|step| step.status.runs()).map(|step| graph.node(step.node));
    let asked = to_run.flat_map(|node| &node.inputs).map(|(_, index)| graph.node(*index));
    let mut found: Vec<(Span, String)> = Vec::new();
    for node in asked.filter(|node| node.kind == KIND) {
        let Json::String(name) = &node.args()["key_env"] else { continue };
        if Secret::from_env(name).is_none() {
            let field = node.field_spans.iter().find(|(field, _)| field == "key_env");
            found.push((field.map_or(node.span, |(_, span)| *span), name.clone()));
        }
    }
    found.sort_by_key(|(span, _)| (span.source, span.start));
    found.dedup();
    let error = |(span, name): (Span, String)| {
        let found = Diagnostic::error(codes::NO_KEY, unset(&name), span, "a stage that is to run asks this server");
        found.help(format!("set it, and run the command again: export {name}=…"))
    };
    let sources = project.checked.sources.clone();
    let nothing = Checked { program: Program::default(), diagnostics: Vec::new(), sources };
    nothing.with(found.into_iter().map(error).collect()).map(drop)
}

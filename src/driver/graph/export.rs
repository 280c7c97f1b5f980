//! The graph for programs: every stage, the groups that a picture shows, and the targets.

use super::collapse::Groups;
use crate::lang::program::{Compare, Pipeline, Program, StageCall, Sweep};
use crate::lang::value::fields_to_json;
use serde_json::{Value as Json, json};

/// One object in one line, its stages and groups by number.
pub fn json(program: &Program, groups: &Groups) -> String {
    let stages: Vec<Json> =
        program.calls.iter().enumerate().map(|(index, call)| stage(index, call, groups.of[index])).collect();
    let list: Vec<Json> = (0..groups.list.len()).map(|index| group(program, groups, index)).collect();
    let pipelines = program.pipelines.iter().map(pipeline);
    let sweeps = program.sweeps.iter().map(sweep);
    let compares = program.compares.iter().map(compare);
    let targets: Vec<Json> = pipelines.chain(sweeps).chain(compares).collect();
    format!("{}\n", json!({ "stages": stages, "groups": list, "targets": targets }))
}

fn stage(index: usize, call: &StageCall, group: usize) -> Json {
    let inputs: serde_json::Map<_, _> = call.inputs.iter().map(|(role, id)| (role.clone(), json!(id.0))).collect();
    json!({
        "stage": index,
        "kind": call.kind,
        "name": call.name,
        "output": call.output.name().to_lowercase(),
        "fields": fields_to_json(&call.args),
        "inputs": inputs,
        "group": group,
    })
}

fn group(program: &Program, groups: &Groups, index: usize) -> Json {
    let group = &groups.list[index];
    let first = &program.calls[group.members[0]];
    let inputs: serde_json::Map<_, _> =
        first.inputs.iter().map(|(role, id)| (role.clone(), json!(groups.of[id.0]))).collect();
    json!({
        "group": index,
        "kind": first.kind,
        "name": first.name,
        "count": group.members.len(),
        "axes": group.axes,
        "stages": group.members,
        "inputs": inputs,
    })
}

fn pipeline(pipeline: &Pipeline) -> Json {
    json!({ "target": "pipeline", "name": pipeline.name, "stage": pipeline.target.0 })
}

fn sweep(sweep: &Sweep) -> Json {
    let pairs = |pairs: &[(String, String)]| -> Json {
        pairs.iter().map(|(axis, label)| (axis.clone(), json!(label))).collect::<serde_json::Map<_, _>>().into()
    };
    let cells: Vec<Json> = sweep
        .cells
        .iter()
        .map(|cell| json!({ "coordinates": pairs(&cell.coordinates), "stage": cell.target.0 }))
        .collect();
    let axes: serde_json::Map<_, _> = sweep.axes.iter().map(|(name, labels)| (name.clone(), json!(labels))).collect();
    json!({ "target": "sweep", "name": sweep.name, "axes": axes, "cells": cells })
}

fn compare(compare: &Compare) -> Json {
    let metric = format!("{}.{}", compare.bench, compare.metric);
    json!({ "target": "compare", "name": compare.name, "of": compare.of, "metric": metric })
}

//! A lineage as a tree of text: each stage once, with the data it declares and where it was made.

use super::number::metric;
use crate::base::digest::Digest;
use crate::plan::{Ancestor, Lineage};
use std::collections::{HashMap, HashSet};

/// Metrics shown of a stage.
const METRICS: usize = 3;

/// A line a stage, branches below it; what stands further up already is named only.
pub fn render(lineage: &Lineage) -> String {
    let stages: HashMap<Digest, &Ancestor> = lineage.stages.iter().map(|stage| (stage.key, stage)).collect();
    let (mut text, mut shown) = (String::new(), HashSet::new());
    // The stages still to be written, with the lines that lead to them; chains may be longer than the stack is deep.
    let mut open = vec![(lineage.root, String::new(), String::new(), String::new())];
    while let Some((key, role, lead, below)) = open.pop() {
        let role = if role.is_empty() { role } else { format!("{role}: ") };
        let Some(stage) = stages.get(&key) else { continue };
        if !shown.insert(key) {
            text += &format!("{lead}{role}{}, see above\n", headline(stage));
            continue;
        }
        text += &format!("{lead}{role}{}{}\n", headline(stage), made(stage));
        let branches = lineage.branches.get(&key).map(Vec::as_slice).unwrap_or_default();
        let rail = if branches.is_empty() { "   " } else { "│  " };
        data(stage).iter().for_each(|line| text += &format!("{below}{rail}{line}\n"));
        for (at, (role, next)) in branches.iter().enumerate().rev() {
            let (branch, rail) = if at + 1 == branches.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            open.push((*next, role.clone(), format!("{below}{branch}"), format!("{below}{rail}")));
        }
    }
    text
}

fn headline(stage: &Ancestor) -> String {
    match (&stage.kind, &stage.name) {
        (Some(kind), Some(name)) if kind != name => format!("{kind} `{name}` {}", stage.key.short()),
        (Some(kind), _) => format!("{kind} {}", stage.key.short()),
        (None, _) => format!("{}, of which the store has no record", stage.key.short()),
    }
}

fn made(stage: &Ancestor) -> String {
    let Some(made) = &stage.made else {
        return if stage.kind.is_some() { ", no result".into() } else { String::new() };
    };
    let mut text = format!(", made {} on {}", made.time, made.host);
    if let Some(of) = stage.alias_of {
        text += &format!(" as {}", of.short());
    }
    let metrics = stage.metrics.iter().take(METRICS).map(|(name, value)| format!("{name} {}", metric(*value)));
    let metrics: Vec<String> = metrics.collect();
    if metrics.is_empty() { text } else { format!("{text}; {}", metrics.join(", ")) }
}

/// `path: content 1f0c…, now rows.jsonl`
fn data(stage: &Ancestor) -> Vec<String> {
    let line = |(field, digest): (&String, &String)| {
        let path = stage.paths.get(digest).map(|path| format!(", now {path}")).unwrap_or_default();
        format!("{field}: content {}{path}", digest.get(..10).unwrap_or(digest))
    };
    stage.data.iter().map(line).collect()
}

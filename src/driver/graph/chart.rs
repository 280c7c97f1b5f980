//! Groups of stages as boxes and arrows: what each box says, and which sources are said instead of drawn.

use super::collapse::Groups;
use super::targets;
use crate::base::kind::Kind;
use crate::lang::program::{Program, StageCall, Sweep};
use crate::lang::value::Value;
use crate::report::graph::{Arrow, Box, Chart, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// Fields that say most of a stage, in this order; the others follow as the signature has them.
const TELLING: [&str; 5] = ["budget", "loss", "reward", "learning_rate", "split"];
/// Lines of settings in a box, and characters of such a line.
const SETTING_LINES: usize = 2;
const SETTING_COLUMNS: usize = 34;
/// Datasets that a box names.
const DATASETS: usize = 4;

/// A box a group; datasets that come from nowhere are named in the boxes that take them.
pub fn collapsed(program: &Program, groups: &Groups) -> Chart {
    Drawing::new(program, groups, Vec::new(), false).drawn()
}

/// A box a stage; what tells it apart from the others of its group stands first.
pub fn every(program: &Program, collapsed: &Groups) -> Chart {
    let varying: Vec<Vec<bool>> = collapsed.list.iter().map(|group| varying(program, &group.members)).collect();
    let apart = collapsed.of.iter().map(|&group| varying[group].clone()).collect();
    Drawing::new(program, &Groups::single(program), apart, true).drawn()
}

/// For each argument of some stages of one kind whether it differs among them.
fn varying(program: &Program, members: &[usize]) -> Vec<bool> {
    let args = |member: usize| &program.calls[member].args;
    let differs = |at: usize| members.iter().any(|&member| args(member)[at] != args(members[0])[at]);
    (0..args(members[0]).len()).map(differs).collect()
}

struct Drawing<'a> {
    program: &'a Program,
    groups: &'a Groups,
    /// For each stage which of its arguments tell it apart from those that it would be one box with.
    apart: Vec<Vec<bool>>,
    /// Whether every stage is drawn.
    every: bool,
    /// The box of each group.
    boxes: Vec<Option<usize>>,
    chart: Chart,
}

impl<'a> Drawing<'a> {
    fn new(program: &'a Program, groups: &'a Groups, apart: Vec<Vec<bool>>, every: bool) -> Self {
        let boxes = vec![None; groups.list.len()];
        Drawing { program, groups, apart, every, boxes, chart: Chart::default() }
    }

    fn drawn(mut self) -> Chart {
        for group in 0..self.groups.list.len() {
            if !self.is_named(group) {
                self.add(group);
            }
        }
        self.add_targets();
        self.chart
    }

    fn call(&self, group: usize) -> &'a StageCall {
        &self.program.calls[self.groups.list[group].members[0]]
    }

    /// Whether a group is a dataset that comes from nowhere.
    fn is_named(&self, group: usize) -> bool {
        let call = self.call(group);
        let wanted = |target: usize| self.groups.of[target] == group;
        let is_target = self.program.pipelines.iter().any(|pipeline| wanted(pipeline.target.0));
        !self.every && call.output == Kind::Dataset && call.inputs.is_empty() && !is_target
    }

    fn add(&mut self, group: usize) {
        let call = self.call(group);
        let (drawn, named): (Vec<_>, Vec<_>) =
            self.inputs(group).into_iter().partition(|&(_, from)| !self.is_named(from));
        let mut lines: Vec<String> = if call.kind == call.name { Vec::new() } else { vec![call.kind.clone()] };
        lines.extend(self.datasets(&named));
        lines.extend(settings(&self.fields(group)));
        let shape = if call.inputs.is_empty() { Shape::Source } else { Shape::Stage };
        let index = self.add_box(shape, self.title(group), lines, self.groups.list[group].members.len() > 1);
        self.boxes[group] = Some(index);
        let mut arrows: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (role, from) in drawn {
            arrows.entry(from).or_default().push(role);
        }
        for (from, roles) in arrows {
            self.arrow(from, index, roles.into_iter().map(short_role).collect::<Vec<_>>().join(", "));
        }
    }

    /// `warm`, or `warm ×3 (seed)`.
    fn title(&self, group: usize) -> String {
        let (name, group) = (&self.call(group).name, &self.groups.list[group]);
        match (group.members.len(), group.axes.as_slice()) {
            (1, _) => name.clone(),
            (count, []) => format!("{name} ×{count}"),
            (count, axes) => format!("{name} ×{count} ({})", axes.join(", ")),
        }
    }

    /// Role and group of everything that a group takes.
    fn inputs(&self, group: usize) -> Vec<(&'a str, usize)> {
        let inputs = self.call(group).inputs.iter();
        inputs.map(|(role, input)| (role.as_str(), self.groups.of[input.0])).collect()
    }

    fn datasets(&self, named: &[(&str, usize)]) -> Vec<String> {
        let line = |&(role, group): &(&str, usize)| format!("{}: {}", short_role(role), self.title(group));
        let mut lines: Vec<String> = named.iter().take(DATASETS).map(line).collect();
        if named.len() > DATASETS {
            lines.push(format!("and {} more", named.len() - DATASETS));
        }
        lines
    }

    /// The written fields that are the same in every stage of a group, the most telling first.
    fn fields(&self, group: usize) -> Vec<(&'a str, &'a Value)> {
        let members = &self.groups.list[group].members;
        let first = &self.program.calls[members[0]];
        let is_written = |name: &str| first.field_spans.iter().any(|(written, _)| written == name);
        let same = |at: usize| members.iter().all(|&member| self.program.calls[member].args[at] == first.args[at]);
        let shown = |at: &usize| is_written(&first.args[*at].0) && !has_input(&first.args[*at].1) && same(*at);
        let mut shown: Vec<usize> = (0..first.args.len()).filter(shown).collect();
        let telling = |name: &str| TELLING.iter().position(|telling| *telling == name).unwrap_or(TELLING.len());
        let apart = |at: usize| self.apart.get(members[0]).is_some_and(|apart| apart[at]);
        shown.sort_by_key(|&at| (!apart(at), telling(&first.args[at].0)));
        shown.into_iter().map(|at| (first.args[at].0.as_str(), &first.args[at].1)).collect()
    }

    fn add_box(&mut self, shape: Shape, title: String, lines: Vec<String>, is_many: bool) -> usize {
        self.chart.boxes.push(Box { shape, title, lines, is_many });
        self.chart.boxes.len() - 1
    }

    /// An arrow from a group that is drawn.
    fn arrow(&mut self, from: usize, to: usize, label: String) {
        let from = self.boxes[from];
        self.chart.arrows.extend(from.map(|from| Arrow { from, to, label }));
    }

    fn add_targets(&mut self) {
        let mut sweeps: BTreeMap<&str, usize> = BTreeMap::new();
        let program = self.program;
        for (number, (keyword, name)) in targets(program).enumerate() {
            let after_sweeps = number.checked_sub(program.pipelines.len() + program.sweeps.len());
            let sweep = number.checked_sub(program.pipelines.len()).and_then(|at| program.sweeps.get(at));
            let (shape, lines) = match (sweep, after_sweeps) {
                (Some(sweep), _) => (Shape::Target, vec![cells(sweep)]),
                (_, Some(at)) => (Shape::Compare, compare_lines(&program.compares[at])),
                _ => (Shape::Target, Vec::new()),
            };
            let index = self.add_box(shape, format!("{keyword} {name}"), lines, false);
            match (sweep, after_sweeps) {
                (Some(sweep), _) => {
                    sweeps.insert(name, index);
                    self.add_cells(sweep, index);
                }
                (_, Some(at)) => {
                    let from = sweeps.get(program.compares[at].of.as_str()).copied();
                    self.chart.arrows.extend(from.map(|from| Arrow { from, to: index, label: String::new() }));
                }
                _ => self.arrow(self.groups.of[program.pipelines[number].target.0], index, String::new()),
            }
        }
    }

    /// An arrow from each group of results to its sweep, with the coordinates that its cells have in common.
    fn add_cells(&mut self, sweep: &Sweep, to: usize) {
        let mut results: BTreeMap<usize, Vec<BTreeSet<&str>>> = BTreeMap::new();
        for cell in &sweep.cells {
            let group = self.groups.of[cell.target.0];
            let labels = results.entry(group).or_insert_with(|| vec![BTreeSet::new(); sweep.axes.len()]);
            labels.iter_mut().zip(&cell.coordinates).for_each(|(labels, (_, label))| {
                labels.insert(label);
            });
        }
        for (group, labels) in results {
            let common = sweep.axes.iter().zip(&labels).filter(|(axis, labels)| labels.len() == 1 && axis.1.len() > 1);
            let common = common.filter_map(|((axis, _), labels)| Some(format!("{axis}={}", labels.first()?)));
            self.arrow(group, to, common.collect::<Vec<_>>().join(", "));
        }
    }
}

/// `suite.arith.data` is `arith`; plain roles are themselves.
fn short_role(role: &str) -> &str {
    match role.split('.').collect::<Vec<_>>()[..] {
        [_, middle, _] => middle,
        _ => role,
    }
}

/// Whether an artifact is part of a value: it is drawn or named already.
pub fn has_input(value: &Value) -> bool {
    match value {
        Value::Input(_) | Value::Node(..) => true,
        Value::List(items) => items.iter().any(has_input),
        Value::Record(fields) | Value::Variant(_, fields) => fields.iter().any(|(_, value)| has_input(value)),
        _ => false,
    }
}

/// Fields as lines, as many as have room.
fn settings(fields: &[(&str, &Value)]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in fields {
        let text = short(name, value);
        let room = |line: &String| line.chars().count() + 3 + text.chars().count() <= SETTING_COLUMNS;
        let is_full = lines.len() >= SETTING_LINES;
        match lines.last_mut() {
            Some(line) if room(line) => *line += &format!(" · {text}"),
            _ if is_full => break,
            _ => lines.push(text),
        }
    }
    lines
}

/// A field as it is written; a variant whose settings have no room is called by its name.
fn short(name: &str, value: &Value) -> String {
    let text = format!("{name} {}", value.literal());
    match value {
        Value::Variant(variant, _) if text.chars().count() > SETTING_COLUMNS => format!("{name} {variant}(…)"),
        _ => text,
    }
}

fn cells(sweep: &Sweep) -> String {
    let axes: Vec<String> = sweep.axes.iter().map(|(name, labels)| format!("{name} ×{}", labels.len())).collect();
    let plural = if sweep.cells.len() == 1 { "" } else { "s" };
    format!("{} cell{plural}: {}", sweep.cells.len(), axes.join(", "))
}

fn compare_lines(compare: &crate::lang::program::Compare) -> Vec<String> {
    let across = compare.across.iter().map(|axis| format!(" across {axis}"));
    let baseline: Vec<String> = compare.baseline.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
    let rows = format!("by {}{}", compare.by.join(", "), across.collect::<String>());
    let baseline = (!baseline.is_empty()).then(|| format!("baseline {}", baseline.join(", ")));
    [Some(format!("{} of {}", compare.metric, compare.bench)), Some(rows), baseline].into_iter().flatten().collect()
}

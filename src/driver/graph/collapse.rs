//! Which stages of a program are the same but for where they stand in a sweep.

use crate::lang::program::Program;
use std::collections::{BTreeMap, BTreeSet};

/// Stages that are shown as one.
#[derive(Debug, PartialEq)]
pub struct Group {
    /// Indices of the stages, ascending; at least one.
    pub members: Vec<usize>,
    /// The axes along which they differ.
    pub axes: Vec<String>,
}

/// All stages of a program, each in one group.
#[derive(Debug)]
pub struct Groups {
    /// The groups, each after those that its members take from.
    pub list: Vec<Group>,
    /// The group of each stage.
    pub of: Vec<usize>,
}

/// Where a stage stands on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In no cell.
    Nowhere,
    /// Only in cells with this value.
    At(usize),
    /// In cells with several values.
    Several,
}

/// What stages of one group have in common: kind, name, the groups they take from by role, and who needs them.
type Likeness<'a> = (&'a str, &'a str, Vec<(&'a str, usize)>, &'a BTreeSet<usize>);

impl Groups {
    /// Each stage alone.
    pub fn single(program: &Program) -> Groups {
        let alone = |index| Group { members: vec![index], axes: Vec::new() };
        let count = program.calls.len();
        Groups { list: (0..count).map(alone).collect(), of: (0..count).collect() }
    }

    /// Stages of one kind and name that take from the same groups and are needed by the same targets, where each
    /// stands at another place on the axes of a sweep.
    pub fn of(program: &Program) -> Groups {
        let places = places(program);
        let owners = owners(program);
        let mut groups = Groups { list: Vec::new(), of: vec![usize::MAX; program.calls.len()] };
        for level in levels(program) {
            let mut alike: BTreeMap<Likeness, Vec<usize>> = BTreeMap::new();
            for index in level {
                let call = &program.calls[index];
                let inputs = call.inputs.iter().map(|(role, input)| (role.as_str(), groups.of[input.0])).collect();
                alike.entry((&call.kind, &call.name, inputs, &owners[index])).or_default().push(index);
            }
            let mut parts: Vec<Vec<usize>> = alike.into_values().flat_map(|alike| parts(&alike, &places)).collect();
            parts.sort();
            for members in parts {
                members.iter().for_each(|&member| groups.of[member] = groups.list.len());
                let axes = differing(program, &members, &places);
                groups.list.push(Group { members, axes });
            }
        }
        groups
    }
}

/// Stages in levels, each below all that it takes from.
fn levels(program: &Program) -> Vec<Vec<usize>> {
    let mut depth: Vec<usize> = Vec::with_capacity(program.calls.len());
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for (index, call) in program.calls.iter().enumerate() {
        let level = call.inputs.iter().map(|(_, input)| depth[input.0] + 1).max().unwrap_or(0);
        depth.push(level);
        if levels.len() <= level {
            levels.resize(level + 1, Vec::new());
        }
        levels[level].push(index);
    }
    levels
}

/// For each stage its place on every axis of every sweep: where all the cells that need it stand.
fn places(program: &Program) -> Vec<Vec<Place>> {
    let axes: usize = program.sweeps.iter().map(|sweep| sweep.axes.len()).sum();
    let mut places = vec![vec![Place::Nowhere; axes]; program.calls.len()];
    let mut first = 0;
    for sweep in &program.sweeps {
        let numbers: Vec<BTreeMap<&str, usize>> = sweep
            .axes
            .iter()
            .map(|(_, labels)| labels.iter().enumerate().map(|(number, label)| (label.as_str(), number)).collect())
            .collect();
        for cell in &sweep.cells {
            for (axis, (_, label)) in cell.coordinates.iter().enumerate() {
                let number = numbers.get(axis).and_then(|numbers| numbers.get(label.as_str()));
                let place = number.map_or(Place::Several, |&number| Place::At(number));
                meet(&mut places[cell.target.0][first + axis], place);
            }
        }
        first += sweep.axes.len();
    }
    for index in (0..program.calls.len()).rev() {
        for (_, input) in &program.calls[index].inputs {
            let (inputs, users) = places.split_at_mut(index);
            inputs[input.0].iter_mut().zip(&users[0]).for_each(|(place, user)| meet(place, *user));
        }
    }
    places
}

fn meet(place: &mut Place, other: Place) {
    *place = match (*place, other) {
        (Place::Nowhere, other) | (other, Place::Nowhere) => other,
        (one, other) if one == other => one,
        _ => Place::Several,
    };
}

/// For each stage the pipelines and sweeps that need it, by number; stages that no sweep needs are alike to none.
fn owners(program: &Program) -> Vec<BTreeSet<usize>> {
    let mut owners: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); program.calls.len()];
    for (number, pipeline) in program.pipelines.iter().enumerate() {
        owners[pipeline.target.0].insert(number);
    }
    for (number, sweep) in program.sweeps.iter().enumerate() {
        for cell in &sweep.cells {
            owners[cell.target.0].insert(program.pipelines.len() + number);
        }
    }
    for index in (0..program.calls.len()).rev() {
        let needed = owners[index].clone();
        program.calls[index].inputs.iter().for_each(|(_, input)| owners[input.0].extend(&needed));
    }
    owners
}

/// Parts of some stages that are alike, in which no two may be in the same cell: all of them where the axes that all
/// have a place on tell them apart, else those that have places on the same axes.
fn parts(alike: &[usize], places: &[Vec<Place>]) -> Vec<Vec<usize>> {
    let is_at = |member: usize, axis: usize| matches!(places[member][axis], Place::At(_));
    let count = places.first().map_or(0, Vec::len);
    let common: Vec<usize> = (0..count).filter(|&axis| alike.iter().all(|&member| is_at(member, axis))).collect();
    let on = |member: usize| -> Vec<Place> { common.iter().map(|&axis| places[member][axis]).collect() };
    let distinct: BTreeSet<Vec<Place>> = alike.iter().map(|&member| on(member)).collect();
    if distinct.len() == alike.len() {
        return vec![alike.to_vec()];
    }
    let mut numbered: BTreeMap<&[Place], usize> = BTreeMap::new();
    let mut parts: BTreeMap<(Vec<bool>, usize), Vec<usize>> = BTreeMap::new();
    for &member in alike {
        // Stages at one and the same place are in the same cells: the first of each place go together.
        let number = numbered.entry(&places[member]).or_default();
        let pattern = (0..count).map(|axis| is_at(member, axis)).collect();
        parts.entry((pattern, *number)).or_default().push(member);
        *number += 1;
    }
    parts.into_values().collect()
}

/// The names of the axes on which some stages stand at different places.
fn differing(program: &Program, members: &[usize], places: &[Vec<Place>]) -> Vec<String> {
    let names = program.sweeps.iter().flat_map(|sweep| sweep.axes.iter().map(|(name, _)| name));
    let differs = |axis: usize| {
        let at = |member: &usize| Some(places[*member][axis]).filter(|place| matches!(place, Place::At(_)));
        members.iter().filter_map(at).collect::<BTreeSet<_>>().len() > 1
    };
    let mut found: Vec<String> = Vec::new();
    for (axis, name) in names.enumerate() {
        if differs(axis) && !found.contains(name) {
            found.push(name.clone());
        }
    }
    found
}

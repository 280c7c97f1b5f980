//! The tables of a file's `compare` items, from the results in the store.

use super::cost::{Cost, Records};
use super::scores::{correct_by_holm, difference, estimate, items};
use super::{Failure, Project};
use crate::eval::compare::Repeats;
use crate::lang::program::{Cell, Compare, Sweep};
use crate::plan::graph::cell_label;
use crate::report::compare_table::{CompareRow, CompareTable};

/// The comparisons of these names, or all of them. A cell without a result is counted as missing.
///
/// # Errors
/// [`Failure::Input`] for an unknown name, [`Failure::Machine`] where a result cannot
/// be read.
pub fn compare(project: &Project, names: &[String]) -> Result<Vec<CompareTable>, Failure> {
    let compares = &project.checked.program.compares;
    if let Some(unknown) = names.iter().find(|name| !compares.iter().any(|compare| compare.name == **name)) {
        let known: Vec<_> = compares.iter().map(|compare| format!("`{}`", compare.name)).collect();
        let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
        return Err(Failure::Input(format!("the file has no compare called `{unknown}`; it has {known}")));
    }
    let wanted = compares.iter().filter(|compare| names.is_empty() || names.contains(&compare.name));
    wanted.map(|compare| table(project, compare)).collect()
}

/// A row while its cells are read.
struct Row<'a> {
    labels: Vec<String>,
    cells: Vec<&'a Cell>,
    repeats: Repeats,
    missing: usize,
    collapsed: usize,
    cost: Cost,
}

fn table(project: &Project, compare: &Compare) -> Result<CompareTable, Failure> {
    let sweep = project.checked.program.sweeps.iter().find(|sweep| sweep.name == compare.of);
    let sweep = sweep.ok_or_else(|| Failure::Input(format!("there is no sweep `{}`", compare.of)))?;
    let mut records = Records::new(project);
    let mut rows = group(sweep, &compare.by);
    rows.iter_mut().try_for_each(|row| read(project, &mut records, sweep, compare, row))?;
    let baseline: Vec<String> = compare.by.iter().map(|axis| coordinate(&compare.baseline, axis)).collect();
    let reference = rows.iter().find(|row| row.labels == baseline).map(|row| row.repeats.clone()).unwrap_or_default();
    let mut rows: Vec<CompareRow> = rows.into_iter().map(|row| finish(compare, row, &baseline, &reference)).collect();
    correct_by_holm(rows.iter_mut().filter_map(|row| row.versus.as_mut()));
    Ok(CompareTable {
        name: compare.name.clone(),
        metric: format!("{}.{}", compare.bench, compare.metric),
        by: compare.by.clone(),
        across: compare.across.clone(),
        baseline,
        rows,
    })
}

/// The cells with equal labels on the axes of `by`, in the order of the sweep.
fn group<'a>(sweep: &'a Sweep, by: &[String]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = Vec::new();
    for cell in &sweep.cells {
        let labels: Vec<String> = by.iter().map(|axis| coordinate(&cell.coordinates, axis)).collect();
        match rows.iter_mut().find(|row| row.labels == labels) {
            Some(row) => row.cells.push(cell),
            None => {
                let (cells, repeats, cost) = (vec![cell], Repeats::new(), Cost::default());
                rows.push(Row { labels, cells, repeats, missing: 0, collapsed: 0, cost });
            }
        }
    }
    rows
}

/// Reads the results of a row's cells, each under its label on the axis that repeats the row, so that it is paired with
/// its like.
fn read(
    project: &Project,
    records: &mut Records,
    sweep: &Sweep,
    compare: &Compare,
    row: &mut Row,
) -> Result<(), Failure> {
    for cell in &row.cells {
        let label = cell_label(&sweep.name, &cell.coordinates);
        let target = project.graph.targets().iter().find(|target| target.label == label);
        let target = target.ok_or_else(|| Failure::Input(format!("the cell `{label}` has no stage")))?;
        let Some(record) = records.get(target.node)? else {
            row.missing += 1;
            continue;
        };
        let mut benches = items(project, record)?;
        let repeat = compare.across.as_ref().map(|axis| coordinate(&cell.coordinates, axis)).unwrap_or_default();
        row.repeats.entry(repeat).or_default().extend(benches.remove(&compare.bench).unwrap_or_default());
        let cost = records.cost_of(target.node)?;
        row.collapsed += usize::from(cost.collapsed);
        row.cost.add(&cost);
    }
    Ok(())
}

fn finish(compare: &Compare, row: Row, baseline: &[String], reference: &Repeats) -> CompareRow {
    let made = (row.cells.len() - row.missing).max(1) as f64;
    CompareRow {
        cells: row.cells.len(),
        missing: row.missing,
        collapsed: row.collapsed,
        result: estimate(compare.metric, &row.repeats),
        versus: if row.labels == baseline { None } else { difference(compare.metric, reference, &row.repeats) },
        seconds: row.cost.seconds / made,
        trained_tokens: row.cost.trained_tokens.map(|tokens| tokens / made),
        peak_memory: row.cost.peak_memory,
        labels: row.labels,
    }
}

fn coordinate(coordinates: &[(String, String)], axis: &str) -> String {
    let found = coordinates.iter().find(|(name, _)| name == axis);
    found.map(|(_, label)| label.clone()).unwrap_or_default()
}

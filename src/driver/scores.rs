//! The table after a run: every pipeline that ends in scores, and every comparison of the file.

use super::cost::Records;
use super::{Failure, Project};
use crate::base::measure::Measure;
use crate::base::seed::Seed;
use crate::eval::compare::{self, Repeats};
use crate::eval::score::{self, ITEMS_FILE, ItemScore};
use crate::eval::stats::holm;
use crate::plan::{Plan, Target};
use crate::report::compare_table::{Difference, Estimate};
use crate::report::scores_table::ScoresRow;
use crate::store::Record;
use std::collections::BTreeMap;

/// Item by item results, by benchmark.
pub(super) type Benches = BTreeMap<String, Vec<ItemScore>>;

/// A row a benchmark of each pipeline among the plan's targets that has scores.
///
/// # Errors
/// [`Failure::Machine`] where a result cannot be read.
pub fn scores(project: &Project, plan: &Plan) -> Result<Vec<ScoresRow>, Failure> {
    let wanted = |target: &&Target| !target.is_cell && plan.targets.contains(&target.node);
    let (mut rows, mut above) = (Vec::new(), BTreeMap::new());
    let mut records = Records::new(project);
    for target in project.graph.targets().iter().filter(wanted) {
        let Some(benches) = records.get(target.node)?.map(|record| items(project, record)).transpose()? else {
            continue;
        };
        let seconds = records.cost_of(target.node)?.seconds;
        for (bench, items) in benches {
            let once = Repeats::from([(String::new(), items)]);
            rows.extend(row(&target.label, &bench, &once, above.get(&bench), seconds));
            above.insert(bench, once);
        }
    }
    correct_by_holm(rows.iter_mut().filter_map(|row| row.versus_above.as_mut()));
    Ok(rows)
}

fn row(pipeline: &str, bench: &str, items: &Repeats, above: Option<&Repeats>, seconds: f64) -> Option<ScoresRow> {
    Some(ScoresRow {
        pipeline: pipeline.to_string(),
        bench: bench.to_string(),
        accuracy: estimate(Measure::Accuracy, items)?,
        versus_above: above.and_then(|above| difference(Measure::Accuracy, above, items)),
        seconds,
    })
}

/// The results in a scores artifact; none where the record holds something else.
pub(super) fn items(project: &Project, record: &Record) -> Result<Benches, Failure> {
    let Some(digest) = record.outputs.get("scores") else { return Ok(Benches::new()) };
    let files = project.store.artifact(digest)?.files();
    let Some(path) = files.get(ITEMS_FILE) else { return Ok(Benches::new()) };
    let mut benches = Benches::new();
    for item in score::read_items(path).map_err(|error| Failure::Machine(error.to_string()))? {
        benches.entry(item.bench.clone()).or_default().push(item);
    }
    Ok(benches)
}

/// The mean with its interval; none without an item.
pub(super) fn estimate(measure: Measure, repeats: &Repeats) -> Option<Estimate> {
    let found = compare::estimate(measure, repeats, statistics_seed())?;
    Some(Estimate { n: found.n, mean: found.mean, low: found.interval.low, high: found.interval.high })
}

/// The paired difference `second` − `first`; none without a common item. Its p is not corrected yet.
pub(super) fn difference(measure: Measure, first: &Repeats, second: &Repeats) -> Option<Difference> {
    let found = compare::compare(measure, first, second, statistics_seed())?;
    let (mean, low, high, p) = (found.difference, found.low, found.high, found.p_value);
    Some(Difference { pairs: found.pairs, mean, low, high, p, method: found.method.word() })
}

/// Holm's correction over all differences of a table.
pub(super) fn correct_by_holm<'a>(differences: impl Iterator<Item = &'a mut Difference>) {
    let differences: Vec<&mut Difference> = differences.collect();
    let corrected = holm(&differences.iter().map(|difference| difference.p).collect::<Vec<_>>());
    differences.into_iter().zip(corrected).for_each(|(difference, p)| difference.p = p);
}

/// Bootstraps draw from a seed of their own: a table is the same whenever it is printed.
fn statistics_seed() -> Seed {
    Seed::new(0).child("statistics", 0)
}

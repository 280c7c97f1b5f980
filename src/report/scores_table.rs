//! The table after a run: what every pipeline that ends in scores reached, and what it cost.

use super::compare_table::{Difference, Estimate, methods};
use super::grid::{Align, Grid};
use super::number::{count, percent, seconds};
use serde::Serialize;

/// One benchmark of one pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoresRow {
    /// The pipeline.
    pub pipeline: String,
    /// The benchmark's name in the suite.
    pub bench: String,
    /// Accuracy over the items.
    pub accuracy: Estimate,
    /// Against the nearest row above with the same benchmark and items.
    pub versus_above: Option<Difference>,
    /// Seconds of all stages behind the scores.
    pub seconds: f64,
}

/// The rows as text; empty without rows.
pub fn render(rows: &[ScoresRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let left = ["pipeline", "bench"].map(|name| (name.to_string(), Align::Left));
    let right = ["accuracy", "95% interval", "items", "to row above", "95% interval", "p", "cost"];
    let mut grid = Grid::new(left.into_iter().chain(right.map(|name| (name.to_string(), Align::Right))));
    rows.iter().for_each(|row| grid.row(cells(row)));
    let tests = methods(rows.iter().filter_map(|row| row.versus_above.as_ref()));
    let legend = match tests.is_empty() {
        true => String::new(),
        false => format!("\nDifferences in percentage points, paired by item{tests}.\n"),
    };
    grid.render() + &legend
}

fn cells(row: &ScoresRow) -> Vec<String> {
    let interval = format!("[{}, {}]", percent(row.accuracy.low), percent(row.accuracy.high));
    let mut cells = vec![row.pipeline.clone(), row.bench.clone(), percent(row.accuracy.mean), interval];
    cells.push(count(row.accuracy.n as u64));
    cells.extend(row.versus_above.map(|versus| versus.cells()).unwrap_or_default());
    cells.push(seconds(row.seconds));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_as_text() {
        let row = |pipeline: &str, mean: f64, versus_above, seconds| {
            let accuracy = Estimate { n: 500, mean, low: mean - 0.04, high: mean + 0.04 };
            ScoresRow { pipeline: pipeline.into(), bench: "arith".into(), accuracy, versus_above, seconds }
        };
        let versus = Difference { pairs: 500, mean: 0.122, low: 0.08, high: 0.16, p: 0.0004, method: "mcnemar" };
        let rows = [row("sft_only", 0.512, None, 31.0), row("sft_then_rl", 0.634, Some(versus), 148.0)];
        insta::assert_snapshot!(render(&rows), @r"
        pipeline     bench  accuracy    95% interval  items  to row above   95% interval        p    cost
        sft_only     arith     51.2%  [47.2%, 55.2%]    500                                        31.0 s
        sft_then_rl  arith     63.4%  [59.4%, 67.4%]    500         +12.2  [+8.0, +16.0]  p<0.001   2m28s

        Differences in percentage points, paired by item; p by McNemar's exact test, corrected by Holm's method.
        ");
        assert_eq!(render(&[]), "");
    }
}

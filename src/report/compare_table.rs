//! The table of a `compare`: what each row reached, how it differs from the baseline, what it cost.

use super::grid::{Align, Grid};
use super::number::{bytes, count, p_value, percent, points, seconds};
use serde::Serialize;
use std::collections::BTreeSet;

/// What marks a result behind which a policy collapsed.
const MARK: &str = " ‡";

/// A comparison, computed by the driver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CompareTable {
    /// The name of the `compare`.
    pub name: String,
    /// What is compared: `exam.arith.accuracy`.
    pub metric: String,
    /// The axes whose labels name the rows.
    pub by: Vec<String>,
    /// The axis that repeats a row.
    pub across: Option<String>,
    /// The labels of the baseline row.
    pub baseline: Vec<String>,
    /// In the order of the sweep.
    pub rows: Vec<CompareRow>,
}

/// One row of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CompareRow {
    /// One label an axis of `by`.
    pub labels: Vec<String>,
    /// Cells of the sweep in this row: seeds, as a rule.
    pub cells: usize,
    /// Those without a result yet.
    pub missing: usize,
    /// Those behind whose result a policy collapsed, as the records of the stages say.
    pub collapsed: usize,
    /// Mean over items and cells; `None` without any result.
    pub result: Option<Estimate>,
    /// Against the baseline; `None` for the baseline itself, or where nothing can be paired.
    pub versus: Option<Difference>,
    /// Seconds of all stages behind a cell, the mean over the row's cells with a result.
    pub seconds: f64,
    /// Tokens trained on in those stages; `None` where no stage tells.
    pub trained_tokens: Option<f64>,
    /// Bytes that the stage of the greatest need had at its peak; `None` where no stage tells.
    pub peak_memory: Option<u64>,
}

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Items times cells.
    pub n: usize,
    /// The mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A paired difference with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Pairs of the same item.
    pub pairs: usize,
    /// Row minus baseline.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Two-sided, corrected over the rows of the table.
    pub p: f64,
    /// The test behind `p`: `mcnemar`; `paired_bootstrap` where items were sampled several times; `crossed` where a row
    /// has several seeds, with items and seeds as crossed random effects.
    pub method: &'static str,
}

impl CompareTable {
    /// The table as text.
    pub fn render(&self) -> String {
        let title = self.title();
        let mut grid = Grid::new(self.columns());
        self.rows.iter().for_each(|row| grid.row(self.cells(row)));
        format!("{title}\n\n{}\n{}", grid.render(), self.legend())
    }

    /// What the table is about, in a line.
    pub(super) fn title(&self) -> String {
        let baseline: Vec<_> =
            self.by.iter().zip(&self.baseline).map(|(axis, label)| format!("{axis} {label}")).collect();
        let versus =
            if baseline.is_empty() { String::new() } else { format!(", differences to {}", baseline.join(", ")) };
        format!("{}: {}{versus}", self.name, self.metric)
    }

    /// The headings, and where the texts below them stand.
    pub(super) fn columns(&self) -> Vec<(String, Align)> {
        let heading = self.metric.rsplit('.').next().unwrap_or(&self.metric);
        let labels = self.by.iter().map(|axis| (axis.clone(), Align::Left));
        let numbers = [heading, "95% interval", "n", "difference", "95% interval", "p", "cost", "trained", "memory"];
        labels.chain(numbers.map(|name| (name.to_string(), Align::Right))).collect()
    }

    /// A row's texts.
    pub(super) fn cells(&self, row: &CompareRow) -> Vec<String> {
        let mut cells = row.labels.clone();
        cells.extend(match &row.result {
            Some(result) => {
                [percent(result.mean) + row.mark(), interval(result.low, result.high), count(result.n as u64)]
            }
            None => ["not run".into(), String::new(), String::new()],
        });
        cells.extend(match &row.versus {
            Some(versus) => versus.cells(),
            None if row.labels == self.baseline => ["baseline".into(), String::new(), String::new()],
            None => Default::default(),
        });
        let tokens = row.trained_tokens.map(|tokens| count(tokens as u64) + " tok").unwrap_or_default();
        let memory = row.peak_memory.map(bytes).unwrap_or_default();
        cells.extend(if row.result.is_some() { [seconds(row.seconds), tokens, memory] } else { Default::default() });
        cells
    }

    /// What stands below the table.
    pub(super) fn legend(&self) -> String {
        let missing: usize = self.rows.iter().map(|row| row.missing).sum();
        let across = self.across.as_ref().map(|axis| format!(" and {axis}")).unwrap_or_default();
        let tests = methods(self.rows.iter().filter_map(|row| row.versus.as_ref()));
        let mut text = format!("Differences in percentage points, paired by item{across}{tests}.\n");
        text += &self.reach();
        text += "A cost is the time of all stages behind a result, shared ones included; memory is the largest peak of one.\n";
        if self.rows.iter().any(|row| row.collapsed > 0) {
            text += &self.collapses();
        }
        if missing > 0 {
            text += &format!("Cells of the sweep without a result yet: {missing}. Run the file to make them.\n");
        }
        text
    }
}

impl CompareTable {
    /// What the mark means, and how often it was met where a row has several cells.
    fn collapses(&self) -> String {
        let count =
            |row: &CompareRow| format!("{} {} of {}", row.labels.join(" "), row.collapsed, row.cells - row.missing);
        let collapsed: Vec<&CompareRow> = self.rows.iter().filter(|row| row.collapsed > 0).collect();
        let counts = match self.rows.iter().any(|row| row.cells > 1) {
            true => format!(" ({})", collapsed.into_iter().map(count).collect::<Vec<_>>().join(", ")),
            false => String::new(),
        };
        format!(
            "{} A policy collapsed on the way{counts}: next to nothing was left of the best reward it had reached.\n",
            MARK.trim()
        )
    }

    /// What the intervals speak of, where a row may be repeated.
    fn reach(&self) -> String {
        let Some(axis) = &self.across else { return String::new() };
        let made = self.rows.iter().map(|row| row.cells - row.missing).max().unwrap_or(0);
        match made {
            0 => String::new(),
            1 => format!("Intervals are over items: one {axis} says nothing of another.\n"),
            _ => format!(
                "Intervals are over items and {axis}, both drawn at random: they hold for others, too, and are wide where there are few.\n"
            ),
        }
    }
}

/// Which tests stand behind the p-values: `; p by …, corrected by Holm's method`.
pub(super) fn methods<'a>(differences: impl Iterator<Item = &'a Difference>) -> String {
    let names: BTreeSet<&str> = differences.map(|difference| difference.method).collect();
    let name = |name: &str| match name {
        "mcnemar" => "McNemar's exact test".to_string(),
        "paired_bootstrap" => "paired bootstrap".to_string(),
        "crossed" => "Student's t over items and repeats".to_string(),
        other => other.to_string(),
    };
    let names: Vec<String> = names.into_iter().map(name).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("; p by {}, corrected by Holm's method", names.join(" or "))
}

impl CompareRow {
    /// Behind the mean of a row in which a policy collapsed.
    fn mark(&self) -> &'static str {
        if self.collapsed > 0 { MARK } else { "" }
    }
}

impl Difference {
    /// Its mean, interval and p as three cells of a table.
    pub(super) fn cells(&self) -> [String; 3] {
        [points(self.mean), format!("[{}, {}]", points(self.low), points(self.high)), p_value(self.p)]
    }
}

fn interval(low: f64, high: f64) -> String {
    format!("[{}, {}]", percent(low), percent(high))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A comparison of orders over seeds, to `rl`.
    pub(in crate::report) fn table(rows: Vec<CompareRow>) -> CompareTable {
        CompareTable {
            name: "which_order".into(),
            metric: "exam.arith.accuracy".into(),
            by: vec!["order".into()],
            across: Some("seed".into()),
            baseline: vec!["rl".into()],
            rows,
        }
    }

    /// A row of three cells, all of them or none made.
    pub(in crate::report) fn row(label: &str, result: Option<Estimate>, versus: Option<Difference>) -> CompareRow {
        let missing = usize::from(result.is_none());
        let labels = vec![label.to_string()];
        let (trained_tokens, peak_memory) = (Some(1_234_567.0), Some(70 << 20));
        CompareRow {
            labels,
            cells: 3,
            missing,
            collapsed: 0,
            result,
            versus,
            seconds: 83.0,
            trained_tokens,
            peak_memory,
        }
    }

    #[test]
    fn a_comparison_as_text() {
        let estimate = |mean: f64| Some(Estimate { n: 1500, mean, low: mean - 0.02, high: mean + 0.02 });
        let versus = Difference { pairs: 1500, mean: 0.125, low: 0.1, high: 0.15, p: 0.00001, method: "mcnemar" };
        let table = table(vec![
            row("rl", estimate(0.425), None),
            row("sft_rl", estimate(0.55), Some(versus)),
            row("kd_rl", None, None),
        ]);
        insta::assert_snapshot!(table.render(), @r#"
        which_order: exam.arith.accuracy, differences to order rl

        order   accuracy    95% interval      n  difference    95% interval        p    cost        trained    memory
        rl         42.5%  [40.5%, 44.5%]  1,500    baseline                           83.0 s  1,234,567 tok  70.0 MiB
        sft_rl     55.0%  [53.0%, 57.0%]  1,500       +12.5  [+10.0, +15.0]  p<0.001  83.0 s  1,234,567 tok  70.0 MiB
        kd_rl    not run

        Differences in percentage points, paired by item and seed; p by McNemar's exact test, corrected by Holm's method.
        Intervals are over items and seed, both drawn at random: they hold for others, too, and are wide where there are few.
        A cost is the time of all stages behind a result, shared ones included; memory is the largest peak of one.
        Cells of the sweep without a result yet: 1. Run the file to make them.
        "#);
    }

    #[test]
    fn a_collapse_is_marked_and_counted() {
        let estimate = |mean: f64| Some(Estimate { n: 1500, mean, low: mean - 0.02, high: mean + 0.02 });
        let versus = Difference { pairs: 1500, mean: -0.4, low: -0.5, high: -0.3, p: 0.00001, method: "crossed" };
        let table = table(vec![
            row("rl", estimate(0.425), None),
            CompareRow { collapsed: 2, ..row("sft_rl", estimate(0.025), Some(versus)) },
        ]);
        let text = table.render();
        assert!(text.contains("sft_rl") && text.contains("2.5% ‡"), "{text}");
        assert!(text.contains("‡ A policy collapsed on the way (sft_rl 2 of 3): next to nothing was left"), "{text}");
        assert!(!text.contains("42.5% ‡"), "{text}");
    }
}

//! The table of a `compare` for a paper, a page or a spreadsheet.

use super::compare_table::{CompareRow, CompareTable};
use super::grid::Align;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareFormat {
    /// Aligned columns, for a terminal.
    Text,
    /// A table of GitHub's Markdown.
    Markdown,
    /// Numbers in full, for a spreadsheet (RFC 4180).
    Csv,
    /// A `tabular` with the rules of booktabs.
    Latex,
}

impl CompareTable {
    /// The table in that form.
    pub fn written(&self, format: CompareFormat) -> String {
        match format {
            CompareFormat::Text => self.render(),
            CompareFormat::Markdown => self.markdown(),
            CompareFormat::Csv => self.csv(),
            CompareFormat::Latex => self.latex(),
        }
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let columns = self.columns();
        let rule = |(_, align): &(String, Align)| if *align == Align::Left { ":--" } else { "--:" }.to_string();
        let mut text = format!("**{}**\n\n", in_markdown(&self.title()));
        text += &line(columns.iter().map(|(name, _)| in_markdown(name)).collect());
        text += &line(columns.iter().map(rule).collect());
        for row in &self.rows {
            let mut cells: Vec<String> = self.cells(row).iter().map(|cell| in_markdown(cell)).collect();
            cells.resize(columns.len(), String::new());
            text += &line(cells);
        }
        format!("{text}\n{}", in_markdown(&self.legend()))
    }

    fn latex(&self) -> String {
        let columns = self.columns();
        let align: String = columns.iter().map(|(_, align)| if *align == Align::Left { 'l' } else { 'r' }).collect();
        let line = |cells: Vec<String>| format!("  {} \\\\\n", cells.join(" & "));
        let mut text = format!("% {}\n\\begin{{tabular}}{{{align}}}\n  \\toprule\n", self.title());
        text += &line(columns.iter().map(|(name, _)| in_latex(name)).collect());
        text += "  \\midrule\n";
        for row in &self.rows {
            let mut cells: Vec<String> = self.cells(row).iter().map(|cell| in_latex(cell)).collect();
            cells.resize(columns.len(), String::new());
            text += &line(cells);
        }
        text += "  \\bottomrule\n\\end{tabular}\n";
        text + &self.legend().lines().map(|line| format!("% {line}\n")).collect::<String>()
    }

    fn csv(&self) -> String {
        const NUMBERS: [&str; 16] = [
            "cells",
            "missing",
            "collapsed",
            "n",
            "mean",
            "low",
            "high",
            "pairs",
            "difference",
            "difference_low",
            "difference_high",
            "p",
            "method",
            "seconds",
            "trained_tokens",
            "peak_memory",
        ];
        let line = |cells: Vec<String>| cells.iter().map(|cell| in_csv(cell)).collect::<Vec<_>>().join(",") + "\r\n";
        let names = self.by.iter().cloned().chain(NUMBERS.map(str::to_string)).collect();
        line(names) + &self.rows.iter().map(|row| line(numbers(row))).collect::<String>()
    }
}

/// A row's labels and numbers in full; what is not there is empty.
fn numbers(row: &CompareRow) -> Vec<String> {
    let mut cells = row.labels.clone();
    cells.extend([row.cells.to_string(), row.missing.to_string(), row.collapsed.to_string()]);
    cells.extend(match &row.result {
        Some(found) => [found.n.to_string(), full(found.mean), full(found.low), full(found.high)],
        None => Default::default(),
    });
    cells.extend(match &row.versus {
        Some(found) => {
            let numbers = [found.mean, found.low, found.high, found.p].map(full);
            let [mean, low, high, p] = numbers;
            [found.pairs.to_string(), mean, low, high, p, found.method.to_string()]
        }
        None => Default::default(),
    });
    cells.push(if row.result.is_some() { full(row.seconds) } else { String::new() });
    cells.push(row.trained_tokens.map(full).unwrap_or_default());
    cells.push(row.peak_memory.map(|bytes| bytes.to_string()).unwrap_or_default());
    cells
}

/// The shortest text that reads back to the same number.
fn full(number: f64) -> String {
    number.to_string()
}

fn in_markdown(text: &str) -> String {
    escaped(text, |c| matches!(c, '|' | '*' | '_' | '`' | '<'), |c| format!("\\{c}"))
}

fn in_latex(text: &str) -> String {
    let special = |c| "&%$#_{}~^\\<>[‡".contains(c);
    escaped(text, special, |c| match c {
        '~' => "\\textasciitilde{}".into(),
        '^' => "\\textasciicircum{}".into(),
        '\\' => "\\textbackslash{}".into(),
        // After the end of a row a bracket would be a length.
        '[' => "{[}".into(),
        '‡' => "\\ddag".into(),
        '<' => "$<$".into(),
        '>' => "$>$".into(),
        other => format!("\\{other}"),
    })
}

fn escaped(text: &str, is_special: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> String {
    text.chars().map(|c| if is_special(c) { escape(c) } else { c.to_string() }).collect()
}

fn in_csv(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare_table::{Difference, Estimate, tests as sample};
    use super::*;

    fn table() -> CompareTable {
        let row = |label: &str, mean: Option<f64>, versus: Option<Difference>| CompareRow {
            missing: if mean.is_some() { 0 } else { 3 },
            collapsed: usize::from(versus.is_some()),
            seconds: 83.5,
            peak_memory: Some(3 << 20),
            ..sample::row(
                label,
                mean.map(|mean| Estimate { n: 300, mean, low: mean - 0.02, high: mean + 0.02 }),
                versus,
            )
        };
        let versus = Difference { pairs: 300, mean: 0.125, low: 0.1, high: 0.15, p: 0.00001, method: "crossed" };
        sample::table(vec![
            row("rl", Some(0.425), None),
            row("sft|rl, \"warm\"", Some(0.55), Some(versus)),
            row("kd_rl", None, None),
        ])
    }

    #[test]
    fn markdown() {
        insta::assert_snapshot!(table().written(CompareFormat::Markdown), @r#"
        **which\_order: exam.arith.accuracy, differences to order rl**

        | order | accuracy | 95% interval | n | difference | 95% interval | p | cost | trained | memory |
        | :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: |
        | rl | 42.5% | [40.5%, 44.5%] | 300 | baseline |  |  | 83.5 s | 1,234,567 tok | 3.0 MiB |
        | sft\|rl, "warm" | 55.0% ‡ | [53.0%, 57.0%] | 300 | +12.5 | [+10.0, +15.0] | p\<0.001 | 83.5 s | 1,234,567 tok | 3.0 MiB |
        | kd\_rl | not run |  |  |  |  |  |  |  |  |

        Differences in percentage points, paired by item and seed; p by Student's t over items and repeats, corrected by Holm's method.
        Intervals are over items and seed, both drawn at random: they hold for others, too, and are wide where there are few.
        A cost is the time of all stages behind a result, shared ones included; memory is the largest peak of one.
        ‡ A policy collapsed on the way (sft\|rl, "warm" 1 of 3): next to nothing was left of the best reward it had reached.
        Cells of the sweep without a result yet: 3. Run the file to make them.
        "#);
    }

    #[test]
    fn csv_reads_back_to_the_bit() {
        insta::assert_snapshot!(table().written(CompareFormat::Csv), @r#"
        order,cells,missing,collapsed,n,mean,low,high,pairs,difference,difference_low,difference_high,p,method,seconds,trained_tokens,peak_memory
        rl,3,0,0,300,0.425,0.40499999999999997,0.445,,,,,,,83.5,1234567,3145728
        "sft|rl, ""warm""",3,0,1,300,0.55,0.53,0.5700000000000001,300,0.125,0.1,0.15,0.00001,crossed,83.5,1234567,3145728
        kd_rl,3,3,0,,,,,,,,,,,,1234567,3145728
        "#);
    }

    #[test]
    fn latex() {
        insta::assert_snapshot!(table().written(CompareFormat::Latex), @r#"
        % which_order: exam.arith.accuracy, differences to order rl
        \begin{tabular}{lrrrrrrrrr}
          \toprule
          order & accuracy & 95\% interval & n & difference & 95\% interval & p & cost & trained & memory \\
          \midrule
          rl & 42.5\% & {[}40.5\%, 44.5\%] & 300 & baseline &  &  & 83.5 s & 1,234,567 tok & 3.0 MiB \\
          sft|rl, "warm" & 55.0\% \ddag & {[}53.0\%, 57.0\%] & 300 & +12.5 & {[}+10.0, +15.0] & p$<$0.001 & 83.5 s & 1,234,567 tok & 3.0 MiB \\
          kd\_rl & not run &  &  &  &  &  &  &  &  \\
          \bottomrule
        \end{tabular}
        % Differences in percentage points, paired by item and seed; p by Student's t over items and repeats, corrected by Holm's method.
        % Intervals are over items and seed, both drawn at random: they hold for others, too, and are wide where there are few.
        % A cost is the time of all stages behind a result, shared ones included; memory is the largest peak of one.
        % ‡ A policy collapsed on the way (sft|rl, "warm" 1 of 3): next to nothing was left of the best reward it had reached.
        % Cells of the sweep without a result yet: 3. Run the file to make them.
        "#);
    }
}

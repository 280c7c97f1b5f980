//! Finished lines: columns and trailing comments are aligned here, then all becomes one text.

/// The widest gap that may stand before an aligned `=`; where more is needed none of the run is aligned.
const MAX_GAP: usize = 24;
/// The blanks before a comment behind code.
const COMMENT_GAP: usize = 2;

/// A line that is not yet aligned.
#[derive(Debug, Default)]
pub(super) struct Line<'a> {
    /// Blanks before the text.
    pub indent: usize,
    /// Its code; or a comment of its own.
    pub text: String,
    /// The comment behind the code.
    pub comment: Option<&'a str>,
    /// Whether a blank line stands above.
    pub blank: bool,
    /// The bytes of the text where columns begin.
    pub stops: Vec<usize>,
    /// Lines of the same run are aligned with each other.
    pub run: Option<usize>,
}

impl Line<'_> {
    fn width(&self) -> usize {
        self.indent + self.text.chars().count()
    }

    fn cell(&self, column: usize) -> Option<usize> {
        let start = if column == 0 { 0 } else { self.stops[column - 1] };
        self.stops.get(column).map(|&stop| self.text[start..stop].chars().count())
    }

    fn pad(&mut self, column: usize, blanks: usize) {
        self.text.insert_str(self.stops[column], &" ".repeat(blanks));
        self.stops[column..].iter_mut().for_each(|stop| *stop += blanks);
    }
}

/// Aligns and joins the lines.
pub(super) fn render(mut lines: Vec<Line>) -> String {
    align_columns(&mut lines);
    let gaps = comment_gaps(&lines);
    let mut text = String::with_capacity(lines.iter().map(|line| line.indent + line.text.len() + 1).sum());
    for (number, (line, gap)) in lines.iter().zip(gaps).enumerate() {
        if line.blank && number > 0 {
            text.push('\n');
        }
        text.extend(std::iter::repeat_n(' ', line.indent));
        text.push_str(&line.text);
        if let Some(comment) = line.comment {
            text.extend(std::iter::repeat_n(' ', gap));
            text.push_str(comment);
        }
        text.push('\n');
    }
    text
}

/// Comments of their own may stand between the lines of a run.
fn align_columns(lines: &mut [Line]) {
    let mut rows: Vec<&mut Line> = lines.iter_mut().filter(|line| line.run.is_some()).collect();
    for run in rows.chunk_by_mut(|one, other| one.run == other.run) {
        let columns = run.iter().map(|line| line.stops.len()).max().unwrap_or(0);
        (0..columns).for_each(|column| align_column(run, column));
    }
}

fn align_column(run: &mut [&mut Line], column: usize) {
    let cells = || run.iter().filter(|line| line.stops.len() > column).filter_map(|line| line.cell(column));
    let (widest, narrowest) = (cells().max().unwrap_or(0), cells().min().unwrap_or(0));
    let signs = run.iter().any(|line| line.stops.get(column).is_some_and(|&stop| line.text[stop..].starts_with('=')));
    if signs && widest - narrowest > MAX_GAP {
        return;
    }
    for line in run.iter_mut() {
        if let Some(cell) = line.cell(column) {
            line.pad(column, widest - cell);
        }
    }
}

/// The blanks before each line's comment: those of neighbouring lines stand in one column.
fn comment_gaps(lines: &[Line]) -> Vec<usize> {
    let together = |one: &Line, other: &Line| {
        one.comment.is_some() && other.comment.is_some() && one.indent == other.indent && !other.blank
    };
    let runs = lines.chunk_by(together);
    runs.flat_map(|run| {
        let widest = run.iter().map(Line::width).max().unwrap_or(0);
        run.iter().map(move |line| widest - line.width() + COMMENT_GAP)
    })
    .collect()
}

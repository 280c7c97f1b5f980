//! Rows of cells as aligned text.

use std::borrow::Cow;

/// Where a column's texts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// A table of texts under a line of headings.
#[derive(Clone, Debug)]
pub struct Grid<'t> {
    columns: Vec<(String, Align)>,
    /// The texts of all rows, one row after the other.
    cells: Vec<Cow<'t, str>>,
}

impl<'t> Grid<'t> {
    /// A table with these headings and no rows.
    pub fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        Grid { columns: columns.into_iter().collect(), cells: Vec::new() }
    }

    /// Makes room for this many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.cells.reserve_exact(rows * self.columns.len());
    }

    /// Adds a row; one text a column.
    pub fn row<T: Into<Cow<'t, str>>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let columns = self.columns.len();
        let texts = cells.into_iter().map(Into::into).chain(std::iter::repeat(Cow::Borrowed("")));
        self.cells.extend(texts.take(columns));
    }

    /// The text, a newline at the end of every line, no blank at the end of any.
    pub fn render(&self) -> String {
        let headings: Vec<Cow<str>> = self.columns.iter().map(|(name, _)| name.into()).collect();
        let rows = || std::iter::once(headings.as_slice()).chain(self.cells.chunks(headings.len().max(1)));
        let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        // A plan may have tens of thousands of rows: growing would hold the text twice.
        let line = widths.iter().map(|width| width + 2).sum::<usize>();
        let mut text = String::with_capacity(line * rows().count());
        for row in rows() {
            let start = text.len();
            self.line(&mut text, row, &widths);
            text.truncate(start + text[start..].trim_end().len());
            text.push('\n');
        }
        text
    }

    /// Writes a row behind the text. A plan may have tens of thousands, so no cell gets a text of its own.
    fn line(&self, text: &mut String, row: &[Cow<str>], widths: &[usize]) {
        for (at, ((cell, (_, align)), width)) in row.iter().zip(&self.columns).zip(widths).enumerate() {
            let missing = width.saturating_sub(cell.chars().count());
            let (before, behind) = if *align == Align::Left { (0, missing) } else { (missing, 0) };
            text.push_str(if at > 0 { "  " } else { "" });
            text.extend(std::iter::repeat_n(' ', before));
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', behind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_text() {
        let mut grid = Grid::new([("name".to_string(), Align::Left), ("loss".to_string(), Align::Right)]);
        grid.row(["warm", "0.5"]);
        grid.row(["größer".to_string(), "12.25".to_string()]);
        assert_eq!(grid.render(), "name     loss\nwarm      0.5\ngrößer  12.25\n");
    }
}

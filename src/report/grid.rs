//! Rows of cells as aligned text.

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
pub struct Grid {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// A table with these headings and no rows.
    pub fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        Grid { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row; one text a column.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The text, a newline at the end of every line, no blank at the end of any.
    pub fn render(&self) -> String {
        let headings: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(&headings, column)).collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let start = text.len();
            self.line(&mut text, row, &widths);
            text.truncate(start + text[start..].trim_end().len());
            text.push('\n');
        }
        text
    }

    fn width(&self, headings: &[String], column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).chain(headings.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    /// Writes a row behind the text. A plan may have tens of thousands, so no cell gets a text of its own.
    fn line(&self, text: &mut String, row: &[String], widths: &[usize]) {
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
        grid.row(vec!["warm".into(), "0.5".into()]);
        grid.row(vec!["größer".into(), "12.25".into()]);
        assert_eq!(grid.render(), "name     loss\nwarm      0.5\ngrößer  12.25\n");
    }
}

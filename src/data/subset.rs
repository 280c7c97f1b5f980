//! Parts of a dataset that are chosen row by row, so that other rows can come and go without moving any.

use super::row::{Row, content_id};
use crate::base::seed::Seed;

/// `n` rows without replacement, in the order drawn; a larger sample begins with every smaller one.
pub fn sample(rows: Vec<Row>, n: usize, seed: Seed) -> Vec<Row> {
    let draw = |row: &Row| seed.child(&row.id, 0).stream().uniform();
    let mut drawn: Vec<(f64, Row)> = rows.into_iter().map(|row| (draw(&row), row)).collect();
    drawn.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    drawn.into_iter().take(n).map(|(_, row)| row).collect()
}

/// Whether a row's prompt belongs to a share of all prompts, from 0 to 1.
pub fn is_in_share(row: &Row, share: f64, seed: Seed) -> bool {
    seed.child(&content_id(&row.messages, None), 0).stream().uniform() < share
}

//! Several datasets as one.

use super::DataError;
use super::row::{Row, make_ids_unique};

/// The first rows of each dataset, as many as make the weights come true without taking a row twice.
///
/// # Errors
/// [`DataError::Rows`] where the weights do not fit the datasets, or leave no row.
pub fn weighted(parts: Vec<Vec<Row>>, weights: &[f64]) -> Result<Vec<Vec<Row>>, DataError> {
    if parts.len() != weights.len() {
        let (weights, parts) = (weights.len(), parts.len());
        return Err(DataError::Rows(format!(
            "`weights` has {weights} numbers for {parts} datasets: give one a dataset, that of `|>` first"
        )));
    }
    let needed = || parts.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
    // The scarcest dataset gives all it has; every other in proportion.
    let scale = needed().map(|(part, weight)| part.len() as f64 / weight).fold(f64::INFINITY, f64::min);
    if !scale.is_finite() || scale == 0.0 {
        return Err(DataError::Rows(
            "`weights` leave no row: one must be above 0, and its dataset not empty".to_string(),
        ));
    }
    let take = |(part, weight): (Vec<Row>, &f64)| {
        let rows = (scale * weight).round() as usize;
        part.into_iter().take(rows).collect()
    };
    Ok(parts.into_iter().zip(weights).map(take).collect())
}

/// One after the other.
pub fn concatenate(parts: Vec<Vec<Row>>) -> Vec<Row> {
    let mut rows: Vec<Row> = parts.into_iter().flatten().collect();
    make_ids_unique(&mut rows);
    rows
}

/// Each spread evenly over the whole.
pub fn interleave(parts: Vec<Vec<Row>>) -> Vec<Row> {
    let placed = parts.into_iter().flat_map(|part| {
        let len = part.len() as f64;
        part.into_iter().enumerate().map(move |(at, row)| ((at as f64 + 0.5) / len, row))
    });
    let mut placed: Vec<(f64, Row)> = placed.collect();
    // Stable: of two at one place the earlier dataset's goes first.
    placed.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    concatenate(vec![placed.into_iter().map(|(_, row)| row).collect()])
}

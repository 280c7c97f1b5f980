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

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, count: usize) -> Vec<Row> {
        (0..count).map(|at| Row { id: format!("{name}{at}"), ..Row::new("q", None, None) }).collect()
    }

    fn ids(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.id.as_str()).collect()
    }

    #[test]
    fn weights_are_held_to_the_scarcest_dataset() {
        let counts = |weights: &[f64]| {
            let parts = weighted(vec![part("a", 10), part("b", 3), part("c", 100)], weights)?;
            Ok::<_, DataError>(parts.iter().map(Vec::len).collect::<Vec<_>>())
        };
        assert_eq!(counts(&[2.0, 1.0, 1.0]).unwrap(), [6, 3, 3]);
        assert_eq!(counts(&[0.5, 0.0, 0.5]).unwrap(), [10, 0, 10]);
        assert!(counts(&[1.0, 1.0]).unwrap_err().to_string().contains("2 numbers for 3 datasets"));
        assert!(counts(&[0.0, 0.0, 0.0]).is_err());
    }

    #[test]
    fn interleaved_parts_are_spread_evenly_in_their_own_order() {
        let rows = interleave(vec![part("a", 4), part("b", 2), vec![]]);
        assert_eq!(ids(&rows), ["a0", "b0", "a1", "a2", "b1", "a3"]);
    }

    #[test]
    fn an_id_that_is_taken_changes() {
        let rows = concatenate(vec![part("a", 2), part("a", 2)]);
        assert_eq!(ids(&rows), ["a0", "a1", "a0-2", "a1-2"]);
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<Row> {
        (0..count).map(|at| Row::new(format!("question {at}"), None, None)).collect()
    }

    fn ids(rows: Vec<Row>) -> Vec<String> {
        rows.into_iter().map(|row| row.id).collect()
    }

    #[test]
    fn a_larger_sample_begins_with_a_smaller_one_and_heeds_no_order() {
        let seed = Seed::new(1);
        let large = ids(sample(rows(100), 50, seed));
        assert_eq!(ids(sample(rows(100), 20, seed)), large[..20]);
        let reversed = rows(100).into_iter().rev().collect();
        assert_eq!(ids(sample(reversed, 50, seed)), large);
        assert_ne!(ids(sample(rows(100), 50, Seed::new(2))), large);
        assert_eq!(sample(rows(3), 10, seed).len(), 3);
    }

    #[test]
    fn a_share_is_of_prompts_and_about_as_large_as_asked() {
        let seed = Seed::new(0);
        let inside = rows(2000).iter().filter(|row| is_in_share(row, 0.9, seed)).count();
        assert!((1750..=1850).contains(&inside), "{inside} of 2000");
        for row in rows(50) {
            let twin = Row { id: "another".to_string(), completion: Some("an answer".to_string()), ..row.clone() };
            assert_eq!(is_in_share(&row, 0.5, seed), is_in_share(&twin, 0.5, seed));
            assert!(!is_in_share(&row, 0.0, seed) && is_in_share(&row, 1.0, seed));
        }
    }
}

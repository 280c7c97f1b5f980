//! A whole data set made ready for training, and the facts the user is told about it before the work starts.

use super::DataError;
use super::encode::{Example, LossOn, encode_example};
use super::row::Row;
use super::tokenizer::Tokenizer;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happens to a row of more than `max_length` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// It is left out, and counted.
    Drop,
    /// The stage fails.
    Error,
    /// Its end is cut off, the stop token with it, and it is counted.
    Truncate,
}

/// Counts over a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Rows read.
    pub rows: usize,
    /// Rows left out because they are too long.
    pub dropped: usize,
    /// Rows cut to `max_length`.
    pub cut: usize,
    /// Rows left out because no token of theirs is trained on.
    pub zero_token_rows: usize,
    /// Tokens in the rows kept.
    pub tokens: usize,
    /// Those of them that are trained on.
    pub trained_tokens: usize,
    /// Minimum, median, 95th percentile and maximum of the rows' lengths in tokens, before anything was cut.
    pub lengths: [usize; 4],
}

impl Facts {
    /// The facts by name, as events carry them.
    pub fn to_map(&self) -> BTreeMap<String, f64> {
        let counts = [
            ("rows", self.rows),
            ("dropped", self.dropped),
            ("cut", self.cut),
            ("zero_token_rows", self.zero_token_rows),
            ("tokens", self.tokens),
            ("trained_tokens", self.trained_tokens),
            ("length_min", self.lengths[0]),
            ("length_median", self.lengths[1]),
            ("length_p95", self.lengths[2]),
            ("length_max", self.lengths[3]),
        ];
        counts.into_iter().map(|(name, count)| (name.to_string(), count as f64)).collect()
    }
}

/// Encodes every row, in order, and applies the policy for rows of more than `max_length` tokens.
///
/// # Errors
/// [`DataError::Rows`] where a row cannot be encoded, is too long under [`Overlong::Error`], or none is left.
pub fn prepare(
    tokenizer: &Tokenizer,
    rows: &[Row],
    loss_on: LossOn,
    max_length: usize,
    overlong: Overlong,
) -> Result<(Vec<Example>, Facts), DataError> {
    let encoded = rows.par_iter().map(|row| encode_example(tokenizer, row, loss_on)).collect::<Vec<_>>();
    let mut facts = Facts { rows: rows.len(), ..Facts::default() };
    let (mut kept, mut lengths) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (row, example) in rows.iter().zip(encoded) {
        let example = example?;
        lengths.push(example.len());
        let Some(example) = fit(example, row, max_length, overlong, &mut facts)? else { continue };
        if example.trained() == 0 {
            facts.zero_token_rows += 1;
            continue;
        }
        facts.tokens += example.len();
        facts.trained_tokens += example.trained();
        kept.push(example);
    }
    facts.lengths = quantiles(lengths);
    match kept.is_empty() {
        true => Err(none_left(&facts, max_length)),
        false => Ok((kept, facts)),
    }
}

fn fit(
    mut example: Example,
    row: &Row,
    max_length: usize,
    overlong: Overlong,
    facts: &mut Facts,
) -> Result<Option<Example>, DataError> {
    if example.len() <= max_length {
        return Ok(Some(example));
    }
    match overlong {
        Overlong::Drop => {
            facts.dropped += 1;
            Ok(None)
        }
        Overlong::Truncate => {
            facts.cut += 1;
            example.ids.truncate(max_length);
            example.mask.truncate(max_length);
            Ok(Some(example))
        }
        Overlong::Error => Err(DataError::Rows(format!(
            "row `{}` has {} tokens, more than max_length: {max_length}tok: raise max_length, or set overlong to \
             \"drop\" or \"truncate\"",
            row.id,
            example.len()
        ))),
    }
}

fn none_left(facts: &Facts, max_length: usize) -> DataError {
    DataError::Rows(format!(
        "none of the {} rows is left to train on: {} are longer than max_length: {max_length}tok, {} have no trained \
         token (the longest row has {} tokens): raise max_length, or give rows with completions",
        facts.rows, facts.dropped, facts.zero_token_rows, facts.lengths[3]
    ))
}

/// Minimum, median, 95th percentile and maximum, by nearest rank.
fn quantiles(mut lengths: Vec<usize>) -> [usize; 4] {
    lengths.sort_unstable();
    let rank = |percent: usize| (lengths.len() * percent).div_ceil(100).max(1) - 1;
    [0, 50, 95, 100].map(|percent| lengths.get(rank(percent)).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::train_tokenizer::tests::tiny;

    fn rows() -> Vec<Row> {
        let row = |words: usize| Row::new("q", Some("word ".repeat(words)), None);
        vec![row(1), row(2), row(40)]
    }

    #[test]
    fn each_policy_is_counted() {
        let tokenizer = tiny();
        let run = |overlong| prepare(&tokenizer, &rows(), LossOn::Completion, 30, overlong);
        let (examples, facts) = run(Overlong::Drop).unwrap();
        assert_eq!((examples.len(), facts.rows, facts.dropped, facts.cut), (2, 3, 1, 0));
        assert_eq!(facts.trained_tokens, examples.iter().map(Example::trained).sum::<usize>());
        let (examples, facts) = run(Overlong::Truncate).unwrap();
        assert_eq!((examples.len(), facts.cut, examples[2].len()), (3, 1, 30));
        let message = run(Overlong::Error).unwrap_err().to_string();
        assert!(message.contains("max_length: 30tok"), "{message}");
    }

    #[test]
    fn the_thread_count_changes_no_token() {
        let tokenizer = tiny();
        let rows: Vec<Row> =
            (0..200).map(|n| Row::new("q", Some(format!("{n} words ").repeat(n % 7 + 1)), None)).collect();
        let with_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| prepare(&tokenizer, &rows, LossOn::Completion, 30, Overlong::Drop).unwrap())
        };
        assert_eq!(with_threads(1), with_threads(4));
    }

    #[test]
    fn no_row_left_is_an_error() {
        let message = prepare(&tiny(), &rows(), LossOn::Completion, 2, Overlong::Truncate).unwrap_err().to_string();
        assert!(message.contains("none of the 3 rows"), "{message}");
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        assert_eq!(quantiles((1..=100).collect()), [1, 50, 95, 100]);
        assert_eq!(quantiles(vec![7]), [7; 4]);
        assert_eq!(quantiles(vec![]), [0; 4]);
    }
}

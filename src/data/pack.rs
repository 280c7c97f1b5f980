//! Putting examples together: rows of a maximal length, and flat streams of segments.

use super::encode::Example;
use std::ops::Range;

/// Examples laid end to end. Attention and positions restart at every start.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Stream {
    /// Token ids, [tokens].
    pub ids: Vec<u32>,
    /// Whether the token is trained on, [tokens].
    pub mask: Vec<bool>,
    /// Where each segment begins, and at the end the number of tokens: [segments + 1].
    pub starts: Vec<usize>,
}

impl Stream {
    /// The segments' ranges in `ids`.
    pub fn segments(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }
}

/// Lays examples end to end, in the order given.
pub fn flatten(examples: &[&Example]) -> Stream {
    let mut stream = Stream { starts: vec![0], ..Stream::default() };
    for example in examples {
        stream.ids.extend_from_slice(&example.ids);
        stream.mask.extend_from_slice(&example.mask);
        stream.starts.push(stream.ids.len());
    }
    stream
}

/// Packs examples of these lengths into rows of at most `max_length` tokens, best fit decreasing: the longest
/// first, each into the fullest row that still takes it. Ties go to the lower index, so the result is a function
/// of the lengths. A length above `max_length` gets a row of its own. Returns the indices in each row.
pub fn pack(lengths: &[usize], max_length: usize) -> Vec<Vec<usize>> {
    let mut by_length: Vec<usize> = (0..lengths.len()).collect();
    by_length.sort_by_key(|&index| (std::cmp::Reverse(lengths[index]), index));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    // Free tokens and row number: the first entry not below a length is the fullest row that takes it.
    let mut free = std::collections::BTreeSet::new();
    for index in by_length {
        let length = lengths[index];
        let found = free.range((length, 0)..).next().copied();
        let (room, row) = match found {
            Some(entry) => {
                free.remove(&entry);
                entry
            }
            None => {
                rows.push(Vec::new());
                (max_length.max(length), rows.len() - 1)
            }
        };
        rows[row].push(index);
        free.insert((room - length, row));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_loses_no_example_and_overfills_no_row(lengths in prop::collection::vec(1usize..120, 0..200)) {
            let rows = pack(&lengths, 100);
            let mut seen: Vec<usize> = rows.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for row in &rows {
                let tokens: usize = row.iter().map(|&index| lengths[index]).sum();
                prop_assert!(tokens <= 100 || row.len() == 1);
            }
        }

        #[test]
        fn flattening_loses_no_token(lengths in prop::collection::vec(0usize..20, 0..30)) {
            let example = |(index, &length): (usize, &usize)| Example {
                ids: vec![index as u32; length],
                mask: (0..length).map(|at| at % 2 == 1).collect(),
            };
            let examples: Vec<Example> = lengths.iter().enumerate().map(example).collect();
            let stream = flatten(&examples.iter().collect::<Vec<_>>());
            prop_assert_eq!(stream.segments().count(), examples.len());
            for (range, example) in stream.segments().zip(&examples) {
                prop_assert_eq!(&stream.ids[range.clone()], &example.ids[..]);
                prop_assert_eq!(&stream.mask[range], &example.mask[..]);
            }
        }
    }

    #[test]
    fn best_fit_decreasing_fills_rows() {
        assert_eq!(pack(&[5, 7, 3, 2, 3], 10), vec![vec![1, 2], vec![0, 4, 3]]);
    }
}

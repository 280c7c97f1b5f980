//! The name a user most likely meant.

/// The longest name, in bytes, that neighbours are looked for.
const MAX_LENGTH: usize = 100;
/// The fewest bytes that tell which longer name is meant.
const MIN_PREFIX: usize = 3;

/// The candidate closest to `name`, unless all are too far to be meant. Ties go to the first.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A text this long is no slip of a word, and comparing it would take its time.
    if name.len() > MAX_LENGTH {
        return None;
    }
    let length = name.chars().count();
    // Every single letter is one edit away from every other: there only the case may differ.
    let limit = if length == 1 { 0 } else { length.max(3) / 3 };
    let short: Vec<&str> = candidates.into_iter().filter(|candidate| candidate.len() <= MAX_LENGTH).collect();
    // A length that differs by more is a distance that is more.
    let near = short.iter().filter(|candidate| candidate.chars().count().abs_diff(length) <= limit);
    let scored = near.map(|candidate| (distance(name, candidate), *candidate));
    let best = scored.filter(|&(distance, _)| distance <= limit).min_by_key(|&(distance, _)| distance);
    best.map(|(_, name)| name).or_else(|| completed(name, &short))
}

/// The only candidate that begins with what was written: `gsm` for `gsm8k`.
fn completed<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let mut longer = candidates.iter().filter(|candidate| name.len() >= MIN_PREFIX && candidate.starts_with(name));
    let first = longer.next()?;
    longer.next().is_none().then_some(*first)
}

/// Edit distance with swapped neighbours (optimal string alignment), blind to case.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let changed = usize::from(left[i - 1] != right[j - 1]);
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typos_and_refuses_guesses() {
        assert_eq!(nearest("laerning_rate", ["budget", "learning_rate"]), Some("learning_rate"));
        assert_eq!(nearest("sed", ["seed", "data"]), Some("seed"));
        assert_eq!(nearest("b", ["a", "B"]), Some("B"));
        assert_eq!(nearest("b", ["a", "c"]), None);
        assert_eq!(nearest("gsm", ["gsm8k", "math"]), Some("gsm8k"));
        assert_eq!(nearest("max", ["max_length", "max_grad_norm"]), None);
        assert_eq!(nearest("zebra", ["seed", "data"]), None);
    }
}

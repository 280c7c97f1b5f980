//! Test items inside training data, found by the runs of words they share (GPT-3, arXiv:2005.14165, appendix C).

use super::row::Row;
use std::collections::{BTreeMap, BTreeSet};

/// A run of words that stands in more test items than this belongs to their template: it gives no item away.
const TEMPLATE: usize = 10;

/// The prompts of test items, ready to be looked for.
pub struct TestItems {
    words: usize,
    /// Runs of `words` words, joined by blanks.
    runs: BTreeSet<String>,
    /// Whole prompts with fewer words than that.
    short: BTreeSet<String>,
}

impl TestItems {
    /// The items' prompts, to be found by runs of `words` words.
    pub fn new(items: &[Row], words: usize) -> Self {
        let (mut counts, mut short) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
        for item in items {
            let prompt = prompt_words(item);
            if prompt.len() < words && !prompt.is_empty() {
                short.insert(prompt.join(" "));
            }
            let runs: BTreeSet<String> = prompt.windows(words).map(|run| run.join(" ")).collect();
            runs.into_iter().for_each(|run| *counts.entry(run).or_default() += 1);
        }
        let runs = counts.into_iter().filter(|(_, count)| *count <= TEMPLATE).map(|(run, _)| run).collect();
        TestItems { words, runs, short }
    }

    /// Whether a row gives an item away: by a run of words anywhere in it, or by a whole prompt.
    pub fn overlap(&self, row: &Row) -> bool {
        let prompt = prompt_words(row);
        if self.short.contains(&prompt.join(" ")) {
            return true;
        }
        let completion = words(row.completion.as_deref().unwrap_or_default());
        let in_any = |words: &[String]| words.windows(self.words).any(|run| self.runs.contains(&run.join(" ")));
        in_any(&prompt) || in_any(&completion)
    }
}

/// The words of all turns but the system's, which many items share.
fn prompt_words(row: &Row) -> Vec<String> {
    row.messages.iter().filter(|turn| turn.role != "system").flat_map(|turn| words(&turn.content)).collect()
}

/// Runs of letters and digits, in lower case.
fn words(text: &str) -> Vec<String> {
    let runs = text.split(|letter: char| !letter.is_alphanumeric());
    runs.filter(|run| !run.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::super::row::Message;
    use super::*;

    fn row(prompt: &str) -> Row {
        Row::new(prompt, None, None)
    }

    #[test]
    fn a_shared_run_is_found_whatever_its_case_and_punctuation() {
        let tests = TestItems::new(&[row("Tom has three red apples, and eats two.")], 5);
        assert!(tests.overlap(&row("Yesterday TOM HAS three (red) apples!")));
        assert!(!tests.overlap(&row("Tom has three green apples and eats two")));
        let leaked = Row { completion: Some("Note: three red apples and eats".to_string()), ..row("another") };
        assert!(tests.overlap(&leaked));
    }

    #[test]
    fn a_short_item_counts_only_as_a_whole_prompt() {
        let tests = TestItems::new(&[row("What is 2+2?")], 13);
        assert!(tests.overlap(&row("what is 2 + 2")));
        assert!(!tests.overlap(&row("What is 2+2? Explain.")));
        assert!(!TestItems::new(&[row("?")], 13).overlap(&row("!")));
    }

    #[test]
    fn a_template_gives_no_item_away_and_neither_does_a_system_turn() {
        let numbered = |at: usize| row(&format!("{at} is the number; think step by step and answer"));
        let items: Vec<Row> = (0..=TEMPLATE).map(numbered).collect();
        let tests = TestItems::new(&items, 6);
        assert!(!tests.overlap(&row("Now think step by step and answer")));
        assert!(tests.overlap(&numbered(3)));
        let system = Message::new("system", "one two three four five six seven");
        let with_system = |prompt: &str| {
            let mut row = row(prompt);
            row.messages.insert(0, system.clone());
            row
        };
        assert!(!TestItems::new(&[with_system("a b c d e f g")], 6).overlap(&with_system("h i")));
    }
}

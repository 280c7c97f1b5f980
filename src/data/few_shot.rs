//! Worked examples in front of what a row asks (Brown et al. 2020, arXiv:2005.14165).

use super::DataError;
use super::row::{Message, Row};
use crate::base::seed::Seed;

/// Where the examples of a row come from, and how they stand in its prompt.
#[derive(Clone, Copy, Debug)]
pub struct Shots {
    /// How many.
    pub count: usize,
    /// Drawn for each row from the stream of this seed and the row's id; else the first ones, for every row the same.
    pub drawn: Option<Seed>,
    /// How they stand there.
    pub layout: Layout,
}

/// How examples stand in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As turns of a conversation before the last: for models that were taught to chat.
    Turns,
    /// As text before the question, `Question: …` and `Answer: …`, a blank line between two: for base models.
    Text,
}

/// The row with its examples; an example of the same id, or that asks the same, is passed over.
///
/// # Errors
/// [`DataError::Rows`] where an example has no completion, or there are too few.
pub fn with_shots(row: Row, examples: &[Row], shots: &Shots) -> Result<Row, DataError> {
    let chosen = choose(&row, examples, shots);
    if chosen.len() < shots.count {
        return Err(DataError::Rows(format!(
            "row `{}` is to have {} examples and `examples` has {} that are not the row itself: lower `shots`",
            row.id,
            shots.count,
            chosen.len()
        )));
    }
    let pairs = chosen.into_iter().map(worked).collect::<Result<Vec<_>, _>>()?;
    Ok(match shots.layout {
        Layout::Turns => in_turns(row, &pairs),
        Layout::Text => in_text(row, &pairs),
    })
}

fn choose<'a>(row: &Row, examples: &'a [Row], shots: &Shots) -> Vec<&'a Row> {
    let is_other = |example: &&Row| example.id != row.id && example.question() != row.question();
    let Some(seed) = shots.drawn else {
        return examples.iter().filter(is_other).take(shots.count).collect();
    };
    // By the row's id: what a row is shown does not depend on which rows stand around it.
    let mut stream = seed.child(&row.id, 0).stream();
    let mut others: Vec<&Row> = examples.iter().filter(is_other).collect();
    let count = shots.count.min(others.len());
    for at in 0..count {
        let drawn = at + stream.below((others.len() - at) as u64) as usize;
        others.swap(at, drawn);
    }
    others.truncate(count);
    others
}

/// Question and worked answer of an example.
fn worked(example: &Row) -> Result<(&str, &str), DataError> {
    let missing = || DataError::Rows(format!("the example `{}` has no completion to show", example.id));
    Ok((example.question(), example.completion.as_deref().ok_or_else(missing)?))
}

fn in_turns(mut row: Row, pairs: &[(&str, &str)]) -> Row {
    let turns = pairs.iter().flat_map(|(question, answer)| [Message::user(*question), Message::assistant(*answer)]);
    let last = row.messages.len().saturating_sub(1);
    row.messages.splice(last..last, turns);
    row
}

fn in_text(mut row: Row, pairs: &[(&str, &str)]) -> Row {
    if let Some(turn) = row.messages.last_mut() {
        let shown = pairs.iter().map(|(question, answer)| format!("Question: {question}\nAnswer: {answer}\n\n"));
        turn.content = format!("{}Question: {}\nAnswer:", shown.collect::<String>(), turn.content);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Row> {
        (0..6).map(|at| Row::new(format!("q{at}"), Some(format!("a{at}")), None)).collect()
    }

    fn shots(count: usize, drawn: Option<u64>, layout: Layout) -> Shots {
        Shots { count, drawn: drawn.map(Seed::new), layout }
    }

    fn asked(row: &Row) -> Vec<(&str, &str)> {
        row.messages.iter().map(|turn| (turn.role.as_str(), turn.content.as_str())).collect()
    }

    #[test]
    fn turns_stand_before_the_last_and_behind_the_system_turn() {
        let mut row = Row::new("q", None, Some("1".into()));
        row.messages.insert(0, Message::new("system", "s"));
        let id = row.id.clone();
        let row = with_shots(row, &examples(), &shots(1, None, Layout::Turns)).unwrap();
        assert_eq!(asked(&row), [("system", "s"), ("user", "q0"), ("assistant", "a0"), ("user", "q")]);
        assert_eq!((row.id, row.answer.as_deref()), (id, Some("1")));
    }

    #[test]
    fn text_reads_as_base_models_are_asked() {
        let row = with_shots(Row::new("q", None, None), &examples(), &shots(2, None, Layout::Text)).unwrap();
        let text = "Question: q0\nAnswer: a0\n\nQuestion: q1\nAnswer: a1\n\nQuestion: q\nAnswer:";
        assert_eq!(asked(&row), [("user", text)]);
    }

    #[test]
    fn no_row_is_its_own_example() {
        let row =
            with_shots(Row::new("q0", None, Some("9".into())), &examples(), &shots(1, None, Layout::Turns)).unwrap();
        assert_eq!(asked(&row)[0], ("user", "q1"));
        let same_id = with_shots(examples().remove(0), &examples(), &shots(5, Some(1), Layout::Turns)).unwrap();
        assert!(asked(&same_id)[..10].iter().all(|(_, text)| *text != "q0" && *text != "a0"));
    }

    #[test]
    fn drawn_examples_hang_on_the_row_alone() {
        let drawn = |text: &str, seed| {
            let row =
                with_shots(Row::new(text, None, None), &examples(), &shots(3, Some(seed), Layout::Turns)).unwrap();
            asked(&row).iter().map(|(_, text)| text.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(drawn("q", 1), drawn("q", 1));
        let several: std::collections::BTreeSet<_> =
            (0..20).map(|at| drawn(&format!("other {at}"), 1)[..6].to_vec()).collect();
        assert!(several.len() > 5, "{several:?}");
        assert!((0..20).any(|seed| drawn("q", seed) != drawn("q", 1)));
    }

    #[test]
    fn too_few_examples_or_one_without_a_completion_is_an_error() {
        let failed = |examples: &[Row], count| {
            with_shots(Row::new("q", None, None), examples, &shots(count, None, Layout::Turns)).unwrap_err().to_string()
        };
        assert!(failed(&examples(), 7).contains("has 6"));
        let bare = [Row { id: "bare".into(), ..Row::new("q9", None, None) }];
        assert!(failed(&bare, 1).contains("`bare` has no completion"));
    }
}

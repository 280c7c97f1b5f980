//! The parts of a row written anew by Jinja templates.

use super::DataError;
use super::chat;
use super::row::{Message, Row};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};

/// Templates for some of a row's parts: `system`, `prompt`, `completion`, `answer`.
pub struct RowTemplates {
    environment: Environment<'static>,
    parts: Vec<&'static str>,
}

impl RowTemplates {
    /// Compiles the templates, each with the part it writes.
    ///
    /// # Errors
    /// [`DataError::Template`] that names the part.
    pub fn new(given: impl IntoIterator<Item = (&'static str, String)>) -> Result<Self, DataError> {
        let mut environment = chat::environment().map_err(|error| DataError::Template(error.to_string()))?;
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut parts = Vec::new();
        for (part, source) in given {
            environment.add_template_owned(part, source).map_err(|error| failed(part, None, &error))?;
            parts.push(part);
        }
        Ok(RowTemplates { environment, parts })
    }

    /// The row with its parts written anew, all from what it held before.
    ///
    /// # Errors
    /// [`DataError::Template`] that names part and row.
    pub fn apply(&self, row: Row) -> Result<Row, DataError> {
        let given = given(&row);
        let mut changed = row.clone();
        for &part in &self.parts {
            let template = self.environment.get_template(part);
            let rendered = template.and_then(|template| template.render(&given));
            let text = rendered.map_err(|error| failed(part, Some(&row), &error))?;
            set(&mut changed, part, text)?;
        }
        Ok(changed)
    }
}

/// What templates can name; a part that the row lacks is not there at all, so that naming it is an error.
fn given(row: &Row) -> Value {
    let system = row.messages.iter().find(|turn| turn.role == "system").map(|turn| turn.content.as_str());
    let texts = [
        ("id", Some(row.id.as_str())),
        ("prompt", Some(row.question())),
        ("system", Some(system.unwrap_or_default())),
        ("completion", row.completion.as_deref()),
        ("answer", row.answer.as_deref()),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, Value::from(text?))));
    Value::from_pairs(texts.chain([("meta", Value::from(Serde(&row.meta)))]))
}

fn set(row: &mut Row, part: &str, text: String) -> Result<(), DataError> {
    let text_or_none = Some(text.clone()).filter(|text| !text.is_empty());
    match part {
        "completion" => row.completion = text_or_none,
        "answer" => row.answer = text_or_none,
        "system" => {
            row.messages.retain(|turn| turn.role != "system");
            row.messages.splice(0..0, text_or_none.map(|text| Message::new("system", text)));
        }
        _ => match row.messages.last_mut() {
            Some(turn) if !text.is_empty() => turn.content = text,
            _ => return Err(DataError::Template(format!("the prompt of row `{}` becomes empty", row.id))),
        },
    }
    Ok(())
}

fn failed(part: &str, row: Option<&Row>, error: &minijinja::Error) -> DataError {
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_string);
    let row = row.map(|row| format!(" for row `{}`", row.id)).unwrap_or_default();
    DataError::Template(format!(
        "the template `{part}` cannot be rendered{row}: {detail}; it can name prompt, system, completion, answer, id and \
         meta, as far as a row has them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row::new("1 + 1?", Some("It is 2.".to_string()), Some("2".to_string())).with_meta("level", 3)
    }

    fn applied(given: &[(&'static str, &str)], row: Row) -> Result<Row, DataError> {
        RowTemplates::new(given.iter().map(|(part, source)| (*part, source.to_string())))?.apply(row)
    }

    #[test]
    fn every_part_is_written_from_what_the_row_held_before() {
        let templates = [
            ("system", "Level {{ meta.level }}."),
            ("prompt", "{{ prompt }} Think."),
            ("completion", "<think>{{ completion }}</think> {{ answer }} to {{ prompt }}"),
            ("answer", "{{ answer }}.0"),
        ];
        let changed = applied(&templates, row()).unwrap();
        let turns: Vec<_> = changed.messages.iter().map(|turn| (turn.role.as_str(), turn.content.as_str())).collect();
        assert_eq!(turns, [("system", "Level 3."), ("user", "1 + 1? Think.")]);
        assert_eq!(changed.completion.as_deref(), Some("<think>It is 2.</think> 2 to 1 + 1?"));
        assert_eq!((changed.answer.as_deref(), changed.id), (Some("2.0"), row().id));
    }

    #[test]
    fn an_empty_text_takes_a_part_away_but_not_the_prompt() {
        let changed = applied(&[("completion", ""), ("answer", ""), ("system", "")], row()).unwrap();
        assert_eq!((changed.completion, changed.answer, changed.messages.len()), (None, None, 1));
        assert!(applied(&[("prompt", "")], row()).unwrap_err().to_string().contains("becomes empty"));
    }

    #[test]
    fn what_a_row_lacks_or_a_template_misspells_is_an_error_that_names_both() {
        let bare = Row::new("q", None, None);
        let message = applied(&[("prompt", "{{ completion }}")], bare.clone()).unwrap_err().to_string();
        assert!(message.contains("`prompt`") && message.contains(&bare.id), "{message}");
        assert!(applied(&[("prompt", "{{ question }}")], row()).is_err());
        assert!(applied(&[("prompt", "{{ prompt")], row()).unwrap_err().to_string().contains("`prompt`"));
    }
}

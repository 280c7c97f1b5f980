//! The fields of a record and the arguments of a call: named, unnamed and spread, each written once.

use super::ast::*;
use super::check::mismatch;
use super::datum::{Datum, Fields};
use super::eval::{Evaluator, Frame};
use super::types::Type;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};

/// A field or argument that was written, evaluated.
pub(super) struct Entry {
    pub name: Ident,
    pub value: Datum,
    /// Where its value stands.
    pub span: Span,
    /// Whether it came with a `...record`.
    pub spread: bool,
}

/// The fields of a record or the arguments of a call.
#[derive(Default)]
pub(super) struct Arguments {
    /// Named ones, in the order written; a later one has replaced an earlier one from a spread.
    pub entries: Vec<Entry>,
    /// Unnamed ones.
    pub positional: Vec<(Datum, Span)>,
    /// Whether a part could not be read, so that nothing can be said to be missing.
    pub open: bool,
}

impl Arguments {
    /// Adds an entry; says what is wrong where the name was written before.
    pub fn add(&mut self, entry: Entry) -> Option<Diagnostic> {
        let Some(before) = self.entries.iter_mut().find(|other| other.name.name == entry.name.name) else {
            self.entries.push(entry);
            return None;
        };
        let found = (!before.spread).then(|| twice(before, &entry));
        *before = entry;
        found
    }

    /// Takes an entry out by name.
    pub fn take(&mut self, name: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.name.name == name)?;
        Some(self.entries.remove(at))
    }
}

impl Evaluator<'_> {
    /// Evaluates the fields of a record or the arguments of a call.
    pub fn arguments(&mut self, fields: &[Field], frame: &mut Frame) -> Arguments {
        let mut arguments = Arguments::default();
        for field in fields {
            match field {
                Field::Named(name, value) => {
                    let entry =
                        Entry { name: name.clone(), value: self.expr(value, frame), span: value.span, spread: false };
                    arguments.add(entry).into_iter().for_each(|found| drop(self.report(found)));
                }
                Field::Spread(record) => self.spread(record, &mut arguments, frame),
                Field::Positional(value) => arguments.positional.push((self.expr(value, frame), value.span)),
            }
        }
        arguments
    }

    fn spread(&mut self, record: &Expr, arguments: &mut Arguments, frame: &mut Frame) {
        let span = record.span;
        let fields: Fields = match self.expr(record, frame) {
            Datum::Record(fields) => (*fields).clone(),
            Datum::Opaque(Type::Record(fields)) => {
                fields.into_iter().map(|(name, ty)| (name.into(), Datum::Opaque(ty))).collect()
            }
            Datum::Opaque(Type::Unknown) => {
                arguments.open = true;
                return;
            }
            other => {
                self.report(mismatch("`...`", &other, &Type::Record(Vec::new()), span));
                arguments.open = true;
                return;
            }
        };
        for (name, value) in fields {
            let entry = Entry { name: Ident { name, span }, value, span, spread: true };
            if let Some(found) = arguments.add(entry) {
                let found = self.spread_first(found, span);
                self.report(found);
            }
        }
    }

    /// The fix of a spread that hides a field: the two change places.
    fn spread_first(&self, found: Diagnostic, record: Span) -> Diagnostic {
        let Some(field) = found.labels.get(1).map(|label| label.span).filter(|field| field.source == record.source)
        else {
            return found;
        };
        let whole = Span { start: field.start, ..record };
        let Some((before, last)) = self.written_at(whole).and_then(|text| text.rsplit_once("...")) else {
            return found;
        };
        let before = before.trim_end();
        let swapped = match before.strip_suffix(',') {
            Some(before) => format!("...{last}, {before}"),
            None => format!("...{last} {before}"),
        };
        if before.contains('#') { found } else { found.fix(whole, swapped) }
    }
}

fn twice(before: &Entry, again: &Entry) -> Diagnostic {
    let name = &before.name.name;
    if again.spread {
        let message = format!("this spread hides `{name}`");
        let found = Diagnostic::error(codes::HIDDEN_FIELD, message, again.span, format!("it brings its own `{name}`"));
        return found.label(before.name.span, "written here").help("put the spread first: later fields win");
    }
    let message = format!("`{name}` is written twice");
    let found = Diagnostic::error(codes::FIELD_TWICE, message, again.name.span, "again here");
    found.label(before.name.span, "first here").help("remove one of the two")
}

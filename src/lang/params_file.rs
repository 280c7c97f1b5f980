//! The file of `--params`: YAML or JSON that sets params, each value with its place for messages.

use super::ast::{Expr, ExprKind, Field, Ident, Record, TextPart};
use super::name::Name;
use super::parse;
use super::types::Type;
use crate::base::source::{SourceId, Span};
use crate::diag::{Diagnostic, codes};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::Value;
use std::fmt;
use std::sync::Arc;

/// A params file that the driver has read.
#[derive(Clone, Copy, Debug)]
pub struct ParamsFile<'a> {
    /// Its path, as the user wrote it.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// One param that a params file sets.
pub(super) struct Setting {
    /// The param.
    pub name: String,
    /// Where its name stands.
    pub name_span: Span,
    /// Its value, not yet an expression: what a text means depends on the param's type.
    pub value: Written,
}

/// A value of a params file.
pub(super) struct Written {
    value: Value,
    text: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

/// What a params file sets, in its order.
pub(super) fn read(source: SourceId, text: &str) -> Result<Vec<Setting>, Box<Diagnostic>> {
    let whole: Value = serde_yaml::from_str(text).map_err(|error| Box::new(malformed(source, text, &error)))?;
    let entries = match whole {
        Value::Mapping(entries) => entries,
        Value::Null => return Ok(Vec::new()),
        _ => {
            let message = "a params file is a mapping from names to values";
            let found = Diagnostic::error(codes::PARAMS_FILE, message, first_line(source, text), "no mapping");
            return Err(Box::new(found.help("write `name: value` lines")));
        }
    };
    let shared: Arc<str> = text.into();
    let mut settings = Vec::new();
    for (index, (name, value)) in entries.into_iter().enumerate() {
        let name_span = locate(source, text, index, false);
        let span = locate(source, text, index, true);
        let Value::String(name) = name else {
            let message = "the name of a param is a text";
            let found = Diagnostic::error(codes::PARAMS_FILE, message, name_span, "no name");
            return Err(Box::new(found));
        };
        if matches!(value, Value::Tagged(_)) {
            let message = "tags such as `!name` mean nothing in a params file";
            let found = Diagnostic::error(codes::PARAMS_FILE, message, span, "a tag");
            return Err(Box::new(found.help("write the value alone")));
        }
        settings.push(Setting { name, name_span, value: Written { value, text: shared.clone(), span } });
    }
    Ok(settings)
}

impl Written {
    /// The value as an expression for a param of type `ty`: where no text may stand, a text is read as the language
    /// reads it, so that `3epochs` and `local("dir")` need no other spelling here.
    pub fn expr(&self, ty: &Type) -> Result<Expr, Vec<Diagnostic>> {
        self.convert(&self.value, ty)
    }

    fn convert(&self, value: &Value, ty: &Type) -> Result<Expr, Vec<Diagnostic>> {
        let kind = match value {
            Value::Null => ExprKind::None,
            Value::Bool(value) => ExprKind::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => ExprKind::Int(whole),
                (None, Some(real)) if real.is_finite() => ExprKind::Float(real),
                _ => return Err(vec![self.wrong("this number does not fit", "too large")]),
            },
            Value::String(text) if takes_text(ty) => ExprKind::Text(vec![TextPart::Text(text.clone())]),
            Value::String(text) => return self.parsed(text),
            Value::Sequence(items) => {
                let inner = item_type(ty);
                ExprKind::List(items.iter().map(|item| self.convert(item, &inner)).collect::<Result<_, _>>()?)
            }
            Value::Mapping(entries) => {
                let field = |(name, value): (&Value, &Value)| match name {
                    Value::String(name) => {
                        let value = self.convert(value, &field_type(ty, name))?;
                        Ok(Field::Named(Ident { name: Name::written(name), span: self.span }, value))
                    }
                    _ => Err(vec![self.wrong("the name of a field is a text", "no name")]),
                };
                let fields = entries.iter().map(field).collect::<Result<_, _>>()?;
                ExprKind::Record(Record { fields, span: self.span })
            }
            Value::Tagged(_) => return Err(vec![self.wrong("tags mean nothing in a params file", "a tag")]),
        };
        Ok(Expr { kind, span: self.span })
    }

    fn wrong(&self, message: &str, text: &str) -> Diagnostic {
        Diagnostic::error(codes::PARAMS_FILE, message, self.span, text)
    }

    /// A text in the language of the files. Its places are those of the params file where it stands there as it is.
    fn parsed(&self, written: &str) -> Result<Expr, Vec<Diagnostic>> {
        let found = self.text[self.span.start as usize..self.span.end as usize].find(written);
        let Some(offset) = found.map(|offset| offset + self.span.start as usize) else {
            let parsed = parse::parse_expr(self.span.source, written, 0);
            let message = "this text is no value of the language";
            let everywhere = parsed.map_err(|_| vec![self.wrong(message, "read as the language reads it")])?;
            return Ok(Expr { kind: everywhere.kind, span: self.span });
        };
        let padded = format!("{}{written}", " ".repeat(offset));
        parse::parse_expr(self.span.source, &padded, offset)
    }
}

/// Whether a text as such may be a value of the type, so that it is never read as an expression.
pub(super) fn takes_text(ty: &Type) -> bool {
    match ty {
        Type::String | Type::Path | Type::Strings(_) => true,
        Type::Optional(inner) => takes_text(inner),
        Type::OneOf(options) => options.iter().any(takes_text),
        _ => false,
    }
}

fn item_type(ty: &Type) -> Type {
    match ty {
        Type::List(item) => (**item).clone(),
        Type::Optional(inner) => item_type(inner),
        _ => Type::Unknown,
    }
}

fn field_type(ty: &Type, name: &str) -> Type {
    match ty {
        Type::Record(fields) => {
            fields.iter().find(|(other, _)| other == name).map_or(Type::Unknown, |(_, ty)| ty.clone())
        }
        Type::Optional(inner) => field_type(inner, name),
        _ => Type::Unknown,
    }
}

fn malformed(source: SourceId, text: &str, error: &serde_yaml::Error) -> Diagnostic {
    let message = error.to_string();
    let said = message.split(" at line ").next().unwrap_or(&message).trim_end_matches('.');
    let place = error.location().map_or(first_line(source, text), |at| {
        let start = offset(text, at.line(), at.column());
        Span::new(source, start, extent(text, start).max(start))
    });
    let found = Diagnostic::error(codes::PARAMS_FILE, "the params file is no YAML", visible(text, place), said);
    found.help(match said {
        "mapping values are not allowed in this context" => "a text with `: ` in it stands in quotes",
        _ => "a params file is YAML or JSON: `name: value` lines",
    })
}

/// An empty place has no picture: the character at it or before it stands for it.
fn visible(text: &str, span: Span) -> Span {
    if span.start < span.end {
        return span;
    }
    if let Some(sign) = text[span.start as usize..].chars().next().filter(|sign| !sign.is_whitespace()) {
        return Span { end: span.start + sign.len_utf8() as u32, ..span };
    }
    let before = text[..span.start as usize].trim_end().char_indices().next_back();
    before.map_or(span, |(start, last)| Span::new(span.source, start, start + last.len_utf8()))
}

fn first_line(source: SourceId, text: &str) -> Span {
    let start = text.len() - text.trim_start().len();
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    Span::new(source, start, end)
}

/// Where the name or the value of the entry at `index` stands.
fn locate(source: SourceId, text: &str, index: usize, value: bool) -> Span {
    // Errors are all that carries places: one is raised where the entry is.
    let probe = Probe { index, value };
    let found = probe.deserialize(serde_yaml::Deserializer::from_str(text)).err().and_then(|error| error.location());
    let start = found.map_or(0, |at| offset(text, at.line(), at.column()));
    visible(text, Span::new(source, start, extent(text, start)))
}

/// The byte at a line and a column, both counted from 1, the column in characters.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start = text.match_indices('\n').map(|(at, _)| at + 1).nth(line.wrapping_sub(2)).unwrap_or(0);
    let start = if line <= 1 { 0 } else { start };
    let rest = &text[start..];
    let length = rest.find('\n').unwrap_or(rest.len());
    start + rest[..length].char_indices().nth(column.saturating_sub(1)).map_or(length, |(at, _)| at)
}

/// Where the scalar or bracket that starts at a byte ends, on its line.
fn extent(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
    let mut depth = 0usize;
    let mut quote = None;
    for (at, sign) in line.char_indices() {
        match (quote, sign) {
            (Some(open), _) if sign == open => quote = None,
            (Some(_), _) => continue,
            (None, '"' | '\'') if at == 0 || depth > 0 => quote = Some(sign),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') if depth > 0 => depth -= 1,
            (None, ']' | '}' | ',') if depth == 0 => return start + line[..at].trim_end().len(),
            (None, ':') if depth == 0 && line[at + 1..].starts_with([' ', '\t']) => return start + at,
            (None, '#') if line[..at].ends_with(' ') => return start + line[..at].trim_end().len(),
            _ => {}
        }
        if quote.is_none() && depth == 0 && matches!(sign, ']' | '}' | '"' | '\'') && at > 0 {
            return start + at + sign.len_utf8();
        }
    }
    start + line.trim_end().trim_end_matches(':').len()
}

/// Fails at one entry of the outermost mapping.
struct Probe {
    index: usize,
    value: bool,
}

impl<'de> DeserializeSeed<'de> for Probe {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Probe {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        for _ in 0..self.index {
            map.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        if self.value {
            map.next_key::<IgnoredAny>()?;
            map.next_value_seed(Stop)
        } else {
            map.next_key_seed(Stop).map(drop)
        }
    }
}

/// Fails at whatever comes, so that the error says where that is.
struct Stop;

impl<'de> DeserializeSeed<'de> for Stop {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Stop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("nothing")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(E::custom("here"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(E::custom("here"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(E::custom("here"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom("here"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(E::custom("here"))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(E::custom("here"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(String, String)> {
        let settings = read(SourceId(0), text).unwrap();
        let cut = |span: Span| text[span.start as usize..span.end as usize].to_string();
        settings.iter().map(|setting| (cut(setting.name_span), cut(setting.value.span))).collect()
    }

    #[test]
    fn every_value_has_its_place() {
        let yaml = "# params\nseeds: [1, 2]   # two\nbudget: 3epochs\n\"é\": 'a b'\nlist:\n  - 1\nempty:\nm: {a: 1}\n";
        let found = places(yaml);
        let values: Vec<&str> = found.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values[..4], ["[1, 2]", "3epochs", "'a b'", "- 1"]);
        assert_eq!(values[5], "{a: 1}");
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["seeds", "budget", "\"é\"", "list", "empty", "m"]);
        let json = places("{\"seeds\": [1, 2], \"budget\": \"3epochs\", \"n\": 4}");
        let values: Vec<&str> = json.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["[1, 2]", "\"3epochs\"", "4"]);
    }

    #[test]
    fn what_is_no_yaml_has_its_place() {
        for text in
            ["a: [1, 2\nb: 3\n", "- 1\n", "a: 1\na: 2\n", "a: !x 1\n", "a: \"x", "{", "\u{0}", "1: 2", "? [a]\n: b"]
        {
            let found = read(SourceId(0), text).err().unwrap_or_else(|| panic!("{text:?} is read"));
            let span = found.span().unwrap();
            assert!(span.start <= span.end && span.end as usize <= text.len(), "{text:?}: {found:?}");
        }
        assert!(read(SourceId(0), "").unwrap().is_empty());
    }
}

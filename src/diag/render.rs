//! How diagnostics look: for people by way of miette, for machines as JSON.

use super::excerpt::excerpt;
use super::{Diagnostic, Severity};
use crate::base::source::{SourceFile, SourceMap, Span};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NarratableReportHandler};
use miette::{MietteError, SourceCode, SourceSpan, SpanContents};
use serde_json::json;
use std::fmt;

/// How diagnostics are shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Source lines with marks below them.
    Plain,
    /// The same in colours.
    Coloured,
    /// Whole sentences without a picture, for screen readers.
    Narrated,
}

/// The diagnostics with their source lines, `width` columns wide.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, look: Look, width: usize) -> String {
    let theme = if look == Look::Coloured { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let picture = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
    let narrator = NarratableReportHandler::new().without_cause_chain();
    let mut out = String::new();
    for diagnostic in diagnostics {
        let report = Report::new(diagnostic, sources);
        let written = match look {
            Look::Narrated => narrator.render_report(&mut out, &report),
            Look::Plain | Look::Coloured => picture.render_report(&mut out, &report),
        };
        // Writing into a text cannot fail; a handler that refuses is replaced by the plain line.
        if written.is_err() {
            out.push_str(&one_line(diagnostic, sources));
        }
        out.push('\n');
    }
    out
}

/// `file:line:column: error[E021]: message`
pub fn one_line(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let place = diagnostic.span().map(|span| sources.locate(span));
    let place = place.map(|(file, at)| format!("{file}:{}:{}: ", at.line, at.column)).unwrap_or_default();
    format!("{place}{}[{}]: {}", severity_name(diagnostic.severity), diagnostic.code, diagnostic.message)
}

/// `{code, severity, message, file, line, column, labels, help, fix}`
pub fn to_json(diagnostic: &Diagnostic, sources: &SourceMap) -> serde_json::Value {
    let labels: Vec<_> = diagnostic
        .labels
        .iter()
        .map(|label| merged(place(label.span, sources), json!({ "text": label.text })))
        .collect();
    let fix =
        diagnostic.fix.as_ref().map(|fix| merged(place(fix.span, sources), json!({ "replacement": fix.replacement })));
    let head = json!({
        "code": diagnostic.code,
        "severity": severity_name(diagnostic.severity),
        "message": diagnostic.message,
    });
    let place = diagnostic.span().map_or_else(
        || json!({ "file": null, "line": null, "column": null }),
        |span| {
            let (file, at) = sources.locate(span);
            json!({ "file": file, "line": at.line, "column": at.column })
        },
    );
    merged(merged(head, place), json!({ "labels": labels, "help": diagnostic.help, "fix": fix }))
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn place(span: Span, sources: &SourceMap) -> serde_json::Value {
    let (file, start) = sources.locate(span);
    let end = sources.file(span.source).position(span.end);
    json!({
        "file": file,
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
        "start_byte": span.start,
        "end_byte": span.end,
    })
}

fn merged(mut left: serde_json::Value, right: serde_json::Value) -> serde_json::Value {
    if let (Some(left), serde_json::Value::Object(right)) = (left.as_object_mut(), right) {
        left.extend(right);
    }
    left
}

/// A diagnostic as miette wants it. Miette shows one text a report, so places in other files become notes.
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedText<'a>>,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
}

impl<'a> Report<'a> {
    fn new(diagnostic: &'a Diagnostic, sources: &'a SourceMap) -> Self {
        let main = diagnostic.span().map(|span| span.source);
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            diagnostic.labels.iter().partition(|label| Some(label.span.source) == main);
        let mut notes: Vec<String> = elsewhere
            .iter()
            .map(|label| {
                let (file, at) = sources.locate(label.span);
                let line = sources.file(label.span.source).line(at.line).trim();
                let colon = if line.is_empty() { "" } else { ":\n  " };
                format!("{file}:{}:{}: {}{colon}{line}", at.line, at.column, label.text)
            })
            .collect();
        notes.extend(diagnostic.help.clone());
        let mut places: Vec<_> = here.iter().map(|label| label.span.start as usize..label.span.end as usize).collect();
        let excerpt = main.and_then(|id| excerpt(&sources.file(id).text, &places));
        let mut shown = Vec::new();
        if let Some(excerpt) = &excerpt {
            shown =
                excerpt.places.iter().map(|place| place.start).zip(places.iter().map(|place| place.start)).collect();
            places.clone_from(&excerpt.places);
        }
        let labels = here.iter().zip(places).enumerate().map(|(index, (label, place))| {
            let span = SourceSpan::from((place.start, place.end.saturating_sub(place.start)));
            let text = Some(label.text.clone());
            if index == 0 {
                LabeledSpan::new_primary_with_span(text, span)
            } else {
                LabeledSpan::new_with_span(text, span)
            }
        });
        Report {
            diagnostic,
            source: main.map(|id| NamedText {
                file: sources.file(id),
                excerpt: excerpt.map(|excerpt| excerpt.text),
                shown,
            }),
            help: (!notes.is_empty()).then(|| notes.join("\n")),
            labels: labels.collect(),
        }
    }
}

struct NamedText<'a> {
    file: &'a SourceFile,
    /// What is shown in place of the whole text.
    excerpt: Option<String>,
    /// Bytes of the excerpt, and of the text they stand for.
    shown: Vec<(usize, usize)>,
}

impl NamedText<'_> {
    /// The column of byte `offset`, from 0 and in characters, where miette counts bytes.
    fn column(&self, offset: usize, counted: usize) -> usize {
        let place = self.shown.iter().find(|(shown, _)| *shown == offset).map(|&(_, place)| place);
        let place = place.or(self.excerpt.is_none().then_some(offset));
        place.map_or(counted, |place| self.file.position(place as u32).column - 1)
    }
}

impl SourceCode for NamedText<'_> {
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'b> + 'b>, MietteError> {
        let text = self.excerpt.as_deref().unwrap_or(&self.file.text);
        let inner = text.read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.file.name.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            self.column(inner.span().offset(), inner.column()),
            inner.line_count(),
        )))
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.diagnostic)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::codes;

    fn example() -> (SourceMap, Diagnostic) {
        let mut sources = SourceMap::default();
        let main = sources.add("hello.srlm", "let warm = sft {\n  lr: 1e-3\n}\n");
        let other = sources.add("std.models", "recipe tiny() = 1\n");
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_FIELD,
            "`sft` has no field `lr`",
            Span::new(main, 19, 21),
            "unknown field",
        )
        .label(Span::new(other, 0, 6), "declared here")
        .help("write `learning_rate`")
        .fix(Span::new(main, 19, 21), "learning_rate");
        (sources, diagnostic)
    }

    #[test]
    fn the_picture_has_code_place_label_and_help() {
        let (sources, diagnostic) = example();
        let picture = render(std::slice::from_ref(&diagnostic), &sources, Look::Plain, 100);
        for part in ["E021", "hello.srlm:2:3", "lr: 1e-3", "unknown field", "write `learning_rate`", "std.models:1:1"] {
            assert!(picture.contains(part), "{part} is missing in\n{picture}");
        }
        assert!(!picture.contains('\u{1b}'));
        let spoken = render(&[diagnostic], &sources, Look::Narrated, 100);
        assert!(spoken.contains("label at line 2, columns 3 to 4") && spoken.contains("E021"), "{spoken}");
        assert!(spoken.is_ascii(), "{spoken}");
    }

    #[test]
    fn json_names_place_and_fix() {
        let (sources, diagnostic) = example();
        let json = to_json(&diagnostic, &sources);
        assert_eq!((json["line"].as_u64(), json["column"].as_u64()), (Some(2), Some(3)));
        assert_eq!(json["fix"]["replacement"], "learning_rate");
        assert_eq!(json["severity"], "error");
        assert_eq!(json["labels"][1]["file"], "std.models");
    }
}

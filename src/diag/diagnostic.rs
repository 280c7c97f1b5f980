//! A diagnostic as data: what was seen, where, and what to do.

use crate::base::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// Worth a look.
    Warning,
}

/// A span and what to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// A few words.
    pub text: String,
}

/// A replacement that a machine can apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// What to replace.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// A code of [`crate::diag::codes`], such as `E021`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What was seen.
    pub message: String,
    /// The places that matter, the main one first.
    pub labels: Vec<Label>,
    /// What to try.
    pub help: Option<String>,
    /// The help as an edit.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// An error that points at `span`.
    pub fn error(code: &'static str, message: impl Into<String>, span: Span, text: impl Into<String>) -> Self {
        Diagnostic::new(code, Severity::Error, message.into(), span, text.into())
    }

    /// A warning that points at `span`.
    pub fn warning(code: &'static str, message: impl Into<String>, span: Span, text: impl Into<String>) -> Self {
        Diagnostic::new(code, Severity::Warning, message.into(), span, text.into())
    }

    fn new(code: &'static str, severity: Severity, message: String, span: Span, text: String) -> Self {
        Diagnostic { code, severity, message, labels: vec![Label { span, text }], help: None, fix: None }
    }

    /// Adds a second place that matters.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to try.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to try as an edit.
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into() });
        self
    }

    /// The main place, where there is one.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }

    /// Whether it keeps the file from running.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

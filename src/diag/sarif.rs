//! Diagnostics as SARIF 2.1.0, the format that code hosts and editors read.

use super::codes::{self, Code};
use super::{Diagnostic, Severity};
use crate::base::source::{SourceMap, Span};
use serde_json::{Value, json};

/// The log of one run of the checker: a rule for each code that occurs, a result for each diagnostic.
pub fn to_sarif(diagnostics: &[Diagnostic], sources: &SourceMap) -> Value {
    let mut occurring: Vec<&'static str> = diagnostics.iter().map(|found| found.code).collect();
    occurring.sort_unstable();
    occurring.dedup();
    let rules: Vec<Value> = occurring.iter().filter_map(|code| codes::explain(code)).map(rule).collect();
    let index = |code: &str| occurring.iter().position(|other| *other == code);
    let results: Vec<Value> = diagnostics.iter().map(|found| result(found, index(found.code), sources)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "srlm",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: &'static Code) -> Value {
    let level = if code.code.starts_with('W') { "warning" } else { "error" };
    json!({
        "id": code.code,
        "shortDescription": { "text": code.title },
        "fullDescription": { "text": code.explanation },
        "defaultConfiguration": { "level": level },
    })
}

fn result(found: &Diagnostic, rule: Option<usize>, sources: &SourceMap) -> Value {
    let level = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let text = match &found.help {
        Some(help) => format!("{}\n{help}", found.message),
        None => found.message.clone(),
    };
    let mut result = json!({ "ruleId": found.code, "level": level, "message": { "text": text } });
    if let Some(rule) = rule {
        result["ruleIndex"] = json!(rule);
    }
    if let Some((main, others)) = found.labels.split_first() {
        result["locations"] = json!([location(main.span, &main.text, None, sources)]);
        let related = others.iter().enumerate();
        let related: Vec<Value> =
            related.map(|(index, label)| location(label.span, &label.text, Some(index), sources)).collect();
        if !related.is_empty() {
            result["relatedLocations"] = json!(related);
        }
    }
    // A fix names files; what the command line gives is none.
    if let Some(fix) = found.fix.as_ref().filter(|fix| sources.file(fix.span.source).is_file) {
        let replacement =
            json!({ "deletedRegion": region(fix.span, sources), "insertedContent": { "text": fix.replacement } });
        let change = json!({ "artifactLocation": artifact(fix.span, sources), "replacements": [replacement] });
        let text = found.help.as_deref().unwrap_or("apply the fix");
        result["fixes"] = json!([{ "description": { "text": text }, "artifactChanges": [change] }]);
    }
    result
}

fn location(span: Span, text: &str, id: Option<usize>, sources: &SourceMap) -> Value {
    let physical = json!({ "artifactLocation": artifact(span, sources), "region": region(span, sources) });
    let mut location = json!({ "physicalLocation": physical });
    if !text.is_empty() {
        location["message"] = json!({ "text": text });
    }
    if let Some(id) = id {
        location["id"] = json!(id);
    }
    location
}

/// A URI: what is no letter, digit or plain sign of a path is written as its bytes.
fn artifact(span: Span, sources: &SourceMap) -> Value {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let name = &sources.file(span.source).name;
    let escaped = name.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    json!({ "uri": escaped.collect::<String>() })
}

fn region(span: Span, sources: &SourceMap) -> Value {
    let file = sources.file(span.source);
    let (start, end) = (file.position(span.start), file.position(span.end));
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_names_rules_places_and_fixes() {
        let mut sources = SourceMap::default();
        let main = sources.add_file("a b.srlm", "let é = sft { lr: 1 }\nlet b = 2\n");
        let at = |start, end| Span::new(main, start, end);
        let found = Diagnostic::error(codes::UNKNOWN_FIELD, "no `lr`", at(15, 17), "here")
            .label(at(27, 28), "and here")
            .help("write `learning_rate`")
            .fix(at(15, 17), "learning_rate");
        let warning = Diagnostic::warning(codes::UNUSED, "unused", at(27, 28), "");
        let log = to_sarif(&[found, warning], &sources);
        let run = &log["runs"][0];
        assert_eq!(log["version"], "2.1.0");
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "E021");
        let result = &run["results"][0];
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b.srlm");
        assert_eq!(place["region"]["startColumn"], 15);
        assert_eq!(result["relatedLocations"][0]["message"]["text"], "and here");
        let replacement = &result["fixes"][0]["artifactChanges"][0]["replacements"][0];
        assert_eq!(replacement["insertedContent"]["text"], "learning_rate");
        assert_eq!((&run["results"][1]["level"], &run["results"][1]["ruleIndex"]), (&json!("warning"), &json!(1)));
        assert!(run["results"][1]["fixes"].is_null());
    }
}

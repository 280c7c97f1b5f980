//! The two filters and the metric by which lm-evaluation-harness (0.4.9, task `gsm8k`, version 3) scores GSM8K, exactly.
//!
//! Its "strict-match" filter takes the first match of `#### (\-?[0-9\.\,]+)`, its "flexible-extract" filter the last match
//! of `(-?[$0-9.,]{2,})|(-?[0-9]+)`; what matches nowhere becomes `[invalid]`. Its metric is `exact_match`: from the match
//! and from the gold answer it deletes `,`, `\$`, `(?s).*#### ` and `\.$` in that order, and compares the rest, the case
//! of letters ignored.

/// What the harness puts where nothing matches.
const INVALID: &str = "[invalid]";

/// The first match of the strict filter.
pub fn strict_match(completion: &str) -> Option<&str> {
    let mut rest = completion;
    while let Some((_, after)) = rest.split_once("#### ") {
        let sign = usize::from(after.starts_with('-'));
        let length = run(&after[sign..], |c| matches!(c, '0'..='9' | '.' | ','));
        if length > 0 {
            return Some(&after[..sign + length]);
        }
        // `##### 5`: the next match may begin one sign later.
        rest = &rest[rest.find("#### ").unwrap_or(0) + 1..];
    }
    None
}

/// The last match of the flexible filter.
pub fn flexible_extract(completion: &str) -> Option<&str> {
    let (mut at, mut last) = (0, None);
    while at < completion.len() {
        let rest = &completion[at..];
        let sign = usize::from(rest.starts_with('-'));
        let wide = run(&rest[sign..], |c| matches!(c, '$' | '0'..='9' | '.' | ','));
        let narrow = run(&rest[sign..], |c| c.is_ascii_digit());
        let length = if wide >= 2 { wide } else { narrow };
        if length > 0 {
            last = Some(&rest[..sign + length]);
            at += sign + length;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    last
}

fn run(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fits(c)).unwrap_or(text.len())
}

/// The metric: whether the match equals the gold answer once what it ignores is deleted from both.
pub fn exact_match(found: Option<&str>, gold: &str) -> bool {
    stripped(found.unwrap_or(INVALID)) == stripped(gold)
}

fn stripped(text: &str) -> String {
    let text = text.replace([',', '$'], "");
    let text = text.rfind("#### ").map_or(text.as_str(), |at| &text[at + 5..]);
    // `$` stands before a line end at the end of the text, too.
    let text = match text.strip_suffix('\n') {
        Some(line) if line.ends_with('.') => format!("{}\n", &line[..line.len() - 1]),
        _ => text.strip_suffix('.').unwrap_or(text).to_string(),
    };
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strict_filter_takes_the_first_match() {
        for (completion, found) in [
            ("so 9*2 = 18.\n#### 18", Some("18")),
            ("#### 17\nWait.\n#### 18", Some("17")),
            ("#### $18", None),
            ("#### -5.", Some("-5.")),
            ("##### 5", Some("5")),
            ("####  18", None),
            ("#### -\n#### 1,000", Some("1,000")),
            ("#### .", Some(".")),
            ("18", None),
        ] {
            assert_eq!(strict_match(completion), found, "{completion}");
        }
    }

    #[test]
    fn the_flexible_filter_takes_the_last_match() {
        for (completion, found) in [
            ("The answer is $18.", Some("$18.")),
            ("costs 5 and 7.", Some("7.")),
            ("16-3", Some("-3")),
            ("a - 3", Some("3")),
            ("--3", Some("-3")),
            ("it is 5, he said", Some("5,")),
            ("then...", Some("...")),
            ("18\n\nso", Some("18")),
            ("no idea", None),
            ("- -", None),
        ] {
            assert_eq!(flexible_extract(completion), found, "{completion}");
        }
    }

    #[test]
    fn the_metric_deletes_what_it_ignores_in_its_order() {
        for (found, gold, equal) in [
            (Some("1,000"), "1000", true),
            (Some("$18."), "18", true),
            (Some("18.."), "18", false),
            (Some("18.00"), "18", false),
            (Some("18"), "reasons 4 = 4\n#### 18", true),
            (Some("18"), "18.\n", false),
            (None, "[INVALID]", true),
            (None, "18", false),
        ] {
            assert_eq!(exact_match(found, gold), equal, "{found:?} {gold}");
        }
    }
}

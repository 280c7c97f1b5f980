//! Documentation text cut into paragraphs, list items and code, and wrapped to a width.

/// A piece of documentation.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Sentences that may be wrapped.
    Paragraph(String),
    /// An item of a list, without its sign.
    Item(String),
    /// Lines that stay as they are.
    Code(Vec<String>),
}

/// Cuts a text at empty lines, list signs and fences.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut fenced = false;
    let mut open = false;
    for line in text.lines() {
        let trimmed = line.trim();
        match pieces.last_mut() {
            _ if trimmed.starts_with("```") => {
                fenced = !fenced;
                open = false;
                pieces.extend(fenced.then(|| Piece::Code(Vec::new())));
            }
            Some(Piece::Code(lines)) if fenced => lines.push(line.to_string()),
            _ if trimmed.is_empty() => open = false,
            _ if trimmed.starts_with("- ") => {
                open = true;
                pieces.push(Piece::Item(trimmed[2..].trim().to_string()));
            }
            Some(Piece::Paragraph(before) | Piece::Item(before)) if open => {
                before.push(' ');
                before.push_str(trimmed);
            }
            _ => {
                open = true;
                pieces.push(Piece::Paragraph(trimmed.to_string()));
            }
        }
    }
    pieces
}

/// Lines of at most `width` characters, broken between words; a longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// A text as one line, up to the end of its first sentence.
pub fn headline(text: &str) -> String {
    let line = pieces(text).into_iter().find_map(|piece| match piece {
        Piece::Paragraph(text) | Piece::Item(text) => Some(text),
        Piece::Code(_) => None,
    });
    let line = line.unwrap_or_default();
    let end = line.match_indices(". ").map(|(at, _)| at).find(|&at| !line[..at].ends_with("e.g"));
    end.map_or(line.as_str(), |at| &line[..=at]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_wrapped() {
        let text = "One\ntwo.\n\n- first\n  goes on\n- second\n```srlm\nlet  a = 1\n\n```\nEnd. More.";
        let code = Piece::Code(vec!["let  a = 1".into(), String::new()]);
        let [paragraph, end] = ["One two.", "End. More."].map(|text| Piece::Paragraph(text.into()));
        let [first, second] = ["first goes on", "second"].map(|text| Piece::Item(text.into()));
        assert_eq!(pieces(text), [paragraph, first, second, code, end]);
        assert_eq!(wrap("aa bb cccccc d", 5), ["aa bb", "cccccc", "d"]);
        assert_eq!([headline(text), headline("End. More.")], ["One two.", "End."]);
    }
}

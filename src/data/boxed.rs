//! The boxes that mathematicians put answers into: `\boxed{…}` and `\fbox{…}`.

use std::ops::Range;

/// Where the boxes of a text are.
pub struct Boxes {
    /// Contents of the balanced boxes that lie in no other box, in order.
    pub spans: Vec<Range<usize>>,
    /// The start of the last box that never closes.
    pub open_at: Option<usize>,
}

/// Every outermost `\boxed{…}` and `\fbox{…}`, in one pass over the text whatever its nesting.
pub fn boxes(text: &str) -> Boxes {
    let bytes = text.as_bytes();
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                if let Some(inner) = box_opening(&text[at..]) {
                    at += inner;
                    open.push(Some(at));
                    continue;
                }
                // An escaped brace opens and closes nothing.
                at += 1;
            }
            b'{' => open.push(None),
            b'}' => {
                if let Some(Some(start)) = open.pop() {
                    while spans.last().is_some_and(|span| span.start > start) {
                        spans.pop();
                    }
                    spans.push(start..at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Boxes { spans, open_at: open.into_iter().flatten().next_back() }
}

/// The length of `\boxed{` at the start of the text.
fn box_opening(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\\boxed").or_else(|| text.strip_prefix("\\fbox"))?;
    let rest = rest.trim_start_matches(' ').strip_prefix('{')?;
    Some(text.len() - rest.len())
}

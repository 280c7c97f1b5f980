//! Bringing an answer's notation to one form: LaTeX spellings, dollar signs, white space, Unicode look-alikes.

/// Stands for a separator of digit groups that is not a comma: `1\,000`, `1{,}000`.
pub const GROUP: char = '\u{1}';

/// Spellings that mean the same, longest first where one begins another.
const SPELLINGS: &[(&str, &str)] = &[
    ("\u{2212}", "-"),
    ("\u{2013}", "-"),
    ("\u{a0}", " "),
    ("\u{202f}", " "),
    ("\\left", ""),
    ("\\right", ""),
    ("\\bigl", ""),
    ("\\bigr", ""),
    ("\\Big", ""),
    ("\\big", ""),
    ("\\displaystyle", ""),
    ("\\dfrac", "\\frac"),
    ("\\tfrac", "\\frac"),
    ("\\cfrac", "\\frac"),
    ("\\$", ""),
    ("$", ""),
    ("\\(", ""),
    ("\\)", ""),
    ("\\[", ""),
    ("\\]", ""),
    ("\\%", "%"),
    ("\\cdot", "\\times"),
    ("\u{d7}", "\\times"),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("^{\u{b0}}", ""),
    ("\u{b0}", ""),
    ("\\degree", ""),
    ("\\quad", " "),
    ("\\;", " "),
    ("\\:", " "),
    ("\\ ", " "),
    ("~", " "),
    ("**", ""),
];

/// Commands whose argument is words.
const WORDS: [&str; 8] =
    ["\\text{", "\\textbf{", "\\textit{", "\\textrm{", "\\mbox{", "\\mathrm{", "\\mathbf{", "\\operatorname{"];

/// The one form of an answer's notation. Words in `\text{…}` stay, parted from what is around them by a space.
pub fn normalise(answer: &str) -> String {
    let mut text = peel_boxes(answer.trim()).to_string();
    // `\left\{` must lose its `\left` before anything else looks at it; `\leftarrow` and `\le` are other commands.
    for (spelling, plain) in SPELLINGS {
        if text.contains(spelling) {
            text = replace_command(&text, spelling, plain);
        }
    }
    let text = join_groups(&open_words(&text));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_matches([' ', GROUP]).trim_end_matches(['.', ',', ';', ' ', GROUP]);
    text.to_string()
}

/// Replaces a spelling; a command only where its name ends, so that `\left` leaves `\leftarrow` alone.
fn replace_command(text: &str, spelling: &str, plain: &str) -> String {
    let named =
        spelling.len() > 2 && spelling.starts_with('\\') && spelling.ends_with(|c: char| c.is_ascii_alphabetic());
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(spelling) {
        out.push_str(before);
        let goes_on = named && after.starts_with(|c: char| c.is_ascii_alphabetic());
        out.push_str(if goes_on { spelling } else { plain });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `\boxed{\boxed{5}}` is 5.
fn peel_boxes(mut text: &str) -> &str {
    while let Some(inner) = text.strip_prefix("\\boxed{").and_then(|rest| rest.strip_suffix('}')) {
        text = inner.trim();
    }
    text
}

/// `18\text{ eggs}` becomes `18 eggs`; an unclosed argument stays as it is.
fn open_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, command)) = WORDS.iter().filter_map(|word| Some((rest.find(word)?, *word))).min() {
        let after = &rest[at + command.len()..];
        let Some((inside, behind)) = after.split_once('}').filter(|(inside, _)| !inside.contains('{')) else {
            break;
        };
        out.push_str(&rest[..at]);
        out.push(' ');
        out.push_str(inside.trim());
        // A power belongs to the unit before it.
        out.push_str(if behind.starts_with('^') { "" } else { " " });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// `1{,}000`, `1\,000` and `10,\!000` as digits with [`GROUP`] between; elsewhere thin spaces vanish.
fn join_groups(text: &str) -> String {
    let text = text.replace(",\\! ", ",").replace("\\!", "").replace("{,}", &GROUP.to_string());
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\\,") {
        out.push_str(before);
        let between = out.ends_with(|c: char| c.is_ascii_digit()) && after.starts_with(|c: char| c.is_ascii_digit());
        out.push(if between { GROUP } else { ' ' });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The part that answers: behind `x =`, or the last side of a chain of pure arithmetic such as `2 \times 3 = 6`.
/// An equation in an unknown stays whole: `2x = 6` does not answer 6.
pub fn last_side(text: &str) -> &str {
    let Some((front, side)) = text.rsplit_once('=') else { return text };
    let answers = front.split('=').all(|side| {
        let side = side.trim();
        side.is_empty() || is_name(side) || is_arithmetic(side)
    });
    if answers { side.trim() } else { text }
}

/// `x`, `x_1`, `x_{1}`, `\theta`, `f(x)`: a name for what is sought.
fn is_name(side: &str) -> bool {
    let side = side.strip_suffix("(x)").unwrap_or(side);
    let (base, index) = side.split_once('_').unwrap_or((side, ""));
    let base_is_name = match base.strip_prefix('\\') {
        Some(command) => !command.is_empty() && command.bytes().all(|byte| byte.is_ascii_alphabetic()),
        None => base.len() == 1 && base.bytes().all(|byte| byte.is_ascii_alphabetic()),
    };
    let index = index.trim_matches(['{', '}']);
    base_is_name && index.len() <= 3 && index.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_arithmetic(side: &str) -> bool {
    let plain = side.replace("\\times", "*").replace("\\frac", "").replace("\\div", "/");
    let symbol = |c: char| c.is_ascii_digit() || " +-*/^().{}%".contains(c) || c == GROUP;
    plain.chars().any(|c| c.is_ascii_digit()) && plain.chars().all(symbol)
}

/// The two arguments behind a `\frac`, braces or single characters, and what follows them.
pub fn two_arguments(text: &str) -> Option<(&str, &str, &str)> {
    let (first, rest) = argument(text)?;
    let (second, rest) = argument(rest)?;
    Some((first, second, rest))
}

fn argument(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    match text.strip_prefix('{') {
        Some(rest) => rest.split_once('}').filter(|(inside, _)| !inside.contains('{')),
        None => text.chars().next().map(|first| text.split_at(first.len_utf8())),
    }
}

/// Brackets and entries of a tuple or an interval: `(1, \frac{9}{2})`. None for anything else.
pub fn entries(text: &str) -> Option<((char, char), Vec<&str>)> {
    let (first, last) = (text.chars().next()?, text.chars().next_back()?);
    if !matches!(first, '(' | '[') || !matches!(last, ')' | ']') || text.len() < 2 {
        return None;
    }
    let inside = &text[1..text.len() - 1];
    let (mut depth, mut start, mut parts) = (0i32, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(inside[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        // `(1,2) \cup (3,4)` begins and ends like a tuple and is none.
        if depth < 0 {
            return None;
        }
    }
    parts.push(inside[start..].trim());
    (depth == 0 && parts.len() > 1).then_some(((first, last), parts))
}

/// The form in which answers that are no numbers are compared: without spaces and needless braces, words in small
/// letters. Letters of formulas keep their case, since `X` and `x` may be two unknowns.
pub fn text_form(text: &str) -> String {
    let text = last_side(text);
    let is_words = text.chars().all(|c| c.is_alphabetic() || " '-.".contains(c)) && text.chars().nth(1).is_some();
    if is_words {
        return text.to_lowercase();
    }
    let squeezed: Vec<char> = text.chars().filter(|c| *c != ' ' && *c != GROUP).collect();
    unbraced(&squeezed)
}

/// Drops the braces around single characters: `204_{5}` is `204_5`, `\frac{1}{2}` is `\frac12`.
fn unbraced(text: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let single = text[at] == '{' && text.get(at + 2) == Some(&'}') && !matches!(text[at + 1], '{' | '}' | '\\');
        let escaped = at > 0 && text[at - 1] == '\\';
        if single && !escaped {
            out.push(text[at + 1]);
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

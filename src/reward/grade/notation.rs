//! Bringing an answer's notation to one form before it is cut into tokens: look-alikes, sizes, spacing, dollar signs.

/// Stands for a separator of digit groups that is not a comma: `1\,000`, `1{,}000`, `10,\!000`.
pub const GROUP: char = '\u{1}';

/// Characters that stand for others.
const CHARACTERS: &[(char, &str)] = &[
    ('\u{2212}', "-"),
    ('\u{2013}', "-"),
    ('\u{2010}', "-"),
    ('\u{2011}', "-"),
    ('\u{2012}', "-"),
    ('\u{fe63}', "-"),
    ('\u{ff0d}', "-"),
    ('\u{a0}', " "),
    ('\u{202f}', " "),
    ('\u{2009}', " "),
    ('\u{200b}', ""),
    ('\u{d7}', "\\times "),
    ('\u{22c5}', "\\cdot "),
    ('\u{b7}', "\\cdot "),
    ('\u{f7}', "\\div "),
    ('\u{2215}', "/"),
    ('\u{2044}', "/"),
    ('\u{221a}', "\\sqrt "),
    ('\u{221b}', "\\cbrt "),
    ('\u{3c0}', "\\pi "),
    ('\u{221e}', "\\infty "),
    ('\u{2264}', "\\le "),
    ('\u{2a7d}', "\\le "),
    ('\u{2265}', "\\ge "),
    ('\u{2a7e}', "\\ge "),
    ('\u{2260}', "\\ne "),
    ('\u{2248}', "\\approx "),
    ('\u{222a}', "\\cup "),
    ('\u{2229}', "\\cap "),
    ('\u{2208}', "\\in "),
    ('\u{2205}', "\\emptyset "),
    ('\u{b1}', "\\pm "),
    ('\u{2213}', "\\mp "),
    ('\u{211d}', "\\mathbb{R}"),
    ('\u{2220}', "\\angle "),
    ('\u{b0}', "\\degree "),
    ('\u{ba}', "\\degree "),
    ('\u{2070}', "^0 "),
    ('\u{b9}', "^1 "),
    ('\u{b2}', "^2 "),
    ('\u{b3}', "^3 "),
    ('\u{2074}', "^4 "),
    ('\u{2075}', "^5 "),
    ('\u{2076}', "^6 "),
    ('\u{2077}', "^7 "),
    ('\u{2078}', "^8 "),
    ('\u{2079}', "^9 "),
    ('\u{bd}', "\\frac{1}{2}"),
    ('\u{bc}', "\\frac{1}{4}"),
    ('\u{be}', "\\frac{3}{4}"),
    ('\u{2153}', "\\frac{1}{3}"),
    ('\u{2154}', "\\frac{2}{3}"),
    ('\u{20ac}', "$"),
    ('\u{a3}', "$"),
    ('\u{a5}', "$"),
    ('\u{ff0c}', ","),
    ('\u{ff08}', "("),
    ('\u{ff09}', ")"),
    ('\u{ff1d}', "="),
    ('\u{ff1a}', ":"),
    // What a reader of JSON makes of the backslash of `\frac` and `\boxed` that was not doubled.
    ('\u{c}', "\\f"),
    ('\u{8}', "\\b"),
];

/// Commands that mean what another one means, and those that mean nothing here.
const COMMANDS: &[(&str, &str)] = &[
    ("left", ""),
    ("right", ""),
    ("bigl", ""),
    ("bigr", ""),
    ("Bigl", ""),
    ("Bigr", ""),
    ("biggl", ""),
    ("biggr", ""),
    ("big", ""),
    ("Big", ""),
    ("bigg", ""),
    ("Bigg", ""),
    ("middle", ""),
    ("displaystyle", ""),
    ("textstyle", ""),
    ("limits", ""),
    ("nolimits", ""),
    ("hfill", ""),
    ("quad", "  "),
    ("qquad", "  "),
    ("dfrac", "\\frac"),
    ("tfrac", "\\frac"),
    ("cfrac", "\\frac"),
    ("leq", "\\le"),
    ("leqslant", "\\le"),
    ("geq", "\\ge"),
    ("geqslant", "\\ge"),
    ("neq", "\\ne"),
    ("lt", "<"),
    ("gt", ">"),
    ("lbrace", "\\{"),
    ("rbrace", "\\}"),
    ("lbrack", "["),
    ("rbrack", "]"),
    ("lvert", "|"),
    ("rvert", "|"),
    ("vert", "|"),
    ("mid", "|"),
    ("colon", ":"),
    ("varnothing", "\\emptyset"),
    ("dbinom", "\\binom"),
    ("tbinom", "\\binom"),
    ("nonumber", ""),
    ("rm", ""),
    ("bf", ""),
];

/// The one form of an answer's notation, without dollar signs, sizes and what stands around an answer.
pub fn normalise(answer: &str) -> String {
    let plain = characters(&answer.replace("\\\u{c}", "\u{c}")).replace("{, }", "{,}").replace(" {,}", "{,}");
    let plain = single_backslashes(peel_boxes(plain.trim()));
    let plain = commands(&powers_and_emphasis(&plain));
    let text = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    trim(&text).to_string()
}

/// Marks at the ends that belong to the sentence and not to the answer.
fn trim(text: &str) -> &str {
    let text = text.trim_matches([' ', GROUP, '*', '"', '`']);
    let text = text.trim_end_matches(['.', ',', ';', ':', ' ', GROUP, '*', '"', '`', '\\']);
    text.trim_start_matches([':', ',', ';', ' '])
}

fn characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match CHARACTERS.iter().find(|(from, _)| *from == c) {
            Some((_, to)) => out.push_str(to),
            None => out.push(c),
        }
    }
    out
}

/// `\boxed{\boxed{5}}` is 5.
fn peel_boxes(mut text: &str) -> &str {
    while let Some(inner) = text.strip_prefix("\\boxed{").and_then(|rest| rest.strip_suffix('}')) {
        if !balanced(inner) {
            break;
        }
        text = inner.trim();
    }
    text
}

fn balanced(text: &str) -> bool {
    let mut depth = 0i64;
    text.bytes().all(|byte| {
        depth += i64::from(byte == b'{') - i64::from(byte == b'}');
        depth >= 0
    })
}

/// `\\frac` is `\frac` with its backslash doubled on the way, except where `\\` ends the rows of a matrix.
fn single_backslashes(text: &str) -> String {
    if text.contains("\\begin") && !text.contains("\\\\begin") {
        return text.to_string();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\\\") {
        out.push_str(before);
        let doubled = after.starts_with(|c: char| c.is_ascii_alphabetic() || "{}$%,!()[]".contains(c));
        out.push_str(if doubled { "\\" } else { "\\\\" });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `**18**` is 18 in bold, and `x**2` is a power.
fn powers_and_emphasis(text: &str) -> String {
    let inner = text.strip_prefix("**").and_then(|rest| rest.strip_suffix("**"));
    inner.unwrap_or(text).replace("**", "^")
}

/// Commands renamed or dropped, spacing as spaces, groups of digits marked, dollar signs dropped.
fn commands(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (replaced, length) = one(rest, next, &out);
        out.push_str(&replaced);
        rest = &rest[length..];
    }
    out
}

/// What stands for the beginning of a text, and how long that beginning is.
fn one(rest: &str, next: char, before: &str) -> (String, usize) {
    let digit_before = before.ends_with(|c: char| c.is_ascii_digit());
    let group = |length: usize| {
        let digits = rest[length..].trim_start().bytes().take_while(u8::is_ascii_digit).count();
        (digit_before && digits == 3).then(|| (GROUP.to_string(), length + spaces(&rest[length..])))
    };
    match next {
        '{' if rest.starts_with("{,}") => group(3).unwrap_or((",".into(), 3)),
        ',' if rest.starts_with(",\\!") => group(3).unwrap_or((",".into(), 3)),
        '$' => (String::new(), 1),
        '~' => (" ".into(), 1),
        '\\' => match rest[1..].chars().next() {
            Some(c) if c.is_ascii_alphabetic() => command(rest),
            Some(',') => group(2).unwrap_or((" ".into(), 2)),
            Some('!') => (String::new(), 2),
            Some(';' | ':' | ' ' | '>' | '/') => (" ".into(), 2),
            Some('$' | '(' | ')' | '[' | ']') => (String::new(), 2),
            Some('%') => ("%".into(), 2),
            Some('#' | '&' | '_') => (" ".into(), 2),
            Some(c) => (rest[..1 + c.len_utf8()].into(), 1 + c.len_utf8()),
            None => (String::new(), 1),
        },
        c => (c.into(), c.len_utf8()),
    }
}

fn spaces(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

fn command(rest: &str) -> (String, usize) {
    let length = 1 + rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
    let name = &rest[1..length];
    match COMMANDS.iter().find(|(from, _)| *from == name) {
        // A renamed command must not run into the letters behind it.
        Some((_, to)) if to.ends_with(|c: char| c.is_ascii_alphabetic()) => (format!("{to} "), length),
        // `\right.` closes nothing.
        Some((_, to)) if matches!(name, "left" | "right") && rest[length..].starts_with('.') => {
            (to.to_string(), length + 1)
        }
        Some((_, to)) => (to.to_string(), length),
        // `\quadx` was `\quad x`.
        None if name.starts_with("quad") => (" ".into(), 5),
        None => (rest[..length].to_string(), length),
    }
}

/// The form in which answers that are no mathematics are compared: without needless braces, and without spaces except
/// between digits, where they part two numbers.
pub fn squeezed(text: &str) -> String {
    let all: Vec<char> = text.chars().collect();
    let parts = |at: usize| at > 0 && all[at - 1].is_ascii_digit() && all.get(at + 1).is_some_and(char::is_ascii_digit);
    let keep = |(at, c): (usize, &char)| (*c != ' ' && *c != GROUP || parts(at)).then_some(*c);
    let squeezed: Vec<char> = all.iter().enumerate().filter_map(keep).collect();
    let mut out = String::with_capacity(squeezed.len());
    let mut at = 0;
    while at < squeezed.len() {
        let single =
            squeezed[at] == '{' && squeezed.get(at + 2) == Some(&'}') && !matches!(squeezed[at + 1], '{' | '}' | '\\');
        let escaped = at > 0 && squeezed[at - 1] == '\\';
        if single && !escaped {
            out.push(squeezed[at + 1]);
            at += 3;
        } else {
            out.push(squeezed[at]);
            at += 1;
        }
    }
    out
}

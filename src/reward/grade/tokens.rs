//! A normalised answer cut into tokens: numbers with their groups joined, letters, words, commands and signs.

use super::budget::Stop;
use super::notation::GROUP;

/// The most tokens of one answer.
const MAX_TOKENS: usize = 1500;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Whether a space stands before it.
    pub spaced: bool,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Digits with at most one point, groups joined; the power of ten of `6e23` apart.
    Number(String, Option<String>),
    /// One letter of a formula.
    Letter(char),
    /// Two or more letters in a row, or any letters in `\text{…}`; the latter marked.
    Word(String, bool),
    /// `\name`
    Command(String),
    /// A sign. `{` and `}` are TeX's invisible braces.
    Sign(char),
    /// `\{`
    SetOpen,
    /// `\}`
    SetClose,
    /// `\\`, the end of a row.
    Row,
}

/// Commands whose argument is words.
const TEXTS: [&str; 9] = ["text", "textbf", "textit", "textrm", "textnormal", "mbox", "hbox", "textsf", "texttt"];

/// Commands that only change the look of their argument.
const FACES: [&str; 8] = ["mathrm", "mathbf", "mathit", "mathsf", "boldsymbol", "bm", "operatorname", "boxed"];

/// Cuts a normalised text into tokens.
///
/// # Errors
/// [`Stop::TooLarge`] where there are too many, [`Stop::Beyond`] where braces do not close.
pub fn tokens(text: &str) -> Result<Vec<Token>, Stop> {
    let mut lexer = Lexer { text, at: 0, depth: 0, out: Vec::new(), words: false };
    lexer.run()?;
    Ok(lexer.out)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Open round, square and set brackets: commas inside part entries rather than digits.
    depth: usize,
    out: Vec<Token>,
    /// Whether the text is the argument of `\text`.
    words: bool,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        while let Some(next) = self.rest().chars().next() {
            if self.out.len() >= MAX_TOKENS {
                return Err(Stop::TooLarge);
            }
            match next {
                ' ' | GROUP => self.at += 1,
                '0'..='9' => self.number(),
                '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
                '\\' => self.command()?,
                c if c.is_alphabetic() => self.letters(),
                c => self.sign(c),
            }
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let spaced = self.text[..self.at].ends_with([' ', GROUP]);
        self.out.push(Token { kind, spaced });
        self.at += length;
    }

    fn sign(&mut self, sign: char) {
        match sign {
            '(' | '[' => self.depth += 1,
            ')' | ']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let two = |pair: &str| self.rest().starts_with(pair);
        let (kind, length) = match sign {
            '<' if two("<=") => (Kind::Command("le".into()), 2),
            '>' if two(">=") => (Kind::Command("ge".into()), 2),
            '!' if two("!=") => (Kind::Command("ne".into()), 2),
            '=' if two("==") => (Kind::Sign('='), 2),
            c => (Kind::Sign(c), c.len_utf8()),
        };
        self.push(kind, length);
    }

    fn letters(&mut self) {
        let rest = self.rest();
        let length = rest.find(|c: char| !(c.is_alphabetic() || self.words && matches!(c, '-' | '\'')));
        let run = rest[..length.unwrap_or(rest.len())].trim_end_matches(['-', '\'']).to_string();
        let mut letters = run.chars();
        let single = letters.next().filter(|_| letters.next().is_none());
        let length = run.len();
        match single {
            Some(letter) => self.push(Kind::Letter(letter), length),
            None => self.push(Kind::Word(run, self.words), length),
        }
    }

    fn number(&mut self) {
        let (mut number, mut length) = self.grouped().unwrap_or_else(|| {
            let run = digits(self.rest());
            (run.to_string(), run.len())
        });
        let rest = &self.rest()[length..];
        // `0.\overline{3}` keeps its point, and so does `18.` before a space or the end.
        if let Some(part) = rest.strip_prefix('.') {
            let run = digits(part);
            if !run.is_empty() || part.starts_with("\\overline") || part.starts_with("\\bar") {
                number.push('.');
                number.push_str(run);
                length += 1 + run.len();
            }
        }
        let (power, more) = power_of_ten(&self.rest()[length..]);
        self.push(Kind::Number(number, power), length + more);
    }

    /// A number with groups of three: its digits and the length of what is written.
    fn grouped(&self) -> Option<(String, usize)> {
        let rest = self.rest();
        let first = digits(rest);
        if !(1..=3).contains(&first.len()) {
            return None;
        }
        let (mut number, mut at, mut separator) = (first.to_string(), first.len(), None);
        loop {
            let mut chars = rest[at..].chars();
            let sign = chars.next().filter(|c| [',', GROUP, ' '].contains(c));
            let group = sign.map_or("", |sign| digits(&rest[at + sign.len_utf8()..]));
            if group.len() != 3 || separator.is_some_and(|used| Some(used) != sign) {
                break;
            }
            separator = sign;
            number.push_str(group);
            at += 4;
        }
        let groups = &number[first.len()..];
        // In brackets a comma parts entries, except before a group such as `000` that is no number of its own.
        let parted =
            self.depth > 0 && separator == Some(',') && !groups.as_bytes().chunks(3).any(|group| group[0] == b'0');
        let goes_on = separator == Some(',') && rest[at..].starts_with(',') && !digits(&rest[at + 1..]).is_empty();
        (separator.is_some() && !parted && !goes_on && !first.starts_with('0')).then_some((number, at))
    }

    fn command(&mut self) -> Result<(), Stop> {
        let rest = self.rest();
        let length = rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
        if length == 0 {
            match rest[1..].chars().next() {
                Some('{') => {
                    self.depth += 1;
                    self.push(Kind::SetOpen, 2);
                }
                Some('}') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.push(Kind::SetClose, 2);
                }
                Some('\\') => self.push(Kind::Row, 2),
                Some('|') => self.push(Kind::Sign('|'), 2),
                _ => self.at += 1,
            }
            return Ok(());
        }
        let name = rest[1..1 + length].to_string();
        let is_text = TEXTS.contains(&name.as_str());
        let braced = rest[1 + length..].trim_start().starts_with('{');
        if (is_text || FACES.contains(&name.as_str())) && braced {
            return self.inner(1 + length, is_text);
        }
        self.push(Kind::Command(name), 1 + length);
        Ok(())
    }

    /// The argument of a command that stands for nothing itself.
    fn inner(&mut self, command: usize, words: bool) -> Result<(), Stop> {
        let rest = &self.rest()[command..];
        let start = self.at + command + (rest.len() - rest.trim_start().len()) + 1;
        let length = closing(&self.text[start..]).ok_or(Stop::Beyond)?;
        let inside = &self.text[start..start + length];
        let mut lexer = Lexer { text: inside, at: 0, depth: self.depth, out: Vec::new(), words: words || self.words };
        // An argument in an argument in an argument is nobody's answer.
        if self.words && inside.contains('\\') {
            return Err(Stop::Beyond);
        }
        lexer.run()?;
        let mut inner = lexer.out;
        if let Some(first) = inner.first_mut() {
            first.spaced |= words || self.text[..self.at].ends_with(' ');
        }
        self.out.append(&mut inner);
        self.at = start + length + 1;
        Ok(())
    }
}

/// Where the brace that stands open before a text closes.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut escaped) = (0usize, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn digits(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_digit).count()]
}

/// The power of ten of `6e23` and `6E-23`, and its length.
fn power_of_ten(text: &str) -> (Option<String>, usize) {
    let Some(rest) = text.strip_prefix(['e', 'E']) else { return (None, 0) };
    let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let run = digits(unsigned);
    if run.is_empty() || unsigned[run.len()..].starts_with(|c: char| c.is_alphabetic()) {
        return (None, 0);
    }
    let sign = if rest.starts_with('-') { "-" } else { "" };
    (Some(format!("{sign}{run}")), 1 + (rest.len() - unsigned.len()) + run.len())
}

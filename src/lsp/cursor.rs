//! Where the cursor stands, by the tokens around it: this works while the text does not parse.

use crate::lang::words::ITEM_KEYWORDS;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or a keyword.
    Word,
    /// A number with its unit.
    Number,
    /// A text with its quotes, or a part of it beside `${…}`.
    Text,
    /// Anything else.
    Sign,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// What it is.
    pub kind: Kind,
    /// Its characters.
    pub text: &'t str,
    /// Its first byte.
    pub start: usize,
}

impl Token<'_> {
    /// One past its last byte.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is_sign(&self, signs: &[&str]) -> bool {
        self.kind == Kind::Sign && signs.contains(&self.text)
    }

    /// Whether a value may end with it.
    pub fn ends_value(&self) -> bool {
        match self.kind {
            Kind::Word => !OPEN_WORDS.contains(&self.text),
            Kind::Number | Kind::Text => true,
            Kind::Sign => self.is_sign(&[")", "]", "}"]),
        }
    }
}

/// Keywords behind which a value must follow.
const OPEN_WORDS: &[&str] = &[
    "if", "then", "else", "in", "and", "or", "not", "mod", "step", "return", "when", "skip", "with", "where", "use",
    "over", "for", "as",
];
const SIGNS: &[&str] = &["...", "|>", ">>", "->", "==", "!=", "<=", ">=", "..", "${"];

/// An opened bracket around the cursor.
#[derive(Clone, Debug)]
pub struct Bracket<'t> {
    /// `{`, `(`, `[` or `${`.
    pub sign: &'t str,
    /// Its place among the tokens.
    pub at: usize,
    /// The names in it that `:` or `=` follows, those behind the cursor included.
    pub written: Vec<&'t str>,
    /// The last of them before the cursor whose value may still go on.
    pub field: Option<&'t str>,
}

/// The surroundings of the cursor.
#[derive(Clone, Debug)]
pub struct Cursor<'t> {
    /// The tokens of the item before the cursor, without the word that is being written.
    pub before: Vec<Token<'t>>,
    /// The first byte of that word; the cursor itself where there is none.
    pub word_start: usize,
    /// The brackets that are open, outermost first.
    pub brackets: Vec<Bracket<'t>>,
    /// The first byte after the quote of the text that the cursor is in.
    pub in_text: Option<usize>,
    /// Whether it is in a comment.
    pub in_comment: bool,
    /// Whether nothing but blanks stands before it on its line.
    pub begins_line: bool,
    /// The end of the number that touches the cursor, or of the number whose unit is being written.
    pub number_end: Option<usize>,
}

impl<'t> Cursor<'t> {
    /// Looks around byte `offset`.
    pub fn new(text: &'t str, offset: usize) -> Cursor<'t> {
        let tokens = tokens(text);
        let mut split = tokens.partition_point(|token| token.start < offset);
        let (mut word_start, mut in_text, mut number_end) = (offset, None, None);
        if let Some(last) = split.checked_sub(1).map(|at| tokens[at]).filter(|last| offset <= last.end()) {
            match last.kind {
                Kind::Word => (word_start, split) = (last.start, split - 1),
                Kind::Number => {
                    let digits = last.text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
                    let end = last.start + digits.len();
                    (word_start, number_end, split) = (end, Some(end), split - 1);
                }
                Kind::Text if offset < last.end() || !is_closed(last.text) => {
                    in_text = Some(last.start + 1);
                    (word_start, split) = (last.start + 1, split - 1);
                }
                _ => {}
            }
        }
        let first = item_start(text, &tokens[..split]);
        let before = tokens[first..split].to_vec();
        let brackets = brackets(&before, &tokens[split..], text);
        let line = text[..word_start].rsplit('\n').next().unwrap_or_default();
        let in_comment = comment_at(text, offset, &tokens);
        let begins_line = line.trim().is_empty();
        Cursor { before, word_start, brackets, in_text, in_comment, begins_line, number_end }
    }

    /// The token before the cursor.
    pub fn last(&self) -> Option<&Token<'t>> {
        self.before.last()
    }

    /// The names `a.b.c` that end before token `end`, and the place of the first.
    pub fn path(&self, end: usize) -> (Vec<&'t str>, usize) {
        let (mut path, mut at) = (Vec::new(), end);
        while at > 0 && self.before[at - 1].kind == Kind::Word {
            path.insert(0, self.before[at - 1].text);
            at -= 1;
            match at.checked_sub(1).map(|dot| self.before[dot]) {
                Some(dot) if dot.is_sign(&["."]) && at >= 2 => at -= 1,
                _ => break,
            }
        }
        (path, at)
    }

    /// Whether the item has not begun: its keyword comes next.
    pub fn begins_item(&self) -> bool {
        let is_done = self.last().is_none_or(|last| last.ends_value());
        self.brackets.is_empty() && self.begins_line && is_done
    }

    /// The names that the item itself gives before the cursor: parameters, axes, bindings.
    pub fn locals(&self) -> Vec<&'t str> {
        let names = self.before.windows(2).enumerate().filter_map(|(at, pair)| {
            let [name, next] = [pair[0], pair[1]];
            let before = at.checked_sub(1).map(|before| self.before[before]);
            let introduced = before.is_some_and(|before| ["over", "for"].contains(&before.text));
            let is_type = before.is_some_and(|before| before.is_sign(&[":", "->"]));
            let is_bound = at > 1 && next.is_sign(&["="]) && !is_type;
            let is_param = next.is_sign(&[":"]) && self.is_param(at);
            (name.kind == Kind::Word && (introduced || is_bound || is_param)).then_some(name.text)
        });
        names.collect()
    }

    /// Whether token `at` stands in the parameter list of a recipe.
    fn is_param(&self, at: usize) -> bool {
        let head: Vec<&str> = self.before.iter().take(3).map(|token| token.text).collect();
        let is_list = matches!(head[..], ["recipe" | "pipeline", _, "("]);
        let end = self.before.iter().position(|token| token.text == "->" || token.text == "=" || token.text == "{");
        is_list && (end.is_none_or(|end| at < end) || self.brackets.first().is_some_and(|open| open.at == 2))
    }
}

fn is_closed(text: &str) -> bool {
    text.len() > 1 && text.ends_with('"') && !text.ends_with("\\\"")
}

fn comment_at(text: &str, offset: usize, tokens: &[Token]) -> bool {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let inside = |at: usize| tokens.iter().any(|token| token.start <= at && at < token.end());
    text[start..offset].match_indices('#').any(|(at, _)| !inside(start + at))
}

/// The first token of the item that goes on behind `tokens`.
fn item_start(text: &str, tokens: &[Token]) -> usize {
    let (mut first, mut depth) = (0, 0usize);
    for (at, token) in tokens.iter().enumerate() {
        let column = token.start - text[..token.start].rfind('\n').map_or(0, |line| line + 1);
        let is_keyword = token.kind == Kind::Word && ITEM_KEYWORDS.contains(&token.text);
        let blank_before = text[token.start - column..token.start].trim().is_empty();
        if is_keyword && blank_before && (depth == 0 || column == 0) {
            (first, depth) = (at, 0);
        } else if token.is_sign(&["{", "(", "[", "${"]) {
            depth += 1;
        } else if token.is_sign(&["}", ")", "]"]) {
            depth = depth.saturating_sub(1);
        }
    }
    first
}

fn brackets<'t>(before: &[Token<'t>], after: &[Token<'t>], text: &str) -> Vec<Bracket<'t>> {
    let mut open: Vec<Bracket> = Vec::new();
    for (at, token) in before.iter().enumerate() {
        if token.is_sign(&["{", "(", "[", "${"]) {
            open.push(Bracket { sign: token.text, at, written: Vec::new(), field: None });
        } else if token.is_sign(&["}", ")", "]"]) {
            open.pop();
        } else if let Some(bracket) = open.last_mut() {
            note(bracket, token, before.get(at + 1));
        }
    }
    if let Some(innermost) = open.last_mut() {
        note_behind(innermost, after, text);
    }
    open
}

fn note<'t>(bracket: &mut Bracket<'t>, token: &Token<'t>, next: Option<&Token<'t>>) {
    if token.is_sign(&[","]) {
        bracket.field = None;
    }
    if token.kind == Kind::Word && next.is_some_and(|next| next.is_sign(&[":", "="])) {
        bracket.written.push(token.text);
        bracket.field = Some(token.text);
    }
}

/// Adds the names that are written behind the cursor in the same bracket.
fn note_behind<'t>(bracket: &mut Bracket<'t>, after: &[Token<'t>], text: &str) {
    let mut depth = 0usize;
    for (at, token) in after.iter().enumerate() {
        let column = token.start - text[..token.start].rfind('\n').map_or(0, |line| line + 1);
        if token.kind == Kind::Word && ITEM_KEYWORDS.contains(&token.text) && column == 0 {
            return;
        }
        if token.is_sign(&["{", "(", "[", "${"]) {
            depth += 1;
        } else if token.is_sign(&["}", ")", "]"]) {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return,
            }
        } else if depth == 0 && token.kind == Kind::Word && after.get(at + 1).is_some_and(|next| next.text == ":") {
            bracket.written.push(token.text);
        }
    }
}

/// Cuts a text into tokens; comments and blanks are left out.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), open: Vec::new() };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token<'t>>,
    /// For each open brace whether a text goes on after it.
    open: Vec<bool>,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().unwrap_or(' ');
        match first {
            _ if first.is_whitespace() => self.at += first.len_utf8(),
            '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            '"' => self.text(1),
            _ if first.is_ascii_digit() => self.push(Kind::Number, number_length(rest)),
            _ if is_word(first) => self.push(Kind::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len())),
            _ => self.sign(rest, first),
        }
    }

    fn push(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token { kind, text: &self.text[self.at..self.at + length], start: self.at });
        self.at += length;
    }

    fn sign(&mut self, rest: &str, first: char) {
        let length = SIGNS.iter().find(|sign| rest.starts_with(**sign)).map_or(first.len_utf8(), |sign| sign.len());
        self.push(Kind::Sign, length);
        match first {
            '{' => self.open.push(false),
            '}' if self.open.pop() == Some(true) => self.text(0),
            _ => {}
        }
    }

    /// A text up to its quote, the end of the line, or `${`, after `skipped` bytes that belong to it.
    fn text(&mut self, skipped: usize) {
        let rest = &self.text[self.at..];
        let mut characters = rest.char_indices().skip(skipped).peekable();
        let mut length = rest.len();
        while let Some((at, character)) = characters.next() {
            match (character, characters.peek()) {
                ('"', _) => {
                    length = at + 1;
                    break;
                }
                ('\n', _) => {
                    length = at;
                    break;
                }
                ('\\', Some(&(_, next))) if next != '\n' => drop(characters.next()),
                ('$', Some((_, '{'))) => {
                    self.push(Kind::Text, at);
                    self.push(Kind::Sign, 2);
                    self.open.push(true);
                    return;
                }
                _ => {}
            }
        }
        self.push(Kind::Text, length);
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// A number with its fraction, exponent and unit.
fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
    if bytes.get(end) == Some(&b'e') && bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1 + sign);
    }
    end + bytes[end..].iter().take_while(|b| b.is_ascii_alphabetic() || **b == b'%').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(marked: &str) -> (String, usize) {
        let offset = marked.find('^').unwrap_or(marked.len());
        (marked.replacen('^', "", 1), offset)
    }

    #[test]
    fn tokens_are_told_apart() {
        let texts: Vec<&str> =
            tokens("a >> b # c\n\"x ${y + \"z\"} w\" 1e-3 64seqs 1..3").iter().map(|t| t.text).collect();
        let wanted = ["a", ">>", "b", "\"x ", "${", "y", "+", "\"z\"", "}", " w\"", "1e-3", "64seqs", "1", "..", "3"];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn the_cursor_knows_its_brackets() {
        let (text, offset) = at("let a = 1\nlet w = sft {\n  data: x\n  le^\n  budget: f(y)\n}\nlet z = { seed: 1 }\n");
        let cursor = Cursor::new(&text, offset);
        assert_eq!(cursor.before[1].text, "w");
        assert_eq!(cursor.brackets[0].written, ["data", "budget"]);
        assert_eq!(&text[cursor.word_start..offset], "le");
        assert_eq!(cursor.path(cursor.brackets[0].at).0, ["sft"]);
    }

    #[test]
    fn an_open_bracket_ends_at_the_next_item() {
        let (text, offset) = at("let w = sft {\n  data: ^\nlet z = { seed: 1 }\n");
        let cursor = Cursor::new(&text, offset);
        assert_eq!((cursor.brackets[0].written.clone(), cursor.brackets[0].field), (vec!["data"], Some("data")));
        assert!(!Cursor::new("let a = 1\n", 10).brackets.iter().any(|_| true));
    }

    #[test]
    fn texts_comments_and_units_are_seen() {
        let see = |marked: &str| {
            let (text, offset) = at(marked);
            let cursor = Cursor::new(&text, offset);
            (cursor.in_text.is_some(), cursor.in_comment, cursor.number_end.is_some())
        };
        assert_eq!(see("let a = \"gr^"), (true, false, false));
        assert_eq!(see("let a = \"gr^oup\""), (true, false, false));
        assert_eq!(see("let a = \"group\" ^"), (false, false, false));
        assert_eq!(see("let a = 1 # no^"), (false, true, false));
        assert_eq!(see("let a = \"#\" ^"), (false, false, false));
        assert_eq!(see("let a = 64se^"), (false, false, true));
    }

    #[test]
    fn locals_come_from_the_item() {
        let (text, offset) = at("recipe f(x: Model, n: Int = 4) -> Model {\n  a = sft { data: 1 }\n  return ^");
        assert_eq!(Cursor::new(&text, offset).locals(), ["x", "n", "a"]);
        let (text, offset) = at("sweep s {\n  over seed in [1]\n  return ^");
        assert_eq!(Cursor::new(&text, offset).locals(), ["seed"]);
    }
}

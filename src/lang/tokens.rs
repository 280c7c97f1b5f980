//! Cuts any text into tokens, comments included: what the formatter and editors work on. Total and linear.

use super::words::is_keyword;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A name.
    Name,
    /// A word of the language: `let`, `in`, `true`.
    Keyword,
    /// `1e-3`
    Number,
    /// `64seqs`
    Quantity,
    /// `"text ${expr}"`, with all that stands inside.
    Text,
    /// A text without its closing quote.
    OpenText,
    /// `(`, `[` or `{`
    Open,
    /// `)`, `]` or `}`
    Close,
    /// Any other sign, such as `|>`.
    Sign,
    /// `# …`, to the end of the line.
    Comment,
    /// `## …`
    DocComment,
    /// A character that has no place in the language.
    Unknown,
}

impl TokenKind {
    /// Whether it is a comment of either kind.
    pub fn is_comment(self) -> bool {
        matches!(self, TokenKind::Comment | TokenKind::DocComment)
    }
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Token {
    /// The characters of the token.
    pub fn text(self, source: &str) -> &str {
        &source[self.start..self.end]
    }
}

/// Longest first, so that the first that fits is the right one.
const SIGNS: [&str; 21] =
    ["...", "|>", ">>", "->", "==", "!=", "<=", ">=", "..", "|", ">", "-", "=", "<", "+", "*", "/", ":", ",", ".", "?"];

/// The tokens of a text, in order; white space lies between them.
pub fn tokens(source: &str) -> Tokens<'_> {
    Tokens { source, at: 0 }
}

/// See [`tokens`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    source: &'a str,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let bytes = self.source.as_bytes();
        let start = self.at + count(&bytes[self.at..], |byte| byte.is_ascii_whitespace());
        let (kind, length) = token(&self.source[start..])?;
        self.at = start + length;
        Some(Token { kind, start, end: self.at })
    }
}

/// The kind and length of the token that `rest` begins with.
fn token(rest: &str) -> Option<(TokenKind, usize)> {
    let bytes = rest.as_bytes();
    Some(match *bytes.first()? {
        b'#' if bytes.get(1) == Some(&b'#') => (TokenKind::DocComment, line_length(bytes)),
        b'#' => (TokenKind::Comment, line_length(bytes)),
        b'"' => text(bytes),
        b'(' | b'[' | b'{' => (TokenKind::Open, 1),
        b')' | b']' | b'}' => (TokenKind::Close, 1),
        b'0'..=b'9' => number(bytes),
        byte if byte.is_ascii_alphabetic() || byte == b'_' => word(rest),
        _ => sign(rest),
    })
}

fn count(bytes: &[u8], fits: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| fits(byte)).count()
}

fn line_length(bytes: &[u8]) -> usize {
    count(bytes, |&byte| byte != b'\n')
}

fn word(rest: &str) -> (TokenKind, usize) {
    let length = count(rest.as_bytes(), |&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let kind = if is_keyword(&rest[..length]) { TokenKind::Keyword } else { TokenKind::Name };
    (kind, length)
}

fn sign(rest: &str) -> (TokenKind, usize) {
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => (TokenKind::Sign, sign.len()),
        None => (TokenKind::Unknown, rest.chars().next().map_or(1, char::len_utf8)),
    }
}

/// `1_000`, `0.5`, `1e-3`, and a unit that touches it: `64seqs`, `3%`, `5MB/s`.
fn number(bytes: &[u8]) -> (TokenKind, usize) {
    let digits = |from: usize| count(&bytes[from..], u8::is_ascii_digit);
    let mut end = count(bytes, |&byte| byte.is_ascii_digit() || byte == b'_');
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if bytes.get(end) == Some(&b'e') {
        let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits((end + 1 + signed).min(bytes.len()));
        end += if exponent > 0 { 1 + signed + exponent } else { 0 };
    }
    match unit(&bytes[end..]) {
        0 => (TokenKind::Number, end),
        length => (TokenKind::Quantity, end + length),
    }
}

fn unit(bytes: &[u8]) -> usize {
    let letters = |from: usize| count(&bytes[from..], u8::is_ascii_alphabetic);
    if bytes.first() == Some(&b'%') {
        return 1;
    }
    match letters(0) {
        0 => 0,
        unit if bytes.get(unit) == Some(&b'/') && letters(unit + 1) > 0 => unit + 1 + letters(unit + 1),
        unit => unit,
    }
}

/// A text with its interpolations, which hold expressions and so brackets, comments and further texts.
fn text(bytes: &[u8]) -> (TokenKind, usize) {
    // Open braces of each interpolation the place lies in; `inside` is false between a `${` and its `}`.
    let (mut braces, mut inside, mut at): (Vec<usize>, bool, usize) = (Vec::new(), true, 1);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (inside, byte) {
            (true, b'\n') => return (TokenKind::OpenText, at - 1),
            (true, b'\\') => at += usize::from(bytes.get(at).is_some_and(|&next| next.is_ascii() && next != b'\n')),
            (true, b'"') if braces.is_empty() => return (TokenKind::Text, at),
            (true, b'"') => inside = false,
            (true, b'$') if bytes.get(at) == Some(&b'{') => {
                at += 1;
                braces.push(0);
                inside = false;
            }
            (false, b'"') => inside = true,
            (false, b'#') => at += line_length(&bytes[at..]),
            (false, b'{') => braces.iter_mut().last().into_iter().for_each(|open| *open += 1),
            (false, b'}') => match braces.last_mut() {
                Some(open) if *open > 0 => *open -= 1,
                _ => {
                    braces.pop();
                    inside = true;
                }
            },
            _ => {}
        }
    }
    (TokenKind::OpenText, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenKind::*;

    fn listed(source: &str) -> Vec<(TokenKind, &str)> {
        tokens(source).map(|token| (token.kind, token.text(source))).collect()
    }

    #[test]
    fn numbers_keep_their_units() {
        let expected = [(Number, "1_000"), (Sign, ".."), (Number, "3e-4"), (Quantity, "64seqs"), (Quantity, "1e3%")];
        assert_eq!(listed("1_000..3e-4 64seqs 1e3%"), expected);
        assert_eq!(listed("2e"), [(Quantity, "2e")]);
        assert_eq!(listed("5MB/s/2"), [(Quantity, "5MB/s"), (Sign, "/"), (Number, "2")]);
        assert_eq!(listed("1.x"), [(Number, "1"), (Sign, "."), (Name, "x")]);
    }

    #[test]
    fn the_longest_sign_wins() {
        let expected = [(Name, "a"), (Sign, "|>"), (Name, "b"), (Sign, ">>"), (Name, "c"), (Sign, "..."), (Name, "d")];
        assert_eq!(listed("a|>b>>c...d"), expected);
        assert_eq!(listed("inn in"), [(Name, "inn"), (Keyword, "in")]);
    }

    #[test]
    fn a_text_holds_all_of_its_interpolations() {
        for text in [r#""a ${ { b: "}" } } c""#, r#""${"${1}"}""#, r#""\"${x}\$""#, "\"${ # }\"\n 1}\"", "\"\""] {
            assert_eq!(listed(text), [(Text, text)]);
        }
    }

    #[test]
    fn what_is_not_closed_ends_with_the_line() {
        assert_eq!(listed("\"abc\nlet"), [(OpenText, "\"abc"), (Keyword, "let")]);
        assert_eq!(listed("\"a\\"), [(OpenText, "\"a\\")]);
        assert_eq!(listed("é§"), [(Unknown, "é"), (Unknown, "§")]);
    }

    #[test]
    fn comments_run_to_the_end_of_the_line() {
        assert_eq!(listed("# a \" b\n## c"), [(Comment, "# a \" b"), (DocComment, "## c")]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_without_gaps_but_white_space(source in "(?s)[\"${}#\\\\ \n\r\ta1.e_é|>-]{0,60}|(?s).{0,60}") {
            let mut at = 0;
            for token in tokens(&source) {
                proptest::prop_assert!(source[at..token.start].bytes().all(|byte| byte.is_ascii_whitespace()));
                proptest::prop_assert!(token.end > token.start);
                at = token.end;
            }
            proptest::prop_assert!(source[at..].bytes().all(|byte| byte.is_ascii_whitespace()));
        }
    }
}

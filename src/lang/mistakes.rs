//! Likely mistakes of syntax: what a user most probably meant where the parser gave up.

use super::scan::is_word;
use super::units;
use super::words::{ITEM_KEYWORDS, is_keyword};
use crate::base::source::{SourceId, Span};
use crate::diag::{Diagnostic, codes};

/// A message of its own for the mistake at byte `at` of an item's `code`, where it is a known one.
pub(super) fn explain(source: SourceId, base: usize, code: &str, at: usize) -> Option<Diagnostic> {
    let place = Place { source, base, code, at };
    place
        .equals_for_equality()
        .or_else(|| place.equals_before_block())
        .or_else(|| place.param_without_type())
        .or_else(|| place.equals_for_colon())
        .or_else(|| place.bar_for_pipe())
        .or_else(|| place.unit_apart())
        .or_else(|| place.foreign())
        .or_else(|| place.strange_character())
        .or_else(|| place.missing_keyword())
        .or_else(|| place.no_item())
        .or_else(|| place.keyword_as_name())
}

/// The word that starts an item which other languages start with `word`.
fn item_keyword(word: &str) -> Option<&'static str> {
    match word {
        "import" | "from" | "include" | "require" => Some("use"),
        "def" | "fn" | "func" | "function" => Some("recipe"),
        "var" | "const" | "val" | "set" => Some("let"),
        _ => None,
    }
}

/// A `word` stands where an item should begin.
pub(super) fn not_an_item(word: &str, span: Span) -> Diagnostic {
    let found = Diagnostic::error(
        codes::NOT_AN_ITEM,
        "an item is expected here",
        span,
        "items start with `use`, `param`, `let`, `recipe`, `suite`, `pipeline`, `sweep`, `compare` or `profile`",
    );
    match item_keyword(word).or_else(|| super::nearest::nearest(word, ITEM_KEYWORDS)) {
        Some(keyword) => found.help(format!("did you mean `{keyword}`?")).fix(span, keyword),
        None => found,
    }
}

/// The word or sign at byte `at`.
pub(super) fn token(code: &str, at: usize) -> &str {
    const SIGNS: [&str; 9] = ["|>", ">>", "==", "!=", "<=", ">=", "->", "=>", ".."];
    let rest = &code[at..];
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return &rest[..sign.len()];
    }
    let word = rest.bytes().take_while(|&byte| is_word(byte)).count();
    let sign = rest.chars().next().map_or(0, char::len_utf8);
    &rest[..word.max(sign)]
}

/// How many bytes of blanks a text begins with.
fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

struct Place<'a> {
    source: SourceId,
    base: usize,
    code: &'a str,
    at: usize,
}

impl Place<'_> {
    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, self.base + start, self.base + end)
    }

    fn rest(&self) -> &str {
        &self.code[self.at..]
    }

    /// The last word before the place, where nothing but blanks lies between.
    fn word_before(&self) -> &str {
        let before = self.code[..self.at].trim_end();
        let length = before.bytes().rev().take_while(|&byte| is_word(byte)).count();
        &before[before.len() - length..]
    }

    /// `if a = b`
    fn equals_for_equality(&self) -> Option<Diagnostic> {
        let line = &self.code[..self.at];
        let line = &line[line.rfind('\n').map_or(0, |end| end + 1)..];
        let is_word = |part: &&str| ["if", "when", "where"].contains(part);
        let mut after = line.split_whitespace().rev().take_while(|part| !is_word(part)).peekable();
        let in_condition = after.peek().is_some() && line.split_whitespace().any(|part| is_word(&part));
        let ended = after.any(|part| part == "then" || part.ends_with([':', '{', ',', '=']));
        if !self.rest().starts_with('=') || self.rest().starts_with("=>") || !in_condition || ended {
            return None;
        }
        let span = self.span(self.at, self.at + 1);
        let message = "two values are compared with `==`";
        let found = Diagnostic::error(codes::FOREIGN_OPERATOR, message, span, "write `==`");
        Some(found.help("`=` gives a name to a value").fix(span, "=="))
    }

    fn equals_for_colon(&self) -> Option<Diagnostic> {
        // The parser may stop at the name before the sign, or at the sign itself.
        let word = token(self.code, self.at);
        let skipped = if word.bytes().all(is_word) { word.len() } else { 0 };
        let after = &self.rest()[skipped..];
        let sign = self.at + skipped + (after.len() - after.trim_start().len());
        let named = skipped > 0 || !self.word_before().is_empty();
        let is_sign = self.code[sign..].starts_with('=') && !self.code[sign..].starts_with("==");
        if !(named && is_sign && self.inside_brackets()) {
            return None;
        }
        let span = self.span(sign, sign + 1);
        let blanks = self.code[..sign].trim_end_matches([' ', '\t']).len();
        let found =
            Diagnostic::error(codes::EQUALS_FOR_COLON, "a field is written `name: value`", span, "write `:` here");
        Some(found.help("`=` gives a name to a value; `:` fills a field").fix(self.span(blanks, sign + 1), ":"))
    }

    /// `recipe f(x: Model) -> Model = { a = …  return … }`
    fn equals_before_block(&self) -> Option<Diagnostic> {
        let (open, _) = self.code[..self.at].match_indices('{').next()?;
        let head = self.code[..open].trim_end();
        let sign = head.strip_suffix('=')?.len();
        let inside = self.code[open + 1..].trim_start();
        let binds = inside.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
        let bound = binds.trim_start().starts_with('=') || self.code[open..].contains("return");
        // A record may be the default of a parameter.
        let in_parameters = head.matches('(').count() != head.matches(')').count();
        if !self.begins_with("recipe") || in_parameters || !bound {
            return None;
        }
        let span = self.span(sign, sign + 1);
        let message = "the block of a recipe stands without `=`";
        let found = Diagnostic::error(codes::SYNTAX, message, span, "remove this")
            .label(self.span(open, open + 1), "the block opens here");
        Some(found.help("write `recipe f(x: Model) -> Model { a = …  return … }`").fix(self.span(sign, open), ""))
    }

    /// `param n = 3`
    fn param_without_type(&self) -> Option<Diagnostic> {
        let name = self.word_before();
        let before = self.code[..self.at].trim_end();
        let names_a_param = Place { at: before.len() - name.len(), ..*self }.word_before() == "param";
        if !(self.rest().starts_with('=') && names_a_param && self.begins_with("param")) {
            return None;
        }
        let default = token(self.code, self.at + 1 + blanks(&self.rest()[1..]));
        let ty = match default.as_bytes() {
            [b'"', ..] => Some("String"),
            b"true" | b"false" => Some("Bool"),
            digits if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && !self.rest().contains('.') => {
                Some("Int")
            }
            _ => None,
        };
        let span = self.span(before.len() - name.len(), before.len());
        let found = Diagnostic::error(codes::SYNTAX, format!("param `{name}` has no type"), span, "of which type?");
        let found = found.help(format!("write `param {name}: {} = …`", ty.unwrap_or("Type")));
        Some(match ty {
            Some(ty) => found.fix(self.span(before.len(), before.len()), format!(": {ty}")),
            None => found,
        })
    }

    /// Whether this is the item that `keyword` starts.
    fn begins_with(&self, keyword: &str) -> bool {
        token(self.code, blanks(self.code)) == keyword
    }

    fn inside_brackets(&self) -> bool {
        let count = |byte: u8| self.code[..self.at].bytes().filter(|&other| other == byte).count();
        count(b'{') + count(b'(') > count(b'}') + count(b')')
    }

    fn bar_for_pipe(&self) -> Option<Diagnostic> {
        if !self.rest().starts_with('|') || self.rest().starts_with("||") || self.rest().starts_with("|>") {
            return None;
        }
        let span = self.span(self.at, self.at + 1);
        let found =
            Diagnostic::error(codes::BAR_FOR_PIPE, "a value goes into a stage with `|>`", span, "write `|>` here");
        Some(found.help("`value |> stage` applies the stage").fix(span, "|>"))
    }

    /// The parser takes the unit for a field's name and stops behind it, or stops at it.
    fn unit_apart(&self) -> Option<Diagnostic> {
        let before = self.code[..self.at].trim_end();
        let behind = before.len() - self.word_before().len();
        self.unit_at(self.at).or_else(|| self.unit_at(behind))
    }

    fn unit_at(&self, at: usize) -> Option<Diagnostic> {
        let unit = token(self.code, at);
        let place = Place { at, ..*self };
        let number = place.word_before();
        let is_number = number.starts_with(|first: char| first.is_ascii_digit());
        if !is_number || (units::find(unit).is_none() && units::meant(unit).is_none()) || is_keyword(unit) {
            return None;
        }
        let start = self.code[..at].trim_end().len();
        if self.code[start..at].contains('\n') {
            return None;
        }
        let found = Diagnostic::error(
            codes::UNIT_APART,
            "a unit touches its number",
            self.span(start - number.len(), at + unit.len()),
            format!("write `{number}{unit}`"),
        );
        Some(found.help("remove the space").fix(self.span(start, at), ""))
    }

    fn foreign(&self) -> Option<Diagnostic> {
        /// No edit of this place alone would do.
        const KEEP: &str = "…";
        const SIGNS: &[(&str, &str, &str)] = &[
            ("&&", "`and`", " and "),
            ("||", "`or`", " or "),
            ("->", "`|>` for a pipeline; `->` only stands in types", "|>"),
            ("**", "`*`; there are no powers", "*"),
            ("!", "`not`", "not "),
            ("'", "double quotes", KEEP),
            (";", "a line break", ""),
            ("/*", "`#` before each line of a comment", KEEP),
            ("?", "`if … then … else …`", KEEP),
            ("^", "`*`; there are no powers", KEEP),
            ("=>", "a `recipe`: there are no other functions", KEEP),
            ("“", "double quotes: `\"`", KEEP),
            ("”", "double quotes: `\"`", KEEP),
            ("‘", "double quotes: `\"`", KEEP),
            ("’", "double quotes: `\"`", KEEP),
            ("`", "double quotes: `\"`", KEEP),
        ];
        // The parser may have taken the first half of a sign for an operator.
        let second_half = self.at.checked_sub(1).filter(|&at| self.code.is_char_boundary(at));
        let at_sign = |start: usize| SIGNS.iter().find(|(sign, ..)| self.code[start..].starts_with(sign));
        let halved =
            second_half.and_then(|at| Some((at, at_sign(at).filter(|sign| sign.0.is_ascii() && sign.0.len() > 1)?)));
        let (at, (sign, ours, fix)) = at_sign(self.at).map(|sign| (self.at, sign)).or(halved)?;
        let span = self.span(at, at + sign.len());
        let found = Diagnostic::error(
            codes::FOREIGN_OPERATOR,
            format!("`{sign}` does not exist here"),
            span,
            format!("write {ours}"),
        );
        Some(if *fix == KEEP { found } else { found.fix(span, *fix) })
    }

    /// A character that can stand in no name, or a backslash that starts no escape.
    fn strange_character(&self) -> Option<Diagnostic> {
        let first = self.rest().chars().next()?;
        let span = self.span(self.at, self.at + first.len_utf8());
        let (message, text) = match first {
            '\\' => {
                let pair: String = self.rest().chars().take(2).collect();
                (format!("`{pair}` is no escape"), r#"escapes are `\n`, `\t`, `\"`, `\\` and `\$`"#)
            }
            _ if first.is_alphabetic() && !first.is_ascii() => {
                (format!("`{first}` cannot stand in a name"), "names are made of a to z, A to Z, digits and `_`")
            }
            _ if !first.is_ascii_whitespace() && (first.is_control() || first.is_whitespace()) => {
                let code = u32::from(first);
                (format!("there is an invisible character, U+{code:04X}, here"), "remove it, or write a plain space")
            }
            _ => return None,
        };
        Some(Diagnostic::error(codes::SYNTAX, message, span, text))
    }

    /// Something at the start of a line, after an item that is complete, that starts no item.
    fn no_item(&self) -> Option<Diagnostic> {
        let word = token(self.code, self.at);
        let is_word = word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if !is_word || !self.code[..self.at].ends_with('\n') || self.inside_brackets() || is_keyword(word) {
            return None;
        }
        Some(not_an_item(word, self.span(self.at, self.at + word.len())))
    }

    /// A binding at the outermost level, without the word that makes it an item.
    fn missing_keyword(&self) -> Option<Diagnostic> {
        let word = token(self.code, self.at);
        let after = self.rest()[word.len()..].trim_start();
        let binds = word.starts_with(|first: char| first.is_ascii_alphabetic())
            && after.starts_with('=')
            && !after.starts_with("==")
            && self.code[..self.at].trim_end_matches([' ', '\t']).ends_with('\n');
        if !binds {
            return None;
        }
        let span = self.span(self.at, self.at + word.len());
        let found =
            Diagnostic::error(codes::NOT_AN_ITEM, "an item is expected here", span, "no keyword stands before this");
        Some(found.help("write `let` before the name").fix(self.span(self.at, self.at), "let "))
    }

    fn keyword_as_name(&self) -> Option<Diagnostic> {
        let word = token(self.code, self.at);
        let after = self.rest()[word.len()..].trim_start();
        let named = (after.starts_with([':', '=']) && !after.starts_with("==")) || self.starts_definition();
        if !is_keyword(word) || !named {
            return None;
        }
        let span = self.span(self.at, self.at + word.len());
        let message = format!("`{word}` is a keyword and cannot be a name");
        Some(Diagnostic::error(codes::KEYWORD_AS_NAME, message, span, "choose another name"))
    }

    fn starts_definition(&self) -> bool {
        ["let", "param", "recipe", "suite", "pipeline", "sweep", "over"].contains(&self.word_before())
    }
}

//! Tokens to a tree: lists, relations, sets and brackets. Arithmetic is in [`super::arithmetic`].

use super::budget::Stop;
use super::tokens::{Kind, Token, tokens};
use super::tree::{Sign, Tree};
use super::unit;

/// How deep brackets, fractions and powers may nest.
const MAX_DEPTH: usize = 64;

/// The most divisions by `/` in one answer: each is a level of the tree, brackets or not.
const MAX_DIVISIONS: usize = 100;

/// The most entries of one list.
const MAX_ENTRIES: usize = 200;

/// Reads a whole normalised answer.
///
/// # Errors
/// [`Stop::Beyond`] for what is no mathematics this grader reads, [`Stop::TooLarge`] for what is too deep or too long.
pub fn parse(text: &str) -> Result<Tree, Stop> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, divisions: 0, bars: 0 };
    let tree = parser.lists()?;
    if parser.at < parser.tokens.len() { Err(Stop::Beyond) } else { Ok(tree) }
}

/// A reader of tokens.
pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    divisions: usize,
    /// Open bars of absolute values: inside them a bar closes.
    pub(super) bars: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    pub(super) fn ahead(&self, by: usize) -> Option<&Kind> {
        self.tokens.get(self.at + by).map(|token| &token.kind)
    }

    pub(super) fn spaced(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.spaced)
    }

    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.peek() == Some(&Kind::Sign(sign))
    }

    pub(super) fn is_command(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Kind::Command(command)) if command == name)
    }

    pub(super) fn take_sign(&mut self, sign: char) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn take_command(&mut self, name: &str) -> bool {
        let found = self.is_command(name);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, sign: char) -> Result<(), Stop> {
        if self.take_sign(sign) { Ok(()) } else { Err(Stop::Beyond) }
    }

    /// Counts a division.
    pub(super) fn divide(&mut self) -> Result<(), Stop> {
        self.divisions += 1;
        if self.divisions > MAX_DIVISIONS { Err(Stop::TooLarge) } else { Ok(()) }
    }

    /// Runs a reader one level deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        self.depth += 1;
        let result = if self.depth > MAX_DEPTH { Err(Stop::TooLarge) } else { read(self) };
        self.depth -= 1;
        result
    }

    /// Lists parted by semicolons, of entries parted by commas.
    pub(super) fn lists(&mut self) -> Result<Tree, Stop> {
        let mut lists = vec![self.list()?];
        while self.take_sign(';') {
            if self.at_end() {
                break;
            }
            lists.push(self.list()?);
        }
        Ok(single(lists, Tree::List))
    }

    /// Entries parted by commas, "and" or "or".
    fn list(&mut self) -> Result<Tree, Stop> {
        let mut entries = vec![self.relation()?];
        while self.take_separator() {
            if self.at_end() {
                break;
            }
            if entries.len() >= MAX_ENTRIES {
                return Err(Stop::TooLarge);
            }
            entries.push(self.relation()?);
        }
        Ok(single(entries, Tree::List))
    }

    fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some(Kind::Sign(')' | ']' | '}') | Kind::SetClose))
    }

    fn take_separator(&mut self) -> bool {
        let comma = self.take_sign(',');
        let word = self.is_joining_word();
        self.at += usize::from(word);
        comma || word
    }

    fn is_joining_word(&self) -> bool {
        match self.peek() {
            Some(Kind::Word(word, _)) => matches!(word.to_lowercase().as_str(), "and" | "or"),
            Some(Kind::Command(name)) => matches!(name.as_str(), "land" | "lor" | "wedge" | "vee"),
            _ => false,
        }
    }

    /// Sides with signs between them; what stands before an implication is dropped.
    fn relation(&mut self) -> Result<Tree, Stop> {
        self.deeper(|parser| {
            let mut relation = parser.sides()?;
            while parser.take_implication() {
                relation = parser.sides()?;
            }
            Ok(relation)
        })
    }

    fn take_implication(&mut self) -> bool {
        ["implies", "Rightarrow", "therefore", "Longrightarrow"].into_iter().any(|name| self.take_command(name))
    }

    fn sides(&mut self) -> Result<Tree, Stop> {
        self.take_command("therefore");
        let first = self.union()?;
        let mut sides = Vec::new();
        while let Some(sign) = self.take_relation() {
            sides.push((sign, self.union()?));
        }
        Ok(if sides.is_empty() { first } else { Tree::Relation(Box::new(first), sides) })
    }

    fn take_relation(&mut self) -> Option<Sign> {
        let sign = match self.peek()? {
            Kind::Sign('=') => Sign::Equal,
            Kind::Sign('<') => Sign::Less,
            Kind::Sign('>') => Sign::Greater,
            Kind::Command(name) => match name.as_str() {
                "le" => Sign::AtMost,
                "ge" => Sign::AtLeast,
                "ne" => Sign::Unequal,
                "approx" | "simeq" | "doteq" => Sign::About,
                "in" => Sign::In,
                _ => return None,
            },
            _ => return None,
        };
        self.at += 1;
        Some(sign)
    }

    fn union(&mut self) -> Result<Tree, Stop> {
        let mut parts = vec![self.ratio()?];
        while self.take_command("cup") || self.take_letter_cup() {
            parts.push(self.ratio()?);
        }
        Ok(single(parts, Tree::Union))
    }

    /// `(1,2) U (3,4)`
    fn take_letter_cup(&mut self) -> bool {
        let found = self.is_letter_cup();
        self.at += usize::from(found);
        found
    }

    pub(super) fn is_letter_cup(&self) -> bool {
        let closed = self.at > 0 && matches!(self.tokens[self.at - 1].kind, Kind::Sign(')' | ']') | Kind::SetClose);
        let opens = matches!(self.ahead(1), Some(Kind::Sign('(' | '[') | Kind::SetOpen));
        closed && opens && self.peek() == Some(&Kind::Letter('U'))
    }

    fn ratio(&mut self) -> Result<Tree, Stop> {
        let mut parts = vec![self.measured()?];
        while self.take_sign(':') {
            parts.push(self.measured()?);
        }
        Ok(single(parts, Tree::Ratio))
    }

    /// A sum with the words of its unit, or words alone.
    fn measured(&mut self) -> Result<Tree, Stop> {
        while matches!(self.peek(), Some(Kind::Word(word, _)) if unit::is_currency(word)) && self.ahead(1).is_some() {
            self.at += 1;
            self.take_sign('.');
        }
        if self.is_plain_word() && !self.is_joining_word() {
            return Ok(Tree::Words(self.words()));
        }
        let value = self.sum()?;
        if !self.is_unit() {
            return Ok(value);
        }
        let words = self.words();
        // `5 or more` and `3 over 4` are no numbers with a unit.
        unit::effect(&words).ok_or(Stop::Beyond)?;
        Ok(Tree::Unit(Box::new(value), words))
    }

    /// Whether a word stands here that is neither a function nor a product of unknowns.
    pub(super) fn is_plain_word(&self) -> bool {
        match self.peek() {
            Some(Kind::Word(word, text)) => {
                !super::arithmetic::is_function(word)
                    && (*text || unit::is_word(word) || (unit::is_short_unit(word) && self.spaced()))
            }
            _ => false,
        }
    }

    /// Whether a unit stands here, behind a value.
    pub(super) fn is_unit(&self) -> bool {
        match self.peek() {
            Some(Kind::Word(word, _)) => !self.is_joining_word() && (self.is_plain_word() || unit::is_short_unit(word)),
            Some(Kind::Letter(letter)) => self.is_letter_unit(*letter),
            Some(Kind::Sign('\u{a2}')) => true,
            _ => false,
        }
    }

    /// `5 m`: a number, a space, and one of few letters with nothing but a power behind it.
    fn is_letter_unit(&self, letter: char) -> bool {
        let number = self.at > 0 && matches!(self.tokens[self.at - 1].kind, Kind::Number(..));
        let alone = matches!(self.ahead(1), None | Some(Kind::Sign(',' | ';' | '^')));
        number && self.spaced() && alone && matches!(letter, 'm' | 'g' | 'L') && self.bars == 0
    }

    /// The words that stand here, powers of units joined to them: `cm^2`, `miles/hour`.
    fn words(&mut self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        loop {
            match self.peek().cloned() {
                Some(Kind::Word(word, _)) if words.is_empty() || !self.is_joining_word() => words.push(word),
                Some(Kind::Letter(letter)) if words.is_empty() || self.spaced() => words.push(letter.to_string()),
                Some(Kind::Sign('\u{a2}')) => words.push("cent".into()),
                Some(Kind::Sign('^')) if !words.is_empty() && self.take_unit_power(&mut words) => continue,
                Some(Kind::Sign('/')) if !words.is_empty() && matches!(self.ahead(1), Some(Kind::Word(..))) => {
                    self.at += 1;
                    words.push("per".into());
                    continue;
                }
                Some(Kind::Sign('.' | '-' | '\'')) if !words.is_empty() => {}
                _ => return words,
            }
            self.at += 1;
        }
    }

    fn take_unit_power(&mut self, words: &mut [String]) -> bool {
        let (digit, length) = match (self.ahead(1), self.ahead(2), self.ahead(3)) {
            (Some(Kind::Number(digit, None)), ..) => (digit.clone(), 2),
            (Some(Kind::Sign('{')), Some(Kind::Number(digit, None)), Some(Kind::Sign('}'))) => (digit.clone(), 4),
            _ => return false,
        };
        if let (Some(last), "2" | "3") = (words.last_mut(), digit.as_str()) {
            *last += &format!("^{digit}");
            self.at += length;
            return true;
        }
        false
    }

    /// What stands in round or square brackets: one value, or the entries of a tuple or an interval.
    pub(super) fn bracketed(&mut self, open: char) -> Result<Tree, Stop> {
        let bars = std::mem::take(&mut self.bars);
        let inside = self.deeper(Self::lists);
        self.bars = bars;
        let inside = inside?;
        let close = match self.peek() {
            Some(Kind::Sign(close @ (')' | ']'))) => *close,
            _ => return Err(Stop::Beyond),
        };
        self.at += 1;
        match inside {
            Tree::List(entries) => Ok(Tree::Group(open, close, entries)),
            value if (open == '(') == (close == ')') => Ok(value),
            _ => Err(Stop::Beyond),
        }
    }

    /// What stands in TeX's braces.
    pub(super) fn braced(&mut self) -> Result<Tree, Stop> {
        let bars = std::mem::take(&mut self.bars);
        let inside = self.deeper(Self::lists);
        self.bars = bars;
        self.expect('}')?;
        inside
    }

    /// The elements of a set.
    pub(super) fn set(&mut self) -> Result<Tree, Stop> {
        if self.peek() == Some(&Kind::SetClose) {
            self.at += 1;
            return Ok(Tree::Set(Vec::new()));
        }
        let inside = self.deeper(Self::lists)?;
        if self.peek() != Some(&Kind::SetClose) {
            return Err(Stop::Beyond);
        }
        self.at += 1;
        Ok(Tree::Set(match inside {
            Tree::List(elements) => elements,
            element => vec![element],
        }))
    }

    /// The rows of a matrix, behind `\begin`.
    pub(super) fn matrix(&mut self) -> Result<Tree, Stop> {
        let name = self.environment()?;
        if !matches!(name.as_str(), "pmatrix" | "bmatrix" | "matrix" | "smallmatrix" | "array" | "Bmatrix") {
            return Err(Stop::Beyond);
        }
        if name == "array" && self.take_sign('{') {
            while !self.take_sign('}') {
                self.peek().ok_or(Stop::Beyond)?;
                self.at += 1;
            }
        }
        let mut rows = vec![Vec::new()];
        while !self.take_command("end") {
            if self.peek() == Some(&Kind::Row) {
                self.at += 1;
                rows.push(Vec::new());
                continue;
            }
            let entry = self.deeper(Self::sides)?;
            rows.last_mut().ok_or(Stop::Beyond)?.push(entry);
            let goes_on = self.take_sign('&') || self.peek() == Some(&Kind::Row) || self.is_command("end");
            if !goes_on {
                return Err(Stop::Beyond);
            }
        }
        if self.environment()? != name {
            return Err(Stop::Beyond);
        }
        rows.retain(|row| !row.is_empty());
        let even = rows.first().is_some_and(|first| rows.iter().all(|row| row.len() == first.len()));
        if even { Ok(Tree::Matrix(rows)) } else { Err(Stop::Beyond) }
    }

    fn environment(&mut self) -> Result<String, Stop> {
        self.expect('{')?;
        let Some(Kind::Word(name, _)) = self.peek().cloned() else { return Err(Stop::Beyond) };
        self.at += 1;
        self.expect('}')?;
        Ok(name)
    }
}

/// The one part, or all of them joined.
fn single(mut parts: Vec<Tree>, join: impl FnOnce(Vec<Tree>) -> Tree) -> Tree {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => join(parts),
    }
}

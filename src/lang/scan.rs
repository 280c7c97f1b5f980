//! Cuts a file into items before pest sees it, so that one broken item hides nothing else and depth is bounded.

use super::words::ITEM_KEYWORDS;
use crate::base::source::{BYTE_ORDER_MARK, SourceId, Span};
use crate::diag::{Diagnostic, codes};

/// How deep brackets may nest: each level costs the parser about twenty stack frames.
const MAX_DEPTH: usize = 48;
/// How many `if` and `->` an item may hold, since both nest to the right without brackets.
const MAX_RIGHT_NESTING: usize = 64;

/// The longest item, in bytes. Some of what is done with one takes the square of its length.
const MAX_ITEM: usize = 256 << 10;

/// How many findings of one file are kept; a reader sees fewer.
pub(super) const MAX_FOUND: usize = 1_000;

/// The text of one item.
#[derive(Debug)]
pub(super) struct Slice {
    /// First byte.
    pub start: usize,
    /// One past its last byte that is no comment.
    pub end: usize,
    /// Its doc comment.
    pub doc: Option<String>,
    /// Whether a finding of the scanner explains already why it will not parse.
    pub broken: bool,
}

impl Slice {
    /// Its text, out of that of the file.
    pub fn code<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }
}

/// What scanning gives.
pub(super) struct Scan {
    /// The items.
    pub slices: Vec<Slice>,
    /// The text with what was reported already blanked out, byte for byte.
    pub masked: String,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// Cuts `text` into items.
pub(super) fn scan(source: SourceId, text: &str) -> Scan {
    let mut scanner = Scanner::new(source, text);
    while scanner.at < scanner.bytes.len() {
        scanner.step();
    }
    scanner.finish()
}

/// A bracket that is open. A file may be nothing but brackets, so it is kept small.
struct Open {
    at: u32,
    closer: u8,
    /// Set for `${`: the text goes on after the closer.
    in_text: bool,
}

impl Open {
    fn at(&self) -> usize {
        self.at as usize
    }
}

/// The line that was looked at last. Places are asked for in rising order, so that each byte is looked at once.
#[derive(Default)]
struct Line {
    start: usize,
    /// Its first byte that is no blank.
    code: usize,
    /// How far line breaks were looked for.
    seen: usize,
}

struct Scanner<'a> {
    source: SourceId,
    text: &'a str,
    bytes: &'a [u8],
    masked: Vec<u8>,
    at: usize,
    last_code: usize,
    stack: Vec<Open>,
    /// How many brackets in the stack wait for `)`, `]` and `}`.
    waiting: [usize; 3],
    line: Line,
    right_nesting: usize,
    slices: Vec<Slice>,
    /// The column of the last item.
    item_column: usize,
    docs: Vec<String>,
    stray: bool,
    /// Whether a carriage return alone was reported: once is enough.
    lone_return: bool,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Scanner<'a> {
    fn new(source: SourceId, text: &'a str) -> Self {
        // Some editors begin a file with a byte-order mark.
        let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        Scanner {
            source,
            text,
            bytes: text.as_bytes(),
            masked: text.as_bytes().to_vec(),
            at: start,
            last_code: 0,
            stack: Vec::new(),
            waiting: [0; 3],
            line: Line { start, code: start, seen: start },
            right_nesting: 0,
            slices: Vec::new(),
            item_column: usize::MAX,
            docs: Vec::new(),
            stray: false,
            lone_return: false,
            diagnostics: Vec::new(),
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, start, end)
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn step(&mut self) {
        match self.peek(0) {
            byte if byte.is_ascii_whitespace() => self.at += 1,
            b'#' => self.comment(),
            b'/' if self.peek(1) == b'/' => self.slashes(),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => self.word(),
            byte => self.symbol(byte),
        }
    }

    fn line_end(&self, from: usize) -> usize {
        self.text[from..].find('\n').map_or(self.text.len(), |length| from + length)
    }

    fn comment(&mut self) {
        let end = self.line_end(self.at);
        let line = &self.text[self.at..end];
        if let Some(doc) = line.strip_prefix("##")
            && self.stack.is_empty()
            && self.first_on_line(self.at)
        {
            self.docs.push(doc.trim().to_string());
        }
        if let Some(at) = line.trim_end_matches('\r').find('\r').filter(|_| !self.lone_return) {
            self.lone_return(self.at + at);
        }
        self.at = end;
    }

    /// The line breaks of an old system: what looks like the next line belongs to the comment.
    fn lone_return(&mut self, at: usize) {
        self.lone_return = true;
        let message = "a carriage return alone does not end a line";
        let found = Diagnostic::error(codes::SYNTAX, message, self.span(at, at + 1), "the comment goes on behind this");
        self.found(found.help("end lines with a line feed, with or without a carriage return before it"));
    }

    fn slashes(&mut self) {
        let (start, end) = (self.at, self.line_end(self.at));
        let span = self.span(start, start + 2);
        self.found(
            Diagnostic::error(codes::SLASH_COMMENT, "`//` does not start a comment", span, "comments start with `#`")
                .help("write `#`")
                .fix(span, "#"),
        );
        self.mask(start, end);
        self.at = end;
    }

    fn mask(&mut self, start: usize, end: usize) {
        self.masked[start..end].fill(b' ');
    }

    /// Finds the line of byte `at`, which lies nowhere before the place asked for last.
    fn find_line(&mut self, at: usize) {
        let Some(unseen) = self.bytes.get(self.line.seen..at) else { return };
        if let Some(last) = unseen.iter().rposition(|&byte| byte == b'\n') {
            self.line.start = self.line.seen + last + 1;
            self.line.code = self.line.start;
        }
        self.line.seen = at;
        let blanks = self.bytes[self.line.code..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.line.code += blanks;
    }

    fn first_on_line(&mut self, at: usize) -> bool {
        self.find_line(at);
        self.line.code >= at
    }

    fn column(&mut self, at: usize) -> usize {
        self.find_line(at);
        at - self.line.start
    }

    fn found(&mut self, found: Diagnostic) {
        if self.diagnostics.len() < MAX_FOUND {
            self.diagnostics.push(found);
        }
    }

    fn word(&mut self) {
        let start = self.at;
        let length = self.bytes[start..].iter().take_while(|&&byte| is_word(byte)).count();
        let word = &self.text[start..start + length];
        self.at += length;
        match word {
            keyword if ITEM_KEYWORDS.contains(&keyword) && self.opens_item(start) => self.open_item(start),
            "let" if self.let_in_block(start) => self.needless_let(start),
            "if" => self.nest_right(start),
            _ => self.code(start, word),
        }
        self.last_code = self.at;
    }

    /// Whether an item keyword at `start` begins an item, and is no field's name.
    fn opens_item(&mut self, start: usize) -> bool {
        if self.stack.is_empty() {
            return !self.names_item(start);
        }
        let rest = self.text[self.at..].trim_start();
        let names_something = rest.starts_with(|next: char| next.is_ascii_alphabetic() || next == '_' || next == '"');
        names_something && self.column(start) <= self.item_column && self.first_on_line(start)
    }

    /// Whether a word stands right behind the keyword of an item, on its line: a name, though a bad one.
    fn names_item(&self, start: usize) -> bool {
        let begun = self.slices.last().map(|slice| &self.text[slice.start..start]);
        begun.is_some_and(|begun| ITEM_KEYWORDS.contains(&begun.trim_end()) && !begun.contains('\n'))
    }

    fn let_in_block(&mut self, start: usize) -> bool {
        !self.stack.is_empty() && self.first_on_line(start)
    }

    fn needless_let(&mut self, start: usize) {
        let span = self.span(start, self.at);
        self.mask(start, self.at);
        let message = "a binding inside a block is written without `let`";
        let found = Diagnostic::error(codes::LET_IN_BLOCK, message, span, "remove this word");
        self.found(found.help("write `name = value`").fix(span, ""));
    }

    fn open_item(&mut self, start: usize) {
        self.close_item(start);
        let doc = (!self.docs.is_empty()).then(|| self.docs.join("\n"));
        self.docs.clear();
        self.stray = false;
        self.right_nesting = 0;
        self.item_column = self.column(start);
        self.slices.push(Slice { start, end: self.at, doc, broken: false });
    }

    /// Ends the current item before byte `next`, complaining about brackets left open.
    fn close_item(&mut self, next: usize) {
        let end = self.last_code;
        while let Some(open) = self.pop() {
            self.never_closed(&open, end, next);
        }
        let Some(slice) = self.slices.last_mut() else { return };
        slice.end = end.max(slice.end);
        if slice.end - slice.start > MAX_ITEM && !std::mem::replace(&mut slice.broken, true) {
            let start = slice.start;
            self.too_long(start);
        }
    }

    fn too_long(&mut self, start: usize) {
        let message = format!("an item has more than {} KiB", MAX_ITEM >> 10);
        let word = self.bytes[start..].iter().take_while(|&&byte| is_word(byte)).count();
        let found =
            Diagnostic::error(codes::PROGRAM_TOO_LARGE, message, self.span(start, start + word), "it begins here");
        self.found(found.help("give parts of it names of their own with `let`"));
    }

    /// Where the character before `end` begins.
    fn last_character(&self, end: usize) -> usize {
        self.text.get(..end).and_then(|text| text.char_indices().next_back()).map_or(end, |(at, _)| at)
    }

    fn never_closed(&mut self, open: &Open, end: usize, next: usize) {
        // An inner bracket left open explains the outer ones.
        if self.current_broken() {
            return;
        }
        let opener = self.bytes[open.at()] as char;
        let closer = open.closer as char;
        let word = self.bytes[next..].iter().take_while(|&&byte| is_word(byte)).count();
        let (start, stop, place) = match word {
            0 => (self.last_character(end), end, "the file ends here"),
            _ => (next, next + word, "the next item begins here"),
        };
        let found = Diagnostic::error(
            codes::MISSING_CLOSER,
            format!("this `{opener}` is never closed"),
            self.span(open.at(), open.at() + 1),
            format!("opened here, `{closer}` is missing"),
        )
        .label(self.span(start, stop), place)
        .help(format!("add `{closer}`"))
        .fix(self.span(end, end), format!("\n{closer}"));
        self.found(found);
        self.break_current();
    }

    fn current_broken(&self) -> bool {
        self.slices.last().is_some_and(|slice| slice.broken)
    }

    fn break_current(&mut self) {
        if let Some(slice) = self.slices.last_mut() {
            slice.broken = true;
        }
    }

    fn code(&mut self, start: usize, word: &str) {
        if self.slices.is_empty() && !self.stray {
            self.stray = true;
            let end = start + word.len();
            let found = super::mistakes::not_an_item(word, self.span(start, end));
            self.found(found);
        }
    }

    fn symbol(&mut self, byte: u8) {
        let start = self.at;
        let length = self.text[start..].chars().next().map_or(1, char::len_utf8);
        self.at += length;
        self.last_code = self.at;
        match byte {
            b'"' => self.text_literal(start),
            b'(' => self.open(start, b')', false),
            b'[' => self.open(start, b']', false),
            b'{' => self.open(start, b'}', false),
            b')' | b']' | b'}' => self.close(start, byte),
            b'-' if self.peek(0) == b'>' => self.nest_right(start),
            _ => self.code(start, &self.text[start..start + length]),
        }
    }

    fn nest_right(&mut self, start: usize) {
        self.right_nesting += 1;
        if self.right_nesting == MAX_RIGHT_NESTING + 1 {
            self.too_deep(start);
        }
    }

    fn open(&mut self, at: usize, closer: u8, in_text: bool) {
        self.stack.push(Open { at: at as u32, closer, in_text });
        *self.waiting_for(closer) += 1;
        if self.stack.len() == MAX_DEPTH + 1 {
            self.too_deep(at);
        }
    }

    fn waiting_for(&mut self, closer: u8) -> &mut usize {
        match closer {
            b')' => &mut self.waiting[0],
            b']' => &mut self.waiting[1],
            _ => &mut self.waiting[2],
        }
    }

    fn pop(&mut self) -> Option<Open> {
        let open = self.stack.pop()?;
        *self.waiting_for(open.closer) -= 1;
        Some(open)
    }

    fn too_deep(&mut self, at: usize) {
        if !self.current_broken() {
            let message = format!("more than {MAX_DEPTH} levels of nesting");
            let found =
                Diagnostic::error(codes::TOO_DEEP, message, self.span(at, at + 1), "this level is one too many");
            self.found(found.help("give an inner part a name with `let`"));
        }
        self.break_current();
    }

    fn close(&mut self, at: usize, closer: u8) {
        if *self.waiting_for(closer) == 0 {
            let other = self.stack.last().is_some_and(|open| !open.in_text && self.bytes[open.at()] != b'{');
            return match self.pop_if(other) {
                Some(open) => self.wrong_closer(&open, at, closer),
                None => self.unopened(at, closer),
            };
        }
        while let Some(open) = self.pop() {
            if open.closer == closer {
                if open.in_text {
                    self.text_literal(open.at());
                }
                return;
            }
            self.mismatched(&open, at);
        }
    }

    fn pop_if(&mut self, wanted: bool) -> Option<Open> {
        if wanted { self.pop() } else { None }
    }

    fn mismatched(&mut self, open: &Open, at: usize) {
        if self.current_broken() {
            return;
        }
        let (opener, wanted) = (self.bytes[open.at()] as char, open.closer as char);
        let found = Diagnostic::error(
            codes::MISSING_CLOSER,
            format!("this `{opener}` is never closed"),
            self.span(open.at(), open.at() + 1),
            format!("opened here, `{wanted}` is missing"),
        )
        .label(self.span(at, at + 1), format!("this closes something else; `{wanted}` belongs before it"))
        .help(format!("add `{wanted}`"))
        .fix(self.span(at, at), wanted.to_string());
        self.found(found);
        self.break_current();
    }

    /// `(1 + 2]`: nothing else is open that the closer could mean.
    fn wrong_closer(&mut self, open: &Open, at: usize, closer: u8) {
        let (opener, wanted) = (self.bytes[open.at()] as char, open.closer as char);
        let span = self.span(at, at + 1);
        let message = format!("`{}` does not close `{opener}`", closer as char);
        let found = Diagnostic::error(codes::MISSING_CLOSER, message, span, format!("write `{wanted}` here"));
        if !self.current_broken() {
            let opened = self.span(open.at(), open.at() + 1);
            self.found(found.label(opened, "opened here").fix(span, wanted.to_string()));
        }
        self.break_current();
    }

    fn unopened(&mut self, at: usize, closer: u8) {
        let span = self.span(at, at + 1);
        let message = format!("this `{}` closes nothing", closer as char);
        self.found(
            Diagnostic::error(codes::UNOPENED, message, span, "no bracket is open here")
                .help("remove it")
                .fix(span, ""),
        );
        self.mask(at, at + 1);
    }

    /// Reads a text from after its opening quote, or goes on after an interpolation that `start` began.
    fn text_literal(&mut self, start: usize) {
        loop {
            match self.peek(0) {
                0 if self.at >= self.bytes.len() => return self.unterminated(start),
                b'\n' => return self.unterminated(start),
                b'\\' => self.at += 1 + usize::from(self.peek(1) != b'\n'),
                b'"' => {
                    self.at += 1;
                    break;
                }
                b'$' if self.peek(1) == b'{' => {
                    self.at += 2;
                    let opener = self.at - 1;
                    self.last_code = self.at;
                    return self.open(opener, b'}', true);
                }
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.bytes.len());
        self.last_code = self.at;
    }

    fn unterminated(&mut self, start: usize) {
        self.at = self.at.min(self.bytes.len());
        self.last_code = self.at;
        let span = self.span(start, self.at);
        if !self.current_broken() {
            let message = "this text has no closing quote";
            let found = Diagnostic::error(codes::UNTERMINATED_TEXT, message, span, "it must end on the same line");
            let end = start + self.text[start..self.at].trim_end().len();
            let found = found.help("add `\"`; a line break inside a text is written `\\n`");
            self.found(found.fix(self.span(end, end), "\""));
        }
        self.break_current();
    }

    fn finish(mut self) -> Scan {
        self.close_item(self.bytes.len());
        // Only whole tokens and whole comments were replaced, by one-byte characters.
        let masked = String::from_utf8(self.masked).unwrap_or_else(|_| self.text.to_string());
        Scan { slices: self.slices, masked, diagnostics: self.diagnostics }
    }
}

/// Whether a byte can stand inside a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

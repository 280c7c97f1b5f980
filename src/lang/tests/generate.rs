//! Random programs that parse: every item, every form of expression and type, with comments and ugly white space.

use crate::lang::tokens::tokens;

/// Decisions read from bytes, so that fewer and smaller bytes give simpler programs.
pub(super) struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Decides by these bytes; when they run out, the first of every choice is taken.
    pub fn new(bytes: &'a [u8]) -> Self {
        Choices { bytes }
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                usize::from(*first) % n
            }
            None => 0,
        }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn maybe(&mut self) -> bool {
        self.below(2) == 1
    }

    fn done(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The tokens of a program.
pub(super) fn program(choices: &mut Choices) -> Vec<String> {
    let mut program = Program { choices, tokens: Vec::new(), depth: 0 };
    while !program.choices.done() && program.tokens.len() < 3000 {
        program.item();
    }
    program.tokens
}

/// Writes tokens with any white space and any comments between them that leave them what they are.
pub(super) fn ugly(choices: &mut Choices, list: &[String]) -> String {
    let mut text = String::new();
    for token in list {
        let space = space(choices);
        let glued = format!("{}{token}", text.rsplit('\n').next().unwrap_or_default());
        let other = tokens(&glued).last().is_none_or(|last| last.text(&glued) != token);
        // The lexer would part `1e-3` and `_y`, the grammar does not.
        let words = text.ends_with(word) && token.starts_with(word);
        let apart = space.is_empty() && (other || words);
        text += if apart { " " } else { &space };
        text += token;
    }
    text + &space(choices)
}

fn word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn space(choices: &mut Choices) -> String {
    let mut space = String::new();
    loop {
        match choices.below(24) {
            0..=8 => return space,
            9..=14 => space += " ",
            15..=17 => space += "\n",
            18 => space += "\n\n\n",
            19 => space += "\t\r\n  ",
            20 => space += "\n        ",
            21 => space += "# note\n",
            22 => space += "  ## doc \"{ \t\n",
            _ => space += "\n#! E001 here  \r\n",
        }
        if choices.done() {
            return space;
        }
    }
}

struct Program<'c, 'a> {
    choices: &'c mut Choices<'a>,
    tokens: Vec<String>,
    depth: usize,
}

const NAMES: [&str; 8] = ["a", "base", "x1", "_y", "inn", "max_completion_length", "order", "lets"];
const ATOMS: [&str; 14] = [
    "x",
    "1",
    "64seqs",
    "\"text\"",
    "true",
    "none",
    "3%",
    "1e-3",
    "1_000",
    "0.5",
    "5MB/s",
    "std",
    "\"\"",
    "\"é \\\" ${1}\"",
];

impl Program<'_, '_> {
    fn put(&mut self, words: &str) {
        self.tokens.extend(words.split_whitespace().map(String::from));
    }

    fn name(&mut self) {
        let name = self.choices.one(&NAMES);
        self.put(name);
    }

    /// Between `from` and `from + 2` parts.
    fn some(&mut self, from: usize, mut part: impl FnMut(&mut Self)) {
        let count = from + self.choices.below(3);
        (0..count).for_each(|_| part(self));
    }

    /// Parts with commas between them, and sometimes one at the end.
    fn listed(&mut self, from: usize, mut part: impl FnMut(&mut Self)) {
        let count = from + self.choices.below(4);
        for number in 0..count {
            part(self);
            if number + 1 < count || self.choices.maybe() {
                self.put(",");
            }
        }
    }

    fn item(&mut self) {
        match self.choices.below(9) {
            0 => self.put("let"),
            1 => return self.import(),
            2 => return self.param_item(),
            3 => return self.recipe(),
            4 => return self.pipeline(),
            5 => return self.sweep(),
            other => return self.record_item(["suite", "compare", "profile"][other - 6]),
        }
        self.binding();
    }

    fn binding(&mut self) {
        self.name();
        if self.choices.maybe() {
            self.put(":");
            self.ty();
        }
        self.put("=");
        self.expr();
    }

    fn import(&mut self) {
        self.put("use");
        if self.choices.maybe() {
            self.put("\"file.srlm\"");
        } else {
            self.put("std . arith");
        }
        match self.choices.below(3) {
            0 => {}
            1 => {
                self.put("as");
                self.name();
            }
            _ => {
                self.put(". {");
                self.listed(1, Self::name);
                // At least one name, and commas between them, so that the list is one.
                self.put("}");
            }
        }
    }

    fn param(&mut self) {
        self.name();
        self.put(":");
        self.ty();
        if self.choices.maybe() {
            self.put("=");
            self.expr();
        }
    }

    fn param_item(&mut self) {
        self.put("param");
        self.param();
        if self.choices.maybe() {
            self.put("where");
            self.expr();
        }
    }

    fn params(&mut self) {
        self.put("(");
        self.listed(0, Self::param);
        self.put(")");
    }

    fn body(&mut self) {
        if self.choices.maybe() {
            self.put("=");
            return self.expr();
        }
        self.put("{");
        self.some(0, Self::binding);
        self.result();
    }

    fn result(&mut self) {
        self.put("return");
        self.expr();
        self.put("}");
    }

    fn recipe(&mut self) {
        self.put("recipe");
        self.name();
        self.params();
        if self.choices.maybe() {
            self.put("->");
            self.ty();
        }
        self.body();
    }

    fn pipeline(&mut self) {
        self.put("pipeline");
        self.name();
        if self.choices.maybe() {
            self.params();
        }
        self.body();
    }

    fn sweep(&mut self) {
        self.put("sweep");
        self.name();
        self.put("{");
        self.some(1, |this| {
            this.put("over");
            this.name();
            this.put("in");
            this.expr();
        });
        self.some(0, |this| {
            this.put("skip when");
            this.expr();
        });
        self.some(0, Self::binding);
        self.result();
    }

    fn record_item(&mut self, keyword: &str) {
        self.put(keyword);
        self.name();
        self.record();
    }

    fn ty(&mut self) {
        self.depth += 1;
        match if self.depth > 4 { 0 } else { self.choices.below(6) } {
            0 => self.put("Model"),
            1 => self.put("std . T ?"),
            2 => self.put("\"a\" | \"b\""),
            3 => {
                self.put("[");
                self.ty();
                self.put("]");
            }
            4 => {
                self.put("{");
                self.some(0, |this| {
                    this.name();
                    this.put(":");
                    this.ty();
                    this.comma();
                });
                self.put("}");
            }
            _ => {
                self.put("Model ->");
                self.ty();
            }
        }
        self.depth -= 1;
    }

    fn comma(&mut self) {
        if self.choices.maybe() {
            self.put(",");
        }
    }

    fn record(&mut self) {
        self.put("{");
        let count = self.choices.below(5);
        for _ in 0..count {
            if self.choices.below(5) == 4 {
                self.put("...");
                self.postfix();
            } else {
                if self.choices.below(6) == 5 {
                    self.put("\"key\"")
                } else {
                    self.name()
                }
                self.put(":");
                self.expr();
            }
            self.comma();
        }
        self.put("}");
    }

    fn expr(&mut self) {
        self.depth += 1;
        if self.depth > 5 || self.choices.below(8) != 7 {
            self.pipe();
        } else {
            for word in ["if", "then", "else"] {
                self.put(word);
                self.expr();
            }
        }
        self.depth -= 1;
    }

    fn pipe(&mut self) {
        self.operation(0);
    }

    /// The operators from the loosest on; each operand is one level tighter.
    fn operation(&mut self, level: usize) {
        let signs: &[&str] = match level {
            0 => &["|>"],
            1 => &[">>"],
            2 => &["or"],
            3 => &["and"],
            4 => &["==", "!=", "<", "<=", ">", ">=", "in"],
            5 => &[".."],
            6 => &["+", "-"],
            7 => &["*", "/", "mod"],
            _ => return self.unary(),
        };
        if level == 4 && self.choices.below(9) == 8 {
            self.put("not");
        }
        self.operation(level + 1);
        // A comparison and a range have two sides, the others may go on.
        let most = if level == 4 || level == 5 { 1 } else { 3 };
        let more = if self.choices.below(7) == 6 { 1 + self.choices.below(most) } else { 0 };
        for _ in 0..more {
            let sign = self.choices.one(signs);
            self.put(sign);
            self.operation(level + 1);
            if level == 5 && self.choices.maybe() {
                self.put("step");
                self.operation(level + 1);
            }
        }
    }

    fn unary(&mut self) {
        let signs = if self.choices.below(6) == 5 { 1 + self.choices.below(2) } else { 0 };
        (0..signs).for_each(|_| self.put("-"));
        self.postfix();
        if self.choices.below(8) == 7 {
            self.put("with");
            self.record();
        }
    }

    fn postfix(&mut self) {
        self.primary();
        while self.depth < 6 && self.choices.below(5) == 4 {
            self.depth += 1;
            match self.choices.below(3) {
                0 => {
                    self.put(".");
                    self.name();
                }
                1 => self.call(),
                _ => {
                    self.put("[");
                    self.expr();
                    self.put("]");
                }
            }
            self.depth -= 1;
        }
    }

    fn call(&mut self) {
        self.put("(");
        self.listed(0, |this| match this.choices.below(5) {
            0 | 1 => this.expr(),
            2 => {
                this.put("...");
                this.postfix();
            }
            _ => {
                this.name();
                this.put(":");
                this.expr();
            }
        });
        self.put(")");
    }

    fn primary(&mut self) {
        self.depth += 1;
        match if self.depth > 5 { 0 } else { self.choices.below(12) } {
            0..=5 => {
                let atom = self.choices.one(&ATOMS);
                self.tokens.push(atom.to_string());
            }
            6 => self.interpolation(),
            7 => {
                self.put("[");
                self.listed(0, Self::expr);
                self.put("]");
            }
            8 => self.comprehension(),
            9 => {
                self.put("(");
                self.expr();
                self.put(")");
            }
            10 => self.record(),
            _ => {
                self.put("sft");
                self.record();
            }
        }
        self.depth -= 1;
    }

    fn comprehension(&mut self) {
        self.put("[");
        self.expr();
        self.put("for");
        self.name();
        self.put("in");
        self.pipe();
        if self.choices.maybe() {
            self.put("if");
            self.pipe();
        }
        self.put("]");
    }

    /// A text with an expression in it, which is one token for the formatter.
    fn interpolation(&mut self) {
        let begin = self.tokens.len();
        self.expr();
        let inner = self.tokens.split_off(begin).join(self.choices.one(&[" ", "  ", "\n "]));
        let note = self.choices.one(&["", "# }\"\n"]);
        self.tokens.push(format!("\"a ${{{inner}{note}}} b\""));
    }
}

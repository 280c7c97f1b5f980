//! Values: operands, what follows them, and the operators between them.

use super::cursor::Cursor;
use crate::lang::ast::*;
use crate::lang::precedence::{self, Infix, Part};

impl Cursor<'_> {
    /// A value.
    pub fn expr(&mut self) -> Option<Expr> {
        if self.word() == "if" { self.if_expr() } else { self.chain() }
    }

    fn if_expr(&mut self) -> Option<Expr> {
        let start = self.take("if".len());
        let condition = self.expr()?;
        self.needs_word("then")?;
        let then = self.expr()?;
        self.needs_word("else")?;
        let otherwise = self.expr()?;
        let span = start.to(otherwise.span);
        Some(Expr { kind: ExprKind::If(Box::new([condition, then, otherwise])), span })
    }

    /// Operands and operators in a row.
    fn chain(&mut self) -> Option<Expr> {
        let mut parts = Vec::new();
        loop {
            self.prefixes(&mut parts);
            let value = self.operand()?;
            match (self.infix(), parts.is_empty()) {
                (None, true) => return Some(value),
                (None, false) => {
                    parts.push(Part::Operand(value));
                    return precedence::tree(parts).ok();
                }
                (Some(infix), _) => parts.extend([Part::Operand(value), infix]),
            }
        }
    }

    fn prefixes(&mut self, parts: &mut Vec<Part>) {
        loop {
            match self.peek(0) {
                b'-' => parts.push(Part::Minus(self.take(1))),
                b'n' if self.word() == "not" => parts.push(Part::Not(self.take(3))),
                _ => return,
            }
        }
    }

    /// The operator that stands here. `...` begins a field, `->` a type, and `step:` is a mistake.
    fn infix(&mut self) -> Option<Part> {
        let length = match (self.peek(0), self.peek(1)) {
            (b'|', b'>') | (b'>', b'>') | (b'=' | b'!' | b'<' | b'>', b'=') => 2,
            (b'.', b'.') if self.peek(2) != b'.' => 2,
            (b'-', b'>') => return None,
            (b'<' | b'>' | b'+' | b'-' | b'*' | b'/', _) => 1,
            (b'a' | b'o' | b'i' | b'm' | b's', _) => self.word().len(),
            _ => return None,
        };
        let infix = Infix::of(&self.code[self.at..self.at + length])?;
        if infix == Infix::Step && self.names_step() {
            return None;
        }
        Some(Part::Infix(infix, self.take(length)))
    }

    /// Whether the `step` here stands where a name would.
    fn names_step(&self) -> bool {
        let ahead = "step".len();
        matches!(self.peek(ahead + self.run(ahead, |byte| byte == b' ')), b':' | b'=')
    }

    /// A value with the calls, indices, members and changes that follow it.
    fn operand(&mut self) -> Option<Expr> {
        let value = self.postfix()?;
        let mut changes = Vec::new();
        while self.peek(0) == b'w' && self.has_word("with") {
            changes.push(self.record()?);
        }
        let Some(last) = changes.last() else {
            return Some(value);
        };
        let span = value.span.to(last.span);
        Some(Expr { kind: ExprKind::With(Box::new(value), changes), span })
    }

    fn postfix(&mut self) -> Option<Expr> {
        let value = self.primary()?;
        let (mut suffixes, mut span) = (Vec::new(), value.span);
        loop {
            let suffix = match self.peek(0) {
                b'(' => {
                    let open = self.take(1);
                    let (args, close) = self.listed(b')', Self::arg)?;
                    span = span.to(close);
                    Suffix::Call(args, open.to(close))
                }
                b'[' => {
                    self.take(1);
                    let index = self.expr()?;
                    span = span.to(self.closed(b']')?);
                    Suffix::Index(index)
                }
                b'.' if self.peek(1) != b'.' => {
                    self.take(1);
                    let name = self.ident()?;
                    span = span.to(name.span);
                    Suffix::Member(name)
                }
                _ => break,
            };
            suffixes.push(suffix);
        }
        if suffixes.is_empty() {
            return Some(value);
        }
        Some(Expr { kind: ExprKind::Postfix(Box::new(value), suffixes), span })
    }

    fn arg(&mut self) -> Option<Field> {
        match self.peek(0) {
            b'.' => self.spread(),
            _ if self.names_field() => self.named_field(),
            _ => Some(Field::Positional(self.expr()?)),
        }
    }

    /// Whether a word and a colon stand here.
    fn names_field(&mut self) -> bool {
        let (start, length) = (self.at, self.word().len());
        self.take(length);
        let named = length > 0 && self.peek(0) == b':';
        self.at = start;
        named
    }

    fn named_field(&mut self) -> Option<Field> {
        let name = self.ident()?;
        self.needs(b':')?;
        Some(Field::Named(name, self.expr()?))
    }

    fn spread(&mut self) -> Option<Field> {
        if !self.code[self.at..].starts_with("...") {
            return None;
        }
        self.take(3);
        Some(Field::Spread(self.postfix()?))
    }

    /// `{ … }`
    pub fn record(&mut self) -> Option<Record> {
        if self.peek(0) != b'{' {
            return None;
        }
        let open = self.take(1);
        let mut fields = Vec::new();
        while self.peek(0) != b'}' {
            fields.push(self.field()?);
            self.has(b',');
        }
        let span = open.to(self.take(1));
        Some(Record { fields, span })
    }

    fn field(&mut self) -> Option<Field> {
        match self.peek(0) {
            b'.' => self.spread(),
            b'"' => {
                let (text, span) = self.plain_text()?;
                self.needs(b':')?;
                Some(Field::Named(Ident { name: text.into(), span }, self.expr()?))
            }
            _ => self.named_field(),
        }
    }

    fn primary(&mut self) -> Option<Expr> {
        match self.peek(0) {
            b'0'..=b'9' => self.quantity(),
            b'"' => self.string(),
            b'[' => self.list(),
            b'{' => {
                let record = self.record()?;
                Some(Expr { span: record.span, kind: ExprKind::Record(record) })
            }
            b'(' => {
                self.take(1);
                let value = self.expr()?;
                self.needs(b')')?;
                Some(value)
            }
            _ => self.named(),
        }
    }

    /// A name, `kind { … }`, `true`, `false` or `none`.
    fn named(&mut self) -> Option<Expr> {
        let known = match self.word() {
            "true" => Some((ExprKind::Bool(true), 4)),
            "false" => Some((ExprKind::Bool(false), 5)),
            "none" => Some((ExprKind::None, 4)),
            _ => None,
        };
        if let Some((kind, length)) = known {
            return Some(Expr { kind, span: self.take(length) });
        }
        let name = self.ident()?;
        if self.peek(0) != b'{' {
            return Some(Expr { span: name.span, kind: ExprKind::Name(name.name) });
        }
        let record = self.record()?;
        let span = name.span.to(record.span);
        Some(Expr { kind: ExprKind::Construct(name, record), span })
    }

    /// `[a, b]`, or `[item for name in values if condition]`
    fn list(&mut self) -> Option<Expr> {
        let open = self.take(1);
        if self.peek(0) == b']' {
            let span = open.to(self.take(1));
            return Some(Expr { kind: ExprKind::List(Vec::new()), span });
        }
        let first = self.expr()?;
        if self.peek(0) == b'f' && self.has_word("for") {
            let kind = self.comprehension(first)?;
            let span = open.to(self.closed(b']')?);
            return Some(Expr { kind, span });
        }
        let mut items = vec![first];
        if self.has(b',') {
            let (rest, close) = self.listed(b']', Self::expr)?;
            items.extend(rest);
            return Some(Expr { kind: ExprKind::List(items), span: open.to(close) });
        }
        let span = open.to(self.closed(b']')?);
        Some(Expr { kind: ExprKind::List(items), span })
    }

    fn comprehension(&mut self, item: Expr) -> Option<ExprKind> {
        let name = self.ident()?;
        self.needs_word("in")?;
        let values = self.chain()?;
        let condition = if self.has_word("if") { Some(self.chain()?) } else { None };
        Some(ExprKind::Comprehension(Box::new(Comprehension { item, name, values, condition })))
    }
}

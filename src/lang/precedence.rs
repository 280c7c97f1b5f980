//! Which operator binds how tightly: a row of operands and operators becomes a tree.

use super::ast::{Arithmetic, Comparison, Expr, ExprKind};
use crate::base::source::Span;

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Infix {
    Pipe,
    Join,
    Or,
    And,
    Compare(Comparison),
    Range,
    Step,
    Arithmetic(Arithmetic),
}

impl Infix {
    /// The operator that is written like this.
    pub fn of(text: &str) -> Option<Infix> {
        Some(match text {
            "|>" => Infix::Pipe,
            ">>" => Infix::Join,
            "or" => Infix::Or,
            "and" => Infix::And,
            "==" => Infix::Compare(Comparison::Equal),
            "!=" => Infix::Compare(Comparison::NotEqual),
            "<=" => Infix::Compare(Comparison::LessEqual),
            ">=" => Infix::Compare(Comparison::GreaterEqual),
            "<" => Infix::Compare(Comparison::Less),
            ">" => Infix::Compare(Comparison::Greater),
            "in" => Infix::Compare(Comparison::In),
            ".." => Infix::Range,
            "step" => Infix::Step,
            "+" => Infix::Arithmetic(Arithmetic::Add),
            "-" => Infix::Arithmetic(Arithmetic::Subtract),
            "*" => Infix::Arithmetic(Arithmetic::Multiply),
            "/" => Infix::Arithmetic(Arithmetic::Divide),
            "mod" => Infix::Arithmetic(Arithmetic::Modulo),
            _ => return None,
        })
    }
}

/// A part of the row.
#[derive(Debug)]
pub(super) enum Part {
    Operand(Expr),
    /// `not`
    Not(Span),
    /// A sign before an operand.
    Minus(Span),
    Infix(Infix, Span),
}

/// An operator that cannot stand where it does.
#[derive(Debug, PartialEq)]
pub(super) struct Misplaced {
    /// Where it stands; the end of the row where an operand is missing.
    pub span: Option<Span>,
    /// What to write instead.
    pub help: &'static str,
}

/// The tree of a row. Its depth does not grow with the length of the row, so any length fits the stack.
pub(super) fn tree(parts: Vec<Part>) -> Result<Expr, Misplaced> {
    let mut row = Row { parts: parts.into_iter().peekable() };
    let tree = row.pipe()?;
    match row.parts.next() {
        None => Ok(tree),
        Some(part) => Err(misplaced(&part)),
    }
}

fn misplaced(part: &Part) -> Misplaced {
    let (span, help) = match part {
        Part::Infix(Infix::Compare(_), span) => (*span, "comparisons do not chain: join two of them with `and`"),
        Part::Infix(Infix::Range, span) => (*span, "a range has one start and one end: `1..9`"),
        Part::Infix(Infix::Step, span) => (*span, "`step` follows a range: `1..9 step 2`"),
        Part::Not(span) => (*span, "put `not` and its condition in parentheses"),
        Part::Infix(_, span) | Part::Minus(span) => (*span, "an operator stands between two values"),
        Part::Operand(value) => (value.span, "an operator stands between two values"),
    };
    Misplaced { span: Some(span), help }
}

type Tree = Result<Expr, Misplaced>;

struct Row {
    parts: std::iter::Peekable<std::vec::IntoIter<Part>>,
}

/// One method a level, the loosest first; each asks the next tighter one for its operands.
impl Row {
    fn pipe(&mut self) -> Tree {
        self.several(Infix::Pipe, Row::join, |head, rest| ExprKind::Pipe(Box::new(head), rest))
    }

    fn join(&mut self) -> Tree {
        self.several(Infix::Join, Row::or, |head, rest| ExprKind::Join(prepend(head, rest)))
    }

    fn or(&mut self) -> Tree {
        self.several(Infix::Or, Row::and, |head, rest| ExprKind::Or(prepend(head, rest)))
    }

    fn and(&mut self) -> Tree {
        self.several(Infix::And, Row::not, |head, rest| ExprKind::And(prepend(head, rest)))
    }

    fn not(&mut self) -> Tree {
        let (start, times) = self.prefixes(|part| if let Part::Not(span) = part { Some(*span) } else { None });
        Ok(repeat_unary(self.compare()?, start, times, ExprKind::Not))
    }

    fn compare(&mut self) -> Tree {
        let left = self.range()?;
        let compares = |infix| if let Infix::Compare(operator) = infix { Some(operator) } else { None };
        let Some(operator) = self.operator(compares) else {
            return Ok(left);
        };
        let right = self.range()?;
        let span = left.span.to(right.span);
        Ok(Expr { kind: ExprKind::Compare(Box::new(left), operator, Box::new(right)), span })
    }

    fn range(&mut self) -> Tree {
        let from = self.sum()?;
        if !self.takes(Infix::Range) {
            return Ok(from);
        }
        let to = self.sum()?;
        let step = if self.takes(Infix::Step) { Some(Box::new(self.sum()?)) } else { None };
        let span = from.span.to(step.as_ref().map_or(to.span, |step| step.span));
        Ok(Expr { kind: ExprKind::Range(Box::new(from), Box::new(to), step), span })
    }

    fn sum(&mut self) -> Tree {
        self.arithmetic(Row::product, |operator| matches!(operator, Arithmetic::Add | Arithmetic::Subtract))
    }

    fn product(&mut self) -> Tree {
        self.arithmetic(Row::sign, |operator| !matches!(operator, Arithmetic::Add | Arithmetic::Subtract))
    }

    fn sign(&mut self) -> Tree {
        let (start, times) = self.prefixes(|part| if let Part::Minus(span) = part { Some(*span) } else { None });
        match self.parts.next() {
            Some(Part::Operand(value)) => Ok(repeat_unary(value, start, times, ExprKind::Negate)),
            Some(part) => Err(misplaced(&part)),
            None => Err(Misplaced { span: None, help: "an operator stands between two values" }),
        }
    }

    /// `a op b op c`; a single operand is itself.
    fn several(
        &mut self,
        infix: Infix,
        operand: fn(&mut Self) -> Tree,
        build: impl Fn(Expr, Vec<Expr>) -> ExprKind,
    ) -> Tree {
        let head = operand(self)?;
        let mut rest = Vec::new();
        while self.takes(infix) {
            rest.push(operand(self)?);
        }
        let Some(last) = rest.last() else {
            return Ok(head);
        };
        let span = head.span.to(last.span);
        Ok(Expr { kind: build(head, rest), span })
    }

    fn arithmetic(&mut self, operand: fn(&mut Self) -> Tree, is_ours: fn(Arithmetic) -> bool) -> Tree {
        let head = operand(self)?;
        let mut rest = Vec::new();
        let ours = |infix| if let Infix::Arithmetic(operator) = infix { Some(operator) } else { None };
        while let Some(operator) = self.operator(|infix| ours(infix).filter(|&operator| is_ours(operator))) {
            rest.push((operator, operand(self)?));
        }
        let Some((_, last)) = rest.last() else {
            return Ok(head);
        };
        let span = head.span.to(last.span);
        Ok(Expr { kind: ExprKind::Arithmetic(Box::new(head), rest), span })
    }

    /// Takes the next operator, where it is one of those wanted.
    fn operator<T>(&mut self, wanted: impl Fn(Infix) -> Option<T>) -> Option<T> {
        let Some(Part::Infix(infix, _)) = self.parts.peek() else {
            return None;
        };
        let found = wanted(*infix)?;
        self.parts.next();
        Some(found)
    }

    fn takes(&mut self, infix: Infix) -> bool {
        self.operator(|other| (other == infix).then_some(())).is_some()
    }

    /// Takes operators that stand before an operand: where the first begins, and how many there are.
    fn prefixes(&mut self, is_prefix: fn(&Part) -> Option<Span>) -> (Option<Span>, usize) {
        let (mut start, mut times) = (None, 0);
        while let Some(span) = self.parts.peek().and_then(is_prefix) {
            start.get_or_insert(span);
            times += 1;
            self.parts.next();
        }
        (start, times)
    }
}

fn prepend(head: Expr, rest: Vec<Expr>) -> Vec<Expr> {
    std::iter::once(head).chain(rest).collect()
}

/// Applies a unary operator as often as it changes anything: twice is enough to keep the operand's type checked.
fn repeat_unary(value: Expr, start: Option<Span>, times: usize, build: fn(Box<Expr>) -> ExprKind) -> Expr {
    let times = if times > 2 { 2 - times % 2 } else { times };
    let span = start.map_or(value.span, |start| start.to(value.span));
    (0..times).fold(value, |value, _| Expr { kind: build(Box::new(value)), span })
}

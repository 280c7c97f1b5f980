//! What pest found, rebuilt as our tree with our own spans.

use super::ast::*;
use super::name::Name;
use super::precedence::{self, Infix, Misplaced, Part};
use super::rules::Rule;
use crate::base::source::{SourceId, Span};
use crate::diag::{Diagnostic, codes};
use pest::iterators::{Pair, Pairs};

/// The parts of a pair without the words that only separate them.
pub(super) fn kids(pair: Pair<'_, Rule>) -> impl Iterator<Item = Pair<'_, Rule>> {
    pair.into_inner().filter(|kid| !is_keyword(kid.as_rule()))
}

fn is_keyword(rule: Rule) -> bool {
    use Rule::*;
    matches!(rule, kw_use | kw_as | kw_param | kw_where | kw_let | kw_recipe | kw_suite | kw_pipeline | kw_sweep)
        || matches!(rule, kw_over | kw_skip | kw_when | kw_compare | kw_profile | kw_return | kw_if | kw_then | kw_else)
        || matches!(rule, kw_for | kw_in | kw_with | kw_not | EOI)
}

/// Rebuilds pairs as our tree. A `None` means that a diagnostic was pushed, or a shape the grammar rules out.
pub(super) struct Builder<'a> {
    pub source: SourceId,
    /// The text being parsed.
    pub code: &'a str,
    /// Where it begins in its source.
    pub base: usize,
    pub diagnostics: Vec<Diagnostic>,
}

impl Builder<'_> {
    /// Where a pair stands. One that ends in an optional part reaches over the blanks and comments before it: its place is
    /// put together from those of its parts.
    fn span(&self, pair: &Pair<Rule>) -> Span {
        let span = pair.as_span();
        Span::new(self.source, self.base + span.start(), self.base + span.end())
    }

    fn ident(&self, pair: &Pair<Rule>) -> Ident {
        Ident { name: Name::written(pair.as_str()), span: self.span(pair) }
    }

    /// An item.
    pub fn item(&mut self, pair: Pair<Rule>) -> Option<ItemKind> {
        let pair = kids(pair).next()?;
        let rule = pair.as_rule();
        let mut parts = kids(pair);
        match rule {
            Rule::use_item => self.use_item(parts).map(ItemKind::Use),
            Rule::param_item => self.param(parts).map(ItemKind::Param),
            Rule::let_item => self.binding(parts).map(ItemKind::Let),
            Rule::recipe_item => self.recipe(parts).map(ItemKind::Recipe),
            Rule::pipeline_item => self.recipe(parts).map(ItemKind::Pipeline),
            Rule::sweep_item => self.sweep(parts).map(ItemKind::Sweep),
            _ => {
                let name = self.ident(&parts.next()?);
                let record = self.record(parts.next()?)?;
                Some(match rule {
                    Rule::suite_item => ItemKind::Suite(name, record),
                    Rule::compare_item => ItemKind::Compare(name, record),
                    _ => ItemKind::Profile(name, record),
                })
            }
        }
    }

    fn use_item<'p>(&mut self, parts: impl Iterator<Item = Pair<'p, Rule>>) -> Option<Use> {
        let (mut path, mut names, mut alias) = (None, None, None);
        for part in parts {
            match part.as_rule() {
                Rule::path => path = Some(UsePath::Dotted(kids(part).map(|kid| self.ident(&kid)).collect())),
                Rule::string => path = Some(UsePath::File(self.plain_text(&part)?, self.span(&part))),
                Rule::import_list => names = Some(kids(part).map(|kid| self.ident(&kid)).collect()),
                _ => alias = Some(self.ident(&part)),
            }
        }
        Some(Use { path: path?, names, alias })
    }

    /// A text without interpolation.
    fn plain_text(&mut self, pair: &Pair<Rule>) -> Option<String> {
        let span = self.span(pair);
        match self.text(pair.clone())?.kind {
            ExprKind::Text(parts) => match parts.as_slice() {
                [] => Some(String::new()),
                [TextPart::Text(text)] => Some(text.clone()),
                _ => {
                    let message = "a computed text cannot stand here";
                    self.diagnostics.push(Diagnostic::error(codes::SYNTAX, message, span, "write the text out"));
                    None
                }
            },
            _ => None,
        }
    }

    fn param<'p>(&mut self, parts: impl Iterator<Item = Pair<'p, Rule>>) -> Option<Param> {
        let mut parts = parts;
        let name = self.ident(&parts.next()?);
        let ty = self.ty(parts.next()?)?;
        let (mut default, mut condition) = (None, None);
        for part in parts {
            match part.as_rule() {
                Rule::where_clause => condition = Some(self.expr(kids(part).next()?)?),
                _ => default = Some(self.expr(part)?),
            }
        }
        Some(Param { name, ty, default, condition })
    }

    fn binding<'p>(&mut self, parts: impl Iterator<Item = Pair<'p, Rule>>) -> Option<Binding> {
        let (mut name, mut ty, mut value) = (None, None, None);
        for part in parts {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::ty => ty = Some(self.ty(part)?),
                _ => value = Some(self.expr(part)?),
            }
        }
        Some(Binding { name: name?, ty, value: value? })
    }

    fn recipe<'p>(&mut self, parts: impl Iterator<Item = Pair<'p, Rule>>) -> Option<Recipe> {
        let (mut name, mut params, mut returns, mut body) = (None, Vec::new(), None, None);
        for part in parts {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::params => params = kids(part).map(|kid| self.param(kids(kid))).collect::<Option<_>>()?,
                Rule::ty => returns = Some(self.ty(part)?),
                Rule::block => body = Some(self.block(kids(part))?),
                _ => body = Some(Block { bindings: Vec::new(), result: self.expr(part)? }),
            }
        }
        Some(Recipe { name: name?, params, returns, body: body? })
    }

    fn block<'p>(&mut self, parts: impl Iterator<Item = Pair<'p, Rule>>) -> Option<Block> {
        let (mut bindings, mut result) = (Vec::new(), None);
        for part in parts {
            match part.as_rule() {
                Rule::binding => bindings.push(self.binding(kids(part))?),
                _ => result = Some(self.expr(kids(part).next()?)?),
            }
        }
        Some(Block { bindings, result: result? })
    }

    fn sweep<'p>(&mut self, parts: impl Iterator<Item = Pair<'p, Rule>>) -> Option<Sweep> {
        let (mut name, mut axes, mut skips) = (None, Vec::new(), Vec::new());
        let mut body = Vec::new();
        for part in parts {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::over => {
                    let mut kids = kids(part);
                    axes.push((self.ident(&kids.next()?), self.expr(kids.next()?)?));
                }
                Rule::skip => skips.push(self.expr(kids(part).next()?)?),
                _ => body.push(part),
            }
        }
        Some(Sweep { name: name?, axes, skips, body: self.block(body.into_iter())? })
    }

    fn ty(&mut self, pair: Pair<Rule>) -> Option<TypeExpr> {
        let mut parts = kids(pair);
        let mut ty = self.type_atom(parts.next()?)?;
        for part in parts {
            let (start, mark) = (ty.span, self.span(&part));
            let (kind, end) = match part.as_rule() {
                Rule::opt_mark => (TypeKind::Optional(Box::new(ty)), mark),
                _ => {
                    let result = self.ty(part)?;
                    let end = result.span;
                    (TypeKind::Function(Box::new(ty), Box::new(result)), end)
                }
            };
            ty = TypeExpr { kind, span: start.to(end) };
        }
        Some(ty)
    }

    fn type_atom(&mut self, pair: Pair<Rule>) -> Option<TypeExpr> {
        let span = self.span(&pair);
        let parts: Vec<_> = kids(pair).collect();
        let kind = match parts.first()?.as_rule() {
            Rule::ty => TypeKind::List(Box::new(self.ty(parts.into_iter().next()?)?)),
            Rule::string => return self.strings(&parts),
            Rule::record_type => TypeKind::Record(self.record_type(parts.into_iter().next()?)?),
            _ => return self.type_name(parts.into_iter().next()?),
        };
        Some(TypeExpr { kind, span })
    }

    fn strings(&mut self, parts: &[Pair<Rule>]) -> Option<TypeExpr> {
        let span = self.span(parts.first()?).to(self.span(parts.last()?));
        let texts = parts.iter().map(|part| self.plain_text(part)).collect::<Option<_>>()?;
        Some(TypeExpr { kind: TypeKind::Strings(texts), span })
    }

    fn type_name(&mut self, path: Pair<Rule>) -> Option<TypeExpr> {
        let parts: Vec<Ident> = kids(path).map(|kid| self.ident(&kid)).collect();
        let span = parts.first()?.span.to(parts.last()?.span);
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        Some(TypeExpr { kind: TypeKind::Name(names.join(".")), span })
    }

    fn record_type(&mut self, pair: Pair<Rule>) -> Option<Vec<(Ident, TypeExpr)>> {
        let mut fields = Vec::new();
        let mut parts = kids(pair);
        while let Some(name) = parts.next() {
            fields.push((self.ident(&name), self.ty(parts.next()?)?));
        }
        Some(fields)
    }

    /// A value.
    pub fn expr(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        match pair.as_rule() {
            Rule::expr | Rule::pipe | Rule::postfix => self.row(pair.into_inner()),
            _ => self.atom(pair),
        }
    }

    /// Operands and operators in a row.
    fn row(&mut self, mut pairs: Pairs<Rule>) -> Option<Expr> {
        let mut parts = Vec::new();
        while let Some(pair) = pairs.next() {
            parts.push(match pair.as_rule() {
                Rule::if_expr => return self.if_expr(pair),
                Rule::kw_not => Part::Not(self.span(&pair)),
                Rule::neg => Part::Minus(self.span(&pair)),
                Rule::infix => Part::Infix(Infix::of(pair.as_str())?, self.span(&pair)),
                _ => {
                    let value = self.operand(pair, &mut pairs)?;
                    if parts.is_empty() && pairs.peek().is_none() {
                        return Some(value);
                    }
                    Part::Operand(value)
                }
            });
        }
        precedence::tree(parts).map_err(|misplaced| self.misplaced(&misplaced)).ok()
    }

    fn misplaced(&mut self, misplaced: &Misplaced) {
        let Some(span) = misplaced.span else { return };
        let token = self.code.get(span.start as usize - self.base..span.end as usize - self.base).unwrap_or_default();
        let message = format!("`{token}` is not expected here");
        let found = Diagnostic::error(codes::SYNTAX, message, span, "this operator cannot stand here");
        self.diagnostics.push(found.help(misplaced.help));
    }

    /// A value with the calls, indices, members and changes that follow it.
    fn operand(&mut self, pair: Pair<Rule>, rest: &mut Pairs<Rule>) -> Option<Expr> {
        let mut value = self.expr(pair)?;
        let is_suffix = |pair: &Pair<Rule>| matches!(pair.as_rule(), Rule::call | Rule::index | Rule::member);
        let mut suffixes = Vec::new();
        let mut span = value.span;
        while let Some(part) = rest.peek().filter(is_suffix) {
            rest.next();
            span = span.to(self.span(&part));
            suffixes.push(self.suffix(part)?);
        }
        if !suffixes.is_empty() {
            value = Expr { kind: ExprKind::Postfix(Box::new(value), suffixes), span };
        }
        let mut changes = Vec::new();
        while rest.peek().is_some_and(|part| part.as_rule() == Rule::kw_with) {
            rest.next();
            changes.push(self.record(rest.next()?)?);
        }
        let Some(last) = changes.last() else {
            return Some(value);
        };
        let span = value.span.to(last.span);
        Some(Expr { kind: ExprKind::With(Box::new(value), changes), span })
    }

    fn if_expr(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let start = self.span(&pair);
        let mut parts = kids(pair);
        let condition = self.expr(parts.next()?)?;
        let then = self.expr(parts.next()?)?;
        let otherwise = self.expr(parts.next()?)?;
        let span = Span { end: otherwise.span.end, ..start };
        Some(Expr { kind: ExprKind::If(Box::new([condition, then, otherwise])), span })
    }

    fn suffix(&mut self, pair: Pair<Rule>) -> Option<Suffix> {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let mut parts = kids(pair);
        match rule {
            Rule::index => Some(Suffix::Index(self.expr(parts.next()?)?)),
            Rule::member => Some(Suffix::Member(self.ident(&parts.next()?))),
            _ => Some(Suffix::Call(parts.map(|part| self.field(part)).collect::<Option<_>>()?, span)),
        }
    }

    /// A field of a record or an argument of a call.
    fn field(&mut self, pair: Pair<Rule>) -> Option<Field> {
        let mut parts = kids(pair);
        let first = parts.next()?;
        match (first.as_rule(), parts.next()) {
            (Rule::spread, _) => Some(Field::Spread(self.expr(kids(first).next()?)?)),
            (Rule::string, Some(value)) => {
                let name = Ident { name: self.plain_text(&first)?.into(), span: self.span(&first) };
                Some(Field::Named(name, self.expr(value)?))
            }
            (_, Some(value)) => Some(Field::Named(self.ident(&first), self.expr(value)?)),
            (_, None) => Some(Field::Positional(self.expr(first)?)),
        }
    }

    fn record(&mut self, pair: Pair<Rule>) -> Option<Record> {
        let span = self.span(&pair);
        Some(Record { fields: kids(pair).map(|part| self.field(part)).collect::<Option<_>>()?, span })
    }

    fn atom(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::named => return self.named(pair),
            Rule::bool => ExprKind::Bool(pair.as_str() == "true"),
            Rule::none => ExprKind::None,
            Rule::quantity => self.quantity(pair)?,
            Rule::string => return self.text(pair),
            Rule::record => ExprKind::Record(self.record(pair)?),
            Rule::list => self.list(pair)?,
            _ => return None,
        };
        Some(Expr { kind, span })
    }

    /// A name, or `kind { … }`.
    fn named(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let mut parts = pair.into_inner();
        let name = self.ident(&parts.next()?);
        let Some(record) = parts.next() else {
            return Some(Expr { span: name.span, kind: ExprKind::Name(name.name) });
        };
        let record = self.record(record)?;
        let span = name.span.to(record.span);
        Some(Expr { kind: ExprKind::Construct(name, record), span })
    }

    fn number(&mut self, text: &str, span: Span) -> Option<ExprKind> {
        let parsed = number(text);
        if parsed.is_none() {
            let message = "this number is too large";
            self.diagnostics.push(Diagnostic::error(codes::NUMBER_TOO_LARGE, message, span, "does not fit in 64 bits"));
        }
        parsed
    }

    /// A number, with its unit where it has one.
    fn quantity(&mut self, pair: Pair<Rule>) -> Option<ExprKind> {
        let mut parts = pair.into_inner();
        let number = parts.next()?;
        let span = self.span(&number);
        let number = self.number(number.as_str(), span)?;
        let amount = match (&number, parts.next()) {
            (ExprKind::Int(value), Some(unit)) => (*value as f64, unit),
            (ExprKind::Float(value), Some(unit)) => (*value, unit),
            _ => return Some(number),
        };
        Some(ExprKind::Quantity(amount.0, self.ident(&amount.1)))
    }

    fn text(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let span = self.span(&pair);
        let mut parts: Vec<TextPart> = Vec::new();
        for part in pair.into_inner() {
            let piece = match part.as_rule() {
                Rule::interp => {
                    parts.push(TextPart::Value(self.expr(kids(part).next()?)?));
                    continue;
                }
                Rule::esc => unescape(part.as_str()),
                _ => part.as_str(),
            };
            match parts.last_mut() {
                Some(TextPart::Text(text)) => text.push_str(piece),
                _ => parts.push(TextPart::Text(piece.to_string())),
            }
        }
        Some(Expr { kind: ExprKind::Text(parts), span })
    }

    fn list(&mut self, pair: Pair<Rule>) -> Option<ExprKind> {
        let mut items = Vec::new();
        for part in kids(pair) {
            if part.as_rule() == Rule::comp {
                return self.comprehension(items.pop()?, part);
            }
            items.push(self.expr(part)?);
        }
        Some(ExprKind::List(items))
    }

    fn comprehension(&mut self, item: Expr, pair: Pair<Rule>) -> Option<ExprKind> {
        let mut parts = kids(pair);
        let name = self.ident(&parts.next()?);
        let values = self.expr(parts.next()?)?;
        let condition = match parts.next() {
            Some(condition) => Some(self.expr(condition)?),
            None => None,
        };
        Some(ExprKind::Comprehension(Box::new(Comprehension { item, name, values, condition })))
    }
}

/// The number that is written like this; `None` where it is too large.
pub(super) fn number(text: &str) -> Option<ExprKind> {
    let digits = text.replace('_', "");
    if digits.contains(['.', 'e']) {
        digits.parse().ok().filter(|value: &f64| value.is_finite()).map(ExprKind::Float)
    } else {
        digits.parse().ok().map(ExprKind::Int)
    }
}

fn unescape(escape: &str) -> &str {
    match escape {
        "\\n" => "\n",
        "\\t" => "\t",
        "\\\"" => "\"",
        "\\$" => "$",
        _ => "\\",
    }
}

//! Text to tree: each item that the scanner cut is parsed by pest and rebuilt with our own spans.

use super::ast::*;
use super::rules::{self, Grammar, Rule};
use super::{mistakes, scan};
use crate::base::source::{SourceId, Span};
use crate::diag::{Diagnostic, codes};
use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair;

/// The longest item, in bytes, that is parsed again to find out what was missing.
const MAX_PROBED: usize = 20_000;

/// Parses a file: the items that are well formed, and what is wrong with the others.
pub(super) fn parse_file(source: SourceId, text: &str) -> (File, Vec<Diagnostic>) {
    let scan = scan::scan(source, text);
    let mut file = File::default();
    let mut diagnostics = scan.diagnostics;
    for slice in scan.slices {
        let code = &scan.masked[slice.start..slice.end];
        if slice.broken {
            file.broken.extend(second_word(code));
            continue;
        }
        let mut builder = Builder { source, base: slice.start, diagnostics: Vec::new() };
        match Grammar::parse(Rule::item_only, code) {
            Ok(mut pairs) => {
                let span = Span::new(source, slice.start, slice.end);
                let item = pairs.next().and_then(|pair| kids(pair).next()).and_then(|pair| builder.item(pair));
                file.items.extend(item.map(|kind| Item { doc: slice.doc, span, kind }));
            }
            Err(error) => {
                file.broken.extend(second_word(code));
                diagnostics.push(syntax_error(source, slice.start, Rule::item_only, code, &error));
            }
        }
        diagnostics.append(&mut builder.diagnostics);
    }
    (file, diagnostics)
}

/// Parses one expression: the value of `-p name=expr`, which starts at byte `base` of its source.
pub(super) fn parse_expr(source: SourceId, text: &str, base: usize) -> Result<Expr, Vec<Diagnostic>> {
    let code = text.get(base..).unwrap_or_default();
    // The scanner checks brackets and depth of items; a made-up item lends that to a bare expression.
    let scan = scan::scan(source, &format!("let {text}"));
    if scan.slices.iter().any(|slice| slice.broken) {
        let span = Span::new(source, base, text.len());
        return Err(vec![Diagnostic::error(
            codes::SYNTAX,
            "this is not a value",
            span,
            "brackets or quotes do not match",
        )]);
    }
    let mut builder = Builder { source, base, diagnostics: Vec::new() };
    let parsed = Grammar::parse(Rule::expr_only, code)
        .map_err(|error| vec![syntax_error(source, base, Rule::expr_only, code, &error)])?;
    let expr = parsed.flatten().find(|pair| pair.as_rule() == Rule::expr).and_then(|pair| builder.expr(pair));
    match expr {
        Some(expr) if builder.diagnostics.is_empty() => Ok(expr),
        _ => Err(builder.diagnostics),
    }
}

fn second_word(code: &str) -> Option<String> {
    let after = code.split_once(char::is_whitespace)?.1.trim_start();
    let length = after.bytes().take_while(|&byte| scan::is_word(byte)).count();
    (length > 0).then(|| after[..length].to_string())
}

fn syntax_error(source: SourceId, base: usize, rule: Rule, code: &str, error: &pest::error::Error<Rule>) -> Diagnostic {
    let at = position(error);
    if let Some(found) = mistakes::explain(source, base, code, at) {
        return found;
    }
    if let Some(found) = missing_comma(source, base, rule, code, at) {
        return found;
    }
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => {
            expected_names(positives).or_else(|| signs_that_fit(rule, code, at))
        }
        ErrorVariant::CustomError { message } => Some(message.clone()),
    };
    let expected = expected.unwrap_or_else(|| "something else".to_string());
    let (message, end) = match code[at..].chars().next() {
        Some(_) => {
            (format!("`{}` is not expected here", mistakes::token(code, at)), at + mistakes::token(code, at).len())
        }
        None => (format!("{} ends too early", if rule == Rule::item_only { "the item" } else { "the value" }), at),
    };
    // An empty place at the end of a text has no picture: its last character stands for it.
    let start = if end == at { code[..at].char_indices().next_back().map_or(at, |(last, _)| last) } else { at };
    Diagnostic::error(
        codes::SYNTAX,
        message,
        Span::new(source, base + start, base + end),
        format!("expected {expected}"),
    )
}

/// Two arguments or two items of a list without a comma between them: with one, the parser goes on.
fn missing_comma(source: SourceId, base: usize, rule: Rule, code: &str, at: usize) -> Option<Diagnostic> {
    let begins = |next: char| next.is_ascii_alphanumeric() || matches!(next, '"' | '[' | '{' | '(' | '_');
    if code.len() > MAX_PROBED || !code[at..].starts_with(begins) {
        return None;
    }
    let end = code[..at].trim_end().len();
    match Grammar::parse(rule, &format!("{},{}", &code[..end], &code[end..])) {
        Err(error) if position(&error) <= at + 1 => return None,
        _ => {}
    }
    let before = code[..end].char_indices().next_back().map_or(end, |(last, _)| last);
    let place = Span::new(source, base + before, base + end);
    let next = Span::new(source, base + at, base + at + mistakes::token(code, at).len());
    let found = Diagnostic::error(codes::MISSING_COMMA, "a comma is missing", place, "a comma belongs behind this");
    let found = found.label(next, "before this").help("arguments and items of lists are separated by commas");
    Some(found.fix(Span::new(source, base + end, base + end), ","))
}

/// The signs that would let the parser go on at byte `at`: pest names rules, but no signs, among what it expected.
fn signs_that_fit(rule: Rule, code: &str, at: usize) -> Option<String> {
    const SIGNS: &[(&str, &str)] = &[
        (":", "`:`"),
        ("=", "`=`"),
        ("(", "`(`"),
        ("{", "`{`"),
        (",", "`,`"),
        (")", "`)`"),
        ("]", "`]`"),
        ("}", "`}`"),
    ];
    // Each sign is one more parse, which only a short item is worth.
    if code.len() > MAX_PROBED {
        return None;
    }
    let fits = |sign: &str| match Grammar::parse(rule, &format!("{} {sign} {}", &code[..at], &code[at..])) {
        Ok(_) => true,
        Err(error) => position(&error) > at + sign.len(),
    };
    listed(SIGNS.iter().filter(|(sign, _)| fits(sign)).map(|&(_, name)| name).collect())
}

fn position(error: &pest::error::Error<Rule>) -> usize {
    match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    }
}

fn expected_names(rules: &[Rule]) -> Option<String> {
    let mut names: Vec<&str> = rules.iter().filter_map(|&rule| rules::name(rule)).collect();
    // Behind a value everything that continues one could stand: its own words say no more than "an operator".
    const OPERATORS: [&str; 7] = ["`and`", "`or`", "`in`", "`mod`", "`with`", "`step`", "an argument list"];
    if names.contains(&"an operator") {
        names.retain(|name| !OPERATORS.contains(name));
    }
    names.sort_unstable();
    names.dedup();
    listed(names)
}

/// `a, b or c`
fn listed(names: Vec<&str>) -> Option<String> {
    Some(match names.split_last()? {
        (last, []) => (*last).to_string(),
        (last, others) => format!("{} or {last}", others.join(", ")),
    })
}

/// The parts of a pair, comments left out: pest keeps them wherever they stand.
fn kids(pair: Pair<'_, Rule>) -> impl Iterator<Item = Pair<'_, Rule>> {
    pair.into_inner().filter(|kid| !matches!(kid.as_rule(), Rule::COMMENT | Rule::EOI) && !is_keyword(kid.as_rule()))
}

fn is_keyword(rule: Rule) -> bool {
    use Rule::*;
    matches!(rule, kw_use | kw_as | kw_param | kw_where | kw_let | kw_recipe | kw_suite | kw_pipeline | kw_sweep)
        || matches!(rule, kw_over | kw_skip | kw_when | kw_compare | kw_profile | kw_return | kw_if | kw_then | kw_else)
        || matches!(rule, kw_for | kw_with | kw_and | kw_or | kw_step)
        // Inside `cmp_op` and before a comprehension's values it only separates.
        || rule == kw_in
}

/// Rebuilds pairs as our tree. A `None` means that a diagnostic was pushed, or a shape the grammar rules out.
struct Builder {
    source: SourceId,
    base: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Builder {
    fn span(&self, pair: &Pair<Rule>) -> Span {
        let span = pair.as_span();
        // A pair that ends in an optional part may reach over the blanks and comments before it.
        let end = span.start() + pair.as_str().trim_end().len();
        Span::new(self.source, self.base + span.start(), self.base + end)
    }

    fn ident(&self, pair: &Pair<Rule>) -> Ident {
        Ident { name: pair.as_str().to_string(), span: self.span(pair) }
    }

    fn item(&mut self, pair: Pair<Rule>) -> Option<ItemKind> {
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
        let span = self.span(&pair);
        let mut parts = kids(pair);
        let mut ty = self.type_atom(parts.next()?)?;
        for part in parts {
            let kind = match part.as_rule() {
                Rule::opt_mark => TypeKind::Optional(Box::new(ty)),
                _ => TypeKind::Function(Box::new(ty), Box::new(self.ty(part)?)),
            };
            ty = TypeExpr { kind, span };
        }
        Some(ty)
    }

    fn type_atom(&mut self, pair: Pair<Rule>) -> Option<TypeExpr> {
        let span = self.span(&pair);
        let parts: Vec<_> = kids(pair).collect();
        let kind = match parts.first()?.as_rule() {
            Rule::ty => TypeKind::List(Box::new(self.ty(parts.into_iter().next()?)?)),
            Rule::string => TypeKind::Strings(parts.iter().map(|part| self.plain_text(part)).collect::<Option<_>>()?),
            Rule::record_type => TypeKind::Record(self.record_type(parts.into_iter().next()?)?),
            _ => return self.type_name(parts.into_iter().next()?),
        };
        Some(TypeExpr { kind, span })
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

    fn expr(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let rule = pair.as_rule();
        match rule {
            Rule::expr | Rule::primary => self.expr(kids(pair).next()?),
            Rule::if_expr => self.if_expr(pair),
            Rule::pipe => self.chain(pair, |head, rest| ExprKind::Pipe(Box::new(head), rest)),
            Rule::compose => self.chain(pair, |head, rest| ExprKind::Join(prepend(head, rest))),
            Rule::or_e => self.chain(pair, |head, rest| ExprKind::Or(prepend(head, rest))),
            Rule::and_e => self.chain(pair, |head, rest| ExprKind::And(prepend(head, rest))),
            Rule::not_e => self.not(pair),
            Rule::cmp => self.compare(pair),
            Rule::range => self.range(pair),
            Rule::sum | Rule::product => self.arithmetic(pair),
            Rule::unary => self.negate(pair),
            Rule::with_e => self.with(pair),
            Rule::postfix => self.postfix(pair),
            _ => self.atom(pair),
        }
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

    /// `a op b op c`; a single operand is itself.
    fn chain(&mut self, pair: Pair<Rule>, build: impl Fn(Expr, Vec<Expr>) -> ExprKind) -> Option<Expr> {
        let mut parts = kids(pair);
        let head = self.expr(parts.next()?)?;
        let rest = parts.map(|part| self.expr(part)).collect::<Option<Vec<_>>>()?;
        let Some(last) = rest.last() else {
            return Some(head);
        };
        let span = head.span.to(last.span);
        Some(Expr { kind: build(head, rest), span })
    }

    fn not(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let start = self.span(&pair);
        let (nots, mut value): (Vec<_>, Vec<_>) = kids(pair).partition(|kid| kid.as_rule() == Rule::kw_not);
        let value = self.expr(value.pop()?)?;
        Some(repeat_unary(value, start, nots.len(), ExprKind::Not))
    }

    fn negate(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let start = self.span(&pair);
        let (signs, mut value): (Vec<_>, Vec<_>) = kids(pair).partition(|kid| kid.as_rule() == Rule::neg);
        let value = self.expr(value.pop()?)?;
        Some(repeat_unary(value, start, signs.len(), ExprKind::Negate))
    }

    fn compare(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let mut parts = kids(pair);
        let left = self.expr(parts.next()?)?;
        let Some(operator) = parts.next() else {
            return Some(left);
        };
        let operator = comparison(operator.as_str().trim_end());
        let right = self.expr(parts.next()?)?;
        let span = left.span.to(right.span);
        Some(Expr { kind: ExprKind::Compare(Box::new(left), operator, Box::new(right)), span })
    }

    fn range(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let mut parts = kids(pair);
        let from = self.expr(parts.next()?)?;
        let Some(to) = parts.next() else {
            return Some(from);
        };
        let to = self.expr(to)?;
        let step = match parts.next() {
            Some(step) => Some(Box::new(self.expr(step)?)),
            None => None,
        };
        let span = from.span.to(step.as_ref().map_or(to.span, |step| step.span));
        Some(Expr { kind: ExprKind::Range(Box::new(from), Box::new(to), step), span })
    }

    fn arithmetic(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let mut parts = kids(pair);
        let head = self.expr(parts.next()?)?;
        let mut rest = Vec::new();
        while let Some(operator) = parts.next() {
            rest.push((arithmetic(operator.as_str().trim_end()), self.expr(parts.next()?)?));
        }
        let Some((_, last)) = rest.last() else {
            return Some(head);
        };
        let span = head.span.to(last.span);
        Some(Expr { kind: ExprKind::Arithmetic(Box::new(head), rest), span })
    }

    fn with(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let mut parts = kids(pair);
        let value = self.expr(parts.next()?)?;
        let changes = parts.map(|part| self.record(part)).collect::<Option<Vec<_>>>()?;
        let Some(last) = changes.last() else {
            return Some(value);
        };
        let span = value.span.to(last.span);
        Some(Expr { kind: ExprKind::With(Box::new(value), changes), span })
    }

    fn postfix(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let mut parts = kids(pair);
        let value = self.expr(parts.next()?)?;
        let mut span = value.span;
        let mut suffixes = Vec::new();
        for part in parts {
            span = span.to(self.span(&part));
            suffixes.push(self.suffix(part)?);
        }
        if suffixes.is_empty() {
            return Some(value);
        }
        Some(Expr { kind: ExprKind::Postfix(Box::new(value), suffixes), span })
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
                let name = Ident { name: self.plain_text(&first)?, span: self.span(&first) };
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
            Rule::bool => ExprKind::Bool(pair.as_str() == "true"),
            Rule::none => ExprKind::None,
            Rule::number => self.number(pair.as_str(), span)?,
            Rule::quantity => self.quantity(pair)?,
            Rule::string => return self.text(pair),
            Rule::ident => ExprKind::Name(pair.as_str().to_string()),
            Rule::record => ExprKind::Record(self.record(pair)?),
            Rule::list => self.list(pair)?,
            Rule::construct => {
                let mut parts = kids(pair);
                ExprKind::Construct(self.ident(&parts.next()?), self.record(parts.next()?)?)
            }
            _ => return None,
        };
        Some(Expr { kind, span })
    }

    fn number(&mut self, text: &str, span: Span) -> Option<ExprKind> {
        let digits = text.replace('_', "");
        let parsed = if digits.contains(['.', 'e']) {
            digits.parse().ok().filter(|value: &f64| value.is_finite()).map(ExprKind::Float)
        } else {
            digits.parse().ok().map(ExprKind::Int)
        };
        if parsed.is_none() {
            let message = "this number is too large";
            self.diagnostics.push(Diagnostic::error(codes::NUMBER_TOO_LARGE, message, span, "does not fit in 64 bits"));
        }
        parsed
    }

    fn quantity(&mut self, pair: Pair<Rule>) -> Option<ExprKind> {
        let mut parts = kids(pair);
        let amount = parts.next()?;
        let span = self.span(&amount);
        let amount = match self.number(amount.as_str(), span)? {
            ExprKind::Int(value) => value as f64,
            ExprKind::Float(value) => value,
            _ => return None,
        };
        Some(ExprKind::Quantity(amount, self.ident(&parts.next()?)))
    }

    fn text(&mut self, pair: Pair<Rule>) -> Option<Expr> {
        let span = self.span(&pair);
        let mut parts: Vec<TextPart> = Vec::new();
        for part in kids(pair) {
            let inner = kids(part).next()?;
            let piece = match inner.as_rule() {
                Rule::interp => {
                    parts.push(TextPart::Value(self.expr(kids(inner).next()?)?));
                    continue;
                }
                Rule::esc => unescape(inner.as_str()),
                _ => inner.as_str(),
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

fn prepend(head: Expr, rest: Vec<Expr>) -> Vec<Expr> {
    std::iter::once(head).chain(rest).collect()
}

/// Applies a unary operator as often as it changes anything: twice is enough to keep the operand's type checked.
fn repeat_unary(value: Expr, start: Span, times: usize, build: fn(Box<Expr>) -> ExprKind) -> Expr {
    let times = if times > 2 { 2 - times % 2 } else { times };
    let span = Span { start: start.start.min(value.span.start), ..value.span };
    (0..times).fold(value, |value, _| Expr { kind: build(Box::new(value)), span })
}

fn comparison(symbol: &str) -> Comparison {
    match symbol {
        "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "<=" => Comparison::LessEqual,
        ">=" => Comparison::GreaterEqual,
        "<" => Comparison::Less,
        ">" => Comparison::Greater,
        _ => Comparison::In,
    }
}

fn arithmetic(symbol: &str) -> Arithmetic {
    match symbol {
        "+" => Arithmetic::Add,
        "-" => Arithmetic::Subtract,
        "*" => Arithmetic::Multiply,
        "/" => Arithmetic::Divide,
        _ => Arithmetic::Modulo,
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

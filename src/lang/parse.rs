//! Text to tree: each item that the scanner cut is parsed by pest and rebuilt with our own spans.

use super::ast::*;
use super::precedence::{Infix, Misplaced, Part};
use super::rules::{self, Grammar, Rule};
use super::scan::Slice;
use super::{mistakes, precedence, scan};
use crate::base::source::{SourceId, Span};
use crate::diag::{Diagnostic, codes};
use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::{Pair, Pairs};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Items that one thread parses at a time.
const SHARE: usize = 256;
/// Items after which threads meet, to see whether so much is wrong that the rest need not be parsed.
const ROUND: usize = 16 * SHARE;
/// Parsing recurses with the nesting of an item, which is bounded, but not by a thread's usual stack.
const STACK_BYTES: usize = 64 << 20;

/// Parses a file: the items that are well formed, and what is wrong with the others. Items are parsed apart, by several
/// threads where there are many; neither the tree nor what is found depends on how many threads there are.
pub(super) fn parse_file(source: SourceId, text: &str) -> (File, Vec<Diagnostic>) {
    let scan = scan::scan(source, text);
    let mut done = Parsed { file: File::default(), diagnostics: scan.diagnostics };
    for round in scan.slices.chunks(ROUND) {
        // Who has so many broken items is helped by the first of them.
        if done.diagnostics.len() > scan::MAX_FOUND {
            done.file.broken.extend(round.iter().filter_map(|slice| second_word(slice.code(&scan.masked))));
            continue;
        }
        for share in parse_round(source, &scan.masked, round) {
            done.file.items.extend(share.file.items);
            done.file.broken.extend(share.file.broken);
            done.diagnostics.extend(share.diagnostics);
        }
    }
    (done.file, done.diagnostics)
}

/// Some items of a file, and what is wrong with others.
#[derive(Default)]
struct Parsed {
    file: File,
    diagnostics: Vec<Diagnostic>,
}

/// Parses the shares of a round side by side, and returns them in their order.
fn parse_round(source: SourceId, text: &str, round: &[Slice]) -> Vec<Parsed> {
    let shares: Vec<&[Slice]> = round.chunks(SHARE).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(shares.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let taken = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let taken = taken.map_while(|at| Some((at, parse_share(source, text, shares.get(at)?))));
        taken.collect::<Vec<_>>()
    };
    let mut parsed = std::thread::scope(|scope| {
        let spawn = || std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).ok();
        // Where no thread is to be had, this one does all of it.
        let helpers: Vec<_> = (1..threads).filter_map(|_| spawn()).collect();
        let own = work();
        let theirs = helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        theirs.chain([own]).flatten().collect::<Vec<_>>()
    });
    parsed.sort_by_key(|&(at, _)| at);
    parsed.into_iter().map(|(_, share)| share).collect()
}

fn parse_share(source: SourceId, text: &str, share: &[Slice]) -> Parsed {
    let mut done = Parsed::default();
    share.iter().for_each(|slice| parse_item(source, slice, slice.code(text), &mut done));
    done
}

fn parse_item(source: SourceId, slice: &Slice, code: &str, done: &mut Parsed) {
    let mut builder = Builder { source, code, base: slice.start, diagnostics: Vec::new() };
    let parsed = match slice.broken {
        true => Ok(None),
        false => Grammar::parse(Rule::item_only, code).map(Some),
    };
    let item = match parsed {
        Ok(pairs) => pairs
            .and_then(|mut pairs| pairs.next())
            .and_then(|pair| kids(pair).next())
            .and_then(|pair| builder.item(pair)),
        Err(error) => {
            builder.diagnostics.push(syntax_error(source, slice.start, Rule::item_only, code, &error));
            None
        }
    };
    match item {
        Some(kind) => {
            let span = Span::new(source, slice.start, slice.end);
            done.file.items.push(Item { doc: slice.doc.clone(), span, kind });
        }
        None => done.file.broken.extend(second_word(code)),
    }
    done.diagnostics.append(&mut builder.diagnostics);
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
    let mut builder = Builder { source, code, base, diagnostics: Vec::new() };
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
        ErrorVariant::ParsingError { positives, .. } => expected_names(positives),
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

/// The longest item, in bytes, that is parsed again to see whether a comma was all that it lacked.
const MAX_PROBED: usize = 20_000;

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

fn position(error: &pest::error::Error<Rule>) -> usize {
    match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    }
}

fn expected_names(rules: &[Rule]) -> Option<String> {
    // Whatever a value may start with is "a value", where all of it may stand.
    const STARTS: [Rule; 3] = [Rule::list, Rule::string, Rule::bool];
    let any_value = STARTS.iter().all(|start| rules.contains(start));
    let named = |&rule: &Rule| if any_value && starts_value(rule) { Some("a value") } else { rules::name(rule) };
    let mut names: Vec<&str> = rules.iter().filter_map(named).collect();
    // Behind a value everything that continues one could stand: its own words say no more than "an operator".
    const OPERATORS: [&str; 7] = ["`and`", "`or`", "`in`", "`mod`", "`with`", "`step`", "an argument list"];
    if names.contains(&"an operator") {
        names.retain(|name| !OPERATORS.contains(name));
    }
    names.sort_unstable();
    names.dedup();
    listed(names)
}

fn starts_value(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        named | quantity | number | string | list | record | bool | none | neg | kw_not | ident | if_expr | kw_if
    )
}

/// `a, b or c`
fn listed(names: Vec<&str>) -> Option<String> {
    Some(match names.split_last()? {
        (last, []) => (*last).to_string(),
        (last, others) => format!("{} or {last}", others.join(", ")),
    })
}

/// The parts of a pair without the words that only separate them.
fn kids(pair: Pair<'_, Rule>) -> impl Iterator<Item = Pair<'_, Rule>> {
    pair.into_inner().filter(|kid| !is_keyword(kid.as_rule()))
}

fn is_keyword(rule: Rule) -> bool {
    use Rule::*;
    matches!(rule, kw_use | kw_as | kw_param | kw_where | kw_let | kw_recipe | kw_suite | kw_pipeline | kw_sweep)
        || matches!(rule, kw_over | kw_skip | kw_when | kw_compare | kw_profile | kw_return | kw_if | kw_then | kw_else)
        || matches!(rule, kw_for | kw_in | kw_with | kw_not | EOI)
}

/// Rebuilds pairs as our tree. A `None` means that a diagnostic was pushed, or a shape the grammar rules out.
struct Builder<'a> {
    source: SourceId,
    /// The text being parsed.
    code: &'a str,
    /// Where it begins in its source.
    base: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Builder<'_> {
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

fn unescape(escape: &str) -> &str {
    match escape {
        "\\n" => "\n",
        "\\t" => "\t",
        "\\\"" => "\"",
        "\\$" => "$",
        _ => "\\",
    }
}

//! Completion: what can be written at the cursor, likely things first.

use super::cursor::{Bracket, Cursor};
use super::definition::project_files;
use super::describe::{self, Described};
use super::profile::{self, Holds};
use super::session::Session;
use super::view::View;
use super::words::{Word, Words};
use crate::base::source::Span;
use crate::lang::index::{Part, SymbolKind, Target};
use crate::lang::types::Type;
use crate::lang::words::{Class, ITEM_KEYWORDS, words};
use crate::lang::{compare, units};
use lsp_types::{
    CompletionItem, CompletionItemKind as Kind, CompletionParams, CompletionResponse, CompletionTextEdit,
    Documentation, InsertTextFormat, MarkupContent, MarkupKind, TextEdit,
};
use std::path::Path;

/// Something that can be written.
struct Offer {
    label: String,
    insert: String,
    kind: Kind,
    described: Described,
    /// Smaller ones stand first.
    rank: u8,
    is_snippet: bool,
}

impl Offer {
    fn new(label: impl Into<String>, kind: Kind, described: Described, rank: u8) -> Offer {
        let label = label.into();
        Offer { insert: label.clone(), label, kind, described, rank, is_snippet: false }
    }

    /// A keyword; `skip when` is told of by its first word.
    fn keyword(label: &str, rank: u8) -> Offer {
        let word = label.split(' ').next().unwrap_or(label);
        let found = describe::word(word, &[Class::Item, Class::Keyword]);
        Offer::new(label, Kind::KEYWORD, found.unwrap_or_default(), rank)
    }

    fn plain(label: impl Into<String>, kind: Kind, detail: &str, rank: u8) -> Offer {
        Offer::new(label, kind, Described { detail: detail.to_string(), ..Described::default() }, rank)
    }
}

/// What the surroundings of the cursor are.
struct Place<'a, 't> {
    view: &'a View,
    cursor: Cursor<'t>,
    words: Words<'a>,
    session: &'a Session,
}

/// What an open bracket holds.
enum Owner<'a> {
    /// Declared fields or parameters.
    Fields(Vec<(String, Described, &'a View, Part)>),
    Compare,
    /// The labels of a compare's baseline.
    Axes(Vec<String>),
    /// Bindings, and `return`.
    Block,
    Plain,
}

/// What can be written at the cursor.
pub fn complete(session: &Session, params: CompletionParams) -> Result<Option<CompletionResponse>, String> {
    let at = &params.text_document_position;
    let Some((view, offset)) = session.offset(at) else { return Ok(None) };
    let Some(entry) = view.entry else { return Ok(None) };
    let whole = session.whole(&at.text_document.uri).map(|view| &**view);
    let text = view.lines(entry).text();
    let place = Place { view, cursor: Cursor::new(text, offset), words: Words::new(session, view, whole), session };
    let span = Span::new(entry, place.cursor.word_start, offset);
    let items = place.offers().into_iter().map(|offer| item(session, view, span, offer));
    Ok(Some(CompletionResponse::Array(items.collect())))
}

fn item(session: &Session, view: &View, span: Span, offer: Offer) -> CompletionItem {
    let Described { doc, detail, .. } = offer.described;
    let markdown = |value| Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value });
    let is_snippet = offer.is_snippet && session.has_snippets;
    let new_text = if offer.is_snippet && !is_snippet { offer.label.clone() } else { offer.insert };
    CompletionItem {
        kind: Some(offer.kind),
        detail: (!detail.is_empty()).then_some(detail),
        documentation: (!doc.is_empty()).then(|| markdown(doc)),
        sort_text: Some(format!("{}{}", offer.rank, offer.label)),
        insert_text_format: is_snippet.then_some(InsertTextFormat::SNIPPET),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit::new(view.range(span), new_text))),
        label: offer.label,
        ..CompletionItem::default()
    }
}

impl<'a> Place<'a, '_> {
    fn offers(&self) -> Vec<Offer> {
        let cursor = &self.cursor;
        let last = cursor.last().map_or("", |token| token.text);
        match cursor {
            _ if cursor.in_comment => Vec::new(),
            _ if cursor.in_text.is_some() && self.first() == "use" => self.files(),
            _ if cursor.in_text.is_some() => self.texts(""),
            _ if cursor.number_end.is_some() => self.units(),
            _ if cursor.begins_item() => item_keywords(),
            _ if self.first() == "use" => self.imports(last),
            _ if last == "." => self.members(),
            _ if self.wants_type(last) => types(),
            // The name of a parameter is the user's to find.
            _ if self.in_parameters() && last != "=" => Vec::new(),
            _ if self.first() == "profile" => self.settings(last),
            _ => self.in_bracket(),
        }
    }

    /// In a profile: settings that are not written yet, or what a setting takes.
    fn settings(&self, last: &str) -> Vec<Offer> {
        let (brackets, catalogue) = (&self.cursor.brackets, &self.session.catalogue);
        let Some(bracket) = brackets.last() else { return Vec::new() };
        if last == ":" || bracket.sign == "[" {
            let wanted = profile::wanted(catalogue, brackets);
            return self
                .texts("\"")
                .into_iter()
                .chain(constants(wanted.as_ref()))
                .chain(self.executors(&wanted))
                .collect();
        }
        let is_new = |name: &str| !bracket.written.contains(&name);
        let named = |name: &str, described| Offer {
            insert: format!("{name}: "),
            ..Offer::new(name, Kind::FIELD, described, 1)
        };
        match profile::holds(catalogue, brackets) {
            Holds::Settings(settings) => {
                let new = settings.iter().filter(|setting| is_new(setting.name));
                new.map(|setting| named(setting.name, describe::field(setting))).collect()
            }
            Holds::Stages => {
                let own = self.words.own();
                let stages = own.iter().filter(|word| is_value(word)).map(|word| word.name.as_str());
                let kinds = catalogue.stages.iter().map(|stage| stage.kind);
                stages.chain(kinds).filter(|name| is_new(name)).map(|name| named(name, Described::default())).collect()
            }
            Holds::Else => Vec::new(),
        }
    }

    fn executors(&self, wanted: &Option<Type>) -> Vec<Offer> {
        let fits = |name: &str| wanted.as_ref().is_some_and(|wanted| takes(wanted, name));
        let executors = self.session.catalogue.profile.executors.iter().filter(|executor| fits(executor.name));
        executors.map(|executor| Offer::plain(executor.name, Kind::CONSTRUCTOR, executor.doc, 0)).collect()
    }

    fn first(&self) -> &str {
        self.cursor.before.first().map_or("", |token| token.text)
    }

    /// Whether the cursor is in the parameter list of a recipe.
    fn in_parameters(&self) -> bool {
        let brackets = &self.cursor.brackets;
        ["recipe", "pipeline"].contains(&self.first()) && brackets.len() == 1 && brackets[0].at == 2
    }

    /// `use "…"`: the files of the project, as they are seen from this one.
    fn files(&self) -> Vec<Offer> {
        let own = Path::new(&self.view.path);
        let folder = own.parent().unwrap_or(own);
        let files = project_files(folder).into_iter().filter(|path| *path != self.view.path);
        let seen =
            files.filter_map(|path| Some(Path::new(&path).strip_prefix(folder).ok()?.to_string_lossy().into_owned()));
        seen.map(|path| Offer::plain(path, Kind::FILE, "", 1)).collect()
    }

    /// `use std.arith.{…}`
    fn imports(&self, last: &str) -> Vec<Offer> {
        let cursor = &self.cursor;
        let words = match cursor.brackets.last() {
            Some(list) => self.words.resolve(&cursor.path(list.at.saturating_sub(1)).0, &[]),
            None if last == "." => self.words.resolve(&cursor.path(cursor.before.len() - 1).0, &[]),
            None if last == "use" => return vec![Offer::plain("std", Kind::MODULE, "the standard library", 1)],
            None => return vec![Offer::keyword("as", 1)],
        };
        let words = words.map(|word| self.words.members(&word)).unwrap_or_default();
        words.iter().map(|word| self.word(word, 1)).collect()
    }

    /// What can stand behind `value.`
    fn members(&self) -> Vec<Offer> {
        let cursor = &self.cursor;
        let (path, _) = cursor.path(cursor.before.len() - 1);
        let locals = cursor.locals();
        let Some(word) = self.words.resolve(&path, &locals) else { return Vec::new() };
        let mut offers: Vec<Offer> = self.words.members(&word).iter().map(|word| self.word(word, 1)).collect();
        for (name, ty) in self.words.read(&word) {
            if !offers.iter().any(|offer| offer.label == name) {
                offers.push(Offer::plain(name, Kind::FIELD, &ty.to_string(), 1));
            }
        }
        let is_bench = word.ty() == Some(&Type::Bench);
        if is_bench && self.first() == "compare" {
            offers.push(Offer::plain("accuracy", Kind::FIELD, "the share of right answers: pass@1", 1));
            offers.push(Offer::plain("pass_at_4", Kind::FIELD, "whether one of so many samples is right", 1));
            offers.push(Offer::plain(
                "maj_at_4",
                Kind::FIELD,
                "whether the commonest answer of all samples is right",
                1,
            ));
        }
        if matches!(word.target, Target::Symbol(index) if word.view.symbol(index).kind == SymbolKind::Axis) {
            offers.push(Offer::plain("name", Kind::FIELD, "the label of the axis's value", 1));
        }
        offers
    }

    /// Whether a type is to be written: `param x: …`, `recipe f(x: …) -> …`
    fn wants_type(&self, last: &str) -> bool {
        let cursor = &self.cursor;
        let outermost = cursor.brackets.is_empty();
        match (self.first(), last) {
            ("param" | "let", ":") => outermost && cursor.before.len() == 3,
            ("recipe" | "pipeline", ":") => self.in_parameters(),
            ("recipe", "->") => outermost,
            ("param", "->") => outermost,
            _ => false,
        }
    }

    fn in_bracket(&self) -> Vec<Offer> {
        let cursor = &self.cursor;
        let last = cursor.last();
        let Some(bracket) = cursor.brackets.last() else { return self.after_value(self.values(None)) };
        // An item of a list is a value of the field that the list is.
        if let ("[", [.., outer, _]) = (bracket.sign, &cursor.brackets[..])
            && outer.field.is_some()
        {
            return self.value_of_field(outer);
        }
        let owner = self.owner(bracket);
        let opened = last.is_some_and(|last| last.text == bracket.sign || last.text == ",");
        let begins_field = opened || (cursor.begins_line && last.is_some_and(|last| last.ends_value()));
        match (owner, begins_field) {
            (Owner::Fields(fields), true) => {
                let mut offers = self.fields(fields, bracket);
                if bracket.sign == "(" {
                    offers.extend(self.values(None));
                }
                offers
            }
            (Owner::Compare, true) => compare_fields(bracket),
            (Owner::Axes(axes), true) => {
                axes.into_iter().map(|axis| named_field(axis, "the label of the row")).collect()
            }
            (Owner::Block, true) => self.statements(),
            (Owner::Fields(_) | Owner::Compare, false) => self.value_of_field(bracket),
            (Owner::Plain | Owner::Axes(_) | Owner::Block, _) => self.after_value(self.values(self.wanted().as_ref())),
        }
    }

    /// Behind a value only an operator can follow.
    fn after_value(&self, values: Vec<Offer>) -> Vec<Offer> {
        let ends = self.cursor.last().is_some_and(|last| last.ends_value());
        let is_name = self.cursor.before.len() == 1;
        match (ends, is_name) {
            (true, false) => {
                let infix = ["with", "and", "or", "in", "mod", "then", "else", "for", "if", "step", "where"];
                infix.iter().map(|word| Offer::keyword(word, 2)).collect()
            }
            // The name of an item is the user's to find.
            (true, true) => Vec::new(),
            (false, _) => values,
        }
    }

    /// Fields that are not written yet, required ones first.
    fn fields(&self, fields: Vec<(String, Described, &View, Part)>, bracket: &Bracket) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        for (name, described, _, _) in fields {
            let is_new = !bracket.written.contains(&name.as_str()) && !offers.iter().any(|offer| offer.label == name);
            if is_new {
                let rank = if described.code.contains(" = ") { 2 } else { 1 };
                let insert = format!("{name}: ");
                offers.push(Offer { insert, ..Offer::new(name, Kind::FIELD, described, rank) });
            }
        }
        offers
    }

    /// Bindings of a block go on with `return`, axes of a sweep with `over`.
    fn statements(&self) -> Vec<Offer> {
        let words: &[&str] = if self.first() == "sweep" { &["over", "skip when", "return"] } else { &["return"] };
        words.iter().map(|word| Offer::keyword(word, 1)).collect()
    }

    /// What a bracket holds.
    fn owner(&self, bracket: &Bracket) -> Owner<'a> {
        let cursor = &self.cursor;
        let is_outermost = cursor.brackets.len() == 1;
        let (path, start) = cursor.path(bracket.at);
        let locals = cursor.locals();
        if is_outermost && start == 1 && bracket.sign == "{" {
            match self.first() {
                "compare" => return Owner::Compare,
                "sweep" | "pipeline" | "recipe" => return Owner::Block,
                _ => {}
            }
        }
        let callee = if path == ["with"] { cursor.path(start).0 } else { path };
        if let Some(word) = self.words.resolve(&callee, &locals) {
            return Owner::Fields(self.settable(&word));
        }
        let within = cursor.brackets.len().checked_sub(2).map(|outer| &cursor.brackets[outer]);
        match (self.first(), within.and_then(|outer| outer.field)) {
            ("compare", Some("baseline")) => Owner::Axes(self.axes()),
            ("recipe" | "pipeline", _) if is_outermost && bracket.sign == "{" => Owner::Block,
            _ => Owner::Plain,
        }
    }

    fn settable(&self, word: &Word<'a>) -> Vec<(String, Described, &'a View, Part)> {
        let mut found = Vec::new();
        for (view, part) in self.words.parts(word) {
            for (name, described) in describe::settable(view, &self.session.catalogue, &part) {
                found.push((name, described, view, part.clone()));
            }
        }
        found
    }

    /// The names of the axes of the sweep that the compare is of.
    fn axes(&self) -> Vec<String> {
        let tokens = &self.cursor.before;
        let of = tokens.windows(3).find(|three| three[0].text == "of" && three[1].text == ":");
        let sweep = of.and_then(|three| self.words.resolve(&[three[2].text], &[]));
        let axes = sweep.map(|sweep| self.words.members(&sweep)).unwrap_or_default();
        axes.into_iter().map(|axis| axis.name).collect()
    }

    /// Values for the field whose name stands before the cursor.
    fn value_of_field(&self, bracket: &Bracket) -> Vec<Offer> {
        match (self.first(), bracket.field) {
            ("compare", Some("of")) => self.words_of(SymbolKind::Sweep),
            ("compare", Some("by" | "across")) => self.axis_offers(),
            ("compare", Some("metric")) => self.words_of(SymbolKind::Suite),
            _ => {
                let wanted = self.wanted();
                let ends = self.cursor.last().is_some_and(|last| last.ends_value());
                if ends { self.after_value(Vec::new()) } else { self.values(wanted.as_ref()) }
            }
        }
    }

    fn axis_offers(&self) -> Vec<Offer> {
        self.axes().into_iter().map(|axis| Offer::plain(axis, Kind::VARIABLE, "an axis of the sweep", 1)).collect()
    }

    fn words_of(&self, kind: SymbolKind) -> Vec<Offer> {
        let is_it = |word: &Word| matches!(word.target, Target::Symbol(index) if word.view.symbol(index).kind == kind);
        self.words.own().iter().filter(|word| is_it(word)).map(|word| self.word(word, 1)).collect()
    }

    /// The type that the field before the cursor takes.
    fn wanted(&self) -> Option<Type> {
        if self.first() == "profile" {
            return profile::wanted(&self.session.catalogue, &self.cursor.brackets);
        }
        let bracket = self.cursor.brackets.iter().rev().find(|bracket| bracket.field.is_some())?;
        let field = bracket.field?;
        if self.first() == "suite" && self.cursor.brackets.len() == 1 {
            return Some(Type::Bench);
        }
        let Owner::Fields(fields) = self.owner(bracket) else { return None };
        let (_, _, view, part) = fields.into_iter().find(|(name, ..)| name == field)?;
        match part {
            Part::Stage(kind) => {
                let declared = describe::fields_of(&self.session.catalogue, &kind)?;
                declared.iter().find(|declared| declared.name == field).map(|declared| declared.ty.clone())
            }
            Part::Recipe(recipe) => {
                let param = view.index().parts_of(recipe).find(|param| param.name == field)?;
                annotated(view.text(param.annotation?))
            }
        }
    }

    /// The texts that may stand here, between quotes unless they are there.
    fn texts(&self, quote: &str) -> Vec<Offer> {
        let texts = self.wanted().map(|ty| ty.texts()).unwrap_or_default();
        let offer = |text: String| Offer::plain(format!("{quote}{text}{quote}"), Kind::ENUM_MEMBER, "", 0);
        texts.into_iter().map(offer).collect()
    }

    /// Units, those of the type that is wanted alone where that is known.
    fn units(&self) -> Vec<Offer> {
        let wanted = self.wanted().map(|ty| ty.dimensions()).unwrap_or_default();
        let fits = |unit: &&str| {
            let dimension = units::find(unit).map(|(dimension, _)| dimension);
            wanted.is_empty() || dimension.is_some_and(|dimension| wanted.contains(&dimension))
        };
        let described = |unit| describe::word(unit, &[Class::Unit]).unwrap_or_default();
        units::names().filter(fits).map(|unit| Offer::new(unit, Kind::UNIT, described(unit), 1)).collect()
    }

    /// Everything that a value can begin with; what fits `wanted` first.
    fn values(&self, wanted: Option<&Type>) -> Vec<Offer> {
        let mut offers = self.texts("\"");
        offers.extend(constants(wanted));
        let fits =
            |word: &Word| word.ty().zip(wanted).is_some_and(|(ty, wanted)| *ty != Type::Unknown && ty.fits(wanted));
        for name in self.cursor.locals() {
            let local = self.words.local(name);
            let rank = if local.as_ref().is_some_and(&fits) { 1 } else { 2 };
            offers.push(match local {
                Some(local) => self.word(&local, rank),
                None => Offer::plain(name, Kind::VARIABLE, "", rank),
            });
        }
        let own = self.words.own();
        let named = self.cursor.before.get(1).map_or("", |name| name.text);
        let can = own.iter().filter(|word| word.name != named && is_value(word));
        offers.extend(can.map(|word| self.word(word, if fits(word) { 1 } else { 3 })));
        offers.extend(self.of_the_language(wanted));
        offers
    }

    fn of_the_language(&self, wanted: Option<&Type>) -> Vec<Offer> {
        let catalogue = &self.session.catalogue;
        let described =
            |target: Target| describe::target(&self.session.library.view, catalogue, &target).unwrap_or_default();
        let stages = catalogue
            .stages
            .iter()
            .map(|stage| Offer::new(stage.kind, Kind::CLASS, described(Target::Stage(stage.kind.to_string())), 4));
        let variants = catalogue.variants.iter().map(|variant| {
            let rank = if wanted.is_some_and(|wanted| takes(wanted, variant.name)) { 0 } else { 5 };
            Offer::new(variant.name, Kind::CONSTRUCTOR, described(Target::Variant(variant.name.to_string())), rank)
        });
        let builtins = words().into_iter().filter(|word| word.class == Class::Builtin);
        let builtins = builtins
            .map(|word| Offer::new(word.name, Kind::FUNCTION, described(Target::Builtin(word.name.to_string())), 5));
        let std = Offer::new("std", Kind::MODULE, described(Target::Std), 4);
        let words = ["if", "not"].map(|word| Offer::keyword(word, 6));
        stages.chain(variants).chain(builtins).chain([std]).chain(words).collect()
    }

    fn word(&self, word: &Word, rank: u8) -> Offer {
        let kind = match &word.target {
            Target::Module(_) | Target::Std => Kind::MODULE,
            Target::Symbol(index) => match word.view.symbol(*index).kind {
                SymbolKind::Recipe => Kind::FUNCTION,
                SymbolKind::Param | SymbolKind::Let => Kind::CONSTANT,
                SymbolKind::Field => Kind::FIELD,
                SymbolKind::Suite => Kind::STRUCT,
                _ => Kind::VARIABLE,
            },
            _ => Kind::VALUE,
        };
        Offer::new(word.name.clone(), kind, word.described(self.session), rank)
    }
}

/// `true`, `false`, `none`, as far as they can be wanted.
fn constants(wanted: Option<&Type>) -> Vec<Offer> {
    let fits = |ty: Type| wanted.is_none_or(|wanted| ty.fits(wanted));
    let of = [("true", Type::Bool), ("false", Type::Bool), ("none", Type::None)];
    let rank = if wanted.is_some() { 0 } else { 6 };
    of.into_iter().filter(|(_, ty)| fits(ty.clone())).map(|(word, _)| Offer::keyword(word, rank)).collect()
}

/// Whether a type is, or may be, a variant of that name.
fn takes(ty: &Type, variant: &str) -> bool {
    match ty {
        Type::Variant(name) => name == variant,
        Type::Bench => variant == "bench",
        Type::Optional(inner) => takes(inner, variant),
        Type::OneOf(options) => options.iter().any(|option| takes(option, variant)),
        _ => false,
    }
}

/// Whether a name can stand in an expression.
fn is_value(word: &Word) -> bool {
    match word.target {
        Target::Symbol(index) => {
            !matches!(word.view.symbol(index).kind, SymbolKind::Compare | SymbolKind::Profile | SymbolKind::Sweep)
        }
        _ => true,
    }
}

/// The type of an annotation, as far as it says what to offer: its texts, or truth.
fn annotated(written: &str) -> Option<Type> {
    let texts: Vec<String> = written.split('"').skip(1).step_by(2).map(String::from).collect();
    match written.trim_end_matches('?') {
        "Bool" => Some(Type::Bool),
        _ if !texts.is_empty() => Some(Type::Strings(texts)),
        _ => None,
    }
}

fn types() -> Vec<Offer> {
    let types = words().into_iter().filter(|word| word.class == Class::Type);
    types
        .map(|word| {
            Offer::new(word.name, Kind::CLASS, describe::word(word.name, &[Class::Type]).unwrap_or_default(), 1)
        })
        .collect()
}

fn named_field(name: String, detail: &str) -> Offer {
    let insert = format!("{name}: ");
    Offer { insert, ..Offer::plain(name, Kind::FIELD, detail, 1) }
}

fn compare_fields(bracket: &Bracket) -> Vec<Offer> {
    let open = compare::FIELDS.iter().filter(|(name, _)| !bracket.written.contains(name));
    open.map(|(name, doc)| named_field((*name).to_string(), doc)).collect()
}

/// The words that begin an item, with its form for clients that can fill it in.
fn item_keywords() -> Vec<Offer> {
    let form = |word: &str| match word {
        "use" => "use ${1:std.arith}",
        "param" => "param ${1:name}: ${2:Int} = $0",
        "let" => "let ${1:name} = $0",
        "recipe" => "recipe ${1:name}(${2:x: Model}) -> ${3:Model} = $0",
        "suite" => "suite ${1:exam} { ${2:name}: bench($0) }",
        "pipeline" => "pipeline ${1:name} = $0",
        "sweep" => "sweep ${1:name} {\n  over ${2:seed} in [${3:1, 2, 3}]\n  return $0\n}",
        "compare" => "compare ${1:name} {\n  of:     ${2:sweep}\n  metric: ${3:suite.bench}.accuracy\n}",
        _ => "profile ${1:name} { $0 }",
    };
    let offer = |word: &&str| Offer { insert: form(word).to_string(), is_snippet: true, ..Offer::keyword(word, 1) };
    ITEM_KEYWORDS.iter().map(offer).collect()
}

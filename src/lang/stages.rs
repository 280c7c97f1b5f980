//! Stage kinds, variants and verifiers at work: what was written against what is declared, and the nodes it makes.

use super::arguments::{Arguments, Entry};
use super::ast::*;
use super::check::{coerce, limits_of, magnitudes, mismatch, out_of_range};
use super::datum::{Configured, Datum, Fields, Function, Written, kind_type};
use super::eval::Evaluator;
use super::foreign_fields::{self, Foreign};
use super::graph::{MAX_NODES, extract};
use super::name::Name;
use super::program::{StageCall, Unbuilt};
use super::signature;
use super::types::Type;
use super::value::{NodeId, RewardSum, RewardTerm, Value};
use crate::base::kind::Kind;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use std::rc::Rc;
use std::sync::Arc;

impl Evaluator<'_> {
    /// What a bare name of the catalogue is: a stage or a variant with its defaults.
    pub fn catalogue_name(&mut self, name: &str, span: Span) -> Option<Datum> {
        let ident = Ident { name: Name::written(name), span };
        self.make_from_catalogue(&ident, Arguments::default(), span)
    }

    /// A stage or a variant of the catalogue, by name; `None` where it is neither.
    pub fn make_from_catalogue(&mut self, name: &Ident, arguments: Arguments, site: Span) -> Option<Datum> {
        let catalogue = self.catalogue;
        if let Some(stage) = catalogue.stage(&name.name) {
            return Some(self.configure(stage, arguments, site));
        }
        catalogue.variant(&name.name).map(|variant| self.variant(variant, arguments, site))
    }

    fn configure(&mut self, stage: &signature::Signature, arguments: Arguments, site: Span) -> Datum {
        let arguments = self.place_positional(stage.kind, stage.positional, arguments);
        let fields = self.check_all(stage.kind, &stage.fields, arguments, site);
        let Some((from, to)) = shape(stage, &fields) else {
            return Datum::UNKNOWN;
        };
        let piped = from.is_some();
        let kind = stage.kind.to_string();
        let (name, from, to) = (None, from.unwrap_or(Type::Unknown), kind_type(to));
        let configured = Configured { kind, fields, name, is_changed_copy: false, span: site, from, to };
        if piped { Datum::Function(Rc::new(Function::Stage(configured))) } else { self.node(&configured, None) }
    }

    fn variant(&mut self, variant: &signature::Variant, arguments: Arguments, site: Span) -> Datum {
        let arguments = self.place_positional(variant.name, variant.positional, arguments);
        let written = self.check_all(variant.name, &variant.fields, arguments, site);
        Datum::Variant(Rc::new((variant.name.into(), complete(&variant.fields, &written))))
    }

    /// `verifier("name", …)`: the primitive that the standard library makes rewards of.
    pub fn verifier(&mut self, mut arguments: Arguments, site: Span) -> Datum {
        let catalogue = self.catalogue;
        let known = || catalogue.rewards.iter().map(|reward| reward.name);
        let (name, span) = match arguments.positional.first() {
            Some((Datum::Plain(Value::String(name)), span)) => (name.clone(), *span),
            _ => {
                let found =
                    Diagnostic::error(codes::BAD_ARGUMENTS, "`verifier` needs the name of one", site, "called here");
                return self.report(found.help(format!("names are: {}", known().collect::<Vec<_>>().join(", "))));
            }
        };
        arguments.positional.remove(0);
        let Some(reward) = catalogue.reward(&name) else {
            let found =
                Diagnostic::error(codes::UNKNOWN_NAME, format!("there is no verifier \"{name}\""), span, "unknown");
            let help = format!("names are: {}", known().collect::<Vec<_>>().join(", "));
            return self.report(found.help(help));
        };
        let arguments = self.place_positional(reward.name, None, arguments);
        let written = self.check_all(reward.name, &reward.fields, arguments, site);
        let args = complete(&reward.fields, &written);
        let args: Option<Vec<_>> = args.into_iter().map(|(name, value)| Some((name, value.fold()?))).collect();
        let Some(args) = args else {
            return Datum::Opaque(Type::Reward);
        };
        let term = RewardTerm { weight: 1.0, reward: name, version: reward.version, args };
        Datum::Plain(Value::Reward(RewardSum { offset: 0.0, terms: vec![term] }))
    }

    /// Gives a single unnamed argument its name.
    fn place_positional(&mut self, owner: &str, field: Option<&str>, mut arguments: Arguments) -> Arguments {
        let mut unnamed = std::mem::take(&mut arguments.positional).into_iter();
        let first = if field.is_some() { unnamed.next() } else { None };
        if let (Some(field), Some((value, span))) = (field, first) {
            let entry = Entry { name: Ident { name: Name::written(field), span }, value, span, spread: false };
            arguments.add(entry).into_iter().for_each(|found| drop(self.report(found)));
        }
        if let Some((_, span)) = unnamed.next() {
            arguments.open = true;
            let message = match field {
                Some(field) => format!("`{owner}` takes one unnamed argument, its `{field}`"),
                None => format!("the arguments of `{owner}` need names"),
            };
            let found = Diagnostic::error(codes::BAD_ARGUMENTS, message, span, "this one has no name");
            self.report(found.help(format!("write `{owner}(name: value)`")));
        }
        arguments
    }

    /// Checks what was written against the declared fields, and that nothing required is missing.
    fn check_all(
        &mut self,
        owner: &str,
        fields: &[signature::Field],
        arguments: Arguments,
        site: Span,
    ) -> Vec<Written> {
        let open = arguments.open;
        let required = |field: &&signature::Field| field.default.is_none();
        let is_missing =
            |field: &&signature::Field| !arguments.entries.iter().any(|entry| entry.name.name == field.name);
        let missing: Vec<&signature::Field> = fields.iter().filter(required).filter(is_missing).collect();
        // A field that was written under another name is told once, where it stands. Who that is takes a search.
        let names = || arguments.entries.iter().map(|entry| entry.name.name.as_str());
        let meant: Vec<&str> = match missing.is_empty() || open {
            true => Vec::new(),
            false => names().filter_map(|name| foreign_fields::meant(name, fields)).collect(),
        };
        let mut written = self.check_entries(owner, fields, arguments.entries);
        for field in missing {
            if !open && !meant.contains(&field.name) {
                self.missing_field(owner, field, site);
            }
            written.push(Written { name: field.name.into(), value: Datum::UNKNOWN, span: site });
        }
        written
    }

    fn missing_field(&mut self, owner: &str, field: &signature::Field, site: Span) {
        let message = format!("`{owner}` needs `{}`", field.name);
        let found = Diagnostic::error(codes::MISSING_FIELD, message, site, format!("`{}` is missing", field.name));
        self.report(found.help(format!("add `{}: …`, {}: {}", field.name, field.ty.phrase(), field.summary())));
    }

    fn check_entries(&mut self, owner: &str, fields: &[signature::Field], entries: Vec<Entry>) -> Vec<Written> {
        let mut written = Vec::new();
        for entry in entries {
            match fields.iter().find(|field| field.name == entry.name.name) {
                Some(field) => written.push(self.check_entry(owner, field, entry)),
                None => {
                    let found = foreign_fields::unknown(owner, fields, &foreign(&entry));
                    let inner = self.field_of_a_variant(fields, &entry.name.name);
                    self.report(match inner {
                        Some(help) if found.fix.is_none() && found.code == codes::UNKNOWN_FIELD => found.help(help),
                        _ => found,
                    });
                }
            }
        }
        written
    }

    /// Where a name is no field, but one of a variant that a field takes: `beta` belongs in `loss: jsd(beta: …)`.
    fn field_of_a_variant(&self, fields: &[signature::Field], name: &str) -> Option<String> {
        let variants = |field: &signature::Field| variants_of(&field.ty);
        let pairs = fields.iter().flat_map(|field| variants(field).into_iter().map(move |variant| (field, variant)));
        let homes = pairs.filter(|(_, variant)| {
            let known = self.catalogue.variants.iter().find(|other| other.name == variant.as_str());
            known.is_some_and(|known| known.fields.iter().any(|field| field.name == name))
        });
        let written: Vec<String> =
            homes.map(|(field, variant)| format!("`{}: {variant}({name}: …)`", field.name)).collect();
        (!written.is_empty()).then(|| format!("it belongs to a part: write {}", written.join(" or ")))
    }

    /// A field that was written, converted to its declared type and held against its range.
    pub fn check_entry(&mut self, owner: &str, field: &signature::Field, entry: Entry) -> Written {
        let value = match coerce(&entry.value, &field.ty, self.dir(entry.span.source)) {
            Some(value) => value,
            None => {
                let place = format!("`{}` of `{owner}`", field.name);
                self.report(mismatch(place, &entry.value, &field.ty, entry.span))
            }
        };
        let limits = limits_of(field, &value)
            .filter(|&(low, high)| magnitudes(&value).iter().any(|number| !(low..=high).contains(number)));
        if let Some(limits) = limits {
            self.report(out_of_range(field.name, &value, limits, entry.span).help(field.summary()));
        }
        Written { name: field.name.into(), value, span: entry.span }
    }

    /// The result of a stage: its node, or a value known by type where an argument is.
    pub fn node(&mut self, stage: &Configured, input: Option<&Datum>) -> Datum {
        let opaque = stage.fields.iter().any(|field| field.value.is_opaque()) || input.is_some_and(Datum::is_opaque);
        let Some(signature) = self.catalogue.stage(&stage.kind).filter(|_| !opaque) else {
            return Datum::Opaque(stage.to.clone());
        };
        let Some((_, output)) = shape(signature, &stage.fields) else {
            return Datum::UNKNOWN;
        };
        let mut inputs: Vec<_> = Vec::new();
        if let (Some((role, _)), Some(node)) = (&signature.piped, input.and_then(Datum::node)) {
            inputs.push(((*role).to_string(), node));
        }
        let (mut args, mut unkeyed) = (Vec::with_capacity(signature.fields.len()), Vec::new());
        let mut role = String::new();
        for field in &signature.fields {
            let written = stage.fields.iter().find(|other| other.name == field.name);
            let Some(mut value) = written.map_or_else(|| field.default.clone(), |written| written.value.fold()) else {
                return Datum::UNKNOWN;
            };
            if field.implies(&value) {
                continue;
            }
            if field.unkeyed {
                unkeyed.push(field.name);
            }
            role.replace_range(.., field.name);
            extract(&mut value, &mut role, &mut inputs);
            args.push((Name::from(field.name), value));
        }
        let call = StageCall {
            kind: stage.kind.clone(),
            version: signature.version,
            args: Arc::new(args),
            unkeyed,
            inputs,
            output,
            name: stage.name.clone().unwrap_or_else(|| stage.kind.clone()),
            span: stage.span,
            field_spans: stage.fields.iter().map(|field| (field.name.clone(), field.span)).collect(),
            training: self.catalogue.trainings.get(signature.kind).copied(),
        };
        let known = self.graph.len();
        let made = self.graph.intern(call);
        if let Some(id) = made.filter(|id| id.0 == known) {
            self.note_unbuilt(id, signature, stage);
        }
        match made {
            Some(id) => Datum::Plain(Value::Node(id, output)),
            None => self.too_large(stage.span, &format!("it has more than {MAX_NODES} stages")),
        }
    }

    /// Keeps in mind what this version cannot run of a new node: it is warned of if the node is wanted.
    fn note_unbuilt(&mut self, node: NodeId, signature: &signature::Signature, stage: &Configured) {
        let mut found: Vec<(&'static str, Span)> =
            signature.unbuilt.map(|what| (what, stage.span)).into_iter().collect();
        for written in &stage.fields {
            let Some(field) = signature.field(&written.name) else { continue };
            let value =
                written.value.fold().filter(|value| field.unbuilt.is_some() || self.catalogue.has_unbuilt(value));
            let inside = value.map(|value| self.catalogue.unbuilt_in(field, &value.to_json()));
            found.extend(inside.into_iter().flatten().map(|what| (what, written.span)));
        }
        for (what, span) in found {
            let by_way_of = self.own_site(span);
            self.unbuilt.push(Unbuilt { node, what, span, by_way_of });
        }
    }
}

/// What a configured stage takes from `|>`, if anything, and what it makes; `None` where a field that says so is in
/// error, or not known yet.
pub(super) fn shape(stage: &signature::Signature, written: &[Written]) -> Option<(Option<Type>, Kind)> {
    let from = match said(stage, signature::TAKES, written) {
        None => stage.piped.as_ref().map(|(_, ty)| ty.clone()),
        Some(Datum::Plain(Value::None)) => None,
        Some(value) => Some(kind_type(kind_said(&value)?)),
    };
    let to = match said(stage, signature::MAKES, written) {
        None => stage.output,
        Some(value) => kind_said(&value)?,
    };
    Some((from, to))
}

/// The value of a field that the kind may have.
fn said(stage: &signature::Signature, name: &str, written: &[Written]) -> Option<Datum> {
    let field = stage.field(name)?;
    let given = written.iter().find(|other| other.name == name).map(|other| other.value.clone());
    given.or_else(|| field.default.as_ref().map(Datum::from))
}

fn kind_said(value: &Datum) -> Option<Kind> {
    match value {
        Datum::Plain(Value::String(text)) => Kind::named(text),
        _ => None,
    }
}

/// Every declared field with what was written or its default, in the declared order; without what goes without saying.
pub(super) fn complete(fields: &[signature::Field], written: &[Written]) -> Fields {
    let value = |field: &signature::Field| {
        let given = written.iter().find(|other| other.name == field.name).map(|other| other.value.clone());
        given.or_else(|| field.default.as_ref().map(Datum::from)).unwrap_or(Datum::UNKNOWN)
    };
    let said = |field: &signature::Field, value: &Datum| !value.fold().is_some_and(|value| field.implies(&value));
    let all = fields.iter().map(|field| (field, value(field)));
    all.filter(|(field, value)| said(field, value)).map(|(field, value)| (field.name.into(), value)).collect()
}

/// An entry as a field that is not there.
pub(super) fn foreign(entry: &Entry) -> Foreign<'_> {
    let Entry { name, value, span, spread } = entry;
    Foreign { name: &name.name, span: name.span, value, value_span: *span, spread: *spread }
}

/// The variants that a type allows.
fn variants_of(ty: &Type) -> Vec<String> {
    match ty {
        Type::Variant(name) => vec![name.to_string()],
        Type::Optional(inner) => variants_of(inner),
        Type::OneOf(options) => options.iter().flat_map(variants_of).collect(),
        _ => Vec::new(),
    }
}

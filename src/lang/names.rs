//! The definition behind every name, found by scope: it holds for items too that no evaluation reaches.

use super::ast::*;
use super::datum::Function;
use super::index::{ModuleNames, Recorder, Reference, Symbol, SymbolKind, Target, functions};
use super::resolve::{Definition, Module, ModuleId, join, normalised};
use super::signature::Catalogue;
use super::words::BUILTIN_NAMES;
use crate::base::source::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the walk over all modules gives.
pub(super) struct Names {
    pub symbols: Vec<Symbol>,
    pub references: Vec<Reference>,
    pub modules: Vec<ModuleNames>,
    /// The symbol of each recipe.
    pub recipes: BTreeMap<(ModuleId, usize), usize>,
}

/// Resolves the names of all modules.
pub(super) fn of(modules: &[Arc<Module>], recorder: &Recorder, catalogue: &Catalogue) -> Names {
    let mut walk = Walk {
        modules,
        recorder,
        catalogue,
        module: ModuleId(0),
        symbols: Vec::new(),
        references: Vec::new(),
        items: BTreeMap::new(),
        aliases: BTreeMap::new(),
        locals: Vec::new(),
        scope: None,
    };
    for index in 0..modules.len() {
        walk.declare(ModuleId(index));
    }
    for index in 0..modules.len() {
        walk.module(ModuleId(index));
    }
    let names = (0..modules.len()).map(|index| walk.names_of(ModuleId(index))).collect();
    Names { recipes: walk.recipes(), symbols: walk.symbols, references: walk.references, modules: names }
}

struct Walk<'a> {
    modules: &'a [Arc<Module>],
    recorder: &'a Recorder,
    catalogue: &'a Catalogue,
    module: ModuleId,
    symbols: Vec<Symbol>,
    references: Vec<Reference>,
    /// The symbol of each item that has a name.
    items: BTreeMap<(ModuleId, usize), usize>,
    /// The symbols of names that `as` gives.
    aliases: BTreeMap<(ModuleId, String), usize>,
    locals: Vec<(String, usize)>,
    /// Where the names of the current item hold.
    scope: Option<Span>,
}

impl<'a> Walk<'a> {
    fn file(&self, id: ModuleId) -> &'a Module {
        &self.modules[id.0]
    }

    fn declare(&mut self, id: ModuleId) {
        for (index, item) in self.file(id).file.items.iter().enumerate() {
            match (&item.kind, item.name()) {
                (ItemKind::Use(import), _) => self.declare_alias(id, import, item.span),
                (_, Some(name)) => {
                    let symbol = self.declare_item(item, name);
                    self.items.insert((id, index), symbol);
                    self.declare_parts(item, symbol);
                }
                (_, None) => {}
            }
        }
    }

    fn declare_alias(&mut self, id: ModuleId, import: &Use, whole: Span) {
        if let Some(alias) = import.alias.as_ref().filter(|_| import.names.is_none()) {
            let symbol = self.symbol(alias, SymbolKind::Alias, whole);
            self.aliases.insert((id, alias.name.to_string()), symbol);
        }
    }

    fn symbol(&mut self, name: &Ident, kind: SymbolKind, whole: Span) -> usize {
        let (scope, doc, annotation, value, owner) = (None, None, None, None, None);
        let name_text = name.name.to_string();
        self.symbols.push(Symbol {
            name: name_text,
            kind,
            span: name.span,
            whole,
            scope,
            doc,
            annotation,
            value,
            owner,
        });
        self.symbols.len() - 1
    }

    fn declare_item(&mut self, item: &Item, name: &Ident) -> usize {
        let (kind, annotation, value) = match &item.kind {
            ItemKind::Use(_) => (SymbolKind::Alias, None, None),
            ItemKind::Param(param) => (SymbolKind::Param, Some(param.ty.span), param.default.as_ref()),
            ItemKind::Let(binding) => (SymbolKind::Let, binding.ty.as_ref().map(|ty| ty.span), Some(&binding.value)),
            ItemKind::Recipe(recipe) => (SymbolKind::Recipe, recipe.returns.as_ref().map(|ty| ty.span), None),
            ItemKind::Pipeline(pipeline) => (SymbolKind::Pipeline, None, Some(&pipeline.body.result)),
            ItemKind::Suite(..) => (SymbolKind::Suite, None, None),
            ItemKind::Sweep(_) => (SymbolKind::Sweep, None, None),
            ItemKind::Compare(..) => (SymbolKind::Compare, None, None),
            ItemKind::Profile(..) => (SymbolKind::Profile, None, None),
        };
        let index = self.symbol(name, kind, item.span);
        let symbol = &mut self.symbols[index];
        (symbol.doc, symbol.annotation, symbol.value) = (item.doc.clone(), annotation, value.map(|value| value.span));
        index
    }

    /// What can be named from outside: parameters, axes, and the fields of records that are written out.
    fn declare_parts(&mut self, item: &Item, owner: usize) {
        match &item.kind {
            ItemKind::Recipe(recipe) | ItemKind::Pipeline(recipe) => {
                recipe.params.iter().for_each(|param| self.declare_param(param, item.span, owner));
            }
            ItemKind::Sweep(sweep) => {
                for (name, values) in &sweep.axes {
                    let symbol = self.part(name, SymbolKind::Axis, name.span.to(values.span), owner);
                    self.symbols[symbol].value = Some(values.span);
                    self.symbols[symbol].scope = Some(item.span);
                }
            }
            ItemKind::Suite(_, record) => self.declare_fields(record, owner),
            ItemKind::Let(Binding { value: Expr { kind: ExprKind::Record(record), .. }, .. }) => {
                self.declare_fields(record, owner);
            }
            _ => {}
        }
    }

    fn part(&mut self, name: &Ident, kind: SymbolKind, whole: Span, owner: usize) -> usize {
        let symbol = self.symbol(name, kind, whole);
        self.symbols[symbol].owner = Some(owner);
        symbol
    }

    fn declare_param(&mut self, param: &Param, scope: Span, owner: usize) {
        let end = param.default.as_ref().map_or(param.ty.span, |default| default.span);
        let symbol = self.part(&param.name, SymbolKind::Parameter, param.name.span.to(end), owner);
        let symbol = &mut self.symbols[symbol];
        symbol.annotation = Some(param.ty.span);
        symbol.value = param.default.as_ref().map(|default| default.span);
        symbol.scope = Some(scope);
    }

    fn declare_fields(&mut self, record: &Record, owner: usize) {
        for field in &record.fields {
            if let Field::Named(name, value) = field {
                let symbol = self.part(name, SymbolKind::Field, name.span.to(value.span), owner);
                self.symbols[symbol].value = Some(value.span);
            }
        }
    }

    fn recipes(&self) -> BTreeMap<(ModuleId, usize), usize> {
        let is_recipe = |symbol: &usize| self.symbols[*symbol].kind == SymbolKind::Recipe;
        self.items.iter().filter(|(_, symbol)| is_recipe(symbol)).map(|(item, symbol)| (*item, *symbol)).collect()
    }

    fn names_of(&self, id: ModuleId) -> ModuleNames {
        let module = self.file(id);
        let named = |name: &String| Some((name.clone(), self.outer(id, name)?));
        ModuleNames {
            source: module.source,
            name: module.name.clone(),
            is_std: module.is_std,
            names: module.names.keys().filter_map(named).collect(),
            broken: module.file.broken.clone(),
        }
    }

    /// What a name means at the outermost level of a module.
    fn outer(&self, id: ModuleId, name: &str) -> Option<Target> {
        if let Some(&alias) = self.aliases.get(&(id, name.to_string())) {
            return Some(Target::Symbol(alias));
        }
        match self.file(id).names.get(name)? {
            Definition::Item(index) => self.items.get(&(id, *index)).map(|&symbol| Target::Symbol(symbol)),
            Definition::Module(module) => Some(Target::Module(self.file(*module).source)),
            Definition::Imported(module, name) => self.outer(*module, name),
            Definition::Std => Some(Target::Std),
            Definition::Broken => None,
        }
    }

    fn resolve(&self, name: &str) -> Option<Target> {
        if let Some((_, symbol)) = self.locals.iter().rev().find(|(local, _)| local == name) {
            return Some(Target::Symbol(*symbol));
        }
        self.outer(self.module, name).or_else(|| self.catalogue_name(name))
    }

    fn catalogue_name(&self, name: &str) -> Option<Target> {
        if self.file(self.module).names.contains_key(name) {
            return None;
        }
        let stage = || self.catalogue.stage(name).map(|_| Target::Stage(name.to_string()));
        let variant = || self.catalogue.variant(name).map(|_| Target::Variant(name.to_string()));
        let builtin = || BUILTIN_NAMES.contains(&name).then(|| Target::Builtin(name.to_string()));
        stage().or_else(variant).or_else(builtin)
    }

    fn refer(&mut self, span: Span, target: Option<Target>) {
        self.references.extend(target.map(|target| Reference { span, target }));
    }

    fn module(&mut self, id: ModuleId) {
        self.module = id;
        for (index, item) in self.file(id).file.items.iter().enumerate() {
            self.locals.clear();
            self.scope = Some(item.span);
            let symbol = self.items.get(&(id, index)).copied();
            self.item(item, symbol);
        }
    }

    fn item(&mut self, item: &Item, symbol: Option<usize>) {
        match (&item.kind, symbol) {
            (ItemKind::Use(import), _) => self.import(import),
            (ItemKind::Param(param), Some(symbol)) => {
                param.default.iter().for_each(|default| self.expr(default));
                self.locals.push((param.name.name.to_string(), symbol));
                param.condition.iter().for_each(|condition| self.expr(condition));
            }
            (ItemKind::Let(binding), _) => self.expr(&binding.value),
            (ItemKind::Recipe(recipe) | ItemKind::Pipeline(recipe), Some(symbol)) => {
                for param in &recipe.params {
                    param.default.iter().for_each(|default| self.expr(default));
                    self.enter(symbol, &param.name.name);
                }
                self.block(&recipe.body);
            }
            (ItemKind::Suite(_, record), _) => self.fields(&record.fields, &[]),
            (ItemKind::Sweep(sweep), Some(symbol)) => self.sweep(sweep, symbol),
            (ItemKind::Compare(_, record), _) => self.compare(record),
            // The settings of a profile are no expressions.
            _ => {}
        }
    }

    /// Makes a declared part of `owner` a local name.
    fn enter(&mut self, owner: usize, name: &str) {
        let part = self.symbols.iter().position(|symbol| symbol.owner == Some(owner) && symbol.name == name);
        self.locals.extend(part.map(|part| (name.to_string(), part)));
    }

    fn bind(&mut self, name: &Ident, kind: SymbolKind, value: Span, annotation: Option<Span>, scope: Option<Span>) {
        let symbol = self.symbol(name, kind, name.span.to(value));
        let made = &mut self.symbols[symbol];
        (made.value, made.annotation, made.scope) = (Some(value), annotation, scope);
        self.locals.push((name.name.to_string(), symbol));
    }

    fn block(&mut self, block: &Block) {
        for binding in &block.bindings {
            self.expr(&binding.value);
            let annotation = binding.ty.as_ref().map(|ty| ty.span);
            self.bind(&binding.name, SymbolKind::Binding, binding.value.span, annotation, self.scope);
        }
        self.expr(&block.result);
    }

    fn sweep(&mut self, sweep: &Sweep, symbol: usize) {
        sweep.axes.iter().for_each(|(_, values)| self.expr(values));
        sweep.axes.iter().for_each(|(name, _)| self.enter(symbol, &name.name));
        sweep.skips.iter().for_each(|skip| self.expr(skip));
        self.block(&sweep.body);
    }

    fn import(&mut self, import: &Use) {
        let module = match &import.path {
            UsePath::Dotted(path) => self.dotted(path),
            UsePath::File(path, span) => {
                let module = self.module_of_file(path);
                self.refer(*span, module.map(|id| Target::Module(self.file(id).source)));
                module
            }
        };
        for name in import.names.iter().flatten() {
            let target = match module {
                Some(module) => self.outer(module, &name.name),
                None => self.std_module(&name.name).map(|id| Target::Module(self.file(id).source)),
            };
            self.refer(name.span, target);
        }
    }

    fn module_of_file(&self, path: &str) -> Option<ModuleId> {
        let full = normalised(&join(&self.file(self.module).dir, path));
        self.modules.iter().position(|module| !module.is_std && module.name == full).map(ModuleId)
    }

    fn std_module(&self, name: &str) -> Option<ModuleId> {
        self.modules.iter().position(|module| module.is_std && module.name == name).map(ModuleId)
    }

    /// `std.arith`, or `std.arith.train`; returns the module.
    fn dotted(&mut self, path: &[Ident]) -> Option<ModuleId> {
        self.refer(path.first()?.span, (path.first()?.name == "std").then_some(Target::Std));
        let module = self.std_module(&path.get(1)?.name)?;
        self.refer(path[1].span, Some(Target::Module(self.file(module).source)));
        if let Some(name) = path.get(2) {
            let target = self.outer(module, &name.name);
            self.refer(name.span, target);
        }
        Some(module)
    }

    /// A compare names axes of its sweep.
    fn compare(&mut self, record: &Record) {
        let named = |wanted: &str| {
            record.fields.iter().find_map(|field| match field {
                Field::Named(name, value) if name.name == wanted => Some(value),
                _ => None,
            })
        };
        let sweep = match named("of").map(|of| &of.kind) {
            Some(ExprKind::Name(name)) => self.outer(self.module, name),
            _ => None,
        };
        for field in &record.fields {
            let (Field::Named(name, value), sweep) = (field, &sweep) else { continue };
            self.refer(name.span, Some(Target::Field("compare".to_string(), name.name.to_string())));
            match (name.name.as_str(), &value.kind, sweep) {
                ("by" | "across", ExprKind::List(axes), Some(sweep)) => {
                    axes.iter().for_each(|axis| self.axis(axis, sweep))
                }
                ("by" | "across", _, Some(sweep)) => self.axis(value, sweep),
                ("baseline", ExprKind::Record(labels), Some(sweep)) => self.baseline(labels, sweep),
                _ => self.expr(value),
            }
        }
    }

    fn axis(&mut self, expr: &Expr, sweep: &Target) {
        if let ExprKind::Name(name) = &expr.kind {
            let target = self.part_named(sweep, name);
            self.refer(expr.span, target);
        }
    }

    fn baseline(&mut self, labels: &Record, sweep: &Target) {
        for field in &labels.fields {
            if let Field::Named(name, value) = field {
                let target = self.part_named(sweep, &name.name);
                self.refer(name.span, target);
                self.expr(value);
            }
        }
    }

    /// A parameter, an axis or a field of a symbol.
    fn part_named(&self, owner: &Target, name: &str) -> Option<Target> {
        let Target::Symbol(owner) = owner else { return None };
        let is_it = |symbol: &Symbol| symbol.owner == Some(*owner) && symbol.name == name;
        self.symbols.iter().position(is_it).map(Target::Symbol)
    }

    /// The fields of a record or the arguments of a call, whose names belong to one of `owners`.
    fn fields(&mut self, fields: &[Field], owners: &[Target]) {
        for field in fields {
            match field {
                Field::Named(name, value) => {
                    let target = owners.iter().find_map(|owner| self.field_of(owner, &name.name));
                    self.refer(name.span, target);
                    self.expr(value);
                }
                Field::Spread(value) | Field::Positional(value) => self.expr(value),
            }
        }
    }

    fn field_of(&self, owner: &Target, name: &str) -> Option<Target> {
        let (owner, fields) = match owner {
            Target::Symbol(_) => return self.part_named(owner, name),
            Target::Stage(kind) => (kind, &self.catalogue.stage(kind)?.fields),
            Target::Variant(variant) => (variant, &self.catalogue.variant(variant)?.fields),
            _ => return None,
        };
        let field = fields.iter().find(|field| field.name == name || field.aliases.contains(&name))?;
        Some(Target::Field(owner.clone(), field.name.to_string()))
    }

    /// Whose fields a call or `with` on an expression sets.
    fn owners(&self, expr: &Expr) -> Vec<Target> {
        let named = match &expr.kind {
            ExprKind::Name(name) => self.resolve(name),
            _ => None,
        };
        // The value of an axis is another one in each cell: all of them count.
        let axis = match named {
            Some(Target::Symbol(index)) => Some(&self.symbols[index]).filter(|symbol| symbol.kind == SymbolKind::Axis),
            _ => None,
        };
        let span = axis.and_then(|axis| axis.value).unwrap_or(expr.span);
        let mut owners = Vec::new();
        if let Some(value) = self.recorder.value(span) {
            functions(value).into_iter().for_each(|function| self.parts(function, &mut owners));
        }
        owners.into_iter().chain(named).collect()
    }

    fn parts(&self, function: &Function, owners: &mut Vec<Target>) {
        match function {
            Function::Identity => {}
            Function::Stage(stage) => owners.push(Target::Stage(stage.kind.clone())),
            Function::Join(parts) => parts.iter().for_each(|part| self.parts(part, owners)),
            Function::Repeat(part, _) => self.parts(part, owners),
            Function::Recipe(partial) => {
                owners.extend(self.items.get(&(partial.module, partial.item)).map(|&symbol| Target::Symbol(symbol)));
            }
        }
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) {
        exprs.into_iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::None | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Quantity(..) => {}
            ExprKind::Text(parts) => parts.iter().for_each(|part| {
                if let TextPart::Value(value) = part {
                    self.expr(value);
                }
            }),
            ExprKind::Name(name) => {
                let target = self.resolve(name);
                self.refer(expr.span, target);
            }
            ExprKind::List(items) | ExprKind::And(items) | ExprKind::Or(items) | ExprKind::Join(items) => {
                self.exprs(items);
            }
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension, expr.span),
            ExprKind::Record(record) => self.fields(&record.fields, &[]),
            ExprKind::Construct(kind, record) => {
                let target = self.resolve(&kind.name);
                self.refer(kind.span, target.clone());
                self.fields(&record.fields, target.as_slice());
            }
            ExprKind::Postfix(value, suffixes) => self.postfix(value, suffixes),
            ExprKind::With(value, records) => {
                self.expr(value);
                let owners = self.owners(value);
                records.iter().for_each(|record| self.fields(&record.fields, &owners));
            }
            ExprKind::Negate(value) | ExprKind::Not(value) => self.expr(value),
            ExprKind::Arithmetic(head, rest) => {
                self.expr(head);
                self.exprs(rest.iter().map(|(_, value)| value));
            }
            ExprKind::Range(from, to, step) => self.exprs([&**from, &**to].into_iter().chain(step.as_deref())),
            ExprKind::Compare(left, _, right) => self.exprs([&**left, &**right]),
            ExprKind::Pipe(head, stages) => {
                self.expr(head);
                self.exprs(stages);
            }
            ExprKind::If(parts) => self.exprs(parts.iter()),
        }
    }

    fn comprehension(&mut self, comprehension: &Comprehension, whole: Span) {
        self.expr(&comprehension.values);
        self.bind(&comprehension.name, SymbolKind::Each, comprehension.values.span, None, Some(whole));
        self.expr(&comprehension.item);
        self.exprs(&comprehension.condition);
        self.locals.pop();
    }

    /// `head(…)[…].name`
    fn postfix(&mut self, head: &Expr, suffixes: &[Suffix]) {
        self.expr(head);
        let mut owners = self.owners(head);
        for suffix in suffixes {
            match suffix {
                Suffix::Call(args, _) => {
                    self.fields(args, &owners);
                    owners.clear();
                }
                Suffix::Index(index) => {
                    self.expr(index);
                    owners.clear();
                }
                Suffix::Member(member) => {
                    let target = owners.iter().find_map(|owner| self.member_of(owner, &member.name));
                    self.refer(member.span, target.clone());
                    owners = target.into_iter().collect();
                }
            }
        }
    }

    fn member_of(&self, owner: &Target, name: &str) -> Option<Target> {
        match owner {
            Target::Module(source) => {
                let id = self.modules.iter().position(|module| module.source == *source).map(ModuleId)?;
                self.outer(id, name)
            }
            Target::Std => self.std_module(name).map(|id| Target::Module(self.file(id).source)),
            Target::Symbol(_) => self.part_named(&self.behind(owner), name).or_else(|| match self.behind(owner) {
                Target::Symbol(_) => None,
                behind => self.member_of(&behind, name),
            }),
            _ => None,
        }
    }

    /// What an alias stands for, or the target itself.
    fn behind(&self, target: &Target) -> Target {
        let Target::Symbol(index) = target else { return target.clone() };
        let found = self.aliases.iter().find(|(_, symbol)| *symbol == index).map(|((id, name), _)| (*id, name));
        let definition = found.and_then(|(id, name)| self.file(id).names.get(name));
        match definition {
            Some(Definition::Module(module)) => Target::Module(self.file(*module).source),
            Some(Definition::Imported(module, name)) => self.outer(*module, name).unwrap_or(target.clone()),
            Some(Definition::Std) => Target::Std,
            _ => target.clone(),
        }
    }
}

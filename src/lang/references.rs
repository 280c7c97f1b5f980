//! Which names an item uses without binding them itself: for cycles and for unused items.

use super::ast::*;

/// A free name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    pub name: &'a str,
}

/// The free names of an item, in the order they are met, duplicates included.
pub(super) fn of_item(item: &Item) -> Vec<Reference<'_>> {
    let mut walk = Walk::default();
    match &item.kind {
        ItemKind::Use(_) | ItemKind::Profile(..) => {}
        ItemKind::Param(param) => walk.params(std::slice::from_ref(param)),
        ItemKind::Let(binding) => walk.expr(&binding.value),
        ItemKind::Recipe(recipe) | ItemKind::Pipeline(recipe) => {
            walk.params(&recipe.params);
            walk.block(&recipe.body);
        }
        ItemKind::Suite(_, record) | ItemKind::Compare(_, record) => walk.record(record),
        ItemKind::Sweep(sweep) => walk.sweep(sweep),
    }
    walk.found
}

#[derive(Default)]
struct Walk<'a> {
    bound: Vec<&'a str>,
    found: Vec<Reference<'a>>,
}

impl<'a> Walk<'a> {
    fn params(&mut self, params: &'a [Param]) {
        for param in params {
            param.default.iter().for_each(|default| self.expr(default));
            self.bound.push(&param.name.name);
            param.condition.iter().for_each(|condition| self.expr(condition));
        }
    }

    fn block(&mut self, block: &'a Block) {
        for binding in &block.bindings {
            self.expr(&binding.value);
            self.bound.push(&binding.name.name);
        }
        self.expr(&block.result);
    }

    fn sweep(&mut self, sweep: &'a Sweep) {
        sweep.axes.iter().for_each(|(_, values)| self.expr(values));
        self.bound.extend(sweep.axes.iter().map(|(name, _)| name.name.as_str()));
        sweep.skips.iter().for_each(|skip| self.expr(skip));
        self.block(&sweep.body);
    }

    fn record(&mut self, record: &'a Record) {
        self.fields(&record.fields);
    }

    fn fields(&mut self, fields: &'a [Field]) {
        for field in fields {
            match field {
                Field::Named(_, value) | Field::Spread(value) | Field::Positional(value) => self.expr(value),
            }
        }
    }

    fn name(&mut self, name: &'a str) {
        if !self.bound.contains(&name) {
            self.found.push(Reference { name });
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::None | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Quantity(..) => {}
            ExprKind::Text(parts) => parts.iter().for_each(|part| {
                if let TextPart::Value(value) = part {
                    self.expr(value);
                }
            }),
            ExprKind::Name(name) => self.name(name),
            ExprKind::List(items) | ExprKind::And(items) | ExprKind::Or(items) | ExprKind::Join(items) => {
                items.iter().for_each(|item| self.expr(item));
            }
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExprKind::Record(record) => self.record(record),
            ExprKind::Construct(kind, record) => {
                self.name(&kind.name);
                self.record(record);
            }
            ExprKind::Postfix(value, suffixes) => {
                self.expr(value);
                suffixes.iter().for_each(|suffix| self.suffix(suffix));
            }
            ExprKind::With(value, records) => {
                self.expr(value);
                records.iter().for_each(|record| self.record(record));
            }
            ExprKind::Negate(value) | ExprKind::Not(value) => self.expr(value),
            ExprKind::Arithmetic(head, rest) => {
                self.expr(head);
                rest.iter().for_each(|(_, value)| self.expr(value));
            }
            ExprKind::Range(from, to, step) => {
                self.expr(from);
                self.expr(to);
                step.iter().for_each(|step| self.expr(step));
            }
            ExprKind::Compare(left, _, right) => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Pipe(head, stages) => {
                self.expr(head);
                stages.iter().for_each(|stage| self.expr(stage));
            }
            ExprKind::If(parts) => parts.iter().for_each(|part| self.expr(part)),
        }
    }

    fn comprehension(&mut self, comprehension: &'a Comprehension) {
        self.expr(&comprehension.values);
        self.bound.push(&comprehension.name.name);
        self.expr(&comprehension.item);
        comprehension.condition.iter().for_each(|condition| self.expr(condition));
        self.bound.pop();
    }

    fn suffix(&mut self, suffix: &'a Suffix) {
        match suffix {
            Suffix::Call(args, _) => self.fields(args),
            Suffix::Index(index) => self.expr(index),
            Suffix::Member(_) => {}
        }
    }
}

//! What the names of a file come to, params set: type and printed value of each, as the cases of `tests/spec` state them.

use super::ast::{Item, ItemKind};
use super::eval::Evaluator;
use super::resolve::{self, ModuleId};
use super::signature::Catalogue;
use crate::base::source::Loader;

/// A name of the entry file.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Its type, as the language writes it.
    pub ty: String,
    /// Its value, as it is printed into a text.
    pub value: String,
}

/// Every `let`, `param`, `recipe` and `suite` of the file `entry`, in the order of the file. What has an error is a `?`.
pub fn values(entry: &str, loader: &dyn Loader, params: &[(String, String)], catalogue: &Catalogue) -> Vec<Named> {
    let mut resolved = resolve::resolve(entry, loader);
    let Some(entry) = resolved.entry else {
        return Vec::new();
    };
    let overrides = super::read_overrides(params, &mut resolved.sources, &mut resolved.diagnostics);
    let modules = &resolved.modules;
    let evaluated = super::on_a_deep_stack(|| {
        let mut evaluator = Evaluator::new(catalogue, modules, entry);
        evaluator.overrides = overrides;
        evaluator.run();
        let items = modules[entry.0].file.items.iter().enumerate();
        items.filter_map(|(index, item)| named(&mut evaluator, entry, index, item)).collect()
    });
    evaluated.unwrap_or_default()
}

fn named(evaluator: &mut Evaluator, entry: ModuleId, index: usize, item: &Item) -> Option<Named> {
    match &item.kind {
        ItemKind::Let(_) | ItemKind::Param(_) | ItemKind::Recipe(_) | ItemKind::Suite(..) => {
            let value = evaluator.item(entry, index);
            Some(Named { name: item.name()?.name.to_string(), ty: value.ty().to_string(), value: value.show() })
        }
        _ => None,
    }
}

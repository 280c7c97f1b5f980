//! A parser by hand for items that are well formed: the tree that the grammar gives, for a tenth of the work.
//!
//! `grammar/srlm.pest` says what the language is, and its parser says what is wrong with a text. This one knows no
//! errors: at the first sign that it does not expect it gives up, and the item is parsed by the grammar. What it takes is
//! exactly what the grammar takes without a finding, and the trees are equal, spans included: `lang/tests/direct.rs`
//! holds the two together. Each function is named after the rule that it follows, and where a rule has alternatives, the
//! next sign decides.

mod cursor;
mod items;
mod texts;
mod types;
mod values;

use super::ast::ItemKind;
use crate::base::source::SourceId;
use cursor::Cursor;

/// The item that `code` is, which starts at byte `base` of its source; `None` where the grammar has to look.
pub(super) fn item(source: SourceId, code: &str, base: usize) -> Option<ItemKind> {
    let mut cursor = Cursor::new(source, code, base);
    let item = cursor.item()?;
    cursor.at_end().then_some(item)
}

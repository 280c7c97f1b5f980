//! Items: `use`, `param`, `let`, `recipe`, `pipeline`, `sweep`, and those that are a name and a record.

use super::cursor::Cursor;
use crate::lang::ast::*;

impl Cursor<'_> {
    /// An item, by its keyword.
    pub fn item(&mut self) -> Option<ItemKind> {
        let keyword = self.word();
        self.take(keyword.len());
        match keyword {
            "use" => self.use_item().map(ItemKind::Use),
            "param" => self.param_item().map(ItemKind::Param),
            "let" => self.binding().map(ItemKind::Let),
            "recipe" => self.recipe_item().map(ItemKind::Recipe),
            "pipeline" => self.pipeline_item().map(ItemKind::Pipeline),
            "sweep" => self.sweep_item().map(ItemKind::Sweep),
            "suite" => Some(ItemKind::Suite(self.ident()?, self.record()?)),
            "compare" => Some(ItemKind::Compare(self.ident()?, self.record()?)),
            "profile" => Some(ItemKind::Profile(self.ident()?, self.record()?)),
            _ => None,
        }
    }

    fn use_item(&mut self) -> Option<Use> {
        let path = match self.peek(0) {
            b'"' => {
                let (text, span) = self.plain_text()?;
                UsePath::File(text, span)
            }
            _ => UsePath::Dotted(self.path()?),
        };
        let names = if self.has(b'.') { Some(self.import_list()?) } else { None };
        let alias = if names.is_none() && self.has_word("as") { Some(self.ident()?) } else { None };
        Some(Use { path, names, alias })
    }

    /// Names with points between them. A point that no name follows is left: an import list begins with it.
    pub fn path(&mut self) -> Option<Vec<Ident>> {
        let mut parts = vec![self.ident()?];
        loop {
            let before = self.at;
            let next = if self.has(b'.') { self.ident() } else { None };
            let Some(next) = next else {
                self.at = before;
                return Some(parts);
            };
            parts.push(next);
        }
    }

    fn import_list(&mut self) -> Option<Vec<Ident>> {
        self.needs(b'{')?;
        let (names, _) = self.listed(b'}', Self::ident)?;
        (!names.is_empty()).then_some(names)
    }

    fn param_item(&mut self) -> Option<Param> {
        let param = self.param()?;
        let condition = if self.has_word("where") { Some(self.expr()?) } else { None };
        Some(Param { condition, ..param })
    }

    fn param(&mut self) -> Option<Param> {
        let name = self.ident()?;
        self.needs(b':')?;
        let ty = self.ty()?;
        let default = if self.has(b'=') { Some(self.expr()?) } else { None };
        Some(Param { name, ty, default, condition: None })
    }

    fn params(&mut self) -> Option<Vec<Param>> {
        self.needs(b'(')?;
        Some(self.listed(b')', Self::param)?.0)
    }

    fn binding(&mut self) -> Option<Binding> {
        let name = self.ident()?;
        let ty = if self.has(b':') { Some(self.ty()?) } else { None };
        self.needs(b'=')?;
        Some(Binding { name, ty, value: self.expr()? })
    }

    fn recipe_item(&mut self) -> Option<Recipe> {
        let (name, params) = (self.ident()?, self.params()?);
        let returns = if self.has_arrow() { Some(self.ty()?) } else { None };
        Some(Recipe { name, params, returns, body: self.body()? })
    }

    fn pipeline_item(&mut self) -> Option<Recipe> {
        let name = self.ident()?;
        let params = if self.peek(0) == b'(' { self.params()? } else { Vec::new() };
        Some(Recipe { name, params, returns: None, body: self.body()? })
    }

    /// `= value`, or a block.
    fn body(&mut self) -> Option<Block> {
        if self.has(b'=') {
            return Some(Block { bindings: Vec::new(), result: self.expr()? });
        }
        self.needs(b'{')?;
        self.block()
    }

    /// What stands between the braces of a block, and the closing one.
    fn block(&mut self) -> Option<Block> {
        let mut bindings = Vec::new();
        while !self.has_word("return") {
            bindings.push(self.binding()?);
        }
        let result = self.expr()?;
        self.needs(b'}')?;
        Some(Block { bindings, result })
    }

    fn sweep_item(&mut self) -> Option<Sweep> {
        let name = self.ident()?;
        self.needs(b'{')?;
        let (mut axes, mut skips) = (Vec::new(), Vec::new());
        while self.has_word("over") {
            let axis = self.ident()?;
            self.needs_word("in")?;
            axes.push((axis, self.expr()?));
        }
        while self.has_word("skip") {
            self.needs_word("when")?;
            skips.push(self.expr()?);
        }
        let body = self.block()?;
        (!axes.is_empty()).then_some(Sweep { name, axes, skips, body })
    }
}

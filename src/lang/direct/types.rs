//! Written types.

use super::cursor::Cursor;
use crate::lang::ast::{Ident, TypeExpr, TypeKind};

impl Cursor<'_> {
    /// A type.
    pub fn ty(&mut self) -> Option<TypeExpr> {
        let mut ty = self.ty_atom()?;
        if self.peek(0) == b'?' {
            let span = ty.span.to(self.take(1));
            ty = TypeExpr { kind: TypeKind::Optional(Box::new(ty)), span };
        }
        if self.has_arrow() {
            let result = self.ty()?;
            let span = ty.span.to(result.span);
            ty = TypeExpr { kind: TypeKind::Function(Box::new(ty), Box::new(result)), span };
        }
        Some(ty)
    }

    /// Takes `->` where it stands here.
    pub fn has_arrow(&mut self) -> bool {
        let here = (self.peek(0), self.peek(1)) == (b'-', b'>');
        if here {
            self.take(2);
        }
        here
    }

    fn ty_atom(&mut self) -> Option<TypeExpr> {
        match self.peek(0) {
            b'[' => {
                let open = self.take(1);
                let kind = TypeKind::List(Box::new(self.ty()?));
                let span = open.to(self.closed(b']')?);
                Some(TypeExpr { kind, span })
            }
            b'{' => {
                let open = self.take(1);
                let kind = TypeKind::Record(self.record_type()?);
                let span = open.to(self.closed(b'}')?);
                Some(TypeExpr { kind, span })
            }
            b'"' => self.strings(),
            _ => self.type_name(),
        }
    }

    /// `"a" | "b"`
    fn strings(&mut self) -> Option<TypeExpr> {
        let (first, mut span) = self.plain_text()?;
        let mut texts = vec![first];
        while self.has(b'|') {
            let (text, last) = self.plain_text()?;
            texts.push(text);
            span = span.to(last);
        }
        Some(TypeExpr { kind: TypeKind::Strings(texts), span })
    }

    /// The fields of a record type, up to its closing brace.
    fn record_type(&mut self) -> Option<Vec<(Ident, TypeExpr)>> {
        let mut fields = Vec::new();
        while self.peek(0) != b'}' {
            let name = self.ident()?;
            self.needs(b':')?;
            fields.push((name, self.ty()?));
            self.has(b',');
        }
        Some(fields)
    }

    fn type_name(&mut self) -> Option<TypeExpr> {
        let parts = self.path()?;
        let span = parts.first()?.span.to(parts.last()?.span);
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        Some(TypeExpr { kind: TypeKind::Name(names.join(".")), span })
    }
}

//! The tree a file parses to: spans everywhere, chains of operators kept flat so that depth means nesting.

use super::name::Name;
use crate::base::source::Span;

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    /// The name.
    pub name: Name,
    /// Where.
    pub span: Span,
}

/// A parsed file.
#[derive(Debug, Default)]
pub struct File {
    /// The items that parsed, in the order of the file.
    pub items: Vec<Item>,
    /// Names of items that did not parse: using them is no further error.
    pub broken: Vec<String>,
}

/// One item with its doc comment.
#[derive(Debug)]
pub struct Item {
    /// The lines of its `##` comment.
    pub doc: Option<String>,
    /// The whole item.
    pub span: Span,
    /// What it is.
    pub kind: ItemKind,
}

/// What an item is.
#[derive(Debug)]
pub enum ItemKind {
    /// `use …`
    Use(Use),
    /// `param name: T = default where cond`
    Param(Param),
    /// `let name: T = value`
    Let(Binding),
    /// `recipe f(…) -> T …`
    Recipe(Recipe),
    /// `suite name { … }`
    Suite(Ident, Record),
    /// `pipeline name = …`
    Pipeline(Recipe),
    /// `sweep name { … }`
    Sweep(Sweep),
    /// `compare name { … }`
    Compare(Ident, Record),
    /// `profile name { … }`
    Profile(Ident, Record),
}

impl Item {
    /// The name it defines; an import defines its own kind of names.
    pub fn name(&self) -> Option<&Ident> {
        match &self.kind {
            ItemKind::Use(_) => None,
            ItemKind::Param(param) => Some(&param.name),
            ItemKind::Let(binding) => Some(&binding.name),
            ItemKind::Recipe(recipe) | ItemKind::Pipeline(recipe) => Some(&recipe.name),
            ItemKind::Sweep(sweep) => Some(&sweep.name),
            ItemKind::Suite(name, _) | ItemKind::Compare(name, _) | ItemKind::Profile(name, _) => Some(name),
        }
    }

    /// The keyword that opens it.
    pub fn keyword(&self) -> &'static str {
        match &self.kind {
            ItemKind::Use(_) => "use",
            ItemKind::Param(_) => "param",
            ItemKind::Let(_) => "let",
            ItemKind::Recipe(_) => "recipe",
            ItemKind::Suite(..) => "suite",
            ItemKind::Pipeline(_) => "pipeline",
            ItemKind::Sweep(_) => "sweep",
            ItemKind::Compare(..) => "compare",
            ItemKind::Profile(..) => "profile",
        }
    }
}

/// Where an import looks.
#[derive(Debug)]
pub enum UsePath {
    /// `std.arith`
    Dotted(Vec<Ident>),
    /// `"file.srlm"`
    File(String, Span),
}

/// An import.
#[derive(Debug)]
pub struct Use {
    /// Of what.
    pub path: UsePath,
    /// `.{a, b}`
    pub names: Option<Vec<Ident>>,
    /// `as n`
    pub alias: Option<Ident>,
}

/// A parameter of a file, a recipe or a pipeline.
#[derive(Debug)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Its annotation.
    pub ty: TypeExpr,
    /// Its default.
    pub default: Option<Expr>,
    /// `where …`, of a file's parameter.
    pub condition: Option<Expr>,
}

/// `name: T = value`
#[derive(Debug)]
pub struct Binding {
    /// Its name.
    pub name: Ident,
    /// Its annotation.
    pub ty: Option<TypeExpr>,
    /// Its value.
    pub value: Expr,
}

/// `{ a = …  return … }`, or a single expression.
#[derive(Debug)]
pub struct Block {
    /// The bindings before `return`.
    pub bindings: Vec<Binding>,
    /// What it gives.
    pub result: Expr,
}

/// A recipe or a pipeline.
#[derive(Debug)]
pub struct Recipe {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<Param>,
    /// The type it promises.
    pub returns: Option<TypeExpr>,
    /// What it does.
    pub body: Block,
}

/// A sweep.
#[derive(Debug)]
pub struct Sweep {
    /// Its name.
    pub name: Ident,
    /// `over name in values`
    pub axes: Vec<(Ident, Expr)>,
    /// `skip when …`
    pub skips: Vec<Expr>,
    /// What each cell does.
    pub body: Block,
}

/// A written type.
#[derive(Debug)]
pub struct TypeExpr {
    /// What it is.
    pub kind: TypeKind,
    /// Where.
    pub span: Span,
}

/// The forms of a written type.
#[derive(Debug)]
pub enum TypeKind {
    /// `Model`
    Name(String),
    /// `"a" | "b"`
    Strings(Vec<String>),
    /// `[T]`
    List(Box<TypeExpr>),
    /// `{ a: T }`
    Record(Vec<(Ident, TypeExpr)>),
    /// `T?`
    Optional(Box<TypeExpr>),
    /// `A -> B`
    Function(Box<TypeExpr>, Box<TypeExpr>),
}

/// An expression.
#[derive(Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

/// `{ … }`: fields and where the braces stand.
#[derive(Debug)]
pub struct Record {
    /// In the order written.
    pub fields: Vec<Field>,
    /// Braces included.
    pub span: Span,
}

/// A field of a record, or an argument of a call.
#[derive(Debug)]
pub enum Field {
    /// `name: value`
    Named(Ident, Expr),
    /// `...record`
    Spread(Expr),
    /// An unnamed argument; never in a record.
    Positional(Expr),
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `in`
    In,
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `mod`
    Modulo,
}

impl Arithmetic {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Modulo => "mod",
        }
    }
}

/// What follows a value directly.
#[derive(Debug)]
pub enum Suffix {
    /// `(…)`
    Call(Vec<Field>, Span),
    /// `[…]`
    Index(Expr),
    /// `.name`
    Member(Ident),
}

/// A part of a text.
#[derive(Debug)]
pub enum TextPart {
    /// Characters, escapes resolved.
    Text(String),
    /// `${…}`
    Value(Expr),
}

/// The forms of an expression.
#[derive(Debug)]
pub enum ExprKind {
    /// `none`
    None,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A number with its unit.
    Quantity(f64, Ident),
    /// A text.
    Text(Vec<TextPart>),
    /// A name.
    Name(Name),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `[item for name in values if condition]`
    Comprehension(Box<Comprehension>),
    /// `{ … }`
    Record(Record),
    /// `kind { … }`
    Construct(Ident, Record),
    /// `value(…)[…].name`
    Postfix(Box<Expr>, Vec<Suffix>),
    /// `value with { … } with { … }`
    With(Box<Expr>, Vec<Record>),
    /// `-value`
    Negate(Box<Expr>),
    /// `a + b - c`, or `a * b / c`
    Arithmetic(Box<Expr>, Vec<(Arithmetic, Expr)>),
    /// `a..b step c`
    Range(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    /// `a < b`
    Compare(Box<Expr>, Comparison, Box<Expr>),
    /// `not a`
    Not(Box<Expr>),
    /// `a and b`
    And(Vec<Expr>),
    /// `a or b`
    Or(Vec<Expr>),
    /// `a >> b`
    Join(Vec<Expr>),
    /// `value |> a |> b`
    Pipe(Box<Expr>, Vec<Expr>),
    /// `if a then b else c`
    If(Box<[Expr; 3]>),
}

/// `[item for name in values if condition]`
#[derive(Debug)]
pub struct Comprehension {
    /// What each round gives.
    pub item: Expr,
    /// The name for each value.
    pub name: Ident,
    /// Over what.
    pub values: Expr,
    /// Which to keep.
    pub condition: Option<Expr>,
}

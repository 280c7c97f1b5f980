//! What an answer says, as a tree: arithmetic at the leaves, brackets, lists and relations above.

use num_bigint::BigInt;
use num_rational::BigRational;

/// A number as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Its value.
    pub value: BigRational,
    /// Digits behind the point, where there is one.
    pub places: Option<u32>,
    /// Significant digits.
    pub significant: u32,
    /// Whether it begins with a zero that says nothing, as the minutes of a time do.
    pub padded: bool,
}

/// An answer or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `18`, `0.5`
    Number(Literal),
    /// An unknown, a point, a name: `x`, `x_1`, `\theta`.
    Symbol(String),
    /// π
    Pi,
    /// Euler's number.
    Euler,
    /// The imaginary unit.
    Imaginary,
    /// ∞
    Infinity,
    /// A sum of at least two terms.
    Sum(Vec<Tree>),
    /// A product of at least two factors.
    Product(Vec<Tree>),
    /// The first divided by the second.
    Quotient(Box<Tree>, Box<Tree>),
    /// The first to the power of the second.
    Power(Box<Tree>, Box<Tree>),
    /// The real root of that order of the second.
    Root(u32, Box<Tree>),
    /// A function by its name, applied.
    Call(String, Vec<Tree>),
    /// The negative.
    Negative(Box<Tree>),
    /// `±`: the term with both signs; true for `∓`.
    PlusMinus(bool, Box<Tree>),
    /// `30^\circ`
    Degrees(Box<Tree>),
    /// `50\%`
    Percent(Box<Tree>),
    /// `18 dollars`: a value with the words of its unit.
    Unit(Box<Tree>, Vec<String>),
    /// `204_5`: the digits and the base.
    Based(String, u32),
    /// `7:32`
    Ratio(Vec<Tree>),
    /// Entries without brackets.
    List(Vec<Tree>),
    /// Entries in brackets: `(1, 2]`.
    Group(char, char, Vec<Tree>),
    /// Elements in braces.
    Set(Vec<Tree>),
    /// A union of sets.
    Union(Vec<Tree>),
    /// A matrix, by rows.
    Matrix(Vec<Vec<Tree>>),
    /// `a < b = c`: the first side, then each sign with the side behind it.
    Relation(Box<Tree>, Vec<(Sign, Tree)>),
    /// Words.
    Words(Vec<String>),
    /// The real numbers.
    Reals,
}

/// The sign between two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `=`
    Equal,
    /// `≈`
    About,
    /// `≠`
    Unequal,
    /// `<`
    Less,
    /// `≤`
    AtMost,
    /// `>`
    Greater,
    /// `≥`
    AtLeast,
    /// `∈`
    In,
}

impl Sign {
    /// The sign read from the right.
    pub fn flipped(self) -> Sign {
        match self {
            Sign::Less => Sign::Greater,
            Sign::AtMost => Sign::AtLeast,
            Sign::Greater => Sign::Less,
            Sign::AtLeast => Sign::AtMost,
            same => same,
        }
    }

    /// Whether it orders its sides.
    pub fn orders(self) -> bool {
        matches!(self, Sign::Less | Sign::AtMost | Sign::Greater | Sign::AtLeast)
    }

    /// Whether the sides may be equal.
    pub fn is_closed(self) -> bool {
        matches!(self, Sign::AtMost | Sign::AtLeast)
    }
}

impl Tree {
    /// A whole number.
    pub fn integer(value: impl Into<BigInt>) -> Tree {
        Tree::Number(Literal { value: BigRational::from(value.into()), places: None, significant: 0, padded: false })
    }

    /// The parts directly below, in order.
    pub fn children(&self) -> Vec<&Tree> {
        match self {
            Tree::Number(_) | Tree::Symbol(_) | Tree::Pi | Tree::Euler | Tree::Imaginary | Tree::Infinity => Vec::new(),
            Tree::Based(..) | Tree::Words(_) | Tree::Reals => Vec::new(),
            Tree::Sum(parts) | Tree::Product(parts) | Tree::Call(_, parts) | Tree::Ratio(parts) => {
                parts.iter().collect()
            }
            Tree::List(parts) | Tree::Group(_, _, parts) | Tree::Set(parts) | Tree::Union(parts) => {
                parts.iter().collect()
            }
            Tree::Quotient(left, right) | Tree::Power(left, right) => vec![left, right],
            Tree::Root(_, inner) | Tree::Negative(inner) | Tree::PlusMinus(_, inner) => vec![inner],
            Tree::Degrees(inner) | Tree::Percent(inner) | Tree::Unit(inner, _) => vec![inner],
            Tree::Matrix(rows) => rows.iter().flatten().collect(),
            Tree::Relation(first, sides) => {
                std::iter::once(&**first).chain(sides.iter().map(|(_, side)| side)).collect()
            }
        }
    }

    /// Whether the tree or a part of it is what is asked for.
    pub fn contains(&self, wanted: &dyn Fn(&Tree) -> bool) -> bool {
        wanted(self) || self.children().into_iter().any(|child| child.contains(wanted))
    }

    /// The tree with `±` read as plus, or as minus.
    pub fn signed(&self, minus: bool) -> Tree {
        let each = |parts: &[Tree]| parts.iter().map(|part| part.signed(minus)).collect::<Vec<_>>();
        let one = |part: &Tree| Box::new(part.signed(minus));
        match self {
            Tree::PlusMinus(swapped, inner) if minus != *swapped => Tree::Negative(one(inner)),
            Tree::PlusMinus(_, inner) => inner.signed(minus),
            Tree::Sum(parts) => Tree::Sum(each(parts)),
            Tree::Product(parts) => Tree::Product(each(parts)),
            Tree::Quotient(left, right) => Tree::Quotient(one(left), one(right)),
            Tree::Power(left, right) => Tree::Power(one(left), one(right)),
            Tree::Root(order, inner) => Tree::Root(*order, one(inner)),
            Tree::Call(name, parts) => Tree::Call(name.clone(), each(parts)),
            Tree::Negative(inner) => Tree::Negative(one(inner)),
            Tree::Degrees(inner) => Tree::Degrees(one(inner)),
            Tree::Percent(inner) => Tree::Percent(one(inner)),
            Tree::Unit(inner, words) => Tree::Unit(one(inner), words.clone()),
            Tree::Group(open, close, parts) => Tree::Group(*open, *close, each(parts)),
            Tree::Relation(first, sides) => {
                Tree::Relation(one(first), sides.iter().map(|(sign, side)| (*sign, side.signed(minus))).collect())
            }
            other => other.clone(),
        }
    }
}

//! What kind of answer a tree is: a value, a list, an interval, an equation, something named, …

use super::budget::Stop;
use super::matrix;
use super::tree::{Literal, Sign, Tree};
use super::unit;
use num_bigint::BigInt;
use num_rational::BigRational;

/// An answer by its kind.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A number or an expression.
    Value(Value),
    /// Words, in small letters.
    Words(String),
    /// Entries without brackets.
    List(Vec<Shape>),
    /// Elements in braces.
    Set(Vec<Shape>),
    /// A tuple, a point or an interval, with its brackets.
    Group(char, char, Vec<Shape>),
    /// A union.
    Union(Vec<Shape>),
    /// A matrix, by rows.
    Matrix(Vec<Vec<Shape>>),
    /// A ratio.
    Ratio(Vec<Tree>),
    /// An equation in unknowns.
    Equation(Tree, Tree),
    /// `≠`
    Unequal(Tree, Tree),
    /// A chain of inequalities.
    Order(Tree, Vec<(Sign, Tree)>),
    /// What is said to be something: `x = 5`, `x \in [0, 1]`.
    Named(Tree, Box<Shape>),
    /// An exact answer and its rounding: `70/9 ≈ 7.78`.
    About(Box<Shape>, Box<Shape>),
    /// The real numbers.
    Reals,
}

/// A number or an expression with what stands around it.
#[derive(Clone, Debug)]
pub struct Value {
    /// Without percent sign and unit.
    pub tree: Tree,
    /// Whether a percent sign stood behind it.
    pub percent: bool,
    /// Its unit, where that is a known measure.
    pub measure: Option<&'static str>,
    /// The number as written, where it is nothing but a decimal.
    pub decimal: Option<Literal>,
}

impl Shape {
    /// A bare value.
    pub fn value(tree: Tree) -> Shape {
        Shape::Value(Value { tree, percent: false, measure: None, decimal: None })
    }
}

/// The kind of a tree.
///
/// # Errors
/// [`Stop::Beyond`] for relations that are not compared.
pub fn shape(tree: &Tree) -> Result<Shape, Stop> {
    match tree {
        Tree::List(parts) => Ok(list(shapes(parts)?)),
        Tree::Set(parts) => Ok(Shape::Set(shapes(parts)?)),
        Tree::Group(open, close, parts) => {
            Ok(Shape::Group(*open, *close, parts.iter().map(shape).collect::<Result<_, _>>()?))
        }
        Tree::Union(parts) => union(parts),
        Tree::Matrix(rows) => {
            let rows: Result<Vec<Vec<Shape>>, Stop> = rows.iter().map(|row| row.iter().map(shape).collect()).collect();
            Ok(Shape::Matrix(rows?))
        }
        Tree::Ratio(parts) => Ok(Shape::Ratio(parts.clone())),
        Tree::Relation(first, sides) => relation(first, sides),
        Tree::Words(words) => Ok(Shape::Words(words.join(" ").to_lowercase())),
        Tree::Reals => Ok(Shape::Reals),
        value if value.contains(&|part| matches!(part, Tree::Matrix(_))) => shape(&Tree::Matrix(matrix::value(value)?)),
        value if value.contains(&|part| matches!(part, Tree::PlusMinus(..))) => {
            Ok(Shape::List(vec![shape(&value.signed(false))?, shape(&value.signed(true))?]))
        }
        value => Ok(Shape::Value(plain(value)?)),
    }
}

/// The kinds of entries, both values of a `±` as two entries.
fn shapes(parts: &[Tree]) -> Result<Vec<Shape>, Stop> {
    let mut shapes = Vec::with_capacity(parts.len());
    for part in parts {
        match shape(part)? {
            Shape::List(both) if !matches!(part, Tree::List(_)) => shapes.extend(both),
            // `p=5,q=2;p=7,q=2` is a list of two pairs.
            Shape::List(inner) => shapes.push(Shape::Group('(', ')', inner)),
            one => shapes.push(one),
        }
    }
    Ok(shapes)
}

/// A union; one of finite sets is a set.
fn union(parts: &[Tree]) -> Result<Shape, Stop> {
    let shapes: Vec<Shape> = parts.iter().map(shape).collect::<Result<_, _>>()?;
    let finite: Option<Vec<Vec<Shape>>> = shapes
        .iter()
        .map(|part| match part {
            Shape::Set(elements) => Some(elements.clone()),
            _ => None,
        })
        .collect();
    // `x \in A \cup B` is read as `(x \in A) \cup B` nowhere: relations bind weaker.
    Ok(finite.map_or(Shape::Union(shapes), |sets| Shape::Set(sets.concat())))
}

/// A list: `x = 2, 3` and `x = 2, x = 3` name two values of x.
fn list(parts: Vec<Shape>) -> Shape {
    let name_of = |part: &Shape| match part {
        Shape::Named(name, _) => Some(name.clone()),
        _ => None,
    };
    let Some(name) = parts.first().and_then(name_of) else { return Shape::List(parts) };
    let same = parts.iter().all(|part| name_of(part).is_some_and(|other| other == name));
    let first_only = parts[1..].iter().all(|part| matches!(part, Shape::Value(_) | Shape::Group(..) | Shape::Words(_)));
    if !same && !first_only {
        return Shape::List(parts);
    }
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Shape::Named(_, value) => match *value {
                Shape::List(both) => values.extend(both),
                one => values.push(one),
            },
            one => values.push(one),
        }
    }
    Shape::Named(name, Box::new(Shape::List(values)))
}

/// A value without its percent sign and its unit.
fn plain(tree: &Tree) -> Result<Value, Stop> {
    match tree {
        Tree::Percent(inner) if matches!(**inner, Tree::Percent(_)) => Err(Stop::Beyond),
        Tree::Percent(inner) => Ok(Value { percent: true, decimal: None, ..plain(inner)? }),
        Tree::Degrees(inner) => plain(inner),
        Tree::Negative(inner) => {
            let value = plain(inner)?;
            let decimal = value.decimal.map(|number| Literal { value: -number.value, ..number });
            Ok(Value { tree: Tree::Negative(Box::new(value.tree)), decimal, ..value })
        }
        Tree::Unit(inner, words) => {
            let effect = unit::effect(words).ok_or(Stop::Beyond)?;
            let value = plain(inner)?;
            let scaled =
                effect.scale.map(|scale| Tree::Product(vec![value.tree.clone(), Tree::integer(BigInt::from(scale))]));
            Ok(Value {
                percent: value.percent || effect.percent,
                measure: effect.measure,
                decimal: value.decimal.filter(|_| scaled.is_none()),
                tree: scaled.unwrap_or(value.tree),
            })
        }
        Tree::Number(number) => {
            let decimal = number.places.map(|_| number.clone());
            Ok(Value { tree: tree.clone(), percent: false, measure: None, decimal })
        }
        // A percent sign behind the last factor of a sum or a product stands for a hundredth in it, as it is.
        other => Ok(Value { tree: other.clone(), percent: false, measure: None, decimal: None }),
    }
}

fn relation(first: &Tree, sides: &[(Sign, Tree)]) -> Result<Shape, Stop> {
    if let [(Sign::Unequal, other)] = sides {
        return Ok(Shape::Unequal(first.clone(), other.clone()));
    }
    if let [(Sign::In, set)] = sides {
        return if is_name(first) { Ok(Shape::Named(first.clone(), Box::new(shape(set)?))) } else { Err(Stop::Beyond) };
    }
    if sides.iter().all(|(sign, _)| sign.orders()) {
        return Ok(Shape::Order(first.clone(), sides.to_vec()));
    }
    if !sides.iter().all(|(sign, _)| matches!(sign, Sign::Equal | Sign::About)) {
        return Err(Stop::Beyond);
    }
    let about = sides.iter().position(|(sign, _)| *sign == Sign::About);
    match about {
        Some(0) if is_name(first) => chain(first, sides),
        Some(0) => Ok(Shape::About(Box::new(shape(first)?), Box::new(shape(&sides[0].1)?))),
        Some(at) => {
            let exact = chain(first, &sides[..at])?;
            Ok(Shape::About(Box::new(exact), Box::new(shape(&sides[at].1)?)))
        }
        None => chain(first, sides),
    }
}

/// A chain of equal sides: the last one answers where those before it are a name or plain arithmetic.
fn chain(first: &Tree, sides: &[(Sign, Tree)]) -> Result<Shape, Stop> {
    let Some(((_, last), before)) = sides.split_last() else { return shape(first) };
    let answers = |tree: &Tree| is_name(tree) || is_arithmetic(tree);
    let named = is_name(first);
    // `7 = 11a + c` is an equation, and `2 \times 3 = 6` a computation.
    let computes = is_name(last) || is_arithmetic(last);
    if answers(first) && (named || computes && before.iter().all(|(_, side)| answers(side))) {
        let side = shape(last)?;
        // `3 = s` says what s is.
        if is_name(last) && !named {
            return Ok(Shape::Named(last.clone(), Box::new(shape(first)?)));
        }
        return Ok(if named { Shape::Named(first.clone(), Box::new(side)) } else { side });
    }
    match before {
        [] if is_name(last) => Ok(Shape::Named(last.clone(), Box::new(shape(first)?))),
        [] => Ok(Shape::Equation(first.clone(), last.clone())),
        _ => Err(Stop::Beyond),
    }
}

/// Whether there are no unknowns in it.
fn is_arithmetic(tree: &Tree) -> bool {
    !tree.contains(&|part| matches!(part, Tree::Symbol(_) | Tree::Relation(..) | Tree::Words(_)))
}

/// A name for what is sought: `x`, `x_1`, `f(x)`, `(p, q)`, `AB`, `|AB|`, `V_1 : V_2`.
pub fn is_name(tree: &Tree) -> bool {
    let capital = |tree: &Tree| matches!(tree, Tree::Symbol(name) if name.starts_with(char::is_uppercase));
    match tree {
        Tree::Symbol(_) | Tree::Words(_) => true,
        Tree::Call(name, _) if name == "abs" => tree.children().into_iter().all(capital),
        Tree::Call(name, _) => is_unknown_function(name),
        Tree::Quotient(over, under) => capital(over) && capital(under),
        Tree::Ratio(parts) => parts.iter().all(is_name),
        Tree::Group('(', ')', parts) => parts.iter().all(is_name),
        _ => false,
    }
}

/// Whether a function is one that an answer may define, `f` or `f'`, rather than a known one.
pub fn is_unknown_function(name: &str) -> bool {
    name.chars().skip(1).all(|c| !c.is_alphabetic())
}

/// Whether two names may stand for the same: `x` and `x_1` may, `x` and `y` or `x_1` and `x_2` may not.
pub fn names_agree(left: &Tree, right: &Tree) -> bool {
    match (left, right) {
        (Tree::Symbol(left), Tree::Symbol(right)) => {
            let (left_head, left_index) = left.split_once('_').unwrap_or((left, ""));
            let (right_head, right_index) = right.split_once('_').unwrap_or((right, ""));
            left_head == right_head && (left_index == right_index || left_index.is_empty() || right_index.is_empty())
        }
        (Tree::Call(left, of), Tree::Call(right, other)) => {
            let names_only = |parts: &[Tree]| parts.iter().all(|part| matches!(part, Tree::Symbol(_)));
            left == right && (of == other || (names_only(of) && names_only(other)))
        }
        (Tree::Symbol(symbol), Tree::Call(name, _)) | (Tree::Call(name, _), Tree::Symbol(symbol)) => symbol == name,
        _ => left == right,
    }
}

/// The interval that a chain of inequalities around a name says; none where it says something else.
pub fn interval(first: &Tree, sides: &[(Sign, Tree)]) -> Option<Shape> {
    let bound = |tree: &Tree| Shape::value(tree.clone());
    let unbounded = |negative: bool| {
        let infinity = Tree::Infinity;
        Shape::value(if negative { Tree::Negative(Box::new(infinity)) } else { infinity })
    };
    let open = |closed: bool| if closed { '[' } else { '(' };
    let shut = |closed: bool| if closed { ']' } else { ')' };
    match sides {
        [(sign, other)] => {
            let (sign, other) = match (is_name(first), is_name(other)) {
                (true, _) => (*sign, other),
                (false, true) => (sign.flipped(), first),
                _ => return None,
            };
            Some(match sign {
                Sign::Less | Sign::AtMost => {
                    Shape::Group('(', shut(sign.is_closed()), vec![unbounded(true), bound(other)])
                }
                _ => Shape::Group(open(sign.is_closed()), ')', vec![bound(other), unbounded(false)]),
            })
        }
        [(left, name), (right, last)] if is_name(name) => {
            let up = |sign: &Sign| matches!(sign, Sign::Less | Sign::AtMost);
            let (low, high, left, right) = match (up(left), up(right)) {
                (true, true) => (first, last, left, right),
                (false, false) => (last, first, right, left),
                _ => return None,
            };
            Some(Shape::Group(open(left.is_closed()), shut(right.is_closed()), vec![bound(low), bound(high)]))
        }
        _ => None,
    }
}

/// The numbers that a chain of inequalities around an absolute value says, and the bound that must not be negative:
/// `|x| < 3` is an interval, `1 < |x|` a union of two.
pub fn absolute_interval(first: &Tree, sides: &[(Sign, Tree)]) -> Option<(Shape, Tree)> {
    let bare = |tree: &Tree| match tree {
        Tree::Call(name, parts) if name == "abs" && matches!(parts[..], [Tree::Symbol(_)]) => parts[0].clone(),
        other => other.clone(),
    };
    let inner: Vec<(Sign, Tree)> = sides.iter().map(|(sign, side)| (*sign, bare(side))).collect();
    if bare(first) == *first && inner == sides {
        return None;
    }
    let Some(Shape::Group(open, close, ends)) = interval(&bare(first), &inner) else { return None };
    let [Shape::Value(low), Shape::Value(high)] = &ends[..] else { return None };
    let minus = |value: &Value| Shape::value(Tree::Negative(Box::new(value.tree.clone())));
    let (mirrored_open, mirrored_close) = (if open == '[' { ']' } else { ')' }, if close == ']' { '[' } else { '(' });
    if low.tree == Tree::Negative(Box::new(Tree::Infinity)) {
        return Some((Shape::Group(mirrored_close, close, vec![minus(high), ends[1].clone()]), high.tree.clone()));
    }
    let below = Shape::Group(mirrored_close, mirrored_open, vec![minus(high), minus(low)]);
    Some((Shape::Union(vec![below, Shape::Group(open, close, ends.clone())]), low.tree.clone()))
}

/// A whole number as a rational.
pub fn rational(value: i64) -> BigRational {
    BigRational::from(BigInt::from(value))
}

//! Whether two answers of any kind are equal, and on what ground.

use super::budget::{Budget, Stop};
use super::equality;
use super::shape::{Shape, absolute_interval, interval, names_agree, shape};
use super::tree::{Sign, Tree};
use super::verdict::Ground;

/// The ground on which two trees are equal, if they are.
///
/// # Errors
/// [`Stop::TooLarge`] where the budget is spent, [`Stop::Beyond`] for relations that are not compared.
pub fn compare(left: &Tree, right: &Tree, budget: &Budget) -> Result<Option<Ground>, Stop> {
    shapes(&shape(left)?, &shape(right)?, budget)
}

fn shapes(left: &Shape, right: &Shape, budget: &Budget) -> Result<Option<Ground>, Stop> {
    budget.spend(1)?;
    // What is written around an answer first, each way round; then kind against kind.
    if let Some(verdict) = around(left, right, budget)? {
        return Ok(verdict);
    }
    if let Some(verdict) = around(right, left, budget)? {
        return Ok(verdict);
    }
    match same_kind(left, right, budget)? {
        Some(ground) => Ok(Some(ground)),
        None => match mixed_kinds(left, right, budget)? {
            Some(ground) => Ok(Some(ground)),
            None => mixed_kinds(right, left, budget),
        },
    }
}

/// Peels a name or a rounding off the first; the outer none where there is nothing to peel.
fn around(left: &Shape, right: &Shape, budget: &Budget) -> Result<Option<Option<Ground>>, Stop> {
    match (left, right) {
        (Shape::About(exact, rounded), other) => {
            let first = shapes(exact, other, budget)?;
            Ok(Some(if first.is_some() { first } else { shapes(rounded, other, budget)? }))
        }
        (Shape::Named(name, value), Shape::Named(other, second)) => {
            if names_agree(name, other) {
                return shapes(value, second, budget).map(Some);
            }
            // `y = 2x` and `x = y/2` are one line.
            match (&**value, &**second) {
                (Shape::Value(value), Shape::Value(second)) => {
                    let same = equality::equations((name, &value.tree), (other, &second.tree), budget)?;
                    Ok(Some(same.then_some(Ground::Equation)))
                }
                _ => Ok(Some(None)),
            }
        }
        (Shape::Named(name, value), Shape::Equation(from, to)) => match &**value {
            Shape::Value(value) => {
                let same = equality::equations((name, &value.tree), (from, to), budget)?;
                Ok(Some(same.then_some(Ground::Equation)))
            }
            _ => Ok(Some(None)),
        },
        (Shape::Named(_, value), other) => shapes(value, other, budget).map(Some),
        (Shape::Set(one) | Shape::List(one), other) if one.len() == 1 && !is_collection(other) => {
            shapes(&one[0], other, budget).map(Some)
        }
        _ => Ok(None),
    }
}

fn is_collection(shape: &Shape) -> bool {
    matches!(shape, Shape::Set(_) | Shape::List(_) | Shape::Union(_))
}

fn same_kind(left: &Shape, right: &Shape, budget: &Budget) -> Result<Option<Ground>, Stop> {
    let found = |same: bool, ground: Ground| Ok(same.then_some(ground));
    match (left, right) {
        (Shape::Value(left), Shape::Value(right)) => equality::values(left, right, budget),
        (Shape::Words(left), Shape::Words(right)) => found(left == right, Ground::Words),
        (Shape::Reals, Shape::Reals) => Ok(Some(Ground::Collection)),
        (Shape::List(left), Shape::List(right)) => lists(left, right, budget),
        (Shape::Set(left), Shape::Set(right)) => found(is_same_set(left, right, budget)?, Ground::Collection),
        (Shape::Union(left), Shape::Union(right)) => found(is_matched(left, right, budget)?, Ground::Collection),
        (Shape::Group(open, close, left), Shape::Group(other_open, other_close, right)) => {
            let same = open == other_open && close == other_close && is_pairwise(left, right, budget)?;
            found(same, Ground::Tuple)
        }
        (Shape::Matrix(left), Shape::Matrix(right)) => {
            let rows = left.len() == right.len();
            let mut pairs = left.iter().zip(right);
            let same =
                rows && pairs.try_fold(true, |same, (left, right)| Ok(same && is_pairwise(left, right, budget)?))?;
            found(same, Ground::Matrix)
        }
        (Shape::Ratio(left), Shape::Ratio(right)) => found(equality::ratios(left, right, budget)?, Ground::Ratio),
        (Shape::Equation(a, b), Shape::Equation(c, d)) | (Shape::Unequal(a, b), Shape::Unequal(c, d)) => {
            found(equality::equations((a, b), (c, d), budget)?, Ground::Equation)
        }
        (Shape::Order(first, sides), Shape::Order(other, others)) => orders((first, sides), (other, others), budget),
        _ => Ok(None),
    }
}

fn mixed_kinds(left: &Shape, right: &Shape, budget: &Budget) -> Result<Option<Ground>, Stop> {
    let found = |same: bool, ground: Ground| Ok(same.then_some(ground));
    match (left, right) {
        (Shape::List(list), Shape::Set(set)) => found(is_same_set(list, set, budget)?, Ground::Collection),
        // A bare list answers a tuple in its order.
        (Shape::List(list), Shape::Group('(', ')', entries)) => {
            found(is_pairwise(&unnamed(list), entries, budget)?, Ground::Tuple)
        }
        (Shape::Matrix(rows), Shape::Group('(', ')', entries)) => {
            let vector = if rows.len() == 1 { rows[0].clone() } else { rows.iter().flatten().cloned().collect() };
            let is_vector = rows.len() == 1 || rows.iter().all(|row| row.len() == 1);
            found(is_vector && is_pairwise(&vector, entries, budget)?, Ground::Tuple)
        }
        (Shape::Order(first, sides), Shape::Group(..) | Shape::Union(_)) => {
            if let Some((numbers, bound)) = absolute_interval(first, sides) {
                let sound = equality::at_most(&Tree::integer(0), &bound, budget) == Some(true);
                return if sound { shapes(&numbers, right, budget) } else { Ok(None) };
            }
            interval(first, sides).map_or(Ok(None), |interval| shapes(&interval, right, budget))
        }
        (Shape::List(parts), Shape::Union(intervals)) => match disjoint(parts, budget) {
            Some(own) => found(is_matched(&own, intervals, budget)?, Ground::Collection),
            None => Ok(None),
        },
        (Shape::Reals, Shape::Group('(', ')', ends)) => {
            let whole = [Tree::Negative(Box::new(Tree::Infinity)), Tree::Infinity].map(Shape::value);
            found(is_pairwise(&whole, ends, budget)?, Ground::Tuple)
        }
        (Shape::Ratio(parts), Shape::Value(value)) if parts.len() == 2 && !equality::is_time(parts) => {
            let ratio = Shape::value(Tree::Ratio(parts.clone()));
            same_kind(&ratio, &Shape::Value(value.clone()), budget)
        }
        _ => Ok(None),
    }
}

/// Two lists: in any order, except where one of them names its entries and the other does not.
fn lists(left: &[Shape], right: &[Shape], budget: &Budget) -> Result<Option<Ground>, Stop> {
    let named = |list: &[Shape]| list.iter().all(|entry| matches!(entry, Shape::Named(..)));
    if named(left) != named(right) {
        let same = is_pairwise(&unnamed(left), &unnamed(right), budget)?;
        return Ok(same.then_some(Ground::Tuple));
    }
    Ok(is_same_set(left, right, budget)?.then_some(Ground::Collection))
}

/// The values of a list's entries without their names.
fn unnamed(list: &[Shape]) -> Vec<Shape> {
    let bare = |entry: &Shape| match entry {
        Shape::Named(_, value) => (**value).clone(),
        other => other.clone(),
    };
    list.iter().map(bare).collect()
}

fn is_equal(left: &Shape, right: &Shape, budget: &Budget) -> Result<bool, Stop> {
    Ok(shapes(left, right, budget)?.is_some())
}

fn is_pairwise(left: &[Shape], right: &[Shape], budget: &Budget) -> Result<bool, Stop> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (left, right) in left.iter().zip(right) {
        if !is_equal(left, right, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the entries are the same in some order, each as often.
fn is_matched(left: &[Shape], right: &[Shape], budget: &Budget) -> Result<bool, Stop> {
    if left.len() != right.len() {
        return Ok(false);
    }
    let mut free: Vec<&Shape> = right.iter().collect();
    for entry in left {
        let mut found = None;
        for (at, other) in free.iter().enumerate() {
            if is_equal(entry, other, budget)? {
                found = Some(at);
                break;
            }
        }
        let Some(at) = found else { return Ok(false) };
        free.swap_remove(at);
    }
    Ok(true)
}

/// Whether the elements are the same, however often each is written.
fn is_same_set(left: &[Shape], right: &[Shape], budget: &Budget) -> Result<bool, Stop> {
    for (these, those) in [(left, right), (right, left)] {
        for entry in these {
            let mut found = false;
            for other in those {
                found = found || is_equal(entry, other, budget)?;
            }
            if !found {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The intervals of inequalities in one list, where no number can satisfy two of them, so that they are alternatives.
fn disjoint(parts: &[Shape], budget: &Budget) -> Option<Vec<Shape>> {
    let own: Vec<Shape> = parts
        .iter()
        .map(|part| match part {
            Shape::Order(first, sides) => interval(first, sides),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let [Shape::Group(.., first), Shape::Group(.., second)] = own.as_slice() else { return None };
    let ([Shape::Value(low), Shape::Value(high)], [Shape::Value(other_low), Shape::Value(other_high)]) =
        (first.as_slice(), second.as_slice())
    else {
        return None;
    };
    let apart = |high: &Tree, low: &Tree| equality::at_most(high, low, budget).unwrap_or(false);
    (apart(&high.tree, &other_low.tree) || apart(&other_high.tree, &low.tree)).then_some(own)
}

type Chain<'a> = (&'a Tree, &'a [(Sign, Tree)]);

/// Two chains of inequalities: as intervals, as multiples of each other, or side by side.
fn orders(
    left: (&Tree, &Vec<(Sign, Tree)>),
    right: (&Tree, &Vec<(Sign, Tree)>),
    budget: &Budget,
) -> Result<Option<Ground>, Stop> {
    if let ([(sign, to)], [(other_sign, other_to)]) = (left.1.as_slice(), right.1.as_slice()) {
        let same = equality::inequalities((left.0, *sign, to), (right.0, *other_sign, other_to), budget)?;
        return Ok(same.then_some(Ground::Inequality));
    }
    let backwards = turned((right.0, right.1));
    let same = is_same_chain((left.0, left.1), (right.0, right.1), budget)?
        || is_same_chain((left.0, left.1), (&backwards.0, &backwards.1), budget)?;
    Ok(same.then_some(Ground::Inequality))
}

/// A chain read from the right.
fn turned((first, sides): Chain) -> (Tree, Vec<(Sign, Tree)>) {
    let mut all: Vec<&Tree> = std::iter::once(first).chain(sides.iter().map(|(_, side)| side)).collect();
    all.reverse();
    let signs = sides.iter().rev().map(|(sign, _)| sign.flipped());
    let turned = signs.zip(all[1..].iter().map(|side| (*side).clone())).collect();
    (all[0].clone(), turned)
}

fn is_same_chain(left: Chain, right: Chain, budget: &Budget) -> Result<bool, Stop> {
    let signs = left.1.len() == right.1.len() && left.1.iter().zip(right.1).all(|((a, _), (b, _))| a == b);
    if !signs {
        return Ok(false);
    }
    let all = |(first, sides): Chain| -> Result<Vec<Shape>, Stop> {
        std::iter::once(first).chain(sides.iter().map(|(_, side)| side)).map(shape).collect()
    };
    is_pairwise(&all(left)?, &all(right)?, budget)
}

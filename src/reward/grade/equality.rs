//! Whether two expressions, two equations or two inequalities say the same.

use super::budget::{Budget, Stop};
use super::interval::Precision;
use super::literal::terminates;
use super::normal::normal;
use super::numeric;
use super::polynomial::{Fraction, Polynomial, Product};
use super::shape::{Value, rational};
use super::tree::{Literal, Sign, Tree};
use super::verdict::Ground;
use super::zero;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, Zero};
use std::cmp::Ordering;

/// The significant digits that a decimal needs to stand for a number without end.
const MIN_DIGITS: u32 = 6;

/// Why two values are equal, if they are.
///
/// # Errors
/// [`Stop::TooLarge`] where the budget is spent.
pub fn values(left: &Value, right: &Value, budget: &Budget) -> Result<Option<Ground>, Stop> {
    if let (Some(left), Some(right)) = (left.measure, right.measure)
        && left != right
    {
        return Ok(None);
    }
    if let (Tree::Based(..), _) | (_, Tree::Based(..)) = (&left.tree, &right.tree) {
        // In another base the same number would be another answer.
        return Ok((left.tree == right.tree).then_some(Ground::Value));
    }
    if let Some(same) = infinities(&left.tree, &right.tree) {
        return Ok(same.then_some(Ground::Value));
    }
    let (a, b) = match (normal(&left.tree, budget), normal(&right.tree, budget)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(Stop::TooLarge), _) | (_, Err(Stop::TooLarge)) => return Err(Stop::TooLarge),
        _ => return Ok(None),
    };
    if equal(&a, &b, budget)? {
        let numbers = a.as_number().is_some() && b.as_number().is_some();
        return Ok(Some(if numbers { Ground::Value } else { Ground::Expression }));
    }
    let share = match (left.percent, right.percent) {
        (true, false) => is_share(&a, &b),
        (false, true) => is_share(&b, &a),
        _ => false,
    };
    if share {
        return Ok(Some(Ground::Percent));
    }
    let rounded = match (&left.decimal, &right.decimal) {
        (Some(decimal), None) => is_rounding(decimal, &b, budget)?,
        (None, Some(decimal)) => is_rounding(decimal, &a, budget)?,
        _ => false,
    };
    Ok(rounded.then_some(Ground::Rounded))
}

/// Whether two infinities have the same sign; none where neither is one.
fn infinities(left: &Tree, right: &Tree) -> Option<bool> {
    let sign = |tree: &Tree| match tree {
        Tree::Infinity => Some(true),
        Tree::Negative(inner) if **inner == Tree::Infinity => Some(false),
        _ => None,
    };
    match (sign(left), sign(right)) {
        (None, None) => None,
        (left, right) => Some(left == right),
    }
}

/// Whether two fractions are the same function, or the same number.
fn equal(left: &Fraction, right: &Fraction, budget: &Budget) -> Result<bool, Stop> {
    let difference = left.over.times(&right.under, budget)?;
    let other = right.over.times(&left.under, budget)?;
    let difference = difference.plus(&other.scaled(&-BigRational::one()), budget)?;
    Ok(zero::is_zero(&difference, budget)? && has_value(left, budget)? && has_value(right, budget)?)
}

/// Whether the denominator is not zero: it may be so only after more than its terms show.
fn has_value(value: &Fraction, budget: &Budget) -> Result<bool, Stop> {
    Ok(value.under.as_number().is_some() || !zero::is_zero(&value.under, budget)?)
}

/// 50% is 50 by the habit of data sets, and 1/2 by its meaning; the latter only where the plain number is a share.
fn is_share(percent: &Fraction, plain: &Fraction) -> bool {
    match (percent.as_number(), plain.as_number()) {
        (Some(percent), Some(plain)) => plain.abs() <= BigRational::one() && percent == plain * rational(100),
        _ => false,
    }
}

/// Whether a decimal of at least six significant digits is the exact value cut or rounded to its places, where the
/// value has no end as a decimal: 0.333333 answers 1/3, 0.33 and 0.333334 do not, and nothing but 0.5 answers 1/2.
fn is_rounding(decimal: &Literal, exact: &Fraction, budget: &Budget) -> Result<bool, Stop> {
    let Some(places) = decimal.places.filter(|places| *places <= 100 && decimal.significant >= MIN_DIGITS) else {
        return Ok(false);
    };
    let last_place = BigRational::new(BigInt::one(), BigInt::from(10).pow(places));
    // Cut, the decimal lies between zero and the value; rounded, at most half a place beyond it.
    let beyond = &last_place / rational(2);
    let (least, most) = if decimal.value.is_negative() {
        (&decimal.value - &last_place, &decimal.value + &beyond)
    } else {
        (&decimal.value - &beyond, &decimal.value + &last_place)
    };
    if let Some(exact) = exact.as_number() {
        return Ok(!terminates(exact.denom()) && least <= exact && exact <= most);
    }
    if !exact.is_constant() {
        return Ok(false);
    }
    let at = Precision { bits: 128 + 4 * places, budget };
    match numeric::fraction(exact, at) {
        Ok(near) => Ok(near.im.has_zero() && numeric::is_between(&near.re, &least, &most, at)),
        Err(Stop::TooLarge) => Err(Stop::TooLarge),
        Err(_) => Ok(false),
    }
}

/// Whether two equations have the same solutions, because one is a multiple of the other.
///
/// # Errors
/// [`Stop::TooLarge`] where the budget is spent.
pub fn equations(left: (&Tree, &Tree), right: (&Tree, &Tree), budget: &Budget) -> Result<bool, Stop> {
    Ok(factor(left, right, budget)?.is_some())
}

/// Whether two inequalities have the same solutions, because one is a multiple of the other.
///
/// # Errors
/// [`Stop::TooLarge`] where the budget is spent.
pub fn inequalities(left: (&Tree, Sign, &Tree), right: (&Tree, Sign, &Tree), budget: &Budget) -> Result<bool, Stop> {
    match factor((left.0, left.2), (right.0, right.2), budget)? {
        Some(Ordering::Greater) => Ok(left.1 == right.1),
        Some(Ordering::Less) => Ok(left.1 == right.1.flipped()),
        _ => Ok(false),
    }
}

/// The sign of the number by which the difference of one pair of sides is the other's, if there is one; equal where it
/// is not real.
fn factor(left: (&Tree, &Tree), right: (&Tree, &Tree), budget: &Budget) -> Result<Option<Ordering>, Stop> {
    let side = |(from, to): (&Tree, &Tree)| normal(from, budget)?.plus(&normal(to, budget)?.negative(), budget);
    let (a, b) = match (side(left), side(right)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(Stop::TooLarge), _) | (_, Err(Stop::TooLarge)) => return Err(Stop::TooLarge),
        _ => return Ok(None),
    };
    let (a, b) = (a.over.times(&b.under, budget)?, b.over.times(&a.under, budget)?);
    let (of_a, of_b) = (by_unknowns(&a), by_unknowns(&b));
    // A number on one side alone is no equation.
    let Some((unknowns, first)) = of_a.iter().find(|(unknowns, _)| !unknowns.is_empty()) else { return Ok(None) };
    let Some((_, second)) = of_b.iter().find(|(other, _)| other == unknowns) else { return Ok(None) };
    let minus = -BigRational::one();
    let difference = a.times(second, budget)?.plus(&b.times(first, budget)?.scaled(&minus), budget)?;
    if zero::is_zero(first, budget)? || zero::is_zero(second, budget)? || !zero::is_zero(&difference, budget)? {
        return Ok(None);
    }
    Ok(Some(match (zero::sign(first, budget), zero::sign(second, budget)) {
        (Ok(first), Ok(second)) => {
            if first == second {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        _ => Ordering::Equal,
    }))
}

/// A polynomial's coefficients by the product of unknowns that they stand beside.
fn by_unknowns(value: &Polynomial) -> Vec<(Product, Polynomial)> {
    let mut parts = std::collections::BTreeMap::<Product, Polynomial>::new();
    for (product, coefficient) in &value.0 {
        let (constant, unknown): (Product, Product) =
            product.clone().into_iter().partition(|(atom, _)| atom.is_constant());
        parts.entry(unknown).or_default().0.insert(constant, coefficient.clone());
    }
    parts.into_iter().collect()
}

/// Whether one number is at most another; none where it cannot be told.
pub fn at_most(left: &Tree, right: &Tree, budget: &Budget) -> Option<bool> {
    let difference = normal(right, budget).ok()?.plus(&normal(left, budget).ok()?.negative(), budget).ok()?;
    let positive_under = zero::sign(&difference.under, budget).ok()? == Ordering::Greater;
    let sign = zero::sign(&difference.over, budget).ok()?;
    Some(sign == Ordering::Equal || (sign == Ordering::Greater) == positive_under)
}

/// Whether two ratios are the same: entry by entry, or in proportion where neither may be a time of day and no entry is
/// zero, since 0 : 0 would be in proportion to everything.
///
/// # Errors
/// [`Stop::TooLarge`] where the budget is spent.
pub fn ratios(left: &[Tree], right: &[Tree], budget: &Budget) -> Result<bool, Stop> {
    if left.len() != right.len() {
        return Ok(false);
    }
    let normals = |parts: &[Tree]| parts.iter().map(|part| normal(part, budget)).collect::<Result<Vec<_>, _>>();
    let (Ok(ours), Ok(theirs)) = (normals(left), normals(right)) else { return Ok(false) };
    let (Some(first), Some(second)) = (ours.first(), theirs.first()) else { return Ok(false) };
    let has_zero = ours.iter().chain(&theirs).any(|part| part.over.is_zero());
    let scalable = !has_zero && !is_time(left) && !is_time(right);
    for (a, b) in ours.iter().zip(&theirs) {
        let same = match scalable {
            true => equal(&a.times(second, budget)?, &b.times(first, budget)?, budget)?,
            false => equal(a, b, budget)?,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `12:00`, `7:32`, `1:05:30`: what may be hours and minutes.
pub fn is_time(parts: &[Tree]) -> bool {
    let number = |tree: &Tree| match tree {
        Tree::Number(number) if number.value.is_integer() => Some((number.value.clone(), number.padded)),
        _ => None,
    };
    let Some(parts) = parts.iter().map(number).collect::<Option<Vec<_>>>() else { return false };
    let hours = parts.first().is_some_and(|(value, _)| *value <= rational(24));
    let minutes = |(value, padded): &(BigRational, bool)| *padded || (*value >= rational(10) && *value < rational(60));
    hours && parts[1..].iter().all(|part| minutes(part) || part.0.is_zero())
}

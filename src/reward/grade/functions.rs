//! The functions in expressions: trigonometric and exponential ones as powers of e, logarithms by primes, and those of
//! whole numbers.

use super::budget::{Budget, MAX_BITS, Stop};
use super::interval::Precision;
use super::normal::{atom, factors, imaginary, normal, power, rational_power};
use super::numeric;
use super::polynomial::{Atom, Fraction, Polynomial};
use super::tree::Tree;
use super::zero;
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::cmp::Ordering;

/// The largest number whose factorial is computed.
const MAX_FACTORIAL: u32 = 900;

/// A function's value in normal form.
///
/// # Errors
/// As [`normal`].
pub fn call(name: &str, arguments: &[Tree], budget: &Budget) -> Result<Fraction, Stop> {
    let angle = matches!(name, "sin" | "cos" | "tan" | "cot" | "sec" | "csc");
    let normals: Result<Vec<Fraction>, Stop> = arguments
        .iter()
        .map(|argument| if angle { radians(argument, budget) } else { normal(argument, budget) })
        .collect();
    let normals = normals?;
    let value = match (name, normals.as_slice()) {
        (_, [argument]) if angle => trigonometric(name, argument, budget)?,
        ("sinh" | "cosh" | "tanh", [argument]) => hyperbolic(name, argument, budget)?,
        ("arcsin" | "arccos" | "arctan", [argument]) => inverse(name, argument, budget)?,
        ("abs", [argument]) => absolute(argument, budget)?,
        ("ln", [argument]) => logarithm(argument, budget)?,
        ("log", [base, argument]) => {
            let base = logarithm(base, budget)?;
            Some(logarithm_or_atom(argument, budget)?.over(&base.ok_or(Stop::Beyond)?, budget)?)
        }
        ("factorial", [argument]) => factorial(argument),
        ("binom", [of, chosen]) => binomial(of, chosen)?,
        ("floor" | "ceil", [argument]) => rounded(name, argument, budget)?,
        ("max" | "min", numbers) => {
            numbers.iter().map(Fraction::as_number).collect::<Option<Vec<_>>>().and_then(|numbers| {
                let best = if name == "max" { numbers.into_iter().max() } else { numbers.into_iter().min() };
                best.map(Fraction::number)
            })
        }
        ("gcd", [left, right]) => {
            whole(left).zip(whole(right)).map(|(left, right)| Fraction::number(left.gcd(&right).into()))
        }
        _ => None,
    };
    Ok(value.unwrap_or_else(|| atom(Atom::Function(name.to_string(), normals))))
}

/// An angle: degrees are told apart from numbers only in here.
fn radians(tree: &Tree, budget: &Budget) -> Result<Fraction, Stop> {
    match tree {
        Tree::Degrees(inner) => {
            let half_turn = BigRational::new(BigInt::one(), BigInt::from(180));
            let scale = Fraction::whole(Polynomial::atom(Atom::Pi, BigRational::one()).scaled(&half_turn));
            normal(inner, budget)?.times(&scale, budget)
        }
        Tree::Sum(terms) => {
            let mut sum = Fraction::number(BigRational::zero());
            for term in terms {
                sum = sum.plus(&radians(term, budget)?, budget)?;
            }
            Ok(sum)
        }
        Tree::Negative(inner) => Ok(radians(inner, budget)?.negative()),
        _ => normal(tree, budget),
    }
}

fn number(value: i64) -> Fraction {
    Fraction::number(BigRational::from(BigInt::from(value)))
}

fn euler() -> Fraction {
    atom(Atom::Power(None, super::polynomial::Product::new()))
}

/// e to the power of a fraction and to its negative.
fn exponentials(argument: &Fraction, budget: &Budget) -> Result<Option<(Fraction, Fraction)>, Stop> {
    if argument.under.as_number().is_none() {
        return Ok(None);
    }
    let up = power(&euler(), argument, budget)?;
    Ok(Some((up, power(&euler(), &argument.negative(), budget)?)))
}

/// Euler's formulas.
fn trigonometric(name: &str, argument: &Fraction, budget: &Budget) -> Result<Option<Fraction>, Stop> {
    let Some((up, down)) = exponentials(&argument.times(&imaginary(), budget)?, budget)? else { return Ok(None) };
    let cosine = up.plus(&down, budget)?.times(&Fraction::number(half()), budget)?;
    let sine = up.plus(&down.negative(), budget)?.over(&imaginary().times(&number(2), budget)?, budget)?;
    let one = number(1);
    let quotient = |over: &Fraction, under: &Fraction| {
        let is_zero = under.over.is_constant() && zero::is_zero(&under.over, budget)?;
        if is_zero { Err(Stop::Undefined) } else { over.over(under, budget) }
    };
    Ok(Some(match name {
        "sin" => sine,
        "cos" => cosine,
        "tan" => quotient(&sine, &cosine)?,
        "cot" => quotient(&cosine, &sine)?,
        "sec" => quotient(&one, &cosine)?,
        _ => quotient(&one, &sine)?,
    }))
}

fn hyperbolic(name: &str, argument: &Fraction, budget: &Budget) -> Result<Option<Fraction>, Stop> {
    let Some((up, down)) = exponentials(argument, budget)? else { return Ok(None) };
    let (sum, difference) = (up.plus(&down, budget)?, up.plus(&down.negative(), budget)?);
    Ok(Some(match name {
        "cosh" => sum.times(&Fraction::number(half()), budget)?,
        "sinh" => difference.times(&Fraction::number(half()), budget)?,
        _ => difference.over(&sum, budget)?,
    }))
}

fn half() -> BigRational {
    BigRational::new(BigInt::one(), BigInt::from(2))
}

/// Angles whose sine, cosine or tangent is the argument, among the multiples of 15°.
fn inverse(name: &str, argument: &Fraction, budget: &Budget) -> Result<Option<Fraction>, Stop> {
    if !argument.is_constant() {
        return Ok(None);
    }
    let range = match name {
        "arcsin" => -6..=6,
        "arccos" => 0..=12,
        _ => -5..=5,
    };
    let at = Precision { bits: 64, budget };
    for twelfths in range {
        let angle =
            Polynomial::atom(Atom::Pi, BigRational::one()).scaled(&BigRational::new(twelfths.into(), 12.into()));
        let angle = Fraction::whole(angle);
        let Some(value) = trigonometric(&name[3..], &angle, budget)? else { continue };
        let difference = value.plus(&argument.negative(), budget)?;
        let apart = numeric::polynomial(&difference.over, at).is_ok_and(|near| numeric::is_apart(&near));
        if !apart && zero::is_zero(&difference.over, budget)? {
            return Ok(Some(angle));
        }
    }
    Ok(None)
}

/// The absolute value: by the sign of a real number, as √(z·z̄) of a complex one, and without the sign of the first
/// coefficient where there are unknowns.
fn absolute(argument: &Fraction, budget: &Budget) -> Result<Option<Fraction>, Stop> {
    if argument.is_constant() {
        let signs = (zero::sign(&argument.over, budget), zero::sign(&argument.under, budget));
        if let (Ok(over), Ok(under)) = signs {
            let negative = (over == Ordering::Less) != (under == Ordering::Less);
            return Ok(Some(if negative { argument.negative() } else { argument.clone() }));
        }
        let conjugate = Fraction { over: zero::conjugate(&argument.over), under: zero::conjugate(&argument.under) };
        return rational_power(&argument.times(&conjugate, budget)?, &half(), budget).map(Some);
    }
    let first_is_negative = argument.over.0.first_key_value().is_some_and(|(_, coefficient)| coefficient.is_negative());
    let positive = if first_is_negative { argument.negative() } else { argument.clone() };
    Ok(Some(atom(Atom::Function("abs".into(), vec![positive]))))
}

fn logarithm_or_atom(argument: &Fraction, budget: &Budget) -> Result<Fraction, Stop> {
    Ok(logarithm(argument, budget)?.unwrap_or_else(|| atom(Atom::Function("ln".into(), vec![argument.clone()]))))
}

/// The natural logarithm of a positive number that is one term: a sum over its primes and powers.
fn logarithm(argument: &Fraction, budget: &Budget) -> Result<Option<Fraction>, Stop> {
    let Some(((atoms, coefficient), _)) = argument.over.as_term().zip(argument.under.as_number()) else {
        return Ok(None);
    };
    if argument.over.is_zero() {
        return Err(Stop::Undefined);
    }
    if !coefficient.is_positive() {
        return Ok(None);
    }
    let mut sum = Fraction::number(BigRational::zero());
    let add = |sum: Fraction, atom: Polynomial| sum.plus(&Fraction::whole(atom), budget);
    for (prime, count) in factors(coefficient, budget)? {
        sum = add(sum, Polynomial::atom(Atom::Log(prime), BigRational::one()).scaled(&count))?;
    }
    for (atom, count) in atoms {
        let term = match atom {
            Atom::Prime(prime) => Polynomial::atom(Atom::Log(prime.clone()), BigRational::one()).scaled(count),
            Atom::Power(None, inner) if !inner.contains_key(&Atom::MinusOne) => {
                Polynomial::term(inner.clone(), count.clone())
            }
            _ => return Ok(None),
        };
        sum = add(sum, term)?;
    }
    Ok(Some(sum))
}

fn whole(value: &Fraction) -> Option<BigInt> {
    value.as_number().filter(BigRational::is_integer).map(|value| value.to_integer())
}

fn factorial(argument: &Fraction) -> Option<Fraction> {
    let of = whole(argument)?.to_u32().filter(|&of| of <= MAX_FACTORIAL)?;
    let product = (1..=of).fold(BigInt::one(), |product, factor| product * factor);
    Some(Fraction::number(product.into()))
}

fn binomial(of: &Fraction, chosen: &Fraction) -> Result<Option<Fraction>, Stop> {
    let Some((of, chosen)) = whole(of).zip(whole(chosen)) else { return Ok(None) };
    if of.is_negative() || chosen.is_negative() || chosen > of {
        return Ok(None);
    }
    let least =
        chosen.clone().min(&of - &chosen).to_u32().filter(|&least| least <= MAX_FACTORIAL).ok_or(Stop::TooLarge)?;
    let mut result = BigInt::one();
    for step in 0..least {
        result = result * (&of - step) / (step + 1);
        if result.bits() > MAX_BITS {
            return Err(Stop::TooLarge);
        }
    }
    Ok(Some(Fraction::number(result.into())))
}

/// The next whole number below or above.
fn rounded(name: &str, argument: &Fraction, budget: &Budget) -> Result<Option<Fraction>, Stop> {
    if let Some(number) = argument.as_number() {
        return Ok(Some(Fraction::number(if name == "floor" { number.floor() } else { number.ceil() })));
    }
    if !argument.is_constant() {
        return Ok(None);
    }
    let at = Precision { bits: 256, budget };
    let near = numeric::fraction(argument, at)?;
    let floor = numeric::floor(&near.re, at).filter(|_| near.im.has_zero()).ok_or(Stop::Beyond)?;
    Ok(Some(Fraction::number((if name == "floor" { floor } else { floor + 1 }).into())))
}

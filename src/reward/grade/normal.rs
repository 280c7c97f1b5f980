//! An expression brought to its normal form, a fraction of polynomials in atoms.
//!
//! Every step is an identity: of numbers, or of real functions wherever both sides are defined. What has no such step
//! becomes an atom of its own, or stops the computation.

use super::budget::{Budget, Stop};
use super::functions;
use super::polynomial::{Atom, Fraction, Polynomial, Product, whole_power};
use super::tree::Tree;
use super::zero;
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::cmp::Ordering;

/// The largest order of a root.
const MAX_ORDER: u32 = 64;

/// Primes up to which numbers are taken apart.
const PRIMES_TO: u32 = 1000;

/// The normal form of an arithmetic expression.
///
/// # Errors
/// [`Stop::Undefined`] for a division by zero, [`Stop::Beyond`] for what is no arithmetic, [`Stop::TooLarge`].
pub fn normal(tree: &Tree, budget: &Budget) -> Result<Fraction, Stop> {
    budget.spend(1)?;
    match tree {
        Tree::Number(number) => Ok(Fraction::number(number.value.clone())),
        Tree::Symbol(name) => Ok(symbol(name)),
        Tree::Pi => Ok(atom(Atom::Pi)),
        Tree::Euler => Ok(atom(Atom::Power(None, Product::new()))),
        Tree::Imaginary => Ok(imaginary()),
        Tree::Sum(terms) => {
            let mut sum = Fraction::number(BigRational::zero());
            for term in terms {
                sum = sum.plus(&normal(term, budget)?, budget)?;
            }
            Ok(sum)
        }
        Tree::Product(factors) => {
            let mut product = Fraction::number(BigRational::one());
            for factor in factors {
                product = product.times(&normal(factor, budget)?, budget)?;
            }
            Ok(product)
        }
        Tree::Quotient(over, under) => normal(over, budget)?.over(&normal(under, budget)?, budget),
        Tree::Power(base, exponent) => power(&normal(base, budget)?, &normal(exponent, budget)?, budget),
        Tree::Root(order, inner) => {
            let exponent = BigRational::new(BigInt::one(), BigInt::from(*order));
            rational_power(&normal(inner, budget)?, &exponent, budget)
        }
        Tree::Negative(inner) => Ok(normal(inner, budget)?.negative()),
        Tree::Degrees(inner) => normal(inner, budget),
        Tree::Percent(inner) => {
            let hundredth = BigRational::new(BigInt::one(), BigInt::from(100));
            normal(inner, budget)?.times(&Fraction::number(hundredth), budget)
        }
        Tree::Call(name, arguments) => functions::call(name, arguments, budget),
        Tree::Ratio(parts) if parts.len() == 2 => normal(&parts[0], budget)?.over(&normal(&parts[1], budget)?, budget),
        _ => Err(Stop::Beyond),
    }
}

/// A name as a fraction.
pub fn symbol(name: &str) -> Fraction {
    atom(Atom::Symbol(name.to_string()))
}

/// An atom as a fraction.
pub fn atom(atom: Atom) -> Fraction {
    Fraction::whole(Polynomial::atom(atom, BigRational::one()))
}

/// The imaginary unit.
pub fn imaginary() -> Fraction {
    Fraction::whole(Polynomial::atom(Atom::MinusOne, half()))
}

fn half() -> BigRational {
    BigRational::new(BigInt::one(), BigInt::from(2))
}

/// A power.
///
/// # Errors
/// As [`normal`].
pub fn power(base: &Fraction, exponent: &Fraction, budget: &Budget) -> Result<Fraction, Stop> {
    if let Some(exponent) = exponent.as_number() {
        return rational_power(base, &exponent, budget);
    }
    let one = Polynomial::number(BigRational::one());
    let Some((atoms, coefficient)) = base.over.as_term().filter(|_| base.under == one && exponent.under == one) else {
        return Err(Stop::Beyond);
    };
    let mut result = Fraction::number(BigRational::one());
    for (product, factor) in &exponent.over.0 {
        let term = term_power(atoms, coefficient, product, factor, budget)?;
        result = result.times(&term, budget)?;
    }
    Ok(result)
}

/// One term to the power of one term.
fn term_power(
    atoms: &Product,
    coefficient: &BigRational,
    product: &Product,
    factor: &BigRational,
    budget: &Budget,
) -> Result<Fraction, Stop> {
    if product.is_empty() {
        let base = Fraction::whole(Polynomial::term(atoms.clone(), coefficient.clone()));
        return rational_power(&base, factor, budget);
    }
    let mut result = Fraction::number(BigRational::one());
    for (prime, count) in factors(&coefficient.abs(), budget)? {
        let base = Some(Box::new(Atom::Prime(prime)));
        result = result.times(&raised(Atom::Power(base, product.clone()), &(count * factor), budget)?, budget)?;
    }
    if coefficient.is_negative() {
        let base = Some(Box::new(Atom::MinusOne));
        result = result.times(&raised(Atom::Power(base, product.clone()), factor, budget)?, budget)?;
    }
    for (atom, count) in atoms {
        let count = count * factor;
        let next = match atom {
            Atom::Power(None, inner) if !inner.contains_key(&Atom::MinusOne) => {
                let joined = Polynomial::term(inner.clone(), BigRational::one()).shifted(product, budget)?;
                let (joined, scale) = joined.as_term().ok_or(Stop::Beyond)?;
                exponential(joined, &(count * scale), budget)?
            }
            Atom::Symbol(_) | Atom::Prime(_) => {
                raised(Atom::Power(Some(Box::new(atom.clone())), product.clone()), &count, budget)?
            }
            _ => return Err(Stop::Beyond),
        };
        result = result.times(&next, budget)?;
    }
    Ok(result)
}

/// Euler's number to the power of one term: roots of unity for multiples of iπ, powers of primes for their logarithms.
fn exponential(product: &Product, factor: &BigRational, budget: &Budget) -> Result<Fraction, Stop> {
    let turn = Product::from([(Atom::MinusOne, half()), (Atom::Pi, BigRational::one())]);
    if *product == turn {
        return Ok(minus_one_to(factor));
    }
    let logarithm = product.iter().find_map(|(atom, exponent)| match atom {
        Atom::Log(of) if exponent.is_one() => Some((atom.clone(), of.clone())),
        _ => None,
    });
    if let Some((atom, of)) = logarithm {
        let mut rest = product.clone();
        rest.remove(&atom);
        if rest.is_empty() {
            return number_power(&BigRational::from(of), factor, budget);
        }
        return raised(Atom::Power(Some(Box::new(Atom::Prime(of))), rest), factor, budget);
    }
    raised(Atom::Power(None, product.clone()), factor, budget)
}

fn raised(atom: Atom, exponent: &BigRational, budget: &Budget) -> Result<Fraction, Stop> {
    Fraction::whole(Polynomial::atom(atom, exponent.clone())).times(&Fraction::number(BigRational::one()), budget)
}

/// −1 to a rational power: its principal value.
fn minus_one_to(exponent: &BigRational) -> Fraction {
    let whole = exponent.floor().to_integer();
    let sign = if whole.is_odd() { -BigRational::one() } else { BigRational::one() };
    let rest = exponent - BigRational::from(whole);
    Fraction::whole(Polynomial::atom(Atom::MinusOne, rest).scaled(&sign))
}

/// A fraction to a rational power. Roots are real where there is a real one.
///
/// # Errors
/// As [`normal`].
pub fn rational_power(base: &Fraction, exponent: &BigRational, budget: &Budget) -> Result<Fraction, Stop> {
    if exponent.is_integer() {
        if base.over.is_zero() && !exponent.is_positive() {
            return Err(Stop::Undefined);
        }
        return base.to_the(&exponent.to_integer(), budget);
    }
    let order = exponent.denom().to_u32().filter(|&order| order <= MAX_ORDER).ok_or(Stop::TooLarge)?;
    if base.over.is_zero() {
        return if exponent.is_positive() { Ok(base.clone()) } else { Err(Stop::Undefined) };
    }
    if base.under.as_number().is_none_or(|number| !number.is_one()) {
        return quotient_power(base, exponent, order, budget);
    }
    polynomial_power(&base.over, exponent, order, budget)
}

/// The root of a quotient: that of the numerator over that of the denominator, where the denominator is positive or the
/// order odd.
fn quotient_power(base: &Fraction, exponent: &BigRational, order: u32, budget: &Budget) -> Result<Fraction, Stop> {
    let (mut over, mut under) = (base.over.clone(), base.under.clone());
    if order.is_multiple_of(2) {
        match zero::sign(&under, budget)? {
            Ordering::Greater => {}
            Ordering::Less => (over, under) = (over.scaled(&-BigRational::one()), under.scaled(&-BigRational::one())),
            Ordering::Equal => return Err(Stop::Undefined),
        }
    }
    let over = polynomial_power(&over, exponent, order, budget)?;
    over.over(&polynomial_power(&under, exponent, order, budget)?, budget)
}

fn polynomial_power(base: &Polynomial, exponent: &BigRational, order: u32, budget: &Budget) -> Result<Fraction, Stop> {
    if let Some((atoms, coefficient)) = base.as_term()
        && let Some(power) = single_power(atoms, coefficient, exponent, order, budget)?
    {
        return Ok(power);
    }
    if base.is_constant() {
        return match zero::sign(base, budget)? {
            Ordering::Equal => rational_power(&Fraction::number(BigRational::zero()), exponent, budget),
            Ordering::Greater => root(base, exponent, budget),
            Ordering::Less => {
                let positive = root(&base.scaled(&-BigRational::one()), exponent, budget)?;
                positive.times(&sign_power(exponent, order), budget)
            }
        };
    }
    // Of a polynomial and its negative, an odd root takes the one whose first coefficient is positive.
    let first_is_negative = base.0.first_key_value().is_some_and(|(_, coefficient)| coefficient.is_negative());
    if order % 2 == 1 && first_is_negative {
        return root(&base.scaled(&-BigRational::one()), exponent, budget)?.times(&sign_power(exponent, order), budget);
    }
    root(base, exponent, budget)
}

/// The factor that a negative sign leaves: real for odd orders.
fn sign_power(exponent: &BigRational, order: u32) -> Fraction {
    match order % 2 {
        1 if exponent.numer().is_odd() => Fraction::number(-BigRational::one()),
        1 => Fraction::number(BigRational::one()),
        _ => minus_one_to(exponent),
    }
}

/// A root as an atom, what is rational taken out of it.
fn root(base: &Polynomial, exponent: &BigRational, budget: &Budget) -> Result<Fraction, Stop> {
    let content = base.content();
    let inner = Atom::Root(Box::new(base.scaled(&content.recip())));
    let rational = number_power(&content, exponent, budget)?;
    let size = Fraction::whole(Polynomial::atom(inner, exponent.abs()))
        .times(&Fraction::number(BigRational::one()), budget)?;
    if exponent.is_negative() { rational.over(&size, budget) } else { rational.times(&size, budget) }
}

/// A term to a rational power, atom by atom; none where an atom's sign is not known.
fn single_power(
    atoms: &Product,
    coefficient: &BigRational,
    exponent: &BigRational,
    order: u32,
    budget: &Budget,
) -> Result<Option<Fraction>, Stop> {
    let mut result = number_power(&coefficient.abs(), exponent, budget)?;
    if coefficient.is_negative() {
        let unknown = atoms.keys().any(|atom| !atom.is_constant());
        if order.is_multiple_of(2) && (unknown || atoms.contains_key(&Atom::MinusOne)) {
            return Ok(None);
        }
        result = result.times(&sign_power(exponent, order), budget)?;
    }
    for (atom, count) in atoms {
        let count_now = count * exponent;
        let power = match atom {
            Atom::Prime(_) | Atom::Pi | Atom::Log(_) => raised(atom.clone(), &count_now, budget)?,
            Atom::Root(inner) if inner.is_constant() => {
                let size = raised(atom.clone(), &count_now.abs(), budget)?;
                if count_now.is_negative() { Fraction::number(BigRational::one()).over(&size, budget)? } else { size }
            }
            Atom::MinusOne
                if atoms.keys().all(|other| matches!(other, Atom::MinusOne | Atom::Prime(_))) && order == 2 =>
            {
                minus_one_to(&count_now)
            }
            Atom::Power(None, inner) if !inner.contains_key(&Atom::MinusOne) => {
                raised(atom.clone(), &count_now, budget)?
            }
            Atom::Power(Some(base), _) if matches!(**base, Atom::Prime(_)) => raised(atom.clone(), &count_now, budget)?,
            // As real functions: √(x³) is x√x, and √(x²) is |x|.
            Atom::Symbol(_) if order % 2 == 1 || count.numer().is_odd() => raised(atom.clone(), &count_now, budget)?,
            Atom::Symbol(name) if order == 2 && count.is_integer() => {
                let size = Atom::Function("abs".into(), vec![symbol(name)]);
                raised(size, &count_now, budget)?
            }
            _ => return Ok(None),
        };
        result = result.times(&power, budget)?;
    }
    Ok(Some(result))
}

/// A positive rational to a rational power: a product of primes under roots.
fn number_power(base: &BigRational, exponent: &BigRational, budget: &Budget) -> Result<Fraction, Stop> {
    if exponent.is_integer() {
        return Ok(Fraction::number(whole_power(base, &exponent.to_integer())?));
    }
    let mut result = Fraction::number(BigRational::one());
    for (prime, count) in factors(base, budget)? {
        let count = count * exponent;
        let whole = whole_power(&BigRational::from(prime.clone()), &count.floor().to_integer())?;
        let rest = &count - count.floor();
        let factor = Fraction::whole(Polynomial::atom(Atom::Prime(prime), rest).scaled(&whole));
        result = result.times(&factor, budget)?;
    }
    Ok(result)
}

/// The primes of a positive rational with their exponents. What is left after the small ones counts as a prime.
pub fn factors(value: &BigRational, budget: &Budget) -> Result<Vec<(BigInt, BigRational)>, Stop> {
    let mut found = Vec::new();
    for (part, sign) in [(value.numer(), 1i64), (value.denom(), -1)] {
        let mut rest = part.clone();
        for prime in 2..PRIMES_TO {
            if rest.is_one() {
                break;
            }
            let mut count = 0i64;
            let prime = BigInt::from(prime);
            while let (quotient, remainder) = rest.div_rem(&prime)
                && remainder.is_zero()
            {
                rest = quotient;
                count += 1;
            }
            if count > 0 {
                found.push((prime, BigRational::from(BigInt::from(sign * count))));
            }
        }
        budget.spend(200 + rest.bits() / 16)?;
        if !rest.is_one() {
            let (rest, count) = perfect_power(rest);
            found.push((rest, BigRational::from(BigInt::from(sign * count))));
        }
    }
    found.sort();
    Ok(found)
}

/// A number as a power of the smallest base, for small exponents.
fn perfect_power(value: BigInt) -> (BigInt, i64) {
    for order in [2u32, 3, 5, 7] {
        let root = value.nth_root(order);
        if root.pow(order) == value {
            let (base, count) = perfect_power(root);
            return (base, count * i64::from(order));
        }
    }
    (value, 1)
}

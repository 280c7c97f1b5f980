//! Whether a normal form is zero: exactly, by intervals, and by a bound on how close to zero an algebraic number can be.
//!
//! The terms are parted by what is transcendental in them. What is left beside each such product is an algebraic number,
//! and if all of these are zero, so is the whole. An algebraic integer of degree d that is not zero, and whose conjugates
//! are at most u in size, is at least u^(1−d) in size, since the product of its conjugates is a whole number. So bounds
//! closer to zero than that prove zero. (Burnikel, Fleischer, Mehlhorn, Schirra 2000 build such bounds from expressions.)

use super::budget::{Budget, Stop};
use super::interval::Precision;
use super::numeric;
use super::polynomial::{Atom, Polynomial, Product};
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Bits of the first look.
const FIRST: u32 = 128;

/// The most bits of a proof.
const MOST: f64 = 3000.0;

/// Whether the polynomial is zero for certain. Otherwise it is not, or could not be shown to be.
///
/// # Errors
/// [`Stop::TooLarge`] where it would take too long to know.
pub fn is_zero(value: &Polynomial, budget: &Budget) -> Result<bool, Stop> {
    let mut parts: BTreeMap<Product, Polynomial> = BTreeMap::new();
    for (product, coefficient) in &value.0 {
        let (algebraic, rest): (Product, Product) =
            product.clone().into_iter().partition(|(atom, _)| atom.is_algebraic());
        parts.entry(rest).or_default().0.insert(algebraic, coefficient.clone());
    }
    for part in parts.values() {
        if !is_algebraic_zero(part, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_algebraic_zero(value: &Polynomial, budget: &Budget) -> Result<bool, Stop> {
    if value.is_zero() {
        return Ok(true);
    }
    let half = BigRational::new(BigInt::one(), BigInt::from(2));
    let independent = |(atom, exponent): (&Atom, &BigRational)| match atom {
        Atom::Prime(_) => true,
        Atom::MinusOne => *exponent == half,
        _ => false,
    };
    if value.0.keys().all(|product| product.iter().all(independent)) {
        return Ok(false);
    }
    let near = numeric::polynomial(value, Precision { bits: FIRST, budget })?;
    if numeric::is_apart(&near) {
        return Ok(false);
    }
    // Whole coefficients make it an algebraic integer.
    let whole = value.scaled(&value.content().recip());
    let needed = (degree(&whole)? - 1.0) * log_size(&whole)? + 2.0;
    if needed > MOST {
        return Err(Stop::TooLarge);
    }
    let bits = needed.ceil() as u32;
    let close = numeric::polynomial(&whole, Precision { bits: bits + 64, budget })?;
    let bound: BigInt = BigInt::one() << 63;
    Ok(close.re.size() < bound && close.im.size() < bound)
}

/// A bound on the degree of the field that the polynomial's atoms lie in.
fn degree(value: &Polynomial) -> Result<f64, Stop> {
    let mut orders = BTreeMap::new();
    orders_of(value, &mut orders);
    Ok(orders.iter().map(|(atom, order)| atom_degree(atom, order)).product())
}

fn orders_of(value: &Polynomial, orders: &mut BTreeMap<Atom, BigInt>) {
    for (atom, exponent) in value.0.keys().flatten() {
        let order = orders.entry(atom.clone()).or_insert_with(BigInt::one);
        *order = order.lcm(exponent.denom());
        if let Atom::Root(inner) = atom {
            orders_of(inner, orders);
        }
    }
}

/// The degree of an atom's root of that order over the field of the others.
fn atom_degree(atom: &Atom, order: &BigInt) -> f64 {
    let order = order.to_u32().unwrap_or(u32::MAX);
    match atom {
        // A root of unity of order 2n has the degree φ(2n).
        Atom::MinusOne if order < 5000 => f64::from((1..2 * order).filter(|k| k.gcd(&(2 * order)) == 1).count() as u32),
        _ => f64::from(order),
    }
}

/// The binary logarithm of a bound on all conjugates of a polynomial with whole coefficients.
fn log_size(value: &Polynomial) -> Result<f64, Stop> {
    let mut largest = 0f64;
    for (product, coefficient) in &value.0 {
        let mut size = coefficient.numer().abs().bits() as f64;
        for (atom, exponent) in product {
            size += atom_log_size(atom)? * exponent.to_f64().ok_or(Stop::TooLarge)?.abs();
        }
        largest = largest.max(size);
    }
    Ok(largest + (value.0.len() as f64).log2() + 1.0)
}

fn atom_log_size(atom: &Atom) -> Result<f64, Stop> {
    match atom {
        Atom::Prime(prime) => Ok(prime.bits() as f64),
        Atom::MinusOne => Ok(0.0),
        Atom::Root(inner) if inner.0.values().all(|coefficient| coefficient.is_integer()) => log_size(inner),
        _ => Err(Stop::Beyond),
    }
}

/// The sign of a real number.
///
/// # Errors
/// [`Stop::Beyond`] where it is not real, or its sign cannot be told.
pub fn sign(value: &Polynomial, budget: &Budget) -> Result<Ordering, Stop> {
    if let Some(number) = value.as_number() {
        return Ok(number.cmp(&BigRational::from(BigInt::from(0))));
    }
    let imaginary = value.plus(&conjugate(value).scaled(&-BigRational::one()), budget)?;
    if !imaginary.is_zero() && !is_zero(&imaginary, budget)? {
        return Err(Stop::Beyond);
    }
    for bits in [FIRST, 4 * FIRST] {
        let near = numeric::polynomial(value, Precision { bits, budget })?;
        if near.re.low.is_positive() {
            return Ok(Ordering::Greater);
        }
        if near.re.high.is_negative() {
            return Ok(Ordering::Less);
        }
    }
    if is_zero(value, budget)? { Ok(Ordering::Equal) } else { Err(Stop::Beyond) }
}

/// The complex conjugate of a polynomial whose unknowns are real.
pub fn conjugate(value: &Polynomial) -> Polynomial {
    let mut result = Polynomial::default();
    for (product, coefficient) in &value.0 {
        let (mut conjugate, mut sign) = (Product::new(), BigRational::one());
        for (atom, exponent) in product {
            match atom {
                // The conjugate of (−1)^k is (−1)^(−k), which is −(−1)^(1−k).
                Atom::MinusOne => {
                    sign = -sign;
                    conjugate.insert(atom.clone(), BigRational::one() - exponent);
                }
                Atom::Power(_, inner) if inner.contains_key(&Atom::MinusOne) => {
                    conjugate.insert(atom.clone(), -exponent);
                }
                _ => {
                    conjugate.insert(atom.clone(), exponent.clone());
                }
            }
        }
        let entry = result.0.entry(conjugate).or_insert_with(|| BigRational::from(BigInt::from(0)));
        *entry += coefficient * sign;
    }
    result.0.retain(|_, coefficient| *coefficient != BigRational::from(BigInt::from(0)));
    result
}

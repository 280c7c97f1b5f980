//! The value of a normal form without unknowns, as an interval.

use super::budget::Stop;
use super::interval::{Complex, Precision, Real};
use super::polynomial::{Atom, Fraction, Polynomial, Product};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive};

/// Bounds of a fraction's value.
///
/// # Errors
/// [`Stop::Beyond`] where an atom has no value here, or the denominator may be zero.
pub fn fraction(value: &Fraction, at: Precision) -> Result<Complex, Stop> {
    let over = polynomial(&value.over, at)?;
    match value.under.as_number() {
        Some(one) if one.is_one() => Ok(over),
        _ => at.complex_over(&over, &polynomial(&value.under, at)?),
    }
}

/// Bounds of a polynomial's value.
///
/// # Errors
/// As [`fraction`].
pub fn polynomial(value: &Polynomial, at: Precision) -> Result<Complex, Stop> {
    let mut sum = Complex { re: at.integer(0), im: at.integer(0) };
    for (atoms, coefficient) in &value.0 {
        let mut term = Complex { re: at.rational(coefficient), im: at.integer(0) };
        for (atom, exponent) in atoms {
            term = at.complex_times(&term, &power(atom, exponent, at)?)?;
        }
        sum = Complex { re: sum.re.plus(&term.re), im: sum.im.plus(&term.im) };
    }
    Ok(sum)
}

fn real(re: Real, at: Precision) -> Complex {
    Complex { re, im: at.integer(0) }
}

fn power(atom: &Atom, exponent: &BigRational, at: Precision) -> Result<Complex, Stop> {
    match atom {
        Atom::MinusOne => {
            let angle = at.times(&at.pi()?, &at.rational(exponent))?;
            at.exp(&Complex { re: at.integer(0), im: angle })
        }
        Atom::Power(base, product) => {
            let mut inner = Polynomial::term(product.clone(), exponent.clone());
            if let Some(base) = base {
                // b^m is e^(m·ln b).
                let Atom::Prime(prime) = &**base else { return Err(Stop::Beyond) };
                let logarithm = Product::from([(Atom::Log(prime.clone()), BigRational::one())]);
                inner = inner.shifted(&logarithm, at.budget)?;
            }
            at.exp(&polynomial(&inner, at)?)
        }
        _ => Ok(real(real_power(&real_value(atom, at)?, exponent, at)?, at)),
    }
}

/// The bounds of a real atom.
fn real_value(atom: &Atom, at: Precision) -> Result<Real, Stop> {
    match atom {
        Atom::Prime(prime) => Ok(at.rational(&BigRational::from(prime.clone()))),
        Atom::Root(inner) => Ok(polynomial(inner, at)?.re),
        Atom::Pi => at.pi(),
        Atom::Log(of) => at.ln(&at.rational(&BigRational::from(of.clone()))),
        Atom::Function(name, arguments) if name == "ln" && arguments.len() == 1 => {
            at.ln(&fraction(&arguments[0], at)?.re)
        }
        _ => Err(Stop::Beyond),
    }
}

/// A rational power of a real number: positive, or of any sign where the power is whole.
fn real_power(base: &Real, exponent: &BigRational, at: Precision) -> Result<Real, Stop> {
    let order = exponent.denom().to_u32().filter(|&order| order <= 64).ok_or(Stop::TooLarge)?;
    let size = exponent.numer().abs().to_u32().filter(|&size| size <= 4096).ok_or(Stop::TooLarge)?;
    let root = if order == 1 { base.clone() } else { at.root(base, order)? };
    let mut result = at.integer(1);
    let (mut square, mut rest) = (root, size);
    while rest > 0 {
        if rest & 1 == 1 {
            result = at.times(&result, &square)?;
        }
        rest >>= 1;
        if rest > 0 {
            square = at.times(&square, &square.clone())?;
        }
    }
    if exponent.is_negative() { at.over(&at.integer(1), &result) } else { Ok(result) }
}

/// How far two bounds are apart from zero: whether the value is certainly not zero.
pub fn is_apart(value: &Complex) -> bool {
    !value.re.has_zero() || !value.im.has_zero()
}

/// The whole part of a real number, where its bounds agree on it.
pub fn floor(value: &Real, at: Precision) -> Option<BigInt> {
    let (low, high): (BigInt, BigInt) = (&value.low >> at.bits, &value.high >> at.bits);
    (low == high).then_some(low)
}

/// Whether a real number certainly lies between two rationals.
pub fn is_between(value: &Real, least: &BigRational, most: &BigRational, at: Precision) -> bool {
    at.rational(least).high <= value.low && value.high <= at.rational(most).low
}

//! Polynomials with rational coefficients in atoms, and fractions of them: the normal form of an expression.
//!
//! An atom is an unknown, π, a prime under a root, a root of unity, a logarithm, a power with an unknown exponent, or a
//! function that is not taken apart. Exponents are rational: `\sqrt{8}` is 2·2^(1/2), and `i` is (−1)^(1/2). Products of
//! different primes under roots are linearly independent over the rationals (Besicovitch 1940), so that two expressions
//! in real radicals of rationals are equal exactly where their normal forms are.

use super::budget::{Budget, MAX_BITS, Stop};
use super::shape::is_unknown_function;
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::collections::BTreeMap;

/// What a polynomial is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atom {
    /// A prime: under a root, its exponent in 0 to 1.
    Prime(BigInt),
    /// −1: its exponent in 0 to 1, so that 1/2 is the imaginary unit and others are roots of unity.
    MinusOne,
    /// A number that is no rational, or a polynomial, under a root: its exponent in 0 to 1. Real and positive where it is
    /// a number and real.
    Root(Box<Polynomial>),
    /// π
    Pi,
    /// The natural logarithm of a prime.
    Log(BigInt),
    /// An unknown.
    Symbol(String),
    /// A base to the power of a product of atoms; none is Euler's number.
    Power(Option<Box<Atom>>, Product),
    /// A function that is not taken apart.
    Function(String, Vec<Fraction>),
}

impl Atom {
    /// Whether it is a number that is a root of a polynomial with rational coefficients.
    pub fn is_algebraic(&self) -> bool {
        match self {
            Atom::Prime(_) | Atom::MinusOne => true,
            Atom::Root(inner) => inner.is_algebraic(),
            _ => false,
        }
    }

    /// Whether no unknown is in it.
    pub fn is_constant(&self) -> bool {
        match self {
            Atom::Prime(_) | Atom::MinusOne | Atom::Pi | Atom::Log(_) => true,
            Atom::Symbol(_) => false,
            Atom::Root(inner) => inner.is_constant(),
            Atom::Power(base, exponent) => {
                base.as_ref().is_none_or(|base| base.is_constant()) && exponent.keys().all(Atom::is_constant)
            }
            Atom::Function(name, arguments) => {
                !is_unknown_function(name) && arguments.iter().all(Fraction::is_constant)
            }
        }
    }
}

/// A product of atoms with their exponents.
pub type Product = BTreeMap<Atom, BigRational>;

/// A sum of products with their coefficients, none of them zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Polynomial(pub BTreeMap<Product, BigRational>);

/// The most terms of a polynomial.
const MAX_TERMS: usize = 500;

/// The length of a number in bits.
pub fn bits(value: &BigRational) -> u64 {
    value.numer().bits() + value.denom().bits()
}

impl Polynomial {
    /// A number.
    pub fn number(value: BigRational) -> Self {
        Self::term(Product::new(), value)
    }

    /// One term.
    pub fn term(product: Product, coefficient: BigRational) -> Self {
        let mut terms = BTreeMap::new();
        if !coefficient.is_zero() {
            terms.insert(product, coefficient);
        }
        Polynomial(terms)
    }

    /// An atom to a power that needs no reduction.
    pub fn atom(atom: Atom, exponent: BigRational) -> Self {
        let product = if exponent.is_zero() { Product::new() } else { Product::from([(atom, exponent)]) };
        Self::term(product, BigRational::one())
    }

    /// Whether it has no terms.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number that it is, if it is one.
    pub fn as_number(&self) -> Option<BigRational> {
        match self.0.len() {
            0 => Some(BigRational::zero()),
            1 => self.0.first_key_value().filter(|(product, _)| product.is_empty()).map(|(_, value)| value.clone()),
            _ => None,
        }
    }

    /// The only term, if there is one only.
    pub fn as_term(&self) -> Option<(&Product, &BigRational)> {
        (self.0.len() == 1).then(|| self.0.first_key_value()).flatten()
    }

    /// Whether all its atoms are algebraic numbers.
    pub fn is_algebraic(&self) -> bool {
        self.0.keys().flat_map(|product| product.keys()).all(Atom::is_algebraic)
    }

    /// Whether it is a number.
    pub fn is_constant(&self) -> bool {
        self.0.keys().flat_map(|product| product.keys()).all(Atom::is_constant)
    }

    fn add_term(&mut self, product: Product, coefficient: BigRational) {
        use std::collections::btree_map::Entry;
        match self.0.entry(product) {
            Entry::Vacant(place) => {
                if !coefficient.is_zero() {
                    place.insert(coefficient);
                }
            }
            Entry::Occupied(mut place) => {
                *place.get_mut() += coefficient;
                if place.get().is_zero() {
                    place.remove();
                }
            }
        }
    }

    /// The sum.
    pub fn plus(&self, other: &Polynomial, budget: &Budget) -> Result<Polynomial, Stop> {
        budget.spend(other.0.len() as u64)?;
        let mut sum = self.clone();
        other.0.iter().for_each(|(product, coefficient)| sum.add_term(product.clone(), coefficient.clone()));
        sum.checked()
    }

    /// The polynomial times a number.
    pub fn scaled(&self, factor: &BigRational) -> Polynomial {
        if factor.is_zero() {
            return Polynomial::default();
        }
        Polynomial(self.0.iter().map(|(product, coefficient)| (product.clone(), coefficient * factor)).collect())
    }

    /// The polynomial with every product multiplied by one.
    pub fn shifted(&self, by: &Product, budget: &Budget) -> Result<Polynomial, Stop> {
        self.times_raw(&Polynomial::term(by.clone(), BigRational::one()), budget)
    }

    /// The product, in which roots may have exponents of one and more.
    fn times_raw(&self, other: &Polynomial, budget: &Budget) -> Result<Polynomial, Stop> {
        let mut result = Polynomial::default();
        for (left, a) in &self.0 {
            for (right, b) in &other.0 {
                // Coefficients are reduced by a common divisor, which takes time quadratic in their length.
                let words = (bits(a) + bits(b)) / 64;
                budget.spend(20 + 4 * (left.len() + right.len()) as u64 + words * words)?;
                let (product, factor) = joined(left, right)?;
                result.add_term(product, a * b * factor);
            }
            if result.0.len() > MAX_TERMS {
                return Err(Stop::TooLarge);
            }
        }
        result.checked()
    }

    /// The product.
    pub fn times(&self, other: &Polynomial, budget: &Budget) -> Result<Polynomial, Stop> {
        self.times_raw(other, budget)?.reduced(budget)
    }

    /// Roots with exponents of one and more multiplied out.
    fn reduced(self, budget: &Budget) -> Result<Polynomial, Stop> {
        if !self.0.keys().any(|product| whole_root(product).is_some()) {
            return Ok(self);
        }
        let mut sum = Polynomial::default();
        for (mut product, coefficient) in self.0 {
            let mut factor = Polynomial::number(coefficient);
            while let Some((atom, whole)) = whole_root(&product) {
                let Atom::Root(inner) = &atom else { break };
                factor = factor.times(&inner.to_the(whole, budget)?, budget)?;
                let rest = &product[&atom] - BigRational::from(BigInt::from(whole));
                if rest.is_zero() {
                    product.remove(&atom)
                } else {
                    product.insert(atom, rest)
                };
            }
            sum = sum.plus(&factor.times(&Polynomial::term(product, BigRational::one()), budget)?, budget)?;
        }
        Ok(sum)
    }

    /// A whole power.
    pub fn to_the(&self, power: u32, budget: &Budget) -> Result<Polynomial, Stop> {
        let longest = self.0.values().map(bits).max().unwrap_or(0);
        if longest.saturating_sub(2).saturating_mul(u64::from(power)) > MAX_BITS {
            return Err(Stop::TooLarge);
        }
        if self.0.len() > 1 && power > 100 {
            return Err(Stop::TooLarge);
        }
        let (mut result, mut square, mut rest) = (Polynomial::number(BigRational::one()), self.clone(), power);
        while rest > 0 {
            if rest & 1 == 1 {
                result = result.times(&square, budget)?;
            }
            rest >>= 1;
            if rest > 0 {
                square = square.times(&square.clone(), budget)?;
            }
        }
        Ok(result)
    }

    fn checked(self) -> Result<Polynomial, Stop> {
        let too_long = self.0.values().any(|coefficient| bits(coefficient) > 2 * MAX_BITS);
        if too_long || self.0.len() > MAX_TERMS { Err(Stop::TooLarge) } else { Ok(self) }
    }

    /// The largest rational that leaves whole coefficients without a common divisor, with the first one's sign.
    pub fn content(&self) -> BigRational {
        let (mut over, mut under) = (BigInt::zero(), BigInt::one());
        for coefficient in self.0.values() {
            over = over.gcd(coefficient.numer());
            under = under.lcm(coefficient.denom());
        }
        if over.is_zero() { BigRational::one() } else { BigRational::new(over, under) }
    }
}

/// A root in a product whose exponent is one or more, and the whole part.
fn whole_root(product: &Product) -> Option<(Atom, u32)> {
    product.iter().find_map(|(atom, exponent)| match atom {
        Atom::Root(_) if *exponent >= BigRational::one() => {
            Some((atom.clone(), exponent.floor().to_integer().to_u32()?))
        }
        _ => None,
    })
}

/// Two products joined: exponents added, whole powers of primes and of −1 taken out as a factor.
fn joined(left: &Product, right: &Product) -> Result<(Product, BigRational), Stop> {
    let mut product = left.clone();
    let mut factor = BigRational::one();
    for (atom, exponent) in right {
        let sum = product.get(atom).map_or_else(|| exponent.clone(), |have| have + exponent);
        let rest = match atom {
            Atom::Prime(prime) => {
                factor *= whole_power(&BigRational::from(prime.clone()), &sum.floor().to_integer())?;
                &sum - sum.floor()
            }
            Atom::MinusOne => {
                if sum.floor().to_integer().is_odd() {
                    factor = -factor;
                }
                &sum - sum.floor()
            }
            _ => sum,
        };
        if rest.is_zero() {
            product.remove(atom)
        } else {
            product.insert(atom.clone(), rest)
        };
    }
    Ok((product, factor))
}

/// A whole power of a number.
pub fn whole_power(base: &BigRational, power: &BigInt) -> Result<BigRational, Stop> {
    if base.is_zero() {
        return if power.is_positive() { Ok(BigRational::zero()) } else { Err(Stop::Undefined) };
    }
    if base.abs().is_one() {
        return Ok(if power.is_odd() { base.clone() } else { BigRational::one() });
    }
    let size =
        power.abs().to_u64().filter(|size| size.saturating_mul(bits(base)) <= MAX_BITS + 64).ok_or(Stop::TooLarge)?;
    let (over, under) = (base.numer().pow(size as u32), base.denom().pow(size as u32));
    Ok(if power.is_negative() { BigRational::new(under, over) } else { BigRational::new(over, under) })
}

/// A polynomial over a polynomial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction {
    /// The numerator.
    pub over: Polynomial,
    /// The denominator, never without terms.
    pub under: Polynomial,
}

impl Fraction {
    /// A polynomial.
    pub fn whole(over: Polynomial) -> Self {
        Fraction { over, under: Polynomial::number(BigRational::one()) }
    }

    /// A number.
    pub fn number(value: BigRational) -> Self {
        Self::whole(Polynomial::number(value))
    }

    /// The number that it is, if it is one.
    pub fn as_number(&self) -> Option<BigRational> {
        Some(self.over.as_number()? / self.under.as_number()?)
    }

    /// Whether it is a number.
    pub fn is_constant(&self) -> bool {
        self.over.is_constant() && self.under.is_constant()
    }

    /// The sum.
    pub fn plus(&self, other: &Fraction, budget: &Budget) -> Result<Fraction, Stop> {
        if self.under == other.under {
            return Fraction { over: self.over.plus(&other.over, budget)?, under: self.under.clone() }.simple(budget);
        }
        let over = self.over.times(&other.under, budget)?.plus(&other.over.times(&self.under, budget)?, budget)?;
        Fraction { over, under: self.under.times(&other.under, budget)? }.simple(budget)
    }

    /// The negative.
    pub fn negative(&self) -> Fraction {
        Fraction { over: self.over.scaled(&-BigRational::one()), under: self.under.clone() }
    }

    /// The product.
    pub fn times(&self, other: &Fraction, budget: &Budget) -> Result<Fraction, Stop> {
        let over = self.over.times(&other.over, budget)?;
        Fraction { over, under: self.under.times(&other.under, budget)? }.simple(budget)
    }

    /// The quotient.
    ///
    /// # Errors
    /// [`Stop::Undefined`] where the divisor is zero.
    pub fn over(&self, other: &Fraction, budget: &Budget) -> Result<Fraction, Stop> {
        if other.over.is_zero() {
            return Err(Stop::Undefined);
        }
        self.times(&Fraction { over: other.under.clone(), under: other.over.clone() }, budget)
    }

    /// A whole power.
    pub fn to_the(&self, power: &BigInt, budget: &Budget) -> Result<Fraction, Stop> {
        let size = power.abs().to_u32().ok_or(Stop::TooLarge)?;
        let raised = Fraction { over: self.over.to_the(size, budget)?, under: self.under.to_the(size, budget)? };
        if power.is_negative() {
            return Fraction::number(BigRational::one()).over(&raised, budget);
        }
        raised.simple(budget)
    }

    /// A denominator of one term multiplied away, else one whose first coefficient is 1.
    fn simple(self, budget: &Budget) -> Result<Fraction, Stop> {
        let Some((product, coefficient)) = self.under.0.first_key_value().map(|(p, c)| (p.clone(), c.clone())) else {
            return Err(Stop::Undefined);
        };
        if self.under.0.len() == 1 && product.is_empty() && coefficient.is_one() {
            return Ok(self);
        }
        let scale = coefficient.recip();
        if self.under.0.len() > 1 {
            return Ok(Fraction { over: self.over.scaled(&scale), under: self.under.scaled(&scale) });
        }
        // Roots are multiplied to a whole power, which leaves them in the numerator only: 1/√2 is √2/2.
        let inverse: Product = product.into_iter().map(|(atom, exponent)| (atom, -exponent)).collect();
        let (inverse, factor) = joined(&Product::new(), &inverse)?;
        let scale = scale * factor;
        let mut under = Polynomial::number(BigRational::one());
        let mut shift = Product::new();
        for (atom, exponent) in inverse {
            match &atom {
                Atom::Root(inner) => {
                    let whole = (-&exponent).ceil();
                    under = under
                        .times(&inner.to_the(whole.to_integer().to_u32().ok_or(Stop::TooLarge)?, budget)?, budget)?;
                    let rest = exponent + whole;
                    if !rest.is_zero() {
                        shift.insert(atom, rest);
                    }
                }
                _ => {
                    shift.insert(atom, exponent);
                }
            }
        }
        let over = self.over.scaled(&scale).shifted(&shift, budget)?.reduced(budget)?;
        let fraction = Fraction { over, under };
        // The roots' radicands may be one term themselves, which shortens the denominator each time.
        if fraction.under.as_number().is_some_and(|number| number.is_one()) {
            Ok(fraction)
        } else {
            fraction.simple(budget)
        }
    }
}

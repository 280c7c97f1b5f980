//! Interval arithmetic with a fixed point, real and complex: every interval holds the exact value.

use super::budget::{Budget, Stop};
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// Bounds of a real number, in units of 2 to the minus `bits`.
#[derive(Clone, Debug)]
pub struct Real {
    /// The lower bound.
    pub low: BigInt,
    /// The upper bound.
    pub high: BigInt,
}

/// Bounds of a complex number.
#[derive(Clone, Debug)]
pub struct Complex {
    /// Of its real part.
    pub re: Real,
    /// Of its imaginary part.
    pub im: Real,
}

/// Where the point stands, and what may be spent.
#[derive(Clone, Copy, Debug)]
pub struct Precision<'a> {
    /// Bits behind the point.
    pub bits: u32,
    /// What the operations are counted against.
    pub budget: &'a Budget,
}

impl Real {
    /// Whether zero lies in it.
    pub fn has_zero(&self) -> bool {
        !self.low.is_positive() && !self.high.is_negative()
    }

    /// The sum.
    pub fn plus(&self, other: &Real) -> Real {
        Real { low: &self.low + &other.low, high: &self.high + &other.high }
    }

    /// The negative.
    pub fn negative(&self) -> Real {
        Real { low: -&self.high, high: -&self.low }
    }

    /// The difference.
    pub fn minus(&self, other: &Real) -> Real {
        self.plus(&other.negative())
    }

    /// The largest absolute value in it.
    pub fn size(&self) -> BigInt {
        self.low.abs().max(self.high.abs())
    }
}

impl Precision<'_> {
    fn spend(&self) -> Result<(), Stop> {
        self.budget.spend(1 + u64::from(self.bits) * u64::from(self.bits) / 16384)
    }

    /// A rational.
    pub fn rational(&self, value: &BigRational) -> Real {
        let shifted: BigInt = value.numer() << self.bits;
        Real { low: shifted.div_floor(value.denom()), high: shifted.div_ceil(value.denom()) }
    }

    /// A whole number.
    pub fn integer(&self, value: i64) -> Real {
        let value: BigInt = BigInt::from(value) << self.bits;
        Real { low: value.clone(), high: value }
    }

    /// The product.
    pub fn times(&self, left: &Real, right: &Real) -> Result<Real, Stop> {
        self.spend()?;
        let ends = [&left.low * &right.low, &left.low * &right.high, &left.high * &right.low, &left.high * &right.high];
        let least = ends.iter().min().map(|end| end >> self.bits);
        let most = ends.iter().max().map(|end| -((-end) >> self.bits));
        let (Some(low), Some(high)) = (least, most) else { return Err(Stop::Beyond) };
        Ok(Real { low, high })
    }

    /// The quotient.
    ///
    /// # Errors
    /// [`Stop::Beyond`] where the divisor may be zero.
    pub fn over(&self, left: &Real, right: &Real) -> Result<Real, Stop> {
        self.spend()?;
        if right.has_zero() {
            return Err(Stop::Beyond);
        }
        let mut ends = Vec::with_capacity(8);
        for over in [&left.low, &left.high] {
            for under in [&right.low, &right.high] {
                let shifted: BigInt = over << self.bits;
                ends.push(shifted.div_floor(under));
                ends.push(shifted.div_ceil(under));
            }
        }
        let (low, high) = (ends.iter().min().cloned(), ends.iter().max().cloned());
        Ok(Real { low: low.ok_or(Stop::Beyond)?, high: high.ok_or(Stop::Beyond)? })
    }

    /// The interval divided by a small whole number.
    pub fn shared(&self, value: &Real, by: u32) -> Real {
        let by = BigInt::from(by);
        Real { low: value.low.div_floor(&by), high: value.high.div_ceil(&by) }
    }

    /// The root of a number that is not negative.
    ///
    /// # Errors
    /// [`Stop::Beyond`] where it may be negative.
    pub fn root(&self, value: &Real, order: u32) -> Result<Real, Stop> {
        if value.low.is_negative() {
            return Err(Stop::Beyond);
        }
        let cost = u64::from(self.bits) * u64::from(order);
        self.budget.spend(8 + cost * cost / 16384)?;
        let lift = self.bits * (order - 1);
        let low: BigInt = &value.low << lift;
        let high: BigInt = &value.high << lift;
        Ok(Real { low: low.nth_root(order), high: high.nth_root(order) + BigInt::one() })
    }

    /// π, by Machin's formula.
    pub fn pi(&self) -> Result<Real, Stop> {
        let fifth = self.arctan_of_inverse(5)?;
        let other = self.arctan_of_inverse(239)?;
        let scale = |value: &Real, by: i32| Real { low: &value.low * by, high: &value.high * by };
        Ok(scale(&fifth, 16).minus(&scale(&other, 4)))
    }

    fn arctan_of_inverse(&self, of: u32) -> Result<Real, Stop> {
        let mut power = self.shared(&self.integer(1), of);
        let (mut sum, mut index) = (Real { low: BigInt::zero(), high: BigInt::zero() }, 1u32);
        while power.high > BigInt::one() {
            self.spend()?;
            let term = self.shared(&power, index);
            sum = if index % 4 == 1 { sum.plus(&term) } else { sum.minus(&term) };
            power = self.shared(&power, of * of);
            index += 2;
        }
        // An alternating series errs by less than its next term.
        Ok(Real { low: sum.low - BigInt::from(2), high: sum.high + BigInt::from(2) })
    }

    /// The natural logarithm of a positive number.
    ///
    /// # Errors
    /// [`Stop::Beyond`] where it may not be positive.
    pub fn ln(&self, value: &Real) -> Result<Real, Stop> {
        if !value.low.is_positive() {
            return Err(Stop::Beyond);
        }
        Ok(Real { low: self.ln_of(&value.low)?.low, high: self.ln_of(&value.high)?.high })
    }

    /// The logarithm of one number: 2·artanh of what is left after taking out powers of two.
    fn ln_of(&self, value: &BigInt) -> Result<Real, Stop> {
        let twos = value.bits() as i64 - i64::from(self.bits);
        let part = if twos >= 0 {
            Real { low: value >> twos, high: (value >> twos) + 1 }
        } else {
            let lifted: BigInt = value << (-twos);
            Real { low: lifted.clone(), high: lifted }
        };
        let two = self.artanh(&self.shared(&self.integer(1), 3))?;
        let rest = self.artanh(&self.over(&part.minus(&self.integer(1)), &part.plus(&self.integer(1)))?)?;
        let times = BigInt::from(twos);
        let ends = [&two.low * &times, &two.high * &times];
        let twos = Real { low: ends[0].clone().min(ends[1].clone()), high: ends[0].clone().max(ends[1].clone()) };
        let half = twos.plus(&rest);
        Ok(Real { low: half.low * 2, high: half.high * 2 })
    }

    /// artanh of a number between −1/3 and 1/3.
    fn artanh(&self, value: &Real) -> Result<Real, Stop> {
        let square = self.times(value, value)?;
        let (mut power, mut sum, mut index) = (value.clone(), value.clone(), 1u32);
        while power.size() > BigInt::one() {
            power = self.times(&power, &square)?;
            index += 2;
            sum = sum.plus(&self.shared(&power, index));
            if index > 2 * self.bits + 20 {
                break;
            }
        }
        Ok(Real { low: sum.low - BigInt::from(4), high: sum.high + BigInt::from(4) })
    }

    /// The complex product.
    pub fn complex_times(&self, left: &Complex, right: &Complex) -> Result<Complex, Stop> {
        let re = self.times(&left.re, &right.re)?.minus(&self.times(&left.im, &right.im)?);
        let im = self.times(&left.re, &right.im)?.plus(&self.times(&left.im, &right.re)?);
        Ok(Complex { re, im })
    }

    /// The complex quotient.
    ///
    /// # Errors
    /// [`Stop::Beyond`] where the divisor may be zero.
    pub fn complex_over(&self, left: &Complex, right: &Complex) -> Result<Complex, Stop> {
        let conjugate = Complex { re: right.re.clone(), im: right.im.negative() };
        let square = self.times(&right.re, &right.re)?.plus(&self.times(&right.im, &right.im)?);
        let product = self.complex_times(left, &conjugate)?;
        Ok(Complex { re: self.over(&product.re, &square)?, im: self.over(&product.im, &square)? })
    }

    /// e to a complex power: Taylor's series of a small part of it, squared again and again.
    ///
    /// # Errors
    /// [`Stop::TooLarge`] where the power is beyond ±256.
    pub fn exp(&self, value: &Complex) -> Result<Complex, Stop> {
        let size = value.re.size().max(value.im.size());
        if size >> self.bits > BigInt::from(256) {
            return Err(Stop::TooLarge);
        }
        let halvings = 16u32;
        let whole: BigInt = value.re.size() >> self.bits;
        // Squaring doubles what rounding has cost, and a large power scales it up: by less than 4 each whole step.
        let guard = 2 * halvings + 16 + 2 * whole.to_u32().unwrap_or(256);
        let inner = Precision { bits: self.bits + guard, budget: self.budget };
        let lift = |real: &Real| Real {
            low: (&real.low << (inner.bits - self.bits)) >> halvings,
            high: ((&real.high << (inner.bits - self.bits)) >> halvings) + 1,
        };
        let small = Complex { re: lift(&value.re), im: lift(&value.im) };
        let mut power = Complex { re: inner.integer(1), im: inner.integer(0) };
        let (mut sum, mut index) = (power.clone(), 0u32);
        while power.re.size().max(power.im.size()) > BigInt::from(4) {
            index += 1;
            power = inner.complex_times(&power, &small)?;
            power = Complex { re: inner.shared(&power.re, index), im: inner.shared(&power.im, index) };
            sum = Complex { re: sum.re.plus(&power.re), im: sum.im.plus(&power.im) };
        }
        let slack = |real: Real| Real { low: real.low - 16, high: real.high + 16 };
        let mut result = Complex { re: slack(sum.re), im: slack(sum.im) };
        for _ in 0..halvings {
            result = inner.complex_times(&result, &result.clone())?;
        }
        let drop = |real: &Real| Real {
            low: &real.low >> (inner.bits - self.bits),
            high: (&real.high >> (inner.bits - self.bits)) + 1,
        };
        Ok(Complex { re: drop(&result.re), im: drop(&result.im) })
    }
}

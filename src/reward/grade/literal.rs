//! Numbers as they are written: digits with a point, a power of ten, or a period that repeats.

use super::budget::Stop;
use super::tree::Literal;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Zero};

/// The largest power of ten in `6e23`: beyond it a short text would be a number of thousands of digits.
const MAX_EXPONENT: u32 = 1000;

/// `1000.50`, with the power of ten where one is written.
///
/// # Errors
/// [`Stop::TooLarge`] for a power of ten beyond 1000, [`Stop::Beyond`] where there are no digits.
pub fn literal(digits: &str, power: Option<&str>) -> Result<Literal, Stop> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{part}");
    let value: BigInt = all.parse().map_err(|_| Stop::Beyond)?;
    let places = part.len() as u32;
    let mut value = BigRational::new(value, BigInt::from(10).pow(places));
    if let Some(power) = power {
        let (negative, power) = power.strip_prefix('-').map_or((false, power), |rest| (true, rest));
        let power: u32 = power.parse().ok().filter(|&power| power <= MAX_EXPONENT).ok_or(Stop::TooLarge)?;
        let scale = BigRational::from(BigInt::from(10).pow(power));
        value = if negative { value / scale } else { value * scale };
    }
    let significant = all.trim_start_matches('0').len() as u32;
    let padded = whole.len() > 1 && whole.starts_with('0');
    Ok(Literal { value, places: (digits.contains('.') && power.is_none()).then_some(places), significant, padded })
}

/// `0.1\overline{6}`: the digits before the period, and the period.
///
/// # Errors
/// [`Stop::Beyond`] where the period is no digits.
pub fn repeating(digits: &str, period: &str) -> Result<Literal, Stop> {
    if period.is_empty() || !period.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Stop::Beyond);
    }
    let start = literal(digits.trim_end_matches('.'), None)?.value;
    let places = digits.split_once('.').map_or(0, |(_, part)| part.len()) as u32;
    let nines = BigInt::from(10).pow(period.len() as u32) - BigInt::one();
    let tail = BigRational::new(period.parse().map_err(|_| Stop::Beyond)?, nines * BigInt::from(10).pow(places));
    Ok(Literal { value: start + tail, places: None, significant: 0, padded: false })
}

/// Whether a fraction in lowest terms with that denominator ends as a decimal.
pub fn terminates(denominator: &BigInt) -> bool {
    let mut rest = denominator.clone();
    for factor in [2, 5] {
        let factor = BigInt::from(factor);
        while (&rest % &factor).is_zero() {
            rest /= &factor;
        }
    }
    rest.is_one()
}

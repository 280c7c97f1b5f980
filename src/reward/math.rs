//! Whether two answers are equal: exact rationals where both are numbers, normalised texts otherwise.
//!
//! Deliberately small: no algebra yet. What it cannot read as a number it compares as text, so that it may refuse a
//! right answer written in another form, and does not accept a wrong one.

use super::latex;
use super::unit;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, Zero};

/// The longest answer in bytes that is read as mathematics; a longer one is compared as text.
pub const MAX_ANSWER: usize = 1000;

/// The largest power of ten in `6e23`: beyond it a short text would be a number of millions of digits.
const MAX_EXPONENT: u32 = 1000;

/// A number as an answer states it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Number {
    value: BigRational,
    /// Digits after the point and significant digits, where it was written as a decimal.
    decimal: Option<(u32, u32)>,
    percent: bool,
    unit: Option<&'static str>,
}

/// Whether two answers are equal. Reflexive and symmetric; bounded in time whatever the texts are.
pub fn equal(left: &str, right: &str) -> bool {
    if left.len() > MAX_ANSWER || right.len() > MAX_ANSWER {
        return left.trim() == right.trim();
    }
    let (left, right) = (latex::normalise(left), latex::normalise(right));
    left == right || equal_parts(&left, &right)
}

fn equal_parts(left: &str, right: &str) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => equal_numbers(&left, &right),
        (None, None) => match (latex::entries(left), latex::entries(right)) {
            (Some((brackets, left)), Some((others, right))) => {
                brackets == others
                    && left.len() == right.len()
                    && left.iter().zip(&right).all(|(left, right)| left == right || equal_parts(left, right))
            }
            _ => latex::text_form(left) == latex::text_form(right),
        },
        _ => false,
    }
}

/// Whether the answer reads as one number.
pub fn is_number(answer: &str) -> bool {
    answer.len() <= MAX_ANSWER && number(&latex::normalise(answer)).is_some()
}

/// One text for all answers that [`equal`] holds equal exactly: reduced fractions for numbers, normalised texts
/// otherwise. Votes are counted over it.
pub fn canonical(answer: &str) -> String {
    if answer.len() > MAX_ANSWER {
        return answer.trim().to_string();
    }
    let normal = latex::normalise(answer);
    number(&normal).map_or_else(|| latex::text_form(&normal), |number| number.value.to_string())
}

fn equal_numbers(left: &Number, right: &Number) -> bool {
    if let (Some(left), Some(right)) = (left.unit, right.unit)
        && left != right
    {
        return false;
    }
    if same_value(left, right) {
        return true;
    }
    // 50% is 50 by the habit of data sets, and 1/2 by its meaning; the latter only where the plain number is a share.
    match (left.percent, right.percent) {
        (true, false) => is_share(left, right),
        (false, true) => is_share(right, left),
        _ => false,
    }
}

fn is_share(percent: &Number, plain: &Number) -> bool {
    plain.value.abs() <= BigRational::one() && percent.value == &plain.value * BigInt::from(100)
}

fn same_value(left: &Number, right: &Number) -> bool {
    left.value == right.value
        || match (left.decimal, right.decimal) {
            (Some(digits), None) => is_rounding(&left.value, digits, &right.value),
            (None, Some(digits)) => is_rounding(&right.value, digits, &left.value),
            _ => false,
        }
}

/// Whether a decimal of at least six significant digits is the exact value cut or rounded to its places, where the
/// value has no end as a decimal: 0.333333 answers 1/3, 0.33 does not, and nothing but 0.5 answers 1/2.
fn is_rounding(decimal: &BigRational, (places, significant): (u32, u32), exact: &BigRational) -> bool {
    let unit_in_last_place = BigRational::new(BigInt::one(), BigInt::from(10).pow(places));
    significant >= 6 && !terminates(exact.denom()) && (decimal - exact).abs() < unit_in_last_place
}

fn terminates(denominator: &BigInt) -> bool {
    let mut rest = denominator.clone();
    for factor in [2, 5] {
        let factor = BigInt::from(factor);
        while (&rest % &factor).is_zero() {
            rest /= &factor;
        }
    }
    rest.is_one()
}

/// A whole normalised answer as a number.
fn number(text: &str) -> Option<Number> {
    let text = latex::last_side(text);
    let (text, percent) = strip_percent(text);
    let (text, scale, unit) = unit::strip(text)?;
    let (text, inner_percent) = strip_percent(text);
    let (negative, body) = sign(text);
    let (value, decimal) = magnitude(body)?;
    let value = value * BigRational::from(BigInt::from(scale));
    Some(Number {
        value: if negative { -value } else { value },
        decimal: decimal.filter(|_| scale == 1),
        percent: percent || inner_percent,
        unit,
    })
}

fn strip_percent(text: &str) -> (&str, bool) {
    let text = text.trim();
    match text.strip_suffix('%').or_else(|| text.strip_suffix(" percent")) {
        Some(rest) => (rest.trim_end(), true),
        None => (text, false),
    }
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    }
}

type Magnitude = (BigRational, Option<(u32, u32)>);

/// A number without its sign: `3`, `1,000.5`, `3/4`, `\frac{3}{4}`, `1\frac{1}{2}`, `1 1/2`, `6\times10^{23}`, `6e23`.
fn magnitude(text: &str) -> Option<Magnitude> {
    let text = text.trim();
    if let Some((whole, rest)) = text.split_once("\\frac") {
        let (over, under, behind) = latex::two_arguments(rest)?;
        let fraction = ratio(over, under).filter(|_| behind.trim().is_empty())?;
        return mixed(whole, fraction);
    }
    if let Some((over, under)) = text.split_once('/') {
        return match over.trim().split_once(' ') {
            Some((whole, over)) => mixed(whole, ratio(over, under)?),
            None => Some((ratio(over, under)?, None)),
        };
    }
    scientific(text).or_else(|| decimal(text))
}

fn mixed(whole: &str, fraction: BigRational) -> Option<Magnitude> {
    if whole.trim().is_empty() {
        return Some((fraction, None));
    }
    let (whole, _) = decimal(whole.trim()).filter(|(whole, _)| whole.is_integer())?;
    // 1 3/2 and 1 -1/2 are no mixed numbers.
    let proper = !fraction.is_negative() && fraction < BigRational::one();
    proper.then(|| (whole + fraction, None))
}

fn ratio(over: &str, under: &str) -> Option<BigRational> {
    let signed = |text: &str| {
        let (negative, body) = sign(text.trim());
        let (value, _) = decimal(body)?;
        Some(if negative { -value } else { value })
    };
    let (over, under) = (signed(over)?, signed(under)?);
    (!under.is_zero()).then(|| over / under)
}

fn scientific(text: &str) -> Option<Magnitude> {
    let (mantissa, exponent) = match text.split_once("\\times") {
        Some((mantissa, power)) => (mantissa, power.trim().strip_prefix("10^")?),
        None => text.split_once(['e', 'E']).filter(|(mantissa, _)| !mantissa.ends_with(' '))?,
    };
    let exponent = exponent.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(exponent);
    let (negative, digits) = sign(exponent.trim());
    let power: u32 = digits.parse().ok().filter(|&power| power <= MAX_EXPONENT)?;
    let (mantissa, _) = decimal(mantissa.trim())?;
    let scale = BigRational::from(BigInt::from(10).pow(power));
    Some((if negative { mantissa / scale } else { mantissa * scale }, None))
}

/// Digits with a decimal point and groups of three: `1,000.50`, `.5`, `18.`.
fn decimal(text: &str) -> Option<Magnitude> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole = ungrouped(whole)?;
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let digits = format!("{whole}{part}");
    let value: BigInt = digits.parse().ok()?;
    let significant = digits.trim_start_matches('0').len() as u32;
    let places = part.len() as u32;
    let written = text.contains('.').then_some((places, significant));
    Some((BigRational::new(value, BigInt::from(10).pow(places)), written))
}

/// The digits of a whole number, its groups of three joined.
fn ungrouped(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split([',', latex::GROUP]).collect();
    let digits = |group: &&str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first_fits = groups.len() == 1 || (1..=3).contains(&groups[0].len());
    let rest_fits = groups[1..].iter().all(|group| group.len() == 3);
    (groups.iter().all(digits) && first_fits && rest_fits).then(|| groups.concat())
}

#[cfg(test)]
#[path = "math_tests.rs"]
mod tests;

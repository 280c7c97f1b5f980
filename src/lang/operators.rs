//! What the operators compute, on values alone: arithmetic, comparison, rewards.

use super::ast::{Arithmetic, Comparison};
use super::datum::Datum;
use super::name::Name;
use super::types::Type;
use super::value::{Quantity, RewardSum, Value};

/// Why an operator has no result.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It does not work on these types.
    Types,
    /// A constant stands left of a reward.
    RewardConstant,
    /// The numbers have no result.
    Number(&'static str),
}

const OVERFLOW: Fault = Fault::Number("the result does not fit in 64 bits");
const ZERO: Fault = Fault::Number("division by zero");

/// `left operator right`
pub(super) fn arithmetic(operator: Arithmetic, left: &Datum, right: &Datum) -> Result<Datum, Fault> {
    match (left, right) {
        (Datum::Plain(left), Datum::Plain(right)) => plain(operator, left, right),
        (Datum::List(left), Datum::List(right)) if operator == Arithmetic::Add => {
            Ok(Datum::list(left.iter().chain(right.iter()).cloned().collect()))
        }
        (Datum::Opaque(_), _) | (_, Datum::Opaque(_)) => opaque(operator, &left.ty(), &right.ty()),
        _ => Err(Fault::Types),
    }
}

fn plain(operator: Arithmetic, left: &Value, right: &Value) -> Result<Datum, Fault> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => ints(operator, *left, *right),
        (Value::Quantity(left), Value::Quantity(right)) => quantities(operator, *left, *right),
        (Value::Quantity(left), _) => scaled(operator, *left, number(right).ok_or(Fault::Types)?),
        (_, Value::Quantity(right)) if operator == Arithmetic::Multiply => {
            scaled(operator, *right, number(left).ok_or(Fault::Types)?)
        }
        (Value::Reward(left), Value::Reward(right)) => rewards(operator, left, right),
        (Value::Reward(left), _) => reward_number(operator, left, number(right).ok_or(Fault::Types)?),
        (_, Value::Reward(right)) => number_reward(operator, number(left).ok_or(Fault::Types)?, right),
        _ => floats(operator, number(left).ok_or(Fault::Types)?, number(right).ok_or(Fault::Types)?),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

fn ints(operator: Arithmetic, left: i64, right: i64) -> Result<Datum, Fault> {
    let result = match operator {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => return floats(operator, left as f64, right as f64),
        Arithmetic::Modulo if right == 0 => return Err(ZERO),
        Arithmetic::Modulo => left.checked_rem_euclid(right),
    };
    result.map(Datum::int).ok_or(OVERFLOW)
}

fn floats(operator: Arithmetic, left: f64, right: f64) -> Result<Datum, Fault> {
    real(operator, left, right).map(Datum::float)
}

fn real(operator: Arithmetic, left: f64, right: f64) -> Result<f64, Fault> {
    if right == 0.0 && matches!(operator, Arithmetic::Divide | Arithmetic::Modulo) {
        return Err(ZERO);
    }
    let result = match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Modulo => left.rem_euclid(right),
    };
    if result.is_finite() { Ok(result) } else { Err(OVERFLOW) }
}

fn quantities(operator: Arithmetic, left: Quantity, right: Quantity) -> Result<Datum, Fault> {
    if left.dimension != right.dimension || operator == Arithmetic::Multiply {
        return Err(Fault::Types);
    }
    let amount = real(operator, left.amount, right.amount)?;
    if operator == Arithmetic::Divide { Ok(Datum::float(amount)) } else { quantity(Quantity { amount, ..left }) }
}

fn scaled(operator: Arithmetic, left: Quantity, factor: f64) -> Result<Datum, Fault> {
    match operator {
        Arithmetic::Multiply | Arithmetic::Divide => {
            quantity(Quantity { amount: real(operator, left.amount, factor)?, ..left })
        }
        _ => Err(Fault::Types),
    }
}

/// Checks that a whole dimension keeps a whole amount.
pub(super) fn quantity(quantity: Quantity) -> Result<Datum, Fault> {
    if quantity.dimension.is_whole() && (quantity.amount.fract() != 0.0 || quantity.amount.abs() > 9e15) {
        return Err(Fault::Number("the amount is no whole number of its base unit"));
    }
    Ok(Datum::Plain(Value::Quantity(quantity)))
}

fn weighted(sum: &RewardSum, factor: f64) -> RewardSum {
    let mut sum = sum.clone();
    // Adding zero makes -0 a plain 0, so that `1 - r` and `-1 * r + 1` share their bytes.
    sum.offset = sum.offset * factor + 0.0;
    sum.terms.iter_mut().for_each(|term| term.weight *= factor);
    sum
}

fn reward(sum: RewardSum) -> Result<Datum, Fault> {
    Ok(Datum::Plain(Value::Reward(sum)))
}

fn rewards(operator: Arithmetic, left: &RewardSum, right: &RewardSum) -> Result<Datum, Fault> {
    let sign = match operator {
        Arithmetic::Add => 1.0,
        Arithmetic::Subtract => -1.0,
        _ => return Err(Fault::Types),
    };
    let right = weighted(right, sign);
    let terms = left.terms.iter().chain(&right.terms).cloned().collect();
    reward(RewardSum { offset: left.offset + right.offset, terms })
}

fn reward_number(operator: Arithmetic, left: &RewardSum, right: f64) -> Result<Datum, Fault> {
    match operator {
        Arithmetic::Add => reward(RewardSum { offset: left.offset + right, ..left.clone() }),
        Arithmetic::Subtract => reward(RewardSum { offset: left.offset - right, ..left.clone() }),
        Arithmetic::Multiply => reward(weighted(left, right)),
        Arithmetic::Divide if right == 0.0 => Err(ZERO),
        Arithmetic::Divide => reward(weighted(left, 1.0 / right)),
        Arithmetic::Modulo => Err(Fault::Types),
    }
}

fn number_reward(operator: Arithmetic, left: f64, right: &RewardSum) -> Result<Datum, Fault> {
    match operator {
        Arithmetic::Multiply => reward(weighted(right, left)),
        Arithmetic::Add | Arithmetic::Subtract => Err(Fault::RewardConstant),
        _ => Err(Fault::Types),
    }
}

/// The type of a result whose operands are known by type only.
fn opaque(operator: Arithmetic, left: &Type, right: &Type) -> Result<Datum, Fault> {
    use Type::{Float, Int, Quantity, Reward, Unknown};
    let divides = operator == Arithmetic::Divide;
    let adds = matches!(operator, Arithmetic::Add | Arithmetic::Subtract);
    let ty = match (left, right) {
        (Unknown, _) | (_, Unknown) => Unknown,
        (Int, Int) => {
            if divides {
                Float
            } else {
                Int
            }
        }
        (Int | Float, Int | Float) => Float,
        (Int | Float, Reward) if adds => return Err(Fault::RewardConstant),
        (Reward, Reward) if adds => Reward,
        (Reward, Int | Float) | (Int | Float, Reward) => Reward,
        (Quantity(left), Quantity(right)) if left == right && divides => Float,
        (Quantity(left), Quantity(right)) if left == right => Quantity(*left),
        (Quantity(left), Int | Float) | (Int | Float, Quantity(left)) => Quantity(*left),
        (Type::List(item), Type::List(_)) if operator == Arithmetic::Add => Type::List(item.clone()),
        _ => return Err(Fault::Types),
    };
    Ok(Datum::Opaque(ty))
}

/// `-value`
pub(super) fn negate(value: &Datum) -> Result<Datum, Fault> {
    match value {
        Datum::Plain(Value::Int(value)) => value.checked_neg().map(Datum::int).ok_or(OVERFLOW),
        Datum::Plain(Value::Float(value)) => Ok(Datum::float(-value)),
        Datum::Plain(Value::Quantity(amount)) => quantity(Quantity { amount: -amount.amount, ..*amount }),
        Datum::Plain(Value::Reward(sum)) => reward(weighted(sum, -1.0)),
        Datum::Opaque(Type::Unknown | Type::Int | Type::Float | Type::Quantity(_) | Type::Reward) => Ok(value.clone()),
        _ => Err(Fault::Types),
    }
}

/// `left comparison right`
pub(super) fn compare(comparison: Comparison, left: &Datum, right: &Datum) -> Result<Datum, Fault> {
    if left.is_opaque() || right.is_opaque() {
        return comparable(comparison, &left.ty(), &right.ty());
    }
    let result = match comparison {
        Comparison::Equal => equal(left, right)?,
        Comparison::NotEqual => !equal(left, right)?,
        Comparison::In => contains(left, right)?,
        ordering => ordered(ordering, left, right)?,
    };
    Ok(Datum::bool(result))
}

fn comparable(comparison: Comparison, left: &Type, right: &Type) -> Result<Datum, Fault> {
    let fits = match (comparison, right) {
        (Comparison::In, Type::List(item)) => left.fits(item) || item.fits(left),
        (Comparison::In, Type::Unknown) => true,
        (Comparison::In, _) => false,
        _ => left.fits(right) || right.fits(left),
    };
    if fits { Ok(Datum::Opaque(Type::Bool)) } else { Err(Fault::Types) }
}

fn equal(left: &Datum, right: &Datum) -> Result<bool, Fault> {
    let none = |value: &Datum| matches!(value, Datum::Plain(Value::None));
    match (left, right) {
        (Datum::Plain(left), Datum::Plain(right)) if number(left).is_some() && number(right).is_some() => {
            Ok(number(left) == number(right))
        }
        _ if none(left) || none(right) => Ok(none(left) && none(right)),
        (Datum::List(left), Datum::List(right)) => {
            let pairs = left.iter().zip(right.iter()).map(|(left, right)| equal(left, right));
            Ok(pairs.collect::<Result<Vec<_>, _>>()?.iter().all(|same| *same) && left.len() == right.len())
        }
        (Datum::Record(left), Datum::Record(right)) => {
            let other = |name: &Name| right.iter().find(|(other, _)| other == name).map(|(_, value)| value);
            let pairs = left.iter().map(|(name, value)| other(name).map_or(Ok(false), |other| equal(value, other)));
            Ok(pairs.collect::<Result<Vec<_>, _>>()?.iter().all(|same| *same) && left.len() == right.len())
        }
        _ if left.ty().fits(&right.ty()) || right.ty().fits(&left.ty()) => {
            left.fold().zip(right.fold()).map(|(left, right)| left == right).ok_or(Fault::Types)
        }
        _ => Err(Fault::Types),
    }
}

fn contains(item: &Datum, list: &Datum) -> Result<bool, Fault> {
    let Datum::List(items) = list else {
        return Err(Fault::Types);
    };
    items.iter().try_fold(false, |found, other| Ok(found || equal(item, other)?))
}

fn ordered(comparison: Comparison, left: &Datum, right: &Datum) -> Result<bool, Fault> {
    let (Datum::Plain(left), Datum::Plain(right)) = (left, right) else {
        return Err(Fault::Types);
    };
    let order = match (left, right) {
        (Value::Quantity(left), Value::Quantity(right)) if left.dimension == right.dimension => {
            left.amount.partial_cmp(&right.amount)
        }
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        _ => number(left).ok_or(Fault::Types)?.partial_cmp(&number(right).ok_or(Fault::Types)?),
    };
    let order = order.ok_or(Fault::Types)?;
    Ok(match comparison {
        Comparison::Less => order.is_lt(),
        Comparison::LessEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        _ => order.is_ge(),
    })
}

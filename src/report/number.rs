//! Numbers as people read them: percentages, p-values, durations, rates.

pub use crate::base::words::bytes;

/// A share as a percentage with one decimal: `42.5%`.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", unsigned_zero(share * 100.0, 1))
}

/// A difference of shares in percentage points, with its sign: `+3.1`.
pub fn points(difference: f64) -> String {
    format!("{:+.1}", unsigned_zero(difference * 100.0, 1))
}

/// A p-value: `p=0.003`, `p<0.001`.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "p<0.001".into() } else { format!("p={p:.3}") }
}

/// Seconds, as coarse as they are long: `0.42 s`, `12.3 s`, `4m05s`, `2h03m`.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => "?".into(),
        s if s < 0.995 => format!("{s:.2} s"),
        s if s < 99.95 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{}m{:02}s", s as u64 / 60, s as u64 % 60),
        s => format!("{}h{:02}m", s as u64 / 3600, s as u64 / 60 % 60),
    }
}

/// A count with its thousands apart: `12,345`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Any metric: whole numbers as counts, the rest with about four digits that matter.
pub fn metric(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => value.to_string(),
        size if value.fract() == 0.0 && size < 1e15 => {
            format!("{}{}", if value < 0.0 { "-" } else { "" }, count(size as u64))
        }
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 0.1 => format!("{value:.3}"),
        size if size >= 0.01 => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

/// `-0.0` after rounding is `0.0`.
fn unsigned_zero(value: f64, decimals: i32) -> f64 {
    if value.abs() * 10f64.powi(decimals) < 0.5 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([percent(0.4251), percent(1.0), percent(-0.00001)], ["42.5%", "100.0%", "0.0%"]);
        assert_eq!([points(0.031), points(-0.2), points(-0.0001)], ["+3.1", "-20.0", "+0.0"]);
        assert_eq!([p_value(0.0031), p_value(0.0009), p_value(1.0)], ["p=0.003", "p<0.001", "p=1.000"]);
        assert_eq!(
            [seconds(0.42), seconds(12.34), seconds(245.0), seconds(7380.0)],
            ["0.42 s", "12.3 s", "4m05s", "2h03m"]
        );
        assert_eq!([count(7), count(1234), count(1234567)], ["7", "1,234", "1,234,567"]);
        assert_eq!(
            [bytes(512), bytes(3482), bytes(5 << 28), bytes((1 << 20) - 1)],
            ["512 B", "3.4 KiB", "1.2 GiB", "1.0 MiB"]
        );
        assert_eq!([metric(60.0), metric(0.5123), metric(1e-5), metric(0.01234)], ["60", "0.512", "1.00e-5", "0.0123"]);
    }
}

//! What a comparison measures of an item's samples.

use std::fmt;
use std::str::FromStr;

/// A number between 0 and 1 of an item that was answered several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The share of right samples: pass@1.
    Accuracy,
    /// The probability that one of so many samples is right.
    PassAt(u64),
    /// Whether the commonest answer among all samples, so many, is right.
    MajAt(u64),
}

impl FromStr for Measure {
    type Err = ();

    fn from_str(text: &str) -> Result<Measure, ()> {
        let number = |digits: &str| digits.parse().ok().filter(|k| *k > 0 && !digits.starts_with(['0', '+']));
        match (text, text.strip_prefix("pass_at_"), text.strip_prefix("maj_at_")) {
            ("accuracy", ..) => Ok(Measure::Accuracy),
            (_, Some(k), _) => number(k).map(Measure::PassAt).ok_or(()),
            (_, _, Some(k)) => number(k).map(Measure::MajAt).ok_or(()),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Measure::Accuracy => write!(f, "accuracy"),
            Measure::PassAt(k) => write!(f, "pass_at_{k}"),
            Measure::MajAt(k) => write!(f, "maj_at_{k}"),
        }
    }
}

impl Measure {
    /// Whether it is defined for an item of so many samples.
    pub fn fits(self, samples: u64) -> bool {
        match self {
            Measure::Accuracy => true,
            Measure::PassAt(k) => k <= samples,
            Measure::MajAt(k) => k == samples,
        }
    }

    /// The measures of an item of so many samples that a person may mean: pass@k for powers of two.
    pub fn of(samples: u64) -> Vec<Measure> {
        if samples < 2 {
            return vec![Measure::Accuracy];
        }
        let powers = (1..).map(|power| 1u64 << power).take_while(|&k| k < samples);
        let passes = powers.chain([samples]).map(Measure::PassAt);
        std::iter::once(Measure::Accuracy).chain(passes).chain([Measure::MajAt(samples)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_read_as_they_are_written() {
        for measure in Measure::of(12) {
            assert_eq!(measure.to_string().parse(), Ok(measure));
            assert!(measure.fits(12));
        }
        assert_eq!(Measure::of(1), [Measure::Accuracy]);
        assert!(
            ["", "pass", "pass_at_", "pass_at_0", "pass_at_04", "pass_at_+4", "maj_at_x"]
                .iter()
                .all(|text| text.parse::<Measure>().is_err())
        );
        assert!(!Measure::PassAt(9).fits(8) && !Measure::MajAt(4).fits(8));
    }
}

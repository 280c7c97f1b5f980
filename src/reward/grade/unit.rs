//! Units and other words behind a number: `18 dollars`, `15 cm^2`, `2.5 million`.

/// Words that multiply.
const SCALES: [(&str, u64); 6] = [
    ("hundred", 100),
    ("thousand", 1_000),
    ("million", 1_000_000),
    ("billion", 1_000_000_000),
    ("trillion", 1_000_000_000_000),
    ("dozen", 12),
];

/// Units of which two different ones are two different answers, each with its spellings.
const MEASURES: &[&[&str]] = &[
    &["mm", "millimeter", "millimeters", "millimetres"],
    &["cm", "centimeter", "centimeters", "centimetres"],
    &["m", "meter", "meters", "metres"],
    &["km", "kilometer", "kilometers", "kilometres"],
    &["in", "inch", "inches"],
    &["ft", "foot", "feet"],
    &["yd", "yard", "yards"],
    &["mi", "mile", "miles"],
    &["mg", "milligram", "milligrams"],
    &["g", "gram", "grams"],
    &["kg", "kilogram", "kilograms"],
    &["oz", "ounce", "ounces"],
    &["lb", "lbs", "pound", "pounds"],
    &["ml", "milliliter", "milliliters"],
    &["L", "liter", "liters", "litres"],
    &["sec", "second", "seconds"],
    &["min", "minute", "minutes"],
    &["hr", "hrs", "hour", "hours"],
    &["day", "days"],
    &["week", "weeks"],
    &["month", "months"],
    &["year", "years"],
    &["cent", "cents", "\u{a2}"],
    &["dollar", "dollars", "usd"],
];

/// Words that change what a number says: with one of them behind it a text is no number.
const MEANING: [&str; 47] = [
    "or",
    "and",
    "to",
    "more",
    "less",
    "fewer",
    "than",
    "not",
    "if",
    "over",
    "under",
    "plus",
    "minus",
    "times",
    "divided",
    "half",
    "halves",
    "third",
    "thirds",
    "quarter",
    "quarters",
    "squared",
    "cubed",
    "factorial",
    "mod",
    "base",
    "choose",
    "sqrt",
    "log",
    "sin",
    "cos",
    "tan",
    "pi",
    "between",
    "about",
    "least",
    "most",
    "from",
    "north",
    "south",
    "east",
    "west",
    "below",
    "above",
    "remainder",
    "undefined",
    "infinity",
];

/// Short words that are units and not products of unknowns: `5 cm` is a length, `5 ab` is not.
const SHORT: [&str; 15] =
    ["mph", "kph", "sq", "cu", "per", "pts", "pt", "of", "hp", "gal", "deg", "pct", "rad", "yds", "a"];

/// Words for a hundredth.
const PERCENT: [&str; 4] = ["percent", "pct", "percentage", "percents"];

/// Words before a number that name its currency.
const CURRENCIES: [&str; 7] = ["rs", "usd", "us", "eur", "inr", "gbp", "cad"];

/// Short words that are answers, and no products of unknowns.
const ANSWERS: [&str; 3] = ["yes", "no", "dne"];

/// What words behind a number do to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// The factor of a scale word, where there is one.
    pub scale: Option<u64>,
    /// The measure, where it is a known one.
    pub measure: Option<&'static str>,
    /// Whether a word stands for the percent sign.
    pub percent: bool,
}

/// What the words do; none where one of them is no unit.
pub fn effect(words: &[String]) -> Option<Effect> {
    let mut effect = Effect::default();
    for (index, word) in words.iter().enumerate() {
        let word = if word == "L" { word.clone() } else { word.to_lowercase() };
        let scale = SCALES.iter().find(|(name, _)| *name == word);
        if let Some((_, factor)) = scale {
            if index > 0 {
                return None;
            }
            effect.scale = Some(*factor);
        } else if PERCENT.contains(&word.as_str()) {
            effect.percent = true;
        } else {
            effect.measure = effect.measure.or(measure(&word)?);
        }
    }
    Some(effect)
}

/// Whether a run of letters is a unit even where no space parts it from its number.
pub fn is_short_unit(word: &str) -> bool {
    SHORT.contains(&word) || (word.len() > 1 && MEASURES.iter().any(|spellings| spellings.contains(&word)))
}

/// Whether a word before a number names a currency.
pub fn is_currency(word: &str) -> bool {
    CURRENCIES.contains(&word.to_lowercase().as_str())
}

/// Whether a run of letters reads as a word rather than as a product of unknowns.
pub fn is_word(word: &str) -> bool {
    let small = word.to_lowercase();
    // `NO` may be a segment of a figure.
    if ANSWERS.contains(&small.as_str()) && word.contains(char::is_lowercase) {
        return true;
    }
    let vowel = small.contains(['a', 'e', 'i', 'o', 'u', 'y']);
    match word.chars().count() {
        0..=2 => false,
        3 => vowel && !small.contains(['x', 'y', 'z']),
        _ => vowel,
    }
}

/// The measure that a word is, if it is one; the outer none where the word may be no unit at all.
fn measure(word: &str) -> Option<Option<&'static str>> {
    let bare = word.split(['^', '/']).next().unwrap_or(word);
    if let Some(spellings) = MEASURES.iter().find(|spellings| spellings.contains(&bare)) {
        // A rate is another measure than its numerator, and needs no finer table here.
        return Some((bare == word).then(|| spellings[0]));
    }
    let letters = bare.chars().all(|c| c.is_alphabetic() || c == '-' || c == '\'');
    (letters && !MEANING.contains(&bare) && (is_word(bare) || SHORT.contains(&bare))).then_some(None)
}

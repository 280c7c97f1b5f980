//! Units and other words around a number: `18 dollars`, `$18`, `15 cm^2`, `2.5 million`.

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
    &["liter", "liters", "litres"],
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

/// Words that change what a number says: with one of them in it a text is no number.
const MEANING: [&str; 44] = [
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
];

/// Short words that are units and not products of unknowns: `5 cm` is a length, `5 ab` is not.
const SHORT: [&str; 10] = ["mph", "kph", "sq", "cu", "per", "pts", "pt", "of", "hp", "gal"];

/// The number's text without currency and units, the factor of a scale word, and the measure where it is a known one.
/// None where words stand that a unit does not explain.
pub fn strip(text: &str) -> Option<(&str, u64, Option<&'static str>)> {
    let text = text.trim();
    let text = ["US ", "USD ", "Rs. ", "Rs ", "\u{20ac}", "\u{a3}", "\u{a5}"]
        .iter()
        .find_map(|sign| text.strip_prefix(sign))
        .unwrap_or(text);
    let text = text.trim_end_matches(['\u{20ac}', '\u{a3}', '\u{a5}']).trim_end();
    let Some(at) = words_start(text) else { return Some((text, 1, None)) };
    let (front, words) = text.split_at(at);
    let (mut scale, mut measure) = (1u64, None);
    for (index, word) in words.split_whitespace().enumerate() {
        let word = word.trim_matches([',', '.', '(', ')']).to_lowercase();
        // `5m` may be a product of an unknown, and is no length.
        if index == 0 && !front.ends_with(' ') && word.chars().count() < 2 {
            return None;
        }
        match SCALES.iter().find(|(name, _)| *name == word) {
            Some((_, factor)) if index == 0 => scale = *factor,
            Some(_) => return None,
            None => measure = measure.or(unit(&word)?),
        }
    }
    Some((front.trim_end(), scale, measure))
}

/// Where the words behind a number begin: the first letter after a space or a digit. Not in `6e23`, not in commands.
fn words_start(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let last_digit = bytes.iter().rposition(u8::is_ascii_digit)?;
    let tail = text.rfind("^{").or_else(|| text.rfind('^'));
    // The digits of a unit's power are not the number's: `15 cm^2`.
    let number_end = match tail {
        Some(at) if text[..at].ends_with(|c: char| c.is_alphabetic()) && last_digit > at => {
            text[..at].bytes().rposition(|byte| byte.is_ascii_digit())?
        }
        _ => last_digit,
    };
    let rest = &text[number_end + 1..];
    let start = rest.find(|c: char| c.is_alphabetic() || c == '\u{a2}')?;
    let between_is_blank = rest[..start].chars().all(|c| matches!(c, ' ' | '}' | '.' | '%'));
    (between_is_blank && !rest.contains('\\')).then_some(number_end + 1 + start)
}

/// The measure that a word is, if it is one; the outer none where the word may be no unit at all.
fn unit(word: &str) -> Option<Option<&'static str>> {
    let bare = word.split(['^', '/']).next().unwrap_or(word);
    if let Some(spellings) = MEASURES.iter().find(|spellings| spellings.contains(&bare)) {
        // A rate is another measure than its numerator, and needs no finer table here.
        return Some((bare == word).then(|| spellings[0]));
    }
    let letters = bare.chars().all(|c| c.is_alphabetic() || c == '-' || c == '\'');
    let is_word = match bare.chars().count() {
        0..=2 => false,
        3 => bare.contains(['a', 'e', 'i', 'o', 'u']),
        _ => true,
    };
    (letters && !MEANING.contains(&bare) && (is_word || SHORT.contains(&bare))).then_some(None)
}

//! Tests of equality: known pairs, properties, limits, and the real golds where they are at hand.

use super::*;
use crate::reward::answer::{Marker, Search, find};
use proptest::prelude::*;

#[test]
fn equal_answers_in_different_dress() {
    for (left, right) in [
        ("18", "18.00"),
        ("1000", "1,000"),
        ("1000", "1{,}000"),
        ("1000", "1\\,000"),
        ("10,\\!000", "10000"),
        ("11,\\! 111,\\! 100", "11111100"),
        ("\\frac{1}{2}", "0.5"),
        ("\\frac{1}{2}", "\\dfrac12"),
        ("\\frac{1}{2}", "\\frac{2}{4}"),
        ("-\\frac{1}{2}", "\\frac{-1}{2}"),
        ("\\frac{3}{2}", "1\\frac{1}{2}"),
        ("3/2", "1 1/2"),
        ("0.5", ".5"),
        ("-5", "\u{2212}5"),
        ("-5", "- 5"),
        ("5", "+5"),
        ("0", "-0"),
        ("$18", "18 dollars"),
        ("\\$18.00", "18"),
        ("18", "18\\text{ eggs}"),
        ("18", "18 eggs per day."),
        ("15\\mbox{ cm}^2", "15"),
        ("15 cm^2", "15 square centimeters"),
        ("90^{\\circ}", "90°"),
        ("50\\%", "50"),
        ("50%", "0.5"),
        ("2.5 million", "2,500,000"),
        ("x=2", "2"),
        ("2", "x = 2"),
        ("6", "2\\times 3 = 6"),
        ("6.02\\times 10^{23}", "6.02e23"),
        ("1/3", "0.333333"),
        ("2/3", "0.666667"),
        ("\\text{Evelyn}", "\\text{evelyn}"),
        ("204_5", "204_{5}"),
        ("(1,\\frac{9}{2})", "\\left( 1, 4.5 \\right)"),
        ("y=2x+1", "2x+1"),
        ("\\boxed{18}", "18"),
        ("5 cm", "5"),
    ] {
        assert!(equal(left, right), "{left} and {right}");
    }
}

#[test]
fn different_answers_stay_different() {
    for (left, right) in [
        ("5", "500"),
        ("50", "5000%"),
        ("10000", "10001"),
        ("2(3)", "23"),
        ("\\pi", "3.14"),
        ("2\\pi", "2"),
        ("2x", "2"),
        ("5 x", "5"),
        ("5m", "5"),
        ("(3,4)", "(4,3)"),
        ("(3,4)", "[3,4]"),
        ("1,2,3", "123"),
        ("\\text{Yes}", "\\text{No}"),
        ("204_5", "2045"),
        ("1/3", "0.33"),
        ("1/2", "0.500001"),
        ("3", "3 or 4"),
        ("18", "18 or more"),
        ("18", "18 million"),
        ("6", "2x = 6"),
        ("5 cm", "5 m"),
        ("5 miles", "5 km"),
        ("3 5", "35"),
        ("2^3", "23"),
        ("1.000.000", "1000000"),
        ("12,34", "1234"),
        ("1/0", "0"),
        ("\\frac{1}{0}", "1/0"),
        ("", "0"),
        ("X", "x"),
        ("\\sqrt{2}", "2"),
        ("3!", "3"),
        ("|-5|", "5"),
        ("10 am", "10 pm"),
        ("6e2", "62"),
        ("1 3/2", "5/2"),
    ] {
        assert!(!equal(left, right), "{left} and {right}");
        assert!(!equal(right, left), "{right} and {left}");
    }
}

#[test]
fn votes_are_counted_over_one_form() {
    assert_eq!(canonical("\\frac{2}{4}"), canonical("0.50"));
    assert_eq!(canonical("$1,000"), "1000");
    assert_eq!(canonical("\\text{Yes}"), canonical("yes"));
}

#[test]
fn a_huge_answer_takes_no_time() {
    let start = std::time::Instant::now();
    let digits = "9".repeat(1 << 20);
    assert!(equal(&digits, &digits));
    assert!(!equal(&digits, "9"));
    assert!(!equal("1e1000", "1e999") && !equal("9e999999999", "9e999999998"));
    for piece in ["{", "\\frac", "\\text{", "(", "1,", "=", "\\left"] {
        let text = piece.repeat(MAX_ANSWER / piece.len());
        assert!(equal(&text, &text));
        assert!(!equal(&text, "7"));
    }
    assert!(start.elapsed().as_secs() < 10);
}

proptest! {
    #[test]
    fn equality_is_reflexive_and_symmetric(
        left in "[-0-9a-z./,%$ ^_{}()\\\\=+]{0,12}", right in "[-0-9a-z./,%$ ^_{}()\\\\=+]{0,12}"
    ) {
        prop_assert!(equal(&left, &left));
        prop_assert_eq!(equal(&left, &right), equal(&right, &left));
    }

    #[test]
    fn any_text_is_survived(left in "\\PC{0,40}") {
        equal(&left, "5");
        find(&left, Search::Strict, Marker::Any);
        find(&left, Search::Lenient, Marker::Any);
        canonical(&left);
    }

    #[test]
    fn different_integers_are_never_equal(left in -100_000i64..100_000, step in 1i64..1000) {
        prop_assert!(!equal(&left.to_string(), &(left + step).to_string()));
        let decimal = format!("{left}.0");
        prop_assert!(equal(&left.to_string(), &decimal));
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the report of a trial on real data")]
fn every_real_gold_equals_itself() {
    use crate::data::format::Format;
    use crate::data::read::read_file;
    let Some(shared) = crate::data::shared_data() else { return };
    for name in ["gsm8k/train.jsonl", "gsm8k/test.jsonl", "svamp/SVAMP.json", "math500/test.jsonl"] {
        let rows = read_file(&shared.join(name), &Format::Auto).unwrap();
        let mut texts = Vec::new();
        for row in &rows {
            let gold = row.answer.as_deref().unwrap();
            assert!(equal(gold, gold), "{name} {gold}");
            if !is_number(gold) {
                texts.push(gold);
            }
            if let (Some(completion), false) = (&row.completion, name.starts_with("svamp")) {
                let found = find(completion, Search::Strict, Marker::Any);
                assert!(found.answer.is_some_and(|answer| equal(gold, &answer)), "{name}: {gold} in {completion}");
            }
        }
        eprintln!("{name}: {} golds, {} of them no numbers: {texts:?}", rows.len(), texts.len());
        assert!(texts.is_empty() || name.starts_with("math500"), "{name}: {texts:?}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the report of a trial on real data")]
fn no_known_wrong_answer_is_accepted() {
    let Some(shared) = crate::data::shared_data() else { return };
    let cases = |name: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(shared.join("grading").join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for case in cases("gsm8k.jsonl") {
        let [id, gold, completion, want] =
            ["id", "gold", "completion", "want"].map(|name| case[name].as_str().unwrap());
        for search in [Search::Strict, Search::Lenient] {
            let found = find(completion, search, Marker::Any);
            let verdict = found.answer.as_ref().is_some_and(|answer| equal(gold, answer));
            if verdict != (want == "T") {
                eprintln!("{id} {search:?} {completion:?} wanted {want}: found {found:?}");
                assert!(!verdict, "{id}");
                assert!(search == Search::Strict, "{id}");
            }
        }
    }
    for case in cases("math.jsonl") {
        let [id, gold, answer, want] = ["id", "gold", "pred_boxed", "want"].map(|name| case[name].as_str().unwrap());
        let verdict = equal(gold, answer);
        if verdict != (want == "T") {
            eprintln!("{id} {gold} {answer} wanted {want}");
            assert!(!verdict, "{id}");
        }
    }
}

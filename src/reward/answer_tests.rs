//! Tests of the search for an answer, strict and lenient.

use super::*;

fn strict_answer(text: &str) -> Option<String> {
    find(text, Search::Strict, Marker::Any).answer
}

fn lenient_answer(text: &str) -> (Option<String>, Rule) {
    let found = find(text, Search::Lenient, Marker::Any);
    (found.answer, found.rule)
}

#[test]
fn strict_takes_the_last_mark() {
    for (text, answer) in [
        ("so 9*2 = 18.\n#### 18", "18"),
        ("#### 17\nWait, that is wrong.\n#### 18", "18"),
        ("#### 18\n####", "18"),
        ("#### \\boxed{18}", "18"),
        ("first \\boxed{17}.\n\nNo: \\boxed{\\frac{1}{2}} it is", "\\frac{1}{2}"),
        ("\\boxed{18} and again \\boxed{18.0}", "18.0"),
        ("<think>\\boxed{3} #### 4</think> \\boxed{5}", "5"),
        ("<think>x</think><answer> 18 </answer>", "18"),
        ("<answer>so \\boxed{18}</answer>", "18"),
        ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
        ("\\boxed {7}", "7"),
        ("#### 18<|im_end|>\n#### 7", "18"),
        ("#### 18\n\nQuestion: Next?\nAnswer: #### 7", "18"),
    ] {
        assert_eq!(strict_answer(text).as_deref(), Some(answer), "{text}");
    }
}

#[test]
fn strict_takes_nothing_for_a_spoiled_or_absent_mark() {
    for text in [
        "The answer is 18.",
        "18",
        "\\boxed{17} then \\boxed{18",
        "\\boxed{18",
        "\\boxed{}",
        "####",
        "<think> \\boxed{18}",
        "<think>a</think> <think> #### 18",
        "<answer>18",
        "I first thought \\boxed{17} but it is \\boxed{18}.",
        "\\boxed{17}\n#### 18",
        "",
    ] {
        assert_eq!(strict_answer(text), None, "{text}");
    }
}

#[test]
fn a_declared_marker_is_the_only_one() {
    let text = "#### 3\n\n\\boxed{4}";
    assert_eq!(find(text, Search::Strict, Marker::Hashes).answer.as_deref(), Some("3"));
    assert_eq!(find(text, Search::Strict, Marker::Boxed).answer.as_deref(), Some("4"));
    assert_eq!(find("<answer>5</answer>", Search::Strict, Marker::Boxed).answer, None);
}

#[test]
fn lenient_goes_down_the_rules_and_says_which_fired() {
    for (text, answer, rule) in [
        ("I first thought \\boxed{17} but it is \\boxed{18}.", "18", Rule::Boxed),
        ("<think> it is \\boxed{18}", "18", Rule::Boxed),
        ("\\boxed{17\n#### 18", "18", Rule::Hashes),
        ("<answer>18</answer>", "18", Rule::AnswerTag),
        ("The answer is $18.", "$18", Rule::Phrase),
        ("The answer is: **3.5**.", "3.5", Rule::Phrase),
        ("Final Answer: 7 apples. Bye 9", "7 apples", Rule::Phrase),
        ("The answer is that she makes 18 dollars.", "18", Rule::LastNumber),
        ("**18**", "18", Rule::LastNumber),
        ("= 18/1", "18/1", Rule::LastNumber),
        ("She makes 18 dollars on each of the 5 days.", "5", Rule::LastNumber),
        ("it is -5", "-5", Rule::LastNumber),
        ("16-3", "3", Rule::LastNumber),
        ("it costs $1,250.50.", "1,250.50", Rule::LastNumber),
        ("about 50\\% of it", "50\\%", Rule::LastNumber),
    ] {
        let (found, by) = lenient_answer(text);
        assert_eq!(found.as_deref(), Some(answer), "{text}");
        let by = if rule == Rule::LastNumber && by == Rule::Phrase { rule } else { by };
        assert_eq!(by, rule, "{text}");
    }
    assert_eq!(lenient_answer("no idea"), (None, Rule::None));
}

#[test]
fn a_megabyte_of_anything_takes_no_time() {
    let start = std::time::Instant::now();
    for piece in
        ["\\boxed{", "{", "}", "####", "#### \n", "1", "answer is ", "<think>", "\\boxed{1}", "<answer>", "\\", "-"]
    {
        let text = piece.repeat((1 << 20) / piece.len());
        find(&text, Search::Strict, Marker::Any);
        find(&text, Search::Lenient, Marker::Any);
    }
    assert!(start.elapsed().as_secs() < 20);
}

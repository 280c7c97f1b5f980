//! Tests of the search for an answer, strict and lenient.

use super::*;

fn strict_answer(text: &str) -> Option<String> {
    strict(text, Marker::Any).answer
}

fn lenient_answer(text: &str) -> (Option<String>, Rule) {
    let found = lenient(text);
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
    assert_eq!(strict(text, Marker::Hashes).answer.as_deref(), Some("3"));
    assert_eq!(strict(text, Marker::Boxed).answer.as_deref(), Some("4"));
    assert_eq!(strict("<answer>5</answer>", Marker::Boxed).answer, None);
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
        ("The answer is that she makes 18 dollars.", "18", Rule::Phrase),
        ("The answer is $x = 5$, since 3 + 2 = 5.", "x = 5", Rule::Phrase),
        ("The answer is:\n\\[\n\\frac{1}{2}\n\\]", "\\frac{1}{2}", Rule::Phrase),
        ("**18**", "**18**", Rule::LastLine),
        ("so we add\n3x + 2", "3x + 2", Rule::LastLine),
        ("yes", "yes", Rule::LastLine),
        ("= 18/1", "18/1", Rule::LastNumber),
        ("She makes 18 dollars on each of the 5 days.", "5", Rule::LastNumber),
        ("it is -5", "-5", Rule::LastNumber),
        ("he is at 16-3", "3", Rule::LastNumber),
        ("it costs $1,250.50.", "1,250.50", Rule::LastNumber),
        ("about 50\\% of it", "50\\%", Rule::LastNumber),
        ("a bus holds 1 000.", "1 000", Rule::LastNumber),
        ("she has 7 of room K2", "7", Rule::LastNumber),
        ("Therefore $x \\ge 5$ is the solution.", "x \\ge 5", Rule::LastFormula),
        ("the probability $p$ is 0.5 here", "0.5", Rule::LastNumber),
        ("she had $18 and spent $6 of it", "6", Rule::LastNumber),
        ("so option B is right", "B", Rule::Choice),
    ] {
        let (found, by) = lenient_answer(text);
        assert_eq!((found.as_deref(), by), (Some(answer), rule), "{text}");
    }
    assert_eq!(lenient_answer("no idea how this is to be done at all"), (None, Rule::None));
}

#[test]
fn boxes_that_are_joined_are_one_answer() {
    for (text, answer) in [
        ("$n$ is \\(\\boxed{-2}\\) and \\(\\boxed{1}\\).", "-2, 1"),
        ("\\boxed{1}, \\boxed{2} or \\boxed{3}", "1, 2, 3"),
        ("\\boxed{k = 45} \\quad \\text{and} \\quad \\boxed{n = 2}", "k = 45, n = 2"),
        ("\\boxed{5}, \\boxed{5}", "5"),
        ("\\boxed{1} is what I thought, until I saw that it has to be \\boxed{2}", "2"),
    ] {
        assert_eq!(lenient_answer(text), (Some(answer.to_string()), Rule::Boxed), "{text}");
    }
}

#[test]
fn a_gold_text_is_what_its_mark_holds() {
    for (text, answer) in [
        ("18", "18"),
        ("She adds.\n#### 1,000", "1,000"),
        ("so it is $\\boxed{\\frac12}$", "\\frac12"),
        ("the answer is \\\\boxed{840}.", "840"),
    ] {
        assert_eq!(gold(text), answer, "{text}");
    }
}

#[test]
fn a_megabyte_of_anything_takes_no_time() {
    let start = std::time::Instant::now();
    for piece in [
        "\\boxed{",
        "{",
        "}",
        "####",
        "#### \n",
        "1",
        "answer is ",
        "<think>",
        "\\boxed{1}",
        "<answer>",
        "\\",
        "-",
        "$",
        "\\(",
        "$1$ ",
        "a1 ",
        "1 000 ",
        "\\boxed{1}, ",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        strict(&text, Marker::Any);
        lenient(&text);
        gold(&text);
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

//! Whether a completion keeps to the tags it was asked for.

/// Exactly one `<think>…</think>`, at the start and closed, with an answer behind it that is not empty.
pub fn tagged(completion: &str) -> bool {
    after_think(completion).is_some_and(|answer| !answer.trim().is_empty())
}

/// Exactly `<think>…</think>` and `<answer>…</answer>`, with nothing but white space around and between them.
pub fn think_answer(completion: &str) -> bool {
    let Some(answer) = after_think(completion).map(str::trim) else { return false };
    let inner = answer.strip_prefix("<answer>").and_then(|rest| rest.strip_suffix("</answer>"));
    inner.is_some_and(|inner| !inner.contains("<answer>") && !inner.contains("</answer>") && !inner.trim().is_empty())
}

/// What stands behind the one `<think>…</think>` that opens the completion.
fn after_think(completion: &str) -> Option<&str> {
    let rest = completion.trim_start().strip_prefix("<think>")?;
    let (inside, after) = rest.split_once("</think>")?;
    let again = inside.contains("<think>") || after.contains("<think>") || after.contains("</think>");
    (!again).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tagged_wants_one_closed_thought_and_an_answer() {
        assert!(tagged("<think>2+2</think>\n#### 4"));
        assert!(tagged("\n<think></think> 4"));
        for bad in [
            "4",
            "<think>2+2 #### 4",
            "<think>2+2</think>  \n",
            "<think>a</think><think>b</think> 4",
            "<think><think>a</think></think> 4",
            "4 <think>2+2</think> 4",
            "</think>4<think>",
        ] {
            assert!(!tagged(bad), "{bad}");
        }
    }

    #[test]
    fn think_answer_wants_nothing_else() {
        assert!(think_answer("<think>2+2</think>\n<answer>4</answer>\n"));
        for bad in [
            "<think>a</think> so <answer>4</answer>",
            "<think>a</think><answer>4</answer> done",
            "<think>a</think><answer> </answer>",
            "<think>a</think><answer>4</answer><answer>5</answer>",
            "<answer>4</answer>",
            "<think>a</think>4",
            "<think>a<answer>4</answer></think>",
        ] {
            assert!(!think_answer(bad), "{bad}");
        }
    }
}

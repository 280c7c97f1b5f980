//! The example of each code: `examples/CODE.md`, prose that continues the catalogue's, a wrong program and a right one.

/// The example of a code.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What more there is to say.
    pub prose: &'static str,
    /// A program that gives exactly this code; none where it takes more than a program.
    pub wrong: Option<&'static str>,
    /// The same as it should be.
    pub right: Option<&'static str>,
    /// What the command line adds to the wrong one: `-p lr=2`.
    pub params: &'static str,
    /// Whether the wrong one needs more than `check` of one file to show: another file, an input, a failing machine.
    pub is_unchecked: bool,
}

/// The example of a code, where there is one.
pub fn of(code: &str) -> Option<Example> {
    FILES.iter().find(|(name, _)| *name == code).map(|(_, text)| read(text))
}

/// Prose, then a block ```` ```wrong ````, to which `unchecked` or `-p name=value` may be added, and one ```` ```right ````.
fn read(text: &'static str) -> Example {
    let (prose, blocks) = text.split_once("```").unwrap_or((text, ""));
    let mut example = Example { prose: prose.trim(), wrong: None, right: None, params: "", is_unchecked: false };
    for block in blocks.split("```").step_by(2) {
        let (head, body) = block.split_once('\n').unwrap_or((block, ""));
        match head.split_once(' ').unwrap_or((head, "")) {
            ("wrong", rest) => {
                example.wrong = Some(body);
                example.is_unchecked = rest == "unchecked";
                example.params = if example.is_unchecked { "" } else { rest };
            }
            ("right", _) => example.right = Some(body),
            _ => example.is_unchecked = true,
        }
    }
    example
}

macro_rules! files {
    ($($code:literal)*) => { &[$(($code, include_str!(concat!("examples/", $code, ".md")))),*] };
}

/// In the order of the catalogue; a test demands one for every code.
static FILES: &[(&str, &str)] = files! {
    "E001" "E002" "E003" "E004" "E005" "E006" "E007" "E008" "E009" "E010"
    "E011" "E012" "E013" "E014" "E015" "E020" "E021" "E022" "E023" "E024"
    "E025" "E026" "E027" "E028" "E029" "E030" "E031" "E032" "E033" "E034"
    "E035" "E036" "E037" "E038" "E039" "E040" "E041" "E042" "E043" "E044"
    "E045" "E046" "E047" "E050" "E051" "E052" "E053" "E054" "E055" "E056"
    "E057" "E058" "E059" "E060" "E061" "E062" "E063" "E064" "E065" "E066" "E067"
    "E068" "E069" "E070" "E071" "E072" "E073" "W001" "W002" "W003" "W010"
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::codes::CODES;

    #[test]
    fn every_code_has_an_example() {
        let missing: Vec<&str> = CODES.iter().map(|entry| entry.code).filter(|code| of(code).is_none()).collect();
        assert!(missing.is_empty(), "add src/diag/examples/CODE.md and its line here for {missing:?}");
        for (code, text) in FILES {
            assert!(CODES.iter().any(|entry| entry.code == *code), "{code} is no code");
            let example = read(text);
            assert!(example.prose.len() > 80 && example.prose.ends_with('.'), "{code} says too little");
            assert!(example.is_unchecked || (example.wrong.is_some() && example.right.is_some()), "{code}");
        }
    }
}

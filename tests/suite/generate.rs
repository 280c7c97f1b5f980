//! `srlm generate` and `srlm bench generate`: what they print, and what they refuse.

use crate::program::{Answer, Project};
use std::io::Write;
use std::process::Stdio;

/// A project whose pipeline `base` has run, and whose model is a folder, too.
fn project() -> Project {
    let project = Project::quick();
    project.write("model.srlm", "pipeline base = init_model { layers: 1, hidden: 16, heads: 1, kv_heads: 1, intermediate: 32, vocab: 320, context: 64 }\npipeline rows = arith_problems { split: \"test\", items: 4, levels: [1] }\n");
    project.srlm(&["run", "model.srlm"]).ok();
    project.srlm(&["save", "model.srlm", "base", "model"]).ok();
    project
}

const SHORT: [&str; 4] = ["--max-tokens", "8", "--seed", "3"];

fn asked(project: &Project, arguments: &[&str]) -> Answer {
    project.srlm(&[&["generate"], arguments, &SHORT].concat())
}

#[test]
fn a_folder_and_a_node_of_a_file_give_the_same_text() {
    let project = project();
    let from_folder = asked(&project, &["model", "--prompt", "1 + 1 = ?"]).ok();
    let from_node = asked(&project, &["model.srlm", "base", "--prompt", "1 + 1 = ?"]).ok();
    assert_eq!(from_folder.out(), from_node.out());
    assert!(from_folder.out().ends_with('\n') && from_folder.err().contains("8 tokens in"), "{}", from_folder.err());
    let other = asked(&project, &["model", "--prompt", "1 + 1 = ?", "--temperature", "0"]).ok();
    assert_ne!(other.out(), from_folder.out());
}

#[test]
fn json_has_a_line_a_token_and_a_line_a_sequence() {
    let project = project();
    let lines =
        asked(&project, &["model", "--prompt", "a", "--prompt", "b", "--samples", "2", "--json"]).ok().objects();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).cloned().collect::<Vec<_>>();
    let (tokens, sequences) = (of("token"), of("sequence"));
    assert_eq!(sequences.len(), 4);
    for sequence in &sequences {
        let own = tokens.iter().filter(|token| ["prompt", "sample"].iter().all(|name| token[*name] == sequence[*name]));
        let (ids, logprobs): (Vec<_>, Vec<_>) =
            own.map(|token| (token["token"].clone(), token["logprob"].clone())).unzip();
        assert_eq!(sequence["ids"].as_array(), Some(&ids));
        assert_eq!(sequence["logprobs"].as_array(), Some(&logprobs));
    }
    assert_eq!((sequences[3]["prompt"].as_u64(), sequences[3]["prompt_text"].as_str()), (Some(1), Some("b")));
}

#[test]
fn several_sequences_stand_under_their_names_in_order() {
    let project = project();
    let mut command =
        project.command(&[&["generate", "model", "--prompt", "-", "--samples", "2"][..], &SHORT].concat());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\n\ntwo\n").unwrap();
    let answer = Answer(child.wait_with_output().unwrap()).ok();
    let out = answer.out();
    let places: Vec<usize> = [
        "prompt 1 of 2, sample 1 of 2",
        "prompt 1 of 2, sample 2 of 2",
        "prompt 2 of 2, sample 1 of 2",
        "prompt 2 of 2, sample 2 of 2",
    ]
    .iter()
    .map(|head| out.find(head).unwrap_or_else(|| panic!("no {head}: {out}")))
    .collect();
    assert!(places.is_sorted(), "{out}");
}

#[test]
fn what_cannot_be_asked_is_said() {
    let project = project();
    let refused = |arguments: &[&str]| {
        let answer = asked(&project, arguments);
        assert_eq!(answer.code(), Some(2), "{}", answer.err());
        answer.err()
    };
    assert!(refused(&["nowhere", "--prompt", "a"]).contains("nowhere is no model folder"));
    assert!(refused(&["model.srlm", "rows", "--prompt", "a"]).contains("no model"));
    assert!(refused(&["model", "--prompt", "", "--raw"]).contains("prompt 1 is empty"));
    assert!(refused(&["model", "--prompt", &"long ".repeat(200)]).contains("the model has 64 positions: shorten it"));
    assert!(refused(&["model", "--prompt", "-"]).contains("standard input has no prompt"));
    assert!(refused(&["model", "--prompt", "a", "--temperature=-1"]).contains("temperature"));
    assert!(refused(&["model", "--prompt", "a", "--raw", "--system", "b"]).contains("cannot be used with"));
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_has_logits_is_refused() {
    let project = project();
    project.write(
        "larger.srlm",
        "pipeline base = init_model { layers: 1, hidden: 16, heads: 1, kv_heads: 1, intermediate: 32, vocab: 400 }\n",
    );
    project.srlm(&["run", "larger.srlm"]).ok();
    project.srlm(&["save", "larger.srlm", "base", "larger"]).ok();
    let tokenizer = |model: &str| project.path().join(model).join("tokenizer.json");
    std::fs::copy(tokenizer("larger"), tokenizer("model")).unwrap();
    let answer = asked(&project, &["model", "--prompt", "a"]);
    assert_eq!(answer.code(), Some(2), "{}", answer.err());
    assert!(answer.err().contains("does not match the model"), "{}", answer.err());
}

#[test]
fn generation_is_measured() {
    let project = Project::quick();
    let shape =
        ["bench", "generate", "--shape", "b", "--batch", "1,2", "--prompt", "3", "--new", "4", "--repeats", "1"];
    let lines = project.srlm(&[&shape[..], &["--json"]].concat()).ok().objects();
    assert_eq!(lines.iter().map(|line| line["batch"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(lines.iter().all(|line| line["tokens_per_second"].as_f64() > Some(0.0) && line["shape"] == "B"));
    assert_eq!(project.srlm(&shape).ok().out().lines().count(), 3);
    let answer = project.srlm(&["bench", "generate", "--shape", "D"]);
    assert_eq!(answer.code(), Some(2));
    assert!(answer.err().contains("A, B or C"), "{}", answer.err());
}

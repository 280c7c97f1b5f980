//! Tests of the templates against texts that transformers rendered.

use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    template: String,
    messages: Vec<Message>,
    add_generation_prompt: bool,
    text: String,
    ids: Option<Vec<u32>>,
}

fn cases(template: &str) -> Vec<Case> {
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/fixtures/chat/cases.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_value(document["cases"].clone()).unwrap();
    let cases: Vec<Case> = cases.into_iter().filter(|case| case.template == template).collect();
    assert!(!cases.is_empty());
    cases
}

fn eos(token: &str) -> BTreeMap<String, String> {
    [("eos_token".to_string(), token.to_string())].into()
}

fn check(template: &ChatTemplate, name: &str) {
    for case in cases(name) {
        assert_eq!(template.render(&case.messages, case.add_generation_prompt).unwrap(), case.text);
    }
}

#[test]
fn the_features_of_templates_render_as_in_transformers() {
    let source = include_str!("../../tests/fixtures/chat/features.jinja");
    check(&ChatTemplate::new(source, eos("<|im_end|>")).unwrap(), "features");
}

#[test]
fn our_own_template_renders_as_in_transformers() {
    check(&ChatTemplate::new(include_str!("tiny.jinja"), BTreeMap::new()).unwrap(), "tiny");
}

#[test]
fn the_real_qwen_template_and_tokenizer_agree_with_transformers() {
    let Some(shared) = crate::data::shared_data() else { return };
    let tokenizer = crate::data::tokenizer::Tokenizer::from_folder(&shared.join("qwen2_5-tokenizer")).unwrap();
    check(tokenizer.template().unwrap(), "qwen2_5");
    for case in cases("qwen2_5") {
        assert_eq!(Some(tokenizer.encode(&case.text, false).unwrap()), case.ids);
        assert_eq!(tokenizer.decode(&case.ids.unwrap(), false).unwrap(), case.text);
    }
}

#[test]
fn a_refusal_and_a_broken_template_are_told_with_their_line() {
    let source = include_str!("../../tests/fixtures/chat/features.jinja");
    let template = ChatTemplate::new(source, BTreeMap::new()).unwrap();
    let refused = template.render(&[Message::new("oracle", "x")], true).unwrap_err().to_string();
    assert!(refused.contains("unknown role oracle"), "{refused}");
    let broken = ChatTemplate::new("a\n{% if %}", BTreeMap::new()).unwrap_err().to_string();
    assert!(broken.contains("line 2"), "{broken}");
}

#[test]
fn today_is_the_same_every_day() {
    let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}", BTreeMap::new()).unwrap();
    assert_eq!(template.render(&[], true).unwrap(), "26 Jul 2024");
}

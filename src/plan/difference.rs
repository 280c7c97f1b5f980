//! Two canonical values side by side: which fields differ, and how that reads.

use serde_json::{Map, Value as Json};

/// The longest value that is shown whole, in characters.
const SHOWN: usize = 60;

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The field, by dots where it lies inside another.
    pub path: String,
    /// What happened since: "`budget` changed: 60steps → 80steps".
    pub text: String,
    /// What sets the two apart where neither came of the other: "`budget` is 80steps, not 60steps".
    pub apart: String,
    /// The earlier value as the language writes it; none where there was none.
    pub was: Option<String>,
    /// The value now.
    pub is: Option<String>,
}

/// The fields that differ, descending where both sides are records with the same fields.
pub fn differences(old: &Json, new: &Json) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(old), Some(new), &mut found);
    found
}

fn compare(path: &str, old: Option<&Json>, new: Option<&Json>, found: &mut Vec<Difference>) {
    match (old, new) {
        _ if old == new => {}
        (Some(old), Some(new)) if terms(old).is_some() && terms(new).is_some() => {
            compare_rewards(path, old, new, found)
        }
        (Some(Json::Object(old)), Some(Json::Object(new))) if path.is_empty() || same_fields(old, new) => {
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                compare(&inside(path, name), old.get(name), new.get(name), found);
            }
        }
        _ => found.push(Difference::new(path, old, new)),
    }
}

impl Difference {
    fn new(path: &str, old: Option<&Json>, new: Option<&Json>) -> Difference {
        let name = format!("`{path}`");
        match (old, new) {
            (Some(old), Some(new)) => Difference::named(path.to_string(), &name, old, new),
            (was, is) => {
                let (was, is) = (was.map(show), is.map(show));
                let (text, apart) = match (&was, &is) {
                    (Some(was), _) => (format!("{name} is gone: it was {was}"), format!("it has no {name}")),
                    (None, Some(is)) => (format!("{name} is new: {is}"), format!("{name} is {is}")),
                    (None, None) => Default::default(),
                };
                Difference { path: path.to_string(), text, apart, was, is }
            }
        }
    }

    /// Of something that has a name of its own, such as "the weight of `tagged`".
    fn named(path: String, what: &str, old: &Json, new: &Json) -> Difference {
        let text = format!("{what} changed: {}", arrow(old, new));
        let (was, is) = (show(old), show(new));
        let apart = match content(new).is_some() || was == is {
            true => format!("{what} has other content"),
            false => format!("{what} is {is}, not {was}"),
        };
        Difference { path, text, apart, was: Some(was), is: Some(is) }
    }
}

/// Whether two objects are records of the same fields. A quantity or file content is a value and no record; a variant
/// and a suite of one benchmark hold a record.
fn same_fields(old: &Map<String, Json>, new: &Map<String, Json>) -> bool {
    let is_record = old.len() > 1 || old.values().chain(new.values()).all(Json::is_object);
    is_record && old.len() == new.len() && old.keys().all(|name| new.contains_key(name))
}

/// The terms of a reward: `{"offset": …, "terms": […]}`.
fn terms(value: &Json) -> Option<&Vec<Json>> {
    let fields = value.as_object().filter(|fields| fields.len() == 2 && fields.contains_key("offset"))?;
    fields.get("terms")?.as_array()
}

/// Rewards with the same verifiers differ in weights, settings and versions; others as a whole.
fn compare_rewards(path: &str, old: &Json, new: &Json, found: &mut Vec<Difference>) {
    let (Some(was), Some(is)) = (terms(old), terms(new)) else { return };
    let names = |terms: &[Json]| terms.iter().map(|term| term["reward"].clone()).collect::<Vec<_>>();
    if names(was) != names(is) {
        return found.push(Difference::new(path, Some(old), Some(new)));
    }
    if old["offset"] != new["offset"] {
        let what = format!("the constant of `{path}`");
        found.push(Difference::named(inside(path, "offset"), &what, &old["offset"], &new["offset"]));
    }
    for (old, new) in was.iter().zip(is).filter(|(old, new)| old != new) {
        compare_terms(path, old, new, found);
    }
}

fn compare_terms(path: &str, old: &Json, new: &Json, found: &mut Vec<Difference>) {
    let name = old["reward"].as_str().unwrap_or_default();
    let path_of = |part: &str| inside(&inside(path, name), part);
    if old["version"] != new["version"] {
        let what = format!("the version of srlm's `{name}` in `{path}`");
        found.push(Difference::named(path_of("version"), &what, &old["version"], &new["version"]));
    }
    if old["weight"] != new["weight"] {
        let what = format!("the weight of `{name}` in `{path}`");
        found.push(Difference::named(path_of("weight"), &what, &old["weight"], &new["weight"]));
    }
    let settings = |args: &Json| args.as_object().cloned().unwrap_or_default();
    let (was, is) = (settings(&old["args"]), settings(&new["args"]));
    let names = was.keys().chain(is.keys().filter(|setting| !was.contains_key(*setting)));
    for setting in names.filter(|setting| was.get(*setting) != is.get(*setting)) {
        let what = format!("`{setting}` of `{name}` in `{path}`");
        let side = |args: &Map<String, Json>| args.get(setting).cloned().unwrap_or_default();
        found.push(Difference::named(path_of(setting), &what, &side(&was), &side(&is)));
    }
}

fn inside(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

fn arrow(old: &Json, new: &Json) -> String {
    match (content(old), content(new)) {
        (Some(old), Some(new)) => format!("the file's content, {} → {}", short(old), short(new)),
        _ => {
            let (was, is) = (show(old), show(new));
            // Long texts that begin alike are told apart where they begin to differ.
            if was == is { format!("{was} → another that begins alike") } else { format!("{was} → {is}") }
        }
    }
}

fn content(value: &Json) -> Option<&str> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("content")?.as_str()
}

fn short(digest: &str) -> &str {
    digest.get(..10).unwrap_or(digest)
}

/// A canonical value as the language writes it, cut where it is long.
pub fn show(value: &Json) -> String {
    cut(match value {
        Json::Null => "none".to_string(),
        Json::Number(number) => show_number(number),
        Json::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Json::Object(fields) => terms(value).map_or_else(|| show_object(fields), |terms| show_reward(value, terms)),
        plain => plain.to_string(),
    })
}

fn cut(text: String) -> String {
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN - 1).chain(['…']).collect() }
}

/// Small numbers as they are written in settings: 2e-5.
fn show_number(number: &serde_json::Number) -> String {
    match number.as_f64().filter(|value| number.is_f64() && *value != 0.0 && value.abs() < 0.01) {
        Some(small) => format!("{small:e}"),
        None => number.to_string(),
    }
}

fn show_reward(value: &Json, terms: &[Json]) -> String {
    let term = |term: &Json| {
        let name = term["reward"].as_str().unwrap_or_default();
        let settings =
            term["args"].as_object().filter(|args| !args.is_empty()).map(|args| format!("({})", listed(args)));
        let weight =
            if term["weight"].as_f64() == Some(1.0) { String::new() } else { format!("{} * ", show(&term["weight"])) };
        format!("{weight}{name}{}", settings.unwrap_or_default())
    };
    let offset = Some(&value["offset"]).filter(|offset| offset.as_f64() != Some(0.0)).map(show);
    let parts: Vec<String> = terms.iter().map(term).chain(offset).collect();
    if parts.is_empty() { "0".to_string() } else { parts.join(" + ") }
}

fn listed(fields: &Map<String, Json>) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {}", show(value))).collect::<Vec<_>>().join(", ")
}

fn show_object(fields: &Map<String, Json>) -> String {
    let mut entries = fields.iter();
    match (entries.next(), entries.next()) {
        (Some((name, Json::Number(amount))), None) if unit(name).is_some() => {
            format!("{}{}", show_number(amount), unit(name).unwrap_or_default())
        }
        (Some((name, Json::String(text))), None) if name == "content" => format!("content {}", short(text)),
        (Some((name, Json::String(text))), None) if name == "input" => format!("the input `{text}`"),
        (Some((name, Json::Object(inner))), None) => format!("{name}({})", listed(inner)),
        _ => format!("{{ {} }}", listed(fields)),
    }
}

/// The suffix of a base unit.
fn unit(json_name: &str) -> Option<&'static str> {
    let units = [
        ("seqs", "seqs"),
        ("tokens", "tok"),
        ("steps", "steps"),
        ("epochs", "epochs"),
        ("bytes", "B"),
        ("milliseconds", "ms"),
        ("percent", "%"),
        ("points", "pp"),
    ];
    units.into_iter().find(|(name, _)| *name == json_name).map(|(_, unit)| unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(old: Json, new: Json) -> Vec<String> {
        differences(&old, &new).into_iter().map(|difference| difference.text).collect()
    }

    fn reward(weight: f64, version: u32, marker: &str) -> Json {
        let correct = json!({"weight": 1.0, "reward": "correct", "version": version, "args": {"marker": marker}});
        let tagged = json!({"weight": weight, "reward": "tagged", "version": 1, "args": {}});
        json!({"reward": {"offset": 0, "terms": [correct, tagged]}})
    }

    #[test]
    fn values_read_as_the_language_writes_them() {
        let values = [
            (json!(null), "none"),
            (json!(2e-5), "2e-5"),
            (json!(0.25), "0.25"),
            (json!(60), "60"),
            (json!({"steps": 60}), "60steps"),
            (json!({"percent": 0.5}), "0.5%"),
            (json!({"lora": {"rank": 8, "targets": "mlp"}}), "lora(rank: 8, targets: \"mlp\")"),
            (json!([1, 2]), "[1, 2]"),
            (json!({"input": "data"}), "the input `data`"),
            (reward(0.1, 1, "any")["reward"].clone(), "correct(marker: \"any\") + 0.1 * tagged"),
            (json!({"offset": -1, "terms": []}), "-1"),
        ];
        for (value, text) in values {
            assert_eq!(show(&value), text);
        }
        assert_eq!(show(&json!("long ".repeat(40))).chars().count(), SHOWN);
    }

    #[test]
    fn records_are_compared_field_by_field_and_values_as_a_whole() {
        let suite =
            |temperature: f64| json!({"suite": {"arith": {"bench": {"samples": 1, "temperature": temperature}}}});
        assert_eq!(texts(suite(0.0), suite(0.6)), ["`suite.arith.bench.temperature` changed: 0.0 → 0.6"]);
        let budgets = texts(json!({"budget": {"steps": 60}}), json!({"budget": {"epochs": 3}}));
        assert_eq!(budgets, ["`budget` changed: 60steps → 3epochs"]);
        let schedules = texts(json!({"schedule": "cosine"}), json!({"schedule": {"wsd": {"decay": {"percent": 10}}}}));
        assert_eq!(schedules, ["`schedule` changed: \"cosine\" → wsd(decay: 10%)"]);
        assert_eq!(texts(json!({"a": 1}), json!({"b": 1})), ["`a` is gone: it was 1", "`b` is new: 1"]);
    }

    #[test]
    fn rewards_are_compared_term_by_term() {
        let same = reward(0.1, 1, "any");
        assert_eq!(
            texts(same.clone(), reward(0.2, 1, "any")),
            ["the weight of `tagged` in `reward` changed: 0.1 → 0.2"]
        );
        assert_eq!(
            texts(same.clone(), reward(0.1, 2, "any")),
            ["the version of srlm's `correct` in `reward` changed: 1 → 2"]
        );
        let marker = texts(same.clone(), reward(0.1, 1, "boxed"));
        assert_eq!(marker, ["`marker` of `correct` in `reward` changed: \"any\" → \"boxed\""]);
        let mut shorter = same.clone();
        shorter["reward"]["terms"].as_array_mut().unwrap().pop();
        let whole = "`reward` changed: correct(marker: \"any\") + 0.1 * tagged → correct(marker: \"any\")";
        assert_eq!(texts(same.clone(), shorter), [whole]);
        let mut lifted = same.clone();
        lifted["reward"]["offset"] = json!(0.5);
        assert_eq!(texts(same, lifted), ["the constant of `reward` changed: 0 → 0.5"]);
    }

    #[test]
    fn long_texts_that_begin_alike_are_not_shown_as_equal() {
        let text = |end: &str| json!({"prompt": format!("{}{end}", "a".repeat(80))});
        assert!(texts(text("x"), text("y"))[0].ends_with("another that begins alike"));
    }
}

//! A small catalogue with the names of the real one, so that the language is tested apart from the stages.

use crate::base::kind::Kind;
use crate::lang::signature::{Catalogue, Field, ProfileSignature, RewardSignature, Signature, Variant};
use crate::lang::types::{Dimension, Type};
use crate::lang::value::Value;
use std::collections::BTreeMap;

fn field(name: &'static str, ty: Type, default: Option<Value>) -> Field {
    Field {
        name,
        ty,
        default,
        doc: "a field",
        aliases: &[],
        range: None,
        source: "",
        unbuilt: None,
        added: false,
        unkeyed: false,
    }
}

fn required(name: &'static str, ty: Type) -> Field {
    field(name, ty, None)
}

fn within(field: Field, low: f64, high: f64) -> Field {
    Field { range: Some((low, high)), ..field }
}

fn called(field: Field, aliases: &'static [&'static str]) -> Field {
    Field { aliases, ..field }
}

fn float(name: &'static str, default: f64) -> Field {
    field(name, Type::Float, Some(Value::Float(default)))
}

fn int(name: &'static str, default: i64) -> Field {
    field(name, Type::Int, Some(Value::Int(default)))
}

fn of(name: &'static str, dimension: Dimension, default: f64) -> Field {
    field(name, Type::Quantity(dimension), Some(Value::quantity(default, dimension)))
}

fn choice(name: &'static str, options: &[&str], also: Option<&str>) -> Field {
    let texts = Type::Strings(options.iter().map(ToString::to_string).collect());
    let ty = match also {
        Some(variant) => Type::OneOf(vec![texts, Type::Variant(variant.to_string())]),
        None => texts,
    };
    field(name, ty, Some(Value::String(options[0].to_string())))
}

fn budget(default: f64, dimension: Dimension) -> Field {
    let dimensions = [Dimension::Epochs, Dimension::Steps, Dimension::Tokens];
    let ty = Type::OneOf(dimensions.into_iter().map(Type::Quantity).collect());
    called(field("budget", ty, Some(Value::quantity(default, dimension))), &["num_train_epochs", "max_steps"])
}

fn training(learning_rate: f64) -> Vec<Field> {
    vec![
        called(within(float("learning_rate", learning_rate), 0.0, 1.0), &["lr"]),
        choice("schedule", &["cosine", "linear", "constant"], Some("wsd")),
        of("warmup", Dimension::Percent, 3.0),
        field("lora", Type::Variant("lora".into()).optional(), Some(Value::None)),
        int("seed", 0),
    ]
}

fn sft_fields() -> Vec<Field> {
    let mut fields = vec![
        required("data", Type::Dataset),
        budget(3.0, Dimension::Epochs),
        of("batch", Dimension::Seqs, 16.0),
        of("max_length", Dimension::Tokens, 1024.0),
        choice("overlong", &["drop", "error", "truncate"], None),
        field("packing", Type::Bool, Some(Value::Bool(true))),
    ];
    fields.extend(training(2e-5));
    fields
}

fn distill_fields() -> Vec<Field> {
    let losses = ["text", "kl", "jsd"].map(|name| Type::Variant(name.to_string())).to_vec();
    let mut fields =
        vec![required("teacher", Type::OneOf(vec![Type::Model, Type::Teacher])), required("loss", Type::OneOf(losses))];
    fields.extend(sft_fields());
    fields
}

fn grpo_fields() -> Vec<Field> {
    let mut fields = vec![
        required("data", Type::Dataset),
        required("reward", Type::Reward),
        budget(300.0, Dimension::Steps),
        int("prompts_per_step", 32),
        called(within(int("num_generations", 8), 2.0, f64::INFINITY), &["group_size"]),
        of("max_completion_length", Dimension::Tokens, 512.0),
        float("temperature", 1.0),
        choice("loss", &["dapo", "grpo"], None),
        called(float("kl_coef", 0.0), &["beta"]),
        choice("overlong", &["keep", "mask", "zero"], Some("soft")),
    ];
    fields.extend(training(1e-6));
    fields
}

fn sampling() -> Vec<Field> {
    vec![
        int("samples", 1),
        float("temperature", 0.0),
        float("top_p", 1.0),
        of("max_completion_length", Dimension::Tokens, 512.0),
        int("seed", 0),
    ]
}

fn with_data(rest: Vec<Field>) -> Vec<Field> {
    std::iter::once(required("data", Type::Dataset)).chain(rest).collect()
}

fn stage(kind: &'static str, piped: Option<(&'static str, Type)>, output: Kind, fields: Vec<Field>) -> Signature {
    let positional = fields.first().filter(|_| piped.is_none() || kind == "evaluate").map(|field| field.name);
    Signature { kind, version: 1, doc: "a stage", piped, output, fields, positional, unbuilt: None }
}

fn init_model() -> Vec<Field> {
    let names = ["layers", "hidden", "heads", "kv_heads", "intermediate", "vocab", "seed"];
    names
        .iter()
        .map(|name| if *name == "seed" { int(name, 0) } else { within(required(name, Type::Int), 1.0, 1e6) })
        .collect()
}

fn arith() -> Vec<Field> {
    let levels = Type::List(Box::new(Type::Int));
    let all = Value::List((1..=4).map(Value::Int).collect());
    vec![
        choice("split", &["train", "test"], None),
        int("items", 1000),
        within(field("levels", levels, Some(all)), 1.0, 9.0),
        int("seed", 0),
    ]
}

/// The stages, rewards and variants of language.md, as far as tests need them.
pub(crate) fn catalogue() -> Catalogue {
    let model = || Some(("model", Type::Model));
    let dataset = || Some(("data", Type::Dataset));
    let source = |name| vec![required(name, Type::Path)];
    let hub = |name| {
        vec![
            required(name, Type::String),
            field("rev", Type::String.optional(), Some(Value::None)),
            field("format", Type::String, Some(Value::String("chat".into()))),
        ]
    };
    let speaker = Type::OneOf(vec![Type::Model, Type::Teacher]);
    Catalogue {
        stages: vec![
            stage("sft", model(), Kind::Model, sft_fields()),
            stage("distill", model(), Kind::Model, distill_fields()),
            stage("grpo", model(), Kind::Model, grpo_fields()),
            stage("evaluate", model(), Kind::Scores, vec![required("suite", Type::Suite)]),
            stage("generate", Some(("model", speaker)), Kind::Dataset, with_data(sampling())),
            stage("keep", dataset(), Kind::Dataset, vec![required("reward", Type::Reward), float("at_least", 1.0)]),
            stage("merge", model(), Kind::Model, vec![]),
            stage("dedup", dataset(), Kind::Dataset, vec![]),
            stage("jsonl", None, Kind::Dataset, source("path")),
            stage("local", None, Kind::Model, source("path")),
            stage("hf", None, Kind::Model, hub("repo")),
            stage("hf_dataset", None, Kind::Dataset, hub("repo")),
            stage("init_model", None, Kind::Model, init_model()),
            stage("arith_problems", None, Kind::Dataset, arith()),
        ],
        rewards: ["correct", "tagged", "think_answer"].map(reward).to_vec(),
        variants: vec![
            variant("bench", with_data(sampling())),
            variant("lora", vec![within(int("rank", 16), 1.0, 4096.0), int("alpha", 32)]),
            variant("wsd", vec![of("decay", Dimension::Percent, 10.0)]),
            variant("text", vec![int("samples", 1), field("keep", Type::Reward.optional(), Some(Value::None))]),
            variant("kl", vec![choice("direction", &["forward", "reverse"], None), float("temperature", 1.0)]),
            variant("jsd", vec![within(float("beta", 0.5), 0.0, 1.0)]),
            variant("soft", vec![of("buffer", Dimension::Tokens, 64.0)]),
        ],
        profile: ProfileSignature::default(),
        trainings: BTreeMap::new(),
    }
}

fn reward(name: &'static str) -> RewardSignature {
    RewardSignature { name, version: 1, doc: "a reward", fields: vec![] }
}

fn variant(name: &'static str, fields: Vec<Field>) -> Variant {
    let positional = fields.first().map(|field| field.name);
    Variant { name, doc: "a variant", fields, positional, unbuilt: None }
}

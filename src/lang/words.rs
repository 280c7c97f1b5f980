//! The words of the language itself, each with its form and its meaning: for `srlm doc` and for editors.

use super::types::Dimension;
use super::units;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Opens an item: `sweep`.
    Item,
    /// Stands inside an item: `over`, `with`.
    Keyword,
    /// A function that is always there: `repeat`.
    Builtin,
    /// The name of a type: `Steps`.
    Type,
    /// The unit of a number: `steps`.
    Unit,
}

impl Class {
    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Class::Item => "item",
            Class::Keyword => "keyword",
            Class::Builtin => "builtin",
            Class::Type => "type",
            Class::Unit => "unit",
        }
    }
}

/// A word with its explanation.
#[derive(Clone, Debug)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// What it is.
    pub class: Class,
    /// How it is written; for a type a literal, where it has one.
    pub form: String,
    /// What it means.
    pub doc: String,
}

/// Every word: items, keywords, builtins, types, units, each group in the order in which a reader meets it.
pub fn words() -> Vec<Word> {
    let word = |class| move |&(name, form, doc): &Entry| Word { name, class, form: form.into(), doc: doc.into() };
    let items = ITEMS.iter().map(word(Class::Item));
    let keywords = KEYWORDS.iter().map(word(Class::Keyword));
    let builtins = BUILTINS.iter().map(word(Class::Builtin));
    let types = TYPES.iter().map(word(Class::Type));
    let quantities = DIMENSIONS.iter().map(|&(dimension, what)| quantity_type(dimension, what));
    items.chain(keywords).chain(builtins).chain(types).chain(quantities).chain(units::names().map(unit)).collect()
}

/// Word, form, meaning.
type Entry = (&'static str, &'static str, &'static str);

const ITEMS: &[Entry] = &[
    (
        "use",
        "use std.arith · use std.reward.{correct, tagged} · use \"file.srlm\" as f",
        "Brings names in: a module of the standard library, some names of it, or another file of the project, named \
         relative to this one.",
    ),
    (
        "param",
        "param name: Type = default where condition",
        "A value that the command line can set: `-p name=expr`, in the same grammar and with the same checks. Without \
         a default it must be set. `where` holds for the value, whoever gave it.",
    ),
    ("let", "let name = expr", "Names a value. A stage that it configures is called by this name."),
    (
        "recipe",
        "recipe f(x: Model, n: Int = 4) -> Model = expr",
        "Names a computation. Its body is an expression, or a block of bindings that ends in `return`. With its first \
         parameter left open, as in `f(n: 8)`, it is a stage like any other.",
    ),
    ("suite", "suite name { bench_name: bench(data) }", "Benchmarks to evaluate on: `model |> evaluate(name)`."),
    ("pipeline", "pipeline name = model |> stage |> evaluate(suite)", "Something to make: `srlm run` makes it."),
    (
        "sweep",
        "sweep name { over axis in values  skip when condition  return expr }",
        "Many things to make, one a cell: every combination of the axes' values but those skipped. `axis` is the \
         value, `axis.name` its label. What cells have in common runs once.",
    ),
    (
        "compare",
        "compare name { of: sweep, metric: suite.bench.accuracy, by: [axis], across: seed, baseline: { axis: \"label\" } }",
        "A table over the cells of a sweep: mean, interval, the paired difference to the baseline, and the cost.",
    ),
    ("profile", "profile name { jobs: 2 }", "How to run: plain values that no expression sees and no key contains."),
];

const KEYWORDS: &[Entry] = &[
    ("as", "use \"file.srlm\" as f", "Gives an import another name."),
    ("where", "param n: Int = 1 where n >= 1", "What a param's value must satisfy."),
    ("over", "over seed in [1, 2, 3]", "An axis of a sweep: a list, or a record whose names are the labels."),
    (
        "in",
        "3 in [1, 2, 3]",
        "Whether a list holds a value; also joins name and values in `over` and in comprehensions.",
    ),
    ("skip", "skip when order.name == \"rl\" and seed > 1", "Leaves out the cells of a sweep for which it holds."),
    ("when", "skip when condition", "Opens the condition of `skip`."),
    ("return", "return expr", "What a block gives: the result of a recipe or of a sweep's cell."),
    ("if", "if c then a else b", "A choice between two values; in a comprehension, which values to keep."),
    ("then", "if c then a else b", "Opens the value where the condition holds."),
    ("else", "if c then a else b", "Opens the value where the condition does not hold."),
    ("for", "[f(x) for x in xs if c]", "A comprehension: a list with one value for each value of another."),
    (
        "with",
        "stage with { seed: 2 }",
        "A changed copy of a record or a stage. On joined stages it sets the field in every part that has it, and is \
         an error if none has.",
    ),
    ("and", "a and b", "Both hold."),
    ("or", "a or b", "At least one holds."),
    ("not", "not a", "Does not hold."),
    ("step", "1..9 step 2", "The distance between the numbers of a range."),
    ("mod", "a mod b", "The remainder of a division."),
    ("true", "true", "The Bool that holds."),
    ("false", "false", "The Bool that does not hold."),
    ("none", "none", "The absence of a value: what a `T?` may be."),
];

const BUILTINS: &[Entry] = &[
    ("identity", "identity", "A stage that gives back what it is given: in a sweep, the model left as it is."),
    ("chain", "chain([a, b, c])", "Joins a list of stages into one: `a >> b >> c`."),
    ("repeat", "repeat(stage, times: 3)", "A stage applied several times, each to the result of the one before."),
    (
        "verifier",
        "verifier(\"correct\", marker: \"boxed\")",
        "A reward that the tool knows, with its settings; `std.reward` has names for them.",
    ),
];

const TYPES: &[Entry] = &[
    (
        "Int",
        "64 · 1_000",
        "Whole numbers. Where a Float is needed they become one: the only silent conversion of numbers.",
    ),
    ("Float", "0.5 · 1e-3", "Real numbers."),
    ("Bool", "true · false", "Truth values."),
    ("String", "\"seed ${seed}\"", "Text on one line; `${…}` puts a value in."),
    (
        "Path",
        "\"data/train.jsonl\"",
        "A file or folder whose content is an input, relative to the file that writes it. A text becomes one where \
         it is needed.",
    ),
    ("Model", "", "A model folder: config, weights, tokenizer."),
    ("Teacher", "", "What can be asked for completions or probabilities. Any Model is one."),
    ("Dataset", "", "Rows of prompts, completions and gold answers."),
    ("Reward", "correct + 0.1 * tagged", "What scores a completion. Rewards add, subtract and can be weighted."),
    ("Bench", "bench(data, samples: 4)", "One benchmark: data, and how answers to it are sampled."),
    ("Suite", "{ name: bench(data) }", "A record of benchmarks."),
    ("Scores", "", "The results of an evaluation, item by item."),
];

const DIMENSIONS: &[(Dimension, &str)] = &[
    (Dimension::Seqs, "Sequences: rows of data"),
    (Dimension::Tokens, "Tokens"),
    (Dimension::Steps, "Optimiser steps"),
    (Dimension::Epochs, "Passes over the data; may be fractional"),
    (Dimension::Size, "Amounts of memory or disk"),
    (Dimension::Duration, "Lengths of time"),
    (Dimension::Percent, "Shares in hundredths; may be fractional"),
    (Dimension::Points, "Percentage points: differences of shares; may be fractional"),
];

fn quantity_type(dimension: Dimension, what: &str) -> Word {
    let units: Vec<String> = units::of(dimension).iter().map(|unit| format!("`{unit}`")).collect();
    let doc = format!("{what}. Units touch their number: {}.", units.join(" "));
    Word { name: dimension.type_name(), class: Class::Type, form: format!("64{}", units::base_name(dimension)), doc }
}

fn unit(name: &'static str) -> Word {
    let (dimension, factor) = units::find(name).unwrap_or((Dimension::Seqs, 1.0));
    let (ty, base) = (dimension.type_name(), units::base_name(dimension));
    let doc = match factor {
        1.0 => format!("The unit of {ty}; it touches its number."),
        _ => format!("A unit of {ty}, {factor} {base}; it touches its number."),
    };
    Word { name, class: Class::Unit, form: format!("64{name}"), doc }
}

#[cfg(test)]
mod tests {
    use super::super::{check, prelude, scan};
    use super::*;

    fn named(class: Class) -> Vec<&'static str> {
        words().into_iter().filter(|word| word.class == class).map(|word| word.name).collect()
    }

    fn sorted(mut names: Vec<&str>) -> Vec<&str> {
        names.sort_unstable();
        names
    }

    #[test]
    fn every_word_of_the_language_is_explained() {
        assert_eq!(sorted(named(Class::Item)), sorted(scan::ITEM_KEYWORDS.to_vec()));
        assert_eq!(sorted(named(Class::Builtin)), sorted(prelude::BUILTINS.to_vec()));
        assert_eq!(sorted(named(Class::Type)), sorted(check::type_names().collect()));
        assert_eq!(named(Class::Unit), units::names().collect::<Vec<_>>());
    }

    /// The words of a rule that spells them by their first letters: `"s" ~ ("uite" | "weep")`.
    fn spelled(rule: &str) -> Vec<String> {
        let (mut words, mut head) = (Vec::new(), String::new());
        for (index, part) in rule.split('"').enumerate() {
            match part {
                text if index % 2 == 1 => words.push(format!("{head}{text}")),
                signs if signs.contains('~') => head = words.pop().unwrap(),
                signs if signs.contains(')') => head.clear(),
                _ => {}
            }
        }
        words
    }

    #[test]
    fn every_keyword_of_the_grammar_is_explained() {
        let grammar = include_str!("../../grammar/srlm.pest");
        let list = grammar.split("keyword  = _{").nth(1).and_then(|rest| rest.split('}').next()).unwrap();
        let spelled = spelled(list);
        let keywords = spelled.iter().map(String::as_str).collect();
        let explained = [named(Class::Item), named(Class::Keyword)].concat();
        assert_eq!(sorted(explained), sorted(keywords));
    }
}

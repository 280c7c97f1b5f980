//! Programs of any length, made of what the shipped ones are made of: the input of the benchmark.

use std::fmt::Write;

/// A well-formed program of at least `lines` lines, and at most a study of about a hundred more.
pub fn program(lines: usize) -> String {
    let mut text = String::from(HEAD);
    let mut written = text.lines().count();
    for study in 0.. {
        if written >= lines {
            break;
        }
        let start = text.len();
        write_study(&mut text, study);
        written += text[start..].lines().count();
    }
    text
}

const HEAD: &str = "\
# Many studies in one file: made by the benchmark.
use std.arith
use std.reward.{correct, tagged}

## The model every ordering starts from.
param base: Model = std.models.tiny()
";

fn write_study(text: &mut String, study: usize) {
    // Writing into a text cannot fail.
    let _ = write!(
        text,
        r#"
# ---- study {study} ---------------------------------------------------------

## How long the solutions of study {study} are imitated.
param imitate_{study}: Epochs = 3epochs where imitate_{study} > 0epochs

param rounds_{study}: Int = 3 where rounds_{study} >= 1 and rounds_{study} <= 8

let shared_{study} = {{ batch: 32seqs, max_length: 1024tok, warmup: 3%, schedule: "cosine" }}

let decoding_{study} = {{ temperature: 0.6, top_p: 0.95, max_completion_length: 48tok }}

## Imitates worked solutions, and stops while there is something left to gain.
let warm_{study} = sft {{
  ...shared_{study}
  data:          arith.train     # problems made by the tool itself
  budget:        imitate_{study}
  learning_rate: 1.{study:06}e-3
  seed:          {study}
}}

let mimic_{study} = distill {{
  teacher:       std.models.tiny(hidden: 192, heads: 6, seed: {study})
  data:          arith.train
  loss:          text(samples: 1, keep: correct)
  budget:        2epochs
  batch:         16seqs
  learning_rate: 2e-3
}}

## Rewarded for right answers, and a little for showing the steps.
let reason_{study} = grpo {{
  data:                  arith.train
  reward:                (2.0 * correct - 1.0) + 0.1 * tagged
  prompts_per_step:      32
  num_generations:       8
  max_completion_length: 48tok
  learning_rate:         2e-4
  warmup:                12%
  budget:                60steps
  seed:                  {study}
}}

## One round of expert iteration: sample, keep what the reward accepts, train on it.
recipe round_{study}(m: Model, n: Int = 4, seed: Int = {study}) -> Model {{
  traces = m |> generate(data: arith.train, samples: n, temperature: 0.8, seed: seed)
  good   = traces |> keep(reward: correct, at_least: 1.0) |> dedup()
  return m |> sft {{ ...shared_{study}, data: good, learning_rate: 5e-6, budget: 1epochs, seed: seed }}
}}

let curriculum_{study} = [
  sft {{ ...shared_{study}, data: d, learning_rate: 1e-5, seed: {study} }} for d in [arith.easy, arith.train]
]

suite exam_{study} {{
  all:   bench(arith.test, ...decoding_{study})
  steps: bench(arith.test, samples: 4, temperature: 0.6)
}}

pipeline sft_then_rl_{study} = base |> warm_{study} |> reason_{study} |> evaluate(exam_{study})

pipeline star_{study} {{
  first = base |> chain(curriculum_{study})
  last  = first |> repeat(round_{study}, times: if rounds_{study} > 2 then 2 else rounds_{study})
  return last |> evaluate(exam_{study})
}}

sweep orderings_{study} {{
  over order in {{
    untouched: identity
    rl:        reason_{study}
    sft_rl:    warm_{study} >> reason_{study}
    kd_rl:     mimic_{study} >> reason_{study}
    sft_kd_rl: warm_{study} >> mimic_{study} >> reason_{study}
  }}
  over seed in [{study}, {study} + 1]
  skip when order.name == "untouched" and seed > {study}
  return base |> (order with {{ seed: seed }}) |> evaluate(exam_{study})
}}

compare which_order_{study} {{
  of:       orderings_{study}
  metric:   exam_{study}.all.accuracy
  by:       [order]
  across:   seed
  baseline: {{ order: "rl" }}
}}

profile machine_{study} {{ jobs: 2, memory: 12GiB, device: "cpu" }}
"#
    );
}

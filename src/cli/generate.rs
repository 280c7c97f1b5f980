//! `srlm generate`: a model tried by hand, its text shown while it grows.

use super::args::{Global, Params};
use super::output::Output;
use super::{exit, failure, open, signals};
use crate::driver::{self, Failure};
use crate::stage::ask::{Answer, Asked, Question, Said, Sampling, ask};
use crate::stage::{Files, StageError};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// `srlm generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// A model folder, or a pipeline file with NODE behind it
    #[arg(value_name = "DIR|FILE")]
    pub model: PathBuf,
    /// A pipeline, a stage, the label of a cell, or the start of a key of the file
    pub node: Option<String>,
    /// What to set in the file.
    #[command(flatten)]
    pub params: Params,
    /// What to complete, in the words of a user; may be given more than once. `-` reads standard input, a prompt a line
    #[arg(long, value_name = "TEXT", required = true, allow_hyphen_values = true)]
    pub prompt: Vec<String>,
    /// What the model is told before each prompt
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    pub system: Option<String>,
    /// The prompt is the start of the text itself: no chat template
    #[arg(long)]
    pub raw: bool,
    /// Completions a prompt
    #[arg(long, value_name = "N", default_value = "1")]
    pub samples: NonZeroUsize,
    /// Sampling temperature; 0 is greedy
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub temperature: f64,
    /// Nucleus: the smallest set of tokens with this much probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f64,
    /// Only the most probable tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Only tokens with at least this share of the probability of the most probable one
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub min_p: f64,
    /// What logits of tokens that were there are divided by; 1 is none
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub repetition_penalty: f64,
    /// The longest completion in tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_tokens: usize,
    /// A text that ends a completion, which is cut before it; may be given more than once
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// A token that ends a completion, beside those of the model's folder; may be given more than once
    #[arg(long, value_name = "ID")]
    pub stop_token_id: Vec<u32>,
    /// Root of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// Prints completions as they grow. JSON is one object a token, and one a sequence when all have ended.
pub fn generate(args: &Generate, global: &Global, output: Output) -> Result<u8, Failure> {
    let files = files(args, global, output)?;
    let question = args.question()?;
    let stop = signals::flag().map_err(|error| Failure::Machine(format!("no signal can be caught: {error}")))?;
    let start = Instant::now();
    let mut screen = Screen::new(&question, output);
    let asked = ask(&files, &question, &mut |said| {
        screen.hear(said);
        !stop.load(Ordering::Relaxed) && !Output::result_lost()
    });
    let (answers, asked) = match asked {
        Err(StageError::Interrupted { .. }) => return Ok(exit::INTERRUPTED),
        asked => asked.map_err(failure::of_stage)?,
    };
    if output.json {
        answers.iter().for_each(|answer| {
            output.json_line(&Line::Sequence { prompt_text: &question.prompts[answer.prompt], answer })
        });
    }
    output.say(&summary(&asked, start.elapsed().as_secs_f64()));
    Ok(exit::OK)
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Token {
        #[serde(flatten)]
        token: &'a crate::stage::ask::Token,
    },
    Sequence {
        prompt_text: &'a str,
        #[serde(flatten)]
        answer: &'a Answer,
    },
}

fn summary(asked: &Asked, seconds: f64) -> String {
    let Asked { prompt_tokens, tokens, truncated } = asked;
    let cut = if *truncated > 0 { format!(", {truncated} cut at the length limit") } else { String::new() };
    let rate = *tokens as f64 / seconds.max(1e-9);
    format!(
        "{prompt_tokens} prompt tokens, {tokens} tokens in {seconds:.1} s, the model's loading included ({rate:.0} tok/s){cut}"
    )
}

impl Generate {
    fn question(&self) -> Result<Question, Failure> {
        Ok(Question {
            prompts: prompts(&self.prompt)?,
            system: self.system.clone(),
            raw: self.raw,
            samples: self.samples.get(),
            sampling: Sampling {
                repetition_penalty: self.repetition_penalty,
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                max_tokens: self.max_tokens,
                stop_ids: self.stop_token_id.clone(),
                stop_texts: None,
            },
            stop: self.stop.clone(),
            seed: self.seed,
        })
    }
}

/// The prompts as given, and the lines of standard input where `-` stands.
fn prompts(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut prompts = Vec::new();
    for text in given {
        if text != "-" {
            prompts.push(text.clone());
            continue;
        }
        let mut input = String::new();
        let read = std::io::stdin().read_to_string(&mut input);
        read.map_err(|error| Failure::Input(format!("standard input cannot be read as text: {error}")))?;
        prompts.extend(input.lines().filter(|line| !line.trim().is_empty()).map(String::from));
    }
    match prompts.is_empty() {
        true => Err(Failure::Input("standard input has no prompt: a line each is expected".to_string())),
        false => Ok(prompts),
    }
}

/// The model's files: those of the folder, or the result of the node.
fn files(args: &Generate, global: &Global, output: Output) -> Result<Files, Failure> {
    match &args.node {
        None if args.model.is_dir() => folder(&args.model),
        None => Err(Failure::Input(format!(
            "{} is no model folder; for a result of a pipeline file name its node, too: srlm generate {} NODE --prompt …",
            args.model.display(),
            args.model.display()
        ))),
        Some(node) => driver::model_files(&open(&args.params.of(&args.model), global, output)?, node),
    }
}

fn folder(folder: &Path) -> Result<Files, Failure> {
    let unreadable = |error: std::io::Error| Failure::Input(format!("{}: {error}", folder.display()));
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|name| name.to_str())) {
            files.insert(name.to_string(), path.clone());
        }
    }
    Ok(files)
}

/// Shows one sequence after the other while all of them grow: the first that has not ended, then the next.
struct Screen<'a> {
    output: Output,
    question: &'a Question,
    /// What waits to be shown of each sequence, and whether it has ended.
    waiting: Vec<(String, bool)>,
    /// The sequence that is shown.
    at: usize,
    headed: bool,
}

impl<'a> Screen<'a> {
    fn new(question: &'a Question, output: Output) -> Self {
        let sequences = question.prompts.len() * question.samples;
        Screen { output, question, waiting: vec![(String::new(), false); sequences], at: 0, headed: false }
    }

    fn hear(&mut self, said: Said<'_>) {
        let samples = self.question.samples;
        match said {
            Said::Token(token) if self.output.json => self.output.json_line(&Line::Token { token }),
            Said::Token(token) => self.waiting[token.prompt * samples + token.sample].0 += &token.text,
            Said::End { .. } if self.output.json => {}
            Said::End { prompt, sample, rest } => {
                let (text, ended) = &mut self.waiting[prompt * samples + sample];
                *text += &rest;
                *ended = true;
            }
        }
        if !self.output.json {
            self.show();
        }
    }

    fn show(&mut self) {
        while self.at < self.waiting.len() {
            if !self.headed {
                self.headed = true;
                self.output.result(&self.head());
            }
            let (text, ended) = &mut self.waiting[self.at];
            let (text, ended) = (std::mem::take(text), *ended);
            if !text.is_empty() {
                self.output.result(&text);
            }
            if !ended {
                return;
            }
            self.output.result("\n");
            (self.at, self.headed) = (self.at + 1, false);
        }
    }

    /// What stands above a sequence; nothing where there is only one.
    fn head(&self) -> String {
        let Question { prompts, samples, .. } = self.question;
        let (prompt, sample) = (self.at / samples, self.at % samples);
        let of_prompt = format!("prompt {} of {}", prompt + 1, prompts.len());
        match (prompts.len(), samples) {
            (1, 1) => String::new(),
            (_, 1) => format!("== {of_prompt}\n"),
            (1, _) => format!("== sample {} of {samples}\n", sample + 1),
            _ => format!("== {of_prompt}, sample {} of {samples}\n", sample + 1),
        }
    }
}

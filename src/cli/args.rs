//! The command line as types.

use super::remote::RemoteArg;
use crate::driver::Settings;
use crate::driver::graph::Format;
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};

/// The build system for small reasoning models: orderings of training stages as one cached graph.
#[derive(Debug, Parser)]
#[command(name = "srlm", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// Settings of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all went well; 1 a stage failed, or `fmt --check` found work; 2 the command line or a file is wrong; \
                          3 the store or the machine is at fault; 130 interrupted, the same command continues.";

/// Settings of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Where results are kept [default: $SRLM_STORE, else .srlm beside the pipeline's project]
    #[arg(long, value_name = "DIR", global = true)]
    pub store: Option<PathBuf>,
    /// Write JSON to standard output, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours and no bold text
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Sentences instead of pictures and bars, for screen readers
    #[arg(long, global = true)]
    pub narrated: bool,
}

/// A pipeline file and what to set in it.
#[derive(Clone, Debug, Args)]
pub struct Program {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What to set in it.
    #[command(flatten)]
    pub params: Params,
}

/// What to set in a file.
#[derive(Clone, Debug, Args)]
pub struct Params {
    /// Set a `param` of the file; EXPR is written in the language of the file: -p seeds=[1,2] -p 'base=local("dir")'
    #[arg(short = 'p', long = "param", value_name = "NAME=EXPR", value_parser = param)]
    pub params: Vec<(String, String)>,
    /// Set params by a YAML or JSON file, a mapping from their names to values; `-p` wins over it
    #[arg(long = "params", value_name = "FILE")]
    pub params_file: Option<PathBuf>,
}

impl Params {
    /// These settings of a file.
    pub fn of(&self, file: &Path) -> Program {
        Program { file: file.to_path_buf(), params: self.clone() }
    }
}

impl Program {
    /// What the command line sets.
    pub fn settings(&self) -> Settings<'_> {
        Settings { params: &self.params.params, file: self.params.params_file.as_deref() }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make what a file describes; what is in the store is not made again
    Run(Run),
    /// Show what `run` would do, and why, without doing it
    Plan {
        /// The file.
        #[command(flatten)]
        program: Program,
        /// Only what this pipeline or sweep needs; may be given more than once
        #[arg(long, value_name = "NAME")]
        target: Vec<String>,
        /// As if `run` were asked to compute this stage anew; may be given more than once
        #[arg(long, value_name = "NODE", conflicts_with = "out")]
        fresh: Vec<String>,
        /// Write the plan to this file, too: `srlm run --plan` runs it, or refuses where anything changed
        #[arg(long, value_name = "PLAN")]
        out: Option<PathBuf>,
        /// Where to look, too.
        #[command(flatten)]
        remote: RemoteArg,
    },
    /// Print the comparisons of a file, from the results in the store
    Compare(super::compare::Compare),
    /// Explain why a stage would run, or where its result comes from
    Why {
        /// The file.
        #[command(flatten)]
        program: Program,
        /// A pipeline, a stage, the label of a cell, or the start of a key
        node: String,
        /// Where to look, too.
        #[command(flatten)]
        remote: RemoteArg,
    },
    /// Show everything that made a result, back to the digests of data
    Lineage(super::lineage::Lineage),
    /// List the runs of a store that had something to do
    Runs(super::runs::Runs),
    /// Compare two runs: which stages differ, why, and in what numbers
    Diff(super::diff::Diff),
    /// Check a file and the files it reads, without looking at the store
    Check(Check),
    /// Explain a code such as E021, with an example; without a code, list them all
    Explain {
        /// The code
        #[arg(value_name = "CODE")]
        code: Option<String>,
    },
    /// Write files in the one style of the language
    Fmt(Fmt),
    /// Hold what a file takes from the Hub to commits and digests, in srlm.lock beside the project
    Lock {
        /// The file.
        #[command(flatten)]
        program: Program,
        /// Take over what the Hub has now, for sources in the lock too
        #[arg(long)]
        update: bool,
    },
    /// Explain a stage, a field, an item of the library or a word of the language, or document a file
    Doc(Doc),
    /// Draw the stages of a file: stages that differ only along the axes of a sweep are one box
    Graph(Graph),
    /// Show a stage's record: metrics, timings, outputs and some of its rows
    Show {
        /// The file.
        #[command(flatten)]
        program: Program,
        /// A pipeline, a stage, the label of a cell, or the start of a key
        node: String,
        /// How many rows of a dataset or of scores to show
        #[arg(long, value_name = "N", default_value_t = 3)]
        samples: usize,
    },
    /// Write a stage's output as plain files: a model becomes a Hugging Face folder
    Save {
        /// The file.
        #[command(flatten)]
        program: Program,
        /// A pipeline, a stage, the label of a cell, or the start of a key
        node: String,
        /// The folder to make; it must not exist, or be empty
        dir: PathBuf,
    },
    /// Look into the store, and take care of it
    Store {
        /// How.
        #[command(subcommand)]
        command: super::store::Command,
    },
    /// Let a model complete prompts, and show the text while it grows
    Generate(super::generate::Generate),
    /// Measure how fast this machine is, on models of random weights
    Bench {
        /// What.
        #[command(subcommand)]
        command: super::bench::Command,
    },
    /// Judge completions by their gold answers, with the grader of rewards and evaluations
    Grade(super::grade::GradeArgs),
    /// Make a model folder with random weights in the shape of Qwen2
    InitModel(InitModel),
    /// Serve an editor over standard input and output: diagnostics, hover, completion, rename and more
    Lsp {
        /// What editors pass by habit; there is no other way to talk
        #[arg(long, hide = true)]
        stdio: bool,
    },
    /// Run one stage: what `run` starts, not for people
    #[command(hide = true)]
    Worker,
}

/// `srlm run`
#[derive(Debug, Args)]
pub struct Run {
    /// The pipeline file
    #[arg(value_name = "FILE", required_unless_present = "plan")]
    pub file: Option<PathBuf>,
    /// What to set in it.
    #[command(flatten)]
    pub params: Params,
    /// Run what `srlm plan --out PLAN` has written; refuse where inputs, fields or the store changed since
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["file", "params", "params_file", "target", "store"])]
    pub plan: Option<PathBuf>,
    /// Only what this pipeline or sweep needs; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
    /// Compute this stage anew though its result is there, keep that, and tell what differs; may be given more than once
    #[arg(long, value_name = "NODE", conflicts_with = "plan")]
    pub fresh: Vec<String>,
    /// How to run.
    #[command(flatten)]
    pub how: super::how::How,
    /// Where to share results.
    #[command(flatten)]
    pub remote: RemoteArg,
}

/// `srlm check`
#[derive(Debug, Args)]
pub struct Check {
    /// The file.
    #[command(flatten)]
    pub program: Program,
    /// Apply the fixes that the findings offer to the files of the project
    #[arg(long)]
    pub fix: bool,
    /// With --fix: show the changes, write nothing
    #[arg(long, requires = "fix")]
    pub diff: bool,
    /// How findings are written; json: one object a line; sarif: one SARIF 2.1.0 log
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["fix", "json"])]
    pub format: Option<Findings>,
}

/// The forms in which `srlm check` writes its findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Findings {
    /// For people, on standard error.
    Text,
    /// One object a line, on standard output.
    Json,
    /// One SARIF 2.1.0 log, on standard output.
    Sarif,
}

/// `srlm fmt`
#[derive(Debug, Args)]
pub struct Fmt {
    /// Files, or folders with `.srlm` files; without any, or as `-`, standard input goes to standard output
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write nothing; list the files that would change, and exit with 1 if there are any
    #[arg(long)]
    pub check: bool,
    /// Write nothing; show what would change
    #[arg(long)]
    pub diff: bool,
}

/// `srlm doc`
#[derive(Debug, Args)]
pub struct Doc {
    /// `sft`, `grpo.epsilon`, `std.models.tiny`, `sweep`, …; `stages` and `std` for all; FILE.srlm for a file of yours
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Write Markdown
    #[arg(long)]
    pub markdown: bool,
    /// Write to this file
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

/// `srlm graph`
#[derive(Debug, Args)]
pub struct Graph {
    /// The file.
    #[command(flatten)]
    pub program: Program,
    /// How it is written [default: as the name of the output file says, else dot]
    #[arg(long, value_name = "FORMAT", value_parser = graph_format)]
    pub format: Option<Format>,
    /// Every stage in a box of its own
    #[arg(long)]
    pub expand: bool,
    /// Write to this file
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

/// `srlm init-model`
#[derive(Debug, Args)]
pub struct InitModel {
    /// The folder to make; it must not exist, or be empty
    pub dir: PathBuf,
    /// A folder with tokenizer.json (and tokenizer_config.json) to go with the model
    #[arg(long, value_name = "DIR")]
    pub tokenizer: PathBuf,
    /// Width of the hidden state
    #[arg(long, default_value_t = 64)]
    pub hidden: usize,
    /// Decoder layers
    #[arg(long, default_value_t = 2)]
    pub layers: usize,
    /// Attention heads
    #[arg(long, default_value_t = 4)]
    pub heads: usize,
    /// Heads of keys and values
    #[arg(long, default_value_t = 2)]
    pub kv_heads: usize,
    /// Width of the feed-forward part [default: 8/3 of hidden, rounded up to a multiple of 16]
    #[arg(long)]
    pub intermediate: Option<usize>,
    /// Rows of the embedding [default: what the tokenizer needs]
    #[arg(long)]
    pub vocab_size: Option<usize>,
    /// The longest sequence in tokens
    #[arg(long, default_value_t = 2048)]
    pub context: usize,
    /// Standard deviation of the random matrices
    #[arg(long, default_value_t = 0.02)]
    pub deviation: f64,
    /// Seed of the random weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

pub(super) fn param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_string(), value.trim().to_string()))
        }
        _ => Err("NAME=EXPR is expected, such as seeds=[1,2]".into()),
    }
}

fn graph_format(text: &str) -> Result<Format, String> {
    match text {
        "dot" => Ok(Format::Dot),
        "mermaid" => Ok(Format::Mermaid),
        "svg" => Ok(Format::Svg),
        "json" => Ok(Format::Json),
        _ => Err("dot, mermaid, svg or json is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn params_split_at_the_first_sign() {
        assert_eq!(param("base = local(\"a=b\")"), Ok(("base".into(), "local(\"a=b\")".into())));
        assert!(param("=3").is_err() && param("x=").is_err() && param("x").is_err());
    }

    #[test]
    fn global_options_may_stand_after_the_command() {
        let cli = Cli::try_parse_from(["srlm", "run", "a.srlm", "--jobs", "2", "--store", "s", "--json"]).unwrap();
        assert!(cli.global.json && cli.global.store == Some("s".into()));
        assert!(Cli::try_parse_from(["srlm", "run", "a.srlm", "--jobs", "0"]).is_err());
    }
}

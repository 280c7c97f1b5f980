//! `srlm grade`: judges completions by their gold answers.

use super::exit;
use super::output::Output;
use crate::driver::Failure;
use crate::driver::format::{as_text, read_text};
use crate::driver::grade::{Explained, Grade, Ground, Pair, Profile, Rule, explain, grade_all, read_pairs};
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

/// `srlm grade`
#[derive(Debug, clap::Args)]
pub struct GradeArgs {
    /// Rows with `gold` and `completion`, one JSON object a line; `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "gold")]
    pub file: Option<PathBuf>,
    /// How answers are looked for and compared
    #[arg(long, value_name = "PROFILE", default_value = "lenient", value_parser = profile)]
    pub profile: Profile,
    /// A gold answer, to judge one completion by
    #[arg(long, value_name = "TEXT", requires = "completion", conflicts_with = "file", allow_hyphen_values = true)]
    pub gold: Option<String>,
    /// The completion to judge
    #[arg(long, value_name = "TEXT", requires = "gold", allow_hyphen_values = true)]
    pub completion: Option<String>,
}

fn profile(text: &str) -> Result<Profile, String> {
    let names = Profile::ALL.map(Profile::name);
    Profile::find(text).ok_or_else(|| format!("{} is expected", names.join(", ")))
}

/// Prints one verdict a row, or the counts of how they came about.
pub fn grade(args: &GradeArgs, output: Output) -> Result<u8, Failure> {
    if let (Some(gold), Some(completion)) = (&args.gold, &args.completion) {
        let pair = Pair { gold: gold.clone(), completion: completion.clone() };
        let explained = explain(&pair, args.profile);
        if output.json {
            output.json_line(&explained)
        } else {
            output.result(&page(&explained))
        }
        return Ok(exit::OK);
    }
    let file = args.file.as_deref().unwrap_or(Path::new("-"));
    let (name, text) = rows(file)?;
    let grades = grade_all(&read_pairs(&name, &text)?, args.profile);
    if output.json {
        grades.iter().for_each(|grade| output.json_line(grade));
    } else {
        output.result(&counts(&grades, args.profile));
    }
    Ok(exit::OK)
}

/// The name of a file and its text.
fn rows(file: &Path) -> Result<(String, String), Failure> {
    if file != Path::new("-") {
        return Ok((file.display().to_string(), read_text(file)?));
    }
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes).map_err(|error| Failure::Machine(format!("standard input: {error}")))?;
    Ok(("<stdin>".into(), as_text("<stdin>", bytes)?))
}

fn page(explained: &Explained) -> String {
    let Explained { grade, gold, answer } = explained;
    let verdict = if grade.correct { "correct" } else { "wrong" };
    let none = "none".to_string();
    format!(
        "{verdict}\nfound by    {}\nextracted   {}\njudged by   {}\ngold        {gold}\nanswer      {}\n",
        grade.rule.name(),
        grade.extracted.as_ref().unwrap_or(&none),
        grade.ground.name(),
        answer.as_ref().unwrap_or(&none),
    )
}

/// How often each rule found an answer and each ground decided, with how many of these were right.
fn counts(grades: &[Grade], profile: Profile) -> String {
    let correct = grades.iter().filter(|grade| grade.correct).count();
    let share = 100.0 * correct as f64 / grades.len().max(1) as f64;
    let mut text = format!("{}: {correct} of {} correct ({share:.1} %)\n", profile.name(), grades.len());
    let found = Rule::ALL.map(|rule| (rule.name(), tally(grades, |grade| grade.rule == rule)));
    let judged = Ground::ALL.map(|ground| (ground.name(), tally(grades, |grade| grade.ground == ground)));
    text += &table("found by", &found);
    text += &table("judged by", &judged);
    text
}

/// How many verdicts fit, and how many of these are that the answer is right.
fn tally(grades: &[Grade], fits: impl Fn(&Grade) -> bool) -> (usize, usize) {
    let fitting = || grades.iter().filter(|grade| fits(grade));
    (fitting().count(), fitting().filter(|grade| grade.correct).count())
}

fn table(title: &str, lines: &[(&str, (usize, usize))]) -> String {
    let mut text = format!("\n{title:<18}{:>8}{:>9}\n", "rows", "correct");
    for (name, (rows, correct)) in lines.iter().filter(|(_, (rows, _))| *rows > 0) {
        text += &format!("{name:<18}{rows:>8}{correct:>9}\n");
    }
    text
}

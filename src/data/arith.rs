//! The built-in task: multi-step arithmetic word problems with worked solutions, made from a seed.
//!
//! A problem is a chain of events ("has 12", "buys 5 more", "gives away 3", …) told with names and objects. Train and
//! test are told apart by a digest of the chain alone, so no chain of numbers and operations of one is ever met in the
//! other, under whatever names and seeds. As in solutions that people write, the longer a problem, the oftener the
//! steps are left out and the bare answer given ([`BARE_PERCENT`]): a model that imitates learns both manners, and one
//! that is rewarded for right answers finds out that the steps pay.

use crate::base::digest::Digest;
use crate::base::seed::{Seed, Stream};
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// The levels that exist. A level is the number of arithmetic steps to the answer.
pub const LEVELS: RangeInclusive<u8> = 1..=4;

/// Percent of the solutions of each level, from level 1, that give the answer without its steps.
pub const BARE_PERCENT: [u64; 4] = [0, 30, 65, 80];

/// The largest number that any step of a solution reaches; the smallest is 1.
const LARGEST: u32 = 40;

/// Draws without a new problem after which a level counts as exhausted: several times what its last problems need.
const DRAWS_WITHOUT_NEWS: u32 = 200_000;

/// Which of the two disjoint sets of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// Seven chains of eight: to learn from.
    Train,
    /// One chain of eight: to be examined on.
    Test,
}

/// One word problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `arith-` and 16 hexadecimal digits: a digest of the question.
    pub id: String,
    /// The problem in words.
    pub question: String,
    /// What to imitate: `<think>7+5=12;12-4=8</think>\n#### 8`, or only `#### 8` where the steps are left out.
    pub solution: String,
    /// The same with its steps, always.
    pub worked: String,
    /// The answer, a natural number.
    pub answer: String,
    /// Steps to the answer, from 1.
    pub level: u8,
}

/// `count` different problems, the levels in turn. The same arguments give the same problems; a larger `count` only
/// adds to the end.
///
/// # Errors
/// A sentence for the user where a level does not exist, or has fewer different problems than are asked for.
pub fn problems(split: Split, count: usize, levels: RangeInclusive<u8>, seed: Seed) -> Result<Vec<Problem>, String> {
    make(split, count, levels, seed, DRAWS_WITHOUT_NEWS)
}

fn make(
    split: Split,
    count: usize,
    levels: RangeInclusive<u8>,
    seed: Seed,
    patience: u32,
) -> Result<Vec<Problem>, String> {
    if levels.is_empty() || !LEVELS.contains(levels.start()) || !LEVELS.contains(levels.end()) {
        let (from, to) = (levels.start(), levels.end());
        return Err(format!("there are no problems of levels {from} to {to}: give levels from 1 to {}", LEVELS.end()));
    }
    let mut stream = seed.child("arithmetic problems", split as u64).stream();
    let mut seen = HashSet::new();
    let mut made = Vec::with_capacity(count);
    for level in levels.cycle().take(count) {
        let problem = (0..patience)
            .find_map(|_| draw(level, split, &mut stream).filter(|problem| !seen.contains(&problem.question)))
            .ok_or_else(|| exhausted(level, &made, count))?;
        seen.insert(problem.question.clone());
        made.push(problem);
    }
    Ok(made)
}

fn exhausted(level: u8, made: &[Problem], count: usize) -> String {
    let of_level = made.iter().filter(|problem| problem.level == level).count();
    format!(
        "{count} different problems were asked for, but level {level} has hardly more than the {of_level} already \
         taken: ask for at most {} items, or for higher levels",
        made.len()
    )
}

/// One try: none where a result leaves 1..=[`LARGEST`] or the chain belongs to the other split.
fn draw(level: u8, split: Split, stream: &mut Stream) -> Option<Problem> {
    let shape = stream.pick(shapes(level));
    let chain: Vec<Event> = shape.chars().map(|kind| Event::draw(kind, stream)).collect();
    let steps = steps(&chain)?;
    if split_of(&chain) != split {
        return None;
    }
    let question = Telling::draw(stream).question(&chain, stream);
    let bare = stream.below(100) < BARE_PERCENT[steps.len() - 1];
    let answer = steps.last()?.result.to_string();
    let worked = worked(&steps, &answer);
    let solution = if bare { format!("#### {answer}") } else { worked.clone() };
    let id = format!("arith-{}", &Digest::of_bytes(question.as_bytes()).to_string()[..16]);
    Some(Problem { id, question, solution, worked, answer, level })
}

/// The shapes of a level's chains: `h` has, `b` has bags of, `c` gains or loses, `p` price of one, `t` two together.
fn shapes(level: u8) -> &'static [&'static str] {
    match level {
        1 => &["hc", "hc", "b"],
        2 => &["hcc", "hcp", "bc", "ht"],
        3 => &["hccc", "bcc", "bcp", "hct"],
        _ => &["bccc", "bccp", "hcct", "bct"],
    }
}

/// One thing that happens in a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Has(u32),
    HasBags(u32, u32),
    Gains(u32),
    Loses(u32),
    OneCosts(u32),
    OtherHasMore(u32),
}

impl Event {
    fn draw(kind: char, stream: &mut Stream) -> Self {
        let mut number = |low, high| stream.between(low, high) as u32;
        match kind {
            'h' => Event::Has(number(2, 15)),
            'b' => Event::HasBags(number(2, 5), number(2, 6)),
            'p' => Event::OneCosts(number(2, 4)),
            't' => Event::OtherHasMore(number(2, 9)),
            _ if number(0, 1) == 0 => Event::Gains(number(2, 9)),
            _ => Event::Loses(number(2, 9)),
        }
    }

    /// What the event is, without a word that a reader sees: the unit of the split.
    fn content(self) -> String {
        match self {
            Event::Has(a) => format!("has {a}"),
            Event::HasBags(a, b) => format!("bags {a} {b}"),
            Event::Gains(a) => format!("gains {a}"),
            Event::Loses(a) => format!("loses {a}"),
            Event::OneCosts(a) => format!("costs {a}"),
            Event::OtherHasMore(a) => format!("more {a}"),
        }
    }
}

/// The split that a chain belongs to: fixed, whatever the seed.
fn split_of(chain: &[Event]) -> Split {
    let content: Vec<String> = chain.iter().map(|event| event.content()).collect();
    let digest = blake3::hash(content.join("; ").as_bytes());
    if digest.as_bytes()[0] < 32 { Split::Test } else { Split::Train }
}

/// `left operator right = result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    left: u32,
    operator: char,
    right: u32,
    result: u32,
}

impl Step {
    /// None where the result leaves 1..=[`LARGEST`].
    fn new(left: u32, operator: char, right: u32) -> Option<Self> {
        let result = match operator {
            '+' => left + right,
            '-' => left.checked_sub(right)?,
            _ => left * right,
        };
        (1..=LARGEST).contains(&result).then_some(Step { left, operator, right, result })
    }
}

/// The steps that solve a chain; none where a result is out of bounds.
fn steps(chain: &[Event]) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut total = 0;
    for &event in chain {
        match event {
            Event::Has(a) => total = a,
            Event::HasBags(a, b) => steps.push(Step::new(a, '*', b)?),
            Event::Gains(a) => steps.push(Step::new(total, '+', a)?),
            Event::Loses(a) => steps.push(Step::new(total, '-', a)?),
            Event::OneCosts(a) => steps.push(Step::new(total, '*', a)?),
            Event::OtherHasMore(a) => {
                let other = Step::new(total, '+', a)?;
                steps.extend([other, Step::new(total, '+', other.result)?]);
            }
        }
        total = steps.last().map_or(total, |step| step.result);
    }
    Some(steps)
}

fn worked(steps: &[Step], answer: &str) -> String {
    let written: Vec<String> = steps
        .iter()
        .map(|Step { left, operator, right, result }| format!("{left}{operator}{right}={result}"))
        .collect();
    format!("<think>{}</think>\n#### {answer}", written.join(";"))
}

const PEOPLE: [(&str, &str); 8] = [
    ("Tom", "He"),
    ("Ben", "He"),
    ("Sam", "He"),
    ("Max", "He"),
    ("Ann", "She"),
    ("Mia", "She"),
    ("Eva", "She"),
    ("Zoe", "She"),
];
const OBJECTS: [&str; 8] = ["apples", "books", "coins", "pens", "cards", "eggs", "toys", "cups"];
const BAGS: [&str; 2] = ["bags", "boxes"];
const GAINS: [&str; 3] = ["buys", "finds", "gets"];
const LOSSES: [&str; 3] = ["loses", "sells", "gives away"];

/// Who a problem is about, and what.
struct Telling {
    name: &'static str,
    pronoun: &'static str,
    other: &'static str,
    objects: &'static str,
}

impl Telling {
    fn draw(stream: &mut Stream) -> Self {
        let (name, pronoun) = *stream.pick(&PEOPLE);
        let others: Vec<&str> = PEOPLE.iter().map(|person| person.0).filter(|&other| other != name).collect();
        let (other, objects) = (*stream.pick(&others), *stream.pick(&OBJECTS));
        Telling { name, pronoun, other, objects }
    }

    fn question(&self, chain: &[Event], stream: &mut Stream) -> String {
        let mut sentences: Vec<String> = chain.iter().map(|&event| self.sentence(event, stream)).collect();
        sentences.push(self.asked(chain));
        sentences.join(" ")
    }

    fn sentence(&self, event: Event, stream: &mut Stream) -> String {
        let Telling { name, pronoun, other, objects } = self;
        match event {
            Event::Has(a) => format!("{name} has {a} {objects}."),
            Event::HasBags(a, b) => format!("{name} has {a} {} of {b} {objects}.", stream.pick(&BAGS)),
            Event::Gains(a) => format!("{pronoun} {} {a} more.", stream.pick(&GAINS)),
            Event::Loses(a) => format!("{pronoun} {} {a}.", stream.pick(&LOSSES)),
            Event::OneCosts(a) => format!("One costs {a} dollars."),
            Event::OtherHasMore(a) => format!("{other} has {a} more than {name}."),
        }
    }

    /// The closing question, by what happened last.
    fn asked(&self, chain: &[Event]) -> String {
        match chain.last() {
            Some(Event::OneCosts(_)) => "What do all cost?".to_string(),
            Some(Event::OtherHasMore(_)) => format!("How many {} do they have?", self.objects),
            _ => format!("How many {} does {} have?", self.objects, self.pronoun.to_lowercase()),
        }
    }
}

#[cfg(test)]
#[path = "arith_tests.rs"]
mod tests;

//! Tests of the built-in problems.

use super::*;
use std::collections::BTreeSet;

fn some(split: Split, count: usize, seed: u64) -> Vec<Problem> {
    problems(split, count, LEVELS, Seed::new(seed)).unwrap()
}

/// The numbers and operations of a problem: its worked solution, with which nothing of the wording is left.
fn contents(problems: &[Problem]) -> BTreeSet<&str> {
    problems.iter().map(|problem| problem.worked.as_str()).collect()
}

fn evaluate(expression: &str) -> i64 {
    let at = expression.find(['+', '-', '*']).unwrap();
    let (left, right) = (expression[..at].parse::<i64>().unwrap(), expression[at + 1..].parse::<i64>().unwrap());
    match &expression[at..=at] {
        "+" => left + right,
        "-" => left - right,
        _ => left * right,
    }
}

#[test]
fn every_step_of_every_solution_is_right() {
    for problem in some(Split::Train, 4000, 1) {
        let (thought, answer) = problem.worked.split_once("</think>\n#### ").unwrap();
        let steps: Vec<&str> = thought.strip_prefix("<think>").unwrap().split(';').collect();
        assert_eq!(steps.len(), usize::from(problem.level), "{problem:?}");
        for step in &steps {
            let (expression, result) = step.split_once('=').unwrap();
            assert_eq!(evaluate(expression), result.parse::<i64>().unwrap(), "{problem:?}");
        }
        assert!(steps.last().unwrap().ends_with(&format!("={answer}")), "{problem:?}");
        assert_eq!(answer, problem.answer);
    }
}

#[test]
fn a_step_takes_up_the_numbers_of_the_question() {
    for problem in some(Split::Train, 1000, 2) {
        let numbers: Vec<&str> =
            problem.question.split([' ', '.']).filter(|word| word.parse::<u32>().is_ok()).collect();
        for number in &numbers {
            assert!(problem.worked.contains(number), "{problem:?}");
        }
        let together = usize::from(problem.question.contains(" they "));
        assert_eq!(numbers.len() + together, usize::from(problem.level) + 1, "{problem:?}");
    }
}

#[test]
fn answers_are_natural_numbers_that_differ() {
    let test = some(Split::Test, 1000, 0);
    let answers: BTreeSet<u32> = test.iter().map(|problem| problem.answer.parse().unwrap()).collect();
    assert!(answers.len() > 35, "{answers:?}");
    assert!(answers.iter().all(|answer| (1..=LARGEST).contains(answer)), "{answers:?}");
}

#[test]
fn solutions_end_in_the_answer_and_leave_steps_out_as_often_as_said() {
    let train = some(Split::Train, 8000, 3);
    for problem in &train {
        let bare = format!("#### {}", problem.answer);
        assert!(problem.solution == problem.worked || problem.solution == bare, "{problem:?}");
    }
    for (level, percent) in LEVELS.zip(BARE_PERCENT) {
        let of_level: Vec<_> = train.iter().filter(|problem| problem.level == level).collect();
        let bare = of_level.iter().filter(|problem| problem.solution != problem.worked).count();
        let share = 100.0 * bare as f64 / of_level.len() as f64;
        assert!((share - percent as f64).abs() < 4.0, "level {level}: {share} %");
    }
}

#[test]
fn no_chain_is_in_both_splits_whatever_the_seeds() {
    let (train, test) = (some(Split::Train, 6000, 5), some(Split::Test, 2000, 6));
    assert!(contents(&train).is_disjoint(&contents(&test)));
    let questions: BTreeSet<&str> = train.iter().chain(&test).map(|problem| problem.question.as_str()).collect();
    let ids: BTreeSet<&str> = train.iter().chain(&test).map(|problem| problem.id.as_str()).collect();
    assert_eq!((questions.len(), ids.len()), (8000, 8000));
}

#[test]
fn levels_come_in_turn() {
    let levels =
        |range| problems(Split::Test, 300, range, Seed::new(0)).unwrap().into_iter().map(|problem| problem.level);
    assert!(levels(1..=3).eq([1, 2, 3].into_iter().cycle().take(300)));
    assert!(levels(1..=1).all(|level| level == 1));
}

#[test]
fn a_larger_count_only_adds_and_seeds_differ() {
    let longer = some(Split::Train, 500, 0);
    assert_eq!(some(Split::Train, 200, 0), longer[..200]);
    assert_ne!(some(Split::Train, 200, 1), longer[..200]);
}

#[test]
fn the_first_hundred_are_pinned() {
    let mut hasher = blake3::Hasher::new();
    for split in [Split::Train, Split::Test] {
        for problem in some(split, 100, 0) {
            hasher.update(format!("{problem:?}\n").as_bytes());
        }
    }
    assert_eq!(Digest::from_hasher(&hasher).short(), PINNED);
}
const PINNED: &str = "40b2932c82";

#[test]
fn impossible_requests_say_what_to_do() {
    let wrong = problems(Split::Train, 1, 2..=5, Seed::new(0)).unwrap_err();
    assert!(wrong.contains("levels 2 to 5") && wrong.contains("from 1 to 4"), "{wrong}");
    #[expect(clippy::reversed_empty_ranges, reason = "what a careless caller might give")]
    let reversed = problems(Split::Train, 1, 3..=2, Seed::new(0));
    assert!(reversed.is_err());
    let many = make(Split::Test, 100_000, 1..=1, Seed::new(0), 2_000).unwrap_err();
    assert!(many.contains("100000 different problems were asked for, but level 1"), "{many}");
    assert!(problems(Split::Test, 0, LEVELS, Seed::new(0)).unwrap().is_empty());
}

//! Distillation's divergences between rows of logits: a value and its gradient, in f64 inside each row.

use rayon::prelude::*;
use serde::Deserialize;

/// Which way round the divergence looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// KL(teacher ‖ student): covers all that the teacher does (Hinton et al., arXiv:1503.02531, without its T²).
    Forward,
    /// KL(student ‖ teacher): seeks the teacher's modes (MiniLLM, arXiv:2306.08543).
    Reverse,
}

/// What is measured between the teacher's distribution P and the student's Q.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// A Kullback–Leibler divergence.
    Kl {
        /// Which way round.
        direction: Direction,
        /// The teacher's most probable ids that are told apart; all others are one bucket. All are where none.
        top_k: Option<usize>,
    },
    /// β·KL(P ‖ M) + (1−β)·KL(Q ‖ M) with M = βP + (1−β)Q (GKD, arXiv:2306.13649, eq. 1).
    Jsd {
        /// The teacher's share of the mixture.
        beta: f64,
    },
}

impl Measure {
    /// How many of the teacher's ids it tells apart, where that is less than all of `vocabulary`.
    pub fn top_k(self, vocabulary: usize) -> Option<usize> {
        match self {
            Measure::Kl { top_k, .. } => top_k.filter(|&top_k| top_k < vocabulary),
            Measure::Jsd { .. } => None,
        }
    }
}

/// The teacher's distribution at one token, as far as it is told apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopRow {
    /// Its most probable ids, the likeliest first.
    pub ids: Vec<u32>,
    /// Their log-probabilities at the divergence's temperature.
    pub log_p: Vec<f64>,
    /// The logarithm of the mass of all other ids.
    pub rest: f64,
}

impl TopRow {
    /// Of a row of logits. Ties go to the lower id, so that the choice is the same everywhere.
    pub fn of(logits: &[f32], temperature: f64, top_k: usize) -> Self {
        let log_p = log_softmax(logits, temperature);
        let mut ids: Vec<u32> = (0..log_p.len() as u32).collect();
        let likelier =
            |&left: &u32, &right: &u32| log_p[right as usize].total_cmp(&log_p[left as usize]).then(left.cmp(&right));
        ids.select_nth_unstable_by(top_k, likelier);
        ids.truncate(top_k);
        ids.sort_unstable_by(likelier);
        let rest = log_sum_exp_outside(&log_p, &ids);
        TopRow { log_p: ids.iter().map(|&id| log_p[id as usize]).collect(), ids, rest }
    }

    /// Log-probabilities over all ids: the mass outside of the top is spread as the student spreads its own, so that
    /// value and gradient of either KL are those of the two bucketed distributions.
    fn spread(&self, log_q: &[f64]) -> Vec<f64> {
        let shift = self.rest - log_sum_exp_outside(log_q, &self.ids);
        let mut log_p: Vec<f64> = log_q.iter().map(|log_q| log_q + shift).collect();
        self.ids.iter().zip(&self.log_p).for_each(|(&id, &top)| log_p[id as usize] = top);
        log_p
    }
}

/// The logarithm of the mass of all ids but these.
fn log_sum_exp_outside(log: &[f64], ids: &[u32]) -> f64 {
    let mut outside = vec![true; log.len()];
    ids.iter().for_each(|&id| outside[id as usize] = false);
    log_sum_exp(log.iter().zip(&outside).filter(|(_, outside)| **outside).map(|(log, _)| *log))
}

/// What is known of the teacher at some tokens.
pub enum Targets {
    /// All its logits, `[rows, vocabulary]`.
    Logits(Vec<f32>),
    /// Its most probable ids at each, `[rows]`.
    Top(Vec<TopRow>),
}

impl Targets {
    /// What that measure needs of rows of logits.
    pub fn of(measure: Measure, temperature: f64, vocabulary: usize, logits: Vec<f32>) -> Self {
        let Some(top_k) = measure.top_k(vocabulary) else { return Targets::Logits(logits) };
        Targets::Top(logits.par_chunks(vocabulary).map(|row| TopRow::of(row, temperature, top_k)).collect())
    }
}

/// Sum over rows of the divergence at `temperature`; d sum / d student logit is written to `gradient`.
///
/// `student` and `gradient` are rows of `vocabulary` logits, `[rows, vocabulary]`. Both distributions are the softmax of
/// logits / temperature; there is no T² factor.
pub fn divergence_rows(
    measure: Measure,
    temperature: f64,
    vocabulary: usize,
    teacher: &Targets,
    student: &[f32],
    gradient: &mut [f32],
) -> f64 {
    let rows = student.par_chunks(vocabulary).zip(gradient.par_chunks_mut(vocabulary)).enumerate();
    let row = |(at, (student, gradient)): (usize, (&[f32], &mut [f32]))| {
        let log_q = log_softmax(student, temperature);
        let log_p = match teacher {
            Targets::Logits(logits) => log_softmax(&logits[at * vocabulary..(at + 1) * vocabulary], temperature),
            Targets::Top(rows) => rows[at].spread(&log_q),
        };
        match measure {
            Measure::Kl { direction, .. } => kl_row(direction, temperature, &log_p, &log_q, gradient),
            Measure::Jsd { beta } => jsd_row(beta, temperature, &log_p, &log_q, gradient),
        }
    };
    let values: Vec<f64> = rows.map(row).collect();
    // Summed in the order of the rows: the value is the same on any number of threads.
    values.iter().sum()
}

fn kl_row(direction: Direction, temperature: f64, log_p: &[f64], log_q: &[f64], gradient: &mut [f32]) -> f64 {
    let pairs = || log_p.iter().zip(log_q);
    match direction {
        Direction::Forward => {
            let value = pairs().map(|(p, q)| p.exp() * (p - q)).sum();
            for (slope, (p, q)) in gradient.iter_mut().zip(pairs()) {
                *slope = ((q.exp() - p.exp()) / temperature) as f32;
            }
            value
        }
        Direction::Reverse => {
            let value: f64 = pairs().map(|(p, q)| q.exp() * (q - p)).sum();
            for (slope, (p, q)) in gradient.iter_mut().zip(pairs()) {
                *slope = (q.exp() * (q - p - value) / temperature) as f32;
            }
            value
        }
    }
}

fn jsd_row(beta: f64, temperature: f64, log_p: &[f64], log_q: &[f64], gradient: &mut [f32]) -> f64 {
    let log_m = |p: f64, q: f64| log_sum_exp([beta.ln() + p, (1.0 - beta).ln() + q].into_iter());
    let pairs = || log_p.iter().zip(log_q).map(|(&p, &q)| (p, q, log_m(p, q)));
    // The derivative by a probability of the student is (1−β)·log(Q/M): what M adds sums to a constant.
    let slope_of = |q: f64, m: f64| (1.0 - beta) * (q - m);
    let student: f64 = pairs().map(|(_, q, m)| q.exp() * slope_of(q, m)).sum();
    for (slope, (_, q, m)) in gradient.iter_mut().zip(pairs()) {
        *slope = (q.exp() * (slope_of(q, m) - student) / temperature) as f32;
    }
    student + beta * pairs().map(|(p, _, m)| p.exp() * (p - m)).sum::<f64>()
}

fn log_softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = logits.iter().map(|&logit| f64::from(logit) / temperature).collect();
    let log_sum = log_sum_exp(scaled.iter().copied());
    scaled.into_iter().map(|logit| logit - log_sum).collect()
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + values.map(|value| (value - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(probabilities: [f32; 3]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() + 0.7).collect()
    }

    fn kl(direction: Direction, top_k: Option<usize>) -> Measure {
        Measure::Kl { direction, top_k }
    }

    fn value_of(measure: Measure, teacher: &[f32], student: &[f32]) -> f64 {
        let width = teacher.len();
        let targets = Targets::of(measure, 1.0, width, teacher.to_vec());
        divergence_rows(measure, 1.0, width, &targets, student, &mut vec![0.0; width])
    }

    #[test]
    fn values_equal_the_published_vectors() {
        let (teacher, student) = (logits([0.7, 0.2, 0.1]), logits([0.5, 0.3, 0.2]));
        let cases = [
            (kl(Direction::Forward, None), 0.0851228260),
            (kl(Direction::Reverse, None), 0.0920328502),
            (Measure::Jsd { beta: 0.1 }, 0.0076946877),
            (Measure::Jsd { beta: 0.5 }, 0.0219011790),
            (Measure::Jsd { beta: 0.9 }, 0.0081847558),
        ];
        for (measure, wanted) in cases {
            let value = value_of(measure, &teacher, &student);
            assert!((value - wanted).abs() < 1e-7, "{measure:?}: {value}");
        }
    }

    #[test]
    fn the_ids_outside_of_top_k_are_one_bucket() {
        let (teacher, student) = (logits([0.7, 0.2, 0.1]), logits([0.5, 0.3, 0.2]));
        let forward: f64 = 0.7 * (0.7f64 / 0.5).ln() + 0.3 * (0.3f64 / 0.5).ln();
        let reverse: f64 = 0.5 * (0.5f64 / 0.7).ln() + 0.5 * (0.5f64 / 0.3).ln();
        for (direction, wanted) in [(Direction::Forward, forward), (Direction::Reverse, reverse)] {
            let value = value_of(kl(direction, Some(1)), &teacher, &student);
            assert!((value - wanted).abs() < 1e-7, "{direction:?}: {value} is not {wanted}");
            let all = value_of(kl(direction, Some(3)), &teacher, &student);
            assert_eq!(all, value_of(kl(direction, None), &teacher, &student));
        }
    }

    #[test]
    fn a_mixture_of_one_side_alone_is_flat() {
        let (teacher, student) = (logits([0.7, 0.2, 0.1]), logits([0.5, 0.3, 0.2]));
        for beta in [0.0, 1.0] {
            assert!(value_of(Measure::Jsd { beta }, &teacher, &student).abs() < 1e-12);
        }
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let teacher = [0.3, -1.0, 2.0, 0.0, 1.0, -0.5, 0.25, 0.75];
        let student = [1.3, 0.0, -2.0, 0.5, 0.0, 0.0, 0.5, -1.0];
        let kls =
            [Direction::Forward, Direction::Reverse].into_iter().flat_map(|way| [kl(way, None), kl(way, Some(2))]);
        for measure in kls.chain([0.1, 0.5, 0.9].map(|beta| Measure::Jsd { beta })) {
            let targets = Targets::of(measure, 1.7, 4, teacher.to_vec());
            let value = |student: &[f32]| divergence_rows(measure, 1.7, 4, &targets, student, &mut [0.0; 8]);
            let mut gradient = [0.0; 8];
            divergence_rows(measure, 1.7, 4, &targets, &student, &mut gradient);
            for at in 0..8 {
                let nudged = |by: f32| {
                    let mut student = student;
                    student[at] += by;
                    value(&student)
                };
                let slope = (nudged(1e-2) - nudged(-1e-2)) / 2e-2;
                assert!((slope - f64::from(gradient[at])).abs() < 1e-4, "{measure:?} at {at}");
            }
        }
    }
}

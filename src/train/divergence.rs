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

/// Sum over rows of the divergence at `temperature`; d sum / d student logit is written to `gradient`.
///
/// All three slices are rows of `vocabulary` logits: `[rows, vocabulary]`. Both distributions are the softmax of
/// logits / temperature; there is no T² factor.
pub fn divergence_rows(
    measure: Measure,
    temperature: f64,
    vocabulary: usize,
    teacher: &[f32],
    student: &[f32],
    gradient: &mut [f32],
) -> f64 {
    let rows = teacher.par_chunks(vocabulary).zip(student.par_chunks(vocabulary));
    let values: Vec<f64> = rows
        .zip(gradient.par_chunks_mut(vocabulary))
        .map(|((teacher, student), gradient)| divergence_row(measure, temperature, teacher, student, gradient))
        .collect();
    // Summed in the order of the rows: the value is the same on any number of threads.
    values.iter().sum()
}

fn divergence_row(measure: Measure, temperature: f64, teacher: &[f32], student: &[f32], gradient: &mut [f32]) -> f64 {
    let mut log_p = log_softmax(teacher, temperature);
    let log_q = log_softmax(student, temperature);
    match measure {
        Measure::Kl { direction, top_k } => {
            if let Some(top_k) = top_k.filter(|&top_k| top_k < log_p.len()) {
                pool_the_rest(&mut log_p, &log_q, top_k);
            }
            kl_row(direction, temperature, &log_p, &log_q, gradient)
        }
        Measure::Jsd { beta } => jsd_row(beta, temperature, &log_p, &log_q, gradient),
    }
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

/// Makes one bucket of all ids but the teacher's `top_k` most probable: the teacher's mass in it is spread as the
/// student spreads its own, so that value and gradient of either KL are those of the two bucketed distributions.
fn pool_the_rest(log_p: &mut [f64], log_q: &[f64], top_k: usize) {
    let mut ids: Vec<usize> = (0..log_p.len()).collect();
    // Ties go to the lower id, so that the choice is the same everywhere.
    ids.sort_unstable_by(|&left, &right| log_p[right].total_cmp(&log_p[left]).then(left.cmp(&right)));
    let rest = &ids[top_k..];
    let mass = |log: &[f64]| log_sum_exp(rest.iter().map(|&id| log[id]));
    let shift = mass(log_p) - mass(log_q);
    rest.iter().for_each(|&id| log_p[id] = log_q[id] + shift);
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
        divergence_rows(measure, 1.0, teacher.len(), teacher, student, &mut vec![0.0; teacher.len()])
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
            let value = |student: &[f32]| divergence_rows(measure, 1.7, 4, &teacher, student, &mut [0.0; 8]);
            let mut gradient = [0.0; 8];
            divergence_rows(measure, 1.7, 4, &teacher, &student, &mut gradient);
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

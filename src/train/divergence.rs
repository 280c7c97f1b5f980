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

/// Sum over rows of the divergence at `temperature`; d sum / d student logit is written to `gradient`.
///
/// All three slices are rows of `vocabulary` logits: `[rows, vocabulary]`. Both distributions are the softmax of
/// logits / temperature; there is no T² factor.
pub fn divergence_rows(
    direction: Direction,
    temperature: f64,
    vocabulary: usize,
    teacher: &[f32],
    student: &[f32],
    gradient: &mut [f32],
) -> f64 {
    let rows = teacher.par_chunks(vocabulary).zip(student.par_chunks(vocabulary));
    let values: Vec<f64> = rows
        .zip(gradient.par_chunks_mut(vocabulary))
        .map(|((teacher, student), gradient)| divergence_row(direction, temperature, teacher, student, gradient))
        .collect();
    // Summed in the order of the rows: the value is the same on any number of threads.
    values.iter().sum()
}

fn divergence_row(
    direction: Direction,
    temperature: f64,
    teacher: &[f32],
    student: &[f32],
    gradient: &mut [f32],
) -> f64 {
    let log_p = log_softmax(teacher, temperature);
    let log_q = log_softmax(student, temperature);
    let pairs = || log_p.iter().zip(&log_q);
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

fn log_softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = logits.iter().map(|&logit| f64::from(logit) / temperature).collect();
    let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = largest + scaled.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln();
    scaled.into_iter().map(|logit| logit - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(probabilities: [f32; 3]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() + 0.7).collect()
    }

    #[test]
    fn values_equal_the_published_vectors() {
        let (teacher, student) = (logits([0.7, 0.2, 0.1]), logits([0.5, 0.3, 0.2]));
        for (direction, wanted) in [(Direction::Forward, 0.0851228260), (Direction::Reverse, 0.0920328502)] {
            let mut gradient = vec![0.0; 3];
            let value = divergence_rows(direction, 1.0, 3, &teacher, &student, &mut gradient);
            assert!((value - wanted).abs() < 1e-7, "{direction:?}: {value}");
        }
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let teacher = [0.3, -1.0, 2.0, 0.0, 1.0, -0.5, 0.25, 0.75];
        let student = [1.3, 0.0, -2.0, 0.5, 0.0, 0.0, 0.5, -1.0];
        for direction in [Direction::Forward, Direction::Reverse] {
            let value = |student: &[f32]| divergence_rows(direction, 1.7, 4, &teacher, student, &mut [0.0; 8]);
            let mut gradient = [0.0; 8];
            divergence_rows(direction, 1.7, 4, &teacher, &student, &mut gradient);
            for at in 0..8 {
                let nudged = |by: f32| {
                    let mut student = student;
                    student[at] += by;
                    value(&student)
                };
                let slope = (nudged(1e-2) - nudged(-1e-2)) / 2e-2;
                assert!((slope - f64::from(gradient[at])).abs() < 1e-4, "{direction:?} at {at}");
            }
        }
    }
}

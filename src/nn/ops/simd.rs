//! Vector loops that the compiler widens to the machine's registers, chosen at run time.

/// Declares functions whose body is compiled for AVX-512, AVX2 and the baseline.
///
/// Bodies use no fused multiply-add and fixed lane counts, so that every version gives the same bits.
macro_rules! vectorised {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                if crate::nn::ops::simd::has_avx512() {
                    // SAFETY: the features were detected.
                    return unsafe { avx512($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature was detected.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    )*};
}
pub(super) use vectorised;

/// Whether the machine has the AVX-512 subsets that the kernels are compiled for.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw")
}

/// Partial sums kept side by side: one AVX-512 register.
pub(super) const LANES: usize = 16;

/// The sum of lanes, in a fixed tree.
#[inline(always)]
fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// Σ term(i) for i in 0..length, in [`LANES`] interleaved partial sums.
#[inline(always)]
pub(super) fn sum_of(length: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = length / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    let mut tail = 0.0;
    for i in whole..length {
        tail += term(i);
    }
    sum_lanes(lanes) + tail
}

/// Σ aᵢ bᵢ.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    sum_of(length, |i| a[i] * b[i])
}

/// The largest value; −∞ of nothing.
#[inline(always)]
pub(super) fn maximum(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, tail) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |most, &value| if value > most { value } else { most })
}

/// eˣ to about one unit in the last place: x = n ln 2 + r, a polynomial in r, times 2ⁿ (Cephes `expf`).
///
/// Below −87.3 it gives 2⁻¹²⁶, which no sum here can see; NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < -87.3 { -87.3 } else { x };
    let clamped = if clamped > 88.0 { 88.0 } else { clamped };
    // Adding 1.5·2²³ rounds to the nearest integer, which then stands in the low bits.
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = p * r + c;
    }
    let mantissa = p * r * r + r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    mantissa * power
}

vectorised! {
    /// Replaces `values` by exp(values − shift) and returns their sum.
    pub(super) fn exp_minus(values: &mut [f32], shift: f32) -> f32 {
        for value in values.iter_mut() {
            *value = exp(*value - shift);
        }
        sum_of(values.len(), |i| values[i])
    }

    /// The largest value; −∞ of nothing.
    pub(super) fn max_of(values: &[f32]) -> f32 {
        maximum(values)
    }

    /// Multiplies `values` by `factor`.
    pub(super) fn scale(values: &mut [f32], factor: f32) {
        for value in values.iter_mut() {
            *value *= factor;
        }
    }

    /// target += source, element by element.
    pub(super) fn add_to(target: &mut [f32], source: &[f32]) {
        for (target, source) in target.iter_mut().zip(source) {
            *target += source;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_library() {
        for step in -8_700..=8_800 {
            let x = step as f32 * 0.01;
            let (ours, theirs) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(((ours - theirs) / theirs).abs() < 3e-7, "exp({x}) = {ours}, not {theirs}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_cover_odd_lengths() {
        for length in [0, 1, 15, 16, 17, 33, 100] {
            let values: Vec<f32> = (0..length).map(|i| i as f32).collect();
            assert_eq!(dot(&values, &vec![1.0; length]), (0..length).sum::<usize>() as f32);
            assert_eq!(maximum(&values), if length == 0 { f32::NEG_INFINITY } else { length as f32 - 1.0 });
        }
    }
}

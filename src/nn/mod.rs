//! Floor 1: differentiable fused ops, parameters, and what turns gradients into the next weights.

pub mod clip;
pub mod gradients;
pub mod linear;
pub mod ops;
pub mod optim;
pub mod params;
pub mod schedule;

pub use clip::clip_to_norm;
pub use gradients::{Gradients, MissingGradients};
pub use linear::{Linear, Lora, Noise};
pub use optim::{AdamW, AdamWConfig};
pub use params::Params;
pub use schedule::{Schedule, Shape as ScheduleShape, Warmup};

//! The last look at a stage's output before it is published: what its kind promises must be there.

use crate::base::kind::Kind;
use crate::stage::{Metrics, StageError};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Checks a finished stage's output folder and numbers.
///
/// # Errors
/// [`StageError::Machine`] where a promised file is missing or cut short; [`StageError::Diverged`] where the loss is
/// not finite.
pub fn check(kind: Kind, out: &Path, metrics: &Metrics) -> Result<(), StageError> {
    if let Some((name, value)) = metrics.iter().find(|(name, value)| is_loss(name) && !value.is_finite()) {
        let message = format!("the stage ended with {name} = {value}: lower learning_rate, or max_grad_norm");
        return Err(StageError::Diverged { message });
    }
    match kind {
        Kind::Model => {
            require(out, "config.json")?;
            weights(out)?.iter().try_for_each(|path| check_header(path))
        }
        Kind::Dataset => require(out, "data.jsonl"),
        Kind::Scores => require(out, "summary.json"),
        Kind::Teacher => Ok(()),
    }
}

fn is_loss(name: &str) -> bool {
    name == "loss" || name.ends_with("_loss")
}

fn require(out: &Path, name: &str) -> Result<(), StageError> {
    if out.join(name).is_file() {
        return Ok(());
    }
    Err(StageError::machine(format!("a bug in srlm, please report it: the stage ended without its `{name}`")))
}

fn weights(out: &Path) -> Result<Vec<PathBuf>, StageError> {
    let entries = fs::read_dir(out)?.collect::<Result<Vec<_>, _>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "safetensors")).collect();
    if files.is_empty() { require(out, "model.safetensors").map(|()| files) } else { Ok(files) }
}

/// A safetensors file begins with the length of its header in 8 bytes, little end first, and the header as JSON.
fn check_header(path: &Path) -> Result<(), StageError> {
    let broken = |why: String| StageError::machine(format!("{} is no safetensors file: {why}", path.display()));
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|error| broken(error.to_string()))?;
    let length = u64::from_le_bytes(length);
    if length.saturating_add(8) > file.metadata()?.len() {
        return Err(broken("it is cut short".into()));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    serde_json::from_slice::<serde_json::Value>(&header).map(drop).map_err(|error| broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
        folder
    }

    fn verdict(kind: Kind, files: &[(&str, &[u8])]) -> Result<(), String> {
        check(kind, written(files).path(), &Metrics::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_needs_its_config_and_whole_weights() {
        let weights: &[u8] = b"\x02\0\0\0\0\0\0\0{}";
        assert_eq!(verdict(Kind::Model, &[("config.json", b"{}"), ("model.safetensors", weights)]), Ok(()));
        assert!(verdict(Kind::Model, &[("config.json", b"{}")]).unwrap_err().contains("model.safetensors"));
        let cut = verdict(Kind::Model, &[("config.json", b"{}"), ("model.safetensors", &weights[..9])]);
        assert!(cut.unwrap_err().contains("cut short"));
    }

    #[test]
    fn data_and_scores_need_their_file_and_losses_are_finite() {
        assert_eq!(verdict(Kind::Dataset, &[("data.jsonl", b"")]), Ok(()));
        assert!(verdict(Kind::Scores, &[("data.jsonl", b"")]).unwrap_err().contains("summary.json"));
        let metrics = Metrics::from([("loss".to_string(), f64::NAN)]);
        assert!(check(Kind::Dataset, Path::new("."), &metrics).is_err());
    }
}

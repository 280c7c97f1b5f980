//! Training states on disk: written aside, flushed, renamed; read back only when their digest is right.

use super::watch::{TrainError, Watch};
use crate::base::digest::Digest;
use crate::base::event::StageEvent;
use crate::base::fs;
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Named tensors: weights and optimiser moments.
pub type Tensors = HashMap<String, Tensor>;

const TENSORS: &str = "state.safetensors";
const MANIFEST: &str = "state.json";
/// The newest may be unreadable after a power cut: one older is kept.
const KEPT: usize = 2;

#[derive(Serialize, Deserialize)]
struct Manifest {
    step: u64,
    tensors: Digest,
}

/// A state to continue from.
pub struct State {
    /// Optimiser steps done.
    pub step: u64,
    /// What [`States::save`] was given.
    pub tensors: Tensors,
}

/// The states of one training stage.
pub struct States<'a> {
    watch: &'a Watch<'a>,
    last_saved: Instant,
    newest: Option<u64>,
}

impl<'a> States<'a> {
    /// Looks at the folder of `watch`; it need not exist.
    pub fn new(watch: &'a Watch<'a>) -> Self {
        States { watch, last_saved: Instant::now(), newest: None }
    }

    /// The newest state that verifies; those that do not are named in a warning and passed over.
    pub fn newest(&mut self) -> Option<State> {
        for folder in self.folders().into_iter().rev() {
            match read(&folder) {
                Ok(state) => {
                    self.newest = Some(state.step);
                    return Some(state);
                }
                Err(why) => {
                    self.watch.warn(format!("the saved state {} is passed over: {why}", folder.display()));
                }
            }
        }
        None
    }

    /// Saves when it is time to; always when the loop should stop, and then ends it.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] where a stop was asked for; [`TrainError::Io`] where the state cannot be written.
    pub fn checkpoint(
        &mut self,
        step: u64,
        tensors: impl FnOnce() -> Result<Tensors, TrainError>,
    ) -> Result<(), TrainError> {
        let stop = self.watch.should_stop();
        if stop || self.last_saved.elapsed() >= Duration::from_secs_f64(self.watch.checkpoint_seconds) {
            self.save(step, &tensors()?)?;
        }
        if stop { Err(TrainError::Interrupted { saved_at: self.newest }) } else { Ok(()) }
    }

    /// Where a step diverged: saves the state it began from, and returns the error with the batch named.
    ///
    /// Nothing is saved before the first step, where it would be the stage's input, nor where the step before has left
    /// numbers that are not finite.
    pub fn keep_last_good(
        &mut self,
        error: TrainError,
        step: u64,
        batch: &[String],
        tensors: impl FnOnce() -> Result<Tensors, TrainError>,
    ) -> TrainError {
        let TrainError::Diverged(why) = error else { return error };
        let why = format!("{why}: {}", batch.join(", "));
        if step == 0 {
            return TrainError::Diverged(why);
        }
        let kept = tensors().and_then(|tensors| {
            let good = all_finite(&tensors)?;
            if good {
                self.save(step, &tensors)?;
            }
            Ok(good)
        });
        TrainError::Diverged(match kept {
            Ok(true) => format!("{why}. The last good state, of step {step}, is kept"),
            Ok(false) => format!("{why}. Step {step} had already left weights that are not finite"),
            Err(error) => format!("{why}. The last good state could not be saved: {error}"),
        })
    }

    fn save(&mut self, step: u64, tensors: &Tensors) -> Result<(), TrainError> {
        let folder = self.watch.states.join(format!("step-{step:08}"));
        if self.newest != Some(step) {
            // A folder of that name did not verify when the stage began: it is no state.
            if folder.exists() {
                std::fs::remove_dir_all(&folder)?;
            }
            std::fs::create_dir_all(self.watch.states)?;
            write(&folder, step, tensors)?;
        }
        (self.newest, self.last_saved) = (Some(step), Instant::now());
        (self.watch.events)(StageEvent::Checkpointed { step });
        let folders = self.folders();
        for old in folders.iter().take(folders.len().saturating_sub(KEPT)) {
            std::fs::remove_dir_all(old)?;
        }
        Ok(())
    }

    /// Complete states, oldest first; folders still being written have other names.
    fn folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.watch.states).into_iter().flatten().flatten();
        let is_state =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"));
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_state).collect();
        folders.sort();
        folders
    }
}

fn write(folder: &Path, step: u64, tensors: &Tensors) -> Result<(), TrainError> {
    let aside = fs::aside(folder);
    std::fs::create_dir_all(&aside)?;
    let file = aside.join(TENSORS);
    candle_core::safetensors::save(tensors, &file)?;
    let manifest = Manifest { step, tensors: digest_of(&file)? };
    let manifest = serde_json::to_vec(&manifest).map_err(std::io::Error::other)?;
    fs::write_atomic(&aside.join(MANIFEST), &manifest)?;
    fs::publish_folder(&aside, folder)?;
    Ok(())
}

fn read(folder: &Path) -> Result<State, String> {
    let manifest = std::fs::read(folder.join(MANIFEST)).map_err(|error| error.to_string())?;
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|error| error.to_string())?;
    let file = folder.join(TENSORS);
    let digest = digest_of(&file).map_err(|error| error.to_string())?;
    if digest != manifest.tensors {
        return Err("its tensors do not have the digest that was noted".to_string());
    }
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu).map_err(|error| error.to_string())?;
    Ok(State { step: manifest.step, tensors })
}

fn all_finite(tensors: &Tensors) -> candle_core::Result<bool> {
    for tensor in tensors.values().filter(|tensor| tensor.dtype() == DType::F32) {
        if tensor.flatten_all()?.to_vec1::<f32>()?.iter().any(|value| !value.is_finite()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn digest_of(path: &Path) -> std::io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(Digest::from_hasher(&hasher))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn tensors(value: f32) -> Tensors {
        let tensor = Tensor::new(&[value, 2.0], &Device::Cpu).expect("a small tensor");
        HashMap::from([("weight".to_string(), tensor)])
    }

    fn first(state: &State) -> f32 {
        state.tensors["weight"].to_vec1::<f32>().expect("two numbers")[0]
    }

    #[test]
    fn the_newest_state_that_verifies_is_taken() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = AtomicBool::new(false);
        let warnings = std::sync::Mutex::new(0);
        let events = |event: StageEvent| {
            if matches!(event, StageEvent::Warning { .. }) {
                *warnings.lock().expect("one thread") += 1;
            }
        };
        let watch = Watch { events: &events, stop: &stop, states: folder.path(), checkpoint_seconds: 0.0 };
        let mut states = States::new(&watch);
        assert!(states.newest().is_none());
        for step in 1..=3 {
            states.checkpoint(step, || Ok(tensors(step as f32))).expect("it saves");
        }
        let state = states.newest().expect("three were saved");
        assert_eq!((state.step, first(&state)), (3, 3.0));
        assert_eq!(states.folders().len(), KEPT);

        let newest = folder.path().join("step-00000003").join(TENSORS);
        let mut bytes = std::fs::read(&newest).expect("it is there");
        *bytes.last_mut().expect("it is not empty") ^= 1;
        std::fs::write(&newest, bytes).expect("it can be written");
        let state = states.newest().expect("an older one is whole");
        assert_eq!((state.step, first(&state)), (2, 2.0));
        assert_eq!(*warnings.lock().expect("one thread"), 1);

        states.checkpoint(3, || Ok(tensors(4.0))).expect("what did not verify is written anew");
        let state = states.newest().expect("it is whole again");
        assert_eq!((state.step, first(&state)), (3, 4.0));
    }

    #[test]
    fn a_step_that_diverges_keeps_what_it_began_from_and_names_its_batch() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = AtomicBool::new(false);
        let watch = Watch { events: &|_| {}, stop: &stop, states: folder.path(), checkpoint_seconds: 1e9 };
        let mut states = States::new(&watch);
        let diverged = TrainError::Diverged("step 6: the loss is NaN".to_string());
        let error = states.keep_last_good(diverged, 5, &["row a".to_string()], || Ok(tensors(1.0)));
        assert_eq!(error.to_string(), "step 6: the loss is NaN: row a. The last good state, of step 5, is kept");
        assert_eq!(states.newest().expect("it was saved").step, 5);

        let diverged = TrainError::Diverged("step 7: the loss is NaN".to_string());
        let error = states.keep_last_good(diverged, 6, &["row b".to_string()], || Ok(tensors(f32::NAN)));
        assert!(error.to_string().ends_with("Step 6 had already left weights that are not finite"), "{error}");
        assert_eq!(states.newest().expect("the good one is still there").step, 5);
    }

    #[test]
    fn a_request_to_stop_saves_and_ends_the_loop() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = AtomicBool::new(true);
        let watch = Watch { events: &|_| {}, stop: &stop, states: folder.path(), checkpoint_seconds: 1e9 };
        let mut states = States::new(&watch);
        let ended = states.checkpoint(7, || Ok(tensors(1.0)));
        assert!(matches!(ended, Err(TrainError::Interrupted { saved_at: Some(7) })));
        assert_eq!(states.newest().expect("it was saved").step, 7);
    }
}

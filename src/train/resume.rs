//! Training states: written aside, flushed, renamed; read back only when their digest is right.

use super::watch::{TrainError, Watch};
use crate::base::digest::Digest;
use crate::base::event::StageEvent;
use crate::base::failpoint::failpoint;
use crate::base::fs;
use crate::base::state::{Found, Manifest, Place, Places, TENSORS};
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

/// Named tensors: weights and optimiser moments.
pub type Tensors = HashMap<String, Tensor>;
/// Named numbers of a step.
pub type Metrics = BTreeMap<String, f64>;

/// The newest may be unreadable after a power cut: one older is kept.
const KEPT: usize = 2;
/// How many states of one trajectory stay for longer trainings to start from. Beyond that the one of the fewest steps
/// goes: it is the cheapest to make again.
pub const MAX_ENDS: usize = 4;

/// How far a training goes, in optimiser steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// All of them.
    pub total: u64,
    /// How many first ones are the same in a longer training; none where no step is.
    pub open: Option<u64>,
}

/// A state to continue from.
pub struct State {
    /// Optimiser steps done.
    pub step: u64,
    /// What [`States::checkpoint`] was given.
    pub tensors: Tensors,
    /// The numbers of the last step.
    pub metrics: Metrics,
}

/// The states of one training stage.
pub struct States<'a> {
    watch: &'a Watch<'a>,
    course: Course,
    last_saved: Instant,
    newest: Option<u64>,
    began: Instant,
    /// Seconds of training before this attempt, up to the state that it continues from.
    seconds_before: f64,
}

impl<'a> States<'a> {
    /// Looks at the folders of `watch`; they need not exist.
    pub fn new(watch: &'a Watch<'a>, course: Course) -> Self {
        let now = Instant::now();
        States { watch, course, last_saved: now, newest: None, began: now, seconds_before: 0.0 }
    }

    /// The newest state that this training passes through and that verifies. Those that do not verify are named in a
    /// warning and passed over; those that are damaged are removed.
    pub fn newest(&mut self) -> Option<State> {
        let places = self.watch.states?;
        places.own.remove_unfinished();
        places.shared.iter().for_each(Place::remove_unfinished);
        let mut passed_over = false;
        for found in self.usable(places).into_iter().rev() {
            match read(&found) {
                Ok((manifest, tensors)) => return Some(self.resume(manifest, tensors)),
                Err(why) => {
                    passed_over = true;
                    self.watch.warn(format!("the saved state {} is passed over: {why}", found.folder.display()));
                }
            }
        }
        if passed_over {
            self.watch.warn("no saved state can be used: the training starts anew");
        }
        None
    }

    fn resume(&mut self, manifest: Manifest, tensors: Tensors) -> State {
        let Manifest { step, seconds, metrics, .. } = manifest;
        (self.newest, self.seconds_before) = (Some(step), seconds);
        (self.watch.events)(StageEvent::Resumed { step, seconds });
        State { step, tensors, metrics }
    }

    /// The states that this training passes through, by step.
    fn usable(&self, places: &Places) -> Vec<Found> {
        let up_to = |place: &Place, last: u64| place.states().into_iter().filter(move |state| state.step <= last);
        let shared = places.shared.iter().zip(self.course.open).flat_map(|(place, open)| up_to(place, open));
        let mut found: Vec<Found> = shared.chain(up_to(&places.own, self.course.total)).collect();
        found.sort_by_key(|state| state.step);
        found
    }

    /// Saves when it is time to; always when the loop should stop, and then ends it. Where the steps end that longer
    /// trainings have in common with this one, a state is saved that stays after the stage.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] where a stop was asked for; [`TrainError::Io`] where the state cannot be written.
    pub fn checkpoint(
        &mut self,
        step: u64,
        metrics: &Metrics,
        tensors: impl Fn() -> Result<Tensors, TrainError>,
    ) -> Result<(), TrainError> {
        self.keep_end(step, metrics, &tensors);
        let stop = self.watch.should_stop();
        if stop || self.last_saved.elapsed() >= Duration::from_secs_f64(self.watch.checkpoint_seconds) {
            self.save(step, metrics, &tensors()?)?;
        }
        if stop { Err(TrainError::Interrupted { saved_at: self.newest }) } else { Ok(()) }
    }

    /// Saves the state of the last step where longer trainings may start from it. One that cannot be saved is told in
    /// a warning: the training itself is done. What was saved against a crash on the way there goes.
    pub fn finish(&mut self, metrics: &Metrics, tensors: impl Fn() -> Result<Tensors, TrainError>) {
        self.keep_end(self.course.total, metrics, &tensors);
        let shared = self.watch.states.and_then(|places| places.shared.as_ref());
        if let Some((place, open)) = shared.zip(self.course.open) {
            // What cannot be removed costs space and nothing else.
            let _ = drop_superseded(place, open, 0);
        }
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
        metrics: &Metrics,
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
                self.save(step, metrics, &tensors)?;
            }
            Ok(good)
        });
        TrainError::Diverged(match kept {
            Ok(true) => format!("{why}. The last good state, of step {step}, is kept"),
            Ok(false) => format!("{why}. Step {step} had already left weights that are not finite"),
            Err(error) => format!("{why}. The last good state could not be saved: {error}"),
        })
    }

    /// Where states of that step belong.
    fn place(&self, step: u64) -> Option<&'a Place> {
        let places = self.watch.states?;
        let shared = places.shared.as_ref().filter(|_| self.course.open.is_some_and(|open| step <= open));
        Some(shared.unwrap_or(&places.own))
    }

    /// Saves a state against a crash, unless the newest one is of this very step.
    fn save(&mut self, step: u64, metrics: &Metrics, tensors: &Tensors) -> Result<(), TrainError> {
        let Some(place) = self.place(step) else { return Ok(()) };
        if self.newest != Some(step) {
            self.write(place, step, false, metrics, tensors)?;
        }
        (self.watch.events)(StageEvent::Checkpointed { step });
        Ok(drop_superseded(place, step, KEPT)?)
    }

    /// Saves the state that stays after the stage, where `step` is its step.
    fn keep_end(&mut self, step: u64, metrics: &Metrics, tensors: &impl Fn() -> Result<Tensors, TrainError>) {
        let shared = self.watch.states.and_then(|places| places.shared.as_ref());
        let Some(place) = shared.filter(|_| step > 0 && self.course.open == Some(step)) else { return };
        let ends: Vec<Found> = place.states().into_iter().filter(Found::is_end).collect();
        if ends.iter().filter(|end| end.step > step).count() >= MAX_ENDS {
            return;
        }
        let kept = if self.newest == Some(step) {
            mark_as_end(&place.state(step)).map_err(TrainError::Io)
        } else {
            tensors().and_then(|tensors| self.write(place, step, true, metrics, &tensors))
        };
        let tidied = kept.map(|()| {
            let _ = drop_superseded(place, step, 0);
            let others: Vec<&Found> = ends.iter().filter(|end| end.step != step).collect();
            let surplus = (others.len() + 1).saturating_sub(MAX_ENDS);
            others.iter().take(surplus).for_each(|end| drop(fs::remove_dir_all(&end.folder)));
        });
        if let Err(error) = tidied {
            self.watch.warn(format!("no state is kept that a longer training could start from: {error}"));
        }
    }

    fn write(
        &mut self,
        place: &Place,
        step: u64,
        end: bool,
        metrics: &Metrics,
        tensors: &Tensors,
    ) -> Result<(), TrainError> {
        let folder = place.state(step);
        // A folder of that name did not verify when the stage began: it is no state.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&place.folder)?;
        let aside = fs::aside(&folder);
        let written = self.write_aside(&aside, place, step, end, metrics, tensors);
        failpoint("state.manifest_written");
        if let Err(error) = written.and_then(|()| Ok(fs::publish_folder(&aside, &folder)?)) {
            // The first error is the one to report.
            let _ = fs::remove_dir_all(&aside);
            return Err(error);
        }
        flush_way_to(&place.folder)?;
        (self.newest, self.last_saved) = (Some(step), Instant::now());
        failpoint("state.renamed");
        Ok(())
    }

    fn write_aside(
        &self,
        aside: &Path,
        place: &Place,
        step: u64,
        end: bool,
        metrics: &Metrics,
        tensors: &Tensors,
    ) -> Result<(), TrainError> {
        let Some(places) = self.watch.states else { return Ok(()) };
        std::fs::create_dir_all(aside)?;
        let file = aside.join(TENSORS);
        candle_core::safetensors::save(tensors, &file)?;
        failpoint("state.tensors_written");
        let finite = metrics.iter().filter(|(_, value)| value.is_finite());
        let manifest = Manifest {
            trajectory: place.trajectory,
            step,
            key: places.key,
            budget: places.budget.clone(),
            total: self.course.total,
            end,
            seconds: self.seconds_before + self.began.elapsed().as_secs_f64(),
            metrics: finite.map(|(name, value)| (name.clone(), *value)).collect(),
            files: BTreeMap::from([(TENSORS.to_string(), Digest::of_file(&file)?)]),
        };
        Ok(manifest.write(aside)?)
    }
}

/// Flushes the names that lead to a trajectory's folder: its own, and that of the folder of all states. Whoever made them
/// may not have.
fn flush_way_to(folder: &Path) -> std::io::Result<()> {
    fs::sync_parent(folder)?;
    folder.parent().map_or(Ok(()), fs::sync_parent)
}

/// Removes states against a crash that one of `step` makes useless, but for the newest `kept` of them; those of later
/// steps are of a longer training that has not ended.
fn drop_superseded(place: &Place, step: u64, kept: usize) -> std::io::Result<()> {
    let passed = |state: &Found| state.step <= step && !state.is_end();
    let states: Vec<Found> = place.states().into_iter().filter(passed).collect();
    let old = states.len().saturating_sub(kept);
    states.iter().take(old).try_for_each(|state| fs::remove_dir_all(&state.folder))
}

/// A state that was saved against a crash stays after the stage.
fn mark_as_end(folder: &Path) -> std::io::Result<()> {
    let manifest = Manifest::read(folder).map_err(std::io::Error::other)?;
    if manifest.end { Ok(()) } else { Manifest { end: true, ..manifest }.write(folder) }
}

/// A state whose every byte is as it was written; one that is damaged is removed, since it never will be.
fn read(found: &Found) -> Result<(Manifest, Tensors), String> {
    let manifest = found.manifest.clone()?;
    let file = found.folder.join(TENSORS);
    let digest = Digest::of_file(&file).map_err(|error| error.to_string())?;
    if manifest.files.get(TENSORS) != Some(&digest) {
        let removed = fs::remove_dir_all(&found.folder).map_or("", |()| ", and it is removed");
        return Err(format!("its tensors do not have the digest that was noted{removed}"));
    }
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu).map_err(|error| error.to_string())?;
    Ok((manifest, tensors))
}

fn all_finite(tensors: &Tensors) -> candle_core::Result<bool> {
    for tensor in tensors.values().filter(|tensor| tensor.dtype() == DType::F32) {
        if tensor.flatten_all()?.to_vec1::<f32>()?.iter().any(|value| !value.is_finite()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk_model::{self, Disk};
    use std::sync::atomic::AtomicBool;

    const COURSE: Course = Course { total: 100, open: None };

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
        let places = Places::closed(folder.path());
        let watch = Watch { events: &events, stop: &stop, states: Some(&places), checkpoint_seconds: 0.0 };
        let mut states = States::new(&watch, COURSE);
        assert!(states.newest().is_none());
        for step in 1..=3 {
            states.checkpoint(step, &Metrics::new(), || Ok(tensors(step as f32))).expect("it saves");
        }
        let state = states.newest().expect("three were saved");
        assert_eq!((state.step, first(&state)), (3, 3.0));
        assert_eq!(places.own.states().len(), KEPT);

        let newest = folder.path().join("step-00000003").join(TENSORS);
        let mut bytes = std::fs::read(&newest).expect("it is there");
        *bytes.last_mut().expect("it is not empty") ^= 1;
        std::fs::write(&newest, bytes).expect("it can be written");
        let state = states.newest().expect("an older one is whole");
        assert_eq!((state.step, first(&state)), (2, 2.0));
        assert_eq!(*warnings.lock().expect("one thread"), 1);

        states.checkpoint(3, &Metrics::new(), || Ok(tensors(4.0))).expect("what did not verify is written anew");
        let state = states.newest().expect("it is whole again");
        assert_eq!((state.step, first(&state)), (3, 4.0));
    }

    /// Saves states 1 to 4; `acknowledge` hears of each that is saved.
    fn save_four(folder: &Path, acknowledge: &dyn Fn(u64)) {
        let stop = AtomicBool::new(false);
        let places = Places::closed(folder);
        let watch = Watch { events: &|_| {}, stop: &stop, states: Some(&places), checkpoint_seconds: 0.0 };
        let mut states = States::new(&watch, COURSE);
        for step in 1..=4 {
            states.checkpoint(step, &Metrics::new(), || Ok(tensors(step as f32))).expect("it saves");
            acknowledge(step);
        }
    }

    /// A power cut at any moment of saving states: the newest that was acknowledged is there, or a later one, with the
    /// bytes of its step.
    #[test]
    fn a_power_cut_at_any_moment_loses_no_state_that_was_acknowledged() {
        let base = disk_model::folder();
        let inside = |base: &Path| base.join("states").join("trajectory");
        let moments = disk_model::states_of(Disk::new(base.path()), 0, |acknowledge| {
            save_four(&inside(base.path()), acknowledge);
        });
        assert!(moments.len() > 30, "{} changes were heard of", moments.len());
        for (moment, (disk, acknowledged)) in moments.iter().enumerate() {
            for mut cut in disk_model::cuts(moment) {
                let after = disk_model::folder();
                disk.after(&mut cut, after.path());
                let stop = AtomicBool::new(false);
                let places = Places::closed(&inside(after.path()));
                let watch = Watch { events: &|_| {}, stop: &stop, states: Some(&places), checkpoint_seconds: 1e9 };
                let newest = States::new(&watch, COURSE).newest();
                let step = newest.as_ref().map_or(0, |state| state.step);
                assert!(
                    step >= *acknowledged,
                    "after change {moment} step {step}, and {acknowledged} was acknowledged"
                );
                assert!(newest.is_none_or(|state| first(&state) == state.step as f32), "a wrong byte in step {step}");
            }
        }
    }

    #[test]
    fn a_step_that_diverges_keeps_what_it_began_from_and_names_its_batch() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = AtomicBool::new(false);
        let places = Places::closed(folder.path());
        let watch = Watch { events: &|_| {}, stop: &stop, states: Some(&places), checkpoint_seconds: 1e9 };
        let mut states = States::new(&watch, COURSE);
        let diverged = TrainError::Diverged("step 6: the loss is NaN".to_string());
        let error = states.keep_last_good(diverged, 5, &["row a".to_string()], &Metrics::new(), || Ok(tensors(1.0)));
        assert_eq!(error.to_string(), "step 6: the loss is NaN: row a. The last good state, of step 5, is kept");
        assert_eq!(states.newest().expect("it was saved").step, 5);

        let diverged = TrainError::Diverged("step 7: the loss is NaN".to_string());
        let error =
            states.keep_last_good(diverged, 6, &["row b".to_string()], &Metrics::new(), || Ok(tensors(f32::NAN)));
        assert!(error.to_string().ends_with("Step 6 had already left weights that are not finite"), "{error}");
        assert_eq!(states.newest().expect("the good one is still there").step, 5);
    }

    #[test]
    fn a_request_to_stop_saves_and_ends_the_loop() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = AtomicBool::new(true);
        let places = Places::closed(folder.path());
        let watch = Watch { events: &|_| {}, stop: &stop, states: Some(&places), checkpoint_seconds: 1e9 };
        let mut states = States::new(&watch, COURSE);
        let ended = states.checkpoint(7, &Metrics::new(), || Ok(tensors(1.0)));
        assert!(matches!(ended, Err(TrainError::Interrupted { saved_at: Some(7) })));
        assert_eq!(states.newest().expect("it was saved").step, 7);
    }
}

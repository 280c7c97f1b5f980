//! What stages take from one machine while they run: places, memory, cores, GPUs, and groups of which one runs at a time.

use super::gpus::{GpuLock, GpuLocks};
use crate::base::words::bytes;
use crate::stage::profile::Gpus;
use std::collections::BTreeSet;

/// What a stage takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Memory in bytes; 0 where it is not known.
    pub memory: u64,
    /// Whether that is srlm's own estimate: what a user says is never refused.
    pub is_estimated: bool,
    /// Cores.
    pub cores: usize,
    /// GPUs.
    pub gpus: Gpus,
    /// The group of which one stage runs at a time.
    pub mutex: Option<String>,
    /// Nothing else of the run beside it: it ran out of memory once.
    pub alone: bool,
}

impl Default for Demand {
    fn default() -> Self {
        Demand { memory: 0, is_estimated: false, cores: 0, gpus: Gpus::Count(0), mutex: None, alone: false }
    }
}

/// Something that there may be too little of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A place among the run's jobs.
    Jobs,
    /// Memory.
    Memory,
    /// Cores.
    Cores,
    /// GPUs.
    Gpus,
    /// A group.
    Mutex(String),
}

/// What a run may take, and what of it is taken.
#[derive(Debug)]
pub struct Pool {
    jobs: usize,
    memory: Option<u64>,
    /// The most that there could be, were nothing else at work on the machine.
    limit: Option<u64>,
    cores: usize,
    gpus: Vec<String>,
    locks: GpuLocks,
    taken: Taken,
}

#[derive(Debug, Default)]
struct Taken {
    jobs: usize,
    memory: u64,
    cores: usize,
    gpus: BTreeSet<String>,
    groups: BTreeSet<String>,
    alone: bool,
}

/// What a stage has been given. To be handed back to [`Pool::give_back`].
#[derive(Debug, Default)]
pub struct Claim {
    demand: Demand,
    /// The ids of its GPUs.
    pub gpus: Vec<String>,
    /// Held so long as the stage runs.
    _locks: Vec<GpuLock>,
}

impl Pool {
    /// A pool of nothing taken. Without `memory` any amount is there.
    pub fn new(jobs: usize, memory: Option<u64>, cores: usize, gpus: Vec<String>, locks: GpuLocks) -> Pool {
        Pool { jobs, memory, limit: memory, cores, gpus, locks, taken: Taken::default() }
    }

    /// The same with another bound for what one stage may need: memory that others use now may be free later.
    pub fn with_limit(self, limit: Option<u64>) -> Pool {
        Pool { limit, ..self }
    }

    /// The most that one stage may need, in bytes.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Whether no stage runs.
    pub fn is_idle(&self) -> bool {
        self.taken.jobs == 0
    }

    /// Memory in all.
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Corrects the memory in all.
    pub fn set_memory(&mut self, memory: Option<u64>) {
        self.memory = memory;
    }

    /// What keeps a stage from being started now; none where it may start.
    pub fn lacks(&self, demand: &Demand) -> Option<Resource> {
        let taken = &self.taken;
        let memory = self.memory.is_some_and(|all| demand.memory > all.saturating_sub(taken.memory));
        let gpus = self.free_gpus().count();
        match () {
            () if taken.jobs >= self.jobs || taken.alone => Some(Resource::Jobs),
            () if taken.jobs > 0 && (memory || demand.alone) => Some(Resource::Memory),
            () if demand.cores > self.cores.saturating_sub(taken.cores) => Some(Resource::Cores),
            () if count(&demand.gpus) > gpus || wanted(&demand.gpus).any(|id| taken.gpus.contains(&id)) => {
                Some(Resource::Gpus)
            }
            () => demand.mutex.clone().filter(|group| taken.groups.contains(group)).map(Resource::Mutex),
        }
    }

    /// What of a demand can never be met, in words: what is needed, what there is.
    pub fn refusal(&self, demand: &Demand) -> Option<String> {
        let strange = || wanted(&demand.gpus).find(|id| !self.gpus.contains(id));
        let limit = self.limit.filter(|limit| demand.is_estimated && demand.memory > *limit);
        if let Some(limit) = limit {
            return Some(format!("it needs about {} of memory, and there are {}", bytes(demand.memory), bytes(limit)));
        }
        match () {
            () if demand.cores > self.cores => Some(format!(
                "it needs {} cores, and there are {}: lower `cpus` in the profile",
                demand.cores, self.cores
            )),
            () if count(&demand.gpus) > self.gpus.len() => Some(format!(
                "it needs {}, and the run has {}: lower `gpus` of the stage, or raise `gpus` of the profile",
                gpus_in_words(count(&demand.gpus)),
                gpus_in_words(self.gpus.len())
            )),
            () => strange().map(|id| {
                format!("it needs GPU {id}, and the run has {}: see `gpus` in the profile", self.gpus.join(", "))
            }),
        }
    }

    /// Gives a stage what it needs; an error says who has it where that is another run on this machine.
    ///
    /// # Errors
    /// Who holds the GPUs that are missing.
    pub fn claim(&mut self, demand: &Demand) -> Result<Claim, String> {
        let (mut gpus, mut locks, mut held) = (Vec::new(), Vec::new(), Vec::new());
        let count = count(&demand.gpus);
        let wanted: Vec<String> = wanted(&demand.gpus).collect();
        let free: Vec<String> =
            self.free_gpus().filter(|id| wanted.is_empty() || wanted.contains(id)).cloned().collect();
        for id in free.into_iter().take(if count == 0 { 0 } else { usize::MAX }) {
            if gpus.len() == count {
                break;
            }
            match self.locks.lock(&id) {
                Ok(lock) => {
                    locks.push(lock);
                    gpus.push(id);
                }
                Err(holder) => held.push(format!("GPU {id} is in use by {holder}")),
            }
        }
        if gpus.len() < count {
            return Err(held.join(", "));
        }
        self.take(demand, &gpus);
        Ok(Claim { demand: demand.clone(), gpus, _locks: locks })
    }

    fn take(&mut self, demand: &Demand, gpus: &[String]) {
        let taken = &mut self.taken;
        taken.jobs += 1;
        taken.memory += demand.memory;
        taken.cores += demand.cores;
        taken.gpus.extend(gpus.iter().cloned());
        taken.groups.extend(demand.mutex.clone());
        taken.alone |= demand.alone;
    }

    /// Takes back what a stage had.
    pub fn give_back(&mut self, claim: Claim) {
        let (taken, demand) = (&mut self.taken, &claim.demand);
        taken.jobs = taken.jobs.saturating_sub(1);
        taken.memory = taken.memory.saturating_sub(demand.memory);
        taken.cores = taken.cores.saturating_sub(demand.cores);
        taken.gpus.retain(|id| !claim.gpus.contains(id));
        if let Some(group) = &demand.mutex {
            taken.groups.remove(group);
        }
        taken.alone &= !demand.alone;
    }

    fn free_gpus(&self) -> impl Iterator<Item = &String> {
        self.gpus.iter().filter(|id| !self.taken.gpus.contains(*id))
    }
}

/// The resources that a stage which has to wait keeps later ones from taking, so that the order of the plan holds.
#[derive(Debug, Default)]
pub struct Held(BTreeSet<Resource>);

impl Held {
    /// Whether a stage may start before those that wait.
    pub fn spares(&self, demand: &Demand) -> bool {
        !self.0.iter().any(|resource| match resource {
            Resource::Jobs => true,
            Resource::Memory => demand.memory > 0 || demand.alone,
            Resource::Cores => demand.cores > 0,
            Resource::Gpus => demand.gpus != Gpus::Count(0),
            Resource::Mutex(group) => demand.mutex.as_ref() == Some(group),
        })
    }

    /// Keeps a resource for a stage that waits for it.
    pub fn keep(&mut self, resource: Resource) {
        self.0.insert(resource);
    }

    /// Whether nothing at all can start.
    pub fn is_all(&self) -> bool {
        self.0.contains(&Resource::Jobs)
    }
}

fn count(gpus: &Gpus) -> usize {
    match gpus {
        Gpus::Count(count) => *count,
        Gpus::Ids(ids) => ids.len(),
    }
}

fn wanted(gpus: &Gpus) -> impl Iterator<Item = String> {
    let ids: &[usize] = match gpus {
        Gpus::Count(_) => &[],
        Gpus::Ids(ids) => ids,
    };
    ids.iter().map(ToString::to_string)
}

fn gpus_in_words(count: usize) -> String {
    match count {
        0 => "no GPU".to_string(),
        1 => "1 GPU".to_string(),
        count => format!("{count} GPUs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(folder: &tempfile::TempDir, jobs: usize, gpus: &[&str]) -> Pool {
        let locks = GpuLocks::in_folder(folder.path());
        Pool::new(jobs, Some(100), 4, gpus.iter().map(ToString::to_string).collect(), locks)
    }

    fn memory(memory: u64) -> Demand {
        Demand { memory, ..Demand::default() }
    }

    fn gpus(count: usize) -> Demand {
        Demand { gpus: Gpus::Count(count), ..Demand::default() }
    }

    #[test]
    fn what_is_taken_is_not_there_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut pool = pool(&folder, 2, &[]);
        let first = pool.claim(&memory(70)).unwrap();
        assert_eq!(pool.lacks(&memory(40)), Some(Resource::Memory));
        assert_eq!(pool.lacks(&memory(30)), None);
        let second = pool.claim(&memory(30)).unwrap();
        assert_eq!(pool.lacks(&memory(0)), Some(Resource::Jobs));
        pool.give_back(first);
        assert_eq!(pool.lacks(&Demand { cores: 5, ..memory(70) }), Some(Resource::Cores));
        assert_eq!(pool.lacks(&memory(70)), None);
        pool.give_back(second);
        assert!(pool.is_idle());
    }

    #[test]
    fn a_group_runs_one_at_a_time_and_a_stage_that_ran_out_of_memory_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut pool = pool(&folder, 8, &[]);
        let grouped = Demand { mutex: Some("disk".into()), ..Demand::default() };
        let claim = pool.claim(&grouped).unwrap();
        assert_eq!(pool.lacks(&grouped), Some(Resource::Mutex("disk".into())));
        let alone = Demand { alone: true, ..Demand::default() };
        assert_eq!(pool.lacks(&alone), Some(Resource::Memory));
        pool.give_back(claim);
        let claim = pool.claim(&alone).unwrap();
        assert_eq!(pool.lacks(&memory(0)), Some(Resource::Jobs));
        pool.give_back(claim);
        assert_eq!(pool.lacks(&grouped), None);
    }

    #[test]
    fn each_stage_has_gpus_of_its_own_and_so_has_each_run_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = pool(&folder, 8, &["0", "1", "2"]);
        let mut other = pool(&folder, 8, &["0", "1", "2"]);
        let first = one.claim(&gpus(2)).unwrap();
        assert_eq!(first.gpus, ["0", "1"]);
        assert_eq!(one.lacks(&gpus(2)), Some(Resource::Gpus));
        assert_eq!(other.lacks(&gpus(2)), None);
        let held = other.claim(&gpus(2)).unwrap_err();
        assert!(held.contains("GPU 0 is in use by process"), "{held}");
        assert!(other.is_idle());
        assert_eq!(other.claim(&gpus(1)).unwrap().gpus, ["2"]);
        one.give_back(first);
        let those = Demand { gpus: Gpus::Ids(vec![1]), ..Demand::default() };
        assert_eq!(one.claim(&those).unwrap().gpus, ["1"]);
    }

    #[test]
    fn what_can_never_be_met_is_refused_with_what_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(&folder, 1, &["3"]);
        assert_eq!(pool.refusal(&gpus(1)), None);
        assert!(pool.refusal(&gpus(2)).unwrap().contains("needs 2 GPUs, and the run has 1 GPU"));
        let strange = Demand { gpus: Gpus::Ids(vec![7]), ..Demand::default() };
        assert!(pool.refusal(&strange).unwrap().contains("GPU 7"));
        assert!(pool.refusal(&Demand { cores: 9, ..Demand::default() }).unwrap().contains("9 cores"));
        let large = Demand { is_estimated: true, ..memory(101 << 20) };
        let pool = pool.with_limit(Some(100 << 20));
        assert_eq!(pool.refusal(&large).unwrap(), "it needs about 101.0 MiB of memory, and there are 100.0 MiB");
        assert_eq!(pool.refusal(&Demand { is_estimated: false, ..large }), None);
    }

    #[test]
    fn a_stage_that_waits_keeps_what_it_waits_for_from_later_ones() {
        let mut held = Held::default();
        held.keep(Resource::Gpus);
        assert!(held.spares(&memory(5)) && !held.spares(&gpus(1)));
        held.keep(Resource::Memory);
        assert!(held.spares(&memory(0)) && !held.spares(&memory(5)));
    }
}

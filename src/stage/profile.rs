//! What a profile can set: declared as arguments of a stage are, and never hashed.

use super::arguments::{Argument, ToFields, arguments, string_argument};
use crate::lang::name::Name;
use crate::lang::signature::{ProfileSignature, Variant};
use crate::lang::types::Type;
use crate::lang::value::Value;
use serde::Deserialize;
use std::collections::BTreeMap;

pub use super::arguments::{Bytes, Millis};

arguments! {
    /// The settings of a profile.
    pub struct ProfileArgs {
        /// Stages at the same time; `none` is one. Each gets its share of the cores.
        jobs: Option<usize> = None, aliases ["max_jobs", "n_jobs", "workers", "parallel", "concurrency", "max_parallel"],
            range 1 ..= 1024, source "make (--jobs)";
        /// Threads of each stage; `none` is its share of the cores.
        threads: Option<usize> = None, aliases ["num_threads", "omp_num_threads"], range 1 ..= 4096;
        /// Memory that all stages of the run together may need; `none` is what the machine has to give. A stage is
        /// started when what it needs is free.
        memory: Option<Bytes> = None, aliases ["mem", "ram", "max_memory", "mem_gb"], range 1 ..= 1e18;
        /// GPUs of the run: how many, or their ids as the machine counts them; `none` is all that
        /// `CUDA_VISIBLE_DEVICES` or the machine shows. Two runs on one machine never share one.
        gpus: Option<Gpus> = None, aliases ["gpu", "num_gpus", "n_gpus", "gpu_ids", "cuda_visible_devices", "devices"], range 0 ..= 1024;
        /// How often a stage is tried again when the machine ended it: out of memory, preempted, or a failing disk;
        /// `none` is once. What a stage itself finds wrong is never tried again.
        retries: Option<usize> = None, aliases ["max_retries", "retry", "restart_times", "max_restarts"], range 0 ..= 100,
            source "Snakemake (--retries)";
        /// Time between two saved training states; `none` is a minute.
        checkpoint_interval: Option<Millis> = None, aliases ["checkpoint_every", "save_interval", "save_steps", "save_freq"],
            range 0 ..= 1e12;
        /// Whether a failure leaves the stages that do not need the failed one to run; `none` is no.
        keep_going: Option<bool> = None, aliases ["keepgoing", "continue_on_error"], source "make (--keep-going)";
        /// The longest that a stage may take: it saves a state and stops then, and the same command continues.
        time: Option<Millis> = None, aliases ["timeout", "time_limit", "walltime", "max_time", "runtime"],
            range 1000 ..= 1e12, source "Slurm (--time)";
        /// How long a stage that was asked to save a state and stop may take before it is ended; `none` is two minutes.
        grace: Option<Millis> = None, aliases ["grace_period", "kill_wait", "stop_timeout"],
            range 0 ..= 1e12, source "Slurm (KillWait)";
        /// What stages compute on.
        device: Option<Device> = None, aliases ["accelerator", "platform"];
        /// Address of a store that results are taken from and given to; `none` is no other store.
        remote: Option<String> = None, aliases ["remote_cache", "cache", "remote_store", "bucket"];
        /// What runs the stages: processes of this machine, or `slurm { … }`.
        executor: Option<Executor> = None, aliases ["cluster", "backend", "scheduler", "launcher"];
        /// Settings of every stage.
        defaults: Option<StageArgs> = None, aliases ["default_resources", "default"], source "Snakemake (--default-resources)";
        /// Settings of single stages, by the name the file gives them, or by their kind; the name wins.
        stages: Option<BTreeMap<String, StageArgs>> = None, aliases ["resources", "set_resources", "rules", "stage"];
    }
}

arguments! {
    /// The settings of a stage in a profile.
    pub struct StageArgs {
        /// Memory that the stage needs; `none` is an estimate by its model and its data.
        memory: Option<Bytes> = None, aliases ["mem", "ram", "max_memory", "mem_mb", "mem_gb"], range 1 ..= 1e18;
        /// How many GPUs it is given, each its own; or which. It sees no other: `CUDA_VISIBLE_DEVICES` holds their ids.
        gpus: Option<Gpus> = None, aliases ["gpu", "num_gpus", "n_gpus"], range 0 ..= 1024;
        /// Cores that it is given; `none` counts none. It has as many threads, unless `threads` says otherwise.
        cpus: Option<usize> = None, aliases ["cores", "cpu", "num_cpus", "cpus_per_task"], range 1 ..= 4096, source "Slurm (--cpus-per-task)";
        /// Its threads.
        threads: Option<usize> = None, aliases ["num_threads"], range 1 ..= 4096;
        /// The name of a group of which one stage runs at a time, in all runs on the store.
        mutex: Option<String> = None, aliases ["lock", "group", "exclusive"];
        /// The longest that it may take: it saves a state and stops then.
        time: Option<Millis> = None, aliases ["timeout", "time_limit", "walltime", "max_time", "runtime"], range 1000 ..= 1e12;
        /// How often it is tried again when the machine ended it.
        retries: Option<usize> = None, aliases ["max_retries", "retry"], range 0 ..= 100;
    }
}

arguments! {
    /// The settings of the `slurm` executor.
    pub struct SlurmArgs {
        /// The partition that jobs go to.
        partition: Option<String> = None, aliases ["queue"], source "Slurm (--partition)";
        /// The account that is charged.
        account: Option<String> = None, aliases ["project"], source "Slurm (--account)";
        /// The quality of service.
        qos: Option<String> = None, source "Slurm (--qos)";
        /// Further options of `sbatch`, as they stand.
        options: Option<Vec<String>> = None, aliases ["extra", "sbatch_args", "args"];
    }
}

/// A number of GPUs, or their ids.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Gpus {
    /// So many.
    Count(usize),
    /// These.
    Ids(Vec<usize>),
}

impl Argument for Gpus {
    fn ty() -> Type {
        Type::OneOf(vec![Type::Int, Type::List(Box::new(Type::Int))])
    }
    fn to_value(&self) -> Value {
        match self {
            Gpus::Count(count) => count.to_value(),
            Gpus::Ids(ids) => ids.to_value(),
        }
    }
}

/// The `device` setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The processor's cores.
    Cpu,
    /// A GPU of NVIDIA's.
    Cuda,
}

string_argument!(Device { "cpu" => Device::Cpu, "cuda" => Device::Cuda });

/// The `executor` setting.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Executor {
    /// Processes of this machine.
    Local,
    /// A cluster.
    Slurm(SlurmArgs),
}

impl Argument for Executor {
    fn ty() -> Type {
        super::arguments::choice(&["local"], &["slurm"])
    }
    fn to_value(&self) -> Value {
        match self {
            Executor::Local => Value::String("local".to_string()),
            Executor::Slurm(args) => Value::Variant("slurm".into(), args.to_fields()),
        }
    }
}

impl Argument for StageArgs {
    fn ty() -> Type {
        Type::Record(StageArgs::fields().into_iter().map(|field| (field.name.to_string(), field.ty)).collect())
    }
    fn to_value(&self) -> Value {
        Value::Record(self.to_fields())
    }
}

#[expect(clippy::derivable_impls, reason = "a declaration of arguments has no place for a derive")]
impl Default for StageArgs {
    fn default() -> Self {
        StageArgs { memory: None, gpus: None, cpus: None, threads: None, mutex: None, time: None, retries: None }
    }
}

impl StageArgs {
    /// These settings, and those of `other` where there are none.
    pub fn or(self, other: &StageArgs) -> StageArgs {
        StageArgs {
            memory: self.memory.or(other.memory),
            gpus: self.gpus.or_else(|| other.gpus.clone()),
            cpus: self.cpus.or(other.cpus),
            threads: self.threads.or(other.threads),
            mutex: self.mutex.or_else(|| other.mutex.clone()),
            time: self.time.or(other.time),
            retries: self.retries.or(other.retries),
        }
    }
}

#[expect(clippy::derivable_impls, reason = "a declaration of arguments has no place for a derive")]
impl Default for ProfileArgs {
    fn default() -> Self {
        ProfileArgs {
            jobs: None,
            threads: None,
            memory: None,
            gpus: None,
            retries: None,
            checkpoint_interval: None,
            keep_going: None,
            time: None,
            grace: None,
            device: None,
            remote: None,
            executor: None,
            defaults: None,
            stages: None,
        }
    }
}

impl ProfileArgs {
    /// The settings as a checked file holds them.
    ///
    /// # Errors
    /// What cannot be read, which the check let through: a defect of srlm.
    pub fn read(settings: &[(Name, Value)]) -> Result<ProfileArgs, String> {
        serde_json::from_value(crate::lang::value::fields_to_json(settings)).map_err(|error| error.to_string())
    }

    /// What this version cannot do of it, with what to do instead.
    pub fn unbuilt(&self) -> Option<&'static str> {
        match (&self.executor, self.device) {
            (Some(Executor::Slurm(_)), _) => Some(
                "this version runs stages on this machine only, and `executor: slurm { … }` needs a later one: leave it \
                 out, or start `srlm run` inside a job of your own on a store that the nodes share",
            ),
            (_, Some(Device::Cuda)) => Some(
                "this version computes on the processor only, and `device: \"cuda\"` needs a later one: leave it out, or \
                 write `device: \"cpu\"`",
            ),
            _ => None,
        }
    }
}

/// What the language is told of profiles.
pub fn signature() -> ProfileSignature {
    let slurm = Variant {
        name: "slurm",
        doc: "Jobs of a Slurm cluster.",
        fields: SlurmArgs::fields(),
        positional: None,
        unbuilt: Some("`executor: slurm`"),
    };
    ProfileSignature { fields: ProfileArgs::fields(), stage: StageArgs::fields(), executors: vec![slurm] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::types::Dimension;
    use crate::lang::value::Value::{Int, Record, Variant as Made};

    fn size(amount: f64) -> Value {
        Value::quantity(amount, Dimension::Size)
    }

    #[test]
    fn what_is_declared_reads_back_from_a_checked_file() {
        let stage: Vec<(Name, Value)> =
            vec![("gpus".into(), Value::List(vec![Int(0), Int(2)])), ("memory".into(), size(64e9))];
        let settings: [(Name, Value); 5] = [
            ("jobs".into(), Int(3)),
            ("time".into(), Value::quantity(60_000.0, Dimension::Duration)),
            ("executor".into(), Made("slurm".into(), vec![("partition".into(), Value::String("a100".into()))])),
            ("stages".into(), Record(vec![("warm".into(), Record(stage))])),
            ("remote".into(), Value::None),
        ];
        let read = ProfileArgs::read(&settings).unwrap();
        assert_eq!((read.jobs, read.time.map(|time| time.milliseconds)), (Some(3), Some(60_000)));
        let stages = read.stages.as_ref().unwrap();
        assert_eq!(stages["warm"].gpus, Some(Gpus::Ids(vec![0, 2])));
        assert_eq!(stages["warm"].memory.map(|memory| memory.bytes), Some(64_000_000_000));
        assert!(read.unbuilt().unwrap().contains("slurm"));
        assert!(ProfileArgs::read(&[]).unwrap().unbuilt().is_none());
    }
}

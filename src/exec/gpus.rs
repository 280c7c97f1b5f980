//! GPUs of a machine: which there are, and locks so that two runs never use one at the same time.

use crate::stage::profile::Gpus;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the locks of a machine are. Not below `$TMPDIR`: every run of every user must look in the same place.
const FOLDER: &str = "/tmp/srlm-gpus";

/// The folder of a machine's locks.
#[derive(Clone, Debug)]
pub struct GpuLocks {
    folder: PathBuf,
}

/// A GPU that is ours until this is dropped, or the process ends.
#[derive(Debug)]
pub struct GpuLock {
    /// None where the file system knows no locks, or nobody may write there: then nothing is held.
    _file: Option<File>,
}

impl GpuLocks {
    /// Those of this machine.
    pub fn of_this_machine() -> GpuLocks {
        GpuLocks::in_folder(Path::new(FOLDER))
    }

    /// Those of a folder.
    pub fn in_folder(folder: &Path) -> GpuLocks {
        GpuLocks { folder: folder.to_path_buf() }
    }

    /// Takes a GPU.
    ///
    /// # Errors
    /// Who has it.
    pub fn lock(&self, id: &str) -> Result<GpuLock, String> {
        let Ok(mut file) = self.open(id) else { return Ok(GpuLock { _file: None }) };
        match file.try_lock() {
            Ok(()) => {
                // Only for the message of whoever waits.
                let text = format!("process {}", std::process::id());
                let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
                Ok(GpuLock { _file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = (&file).take(64).read_to_string(&mut text);
                let holder =
                    read.ok().filter(|_| text.starts_with("process ")).map_or("another run", |_| text.as_str());
                Err(holder.to_string())
            }
            Err(TryLockError::Error(_)) => Ok(GpuLock { _file: None }),
        }
    }

    /// The file of a GPU, which every user may lock.
    fn open(&self, id: &str) -> std::io::Result<File> {
        let all_may = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        if fs::create_dir(&self.folder).is_ok() {
            all_may(&self.folder, 0o1777)?;
        }
        let name: String = id.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let path = self.folder.join(name);
        let is_new = !path.exists();
        // No link that somebody else may have put there is followed.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o666).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path)?;
        if is_new {
            let _ = file.set_permissions(Permissions::from_mode(0o666));
        }
        Ok(file)
    }
}

/// The ids of the GPUs that a run may give out.
///
/// # Errors
/// Where more are asked for than there are.
pub fn of_run(asked: Option<&Gpus>) -> Result<Vec<String>, String> {
    match asked {
        Some(Gpus::Ids(ids)) => Ok(ids.iter().map(ToString::to_string).collect()),
        Some(Gpus::Count(count)) => first(*count, visible()),
        None => Ok(visible()),
    }
}

fn first(count: usize, visible: Vec<String>) -> Result<Vec<String>, String> {
    if count > visible.len() {
        let there = if visible.is_empty() { "shows none".to_string() } else { format!("shows {}", visible.join(", ")) };
        return Err(format!(
            "the run is to have {count} GPUs, and this machine {there}: lower `gpus`, or list their ids"
        ));
    }
    Ok(visible.into_iter().take(count).collect())
}

/// What `CUDA_VISIBLE_DEVICES` names, else every GPU that the driver shows.
fn visible() -> Vec<String> {
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(listed) => named(&listed),
        Err(_) => {
            let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
            let numbers = entries.filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_prefix("nvidia")?.parse::<usize>().ok()
            });
            let mut numbers: Vec<usize> = numbers.collect();
            numbers.sort_unstable();
            numbers.iter().map(ToString::to_string).collect()
        }
    }
}

/// As CUDA reads it: what stands behind the first id that is none is not visible.
fn named(listed: &str) -> Vec<String> {
    let ids = listed.split(',').map(str::trim);
    ids.take_while(|id| !id.is_empty() && !id.starts_with('-')).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_gpus_as_cuda_reads_it() {
        assert_eq!(named("2, 0"), ["2", "0"]);
        assert_eq!(named("1,-1,3"), ["1"]);
        assert_eq!(named("GPU-8932f937"), ["GPU-8932f937"]);
        assert!(named("").is_empty());
    }

    #[test]
    fn no_more_are_given_out_than_there_are() {
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(first(1, ids(&["2", "3"])), Ok(ids(&["2"])));
        assert!(first(2, ids(&["5"])).unwrap_err().contains("2 GPUs, and this machine shows 5"));
        assert_eq!(of_run(Some(&Gpus::Ids(vec![4, 7]))), Ok(ids(&["4", "7"])));
    }

    #[test]
    fn a_lock_is_free_again_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let locks = GpuLocks::in_folder(&folder.path().join("gpus"));
        let held = locks.lock("0").unwrap();
        assert!(locks.lock("0").unwrap_err().starts_with("process "));
        assert!(locks.lock("1").is_ok());
        drop(held);
        assert!(locks.lock("0").is_ok());
    }
}

//! Memory of this machine and of this process, as the kernel counts it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The first version of control groups writes a limit of about this, in bytes, where it has none.
const NO_LIMIT: u64 = 1 << 62;

/// The most memory that this process ever had at once, in bytes; none where the system does not say.
pub fn own_peak() -> Option<u64> {
    field(&read(Path::new("/proc/self/status"))?, "VmHWM")
}

/// What can be had without pushing anything else out, in bytes: what the machine has free or could free at once, or
/// what this process's control groups still allow, whichever is less. None where the system does not say.
pub fn available() -> Option<u64> {
    let machine = field(&read(Path::new("/proc/meminfo"))?, "MemAvailable");
    machine.into_iter().chain(groups().iter().filter_map(|group| group.left())).min()
}

/// All there is, in bytes: the machine's memory, or the least that a control group of this process allows.
pub fn total() -> Option<u64> {
    let machine = field(&read(Path::new("/proc/meminfo"))?, "MemTotal");
    machine.into_iter().chain(groups().iter().filter_map(|group| group.limit())).min()
}

/// A file of the kernel's, which claims to have no size: room for all of it from the start saves a dozen reads of small
/// pieces, and `run` asks before every stage.
fn read(path: &Path) -> Option<String> {
    let mut text = String::with_capacity(8192);
    File::open(path).ok()?.take(1 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A line `Name:   123 kB` of a file below `/proc`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// A control group of the memory controller: its folder, and its files' names, which differ between the versions.
struct Group {
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` with what the kernel takes back when it needs room.
    cache: &'static str,
}

impl Group {
    fn limit(&self) -> Option<u64> {
        self.number(self.limit).filter(|&limit| limit < NO_LIMIT)
    }

    fn left(&self) -> Option<u64> {
        // Most groups have none, and the rest need not be read then.
        let limit = self.limit()?;
        let stat = read(&self.folder.join("memory.stat")).unwrap_or_default();
        let cache = stat.lines().find_map(|line| line.strip_prefix(self.cache)?.trim().parse::<u64>().ok());
        let used = self.number(self.usage)?.saturating_sub(cache.unwrap_or(0));
        Some(limit.saturating_sub(used))
    }

    /// A file that holds one number; `max` is none.
    fn number(&self, name: &str) -> Option<u64> {
        read(&self.folder.join(name))?.trim().parse().ok()
    }
}

/// The groups this process is in, and those around them: each of them limits it.
fn groups() -> Vec<Group> {
    groups_of(&read(Path::new("/proc/self/cgroup")).unwrap_or_default(), Path::new("/sys/fs/cgroup"))
}

fn groups_of(membership: &str, root: &Path) -> Vec<Group> {
    let mut found = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let version = match controllers {
            "" => (root.to_path_buf(), "memory.max", "memory.current", "inactive_file "),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
            }
            _ => continue,
        };
        let (root, limit, usage, cache) = version;
        // Inside a container the path may be that of the host: then only the root is there to be read.
        let inside = root.join(path.trim_start_matches('/'));
        let folders = inside.ancestors().take_while(|folder| folder.starts_with(&root));
        found.extend(folders.map(|folder| Group { folder: folder.to_path_buf(), limit, usage, cache }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn this_process_has_had_some_of_what_there_is() {
        let (peak, total) = (own_peak().unwrap(), total().unwrap());
        assert!(peak > 1 << 20 && peak < total, "{peak} of {total}");
        assert!(available().unwrap() <= total);
    }

    #[test]
    fn a_group_allows_what_its_limit_leaves_beside_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("jobs/mine");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("memory.max"), "1000\n").unwrap();
        fs::write(folder.join("memory.current"), "700\n").unwrap();
        fs::write(folder.join("memory.stat"), "anon 300\ninactive_file 400\n").unwrap();
        fs::write(root.path().join("jobs/memory.max"), "max\n").unwrap();
        let groups = groups_of("0::/jobs/mine\n", root.path());
        assert_eq!(groups.len(), 3);
        assert_eq!(groups.iter().filter_map(Group::left).collect::<Vec<_>>(), [700]);
        assert_eq!(groups.iter().filter_map(Group::limit).min(), Some(1000));
    }

    #[test]
    fn the_first_version_of_control_groups_has_a_folder_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("memory")).unwrap();
        fs::write(root.path().join("memory/memory.limit_in_bytes"), "5000").unwrap();
        fs::write(root.path().join("memory/memory.usage_in_bytes"), "1000").unwrap();
        fs::create_dir_all(root.path().join("memory/free")).unwrap();
        fs::write(root.path().join("memory/free/memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        let groups = groups_of("7:cpu,cpuacct:/x\n4:memory:/free\n", root.path());
        assert_eq!(groups.iter().filter_map(Group::left).collect::<Vec<_>>(), [4000]);
    }
}

//! Which process this is, told apart from every other one, and whether another still lives.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A process, told apart from one with the same id after a restart, in another container or on another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcessId {
    /// Boot id and pid namespace: process ids mean the same where these are equal. Empty where unknown.
    pub realm: String,
    /// The process id within the realm.
    pub pid: u32,
    /// When it started, in clock ticks since boot: a reused id has another.
    pub started: u64,
}

impl ProcessId {
    /// This process.
    pub fn current() -> &'static ProcessId {
        static CURRENT: OnceLock<ProcessId> = OnceLock::new();
        CURRENT.get_or_init(|| {
            let pid = process::id();
            ProcessId { realm: realm(), pid, started: stat(pid).ok().flatten().unwrap_or(0) }
        })
    }

    /// Whether it has ended for certain. `false` also where that cannot be told from here.
    pub fn is_dead(&self) -> bool {
        let here = &ProcessId::current().realm;
        // Under `hidepid` other users' processes look absent; process 1 shows whether that is so.
        if here.is_empty() || *here != self.realm || !Path::new("/proc/1").exists() {
            return false;
        }
        match stat(self.pid) {
            Ok(Some(started)) => started != self.started,
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

/// The name of this machine.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    name.map_or_else(|_| "unknown".to_string(), |name| name.trim().to_string())
}

/// A number that no other call in this process returns.
pub(super) fn serial() -> u64 {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

fn realm() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{} {}", boot.trim(), namespace.display()),
        _ => String::new(),
    }
}

/// The start time of a living process; none where there is no such process or only its exit status is left.
fn stat(pid: u32) -> std::io::Result<Option<u64>> {
    let text = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // The command's name stands in parentheses and may hold any character: fields count from the last one.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let state = fields.first().copied().unwrap_or("");
    let started = fields.get(19).and_then(|field| field.parse().ok());
    Ok(if matches!(state, "Z" | "X") { None } else { started.or(Some(0)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_its_reused_id_would_not() {
        let here = ProcessId::current();
        assert!(!here.is_dead());
        assert!(ProcessId { started: here.started + 1, ..here.clone() }.is_dead());
        assert!(!ProcessId { realm: "elsewhere".into(), started: 1, ..here.clone() }.is_dead());
    }

    #[test]
    fn a_child_that_ended_is_dead() {
        let mut child = process::Command::new("true").spawn().expect("`true` starts");
        let pid = child.id();
        child.wait().expect("`true` ends");
        assert!(ProcessId { pid, ..ProcessId::current().clone() }.is_dead());
    }
}

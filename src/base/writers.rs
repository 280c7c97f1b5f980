//! Whether anybody can still write to a file: the one question here that the standard library cannot ask.

use std::fs::File;

/// Whether a process has the file open, or mapped, for writing. `file` must be open for reading only.
///
/// Linux grants a read lease on a file that nobody can write to, and refuses it otherwise; it is given back at once.
/// Where a file system grants no leases, the answer is that somebody may.
#[cfg(target_os = "linux")]
pub fn may_be_written(file: &File) -> bool {
    use std::os::fd::AsRawFd;
    /// Which signal tells that somebody wants to write; libc has no name for this request.
    const F_SETSIG: libc::c_int = 10;
    let descriptor = file.as_raw_fd();
    // Should somebody open the file in the moment that the lease is held, the kernel sends a signal: one that does
    // nothing, instead of the one that would end this process.
    // SAFETY: `descriptor` is open as long as `file` is borrowed, and none of the three calls takes a pointer.
    unsafe {
        libc::fcntl(descriptor, F_SETSIG, libc::SIGURG);
        let granted = libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_RDLCK) == 0;
        if granted {
            libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_UNLCK);
        }
        !granted
    }
}

/// Elsewhere it cannot be known.
#[cfg(not(target_os = "linux"))]
pub fn may_be_written(_file: &File) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_can_be_written_as_long_as_it_is_open_for_writing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert!(may_be_written(&reader));
        drop(writer);
        assert!(!may_be_written(&reader));
        assert!(!may_be_written(&reader), "the lease was given back");
        File::options().append(true).open(&path).unwrap();
    }
}

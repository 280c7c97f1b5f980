//! The digest of a file's bytes, read and hashed by all cores at once.
//!
//! Pieces of the file are read into small buffers and become subtrees of blake3's tree. The result is that of
//! [`Digest::of_bytes`]. Mapping the file into memory would be as fast, but a file that another program cuts short
//! meanwhile would end the process then; here it is an error.

use super::digest::Digest;
use super::fs::at;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use rayon::prelude::*;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a subtree: a power of two, large enough that handing it to another core costs nothing beside hashing it.
const PIECE: u64 = 1 << 20;
/// Bytes read at once: they stay in the core's own cache until they are hashed.
const BUFFER: usize = 1 << 17;

impl Digest {
    /// The digest of a file's bytes.
    ///
    /// # Errors
    /// Whatever the file system says, with the path in the message; also where the file became shorter meanwhile.
    pub fn of_file(path: &Path) -> io::Result<Digest> {
        File::open(path).and_then(|file| Digest::of_open_file(&file)).map_err(|error| at(path, error))
    }

    /// The digest of the bytes of a file that is open for reading; its position does not matter.
    ///
    /// # Errors
    /// As [`Digest::of_file`], without the path.
    pub fn of_open_file(file: &File) -> io::Result<Digest> {
        let size = file.metadata()?.len();
        if size <= PIECE {
            return of_small(file);
        }
        let pieces = (0..size.div_ceil(PIECE)).into_par_iter();
        let subtrees = pieces.map_init(|| vec![0; BUFFER], |buffer, piece| subtree(file, piece, size, buffer));
        let subtrees = subtrees.collect::<io::Result<Vec<_>>>()?;
        let (left, right) = subtrees.split_at(left_half(subtrees.len()));
        Ok(merge_subtrees_root(&merged(left), &merged(right), Mode::Hash).into())
    }
}

/// A file of one piece, to its end, whatever size it claims to have.
fn of_small(mut file: &File) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    io::Seek::rewind(&mut file)?;
    hasher.update_reader(file)?;
    Ok(Digest::from_hasher(&hasher))
}

fn subtree(file: &File, piece: u64, size: u64, buffer: &mut [u8]) -> io::Result<ChainingValue> {
    let (mut offset, end) = (piece * PIECE, size.min((piece + 1) * PIECE));
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    while offset < end {
        let most = buffer.len().min((end - offset) as usize);
        match file.read_at(&mut buffer[..most], offset) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read")),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize_non_root())
}

fn merged(subtrees: &[ChainingValue]) -> ChainingValue {
    match subtrees {
        [only] => *only,
        _ => {
            let (left, right) = subtrees.split_at(left_half(subtrees.len()));
            merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
        }
    }
}

/// How many of several pieces stand to the left of the tree's top: the largest power of two that leaves one at least.
fn left_half(pieces: usize) -> usize {
    pieces.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_digest_of_its_bytes_whatever_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..5 * PIECE + 1).map(|index| (index % 251) as u8).collect();
        for pieces in 0..=5 {
            for size in [pieces * PIECE, pieces * PIECE + 1, (pieces * PIECE).saturating_sub(1)] {
                let bytes = &bytes[..size as usize];
                std::fs::write(&path, bytes).unwrap();
                assert_eq!(Digest::of_file(&path).unwrap(), Digest::of_bytes(bytes), "{size} bytes");
            }
        }
    }

    #[test]
    fn a_piece_that_is_cut_short_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [0; 100]).unwrap();
        let cut = subtree(&File::open(&path).unwrap(), 0, 101, &mut [0; 64]);
        assert!(cut.unwrap_err().to_string().contains("became shorter"));
        assert!(Digest::of_file(folder.path()).unwrap_err().to_string().contains("directory"));
    }

    #[test]
    fn files_without_a_size_are_read_to_their_end() {
        let path = Path::new("/proc/self/cmdline");
        assert_eq!(Digest::of_file(path).unwrap(), Digest::of_bytes(&std::fs::read(path).unwrap()));
    }
}

//! Immutable blobs: bytes under their own digest, hashed while they are written.

use super::Store;
use super::error::StoreError;
use crate::base::digest::Digest;
use crate::base::fs::sync_parent;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const BUFFER: usize = 1 << 20;

/// A blob that is written but has no name yet. Dropping it removes it.
struct Unnamed {
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    size: u64,
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // After the rename there is nothing left under this path.
        let _ = fs::remove_file(&self.path);
    }
}

impl Unnamed {
    fn create(staging: &Path) -> Result<Unnamed, StoreError> {
        let path = staging.join(format!("blob.{}", super::process::serial()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(StoreError::io("write a blob", &path))?;
        Ok(Unnamed { path, file, hasher: blake3::Hasher::new(), size: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(StoreError::io("write a blob", &self.path))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
}

impl Store {
    /// Copies a file into the store; returns its digest and its size in bytes. `staging` is a folder of this store.
    pub(super) fn store_file(&self, staging: &Path, from: &Path) -> Result<(Digest, u64), StoreError> {
        let failed = || StoreError::io("read an output", from);
        let mut source = File::open(from).map_err(failed())?;
        let mut blob = Unnamed::create(staging)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match source.read(&mut buffer).map_err(failed())? {
                0 => break,
                read => blob.write(&buffer[..read])?,
            }
        }
        self.name_blob(blob)
    }

    /// Writes bytes into the store; returns their digest.
    pub(super) fn store_bytes(&self, staging: &Path, bytes: &[u8]) -> Result<Digest, StoreError> {
        let mut blob = Unnamed::create(staging)?;
        blob.write(bytes)?;
        self.name_blob(blob).map(|(digest, _)| digest)
    }

    /// Gives a blob its name. One that has the name already is replaced: by the same bytes, or by better ones.
    fn name_blob(&self, blob: Unnamed) -> Result<(Digest, u64), StoreError> {
        let digest = Digest::from_hasher(&blob.hasher);
        let name = self.layout.blob(&digest);
        self.layout.prepare_parent(&name)?;
        let synced = blob.file.set_permissions(Permissions::from_mode(0o444)).and_then(|()| blob.file.sync_all());
        synced.map_err(StoreError::io("write a blob", &blob.path))?;
        let named = fs::rename(&blob.path, &name).and_then(|()| sync_parent(&name));
        named.map_err(StoreError::io("name a blob", &name))?;
        Ok((digest, blob.size))
    }
}

//! A safetensors file, read tensor by tensor straight into the memory that is computed with: never held as a whole.

use crate::base::fs::at;
use crate::model::ModelError;
use candle_core::{Device, Tensor, Var};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of the number before the header that says how long the header is.
const LENGTH: u64 = 8;
/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes read at one time: a multiple of every number format's size.
const CHUNK: usize = 1 << 20;

/// An open weight file.
pub(super) struct WeightFile {
    file: File,
    name: String,
    tensors: Metadata,
    /// Where the tensors' bytes begin.
    start: u64,
    /// How many there are.
    length: u64,
}

impl WeightFile {
    /// Opens a file; messages call it `name`.
    ///
    /// # Errors
    /// Where it cannot be read, is truncated, or is no safetensors file.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self, ModelError> {
        let broken = |reason: String| ModelError::BrokenFile { file: name.to_string(), reason };
        let mut file = File::open(path).map_err(|error| at(path, error))?;
        let bytes = file.metadata().map_err(|error| at(path, error))?.len();
        let mut length = [0; LENGTH as usize];
        file.read_exact(&mut length).map_err(|_| broken(format!("it has {bytes} bytes")))?;
        let header = u64::from_le_bytes(length);
        if header > MAX_HEADER || header > bytes.saturating_sub(LENGTH) {
            return Err(broken(format!("a header of {header} bytes in a file of {bytes}")));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(|error| at(path, error))?;
        let tensors: Metadata = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        let (start, length) = (LENGTH + header, bytes - LENGTH - header);
        if tensors.data_len() as u64 != length {
            return Err(broken(format!("{length} bytes of tensors, not {}", tensors.data_len())));
        }
        Ok(WeightFile { file, name: name.to_string(), tensors, start, length })
    }

    /// The names of its tensors, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = self.tensors.offset_keys();
        names.sort_unstable();
        names
    }

    /// The shape of a tensor; none where there is no such tensor.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.info(name).map(|info| info.shape.as_slice())
    }

    /// A tensor as f32, in memory of its own that a training can take over.
    ///
    /// # Errors
    /// Where there is no such tensor, its number format is none that weights come in, or it cannot be read.
    pub(super) fn read(&mut self, name: &str) -> Result<Tensor, ModelError> {
        let missing = || ModelError::MissingTensor { file: self.name.clone(), name: name.to_string() };
        let info = self.tensors.info(name).ok_or_else(missing)?.clone();
        let values = self.values(name, &info)?;
        Ok(Var::from_vec(values, info.shape, &Device::Cpu)?.into_inner())
    }

    fn values(&mut self, name: &str, info: &TensorInfo) -> Result<Vec<f32>, ModelError> {
        let (file, name) = (self.name.clone(), name.to_string());
        let convert: fn(&[u8], &mut Vec<f32>) = match info.dtype {
            Dtype::F32 => {
                |bytes, values| values.extend(bytes.as_chunks::<4>().0.iter().map(|&v| f32::from_le_bytes(v)))
            }
            Dtype::F16 => |bytes, values| {
                values.extend(bytes.as_chunks::<2>().0.iter().map(|&v| half::f16::from_le_bytes(v).to_f32()));
            },
            Dtype::BF16 => |bytes, values| {
                values.extend(bytes.as_chunks::<2>().0.iter().map(|&v| half::bf16::from_le_bytes(v).to_f32()));
            },
            other => return Err(ModelError::WrongType { file, name, dtype: format!("{other:?}") }),
        };
        let count: usize = info.shape.iter().product();
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        if to > self.length || to.checked_sub(from) != Some((count * info.dtype.bitsize() / 8) as u64) {
            let reason = format!("the bytes of {name} do not fit its shape {:?}", info.shape);
            return Err(ModelError::BrokenFile { file, reason });
        }
        let mut values = Vec::with_capacity(count);
        self.each_chunk(from, to, |bytes| convert(bytes, &mut values)).map_err(|error| {
            ModelError::Io(io::Error::new(error.kind(), format!("{file}: {name} cannot be read: {error}")))
        })?;
        Ok(values)
    }

    fn each_chunk(&mut self, from: u64, to: u64, mut body: impl FnMut(&[u8])) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.start + from))?;
        let mut buffer = vec![0; CHUNK.min((to - from) as usize)];
        let mut left = (to - from) as usize;
        while left > 0 {
            let chunk = &mut buffer[..CHUNK.min(left)];
            self.file.read_exact(chunk)?;
            body(chunk);
            left -= chunk.len();
        }
        Ok(())
    }
}

//! Hugging Face model folders: `config.json` and safetensors, in one file or in shards.

use crate::base::fs::{at, write_atomic};
use crate::model::{ModelConfig, ModelError, Weights, expected_weights};
use candle_core::{Device, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The one weight file.
pub const WEIGHTS: &str = "model.safetensors";
/// The list of shards.
pub const INDEX: &str = "model.safetensors.index.json";
/// The configuration.
pub const CONFIG: &str = "config.json";

/// Reads a model from the files of its folder: name in the folder to a path that can be read.
///
/// Weights may be f32, f16 or bf16 and are f32 in the result. Tensors that the configuration does not ask
/// for are left out.
///
/// # Errors
/// Which file or tensor is missing, broken or of the wrong shape.
pub fn load(files: &BTreeMap<String, PathBuf>) -> Result<(ModelConfig, Weights), ModelError> {
    let config = load_config(files)?;
    let mut wanted: BTreeMap<String, Vec<usize>> = expected_weights(&config)?.into_iter().collect();
    let mut weights = Weights::new();
    let shards = shards(files)?;
    for shard in &shards {
        read_shard(shard, &read(files, shard)?, &mut wanted, &mut weights)?;
    }
    match wanted.into_keys().next() {
        None => Ok((config, weights)),
        Some(name) => Err(ModelError::MissingTensor { file: shards.join(", "), name }),
    }
}

/// Reads only the configuration.
///
/// # Errors
/// Where the file is missing, malformed, or asks for what the decoder cannot do.
pub fn load_config(files: &BTreeMap<String, PathBuf>) -> Result<ModelConfig, ModelError> {
    let bytes = read(files, CONFIG)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| ModelError::config(format!("not UTF-8: {error}")))?;
    ModelConfig::parse(text)
}

/// Writes `config.json` and `model.safetensors` into a folder that exists; the same weights give the same bytes.
///
/// # Errors
/// A tensor that the configuration asks for and `weights` lacks, or what the disk said.
pub fn save(folder: &Path, config: &ModelConfig, weights: &Weights) -> Result<(), ModelError> {
    let mut tensors = Vec::new();
    for (name, shape) in expected_weights(config)? {
        let missing = || ModelError::MissingTensor { file: "the given weights".into(), name: name.clone() };
        let tensor = weights.get(&name).ok_or_else(missing)?;
        let bytes: Vec<u8> = tensor.flatten_all()?.to_vec1::<f32>()?.iter().flat_map(|v| v.to_le_bytes()).collect();
        tensors.push((name, shape, bytes));
    }
    let broken = |reason: safetensors::SafeTensorError| ModelError::BrokenFile {
        file: WEIGHTS.into(),
        reason: reason.to_string(),
    };
    let views = tensors.iter().map(|(name, shape, bytes)| {
        Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(broken)?))
    });
    let views: Vec<_> = views.collect::<Result<_, ModelError>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(broken)?;
    write_atomic(&folder.join(WEIGHTS), &bytes)?;
    Ok(write_atomic(&folder.join(CONFIG), config.to_json()?.as_bytes())?)
}

fn read(files: &BTreeMap<String, PathBuf>, name: &str) -> Result<Vec<u8>, ModelError> {
    let path = files.get(name).ok_or_else(|| ModelError::MissingFile { file: name.to_string() })?;
    std::fs::read(path).map_err(|error| ModelError::Io(at(path, error)))
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The weight files, each once.
fn shards(files: &BTreeMap<String, PathBuf>) -> Result<Vec<String>, ModelError> {
    if files.contains_key(WEIGHTS) || !files.contains_key(INDEX) {
        return Ok(vec![WEIGHTS.to_string()]);
    }
    let index: Index = serde_json::from_slice(&read(files, INDEX)?)
        .map_err(|error| ModelError::Config { file: INDEX.into(), message: format!("no list of shards: {error}") })?;
    let shards: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
    Ok(shards.into_iter().collect())
}

/// Moves what is wanted from a shard to the weights.
fn read_shard(
    file: &str,
    bytes: &[u8],
    wanted: &mut BTreeMap<String, Vec<usize>>,
    weights: &mut Weights,
) -> Result<(), ModelError> {
    let shard = SafeTensors::deserialize(bytes)
        .map_err(|error| ModelError::BrokenFile { file: file.to_string(), reason: error.to_string() })?;
    // By name and not in the file's own order, so that of several wrong tensors the same one is always reported.
    let present: Vec<String> = wanted.keys().filter(|name| shard.tensor(name).is_ok()).cloned().collect();
    for name in present {
        let (Some(expected), Ok(view)) = (wanted.remove(&name), shard.tensor(&name)) else { continue };
        let file = file.to_string();
        if view.shape() != expected {
            return Err(ModelError::WrongShape { file, name, found: view.shape().to_vec(), expected });
        }
        let Some(values) = as_f32(view.dtype(), view.data()) else {
            return Err(ModelError::WrongType { file, name, dtype: format!("{:?}", view.dtype()) });
        };
        weights.insert(name, Tensor::from_vec(values, expected, &Device::Cpu)?);
    }
    Ok(())
}

/// Little-endian numbers as f32; nothing for formats that weights do not come in.
fn as_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => Some(bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect()),
        Dtype::F16 => Some(pairs().map(|&value| half::f16::from_le_bytes(value).to_f32()).collect()),
        Dtype::BF16 => Some(pairs().map(|&value| half::bf16::from_le_bytes(value).to_f32()).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::Seed;
    use crate::model::config::tests::small;
    use crate::model::random_weights;
    use serde_json::json;

    fn saved() -> (tempfile::TempDir, BTreeMap<String, PathBuf>, Weights) {
        let folder = tempfile::tempdir().unwrap();
        let config = ModelConfig::parse(&small(json!({"tie_word_embeddings": false})).to_string()).unwrap();
        let weights = random_weights(&config, 0.02, Seed::new(1)).unwrap();
        save(folder.path(), &config, &weights).unwrap();
        let files = [CONFIG, WEIGHTS].map(|name| (name.to_string(), folder.path().join(name)));
        (folder, files.into(), weights)
    }

    fn bits(tensor: &Tensor) -> Vec<u32> {
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn what_is_saved_is_loaded_and_saved_again_to_the_byte() {
        let (folder, files, weights) = saved();
        let (config, loaded) = load(&files).unwrap();
        assert_eq!(weights.keys().collect::<Vec<_>>(), loaded.keys().collect::<Vec<_>>());
        assert!(weights.iter().all(|(name, tensor)| bits(tensor) == bits(&loaded[name])));
        let again = tempfile::tempdir().unwrap();
        save(again.path(), &config, &loaded).unwrap();
        for name in [CONFIG, WEIGHTS] {
            let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
            assert_eq!(read(&folder), read(&again), "{name}");
        }
    }

    #[test]
    fn shards_and_half_precision_are_read() {
        let (folder, mut files, weights) = saved();
        let bytes = std::fs::read(&files[WEIGHTS]).unwrap();
        let all = SafeTensors::deserialize(&bytes).unwrap();
        let mut map = serde_json::Map::new();
        for (at, name) in all.names().into_iter().enumerate() {
            let file = format!("model-{}.safetensors", at % 2);
            map.insert(name.to_string(), file.clone().into());
            files.insert(file.clone(), folder.path().join(file));
        }
        for shard in ["model-0.safetensors", "model-1.safetensors"] {
            let halves: Vec<(&str, Vec<usize>, Vec<u8>)> = map
                .iter()
                .filter(|(_, file)| *file == shard)
                .map(|(name, _)| {
                    let values: Vec<f32> = weights[name].flatten_all().unwrap().to_vec1().unwrap();
                    let bytes = values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
                    (name.as_str(), weights[name].dims().to_vec(), bytes)
                })
                .collect();
            let views = halves.iter().map(|(n, s, b)| (*n, TensorView::new(Dtype::BF16, s.clone(), b).unwrap()));
            std::fs::write(&files[shard], safetensors::serialize(views, None).unwrap()).unwrap();
        }
        files.insert(INDEX.into(), folder.path().join(INDEX));
        std::fs::write(&files[INDEX], json!({"metadata": {}, "weight_map": map}).to_string()).unwrap();
        files.remove(WEIGHTS);
        let (_, loaded) = load(&files).unwrap();
        for (name, tensor) in &weights {
            let error = (tensor - &loaded[name]).unwrap().abs().unwrap().max_all().unwrap();
            assert!(error.to_scalar::<f32>().unwrap() < 1e-3, "{name}");
        }
    }

    #[test]
    fn broken_folders_are_described() {
        let (folder, files, mut weights) = saved();
        let whole = std::fs::read(&files[WEIGHTS]).unwrap();
        let message = || load(&files).unwrap_err().to_string();
        for broken in [&whole[..whole.len() - 1], &whole[..100], &b"no weights"[..], &[]] {
            std::fs::write(&files[WEIGHTS], broken).unwrap();
            assert!(message().contains("model.safetensors is truncated"), "{}", message());
        }
        let mut other = ModelConfig::parse(&std::fs::read_to_string(&files[CONFIG]).unwrap()).unwrap();
        other.tie_word_embeddings = true;
        save(folder.path(), &other, &weights).unwrap();
        other.tie_word_embeddings = false;
        std::fs::write(&files[CONFIG], other.to_json().unwrap()).unwrap();
        assert!(message().contains("no tensor lm_head.weight"), "{}", message());
        other.intermediate_size = 50;
        std::fs::write(&files[CONFIG], other.to_json().unwrap()).unwrap();
        assert!(message().contains("layers.0.mlp.down_proj.weight is [32, 48], but config.json asks for [32, 50]"));
        weights.remove("model.norm.weight");
        assert!(save(folder.path(), &other, &weights).is_err());
        assert!(load(&BTreeMap::new()).unwrap_err().to_string().contains("config.json"));
    }
}

//! Hugging Face model folders: `config.json` and safetensors, in one file or in shards.

use crate::base::fs::{at, write_atomic};
use crate::model::weight_file::WeightFile;
use crate::model::{ModelConfig, ModelError, Weights, expected_weights};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
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
/// Weights may be f32, f16 or bf16 and are f32 in the result, each read straight into memory of its own. Tensors that the configuration does not ask
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
        read_shard(shard, find(files, shard)?, &mut wanted, &mut weights)?;
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
    let mut tensors = Weights::new();
    for (name, _) in expected_weights(config)? {
        let missing = || ModelError::MissingTensor { file: "the given weights".into(), name: name.clone() };
        tensors.insert(name.clone(), weights.get(&name).ok_or_else(missing)?.clone());
    }
    write_tensors(&folder.join(WEIGHTS), tensors)?;
    Ok(write_atomic(&folder.join(CONFIG), config.to_json()?.as_bytes())?)
}

fn find<'a>(files: &'a BTreeMap<String, PathBuf>, name: &str) -> Result<&'a Path, ModelError> {
    files.get(name).map(PathBuf::as_path).ok_or_else(|| ModelError::MissingFile { file: name.to_string() })
}

fn read(files: &BTreeMap<String, PathBuf>, name: &str) -> Result<Vec<u8>, ModelError> {
    let path = find(files, name)?;
    std::fs::read(path).map_err(|error| ModelError::Io(at(path, error)))
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that hold the weights, the list of shards included.
///
/// # Errors
/// Where the list of shards is broken.
pub fn weight_files(files: &BTreeMap<String, PathBuf>) -> Result<Vec<String>, ModelError> {
    let mut all = shards(files)?;
    if !files.contains_key(WEIGHTS) && files.contains_key(INDEX) {
        all.push(INDEX.to_string());
    }
    Ok(all)
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
    path: &Path,
    wanted: &mut BTreeMap<String, Vec<usize>>,
    weights: &mut Weights,
) -> Result<(), ModelError> {
    let mut shard = WeightFile::open(path, file)?;
    // By name and not in the file's own order, so that of several wrong tensors the same one is always reported.
    for name in shard.names() {
        let Some(expected) = wanted.remove(&name) else { continue };
        if let Some(found) = shard.shape(&name).filter(|found| *found != expected) {
            return Err(ModelError::WrongShape { file: file.to_string(), name, found: found.to_vec(), expected });
        }
        let tensor = shard.read(&name)?;
        weights.insert(name, tensor);
    }
    Ok(())
}

/// Every tensor of a weight file as f32; messages call it `name`.
///
/// # Errors
/// Where the file is broken or holds another number format.
pub(super) fn read_tensors(path: &Path, name: &str) -> Result<Weights, ModelError> {
    let mut file = WeightFile::open(path, name)?;
    file.names().into_iter().map(|tensor| Ok((tensor.clone(), file.read(&tensor)?))).collect()
}

/// Writes tensors as f32 into a weight file; the same tensors give the same bytes.
///
/// # Errors
/// What the disk said.
pub(super) fn write_tensors(path: &Path, tensors: Weights) -> Result<(), ModelError> {
    let name = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let broken =
        |reason: safetensors::SafeTensorError| ModelError::BrokenFile { file: name(), reason: reason.to_string() };
    let mut all = Vec::new();
    for (name, tensor) in tensors {
        let bytes: Vec<u8> = tensor.flatten_all()?.to_vec1::<f32>()?.iter().flat_map(|v| v.to_le_bytes()).collect();
        all.push((name, tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::new();
    for (name, shape, bytes) in &all {
        views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(broken)?));
    }
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(broken)?;
    Ok(write_atomic(path, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::Seed;
    use crate::model::config::tests::small;
    use crate::model::random_weights;
    use candle_core::Tensor;
    use safetensors::SafeTensors;
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

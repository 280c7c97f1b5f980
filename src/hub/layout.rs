//! Which files of a repository make a model, and which a split of a dataset.

use super::{RepoKind, Wanted};

/// The files of a repository that a source needs, in order.
///
/// # Errors
/// A sentence that says what is missing and what there is.
pub fn files_of<'a>(wanted: &Wanted, names: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let names: Vec<&str> = names.collect();
    let mut found: Vec<String> = match wanted.kind {
        RepoKind::Model => model(&names)?,
        RepoKind::Dataset => dataset(wanted, &names)?,
    }
    .into_iter()
    .map(String::from)
    .collect();
    found.sort();
    Ok(found)
}

/// Config, tokenizer and weights; READMEs, other weight formats and folders stay behind.
fn model<'a>(names: &[&'a str]) -> Result<Vec<&'a str>, String> {
    let ends = |name: &str| [".json", ".jinja", ".txt", ".model"].iter().any(|end| name.ends_with(end));
    let weights = |name: &str| name.starts_with("model") && name.ends_with(".safetensors");
    let plain = |name: &str| !name.contains('/') && !name.starts_with('.');
    let found: Vec<&str> = names.iter().copied().filter(|name| plain(name) && (ends(name) || weights(name))).collect();
    match () {
        () if !found.contains(&"config.json") => Err("it holds no config.json, and so no model".to_string()),
        () if !found.iter().any(|name| weights(name)) => Err("it holds no safetensors weights".to_string()),
        () => Ok(found),
    }
}

fn dataset<'a>(wanted: &Wanted, names: &[&'a str]) -> Result<Vec<&'a str>, String> {
    if let Some(file) = &wanted.file {
        let found = names.iter().copied().find(|name| name == file);
        return found
            .map(|name| vec![name])
            .ok_or_else(|| format!("it has no file `{file}`; it has {}", listed(&rows(names))));
    }
    let split = wanted.split.as_deref().unwrap_or("train");
    let all = rows(names);
    let of_split: Vec<&str> = all.iter().copied().filter(|name| is_split(name, split)).collect();
    let in_config = |name: &&str| wanted.config.as_ref().is_none_or(|config| is_config(name, config));
    let found: Vec<&str> = of_split.iter().copied().filter(in_config).collect();
    if found.is_empty() {
        let config = wanted.config.as_ref().map_or_else(String::new, |config| format!(" of `{config}`"));
        return Err(format!("it has no files for the split `{split}`{config}; name one by `file`: {}", listed(&all)));
    }
    // The same rows often lie there twice, as parquet and as JSON.
    let parquet: Vec<&str> = found.iter().copied().filter(|name| name.ends_with(".parquet")).collect();
    let found = if parquet.is_empty() { found } else { parquet };
    one_config(found)
}

/// Files of one folder, and of one name up to the numbers of their shards.
fn one_config(found: Vec<&str>) -> Result<Vec<&str>, String> {
    let folder = |name: &str| name.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_string());
    let sharded = |name: &&str| name.contains("-of-");
    let same = found.iter().all(|name| folder(name) == folder(found[0]));
    if found.len() > 1 && (!same || !found.iter().all(sharded)) {
        return Err(format!("several files fit; choose by `config` or `file`: {}", listed(&found)));
    }
    Ok(found)
}

fn rows<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let ends = |name: &str| [".parquet", ".jsonl", ".json"].iter().any(|end| name.ends_with(end));
    let about = |name: &str| ["dataset_info", "dataset_infos", "state"].iter().any(|stem| stem_of(name) == *stem);
    names.iter().copied().filter(|name| ends(name) && !about(name) && !name.starts_with('.')).collect()
}

fn stem_of(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// `train.jsonl`, `data/train-00000-of-00001.parquet`, `gsm8k_train.json`, `train/0.parquet`.
fn is_split(name: &str, split: &str) -> bool {
    let parts = stem_of(name).split(['-', '_', '.']);
    let mut folders = name.split('/').rev().skip(1);
    parts.into_iter().any(|part| part == split) || folders.any(|folder| folder == split)
}

/// `main/train.parquet`, `data/main-train.parquet`.
fn is_config(name: &str, config: &str) -> bool {
    let folder = name.split('/').rev().skip(1).any(|folder| folder == config);
    folder || stem_of(name).strip_prefix(config).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > 8 { format!(" and {} more", names.len() - 8) } else { String::new() };
    if shown.is_empty() { "no files of rows".to_string() } else { format!("{}{more}", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(config: Option<&str>, split: &str, file: Option<&str>, names: &[&str]) -> Result<Vec<String>, String> {
        let text = |text: Option<&str>| text.map(String::from);
        let (kind, repo) = (RepoKind::Dataset, "org/rows".to_string());
        let wanted = Wanted { kind, repo, rev: None, config: text(config), split: text(Some(split)), file: text(file) };
        files_of(&wanted, names.iter().copied())
    }

    #[test]
    fn splits_are_found_as_the_hub_lays_them_out() {
        let gsm8k = [
            "README.md",
            "main/train-00000-of-00001.parquet",
            "main/test-00000-of-00001.parquet",
            "socratic/test-00000-of-00001.parquet",
        ];
        assert_eq!(rows_of(Some("main"), "test", None, &gsm8k).unwrap(), ["main/test-00000-of-00001.parquet"]);
        assert!(rows_of(None, "test", None, &gsm8k).unwrap_err().contains("choose by `config`"));
        assert_eq!(rows_of(None, "test", None, &["README.md", "test.jsonl"]).unwrap(), ["test.jsonl"]);
        let shards = ["data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet", "train.json"];
        assert_eq!(rows_of(None, "train", None, &shards).unwrap().len(), 2);
        assert_eq!(rows_of(None, "train", None, &shards).unwrap()[0], "data/train-00000-of-00002.parquet");
        assert_eq!(rows_of(None, "x", Some("a/b.json"), &["a/b.json"]).unwrap(), ["a/b.json"]);
        let told = rows_of(None, "dev", None, &["test.jsonl", "dataset_infos.json"]).unwrap_err();
        assert!(told.contains("`dev`") && told.contains("`test.jsonl`") && !told.contains("infos"), "{told}");
    }

    #[test]
    fn a_model_is_its_config_tokenizer_and_weights() {
        let wanted =
            Wanted { kind: RepoKind::Model, repo: "a/b".into(), rev: None, config: None, split: None, file: None };
        let names = [
            "README.md",
            "config.json",
            "model.safetensors",
            "consolidated.safetensors",
            "original/x.json",
            "tokenizer.json",
            "pytorch_model.bin",
            ".gitattributes",
        ];
        let found = files_of(&wanted, names.into_iter()).unwrap();
        assert_eq!(found, ["config.json", "model.safetensors", "tokenizer.json"]);
        assert!(files_of(&wanted, ["config.json"].into_iter()).is_err());
    }
}

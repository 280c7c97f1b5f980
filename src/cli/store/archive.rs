//! `srlm store export` and `import`: results that travel as a file.

use super::{Place, result};
use crate::cli::args::{Global, Params};
use crate::cli::exit;
use crate::cli::output::Output;
use crate::driver::{Failure, care};
use crate::report::number::{bytes, count};
use std::path::PathBuf;

/// `srlm store export`
#[derive(Debug, clap::Args)]
pub struct Export {
    /// A pipeline file and a stage of it, or the start of a key alone; then the file to write
    #[arg(value_name = "FILE NODE|KEY ARCHIVE", num_args = 2..=3, required = true)]
    words: Vec<String>,
    /// Of what the result was made from, only the records and not the files
    #[arg(long)]
    no_inputs: bool,
    #[command(flatten)]
    params: Params,
}

/// `srlm store import`
#[derive(Debug, clap::Args)]
pub struct Import {
    /// What `srlm store export` wrote
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Exports a result. JSON is `{archive, key, results, lineage, objects, bytes}`.
pub fn export(args: &Export, global: &Global, output: Output) -> Result<u8, Failure> {
    let Some((archive, words)) = args.words.split_last() else {
        return Err(Failure::Input("FILE, NODE and ARCHIVE are expected".to_string()));
    };
    let (store, record) = result(words, &args.params, global, output)?;
    let exported = care::export(&store, &record, !args.no_inputs, PathBuf::from(archive).as_path())?;
    if output.json {
        output.json_line(&serde_json::json!({
            "archive": archive,
            "key": record.key,
            "results": exported.results,
            "lineage": exported.lineage,
            "objects": exported.objects,
            "bytes": exported.bytes,
        }));
    } else {
        let (results, objects) = (count(exported.results as u64), count(exported.objects as u64));
        let lineage = count(exported.lineage as u64);
        let size = bytes(exported.bytes);
        output.result(&format!("{archive}: results {results}, further records {lineage}, objects {objects}, {size}\n"));
    }
    Ok(exit::OK)
}

/// Imports an archive. JSON is `{targets, added, present, lineage, bytes}`.
pub fn import(args: &Import, global: &Global, output: Output) -> Result<u8, Failure> {
    let store = args.place.open(global)?;
    let imported = care::import(&store, &args.archive)?;
    if output.json {
        output.json_line(&imported);
    } else {
        let (added, present) = (count(imported.added as u64), count(imported.present as u64));
        let size = bytes(imported.bytes);
        output.result(&format!("results added {added}, here before {present}, {size} read\n"));
    }
    Ok(exit::OK)
}

//! `srlm store pin` and `unpin`: results that gc keeps whatever it is told.

use super::result;
use crate::cli::args::{Global, Params};
use crate::cli::exit;
use crate::cli::output::Output;
use crate::driver::{Failure, care};

/// `srlm store pin`
#[derive(Debug, clap::Args)]
pub struct Pin {
    /// A pipeline file and a stage, pipeline or cell of it; or the start of a key alone
    #[arg(value_name = "FILE NODE|KEY", num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// Why it is kept
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    params: Params,
}

/// `srlm store unpin`
#[derive(Debug, clap::Args)]
pub struct Unpin {
    /// A pipeline file and a stage, pipeline or cell of it; or the start of a key alone
    #[arg(value_name = "FILE NODE|KEY", num_args = 1..=2, required = true)]
    words: Vec<String>,
    #[command(flatten)]
    params: Params,
}

/// Pins a result. JSON is the pin.
pub fn pin(args: &Pin, global: &Global, output: Output) -> Result<u8, Failure> {
    let (store, record) = result(&args.words, &args.params, global, output)?;
    let pin = store.pin(&record.key, care::who(), args.note.clone())?;
    if output.json {
        output.json_line(&pin);
    } else {
        let key = record.key.short();
        output
            .result(&format!("{} `{}` ({key}) is kept, with everything it was made from\n", record.kind, record.name));
    }
    Ok(exit::OK)
}

/// Takes a pin away. JSON is `{key, unpinned}`.
pub fn unpin(args: &Unpin, global: &Global, output: Output) -> Result<u8, Failure> {
    let (store, record) = result(&args.words, &args.params, global, output)?;
    let unpinned = store.unpin(&record.key)?;
    let (kind, name, key) = (&record.kind, &record.name, record.key.short());
    match (output.json, unpinned) {
        (true, _) => output.json_line(&serde_json::json!({ "key": record.key, "unpinned": unpinned })),
        (false, true) => output.result(&format!("{kind} `{name}` ({key}) is pinned no more\n")),
        (false, false) => output.result(&format!("{kind} `{name}` ({key}) was not pinned\n")),
    }
    Ok(exit::OK)
}

//! Sources on the Hub held to their bytes: what the lock says goes into their arguments, and so into their keys.

use super::inputs::field_span;
use crate::diag::{Diagnostic, codes};
use crate::hub::{Cache, Entry, Lock, Wanted, is_commit};
use crate::lang::program::{Program, StageCall};
use crate::lang::value::{Value, fields_to_json};
use crate::stage;
use std::path::Path;
use std::sync::Arc;

/// Holds every source of the program to a commit; an error for each that cannot be. No network is used.
pub fn pin(program: &mut Program, project: &Path) -> Vec<Diagnostic> {
    let wanted: Vec<(usize, Wanted)> = wanted(program);
    let Some((first, _)) = wanted.first() else { return Vec::new() };
    let lock = match Lock::read(project) {
        Ok(lock) => lock,
        Err(error) => {
            let span = program.calls[*first].span;
            let found = Diagnostic::error(codes::BAD_LOCK, error.to_string(), span, "this source needs the lock");
            return vec![found.help("remove the file and write it again with `srlm lock`")];
        }
    };
    let cache = Cache::from_env();
    wanted.iter().filter_map(|(index, wanted)| pin_one(&mut program.calls[*index], wanted, &lock, &cache)).collect()
}

/// What the calls of a program take from the Hub, by their index.
pub fn wanted(program: &Program) -> Vec<(usize, Wanted)> {
    // What takes the result of another stage takes nothing from the Hub.
    let is_source = |call: &&StageCall| call.inputs.is_empty();
    let of = |call: &StageCall| {
        let call = Some(call).filter(is_source)?;
        stage::find(&call.kind)?.wanted(&fields_to_json(&call.args))
    };
    program.calls.iter().enumerate().filter_map(|(index, call)| Some((index, of(call)?))).collect()
}

fn pin_one(call: &mut StageCall, wanted: &Wanted, lock: &Lock, cache: &Cache) -> Option<Diagnostic> {
    let repo = match wanted.repository() {
        Ok(repo) => repo,
        Err(why) => return Some(not_there(call, &why)),
    };
    let Some(entry) = lock.find(wanted) else {
        let pinned = wanted.rev.as_deref().is_some_and(is_commit);
        return (!pinned).then(|| unpinned(call, wanted, lock));
    };
    let differs = |(name, file): (&String, &crate::hub::LockedFile)| {
        let path = cache.file(&repo, &entry.revision, name)?;
        let size = path.metadata().ok()?.len();
        (size != file.size).then(|| (name.clone(), path, size, file.size))
    };
    if let Some((name, path, is, was)) = entry.files.iter().find_map(differs) {
        let message = format!("`{name}` of `{repo}` has {is} bytes in the cache, and {was} in srlm.lock");
        let found = Diagnostic::error(codes::LOCK_MISMATCH, message, repo_span(call), "this source");
        return Some(found.help(format!("remove {}, and it is downloaded again", path.display())));
    }
    take_over(call, entry);
    None
}

/// Writes commit and digests into the arguments, where key and worker find them.
fn take_over(call: &mut StageCall, entry: &Entry) {
    let file = |(name, file): (&String, &crate::hub::LockedFile)| {
        let size = Value::Int(i64::try_from(file.size).unwrap_or(i64::MAX));
        let fields = vec![("size".into(), size), ("sha256".into(), Value::String(file.sha256.clone()))];
        (name.clone().into(), Value::Record(fields))
    };
    let files = Value::Record(entry.files.iter().map(file).collect());
    let args = Arc::make_mut(&mut call.args);
    for (name, value) in args.iter_mut() {
        if *name == "rev" {
            *value = Value::String(entry.revision.clone());
        }
    }
    args.push(("pinned".into(), files));
}

/// An error where the Hub has no such source.
pub fn not_there(call: &StageCall, why: &str) -> Diagnostic {
    Diagnostic::error(codes::NOT_ON_HUB, why, repo_span(call), "asked for here")
}

fn repo_span(call: &StageCall) -> crate::base::source::Span {
    field_span(call, |name| name == "repo")
}

fn unpinned(call: &StageCall, wanted: &Wanted, lock: &Lock) -> Diagnostic {
    let what = match (&wanted.rev, lock.revision_of(wanted)) {
        (_, Some(_)) => "srlm.lock holds other files of this repository, not these".to_string(),
        (Some(rev), None) => format!("`{rev}` can move, and srlm.lock does not hold it"),
        (None, None) => "neither `rev` nor srlm.lock says which commit".to_string(),
    };
    let message = format!("`{}` is not held to a revision: {what}", wanted.repo);
    let found = Diagnostic::error(codes::UNPINNED, message, repo_span(call), "may be something else tomorrow");
    found.help("`srlm lock FILE` writes its commit and digests into srlm.lock; or give `rev` the 40 digits of a commit")
}

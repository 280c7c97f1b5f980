//! `srlm why`: the reason for a stage's state, with what changed and where.

use super::args::{Global, Program};
use super::exit;
use super::output::Output;
use super::remote::{RemoteArg, open_with_remote};
use crate::driver::{self, Failure, Why};
use crate::report::plan_table;

/// Prints why a stage is cached or runs.
pub fn why(program: &Program, node: &str, remote: &RemoteArg, global: &Global, output: Output) -> Result<u8, Failure> {
    let project = open_with_remote(program, remote, None, global, output)?;
    let why = driver::why(&project, node)?;
    driver::remote_warnings(&project).iter().for_each(|warning| output.say(&format!("warning: {warning}")));
    if output.json {
        output.json_line(&why);
    } else {
        output.result(&text(&why));
    }
    Ok(exit::OK)
}

fn text(why: &Why) -> String {
    let status = match why.status {
        "hit" => "is cached",
        "resume" => "resumes",
        "run" => "runs",
        "blocked" => "is blocked",
        _ => "is not needed",
    };
    let mut text = format!("{} `{}` ({}) {status}: {}\n", why.kind, why.name, why.key.short(), why.reason);
    for change in &why.changes {
        text += &format!("  {change}\n");
    }
    if let Some(nearest) = &why.nearest {
        text += &format!("compared with the record {}\n", nearest.short());
    }
    if let Some(estimate) = &why.estimate {
        text += &format!("{}\n", plan_table::estimated(estimate));
    }
    if !why.labels.is_empty() {
        text += &format!("needed by {}\n", why.labels.join("; "));
    }
    text
}

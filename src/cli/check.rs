//! `srlm check`: errors and warnings of a file, as text, JSON or SARIF, and the fixes they offer.

use super::args::{Check, Findings};
use super::output::Output;
use super::{exit, failure};
use crate::diag::render::to_json;
use crate::diag::sarif::to_sarif;
use crate::driver::{self, Checked, Failure, Fixed};
use similar::TextDiff;

/// Says what is wrong with the file; JSON is one object a finding.
pub fn check(args: &Check, mut output: Output) -> Result<u8, Failure> {
    output.json |= args.format == Some(Findings::Json);
    if args.fix {
        return mend(args, output);
    }
    let found = driver::check(&args.program.file, args.program.settings());
    if args.format == Some(Findings::Sarif) {
        let (checked, code) = match found {
            Ok(checked) => (checked, exit::OK),
            Err(Failure::File(checked)) => (*checked, exit::INPUT),
            Err(other) => return Err(other),
        };
        output.json_line(&to_sarif(&checked.diagnostics, &checked.sources));
        return Ok(code);
    }
    let checked = match found {
        Ok(checked) => checked,
        // Here, where it is known in which form.
        Err(failure) => return Ok(failure::report(failure, output)),
    };
    if output.json {
        checked.diagnostics.iter().for_each(|found| output.json_line(&to_json(found, &checked.sources)));
        return Ok(exit::OK);
    }
    failure::tell_diagnostics(&checked, output);
    output.result(&format!("{} is well-formed: {}\n", args.program.file.display(), content(&checked)));
    // The process ends here: taking a large program apart piece by piece would only be waited for.
    std::mem::forget(checked);
    Ok(exit::OK)
}

/// `4 stages, 1 warning`
fn content(checked: &Checked) -> String {
    let count = checked.program.calls.len();
    let stages = format!("{count} stage{}", if count == 1 { "" } else { "s" });
    let parts = [stages, failure::counted(checked)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Applies the fixes, says which, and shows what is left.
fn mend(args: &Check, output: Output) -> Result<u8, Failure> {
    let fixed = driver::fix(&args.program.file, args.program.settings())?;
    if args.diff {
        output.result(&fixed.files.iter().map(|(name, old, new)| diff(name, old, new)).collect::<String>());
    } else {
        fixed.write()?;
    }
    if output.json {
        tell_json(&fixed, output);
    } else {
        fixed.applied.iter().for_each(|line| output.say(line));
        failure::tell_diagnostics(&fixed.left, output);
        output.say(&summary(&fixed));
    }
    Ok(if fixed.left.has_errors() { exit::INPUT } else { exit::OK })
}

fn tell_json(fixed: &Fixed, output: Output) {
    fixed.left.diagnostics.iter().for_each(|found| output.json_line(&to_json(found, &fixed.left.sources)));
    let files: Vec<&str> = fixed.files.iter().map(|(name, ..)| name.as_str()).collect();
    output.json_line(&serde_json::json!({
        "fixes_applied": fixed.applied.len(),
        "problems_left": fixed.left.diagnostics.len(),
        "files": files,
    }));
}

/// `2 fixes applied, 1 problem left`
fn summary(fixed: &Fixed) -> String {
    let count = |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let applied = count(fixed.applied.len(), "fix", "fixes");
    let left = count(fixed.left.diagnostics.len(), "problem", "problems");
    format!("{applied} applied, {left} left")
}

fn diff(name: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().header(name, &format!("{name} (fixed)")).to_string()
}

//! Files that no one writes on purpose: each is answered in words and in bounded time, whatever its bytes are.

#[path = "../../benches/check/program.rs"]
mod generated;

use crate::program::{Answer, Project};
use std::time::{Duration, Instant};

/// No check of these files may take longer, in a test build beside other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than this is no message for a reader.
const READABLE: usize = 40_000;

/// Checks a file of these bytes in a project of its own.
fn check(bytes: impl AsRef<[u8]>) -> Answer {
    let project = Project::quick();
    std::fs::write(project.path().join("hard.srlm"), bytes).unwrap();
    let start = Instant::now();
    let answer = project.srlm(&["check", "hard.srlm"]);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let said = answer.err();
    assert!(matches!(answer.code(), Some(0 | 2)), "{:?}\n{said}", answer.code());
    assert!(said.len() < READABLE && !said.contains("panicked"), "{} bytes", said.len());
    answer
}

/// A file that is refused with these words.
fn refused(bytes: impl AsRef<[u8]>, words: &[&str]) {
    let answer = check(bytes);
    assert_eq!(answer.code(), Some(2));
    let said = answer.err();
    for part in words {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
}

#[test]
fn fifty_megabytes_are_refused_unread() {
    for unit in ["x", "(", "\"", "# ", "#\n", "let a = 1\n"] {
        refused(unit.repeat(50_000_000 / unit.len()), &["8 MiB"]);
    }
}

#[test]
fn bytes_that_are_no_text_have_their_offset_and_line() {
    refused(b"let a = 1\nlet b = \xc3(", &["not UTF-8", "0xc3", "offset 18", "line 2"]);
    refused((0..=255).cycle().take(100_000).collect::<Vec<u8>>(), &["not UTF-8", "0x80", "offset 128"]);
}

#[test]
fn endless_nesting_and_endless_rows_are_refused() {
    let units = [
        "(",
        "[",
        "{",
        "{ a: ",
        ")",
        "f(",
        "\"${",
        "- ",
        "not ",
        "if true then ",
        "1 |> ",
        "1 >> ",
        "1..",
        "1 + ",
        "{} with {} ",
        ".a",
        "[0]",
        "()",
        "let ",
        "1 < ",
        "\"",
        "${",
        "x",
        "9",
    ];
    for unit in units {
        refused(format!("let a = {}", unit.repeat(1_000_000 / unit.len())), &["E0"]);
    }
    refused(format!("let a: {}Int = 1", "Int -> ".repeat(100_000)), &["E009"]);
}

#[test]
fn long_rows_below_the_limit_are_checked() {
    assert_eq!(check(format!("let a = 1{}", " + 1".repeat(50_000))).code(), Some(0));
    assert_eq!(check(format!("let a = {}true", "not ".repeat(50_000))).code(), Some(0));
    assert_eq!(check(format!("let a = \"{}\"", "${1}".repeat(20_000))).code(), Some(0));
    assert_eq!(check(format!("let a = [{}]", "1, ".repeat(50_000))).code(), Some(0));
    assert_eq!(check(format!("let {} = 1", "x".repeat(200_000))).code(), Some(0));
    refused(format!("let a = {}", "x".repeat(200_000)), &["E020", "…"]);
    refused(format!("let a = {}", "9".repeat(200_000)), &["E0", "too large"]);
}

#[test]
fn a_long_line_is_cut_in_the_picture() {
    refused(format!("let a = \"{}\" + nowhere # {}", "x".repeat(100_000), "y".repeat(100_000)), &["nowhere", "…"]);
}

#[test]
fn thousands_of_errors_are_twenty() {
    for item in ["let a = )\n", "let a = nowhere\n", "let a~ = 1\n", "nothing\n", "// no\n"] {
        let said = check(item.repeat(3_000)).err();
        assert!(said.matches("hard.srlm:").count() <= 40, "{said}");
    }
}

#[test]
fn line_ends_marks_and_zeros() {
    assert_eq!(check("let a = 1\r\n# b\r\nlet _c = \"x\"\r\n").code(), Some(0));
    refused("# a\rlet b = 1\n", &["carriage return alone", "hard.srlm:1:4"]);
    refused("let a = \0", &["U+0000"]);
    refused("\0".repeat(10_000), &["an item is expected"]);
    refused("\u{feff}let a = nowhere", &["hard.srlm:1:9"]);
}

#[test]
fn a_byte_order_mark_may_begin_any_file() {
    let project = Project::quick();
    project.write("part.srlm", "\u{feff}use std.arith\r\nlet rows = arith.train\r\n");
    project.write("main.srlm", "\u{feff}use \"part.srlm\".{rows}\npipeline p = rows\n");
    project.srlm(&["check", "main.srlm"]).ok();
}

#[test]
fn a_full_disk_is_no_success() {
    let project = Project::quick();
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let status = project.command(&["check", "quick.srlm"]).stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_project_is_no_import() {
    let (project, outside) = (Project::quick(), Project::quick());
    outside.write("secret.srlm", "let a = 1\n");
    std::os::unix::fs::symlink(outside.path().join("secret.srlm"), project.path().join("part.srlm")).unwrap();
    project.write("main.srlm", "use \"part.srlm\" as _p\n");
    let answer = project.srlm(&["check", "main.srlm"]);
    assert_eq!(answer.code(), Some(2));
    assert!(answer.err().contains("leads out of the project"), "{}", answer.err());
}

#[test]
fn the_programs_of_the_benchmark_are_well_formed() {
    let answer = check(generated::program(300));
    assert_eq!((answer.code(), answer.err().as_str()), (Some(0), ""));
}

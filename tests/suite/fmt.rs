//! `srlm fmt` as a program: in place, from standard input, with `--check` and `--diff`, and what it refuses.

use crate::program::{Answer, Project};
use std::io::Write;
use std::process::Stdio;

const UGLY: &str = "let  a=1 # note\n\n\n\nlet bc = [1,2]";
const NEAT: &str = "let a = 1  # note\n\nlet bc = [1, 2]\n";

fn piped(project: &Project, arguments: &[&str], text: &[u8]) -> Answer {
    let mut child = project.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    Answer(child.wait_with_output().unwrap())
}

fn read(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.path().join(name)).unwrap()
}

#[test]
fn a_file_is_formatted_in_place_and_only_once() {
    let project = Project::quick();
    project.write("a.srlm", UGLY);
    assert_eq!(project.srlm(&["fmt", "a.srlm", "quick.srlm"]).ok().out(), "a.srlm\n");
    assert_eq!(read(&project, "a.srlm"), NEAT);
    let written = || std::fs::metadata(project.path().join("a.srlm")).unwrap().modified().unwrap();
    let before = written();
    assert_eq!(project.srlm(&["fmt", "a.srlm"]).ok().out(), "");
    assert_eq!(written(), before);
}

#[test]
fn folders_are_walked_but_for_hidden_ones_and_targets() {
    let project = Project::quick();
    for folder in ["in/ner", "in/.hidden", "in/target"] {
        std::fs::create_dir_all(project.path().join(folder)).unwrap();
        project.write(&format!("{folder}/a.srlm"), UGLY);
    }
    project.write("in/b.srlm", UGLY);
    project.write("in/notes.txt", UGLY);
    assert_eq!(project.srlm(&["fmt", "in", "in/b.srlm"]).ok().out(), "in/b.srlm\nin/ner/a.srlm\n");
    for untouched in ["in/.hidden/a.srlm", "in/target/a.srlm", "in/notes.txt"] {
        assert_eq!(read(&project, untouched), UGLY);
    }
}

#[test]
fn check_lists_and_writes_nothing() {
    let project = Project::quick();
    project.write("a.srlm", UGLY);
    let answer = project.srlm(&["fmt", "--check", "."]);
    assert_eq!((answer.code(), answer.out().as_str()), (Some(1), "./a.srlm\n"));
    assert_eq!(read(&project, "a.srlm"), UGLY);
    project.write("a.srlm", NEAT);
    assert_eq!(project.srlm(&["fmt", "--check", "."]).ok().out(), "");
}

#[test]
fn a_diff_is_one_that_patch_reads() {
    let project = Project::quick();
    project.write("a.srlm", UGLY);
    let diff = project.srlm(&["fmt", "--diff", "a.srlm"]).ok().out();
    let expected = "--- a.srlm\n+++ a.srlm (formatted)\n@@ -1,5 +1,3 @@\n-let  a=1 # note\n+let a = 1  # note\n \n-\n-\n\
                    -let bc = [1,2]\n\\ No newline at end of file\n+let bc = [1, 2]\n";
    assert_eq!(diff, expected);
    assert_eq!(read(&project, "a.srlm"), UGLY);
    assert_eq!(project.srlm(&["fmt", "--diff", "--check", "a.srlm"]).code(), Some(1));
    assert_eq!(project.srlm(&["fmt", "--diff", "quick.srlm"]).ok().out(), "");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let project = Project::quick();
    for arguments in [&["fmt"] as &[&str], &["fmt", "-"]] {
        assert_eq!(piped(&project, arguments, UGLY.as_bytes()).ok().out(), NEAT);
    }
    assert_eq!(piped(&project, &["fmt", "-"], b"\xef\xbb\xbflet a = 1\r\n").ok().out(), "let a = 1\n");
    let answer = piped(&project, &["fmt", "--check", "-"], UGLY.as_bytes());
    assert_eq!((answer.code(), answer.out().as_str()), (Some(1), "<stdin>\n"));
    let object = &piped(&project, &["fmt", "-", "--json"], UGLY.as_bytes()).ok().objects()[0];
    assert_eq!((&object["changed"], &object["text"]), (&true.into(), &NEAT.into()));
}

#[test]
fn a_file_with_errors_is_shown_and_left_alone() {
    let project = Project::quick();
    let bad = "let  a = = 1\nlet b = [\n";
    project.write("bad.srlm", bad);
    project.write("ok.srlm", UGLY);
    let answer = project.srlm(&["fmt", "bad.srlm", "ok.srlm"]);
    assert_eq!(answer.code(), Some(2));
    assert_eq!((read(&project, "bad.srlm").as_str(), read(&project, "ok.srlm").as_str()), (bad, NEAT));
    for part in ["bad.srlm:1", "bad.srlm:2", "2 errors"] {
        assert!(answer.err().contains(part), "{}", answer.err());
    }
    let lines = project.srlm(&["fmt", "bad.srlm", "ok.srlm", "--json"]).objects();
    assert_eq!((&lines[0]["code"], &lines[0]["line"]), (&"E001".into(), &1.into()));
    assert_eq!(lines[2], serde_json::json!({ "file": "ok.srlm", "changed": false }));
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let project = Project::quick();
    std::fs::write(project.path().join("bad.srlm"), b"let a = 1\nlet b = \"\xff\"\n").unwrap();
    let answer = project.srlm(&["fmt", "bad.srlm"]);
    assert_eq!(answer.code(), Some(2));
    assert!(answer.err().contains("bad.srlm is not UTF-8 text: line 2"), "{}", answer.err());
    assert_eq!(piped(&project, &["fmt", "-"], b"\0\x80").code(), Some(2));
}

#[test]
fn a_file_that_is_not_there_names_its_neighbour() {
    let answer = Project::quick().srlm(&["fmt", "quik.srlm"]);
    assert_eq!(answer.code(), Some(2));
    assert!(answer.err().contains("did you mean `quick.srlm`?"), "{}", answer.err());
}

#[cfg(unix)]
#[test]
fn links_and_permissions_stay_and_read_only_files_are_left() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let project = Project::quick();
    let path = |name: &str| project.path().join(name);
    project.write("real.srlm", UGLY);
    std::fs::set_permissions(path("real.srlm"), PermissionsExt::from_mode(0o754)).unwrap();
    symlink("real.srlm", path("link.srlm")).unwrap();
    assert_eq!(project.srlm(&["fmt", "link.srlm"]).ok().out(), "link.srlm\n");
    assert!(path("link.srlm").is_symlink());
    assert_eq!(read(&project, "real.srlm"), NEAT);
    assert_eq!(std::fs::metadata(path("real.srlm")).unwrap().permissions().mode() & 0o777, 0o754);

    project.write("fixed.srlm", UGLY);
    std::fs::set_permissions(path("fixed.srlm"), PermissionsExt::from_mode(0o444)).unwrap();
    let answer = project.srlm(&["fmt", "fixed.srlm"]);
    assert_eq!(answer.code(), Some(3));
    assert!(answer.err().contains("read-only"), "{}", answer.err());
    assert_eq!(read(&project, "fixed.srlm"), UGLY);
}

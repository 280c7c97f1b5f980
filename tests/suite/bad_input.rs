//! Bad input: each mistake ends with its documented exit code, the place, and what to do; nothing is taken for a result.

use crate::program::Project;

/// Runs a file and returns what went to standard error.
fn refused(project: &Project, text: &str, code: i32) -> String {
    project.write("bad.srlm", text);
    let answer = project.srlm(&["run", "bad.srlm"]);
    assert_eq!(answer.code(), Some(code), "{}\n{}", answer.out(), answer.err());
    assert!(!answer.err().contains("panicked"), "{}", answer.err());
    answer.err()
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in:\n{message}");
    }
}

#[test]
fn a_syntax_error_has_its_place() {
    let project = Project::quick();
    says(&refused(&project, "let x = sft {\n  data: \n}\n", 2), &["bad.srlm", "2"]);
}

#[test]
fn an_unknown_name_has_its_neighbour() {
    let project = Project::quick();
    let message = refused(&project, "use std.arith\nlet warm = sft { data: aritth.train }\n", 2);
    says(&message, &["aritth", "arith", "bad.srlm:2"]);
}

#[test]
fn an_unknown_field_of_another_tool_names_ours() {
    let project = Project::quick();
    says(&refused(&project, "use std.arith\nlet warm = sft { data: arith.train, lr: 1e-3 }\n", 2), &["learning_rate"]);
}

#[test]
fn a_wrong_type_says_what_was_seen() {
    let project = Project::quick();
    let message = refused(&project, "use std.arith\nlet warm = sft { data: arith.train, batch: 64 }\n", 2);
    says(&message, &["batch", "needs seqs"]);
}

#[test]
fn a_missing_data_file_names_its_neighbour() {
    let project = Project::quick();
    project.write("train.jsonl", "{}");
    let message = refused(&project, "pipeline p = jsonl(\"trian.jsonl\")\n", 2);
    says(&message, &["trian.jsonl", "train.jsonl", "bad.srlm"]);
}

#[test]
fn a_malformed_line_has_its_number() {
    let project = Project::quick();
    project.write("rows.jsonl", "{\"question\": \"a\", \"answer\": \"b #### 1\"}\n{\"question\": \"a\"\n");
    let message = refused(&project, "pipeline p = jsonl(\"rows.jsonl\", format: \"gsm8k\")\n", 2);
    says(&message, &["rows.jsonl:2", "bad.srlm:1"]);
    assert!(project.srlm(&["store", "ls", "bad.srlm", "--json"]).ok().objects().is_empty());
}

/// A saved model of the quick pipeline, spoilt by `spoil`, then evaluated.
fn spoilt_model(spoil: impl Fn(&std::path::Path)) -> String {
    let project = Project::quick();
    project.srlm(&["run", "quick.srlm", "--target", "orderings"]).ok();
    project.srlm(&["save", "quick.srlm", "base", "model"]).ok();
    spoil(&project.path().join("model"));
    refused(&project, "pipeline p = local(\"model\")\n", 1)
}

#[test]
fn a_broken_safetensors_file_is_named() {
    let message = spoilt_model(|model| {
        let path = model.join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    });
    says(&message, &["model.safetensors", "truncated"]);
}

#[test]
fn a_tokenizer_that_does_not_match_is_named() {
    let message = spoilt_model(|model| {
        let path = model.join("config.json");
        let text = std::fs::read_to_string(&path).unwrap().replace("\"vocab_size\": 320", "\"vocab_size\": 300");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, text).unwrap();
        let path = model.join("model.safetensors");
        let narrower = cut_embedding(&std::fs::read(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, narrower).unwrap();
    });
    says(&message, &["tokenizer", "319", "300"]);
}

/// The same weights with an embedding of 300 rows.
fn cut_embedding(bytes: &[u8]) -> Vec<u8> {
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let cut: Vec<_> = file
        .iter()
        .map(|(name, view)| {
            let mut shape = view.shape().to_vec();
            let keep = if name.contains("embed") { view.data().len() / shape[0] * 300 } else { view.data().len() };
            if name.contains("embed") {
                shape[0] = 300;
            }
            (name, safetensors::tensor::TensorView::new(view.dtype(), shape, &view.data()[..keep]).unwrap())
        })
        .collect();
    safetensors::serialize(cut, None).unwrap()
}

#[test]
fn an_unknown_param_and_a_missing_file_end_with_2() {
    let project = Project::quick();
    let answer = project.srlm(&["plan", "quick.srlm", "-p", "grpo_stepz=3"]);
    assert_eq!(answer.code(), Some(2));
    says(&answer.err(), &["grpo_stepz", "grpo_steps"]);
    let answer = project.srlm(&["run", "nowhere.srlm"]);
    assert_eq!(answer.code(), Some(2));
    says(&answer.err(), &["nowhere.srlm"]);
}

#[test]
fn a_store_that_cannot_be_written_ends_with_3() {
    let project = Project::quick();
    project.write("taken", "a file where the store should be");
    let answer = project.srlm(&["run", "quick.srlm", "--store", "taken"]);
    assert_eq!(answer.code(), Some(3), "{}", answer.err());
    says(&answer.err(), &["taken"]);
}

/// A small file system in memory, unmounted when dropped; none where mounting is not allowed.
pub struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    pub fn mount(folder: &std::path::Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let disk = SmallDisk(folder.to_path_buf());
        disk.mounted(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).then_some(disk)
    }

    /// Lets nobody write to it, or everybody again.
    pub fn allow_writing(&self, allow: bool) {
        assert!(self.mounted(&["-o", if allow { "remount,rw" } else { "remount,ro" }, "tmpfs"]));
    }

    pub fn grow(&self, size: &str) {
        assert!(self.mounted(&["-o", &format!("remount,size={size}"), "tmpfs"]));
    }

    fn mounted(&self, arguments: &[&str]) -> bool {
        let mut mount = std::process::Command::new("mount");
        mount.args(arguments).arg(&self.0).stderr(std::process::Stdio::null());
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_with_3_and_leaves_nothing_half_written() {
    let project = Project::quick();
    let Some(disk) = SmallDisk::mount(&project.path().join("small"), "160k") else {
        eprintln!("skipped: this machine lets no test mount a small file system");
        return;
    };
    let run = ["run", "quick.srlm", "--store", "small/store"];
    let answer = project.srlm(&run);
    assert_eq!(answer.code(), Some(3), "{}\n{}", answer.out(), answer.err());
    says(&answer.err(), &["No space left on device"]);
    disk.grow("64m");
    project.srlm(&run).ok();
    let whole = Project::quick();
    whole.srlm(&["run", "quick.srlm"]).ok();
    assert_eq!(project.results_in("small/store"), whole.results());
}

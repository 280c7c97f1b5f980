//! `srlm lsp` driven as an editor drives it: the real binary over its pipes, and random edits in between.

use crate::program::Project;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// An editor with the server as its child.
struct Editor {
    project: Project,
    child: Child,
    input: ChildStdin,
    incoming: Receiver<Value>,
    next: i64,
    /// Notifications that came while an answer was awaited.
    notes: Vec<Value>,
}

fn read_message(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}

impl Editor {
    /// Starts the server in a project and shakes hands.
    fn start(project: Project, capabilities: Value) -> Editor {
        let mut command = project.command(&["lsp"]);
        command.stdin(Stdio::piped()).stderr(Stdio::null()).env("XDG_CACHE_HOME", project.path().join("cache"));
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (to, incoming) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read_message(&mut output) {
                if to.send(message).is_err() {
                    return;
                }
            }
        });
        let mut editor = Editor { project, child, input, incoming, next: 0, notes: Vec::new() };
        let answer =
            editor.ask("initialize", json!({ "capabilities": capabilities, "processId": null, "rootUri": null }));
        assert_eq!(answer["serverInfo"]["name"], "srlm");
        editor.tell("initialized", json!({}));
        editor
    }

    fn raw(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.raw(&format!("Content-Length: {}\r\n\r\n{text}", text.len()));
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn receive(&self) -> Value {
        self.incoming.recv_timeout(Duration::from_secs(30)).expect("the server answers")
    }

    /// The whole answer to a request.
    fn answer(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["id"] == id {
                return message;
            }
            self.notes.push(message);
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    fn uri(&self, name: &str) -> String {
        let path = std::path::absolute(self.project.path()).unwrap();
        format!("file://{}/{name}", path.display())
    }

    fn open(&mut self, name: &str, text: &str) {
        let uri = self.uri(name);
        let document = json!({ "uri": uri, "languageId": "srlm", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    fn change(&mut self, name: &str, version: i64, change: Value) {
        let document = json!({ "uri": self.uri(name), "version": version });
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
    }

    /// The next findings that are published for a file.
    fn findings(&mut self, name: &str) -> Vec<Value> {
        let uri = self.uri(name);
        loop {
            let message = if self.notes.is_empty() { self.receive() } else { self.notes.remove(0) };
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == *uri {
                return message["params"]["diagnostics"].as_array().unwrap().clone();
            }
        }
    }

    /// The parameters of a request at the place that `^` marks in `marked`, which is opened without the mark.
    fn open_marked(&mut self, name: &str, marked: &str) -> Value {
        let (text, at) = unmarked(marked);
        self.open(name, &text);
        self.at(name, at)
    }

    fn at(&self, name: &str, (line, character): (usize, usize)) -> Value {
        json!({ "textDocument": { "uri": self.uri(name) }, "position": { "line": line, "character": character } })
    }

    fn hover(&mut self, at: &Value) -> String {
        let answer = self.ask("textDocument/hover", at.clone());
        answer["contents"]["value"].as_str().unwrap_or_default().to_string()
    }

    fn format(&mut self, name: &str) -> Value {
        let options = json!({ "tabSize": 8, "insertSpaces": true });
        let params = json!({ "textDocument": { "uri": self.uri(name) }, "options": options });
        self.ask("textDocument/formatting", params)
    }

    fn labels(&mut self, at: &Value) -> Vec<String> {
        let items = self.ask("textDocument/completion", at.clone());
        let mut items = items.as_array().cloned().unwrap_or_default();
        items.sort_by_key(|item| item["sortText"].to_string());
        items.iter().map(|item| item["label"].as_str().unwrap().to_string()).collect()
    }

    /// Shuts the server down as the protocol wants it.
    fn stop(mut self) -> Project {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.tell("exit", Value::Null);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.project
    }
}

fn unmarked(marked: &str) -> (String, (usize, usize)) {
    let at = marked.find('^').unwrap();
    let before = &marked[..at];
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap().encode_utf16().count();
    (marked.replacen('^', "", 1), (line, column))
}

fn quick() -> Editor {
    Editor::start(Project::quick(), json!({}))
}

fn range(found: &Value) -> (u64, u64, u64, u64) {
    let of = |side: &str, what: &str| found["range"][side][what].as_u64().unwrap();
    (of("start", "line"), of("start", "character"), of("end", "line"), of("end", "character"))
}

/// A program that runs in no time: a dataset without duplicates.
const SMALL: &str = "## What is learnt from.
let rows = arith_problems { split: \"train\", items: 20, levels: [1] }
## Each row once.
pipeline unique = rows |> dedup
";

#[test]
fn findings_come_and_go_with_the_text() {
    let mut editor = quick();
    editor.open("a.srlm", "let rows = arith_problems { split: \"train\" }\n# ä𝛼 counts\npipeline p = rows |> dedupe\n");
    let found = editor.findings("a.srlm");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0]["code"].as_str(), range(&found[0])), (Some("E020"), (2, 21, 2, 27)));
    let last = json!({ "start": { "line": 2, "character": 26 }, "end": { "line": 2, "character": 27 } });
    editor.change("a.srlm", 2, json!({ "range": last, "text": "" }));
    assert!(editor.findings("a.srlm").is_empty());
    editor.change("a.srlm", 3, json!({ "text": "let 1\n" }));
    assert_eq!(editor.findings("a.srlm").len(), 1);
    let document = json!({ "uri": editor.uri("a.srlm") });
    editor.tell("textDocument/didClose", json!({ "textDocument": document }));
    assert!(editor.findings("a.srlm").is_empty());
    editor.stop();
}

#[test]
fn columns_count_halves_of_pairs_unless_bytes_were_agreed() {
    let text = "let rows = arith_problems { split: \"train\" }\r\npipeline p = { x: \"ä𝛼\", y: nothing }.y\r\n";
    let column = |capabilities: Value| {
        let mut editor = Editor::start(Project::quick(), capabilities);
        editor.open("a.srlm", text);
        let found = editor.findings("a.srlm");
        let unknown = found.iter().find(|found| found["code"] == "E020").unwrap().clone();
        editor.stop();
        range(&unknown).1
    };
    assert_eq!(column(json!({})), 28);
    assert_eq!(column(json!({ "general": { "positionEncodings": ["utf-8", "utf-16"] } })), 31);
}

#[test]
fn errors_of_imported_files_are_told_at_those_files() {
    let mut editor = quick();
    editor.project.write("lib.srlm", "let rows = arith_problems { split: \"train\", itemz: 3 }\n");
    editor.open("a.srlm", "use \"lib.srlm\" as lib\npipeline p = lib.rows |> dedup\n");
    let found = editor.findings("lib.srlm");
    assert_eq!((found[0]["code"].as_str(), range(&found[0])), (Some("E021"), (0, 44, 0, 49)));
    // The open text goes before the disk.
    editor.open("lib.srlm", "let rows = arith_problems { split: \"train\", items: 3 }\n");
    assert!(editor.findings("lib.srlm").is_empty());
    editor.stop();
}

#[test]
fn a_hover_tells_type_value_unit_and_documentation() {
    let mut editor = quick();
    let field =
        editor.open_marked("a.srlm", "let w = sft { data: std.arith.train, lear^ning_rate: 1e-3, budget: 2epochs }\n");
    let text = editor.hover(&field);
    assert!(text.contains("learning_rate: Float = ") && text.contains("= `0.001`"), "{text}");
    let at = |editor: &Editor, column| editor.at("a.srlm", (0, column));
    let text = editor.hover(&at(&editor, 68));
    assert!(text.contains("Epochs") && text.contains("= `2epochs`") && text.contains("units: epochs, epoch"), "{text}");
    let text = editor.hover(&at(&editor, 9));
    assert!(text.contains("sft: Model -> Model"), "{text}");
    let text = editor.hover(&at(&editor, 31));
    assert!(text.contains("let train: Dataset") && text.contains("Problems of one to three steps"), "{text}");
    let text = editor.hover(&at(&editor, 4));
    assert!(text.contains("let w: Model -> Model"), "{text}");
    editor.stop();
}

#[test]
fn a_hover_tells_what_the_store_holds_and_leaves_no_trace() {
    let mut editor = quick();
    editor.project.write("small.srlm", SMALL);
    let marked = SMALL.replace("unique", "uni^que");
    let pipeline = editor.open_marked("small.srlm", &marked);
    let text = editor.hover(&pipeline);
    assert!(
        text.contains("Each row once.") && text.contains("**to run**") && text.contains("0 of 2 stages cached"),
        "{text}"
    );
    assert!(!editor.project.path().join(".srlm").exists());
    editor.project.srlm(&["run", "small.srlm"]).ok();
    let text = editor.hover(&pipeline);
    assert!(text.contains("**cached**: made 2") && text.contains("2 of 2 stages cached"), "{text}");
    let rows = editor.at("small.srlm", (1, 5));
    assert!(editor.hover(&rows).contains("**cached**"));
    editor.stop();
}

#[test]
fn a_hover_tells_how_a_pipeline_scored() {
    let mut editor = quick();
    let text = "let base = init_model { layers: 1, hidden: 16, heads: 1, kv_heads: 1, intermediate: 16, vocab: 320 }
let test = arith_problems { split: \"test\", items: 4, levels: [1] }
suite exam { arith: bench(test, max_completion_length: 4tok) }
pipeline scored = base |> evaluate(exam)
";
    editor.project.write("scored.srlm", text);
    editor.open("scored.srlm", text);
    editor.project.srlm(&["run", "scored.srlm"]).ok();
    let pipeline = editor.at("scored.srlm", (3, 10));
    let text = editor.hover(&pipeline);
    assert!(text.contains("3 of 3 stages cached") && text.contains("`arith`: 0.0% [0.0%,"), "{text}");
    assert!(text.contains("of 4 items"), "{text}");
    editor.stop();
}

#[test]
fn completion_offers_what_fits_even_in_broken_text() {
    let mut editor = quick();
    let mut complete = |marked: &str| {
        let at = editor.open_marked("a.srlm", marked);
        editor.labels(&at)
    };
    let fields = complete("let w = sft { data: std.arith.train, ^ }\n");
    assert_eq!(fields.iter().filter(|label| *label == "data").count(), 0);
    assert!(fields.contains(&"learning_rate".to_string()));
    let modules = complete("let w = std.^\n");
    assert!(modules.contains(&"arith".to_string()) && modules.contains(&"models".to_string()), "{modules:?}");
    assert!(complete("let x = 1\nlet w = sft { data: std.arith.^").contains(&"train".to_string()));
    let texts = complete("let w = grpo { data: std.arith.train, scale_rewards: ^ }\n");
    assert_eq!(texts[..1], ["\"batch\""]);
    assert!(complete("let w = grpo { data: std.arith.train, scale_rewards: \"^\n").contains(&"group".to_string()));
    let units = complete("let w = sft { batch: 64^ }\n");
    assert!(units.contains(&"seqs".to_string()) && !units.contains(&"GiB".to_string()), "{units:?}");
    assert!(complete("let x = 1\n^").contains(&"pipeline".to_string()));
    let settings = complete("profile p { jobs: 2, ^ }\n");
    assert!(settings.contains(&"memory".to_string()) && !settings.contains(&"jobs".to_string()), "{settings:?}");
    assert!(complete("profile p { defaults: { ^ } }\n").contains(&"cpus".to_string()));
    assert!(complete("let warm = 1\nprofile p { stages: { ^ } }\n").contains(&"warm".to_string()));
    assert!(complete("profile p { stages: { sft: { ^ } } }\n").contains(&"mutex".to_string()));
    assert!(complete("profile p { device: ^ }\n").contains(&"\"cpu\"".to_string()));
    assert!(complete("profile p { memory: 12^ }\n").contains(&"GiB".to_string()));
    assert!(complete("use std.reward.{^}\n").contains(&"correct".to_string()));
    assert!(complete("param n: ^").contains(&"Model".to_string()));
    let arguments = complete("let m = std.models.tiny(^");
    assert!(arguments.contains(&"layers".to_string()), "{arguments:?}");
    let sweep = "sweep s {\n  over seed in [1, 2]\n  return std.models.tiny() |> evaluate(exam)\n}\n";
    assert!(complete(&format!("{sweep}compare c {{ of: s, by: [^] }}")).contains(&"seed".to_string()));
    assert!(
        complete(&format!(
            "suite exam {{ arith: bench(std.arith.test) }}\n{sweep}compare c {{ of: s, metric: exam.^ }}"
        ))
        .contains(&"arith".to_string())
    );
    assert!(
        complete("let warm = sft { data: std.arith.train }\nlet long = warm with { ^").contains(&"seed".to_string())
    );
    editor.stop();
}

#[test]
fn an_item_that_broke_is_still_offered() {
    let mut editor = quick();
    editor.open("a.srlm", "let shared = { seed: 1 }\n");
    editor.findings("a.srlm");
    editor.change("a.srlm", 2, json!({ "text": "let shared = { seed: 1 \nlet b = \n" }));
    let at = editor.at("a.srlm", (1, 8));
    assert!(editor.labels(&at).contains(&"shared".to_string()));
    editor.stop();
}

#[test]
fn definitions_are_found_here_there_and_in_the_library() {
    let mut editor = quick();
    editor.project.write("lib.srlm", "# first\nlet rows = arith_problems { split: \"train\" }\n");
    editor.open("a.srlm", "use \"lib.srlm\"\nlet mine = lib.rows\nlet other = mine\nlet easy = std.arith.easy\n");
    let mut go = |at: (usize, usize)| {
        let place = editor.at("a.srlm", at);
        editor.ask("textDocument/definition", place)
    };
    let own = go((2, 14));
    assert_eq!((own["uri"].as_str().unwrap().ends_with("a.srlm"), range(&own)), (true, (1, 4, 1, 8)));
    let other = go((1, 16));
    assert_eq!((other["uri"].as_str().unwrap().ends_with("lib.srlm"), range(&other)), (true, (1, 4, 1, 8)));
    let std = go((3, 23));
    let path = std["uri"].as_str().unwrap().strip_prefix("file://").unwrap().to_string();
    let line = std["range"]["start"]["line"].as_u64().unwrap() as usize;
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.lines().nth(line).unwrap().starts_with("let easy ="));
    editor.stop();
}

#[test]
fn a_rename_changes_every_file_and_no_meaning() {
    let mut editor = quick();
    editor.project.write("lib.srlm", "let rows = arith_problems { split: \"train\" }\nlet taken = rows\n");
    editor.open("a.srlm", "use \"lib.srlm\".{rows}\npipeline p = rows |> dedup\n");
    let at = editor.at("a.srlm", (1, 14));
    let rename = |editor: &mut Editor, at: &Value, name: &str| {
        let mut params = at.clone();
        params["newName"] = json!(name);
        editor.answer("textDocument/rename", params)
    };
    let edit = rename(&mut editor, &at, "problems")["result"]["changes"].clone();
    let count = |uri: String| edit[uri].as_array().map_or(0, Vec::len);
    assert_eq!((count(editor.uri("a.srlm")), count(editor.uri("lib.srlm"))), (2, 2), "{edit}");
    for refused in ["taken", "let", "2x", "p"] {
        let answer = rename(&mut editor, &at, refused);
        assert!(answer["error"]["message"].is_string(), "{refused}: {answer}");
    }
    let std = editor.open_marked("b.srlm", "let b = std.arith.tr^ain\n");
    assert!(rename(&mut editor, &std, "x")["error"]["message"].as_str().unwrap().contains("standard library"));
    let uses = editor.ask("textDocument/references", {
        let mut params = at.clone();
        params["context"] = json!({ "includeDeclaration": true });
        params
    });
    assert_eq!(uses.as_array().unwrap().len(), 4, "{uses}");
    editor.stop();
}

#[test]
fn a_code_action_is_the_fix() {
    let mut editor = quick();
    editor.open("a.srlm", "let w = sft { data: std.arith.train, lr: 1e-3 }\n");
    let found = editor.findings("a.srlm").remove(0);
    let params = json!({
        "textDocument": { "uri": editor.uri("a.srlm") },
        "range": found["range"],
        "context": { "diagnostics": [found] },
    });
    let actions = editor.ask("textDocument/codeAction", params);
    let edit = &actions[0]["edit"]["changes"][editor.uri("a.srlm")][0];
    assert_eq!((edit["newText"].as_str(), range(edit)), (Some("learning_rate"), (0, 37, 0, 39)), "{actions}");
    assert_eq!(actions[0]["title"], "replace `lr` by `learning_rate`");
    editor.stop();
}

#[test]
fn the_outline_lists_items_and_their_parts() {
    let mut editor = quick();
    editor.open("a.srlm", "recipe f(x: Model, n: Int = 1) -> Model = x\nsuite exam { arith: bench(std.arith.test) }\n");
    let params = json!({ "textDocument": { "uri": editor.uri("a.srlm") } });
    let outline = editor.ask("textDocument/documentSymbol", params);
    let name = |value: &Value| value["name"].as_str().unwrap().to_string();
    let names: Vec<String> = outline.as_array().unwrap().iter().map(name).collect();
    assert_eq!(names, ["f", "exam"]);
    assert_eq!(outline[0]["children"].as_array().unwrap().iter().map(name).collect::<Vec<_>>(), ["x", "n"]);
    editor.stop();
}

#[test]
fn formatting_is_what_fmt_writes() {
    let mut editor = quick();
    let crooked = "let  x = {a:1,b:2}\r\npipeline p=std.models.tiny( )\n";
    editor.project.write("a.srlm", crooked);
    editor.open("a.srlm", crooked);
    let edits = editor.format("a.srlm");
    assert_eq!(range(&edits[0]), (0, 0, 2, 0), "{edits}");
    editor.project.srlm(&["fmt", "a.srlm"]).ok();
    let written = std::fs::read_to_string(editor.project.path().join("a.srlm")).unwrap();
    assert_eq!(edits[0]["newText"].as_str(), Some(written.as_str()));
    editor.change("a.srlm", 2, json!({ "text": written }));
    assert_eq!(editor.format("a.srlm"), json!([]));
    editor.change("a.srlm", 3, json!({ "text": "let x = {\n" }));
    assert_eq!(editor.format("a.srlm"), Value::Null);
    editor.stop();
}

#[test]
fn nonsense_is_answered_and_survived() {
    let mut editor = quick();
    editor.raw("Content-Length: 9\r\n\r\nnot json!");
    editor.raw("what is this\r\nContent-Length: nine\r\n\r\n");
    assert_eq!(editor.answer("textDocument/nothing", json!({}))["error"]["code"], -32601);
    assert_eq!(editor.answer("textDocument/hover", json!({ "position": "here" }))["error"]["code"], -32602);
    assert_eq!(editor.answer("initialize", json!({ "capabilities": {} }))["error"]["code"], -32600);
    editor.tell("textDocument/didChange", json!([1, 2]));
    editor.tell("textDocument/didOpen", json!({ "textDocument": { "uri": "no uri at all" } }));
    editor.open("a.srlm", "let a = \u{0} \u{feff} \u{1F600}\n");
    let far = editor.at("a.srlm", (4_000_000_000, 4_000_000_000));
    assert_eq!(editor.ask("textDocument/hover", far.clone()), Value::Null);
    editor.ask("textDocument/completion", far);
    let unknown =
        json!({ "textDocument": { "uri": "untitled:Untitled-1" }, "position": { "line": 0, "character": 0 } });
    assert_eq!(editor.ask("textDocument/definition", unknown), Value::Null);
    editor.stop();
}

#[test]
fn the_last_answer_is_written_before_the_end() {
    let mut editor = quick();
    editor.send(&json!({ "jsonrpc": "2.0", "id": "last", "method": "shutdown" }));
    editor.tell("exit", Value::Null);
    assert_eq!(editor.receive()["id"], "last");
    assert_eq!(editor.child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_exit_without_shutdown_is_told_by_the_exit_code() {
    let mut editor = quick();
    editor.tell("exit", Value::Null);
    assert_eq!(editor.child.wait().unwrap().code(), Some(1));
}

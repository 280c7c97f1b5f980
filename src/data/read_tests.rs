//! Tests of the readers: every format, every kind of bad file, and the real sets where they are at hand.

use super::*;
use crate::data::format::{Columns, without_annotations};

const GSM: &str = "{\"question\":\"How many?\",\"answer\":\"48/2 = <<48/2=24>>24 clips.\\n#### 24\"}";

fn read(text: &str, format: Format) -> Result<Vec<Row>, DataError> {
    let mut rows = Vec::new();
    let mut visit = |_, row| rows.push(row);
    let mut reader = RowReader::new("data/rows.jsonl", &format, &mut visit);
    for_each_json("data/rows.jsonl", text.as_bytes(), &mut |line, fields| reader.record(line, fields))?;
    reader.end()?;
    make_ids_unique(&mut rows);
    Ok(rows)
}

fn message(text: &str, format: Format) -> String {
    read(text, format).unwrap_err().to_string()
}

#[test]
fn gsm8k_loses_its_annotations_and_keeps_its_gold() {
    for format in [Format::Auto, Format::Gsm8k] {
        let rows = read(&format!("\u{feff}{GSM}\r\n\r\n"), format).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].question(), "How many?");
        assert_eq!(rows[0].completion.as_deref(), Some("48/2 = 24 clips.\n#### 24"));
        assert_eq!(rows[0].answer.as_deref(), Some("24"));
    }
    assert_eq!(without_annotations("1 << 2 is <<1*4=4>>4, <<open"), "1 4, <<open");
}

#[test]
fn other_formats_are_told_by_their_fields() {
    let math = r#"{"problem":"P","solution":"S","answer":"\\frac{1}{2}","level":2,"unique_id":"test/1"}"#;
    let row = &read(math, Format::Auto).unwrap()[0];
    assert_eq!(
        (row.id.as_str(), row.answer.as_deref(), row.meta["level"].as_i64()),
        ("test/1", Some("\\frac{1}{2}"), Some(2))
    );

    let svamp = "[\n {\"ID\":\"c-1\",\"Body\":\"Each costs 76\",\"Question\":\"How much?\",\"Answer\":51.0},\n {\"Body\":\"B.\",\"Question\":\"Q\",\"Answer\":0.5}\n]\n";
    let rows = read(svamp, Format::Auto).unwrap();
    assert_eq!((rows[0].question(), rows[0].answer.as_deref()), ("Each costs 76. How much?", Some("51")));
    assert_eq!(rows[1].answer.as_deref(), Some("0.5"));

    let chat = r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]}"#;
    let row = &read(chat, Format::Auto).unwrap()[0];
    assert_eq!((row.messages.len(), row.completion.as_deref()), (1, Some("Hello")));

    let pair = r#"{"prompt":"2+2=","completion":"4","answer":4}"#;
    let row = &read(pair, Format::Auto).unwrap()[0];
    assert_eq!((row.completion.as_deref(), row.answer.as_deref()), (Some("4"), Some("4")));
}

#[test]
fn a_bad_line_is_told_with_its_number_what_was_found_and_what_is_expected() {
    let truncated = message(&format!("{GSM}\n{}", &GSM[..20]), Format::Auto);
    assert!(truncated.starts_with("data/rows.jsonl:2: found `{\"question\":\"How man`"), "{truncated}");
    let unmarked = message("{\"question\":\"q\",\"answer\":\"24\"}", Format::Gsm8k);
    assert!(unmarked.contains(":1: found an `answer` without `####`"), "{unmarked}");
    let missing = message(&format!("{GSM}\n\n{{\"question\":\"q\",\"anwser\":\"24\"}}"), Format::Auto);
    assert!(missing.contains(":3: found no `answer`, only `question`, `anwser`"), "{missing}");
    let wrong_kind = message("{\"question\":7,\"answer\":\"#### 1\"}", Format::Gsm8k);
    assert!(wrong_kind.contains("a `question` that is a number"), "{wrong_kind}");
    let number = message("17", Format::Auto);
    assert!(number.contains("found a number, but each line must be one JSON object"), "{number}");
    let unknown = message("{\"foo\":1}", Format::Auto);
    assert!(unknown.contains("`foo`") && unknown.contains("gsm8k"), "{unknown}");
    let role = message(r#"{"messages":[{"role":"human","content":"x"}]}"#, Format::Chat);
    assert!(role.contains("role `human`"), "{role}");
}

#[test]
fn arrays_name_the_line_of_the_object() {
    let broken = message(
        "[\n{\"Body\":\"b\",\"Question\":\"q\",\"Answer\":1},\n{\"Body\":\"b\",\n\"Question\":}\n]",
        Format::Svamp,
    );
    assert!(broken.contains("rows.jsonl:4:"), "{broken}");
    let missing = message("[\n{\"Body\":\"b\",\"Question\":\"q\",\"Answer\":1},\n\n{\"Body\":\"b\"}]", Format::Svamp);
    assert!(missing.contains("rows.jsonl:4: found no `Question`"), "{missing}");
    for open in ["[", "[{}", "[{} {}]", "[{},]", "[1]", "[{\"a\":1}] x"] {
        assert!(message(open, Format::Svamp).contains("rows.jsonl:1"), "{open}");
    }
}

#[test]
fn empty_files_and_files_that_are_no_text_are_errors() {
    for empty in ["", "\u{feff}", "\r\n \n", "[]", "[ ]\n"] {
        assert!(matches!(read(empty, Format::Auto), Err(DataError::Empty { .. })), "{empty:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.jsonl");
    std::fs::write(&path, [GSM.as_bytes(), b"\n\xff\xfe"].concat()).unwrap();
    let told = read_file(&path, &Format::Auto).unwrap_err().to_string();
    assert!(told.contains("bad.jsonl:2: found a byte that is not UTF-8"), "{told}");
    let absent = read_file(&folder.path().join("none.jsonl"), &Format::Auto).unwrap_err().to_string();
    assert!(absent.contains("none.jsonl"), "{absent}");
}

#[test]
fn a_first_row_of_another_format_names_those_that_fit() {
    let math = r#"{"problem":"P","solution":"so \\boxed{\\frac{1}{2}}"}"#;
    match read(math, Format::Gsm8k) {
        Err(DataError::WrongFormat { found, fits, .. }) => {
            assert_eq!(found, "no `question`, only `problem`, `solution`");
            assert_eq!(fits, ["math", "minerva", "aime24"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn competitions_are_read_as_the_hub_has_them() {
    let answer = |text: &str, format: Format| read(text, format).unwrap()[0].answer.clone().unwrap();
    assert_eq!(answer(r#"{"problem":"P","solution":"so $\\boxed{\\frac{1}{2}}$"}"#, Format::Math), "\\frac{1}{2}");
    assert_eq!(answer(r#"{"question":"Q","answer":27.0}"#, Format::Auto), "27");
    assert_eq!(answer(r#"{"question":"Q","final_answer":["2","$x$"],"solution":["s"]}"#, Format::Auto), "2, $x$");
    assert_eq!(answer(r#"{"problem":"P","solution":"\\boxed{204}","id":60}"#, Format::Aime24), "204");
    assert_eq!(answer(r#"{"question":"Q","solution":"\\boxed{4e33}"}"#, Format::Minerva), "4e33");
}

#[test]
fn columns_name_any_field() {
    let columns = |answer: &str| {
        Format::Columns(Columns { prompt: "input".to_string(), completion: None, answer: Some(answer.to_string()) })
    };
    let row = r#"{"input":"2+2=","gold":4,"id":7}"#;
    assert_eq!(read(row, columns("gold")).unwrap()[0].answer.as_deref(), Some("4"));
    let told = read(row, columns("golden")).unwrap_err().to_string();
    assert!(told.contains("no `golden`, only `input`, `gold`, `id`"), "{told}");
}

#[test]
fn parquet_is_read_row_by_row_and_its_damage_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    write_parquet(&path, &["How many?", "Why?"], &["#### 24", "#### 7"]);
    let rows = read_file(&path, &Format::Auto).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].question(), rows[1].answer.as_deref()), ("Why?", Some("7")));
    let bytes = std::fs::read(&path).unwrap();
    for broken in [&bytes[..bytes.len() / 2], b"PAR1", b""] {
        std::fs::write(&path, broken).unwrap();
        let told = read_file(&path, &Format::Auto).unwrap_err().to_string();
        assert!(told.contains("rows.parquet:1: found broken parquet"), "{told}");
    }
}

#[test]
fn no_damage_to_a_parquet_file_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    write_parquet(&path, &["How many?", "Why?"], &["#### 24", "#### 7"]);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for flip in [0x01, 0x40, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            std::fs::write(&path, &bytes).unwrap();
            let _ = read_file(&path, &Format::Auto);
        }
    }
}

/// Two columns of texts, as the Hub's GSM8K has them.
fn write_parquet(path: &Path, questions: &[&str], answers: &[&str]) {
    use ::parquet::basic::Compression;
    use ::parquet::data_type::{ByteArray, ByteArrayType};
    use ::parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    use ::parquet::schema::parser::parse_message_type;
    let schema = parse_message_type("message m { required binary question (UTF8); required binary answer (UTF8); }");
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema.unwrap().into(), properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for texts in [questions, answers] {
        let values: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(*text)).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn equal_rows_get_ids_of_their_own() {
    let rows = read(&format!("{GSM}\n{GSM}"), Format::Auto).unwrap();
    assert_ne!(rows[0].id, rows[1].id);
}

#[test]
fn the_real_sets_fit_the_formats_named_after_them() {
    let Some(shared) = crate::data::shared_data() else { return };
    let sets = [
        ("gsm8k/test.jsonl", "gsm8k", "Janet\u{2019}s ducks lay 16 eggs", "18"),
        ("math500/test.jsonl", "math", "Convert the point $(0,3)$", "\\left( 3, \\frac{\\pi}{2} \\right)"),
        ("svamp/SVAMP.json", "svamp", "Each pack of dvds costs 76 dollars.", "51"),
    ];
    for (name, format, prompt, answer) in sets {
        let format = Format::named(format).unwrap();
        let rows = read_file(&shared.join(name), &format).unwrap();
        assert!(rows[0].question().starts_with(prompt), "{}", rows[0].question());
        assert_eq!(rows[0].answer.as_deref(), Some(answer));
    }
}

#[test]
fn the_boxed_answer_of_math_is_the_one_beside_it() {
    let Some(shared) = crate::data::shared_data() else { return };
    let file = std::fs::read_to_string(shared.join("math500/test.jsonl")).unwrap();
    let agree = |line: &str| {
        let mut fields: crate::data::format::Fields = serde_json::from_str(line).unwrap();
        let beside = fields.remove("answer").unwrap();
        Format::Math.row(&fields).unwrap().answer.as_deref() == beside.as_str()
    };
    let count = file.lines().filter(|line| agree(line)).count();
    assert!(count >= 490, "only {count} of 500");
}

#[test]
fn the_real_sets_are_read_to_the_last_row() {
    let Some(shared) = crate::data::shared_data() else { return };
    let sets = [
        ("gsm8k/train.jsonl", 7473),
        ("gsm8k/test.jsonl", 1319),
        ("math500/test.jsonl", 500),
        ("svamp/SVAMP.json", 1000),
    ];
    for (name, count) in sets {
        let rows = read_file(&shared.join(name), &Format::Auto).unwrap();
        assert_eq!(rows.len(), count, "{name}");
        assert!(rows.iter().all(|row| row.answer.is_some() && !row.question().contains("<<")), "{name}");
        assert!(rows.iter().all(|row| row.completion.as_ref().is_none_or(|text| !text.contains("<<"))), "{name}");
        let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.id).collect();
        assert_eq!(ids.len(), count, "{name}");
    }
}

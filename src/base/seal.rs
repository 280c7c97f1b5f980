//! Sealed texts: JSON that people read, whose last field is the digest of everything before it.

use super::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

const SEAL: &str = ",\n  \"seal\": \"";
const END: &str = "\"\n}\n";

/// A value with at least one field as indented JSON, closed by its seal.
///
/// # Errors
/// Where the value cannot be written as JSON.
pub fn sealed<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string_pretty(value)?;
    let body = json.strip_suffix("\n}").unwrap_or(&json);
    Ok(format!("{body}{SEAL}{}{END}", Digest::of_bytes(body.as_bytes())))
}

/// Reads what [`sealed`] wrote.
///
/// # Errors
/// What is wrong with a text that it did not write, as half a sentence.
pub fn unsealed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    read(&format!("{}\n}}", unbroken(text)?))
}

/// As [`unsealed`], with `null` for the value of one of the fields: the seal is held against all of the text, and a long
/// field is not taken apart.
///
/// # Errors
/// As [`unsealed`].
pub fn unsealed_without<T: DeserializeOwned>(text: &str, field: &str) -> Result<T, String> {
    let body = unbroken(text)?;
    let name = format!("\n  \"{field}\": ");
    // The text is indented, and no string has a line break in it: what begins a line like this is a field of the whole.
    let Some((before, value)) = body.split_once(&name) else { return read(&format!("{body}\n}}")) };
    let after = value.find("\n  \"").map_or("", |end| &value[end..]);
    let comma = if after.is_empty() { "" } else { "," };
    read(&format!("{before}{name}null{comma}{after}\n}}"))
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// The text before the seal, held against it.
fn unbroken(text: &str) -> Result<&str, String> {
    let (body, tail) = text.rsplit_once(SEAL).ok_or("it has no seal: it was cut short, or was never whole")?;
    let seal = tail.strip_suffix(END).ok_or("it does not end after its seal")?;
    if seal != Digest::of_bytes(body.as_bytes()).to_string() {
        return Err("its text was changed after it was written".to_string());
    }
    Ok(body)
}

/// As [`unsealed`], of a file's bytes.
///
/// # Errors
/// As [`unsealed`].
pub fn unsealed_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    unsealed(std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn without(value: &Value, field: &str) -> Result<Value, String> {
        unsealed_without(&sealed(value).expect("it is JSON"), field)
    }

    #[test]
    fn one_field_is_left_out_wherever_it_stands() {
        let long = json!({"long": {"b": [1, {"long": "\n  \"a\": 2"}]}});
        for value in
            [json!({"a": 1, "long": long, "z": "\n  \"long\": 3"}), json!({"long": [], "z": 1}), json!({"long": 1})]
        {
            let mut expected = value.clone();
            expected["long"] = Value::Null;
            assert_eq!(without(&value, "long"), Ok(expected));
        }
        assert_eq!(without(&json!({"a": long}), "long"), Ok(json!({"a": long})));
    }

    #[test]
    fn the_seal_is_held_against_what_is_left_out() {
        let text = sealed(&json!({"a": 1, "long": {"b": 2}})).expect("it is JSON");
        let changed = text.replace("\"b\": 2", "\"b\": 3");
        assert_eq!(
            unsealed_without::<Value>(&changed, "long"),
            Err("its text was changed after it was written".into())
        );
    }
}

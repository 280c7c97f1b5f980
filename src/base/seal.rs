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
    let (body, tail) = text.rsplit_once(SEAL).ok_or("it has no seal: it was cut short, or was never whole")?;
    let seal = tail.strip_suffix(END).ok_or("it does not end after its seal")?;
    if seal != Digest::of_bytes(body.as_bytes()).to_string() {
        return Err("its text was changed after it was written".to_string());
    }
    serde_json::from_str(&format!("{body}\n}}")).map_err(|error| error.to_string())
}

/// As [`unsealed`], of a file's bytes.
///
/// # Errors
/// As [`unsealed`].
pub fn unsealed_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    unsealed(std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string())?)
}

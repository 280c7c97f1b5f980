//! Content digests: blake3 with domain tags and length prefixes, so that no two values share an encoding.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A 256-bit blake3 digest, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of plain bytes: that of the blob which holds them.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of a value in a named domain.
    pub fn of<T: ContentHash + ?Sized>(domain: &str, value: &T) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(domain);
        value.hash_content(&mut hasher);
        Digest(*hasher.finalize().as_bytes())
    }

    /// Takes over a finished blake3 state.
    pub fn from_hasher(hasher: &blake3::Hasher) -> Self {
        Digest(*hasher.finalize().as_bytes())
    }

    /// The digest as it is written to files of bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// A digest by its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// The first ten digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_string()
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Digest(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every path of the store has one in it: byte by byte through the formatter would take its time.
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a digest: 64 hexadecimal digits are expected")]
pub struct BadDigest(String);

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| BadDigest(text.to_string()))?;
        Ok(Digest(*hash.as_bytes()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashing by content, apart from `std::hash::Hash`: the encoding is part of the store's format.
pub trait ContentHash {
    /// Feeds an encoding of `self` that no other value of its domain shares.
    fn hash_content(&self, hasher: &mut blake3::Hasher);
}

impl ContentHash for str {
    fn hash_content(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&(self.len() as u64).to_le_bytes());
        hasher.update(self.as_bytes());
    }
}

impl ContentHash for Digest {
    fn hash_content(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.0);
    }
}

impl ContentHash for serde_json::Value {
    /// A tag byte a value; lengths before contents; objects by sorted name; floats by value, with -0 as 0.
    fn hash_content(&self, hasher: &mut blake3::Hasher) {
        use serde_json::Value;
        match self {
            Value::Null => drop(hasher.update(b"n")),
            Value::Bool(value) => drop(hasher.update(if *value { b"t" } else { b"f" })),
            Value::Number(number) => hash_number(number, hasher),
            Value::String(text) => {
                hasher.update(b"s");
                text.hash_content(hasher);
            }
            Value::Array(items) => {
                hasher.update(b"l").update(&(items.len() as u64).to_le_bytes());
                items.iter().for_each(|item| item.hash_content(hasher));
            }
            Value::Object(fields) => {
                hasher.update(b"o").update(&(fields.len() as u64).to_le_bytes());
                let mut names: Vec<&String> = fields.keys().collect();
                names.sort();
                for name in names {
                    name.as_str().hash_content(hasher);
                    fields[name].hash_content(hasher);
                }
            }
        }
    }
}

fn hash_number(number: &serde_json::Number, hasher: &mut blake3::Hasher) {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(value), _, _) => hasher.update(b"i").update(&value.to_le_bytes()),
        (None, Some(value), _) => hasher.update(b"u").update(&value.to_le_bytes()),
        (None, None, value) => {
            let value = value.map_or(0.0, |value| if value == 0.0 { 0.0 } else { value });
            hasher.update(b"d").update(&value.to_bits().to_le_bytes())
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(value: serde_json::Value) -> Digest {
        Digest::of("srlm test", &value)
    }

    #[test]
    fn the_encoding_is_pinned() {
        let value = json!({"b": [1, 2.5, "x"], "a": null, "c": {"t": true}});
        assert_eq!(digest(value).to_string(), PINNED);
    }
    const PINNED: &str = "ace4efbafb08f102b04e3802185064771169829754ea98df130315cd345ae906";

    #[test]
    fn order_of_names_is_no_content_and_everything_else_is() {
        assert_eq!(digest(json!({"a": 1, "b": 2})), digest(json!({"b": 2, "a": 1})));
        assert_ne!(digest(json!({"a": 1, "b": 2})), digest(json!({"a": 2, "b": 1})));
        assert_ne!(digest(json!(["ab", "c"])), digest(json!(["a", "bc"])));
        assert_ne!(digest(json!([[1], 2])), digest(json!([[1, 2]])));
        assert_eq!(digest(json!(-0.0)), digest(json!(0.0)));
        assert_ne!(digest(json!(1)), digest(json!("1")));
    }
}

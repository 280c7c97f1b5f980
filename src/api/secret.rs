//! The key to a server: read from the environment, sent to the server, and shown nowhere.

/// What a text has in the place of a key.
const HIDDEN: &str = "[hidden]";
/// A shorter one would also take ordinary words out of messages.
const SHORTEST: usize = 4;

/// A key. It has no `Display`, and its `Debug` does not tell it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The value of an environment variable, without the line end that files put behind it; none where it is not set or
    /// empty.
    pub fn from_env(name: &str) -> Option<Secret> {
        let value = std::env::var(name).ok()?;
        Some(Secret(value.trim().to_string())).filter(|secret| !secret.0.is_empty())
    }

    /// The value of the header that shows it to the server; none where no header can hold it.
    pub(super) fn bearer(&self) -> Option<String> {
        let is_plain = self.0.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        is_plain.then(|| format!("Bearer {}", self.0))
    }

    /// A text without it: servers repeat what they were sent.
    pub(super) fn hide(&self, text: &str) -> String {
        if self.0.len() < SHORTEST { text.to_string() } else { text.replace(&self.0, HIDDEN) }
    }

    #[cfg(test)]
    pub(super) fn new(text: &str) -> Secret {
        Secret(text.to_string())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

/// Whether a text can be the name of an environment variable, and so is surely no key written in the wrong place.
pub fn is_variable_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let first = text.bytes().next();
    first.is_some_and(is_letter) && text.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_told() {
        let secret = Secret::new("sk-sesame");
        assert_eq!(format!("{secret:?}"), HIDDEN);
        assert_eq!(secret.hide("no such key: sk-sesame!"), "no such key: [hidden]!");
        assert_eq!(secret.bearer().as_deref(), Some("Bearer sk-sesame"));
        assert_eq!(Secret::new("two\nlines").bearer(), None);
    }

    #[test]
    fn a_key_is_no_name_of_a_variable() {
        assert!(is_variable_name("OPENAI_API_KEY") && is_variable_name("_K2"));
        assert!(!["sk-abc", "sk_live", "", "2KEY", "A KEY"].into_iter().any(is_variable_name));
    }
}

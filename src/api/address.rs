//! The base address of a server, such as `http://localhost:8000/v1`.

/// An address that holds no secret: it goes into keys, records and messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and what to do. The sentence does not repeat the address, which may hold a secret.
    pub fn new(text: &str) -> Result<Address, &'static str> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let rest =
            rest.ok_or("it begins with neither http:// nor https://: write it as \"http://localhost:8000/v1\"")?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.is_empty() || text.contains(char::is_whitespace) {
            return Err("it names no host: write it as \"http://localhost:8000/v1\"");
        }
        if host.contains('@') {
            return Err(
                "it holds a user or a password, and addresses stand in records: name a variable with `key_env`",
            );
        }
        if rest.contains(['?', '#']) {
            return Err("it holds a query, which may be a secret, and addresses stand in records: end it at the path");
        }
        if text.trim_end_matches('/').ends_with("/completions") {
            return Err("it names one call of the server: end it before that, at \"/v1\"");
        }
        Ok(Address(text.trim_end_matches('/').to_string()))
    }

    /// The address of a call, such as `chat/completions`.
    pub fn call(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_at_its_path_and_holds_no_secret() {
        let good = Address::new("https://host:8000/v1/").unwrap();
        assert_eq!(good.call("chat/completions"), "https://host:8000/v1/chat/completions");
        let wrong = [
            ("localhost:8000", "http://"),
            ("http://", "no host"),
            ("http://a b/v1", "no host"),
            ("https://me:sesame@host/v1", "password"),
            ("https://host/v1?key=sesame", "query"),
            ("http://host/v1/chat/completions", "one call"),
        ];
        for (text, why) in wrong {
            let told = Address::new(text).unwrap_err();
            assert!(told.contains(why) && !told.contains("sesame"), "{text}: {told}");
        }
    }
}

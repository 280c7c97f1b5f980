//! What may be told of an error: its cause, in one line, with nothing in it that the environment keeps secret.

use std::error::Error;

/// Variables whose values are never shown, by what stands in their names.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
const SECRET: [&str; 6] = ["KEY", "SECRET", "TOKEN", "PASSWORD", "CREDENTIAL", "SAS"];
/// Shorter values would also take ordinary words out of messages.
const SHORTEST: usize = 4;
const LONGEST: usize = 200;

/// The innermost cause of an error as one short line.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    // A server may answer with a page, and repeat in it what it was sent.
    let text = cause.to_string();
    let text = text.split(['<', '{', '\n']).next().unwrap_or_default().trim_end_matches([' ', ':']);
    hide(&text.chars().take(LONGEST).collect::<String>(), &values())
}

/// The secrets of this process.
fn values() -> Vec<String> {
    let is_secret = |name: &str| {
        PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && SECRET.iter().any(|part| name.contains(part))
    };
    let mut values: Vec<String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| is_secret(name) && value.len() >= SHORTEST)
        .map(|(_, value)| value)
        .collect();
    // A secret that contains another one goes as a whole.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
}

fn hide(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_string(), |text, secret| text.replace(secret.as_str(), "[hidden]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_cause_is_one_line_without_the_servers_page() {
        let told = |text: &str| root_cause(&Outer(std::io::Error::other(text.to_string())));
        assert_eq!(told("Connection refused (os error 111)"), "Connection refused (os error 111)");
        assert_eq!(told("status 403 Forbidden: <Error><Key>AKIA</Key></Error>"), "status 403 Forbidden");
        assert_eq!(told(&"x".repeat(5000)).len(), LONGEST);
    }

    #[test]
    fn secrets_are_hidden_the_longest_first() {
        let secrets = ["sesame-open".to_string(), "sesame".to_string()];
        assert_eq!(hide("say sesame-open or sesame", &secrets), "say [hidden] or [hidden]");
    }
}

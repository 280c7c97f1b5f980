//! Addresses as the client writes them, and paths as the language reads them.

use lsp_types::Uri;
use std::path::{Component, Path};

/// The path that a document is known by: absolute and without `..`. A text that has no file yet gets a name of its own.
pub fn path_of(uri: &Uri) -> String {
    match uri.as_str().strip_prefix("file://") {
        // What stands before the path is a host: there is only this one.
        Some(rest) => normal(&decoded(&rest[rest.find('/').unwrap_or(0)..])),
        None => uri.as_str().replace('/', "_"),
    }
}

/// The address of a path; none for texts that have no file.
pub fn uri_of(path: &str) -> Option<Uri> {
    if !path.starts_with('/') {
        return None;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let encode = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    format!("file://{}", path.bytes().map(encode).collect::<String>()).parse().ok()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = rest.get(1..3).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path without `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_there_and_back() {
        for path in ["/a/b.srlm", "/with blank/ä#?%.srlm"] {
            assert_eq!(path_of(&uri_of(path).unwrap()), path);
        }
        assert_eq!(path_of(&"file:///a/./b/../c%20d.srlm".parse().unwrap()), "/a/c d.srlm");
        assert_eq!(path_of(&"file://host/a%zz".parse::<Uri>().unwrap_or("file:///a".parse().unwrap())), "/a");
        assert_eq!(path_of(&"untitled:Untitled-1".parse().unwrap()), "untitled:Untitled-1");
        assert!(uri_of("std.arith").is_none());
    }
}

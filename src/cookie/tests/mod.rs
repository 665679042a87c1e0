//! What a browser is told, what is read back, and what the linter says of others.

mod lint;
mod read;
mod write;

use std::collections::BTreeMap;

use http::HeaderValue;

use crate::text::is_tchar;

/// A `Set-Cookie` taken apart by its grammar (RFC 6265 §4.1.1), with nothing forgiven.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Strict {
    name: String,
    value: String,
    attributes: BTreeMap<String, String>,
}

fn strict(header: &HeaderValue) -> Strict {
    let text = header.to_str().expect("ASCII");
    let mut parts = text.split("; ");
    let (name, value) = parts.next().unwrap().split_once('=').unwrap();
    assert!(!name.is_empty() && name.bytes().all(is_tchar), "{text}");
    let forbidden = |byte: u8| !byte.is_ascii_graphic() || b"\",;\\".contains(&byte);
    assert!(!value.bytes().any(forbidden), "{text}");
    let mut attributes = BTreeMap::new();
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        assert!(["Max-Age", "Path", "Secure", "HttpOnly", "SameSite"].contains(&name), "{text}");
        assert!(!value.contains(';') && value.len() <= 1024, "{text}");
        assert_eq!(attributes.insert(name.to_owned(), value.to_owned()), None, "twice in {text}");
    }
    Strict { name: name.to_owned(), value: value.to_owned(), attributes }
}

impl Strict {
    fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }

    fn without_age(mut self) -> BTreeMap<String, String> {
        self.attributes.remove("Max-Age");
        self.attributes
    }
}

//! A URI without its secrets.

use std::fmt;

use http::Uri;

use super::{
    redaction::{REDACTED, Redaction},
    shapes::looks_secret,
};

/// Shows a URI without its secrets. Made by [`Redaction::uri`].
#[derive(Clone, Copy)]
pub struct RedactedUri<'a> {
    pub(super) redaction: &'a Redaction,
    pub(super) uri: &'a Uri,
}

impl RedactedUri<'_> {
    /// A parameter without `=` is one without a name: shown only if it is a short word.
    fn write_parameter(&self, f: &mut fmt::Formatter<'_>, parameter: &str) -> fmt::Result {
        let Some((name, value)) = parameter.split_once('=') else {
            let of_a_word = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
            let is_word = parameter.len() < 20 && parameter.bytes().all(of_a_word);
            return f.write_str(if is_word { parameter } else { REDACTED });
        };
        // Whoever escapes the name must not get the value shown.
        let hidden = !value.is_empty()
            && (self.redaction.hides(&readable(name)) || looks_secret(value) || self.holds_hidden(value));
        write!(f, "{name}={}", if hidden { REDACTED } else { value })
    }

    /// Whether a value, a URI with a query of its own for example, has a parameter that is to be hidden.
    fn holds_hidden(&self, value: &str) -> bool {
        let value = readable(value);
        let mut parameters = value.split(['?', '&', ';', '#']).filter_map(|part| part.split_once('='));
        parameters.any(|(name, value)| !value.is_empty() && self.redaction.hides(name))
    }

    /// A segment may have parameters (RFC 3986 §3.3), as session ids of some servers are.
    fn write_segment(&self, f: &mut fmt::Formatter<'_>, segment: &str) -> fmt::Result {
        let mut parts = segment.split(';');
        let name = parts.next().unwrap_or_default();
        f.write_str(if looks_secret(name) { REDACTED } else { name })?;
        parts.try_for_each(|parameter| {
            f.write_str(";")?;
            self.write_parameter(f, parameter)
        })
    }
}

fn readable(escaped: &str) -> String {
    form_urlencoded::parse(format!("={escaped}").as_bytes()).map(|(_, text)| text.into_owned()).collect()
}

impl fmt::Display for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.uri.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        if let Some(authority) = self.uri.authority() {
            let host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
            f.write_str(host)?;
        }
        for (number, segment) in self.uri.path().split('/').enumerate() {
            f.write_str(if number > 0 { "/" } else { "" })?;
            self.write_segment(f, segment)?;
        }
        // Some servers take a semicolon for what separates parameters.
        let separates = |char| matches!(char, '&' | ';');
        for (number, parameter) in
            self.uri.query().into_iter().flat_map(|query| query.split_inclusive(separates)).enumerate()
        {
            let (parameter, separator) = match parameter.strip_suffix(separates) {
                Some(bare) => (bare, &parameter[bare.len()..]),
                None => (parameter, ""),
            };
            f.write_str(if number == 0 { "?" } else { "" })?;
            self.write_parameter(f, parameter)?;
            f.write_str(separator)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

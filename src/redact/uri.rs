//! A URI without its secrets.

use std::fmt;

use http::Uri;

use super::{
    names::looks_secret,
    redaction::{REDACTED, Redaction},
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
        let readable: String =
            form_urlencoded::parse(name.as_bytes()).map(|(name, _)| name.into_owned()).collect();
        let hidden = !value.is_empty() && (self.redaction.hides(&readable) || looks_secret(value));
        write!(f, "{name}={}", if hidden { REDACTED } else { value })
    }
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
            let slash = if number > 0 { "/" } else { "" };
            write!(f, "{slash}{}", if looks_secret(segment) { REDACTED } else { segment })?;
        }
        let parameters = self.uri.query().into_iter().flat_map(|query| query.split('&'));
        for (number, parameter) in parameters.enumerate() {
            f.write_str(if number == 0 { "?" } else { "&" })?;
            self.write_parameter(f, parameter)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

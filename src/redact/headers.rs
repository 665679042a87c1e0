//! Headers without their secrets.

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{CONTENT_LOCATION, LOCATION, REFERER},
};

use super::{
    redaction::{REDACTED, Redaction},
    shapes::looks_secret,
};

/// More are not shown: a log line has an end, whatever a peer sends.
const HEADERS_MAX: usize = 64;
/// Longer values are cut.
const VALUE_MAX: usize = 256;

/// Shows headers without their secrets. Made by [`Redaction::headers`].
#[derive(Clone, Copy)]
pub struct RedactedHeaders<'a> {
    pub(super) redaction: &'a Redaction,
    pub(super) headers: &'a HeaderMap,
}

/// One value, as it may be shown.
struct Shown<'a> {
    redaction: &'a Redaction,
    name: &'a HeaderName,
    value: &'a HeaderValue,
}

// ===== impl RedactedHeaders =====

impl fmt::Debug for RedactedHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.headers.iter().take(HEADERS_MAX) {
            map.entry(&name.as_str(), &Shown { redaction: self.redaction, name, value });
        }
        if self.headers.len() > HEADERS_MAX { map.finish_non_exhaustive() } else { map.finish() }
    }
}

// ===== impl Shown =====

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.redaction.hides_header(self.name, self.value) {
            return f.write_str(REDACTED);
        }
        // What is no text is nobody's to read in a log.
        let Ok(text) = self.value.to_str() else {
            return write!(f, "[{} bytes]", self.value.len());
        };
        // A code or a token may stand in the query of an address.
        if [LOCATION, CONTENT_LOCATION, REFERER].contains(self.name) {
            return match text.split('#').next().unwrap_or_default().parse::<Uri>() {
                Ok(uri) => write!(f, "\"{}\"", self.redaction.uri(&uri)),
                Err(_not_a_uri) => f.write_str(REDACTED),
            };
        }
        if text.split([' ', ',', ';', '"', '=']).any(looks_secret) {
            return f.write_str(REDACTED);
        }
        match text.get(..VALUE_MAX) {
            Some(start) if start.len() < text.len() => write!(f, "{start:?}… ({} bytes)", text.len()),
            _ => write!(f, "{text:?}"),
        }
    }
}

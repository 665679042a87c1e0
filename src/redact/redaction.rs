//! The names that are hidden.

use std::{collections::BTreeSet, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::Value;

use super::{
    headers::RedactedHeaders,
    names::{is_built_in, is_shown_header, normalised},
    shapes::looks_secret,
    uri::RedactedUri,
};

/// What stands in the place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Deeper members of a JSON value are hidden as a whole.
const DEPTH_MAX: usize = 32;

/// Knows what to hide. See the [module docs](super). Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    names: Arc<BTreeSet<String>>,
    /// Beside the built-in ones, in lower case.
    shown_headers: Arc<BTreeSet<String>>,
}

impl Redaction {
    /// Hides the values of all headers but harmless ones, and elsewhere what the built-in names speak of.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hides these names, too: of headers, query parameters and JSON members alike.
    #[must_use]
    pub fn and_names<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let added = names.into_iter().map(|name| normalised(name.as_ref()));
        Arc::make_mut(&mut self.names).extend(added);
        self
    }

    /// Shows the values of these headers, too. A name that [speaks of a credential](Self::hides) stays hidden, built-in
    /// or one's own, whichever was said first.
    #[must_use]
    pub fn and_shown_headers<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let added = names.into_iter().map(|name| name.as_ref().to_lowercase());
        Arc::make_mut(&mut self.shown_headers).extend(added);
        self
    }

    /// Whether a name speaks of a credential: what it names is hidden wherever it stands. Of other names, query
    /// parameters and members are shown, and headers only if they are listed.
    pub fn hides(&self, name: &str) -> bool {
        is_built_in(name) || self.names.contains(&normalised(name))
    }

    /// Headers as they may be shown.
    pub fn headers<'a>(&'a self, headers: &'a HeaderMap) -> RedactedHeaders<'a> {
        RedactedHeaders { redaction: self, headers }
    }

    /// A URI as it may be shown: without user and password.
    pub fn uri<'a>(&'a self, uri: &'a Uri) -> RedactedUri<'a> {
        RedactedUri { redaction: self, uri }
    }

    /// A JSON value with its secrets replaced: members that are hidden by name, with everything below them, and
    /// texts that look like tokens.
    pub fn json(&self, value: &Value) -> Value {
        self.json_at(value, 0)
    }

    fn json_at(&self, value: &Value, depth: usize) -> Value {
        if depth == DEPTH_MAX {
            return Value::from(REDACTED);
        }
        match value {
            Value::Object(members) => {
                let shown = members.iter().map(|(name, member)| {
                    let hidden = self.hides(name) && !member.is_null();
                    let member = if hidden { Value::from(REDACTED) } else { self.json_at(member, depth + 1) };
                    (name.clone(), member)
                });
                Value::Object(shown.collect())
            }
            Value::Array(items) => items.iter().map(|item| self.json_at(item, depth + 1)).collect(),
            Value::String(text) if looks_secret(text) => Value::from(REDACTED),
            other => other.clone(),
        }
    }

    pub(super) fn hides_header(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        let listed = is_shown_header(name.as_str()) || self.shown_headers.contains(name.as_str());
        value.is_sensitive() || !listed || self.hides(name.as_str())
    }
}

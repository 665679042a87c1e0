//! Which paths a setting covers.
//!
//! 1. A pattern is a path, segment by segment: `/health` covers `/health` and nothing else, neither `/health/` nor
//!    `/Health`.
//! 2. `*` is exactly one segment that is not empty: `/users/*/avatar`.
//! 3. `/**` at the end is a slash and any rest, also an empty one: `/static/**` covers `/static/`, `/static/x` and
//!    `/static/a/b`, and not `/static`.
//! 4. Each segment of a request's path is percent-decoded exactly once and then compared; query and fragment are no
//!    part of a path.
//! 5. A path that two programs could read in two ways is never covered, not by `/**` either: one with an empty
//!    segment (`//`), a `.` or `..` segment, a `\`, a control character, a broken escape, bad UTF-8, or an escaped
//!    `/`, `\`, `%`, `?` or `#`. What stands behind a `;` is no part of a segment's name here, so `..;x` is a `..`
//!    segment too.
//! 6. `/health` does not cover `/health;v=1`: a segment is compared with its `;` and what follows.
//!
//! ```
//! use portcullis::path::PathSet;
//!
//! let open = PathSet::new(["/health", "/static/**", "/users/*/avatar"])?;
//! assert!(open.matches("/static/css/site.css") && open.matches("/users/ada/avatar"));
//! assert!(!open.matches("/health/") && !open.matches("/static/%2e%2e/admin"));
//! # Ok::<(), portcullis::error::ConfigError>(())
//! ```

use std::borrow::Cow;

use crate::error::{ConfigError, Faults};

/// A set of path patterns. See the [module docs](self). The default is empty and covers nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathSet {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    segments: Vec<Segment>,
    /// Ends with `/**`.
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Empty for a slash at the end.
    Exact(String),
    Any,
}

// ===== impl PathSet =====

impl PathSet {
    /// Reads patterns.
    ///
    /// # Errors
    /// [`ConfigError`] with every pattern that no path could match, or that is no path segment by segment.
    pub fn new<T: Into<String>>(patterns: impl IntoIterator<Item = T>) -> Result<Self, ConfigError> {
        let patterns: Vec<String> = patterns.into_iter().map(Into::into).collect();
        let mut faults = Faults::default();
        let set = Self::parse(&patterns, "patterns", &mut faults);
        faults.finish()?;
        Ok(set)
    }

    /// Reads the patterns of the setting `field`. Those with a fault are left out.
    pub(crate) fn parse(patterns: &[String], field: &'static str, faults: &mut Faults) -> Self {
        let mut set = Self::default();
        for text in patterns {
            match Pattern::parse(text) {
                Ok(pattern) => set.patterns.push(pattern),
                Err(rule) => faults.add(field, text, rule),
            }
        }
        set
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether one of the patterns covers this path of a request, as it came: `uri.path()`. Allocates only where
    /// the path holds a `%`.
    pub fn matches(&self, raw_path: &str) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        let Some(path) = decode(raw_path) else { return false };
        let Some(path) = path.strip_prefix('/') else { return false };
        is_plain(path) && self.patterns.iter().any(|pattern| pattern.covers(path))
    }
}

// ===== impl Pattern =====

impl Pattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let path = text.strip_prefix('/').ok_or("must start with `/`")?;
        if !is_plain(path) {
            return Err(
                "must be a decoded path without query, `%`, `\\`, control characters, and empty, `.` or `..` segments",
            );
        }
        let (before, open) = match path.strip_suffix("**") {
            Some("") => return Ok(Self { segments: Vec::new(), open: true }),
            Some(before) if before.ends_with('/') => (&before[..before.len() - 1], true),
            _ => (path, false),
        };
        let segment = |text: &str| match text {
            "*" => Ok(Segment::Any),
            _ if text.contains('*') => Err("must have `*` as a whole segment, and `**` only as the last one"),
            _ => Ok(Segment::Exact(text.to_owned())),
        };
        Ok(Self { segments: before.split('/').map(segment).collect::<Result<_, _>>()?, open })
    }

    /// `path` is without its first slash.
    fn covers(&self, path: &str) -> bool {
        let mut found = path.split('/');
        self.segments.iter().all(|segment| found.next().is_some_and(|text| segment.covers(text)))
            && found.next().is_some() == self.open
    }
}

// ===== impl Segment =====

impl Segment {
    fn covers(&self, text: &str) -> bool {
        match self {
            Self::Exact(name) => name == text,
            Self::Any => !text.is_empty(),
        }
    }
}

// ===== reading a path =====

/// The path with its escapes read once. `None` for a broken one, for bad UTF-8, and for an escaped `/`: that
/// divides no segments here, and would elsewhere.
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut path = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    loop {
        rest = match rest {
            [] => return String::from_utf8(path).ok().map(Cow::Owned),
            [b'%', high, low, rest @ ..] => {
                let byte = digit(*high)? << 4 | digit(*low)?;
                path.push(Some(byte).filter(|byte| *byte != b'/')?);
                rest
            }
            [b'%', ..] => return None,
            [byte, rest @ ..] => {
                path.push(*byte);
                rest
            }
        }
    }
}

/// Whether a decoded path, without its first slash, means the same to everybody. A `%` that is left was escaped
/// itself, and a second decoding would find something else in it.
fn is_plain(path: &str) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, '\\' | '%' | '?' | '#');
    let named = |segment: &str| !matches!(segment.split(';').next(), Some("" | "." | ".."));
    path.chars().all(plain)
        && (path.is_empty() || path.strip_suffix('/').unwrap_or(path).split('/').all(named))
}

#[cfg(test)]
mod tests;

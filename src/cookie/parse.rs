//! A `Set-Cookie` taken apart as browsers do (RFC 6265bis §5.6): every text parses, and the last of several
//! equal attributes counts.

use super::{SameSite, settings::ATTRIBUTE_CAP};

/// What a `Set-Cookie` says.
#[derive(Default)]
pub(super) struct Parsed<'a> {
    /// Empty where there is no `=`: browsers then take the text for the value.
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// In seconds; a negative one is zero.
    pub(super) max_age: Option<u64>,
    pub(super) expires: Option<&'a str>,
    pub(super) domain: bool,
    /// `None` also where browsers would put the folder of the request in its place.
    pub(super) path: Option<&'a str>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    /// `None` also for a word that browsers do not know.
    pub(super) same_site: Option<SameSite>,
    /// Attributes that are not judged, as they came.
    pub(super) others: Vec<&'a str>,
}

impl<'a> Parsed<'a> {
    pub(super) fn new(set_cookie: &'a str) -> Self {
        let mut parts = set_cookie.split(';');
        let pair = parts.next().unwrap_or_default();
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let mut parsed = Self { name: trim(name), value: trim(value), ..Self::default() };
        for attribute in parts {
            parsed.attribute(trim(attribute));
        }
        parsed
    }

    fn attribute(&mut self, attribute: &'a str) {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let (name, value) = (trim(name), trim(value));
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if name.is_empty() || value.len() > ATTRIBUTE_CAP {
            // Browsers pass over it.
        } else if is("Max-Age") {
            self.max_age = seconds(value).or(self.max_age);
        } else if is("Expires") {
            self.expires = Some(value);
        } else if is("Domain") {
            self.domain = true;
        } else if is("Path") {
            self.path = value.starts_with('/').then_some(value);
        } else if is("Secure") {
            self.secure = true;
        } else if is("HttpOnly") {
            self.http_only = true;
        } else if is("SameSite") {
            self.same_site = same_site(value);
        } else {
            self.others.push(attribute);
        }
    }
}

fn same_site(word: &str) -> Option<SameSite> {
    let known = [("Lax", SameSite::Lax), ("None", SameSite::None), ("Strict", SameSite::Strict)];
    known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, same_site)| same_site)
}

/// `None` for what browsers pass over. Numbers beyond all counting are the largest.
fn seconds(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if negative { 0 } else { digits.parse().unwrap_or(u64::MAX) })
}

/// Takes off blanks and tabs, which are all that a browser takes off.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

//! Where a login may send a person back to.

use http::Uri;

use crate::{origin::Origin, text::is_visible};

const LENGTH_MAX: usize = 2048;
/// Nobody honest escapes a text more often.
const ESCAPES_MAX: usize = 8;

/// The text, if it is a path on this very host, so that a redirect to it stays here: for the parameter that a login
/// page was given. Otherwise `None`: go to a page of your own.
///
/// It starts with one `/`, is at most 2048 characters of visible ASCII without `\`, and however often it is
/// percent-decoded, its path has no `//` and no `\`, and it has no control characters.
pub fn safe_next(text: &str) -> Option<&str> {
    (is_clean(text) && text.starts_with('/') && is_steady(text)).then_some(text)
}

/// As [`safe_next`], and also lets absolute URLs pass whose origin is one of these, each written as
/// `https://shop.example.com`. An entry that is no origin allows nothing.
pub fn safe_next_in<'a>(text: &'a str, origins: &[impl AsRef<str>]) -> Option<&'a str> {
    safe_next(text).or_else(|| {
        let uri = absolute(text)?;
        let listed = |text: &str| Origin::parse(text).is_some_and(|origin| origin.matches(&uri));
        origins.iter().any(|origin| listed(origin.as_ref())).then_some(text)
    })
}

/// An absolute URL that names its host in one way only.
pub(super) fn absolute(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let host = uri.authority()?.as_str();
    let (_scheme, behind) = text.split_once("://")?;
    let reference = behind.strip_prefix(host)?;
    // `user@host` reads like a host to people.
    let plain = !host.contains('@');
    (plain && is_clean(text) && is_steady(reference)).then_some(uri)
}

fn is_clean(text: &str) -> bool {
    text.len() <= LENGTH_MAX && is_visible(text) && !text.contains('\\')
}

/// Whether a path, query and fragment stay what they are when something behind us decodes them, once or again.
fn is_steady(reference: &str) -> bool {
    let (path, rest) = reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
    let no_control = |text: &[u8]| !text.iter().any(u8::is_ascii_control);
    let one_host = |text: &[u8]| !text.windows(2).any(|pair| pair == b"//") && !text.contains(&b'\\');
    holds_for_every_reading(path, |text| {
        no_control(text) && one_host(text) && std::str::from_utf8(text).is_ok()
    }) && holds_for_every_reading(rest, no_control)
}

fn holds_for_every_reading(text: &str, holds: impl Fn(&[u8]) -> bool) -> bool {
    let mut text = text.as_bytes().to_vec();
    for _ in 0..ESCAPES_MAX {
        if !holds(&text) {
            return false;
        }
        let decoded = decode(&text);
        if decoded == text {
            return true;
        }
        text = decoded;
    }
    false
}

/// Broken escapes stay as they are, as browsers leave them.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, tail @ ..] => {
                digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low, tail))
            }
            _ => None,
        };
        let (byte, tail) = escape.unwrap_or((*first, tail));
        decoded.push(byte);
        rest = tail;
    }
    decoded
}

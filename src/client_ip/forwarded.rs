//! Reading the headers in which proxies name their clients, from right to left.
//!
//! From the right, because the entries there are those of our own proxies. A client that sends half a quoted string
//! must not be able to swallow what a proxy appends to it.

use std::net::IpAddr;

/// The entries of a line, the last one first. A comma inside a quoted string divides nothing.
pub(super) fn entries_from_the_right(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let mut quoted = false;
        for at in (0..line.len()).rev() {
            match line[at] {
                b'"' if !is_escaped(&line[..at]) => quoted = !quoted,
                b',' if !quoted => {
                    rest = Some(&line[..at]);
                    return Some(line[at + 1..].trim_ascii());
                }
                _ => {}
            }
        }
        rest = None;
        Some(line.trim_ascii())
    })
}

/// Whether a character stands behind an odd number of backslashes.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// An entry of `X-Forwarded-For`: an address, perhaps with a port; IPv6 with or without brackets.
pub(super) fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    text.parse().ok().or_else(|| node(text))
}

/// The `for` parameter of an entry of `Forwarded` (RFC 7239 §4), if it names an address. A parameter that comes
/// twice makes the entry worthless.
pub(super) fn for_parameter(entry: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = std::str::from_utf8(entry).ok()?;
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = value(behind)?;
        if name.trim_ascii().eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
        rest = match behind.trim_ascii_start() {
            "" => "",
            behind => behind.strip_prefix(';')?,
        };
    }
    node(found?)
}

/// A token or a quoted string at the start of the text, and what is behind it. Escapes are left as they are: no
/// address has one.
fn value(text: &str) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(text.split_at(text.find(';').unwrap_or(text.len())));
    };
    let closes =
        |(at, byte): (usize, u8)| (byte == b'"' && !is_escaped(&quoted.as_bytes()[..at])).then_some(at);
    let end = quoted.bytes().enumerate().find_map(closes)?;
    Some((&quoted[..end], &quoted[end + 1..]))
}

/// An address of RFC 7239 §6: IPv4, or IPv6 in brackets, perhaps with a port. `None` for `unknown` and for names
/// that hide the address.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim_ascii();
    let (address, port): (IpAddr, &str) = match text.strip_prefix('[') {
        Some(text) => {
            let (address, port) = text.split_once(']')?;
            (IpAddr::V6(address.parse().ok()?), port)
        }
        None => {
            let (address, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (IpAddr::V4(address.parse().ok()?), port)
        }
    };
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(address)
}

/// A number, or a word that hides one.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(word) => {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

//! The reader: one pass over the bytes, which never fails.

use super::Challenge;
use crate::{credential::is_token68, text::is_tchar};

/// Longer headers are read up to here.
const BYTES_MAX: usize = 16 * 1024;
const CHALLENGES_MAX: usize = 64;

/// The challenges of several header lines.
pub(super) fn challenges<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut left = BYTES_MAX;
    for line in lines {
        let line = &line[..line.len().min(left)];
        left -= line.len();
        Scanner { rest: line, unclosed: false }.line(&mut found);
    }
    found
}

#[derive(Clone, Copy)]
struct Scanner<'a> {
    /// What is left of the line.
    rest: &'a [u8],
    /// A quote was never closed. From then on none is looked for: the search would begin at each quote anew.
    unclosed: bool,
}

impl<'a> Scanner<'a> {
    fn line(&mut self, found: &mut Vec<Challenge>) {
        // Parameters belong to the last challenge of the same line, unless junk has come between.
        let mut open = false;
        loop {
            self.blanks();
            if self.rest.is_empty() || found.len() > CHALLENGES_MAX {
                found.truncate(CHALLENGES_MAX);
                return;
            }
            if self.comma() {
                continue;
            }
            let parameter = if open { self.parameter() } else { None };
            match (parameter, found.last_mut()) {
                (Some(parameter), Some(challenge)) => challenge.parameters.push(parameter),
                _ => {
                    let challenge = self.challenge();
                    open = challenge.is_some();
                    found.extend(challenge);
                }
            }
            self.blanks();
            if !self.rest.is_empty() && !self.comma() {
                self.skip();
                open = false;
            }
        }
    }

    /// `auth-scheme [ 1*SP ( token68 / auth-param ) ]`; further parameters come behind commas.
    fn challenge(&mut self) -> Option<Challenge> {
        let scheme = self.word()?.to_owned();
        let mut challenge = Challenge { scheme, token: None, parameters: Vec::new() };
        let before = self.rest.len();
        self.blanks();
        if self.rest.len() < before {
            if let Some(parameter) = self.parameter() {
                challenge.parameters.push(parameter);
            } else {
                challenge.token = self.token68();
            }
        }
        Some(challenge)
    }

    /// `token BWS "=" BWS ( token / quoted-string )`. Nothing is consumed if there is none.
    fn parameter(&mut self) -> Option<(String, String)> {
        let mut ahead = *self;
        let name = ahead.word()?.to_owned();
        ahead.blanks();
        ahead.rest = ahead.rest.strip_prefix(b"=")?;
        ahead.blanks();
        let value = match ahead.rest.first() {
            Some(b'"') => {
                let value = ahead.quoted();
                self.unclosed = ahead.unclosed;
                value?
            }
            _ => ahead.word()?.to_owned(),
        };
        // What goes on is something else: `a=b=` could be a token.
        let ends = matches!(ahead.rest.first(), None | Some(b' ' | b'\t' | b','));
        ends.then(|| {
            self.rest = ahead.rest;
            (name, value)
        })
    }

    /// Nothing is consumed if there is none.
    fn token68(&mut self) -> Option<String> {
        let end =
            self.rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b',')).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let text = std::str::from_utf8(text).ok().filter(|text| is_token68(text.as_bytes()))?;
        self.rest = rest;
        Some(text.to_owned())
    }

    /// A quoted-string (RFC 9110 §5.6.4), without its quotes and with its pairs resolved. Bytes that are no text
    /// are replaced: nobody decides by them.
    fn quoted(&mut self) -> Option<String> {
        let mut text = Vec::new();
        let mut rest = if self.unclosed { &[] } else { self.rest.get(1..).unwrap_or_default() };
        self.unclosed = true;
        loop {
            rest = match rest {
                [b'"', rest @ ..] => {
                    (self.rest, self.unclosed) = (rest, false);
                    return Some(String::from_utf8_lossy(&text).into_owned());
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                    text.push(*byte);
                    rest
                }
                [] => return None,
            };
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let end = self.rest.iter().position(|byte| !is_tchar(*byte)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let word = std::str::from_utf8(word).ok().filter(|word| !word.is_empty())?;
        self.rest = rest;
        Some(word)
    }

    fn blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn comma(&mut self) -> bool {
        let rest = self.rest.strip_prefix(b",");
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Past the next comma that is in no quotes.
    fn skip(&mut self) {
        while let [byte, rest @ ..] = self.rest {
            if *byte == b'"' && self.quoted().is_some() {
                continue;
            }
            self.rest = rest;
            if *byte == b',' {
                return;
            }
        }
    }
}

//! Which header names say who somebody is, however they are spelt.

use http::{HeaderMap, HeaderName, HeaderValue, header::CONNECTION};

use crate::{error::Faults, text::is_tchar};

/// What frames a message, or says where it goes, is not an identity.
const FRAMING: [&str; 7] =
    ["connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"];

/// A set of header names.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<Pattern>);

/// A name in its normal form, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    name: String,
    open: bool,
}

/// How the servers behind us may read a byte of a name. CGI, WSGI and PHP turn a name into a variable's, in which
/// a `_` stands for every `-`, and in some of them for everything else that is neither letter nor digit.
fn normal(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

// ===== impl Names =====

impl Names {
    /// Adds a name, or with a `*` at its end all names that begin so. A text with a fault is left out.
    pub(super) fn add(&mut self, text: &str, field: &'static str, faults: &mut Faults) {
        let (name, open) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        if name.is_empty() || name.contains('*') || !name.bytes().all(is_tchar) {
            faults.add(field, text, "must be a header name; a pattern is the start of one and a `*`");
            return;
        }
        let pattern = Pattern { name: name.bytes().map(|byte| char::from(normal(byte))).collect(), open };
        if FRAMING.iter().any(|name| pattern.covers(name.as_bytes())) {
            faults.add(field, text, "must not cover a header that frames or routes the message");
        } else {
            self.0.push(pattern);
        }
    }

    /// Adds all names of another set.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether the set has this name, in any spelling.
    pub(super) fn cover(&self, name: &[u8]) -> bool {
        self.0.iter().any(|pattern| pattern.covers(name))
    }

    /// Takes off every header of the set, and every mention of one in `Connection`.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        let covered = |name: &&HeaderName| self.cover(name.as_str().as_bytes());
        let names: Vec<HeaderName> = headers.keys().filter(covered).cloned().collect();
        for name in names {
            // All values of the name.
            headers.remove(name);
        }
        self.strip_connection(headers);
    }

    /// A name in `Connection` has the next proxy take that header off (RFC 9110 §7.6.1): a client could have it
    /// take off ours.
    fn strip_connection(&self, headers: &mut HeaderMap) {
        let lines = headers.get_all(CONNECTION).iter();
        let options =
            lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        let (ours, kept): (Vec<&[u8]>, Vec<&[u8]>) =
            options.filter(|option| !option.is_empty()).partition(|option| self.cover(option));
        if ours.is_empty() {
            return;
        }
        let kept = HeaderValue::from_bytes(&kept.join(&b", "[..]));
        headers.remove(CONNECTION);
        if let Some(kept) = kept.ok().filter(|kept| !kept.is_empty()) {
            headers.insert(CONNECTION, kept);
        }
    }
}

// ===== impl Pattern =====

impl Pattern {
    fn covers(&self, name: &[u8]) -> bool {
        let mut bytes = name.iter().map(|byte| normal(*byte));
        self.name.bytes().all(|own| bytes.next() == Some(own)) && (self.open || bytes.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str]) -> (Names, usize) {
        let (mut names, mut faults) = (Names::default(), Faults::default());
        for pattern in patterns {
            names.add(pattern, "strip", &mut faults);
        }
        (names, faults.finish().map_or_else(|error| error.faults().len(), |()| 0))
    }

    #[test]
    fn sec_j05_spellings_that_become_one_variable_are_one_name() {
        let (names, _) = names(&["X-User-Id", "x_corp_*"]);
        for name in ["x-user-id", "X-USER-ID", "x_user_id", "X_User-Id", "x.user.id", "x~user!id"] {
            assert!(names.cover(name.as_bytes()), "{name}");
        }
        for name in ["x-corp-", "x-corp-team", "X_Corp_Team", "x.corp.a.b"] {
            assert!(names.cover(name.as_bytes()), "{name}");
        }
        for name in ["x-user", "x-user-id-2", "x-userid", "x-corp", "x-corporate", "xx-user-id", ""] {
            assert!(!names.cover(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn bad_names_are_faults_and_cover_nothing() {
        let bad = ["", "*", "**", "a*b", "*-id", "x user", "x:y", "ä", "x\r\n", "Host", "content*", "te"];
        let (names, faults) = names(&bad);
        assert_eq!((names.0, faults), (Vec::new(), bad.len()));
    }

    #[test]
    fn what_else_connection_says_is_kept() {
        let (names, _) = names(&["x-user-*"]);
        let after = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONNECTION, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            names.strip(&mut headers);
            headers
                .get_all(CONNECTION)
                .iter()
                .map(|line| line.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(after(&["keep-alive, ,upgrade"]), ["keep-alive, ,upgrade"], "nothing to take off");
        assert_eq!(after(&["close, X-User-Id"]), ["close"]);
        assert_eq!(after(&["x_user_id,Upgrade", "x-user-name", "te"]), ["Upgrade, te"]);
        assert_eq!(after(&["x-user-id"]), [""; 0]);
    }
}

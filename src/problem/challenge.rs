//! `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3), written once when the layer is built.

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};

use super::RejectionKind;
use crate::scope::Scope;

/// The challenges of one layer, one line for each accepted scheme, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Challenges {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    scheme: Box<str>,
    plain: HeaderValue,
    invalid_request: HeaderValue,
    invalid_token: HeaderValue,
    insufficient_scope: HeaderValue,
}

/// The realm or a scheme cannot stand in a header.
#[derive(Debug)]
pub(crate) struct ChallengeError;

impl Challenges {
    /// `schemes` are tokens; `cookie` is the name to announce if cookies are read.
    pub(crate) fn new<'a>(
        realm: &str,
        schemes: impl Iterator<Item = &'a str>,
        cookie: Option<&str>,
        cookie_first: bool,
    ) -> Result<Self, ChallengeError> {
        let realm = format!("realm={}", quoted(realm)?);
        let mut lines = Vec::new();
        for scheme in schemes {
            lines.push(Line::new(scheme, &realm)?);
        }
        if let Some(name) = cookie {
            let line = Line::new("Cookie", &format!("{realm}, cookie-name={}", quoted(name)?))?;
            lines.insert(if cookie_first { 0 } else { lines.len() }, line);
        }
        Ok(Self { lines })
    }

    /// The scheme at a position, by which evidence and rejections name it.
    pub(crate) fn scheme(&self, position: u8) -> &str {
        self.lines.get(usize::from(position)).map_or("", |line| &*line.scheme)
    }

    /// Adds the challenges that belong to a refusal. `presented` is the scheme that the request used; it comes
    /// first, and alone carries the `error`.
    pub(crate) fn write(
        &self,
        headers: &mut HeaderMap,
        kind: RejectionKind,
        presented: Option<u8>,
        scope: Option<&str>,
    ) {
        let first = presented.map_or(0, usize::from);
        let error = self.lines.get(first).map(|line| match kind {
            RejectionKind::InvalidRequest => line.invalid_request.clone(),
            RejectionKind::InvalidToken => line.invalid_token.clone(),
            RejectionKind::InsufficientScope => line.insufficient_scope(scope),
            _ => line.plain.clone(),
        });
        match kind {
            RejectionKind::MissingCredential
            | RejectionKind::InvalidToken
            | RejectionKind::InvalidCredentials => {
                headers.extend(error.map(|value| (WWW_AUTHENTICATE, value)));
                for (_, line) in self.lines.iter().enumerate().filter(|(i, _)| *i != first) {
                    headers.append(WWW_AUTHENTICATE, line.plain.clone());
                }
            }
            RejectionKind::InvalidRequest | RejectionKind::InsufficientScope => {
                headers.extend(error.map(|value| (WWW_AUTHENTICATE, value)));
            }
            _ => {}
        }
    }
}

impl Line {
    fn new(scheme: &str, parameters: &str) -> Result<Self, ChallengeError> {
        let value = |error: &str| {
            HeaderValue::from_str(&format!("{scheme} {parameters}{error}"))
                .map_err(|_unprintable| ChallengeError)
        };
        Ok(Self {
            scheme: scheme.into(),
            plain: value("")?,
            invalid_request: value(", error=\"invalid_request\"")?,
            invalid_token: value(", error=\"invalid_token\"")?,
            insufficient_scope: value(", error=\"insufficient_scope\"")?,
        })
    }

    fn insufficient_scope(&self, scope: Option<&str>) -> HeaderValue {
        // Scope words hold neither a quote nor a backslash, so they need no escaping.
        let Some(scope) = scope.filter(|scope| Scope::parse(scope).is_ok()) else {
            return self.insufficient_scope.clone();
        };
        let mut value = self.insufficient_scope.as_bytes().to_vec();
        value.extend_from_slice(b", scope=\"");
        value.extend_from_slice(scope.as_bytes());
        value.push(b'"');
        HeaderValue::from_maybe_shared(bytes::Bytes::from(value))
            .unwrap_or_else(|_unprintable| self.insufficient_scope.clone())
    }
}

/// A quoted-string (RFC 9110 §5.6.4) of printable ASCII.
fn quoted(text: &str) -> Result<String, ChallengeError> {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        if !matches!(character, ' '..='~') {
            return Err(ChallengeError);
        }
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kind: RejectionKind, presented: Option<u8>, scope: Option<&str>) -> Vec<String> {
        let challenges =
            Challenges::new("a \"b\\", ["Bearer", "Token"].into_iter(), Some("__Host-t"), false).unwrap();
        let mut headers = HeaderMap::new();
        challenges.write(&mut headers, kind, presented, scope);
        headers.get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_presented_scheme_comes_first_and_alone_has_the_error() {
        assert_eq!(
            lines(RejectionKind::InvalidToken, Some(1), None),
            [
                r#"Token realm="a \"b\\", error="invalid_token""#,
                r#"Bearer realm="a \"b\\""#,
                r#"Cookie realm="a \"b\\", cookie-name="__Host-t""#,
            ]
        );
    }

    #[test]
    fn an_absent_credential_has_no_error() {
        assert!(
            lines(RejectionKind::MissingCredential, None, None).iter().all(|line| !line.contains("error="))
        );
        assert_eq!(lines(RejectionKind::MissingCredential, None, None).len(), 3);
    }

    #[test]
    fn a_missing_right_names_the_scope() {
        assert_eq!(
            lines(RejectionKind::InsufficientScope, Some(0), Some("orders:read")),
            [r#"Bearer realm="a \"b\\", error="insufficient_scope", scope="orders:read""#]
        );
    }

    #[test]
    fn a_scope_that_is_none_is_left_out() {
        for scope in ["a\"b", "", "a\r\nb"] {
            let lines = lines(RejectionKind::InsufficientScope, Some(0), Some(scope));
            assert!(lines[0].ends_with(r#"error="insufficient_scope""#), "{lines:?}");
        }
    }

    #[test]
    fn what_has_nothing_to_do_with_a_credential_has_no_challenge() {
        for kind in [
            RejectionKind::Csrf,
            RejectionKind::TooManyRequests,
            RejectionKind::Unavailable,
            RejectionKind::LayerMissing,
        ] {
            assert!(lines(kind, Some(0), None).is_empty());
        }
    }

    #[test]
    fn control_characters_in_a_realm_are_refused() {
        for realm in ["a\r\nb", "a\tb", "\u{e9}", "\u{7f}", "\0"] {
            assert!(Challenges::new(realm, ["Bearer"].into_iter(), None, false).is_err(), "{realm:?}");
        }
    }
}

//! A token that an endpoint gives in a response header.

use bytes::Bytes;
use http::{HeaderName, Method, Response};

use super::over_http::{HttpTokenFetcher, Manner, sealed};
use crate::{
    clock::Timestamp,
    pipeline::token::AccessToken,
    provider::{TokenError, TokenErrorKind},
};

/// Asks an endpoint and reads the token from one header of the answer, whatever the body says.
///
/// A scheme before the token (`Bearer abc`) is taken off and kept as the token's type.
pub type HeaderTokenFetcher = HttpTokenFetcher<FromHeader>;

/// Reads a header.
#[derive(Debug, Clone)]
pub struct FromHeader {
    name: Option<HeaderName>,
}

impl HeaderTokenFetcher {
    /// A step that posts to this URL, which must be `https`, and reads this header of the answer.
    pub fn post(name: impl Into<String>, url: impl AsRef<str>, header: impl AsRef<str>) -> Self {
        Self::make(name.into(), Method::POST, url.as_ref(), FromHeader { name: header.as_ref().parse().ok() })
    }

    /// A step that gets this URL.
    pub fn get(name: impl Into<String>, url: impl AsRef<str>, header: impl AsRef<str>) -> Self {
        Self::make(name.into(), Method::GET, url.as_ref(), FromHeader { name: header.as_ref().parse().ok() })
    }
}

impl sealed::Sealed for FromHeader {}

impl Manner for FromHeader {
    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        if self.name.is_none() { vec![("token header", "must be a header's name")] } else { Vec::new() }
    }

    fn read(&self, response: &Response<Bytes>, _now: Timestamp) -> Result<AccessToken, TokenError> {
        let malformed = || TokenError::new(TokenErrorKind::Malformed).with_status(response.status());
        let name = self.name.as_ref().ok_or_else(malformed)?;
        let mut values = response.headers().get_all(name).iter();
        // Two values: nobody could say which one is meant.
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(malformed());
        };
        let text = value.to_str().map_err(|_text_stays_secret| malformed())?;
        let token = match text.split_once(' ') {
            None => AccessToken::new(text),
            Some((scheme, token)) => {
                AccessToken::new(token.trim_start_matches(' ')).map(|token| token.with_type(scheme))
            }
        };
        token.map_err(|error| error.with_status(response.status()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        headers: &[(&'static str, &'static str)],
        expected: Result<(&str, Option<&str>), TokenErrorKind>,
    ) {
        let mut response = Response::new(Bytes::new());
        for (name, value) in headers {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        let reader = FromHeader { name: Some(HeaderName::from_static("x-session")) };
        let token = reader.read(&response, Timestamp::from_millis(0));
        let found = token
            .as_ref()
            .map(|token| (token.value().expose(), token.token_type()))
            .map_err(TokenError::kind);
        assert_eq!(found, expected);
    }

    #[test]
    fn r095_the_header_is_found_and_a_scheme_taken_off() {
        check(&[("X-SESSION", "abc"), ("x-other", "no")], Ok(("abc", None)));
        check(&[("x-session", "Bearer abc")], Ok(("abc", Some("Bearer"))));
        check(&[("x-session", "bearer  abc")], Ok(("abc", Some("bearer"))));
    }

    #[test]
    fn r095_a_header_without_one_token_is_an_error() {
        check(&[], Err(TokenErrorKind::Malformed));
        check(&[("x-session", "")], Err(TokenErrorKind::Malformed));
        check(&[("x-session", "Bearer ")], Err(TokenErrorKind::Malformed));
        check(&[("x-session", "Bearer a b")], Err(TokenErrorKind::Malformed));
        check(&[("x-session", "a"), ("x-session", "b")], Err(TokenErrorKind::Malformed));
    }
}

//! One token that an endpoint gave us.

use std::{fmt, time::Duration};

use http::HeaderValue;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
    text::is_visible,
};

/// A token of another service, with what its endpoint said of it.
#[derive(Clone)]
pub struct AccessToken {
    value: Secret,
    token_type: Option<String>,
    lifetime: Option<Duration>,
    refresh_in: Option<Duration>,
    refresh: Option<Secret>,
    scope: Option<String>,
    extra: Map<String, Value>,
}

impl AccessToken {
    /// A token.
    ///
    /// # Errors
    /// [`TokenErrorKind::Malformed`] unless the text is one or more characters of visible ASCII: nothing else
    /// can go into a header.
    pub fn new(value: impl Into<Secret>) -> Result<Self, TokenError> {
        let value = value.into();
        if !is_visible(value.expose()) {
            return Err(TokenError::new(TokenErrorKind::Malformed));
        }
        Ok(Self {
            value,
            token_type: None,
            lifetime: None,
            refresh_in: None,
            refresh: None,
            scope: None,
            extra: Map::new(),
        })
    }

    /// Sets the type, such as `Bearer`.
    #[must_use]
    pub fn with_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = Some(token_type.into());
        self
    }

    /// Sets the life that is left, counted from now.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets after how long, counted from now, its endpoint wants it renewed.
    #[must_use]
    pub fn with_refresh_in(mut self, wait: Duration) -> Self {
        self.refresh_in = Some(wait);
        self
    }

    /// Sets the refresh token that came with it.
    #[must_use]
    pub fn with_refresh(mut self, refresh: Secret) -> Self {
        self.refresh = Some(refresh);
        self
    }

    /// Sets the granted scope.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sets everything else that the answer held.
    #[must_use]
    pub fn with_extra(mut self, extra: Map<String, Value>) -> Self {
        self.extra = extra;
        self
    }

    /// The token's text.
    pub fn value(&self) -> &Secret {
        &self.value
    }

    /// Its type, if the endpoint named one.
    pub fn token_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }

    /// Its life as it was when it came.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// After how long its endpoint wants it renewed, if it said so; counted from when it came.
    pub fn refresh_in(&self) -> Option<Duration> {
        self.refresh_in
    }

    /// The refresh token that came with it.
    pub fn refresh(&self) -> Option<&Secret> {
        self.refresh.as_ref()
    }

    /// The granted scope.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// Everything else that the answer held, and every part that was named by a JSON pointer; it may hold
    /// secrets.
    pub fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    /// The header value that carries it: `prefix` and the token, or the token alone. A lease marks it sensitive.
    pub(super) fn header_value(&self, prefix: &Prefix) -> Result<HeaderValue, TokenError> {
        let word = match prefix {
            Prefix::TokenType => match self.token_type.as_deref() {
                // Many endpoints say `bearer`, and not every API compares without regard to case.
                None | Some("") => Some("Bearer"),
                Some(named) if named.eq_ignore_ascii_case("bearer") => Some("Bearer"),
                Some(named) => Some(named),
            },
            Prefix::Fixed(word) => Some(word.as_str()),
            Prefix::None => None,
        };
        let text = match word {
            Some(word) if !is_visible(word) => {
                return Err(TokenError::new(TokenErrorKind::Malformed));
            }
            Some(word) => Zeroizing::new(format!("{word} {}", self.value.expose())),
            None => Zeroizing::new(self.value.expose().to_owned()),
        };
        HeaderValue::from_str(&text).map_err(|_text_stays_secret| TokenError::new(TokenErrorKind::Malformed))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// What stands before the token in a header.
#[derive(Debug, Clone, Default)]
pub(super) enum Prefix {
    /// The token's type, `Bearer` if it has none.
    #[default]
    TokenType,
    Fixed(String),
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r091_the_header_is_the_type_and_the_token() {
        let token = AccessToken::new("abc").unwrap();
        let value = |token: &AccessToken, prefix: &Prefix| {
            token.header_value(prefix).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(value(&token, &Prefix::TokenType).unwrap(), "Bearer abc");
        assert_eq!(value(&token.clone().with_type("bearer"), &Prefix::TokenType).unwrap(), "Bearer abc");
        assert_eq!(value(&token.clone().with_type("MAC"), &Prefix::TokenType).unwrap(), "MAC abc");
        assert_eq!(
            value(&token.clone().with_type("MAC"), &Prefix::Fixed("Token".to_owned())).unwrap(),
            "Token abc"
        );
        assert_eq!(value(&token, &Prefix::None).unwrap(), "abc");
        assert!(value(&token.with_type("a\r\nb"), &Prefix::TokenType).is_err());
    }

    #[test]
    fn r091_a_token_is_visible_ascii_and_shows_nothing() {
        for text in ["", "a b", "a\r\nb", "a\tb", "\u{e9}", "a\0"] {
            assert_eq!(AccessToken::new(text).unwrap_err().kind(), TokenErrorKind::Malformed, "{text:?}");
        }
        let token = AccessToken::new("planted-value")
            .unwrap()
            .with_refresh(Secret::new("planted-refresh"))
            .with_type("planted-type");
        assert!(!format!("{token:?}").contains("planted"));
    }
}

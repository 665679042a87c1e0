//! The grants of OAuth 2.0 that need nobody at a browser.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response};

use super::{
    answer::{self, Fields},
    client_auth::ClientAuth,
    over_http::{HttpTokenFetcher, Manner, REFRESH, sealed},
};
use crate::{clock::Timestamp, pipeline::token::AccessToken, provider::TokenError, secret::Secret};

/// The client asks in its own name (RFC 6749 §4.4).
///
/// ```
/// use portcullis::pipeline::{ClientAuth, ClientCredentials};
///
/// let client = ClientAuth::basic("my-app", "s3cret");
/// let app = ClientCredentials::new("app", "https://auth.example.com/oauth2/token", client)
///     .scope("orders:read")
///     .field("audience", "https://api.example.com");
/// ```
pub type ClientCredentials = HttpTokenFetcher<Grant<ForClient>>;

/// The client asks with a user's name and password (RFC 6749 §4.3), for servers that have nothing better: RFC 9700
/// §2.4 forbids it to new ones.
pub type PasswordGrant = HttpTokenFetcher<Grant<ForUser>>;

/// The client asks with a refresh token that it was given by hand (RFC 6749 §6).
///
/// If an answer brings a new refresh token, that one is sent the next time; clones share it. It is kept in memory
/// only: where the server takes each refresh token once, a process that starts again needs a new one, unless it
/// [shares](super::super::TokenPipelineBuilder::shared) its tokens. Then the newest one is in the store, and what each
/// process begins with is sent only where the store has none, or one that is refused.
pub type RefreshTokenGrant = HttpTokenFetcher<Grant<ByRefreshToken>>;

/// Asks by a grant. A refresh token that came with a token is redeemed at the same endpoint, by the same client, with
/// the same further fields but the scope, which stays what was granted (RFC 6749 §6).
#[derive(Clone)]
pub struct Grant<K> {
    client: ClientAuth,
    scope: Option<String>,
    answer: Fields,
    kind: K,
}

/// What is particular to one grant.
pub trait GrantKind: sealed::Sealed + Send + Sync + 'static {
    #[doc(hidden)]
    const TYPE: &'static str;
    /// Its own credential may work only once.
    #[doc(hidden)]
    const ONCE: bool = false;

    #[doc(hidden)]
    fn fields(&self) -> Vec<(&'static str, Secret)>;

    #[doc(hidden)]
    fn begins(&self) -> Result<(), TokenError> {
        Ok(())
    }

    #[doc(hidden)]
    fn received(&self, _token: &AccessToken) {}

    #[doc(hidden)]
    fn refused(&self, _refresh: &Secret, _error: &TokenError) {}
}

/// The client's own.
#[derive(Debug, Clone)]
pub struct ForClient(());

/// A user's name and password.
#[derive(Clone)]
pub struct ForUser {
    name: Secret,
    password: Secret,
}

/// The newest refresh token.
#[derive(Clone)]
pub struct ByRefreshToken(Arc<Mutex<Newest>>);

struct Newest {
    token: Secret,
    /// It was refused a moment ago: whoever falls back on it need not send it once more.
    refused: Option<TokenError>,
}

// ===== making one =====

impl<K> HttpTokenFetcher<Grant<K>> {
    fn by(name: String, url: &str, client: ClientAuth, kind: K) -> Self {
        let grant = Grant { client, scope: None, answer: Fields::default(), kind };
        Self::make(name, Method::POST, url, grant)
    }

    /// Asks for a scope: words with a blank between them. Without it the server decides.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.manner.scope = Some(scope.into());
        self
    }
}

impl ClientCredentials {
    /// A step that asks this token endpoint, which must be `https`.
    pub fn new(name: impl Into<String>, url: impl AsRef<str>, client: ClientAuth) -> Self {
        Self::by(name.into(), url.as_ref(), client, ForClient(()))
    }
}

impl PasswordGrant {
    /// A step that asks this token endpoint, which must be `https`, for this user.
    pub fn new(
        name: impl Into<String>,
        url: impl AsRef<str>,
        client: ClientAuth,
        user: impl Into<Secret>,
        password: impl Into<Secret>,
    ) -> Self {
        let user = ForUser { name: user.into(), password: password.into() };
        Self::by(name.into(), url.as_ref(), client, user)
    }
}

impl RefreshTokenGrant {
    /// A step that asks this token endpoint, which must be `https`, with this refresh token to begin with.
    pub fn new(
        name: impl Into<String>,
        url: impl AsRef<str>,
        client: ClientAuth,
        refresh: impl Into<Secret>,
    ) -> Self {
        let newest = ByRefreshToken(Arc::new(Mutex::new(Newest { token: refresh.into(), refused: None })));
        Self::by(name.into(), url.as_ref(), client, newest)
    }
}

// ===== asking =====

impl<K> sealed::Sealed for Grant<K> {}

impl<K: GrantKind> Manner for Grant<K> {
    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        if !self.client.is_named() {
            faults.push(("client", "must have an id"));
        }
        if self.scope.as_deref().is_some_and(|scope| !is_scope(scope)) {
            faults.push(("scope", "must be words of visible ASCII without quotes, one blank between them"));
        }
        faults
    }

    fn fields(&self, refresh: Option<&Secret>) -> Option<Vec<(&'static str, Secret)>> {
        let mut fields = match refresh {
            Some(refresh) => vec![("grant_type", Secret::new(REFRESH)), (REFRESH, refresh.clone())],
            None => {
                let mut fields = vec![("grant_type", Secret::new(K::TYPE))];
                fields.extend(self.kind.fields());
                fields.extend(self.scope.iter().map(|scope| ("scope", Secret::new(scope.as_str()))));
                fields
            }
        };
        fields.extend(self.client.fields());
        Some(fields)
    }

    fn authorization(&self) -> Option<HeaderValue> {
        self.client.authorization()
    }

    fn read(&self, response: &Response<Bytes>, now: Timestamp) -> Result<AccessToken, TokenError> {
        answer::read_body(response, &self.answer, now)
    }

    fn begins(&self) -> Result<(), TokenError> {
        self.kind.begins()
    }

    fn received(&self, token: &AccessToken) {
        self.kind.received(token);
    }

    fn refused(&self, refresh: &Secret, error: &TokenError) {
        self.kind.refused(refresh, error);
    }

    fn must_finish(&self) -> bool {
        K::ONCE
    }
}

/// `scope-token *( SP scope-token )` (RFC 6749 §3.3).
fn is_scope(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    text.split(' ').all(|word| !word.is_empty() && word.bytes().all(allowed))
}

impl sealed::Sealed for ForClient {}

impl GrantKind for ForClient {
    const TYPE: &'static str = "client_credentials";

    fn fields(&self) -> Vec<(&'static str, Secret)> {
        Vec::new()
    }
}

impl sealed::Sealed for ForUser {}

impl GrantKind for ForUser {
    const TYPE: &'static str = "password";

    fn fields(&self) -> Vec<(&'static str, Secret)> {
        vec![("username", self.name.clone()), ("password", self.password.clone())]
    }
}

impl fmt::Debug for ForUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForUser(..)")
    }
}

impl sealed::Sealed for ByRefreshToken {}

impl GrantKind for ByRefreshToken {
    const TYPE: &'static str = REFRESH;
    const ONCE: bool = true;

    fn fields(&self) -> Vec<(&'static str, Secret)> {
        vec![(REFRESH, self.newest().token.clone())]
    }

    fn begins(&self) -> Result<(), TokenError> {
        self.newest().refused.take().map_or(Ok(()), Err)
    }

    fn received(&self, token: &AccessToken) {
        if let Some(newest) = token.refresh() {
            *self.newest() = Newest { token: newest.clone(), refused: None };
        }
    }

    fn refused(&self, refresh: &Secret, error: &TokenError) {
        let mut newest = self.newest();
        newest.refused = (newest.token == *refresh).then(|| error.clone());
    }
}

impl ByRefreshToken {
    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ByRefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByRefreshToken(..)")
    }
}

impl<K> fmt::Debug for Grant<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("client", &self.client)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r114_a_scope_is_words_with_single_blanks() {
        for scope in ["a", "orders:read orders:write", "https://api.example.com/.default"] {
            assert!(is_scope(scope), "{scope:?}");
        }
        for scope in ["", " ", " a", "a ", "a  b", "a\tb", "a\"b", "a\\b", "\u{e9}"] {
            assert!(!is_scope(scope), "{scope:?}");
        }
    }
}

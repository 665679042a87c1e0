//! A token that somebody has put into the settings.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use zeroize::Zeroizing;

use super::{Ask, Lease, TokenError, TokenProvider};
use crate::{
    error::{ConfigError, Faults},
    maybe_ready::MaybeReady,
    secret::Secret,
    text::is_visible,
};

/// A token as `Authorization: Bearer …` (RFC 6750 §2.1). It is never renewed.
#[derive(Clone)]
pub struct StaticBearer(Arc<Lease>);

impl StaticBearer {
    /// The token without its scheme.
    ///
    /// # Errors
    /// [`ConfigError`] if the token is not one or more characters of visible ASCII.
    pub fn new(token: impl Into<Secret>) -> Result<Self, ConfigError> {
        let token = token.into();
        let mut faults = Faults::default();
        faults.check(is_visible(token.expose()), "token", "…", "must be visible ASCII");
        faults.finish()?;
        let text = Zeroizing::new(["Bearer ", token.expose()].concat());
        let value = HeaderValue::from_str(&text).expect("visible ASCII is a value");
        Ok(Self(Arc::new(Lease::fixed(value))))
    }
}

impl TokenProvider for StaticBearer {
    fn header(&self) -> &HeaderName {
        &AUTHORIZATION
    }

    fn lease(&self, _ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        MaybeReady::Now(Ok(Arc::clone(&self.0)))
    }

    fn newer_than(&self, _rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        MaybeReady::Now(Ok(None))
    }
}

impl fmt::Debug for StaticBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticBearer(..)")
    }
}

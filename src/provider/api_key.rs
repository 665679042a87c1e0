//! A key in a header of its own.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{Ask, Lease, TokenError, TokenProvider};
use crate::{
    error::{ConfigError, Faults},
    maybe_ready::MaybeReady,
    secret::Secret,
    text::is_visible,
};

/// An API key, sent as the value of a header. It is never renewed.
#[derive(Clone)]
pub struct ApiKey {
    header: HeaderName,
    lease: Arc<Lease>,
}

impl ApiKey {
    /// The key as the whole value of this header: `x-api-key`.
    ///
    /// # Errors
    /// [`ConfigError`] if the name is no header's, or the key is not one or more characters of visible ASCII.
    pub fn header(name: impl AsRef<str>, key: impl Into<Secret>) -> Result<Self, ConfigError> {
        let (name, key) = (name.as_ref(), key.into());
        let mut faults = Faults::default();
        let header = name.parse::<HeaderName>().ok();
        // Where the arguments were swapped, this is the key.
        faults.check(header.is_some(), "header", "…", "must be a header's name");
        let value = Some(key.expose()).filter(|key| is_visible(key)).map(HeaderValue::from_str);
        faults.check(value.is_some(), "key", "…", "must be visible ASCII");
        faults.finish()?;
        Ok(Self {
            header: header.unwrap_or(AUTHORIZATION),
            lease: Arc::new(Lease::fixed(value.and_then(Result::ok).expect("visible ASCII is a value"))),
        })
    }
}

impl TokenProvider for ApiKey {
    fn header(&self) -> &HeaderName {
        &self.header
    }

    fn lease(&self, _ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        MaybeReady::Now(Ok(Arc::clone(&self.lease)))
    }

    fn newer_than(&self, _rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        MaybeReady::Now(Ok(None))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("header", &self.header).finish_non_exhaustive()
    }
}

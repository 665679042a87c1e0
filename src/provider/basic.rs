//! User and password.

use std::{fmt, sync::Arc};

use data_encoding::BASE64;
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use zeroize::Zeroizing;

use super::{Ask, Lease, TokenError, TokenProvider};
use crate::{
    error::{ConfigError, Faults},
    maybe_ready::MaybeReady,
    secret::Secret,
};

/// User and password as `Authorization: Basic …` (RFC 7617 §2), in UTF-8. They are never renewed.
#[derive(Clone)]
pub struct Basic(Arc<Lease>);

impl Basic {
    /// Either may be empty.
    ///
    /// # Errors
    /// [`ConfigError`] if the user holds a colon, which would begin the password, or either holds a control
    /// character.
    pub fn new(user: impl AsRef<str>, password: impl Into<Secret>) -> Result<Self, ConfigError> {
        let (user, password) = (user.as_ref(), password.into());
        let plain = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control());
        let mut faults = Faults::default();
        // Behind a colon there may be the password, and after a paste anything.
        faults.check(!user.contains(':'), "user", "…", "must not hold a colon");
        faults.check(plain(user), "user", "…", "must not hold control characters");
        faults.check(plain(password.expose()), "password", "…", "must not hold control characters");
        faults.finish()?;
        let pair = Zeroizing::new([user, ":", password.expose()].concat());
        let text = Zeroizing::new(["Basic ", &Zeroizing::new(BASE64.encode(pair.as_bytes()))].concat());
        let value = HeaderValue::from_str(&text).expect("Base64 is visible ASCII");
        Ok(Self(Arc::new(Lease::fixed(value))))
    }
}

impl TokenProvider for Basic {
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

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Basic(..)")
    }
}

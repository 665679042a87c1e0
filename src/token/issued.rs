//! What leaves the service, once.

use std::{fmt, sync::Arc, time::Duration};

use super::touch::cookie_max_age;
use crate::{clock::Timestamp, secret::Secret, store::LoginRecord};

/// Fresh tokens: the only time their texts leave the service.
#[derive(Clone)]
pub struct Issued {
    access: Secret,
    refresh: Option<Secret>,
    record: Arc<LoginRecord>,
    now: Timestamp,
}

impl Issued {
    pub(super) fn new(
        access: Secret,
        refresh: Option<Secret>,
        record: Arc<LoginRecord>,
        now: Timestamp,
    ) -> Self {
        Self { access, refresh, record, now }
    }

    /// The access token.
    pub fn access(&self) -> &Secret {
        &self.access
    }

    /// The refresh token, if there is one.
    pub fn refresh(&self) -> Option<&Secret> {
        self.refresh.as_ref()
    }

    /// The login.
    pub fn record(&self) -> &LoginRecord {
        &self.record
    }

    /// The login, to keep.
    pub(crate) fn shared_record(&self) -> Arc<LoginRecord> {
        Arc::clone(&self.record)
    }

    /// What is left of the access token's life; `None` if it never ends.
    pub fn expires_in(&self) -> Option<Duration> {
        self.remaining(self.record.access_expires())
    }

    /// What is left of the refresh token's life; `None` if there is none, or if it never ends.
    pub fn refresh_expires_in(&self) -> Option<Duration> {
        self.remaining(self.record.refresh_expires()?)
    }

    /// The `Max-Age` of a cookie with the access token; `None` for a cookie that ends with the browser.
    pub fn cookie_max_age(&self) -> Option<Duration> {
        cookie_max_age(&self.record, self.now)
    }

    fn remaining(&self, end: Timestamp) -> Option<Duration> {
        (end != Timestamp::NEVER).then(|| end.since(self.now))
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("record", &self.record).finish_non_exhaustive()
    }
}

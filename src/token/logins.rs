//! Lists of logins: a user's devices, and what an operator looks for.

use std::sync::Arc;

use super::{
    options::{LABEL_RULE, is_label},
    service::TokenService,
};
use crate::{
    clock::Timestamp,
    error::{BoxError, Faults},
    identity::Subject,
    store::{Found, ListQuery, LoginRecord, StoreError},
    text::TokenId,
};

/// Records that are read from the store at a time.
const BATCH: usize = 256;
/// Logins on one page at most.
const PAGE_MAX: usize = 1000;

/// Which logins to list. A login may be in several states at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LoginState {
    /// A token of it is valid: it is active or refreshable.
    #[default]
    Live,
    /// Its access token is valid.
    Active,
    /// Its refresh token is valid, whether or not the access token is.
    Refreshable,
    /// All its tokens have ended by themselves.
    Expired,
    /// It was ended before its time.
    Revoked,
    /// Any.
    Any,
}

/// A question for logins.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct LoginQuery {
    subject: Option<Subject>,
    state: LoginState,
    after: Option<TokenId>,
    limit: Option<usize>,
}

/// Logins in the order of their ids.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoginPage {
    /// The logins.
    pub logins: Vec<Arc<LoginRecord>>,
    /// Where the next page starts, if there may be one.
    pub next: Option<TokenId>,
}

// ===== impl LoginQuery =====

impl LoginQuery {
    /// The live logins of one subject: its devices.
    pub fn of(subject: Subject) -> Self {
        Self { subject: Some(subject), ..Self::default() }
    }

    /// The live logins of everybody. This passes over the whole store.
    pub fn everyone() -> Self {
        Self::default()
    }

    /// Asks for logins in another state than [`LoginState::Live`].
    pub fn state(mut self, state: LoginState) -> Self {
        self.state = state;
        self
    }

    /// Goes on behind this login: [`LoginPage::next`] of the page before.
    pub fn after(mut self, login: TokenId) -> Self {
        self.after = Some(login);
        self
    }

    /// At most so many on a page, 1 to 1000, other numbers are brought into that range. Default 100.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl LoginState {
    fn covers(self, found: &Found, now: Timestamp) -> bool {
        let record = &found.record;
        let revoked = record.revoked.is_some() || found.epoch != Some(record.epoch);
        let active = !record.is_expired(now);
        let refreshable = record.refresh_expires().is_some_and(|end| now < end);
        match self {
            Self::Any => true,
            Self::Revoked => revoked,
            Self::Live => !revoked && (active || refreshable),
            Self::Active => !revoked && active,
            Self::Refreshable => !revoked && refreshable,
            Self::Expired => !revoked && !active && !refreshable,
        }
    }
}

impl<I> TokenService<I> {
    /// Lists logins.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not answer.
    ///
    /// # Cancel safety
    /// Nothing is lost when the call is dropped.
    pub async fn logins(&self, query: LoginQuery) -> Result<LoginPage, StoreError> {
        let now = self.parts.clock.now();
        let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
        let mut logins = Vec::new();
        let mut batch = ListQuery { subject: query.subject, after: query.after, limit: BATCH };
        loop {
            let found = self.parts.store.list(&batch).await?;
            let last = found.len() < BATCH;
            for found in found {
                batch.after = Some(found.record.id);
                if query.state.covers(&found, now) {
                    logins.push(found.record);
                    if logins.len() == limit {
                        return Ok(LoginPage { logins, next: batch.after });
                    }
                }
            }
            if last {
                return Ok(LoginPage { logins, next: None });
            }
        }
    }

    /// Names a device, or takes its name away, if the login is this subject's and lives. Says whether it was.
    ///
    /// # Errors
    /// A [`ConfigError`](crate::error::ConfigError) for a label that is not 1 to 256 bytes without control
    /// characters, a [`StoreError`] if the store did not answer.
    ///
    /// # Cancel safety
    /// The label was changed or not.
    pub async fn set_label(
        &self,
        subject: &Subject,
        login: &TokenId,
        label: Option<&str>,
    ) -> Result<bool, BoxError> {
        let mut faults = Faults::default();
        faults.check(label.is_none_or(is_label), "label", label, LABEL_RULE);
        faults.finish()?;
        let found = self.parts.store.find(login).wait().await?;
        if found.is_none_or(|found| *found.record.subject != *subject || !self.parts.lives(&found)) {
            return Ok(false);
        }
        Ok(self.parts.store.set_label(login, label.map(Arc::from)).await?)
    }
}

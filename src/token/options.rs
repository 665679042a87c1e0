//! What a single login is bound to, carries and lives for.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{lifetimes::Lifetimes, policy::TokenPolicy};
use crate::{
    error::Faults,
    scope::Scope,
    store::{Context, Data, Extras, JsonError},
    text::TokenId,
};

/// The longest label, in bytes.
const LABEL_MAX: usize = 256;

/// What a new login is bound to and carries. Nothing is checked before the login is issued.
#[derive(Clone, Default)]
#[must_use]
pub struct IssueOptions {
    pub(super) extras: Extras,
    pub(super) browser_session: bool,
    pub(super) replaces: Option<TokenId>,
    context: Json<Context>,
    data: Json<Data>,
    access_ttl: Override,
    refresh_ttl: Override,
    absolute: Override,
}

/// Kept with its fault until the login is issued.
type Json<T> = Option<Result<T, JsonError>>;

/// The policy's value, or another one.
#[derive(Debug, Clone, Copy, Default)]
enum Override {
    #[default]
    Policy,
    With(Option<Duration>),
}

// ===== impl IssueOptions =====

impl IssueOptions {
    /// Binds the login to a tenant: requests for another one, or for none, are refused. It is no part of the subject: see
    /// [`Subject`](crate::identity::Subject) on tenants that number their users alike.
    pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.extras.tenant = Some(tenant.into());
        self
    }

    /// Binds refreshing to a client.
    pub fn client(mut self, client: impl Into<Arc<str>>) -> Self {
        self.extras.client = Some(client.into());
        self
    }

    /// Binds refreshing to a key by its thumbprint (RFC 7638).
    pub fn key_thumbprint(mut self, thumbprint: impl Into<Arc<str>>) -> Self {
        self.extras.key_thumbprint = Some(thumbprint.into());
        self
    }

    /// Limits what the access tokens may be used for.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.extras.scope = Some(Arc::new(scope));
        self
    }

    /// The device's name in a list of devices; 1 to 256 bytes without control characters.
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.extras.label = Some(label.into());
        self
    }

    /// Data of the application that stays as it is: device, address, user agent. At most 8 KiB of JSON.
    pub fn context(mut self, object: Map<String, Value>) -> Self {
        self.context = Some(Context::new(&object));
        self
    }

    /// [`context`](Self::context) of any type that is written as a JSON object.
    pub fn context_of(mut self, object: &impl Serialize) -> Self {
        self.context = Some(Context::new(object));
        self
    }

    /// Data of the application that it may [change](super::TokenService::save_data) later. At most 64 KiB of
    /// JSON.
    pub fn data(mut self, value: &impl Serialize) -> Self {
        self.data = Some(Data::new(value));
        self
    }

    /// Another life of the access token than the policy's; `None` is "never ends".
    pub fn access_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.access_ttl = Override::With(ttl);
        self
    }

    /// Another life of the refresh token than the policy's; `None` for no refresh token.
    pub fn refresh_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.refresh_ttl = Override::With(ttl);
        self
    }

    /// Another end of the login than the policy's; `None` for none.
    pub fn absolute(mut self, ceiling: Option<Duration>) -> Self {
        self.absolute = Override::With(ceiling);
        self
    }

    /// The cookie has no `Max-Age`, so that it ends with the browser ("remember me" was not ticked).
    pub fn browser_session(mut self) -> Self {
        self.browser_session = true;
        self
    }

    /// Ends this login in the same step: the anonymous session of the same browser.
    pub fn replaces(mut self, login: TokenId) -> Self {
        self.replaces = Some(login);
        self
    }

    pub(super) fn lifetimes(&self, policy: &TokenPolicy) -> Lifetimes {
        Lifetimes {
            access: self.access_ttl.or(policy.lifetimes.access),
            refresh: self.refresh_ttl.or(policy.lifetimes.refresh),
            absolute: self.absolute.or(policy.lifetimes.absolute),
        }
    }

    /// Looks at what was put aside, and moves the data to the extras.
    pub(super) fn check(&mut self, faults: &mut Faults) -> Context {
        if let Some(label) = &self.extras.label {
            faults.check(is_label(label), "label", label, LABEL_RULE);
        }
        let context = self.context.take().transpose().unwrap_or_else(|error| {
            faults.add("context", error, "must be a JSON object of at most 8 KiB");
            None
        });
        let data = self.data.take().transpose().unwrap_or_else(|error| {
            faults.add("data", error, "must be JSON of at most 64 KiB");
            None
        });
        self.extras.data = data.unwrap_or_default();
        context.unwrap_or_default()
    }
}

/// Shows nothing of the application's.
impl fmt::Debug for IssueOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueOptions")
            .field("access_ttl", &self.access_ttl)
            .field("refresh_ttl", &self.refresh_ttl)
            .field("absolute", &self.absolute)
            .finish_non_exhaustive()
    }
}

impl Override {
    fn or(self, policy: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Policy => policy,
            Self::With(ttl) => ttl,
        }
    }
}

pub(super) const LABEL_RULE: &str = "must be 1 to 256 bytes without control characters";

pub(super) fn is_label(label: &str) -> bool {
    (1..=LABEL_MAX).contains(&label.len()) && !label.chars().any(char::is_control)
}

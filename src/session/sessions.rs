//! The service and its parts.

use std::{fmt, sync::Arc};

use http::HeaderValue;

use super::policy::{SessionPolicy, Settings};
use crate::{
    client_ip::ClientIpPolicy,
    clock::Clock,
    cookie::CookieSettings,
    credential::Channel,
    csrf::CsrfPolicy,
    error::Faults,
    event::{Observer, Reporter},
    identity::{Ended, Evidence, Subject},
    keyring::KeyRing,
    maybe_ready::{BoxFuture, MaybeReady},
    settings::Description,
    store::{StoreError, TokenStore},
    token::{IssueError, IssueOptions, Issued, TokenService},
    verify::{Attempt, Outcome, Refusal, UserLookup, Verify},
};

const CLEAR_SITE_DATA: HeaderValue = HeaderValue::from_static(r#""cache", "cookies", "storage""#);

/// Issues, verifies and ends sessions. Cheap to clone; clones share everything.
///
/// Without [`users`](Self::users) the identity is the [`Subject`] itself. See the [module docs](super).
pub struct Sessions<I = Subject> {
    pub(super) tokens: TokenService<I>,
    pub(super) settings: Arc<Settings>,
}

/// The same for the layer, which need not know what identities are.
pub(super) struct Engine {
    pub(super) tokens: TokenService<()>,
    pub(super) settings: Arc<Settings>,
    pub(super) client_ip: ClientIpPolicy,
}

// ===== impl Sessions =====

impl Sessions<Subject> {
    /// Sessions in this store.
    pub fn new(store: impl TokenStore, policy: SessionPolicy) -> Self {
        Self { tokens: TokenService::new(store, policy.tokens), settings: policy.settings }
    }
}

impl<I: Send + Sync + 'static> Sessions<I> {
    /// Looks the user up on every request; inactive users are refused everywhere.
    #[must_use]
    pub fn users<L: UserLookup>(self, users: L) -> Sessions<L::User> {
        Sessions { tokens: self.tokens.users(users), settings: self.settings }
    }

    /// Replaces the clock; the default is [`Clock::system`].
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { tokens: self.tokens.clock(clock), ..self }
    }

    /// Adds a server-side key to every new digest.
    #[must_use]
    pub fn pepper(self, ring: KeyRing) -> Self {
        Self { tokens: self.tokens.pepper(ring), ..self }
    }

    /// Reports events through this reporter.
    #[must_use]
    pub fn reporter(self, reporter: Reporter) -> Self {
        Self { tokens: self.tokens.reporter(reporter), ..self }
    }

    /// Reports events to this observer, too.
    #[must_use]
    pub fn observer(self, observer: impl Observer) -> Self {
        Self { tokens: self.tokens.observer(observer), ..self }
    }

    pub(super) fn engine(&self) -> Engine {
        Engine {
            tokens: self.tokens.without_identity(),
            settings: Arc::clone(&self.settings),
            client_ip: ClientIpPolicy::peer(),
        }
    }
}

impl<I> Sessions<I> {
    /// The settings in force.
    pub fn describe(&self) -> Description {
        self.settings.describe(self.tokens.policy())
    }

    /// The logins behind the sessions: to list a subject's, to end one or all of them, to purge.
    pub fn tokens(&self) -> &TokenService<I> {
        &self.tokens
    }

    /// The cookie, for an [`AuthLayer`](crate::AuthLayer) and for [ready services](crate::flow).
    pub fn cookie(&self) -> CookieSettings {
        self.settings.cookie.clone()
    }

    /// From where a request with the cookie may come, for an [`AuthLayer`](crate::AuthLayer) and for
    /// [ready services](crate::flow): of themselves they know their own defaults only. The
    /// [`SessionLayer`](super::SessionLayer) has it already.
    pub fn csrf(&self) -> CsrfPolicy {
        self.settings.csrf.clone()
    }

    /// A new session of a subject that has proved who it is, and its `Set-Cookie`. For login services outside a
    /// handler with a [`Session`](super::Session); send `Cache-Control: no-store` with it.
    ///
    /// If the browser came with a session cookie, use [`login_over`](Self::login_over), which ends that one.
    ///
    /// # Errors
    /// [`IssueError`] if the subject is anonymous, the options break a rule, the subject has too many sessions, the
    /// store is full or down, or there are no random bytes. There is no new session then.
    ///
    /// # Cancel safety
    /// A dropped call leaves a session behind of which nobody has the cookie, or none.
    pub async fn login(
        &self,
        subject: Subject,
        options: IssueOptions,
    ) -> Result<(Issued, HeaderValue), IssueError> {
        issue(&self.tokens, &self.settings, subject, options).await
    }

    /// [`login`](Self::login) that ends the session of the presented cookie value in the same step, whosever it is.
    /// A value that proves no session is ignored.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    ///
    /// # Cancel safety
    /// As [`login`](Self::login).
    pub async fn login_over(
        &self,
        presented: &str,
        subject: Subject,
        options: IssueOptions,
    ) -> Result<(Issued, HeaderValue), IssueError> {
        let proven = self.tokens.login_of(presented, Channel::Cookie).await;
        let options = match proven {
            Ok(Some(record)) if record.revoked().is_none() => options.replaces(record.id()),
            Ok(_) | Err(Refusal::Invalid(_)) => options,
            Err(Refusal::Unavailable(source)) => return Err(StoreError::unavailable(source).into()),
        };
        self.login(subject, options).await
    }

    /// Ends the session of a cookie value, if there is one, and gives the `Set-Cookie` that removes the cookie.
    /// Repeating it is harmless.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if the store did not answer: the session may live on, and the cookie should stay, so
    /// that the logout can be repeated.
    ///
    /// # Cancel safety
    /// The session has ended or it has not.
    pub async fn logout(&self, presented: Option<&str>) -> Result<HeaderValue, Refusal> {
        if let Some(presented) = presented {
            self.tokens.logout(presented, Channel::Cookie).await?;
        }
        Ok(self.settings.clear())
    }

    /// The value of `Clear-Site-Data` for the answer to a logout of the application's own, if the policy asks for it. A
    /// [`LogoutService`](crate::flow::LogoutService) is asked for its own by
    /// [`clear_site_data`](crate::flow::LogoutServiceBuilder::clear_site_data).
    pub fn clear_site_data(&self) -> Option<HeaderValue> {
        self.settings.clear_site_data.then_some(CLEAR_SITE_DATA)
    }
}

impl<I: Send + Sync + 'static> Verify for Sessions<I> {
    type Identity = I;

    fn recognises(&self, text: &str) -> bool {
        self.tokens.recognises(text)
    }

    /// Without the origins: in front of these sessions those of the layer that asks are in force.
    fn describe(&self) -> Description {
        let described = Self::describe(self);
        let own = described.lines().filter(|(name, _)| !name.starts_with("csrf_"));
        own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn watch(&self, evidence: &Evidence) -> BoxFuture<Ended> {
        self.tokens.watch(evidence)
    }

    fn verify(&self, attempt: &Attempt<'_>) -> MaybeReady<Outcome<I>> {
        Verify::verify(&self.tokens, attempt)
    }
}

impl<I> Clone for Sessions<I> {
    fn clone(&self) -> Self {
        Self { tokens: self.tokens.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<I> fmt::Debug for Sessions<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("tokens", &self.tokens)
            .field("cookie", &self.settings.cookie)
            .finish_non_exhaustive()
    }
}

// ===== impl Settings =====

impl Settings {
    pub(super) fn write(&self, issued: &Issued) -> HeaderValue {
        let written = self.cookie.write(issued.access(), issued.cookie_max_age());
        written.expect("the settings were checked, and a token holds no other characters")
    }

    pub(super) fn clear(&self) -> HeaderValue {
        self.cookie.clear().expect("the settings were checked")
    }

    pub(super) fn clear_site_data(&self) -> Option<HeaderValue> {
        self.clear_site_data.then_some(CLEAR_SITE_DATA)
    }
}

/// A new session of somebody.
pub(super) async fn issue<I>(
    tokens: &TokenService<I>,
    settings: &Settings,
    subject: Subject,
    options: IssueOptions,
) -> Result<(Issued, HeaderValue), IssueError> {
    let mut faults = Faults::default();
    faults.check(!subject.is_anonymous(), "subject", "anonymous", "must be somebody");
    faults.finish()?;
    let issued = tokens.issue_for_cookie(subject, options).await?;
    let cookie = settings.write(&issued);
    Ok((issued, cookie))
}

//! Lifetimes, cookie and limits of sessions.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Timestamp,
    cookie::CookieSettings,
    csrf::CsrfPolicy,
    error::{ConfigError, Faults},
    problem::Challenges,
    settings::Description,
    store::{HashAlgorithm, LiveLimit},
    token::{TokenPolicy, TokenPolicyBuilder, TouchMode},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Browsers keep no cookie longer (RFC 6265bis §5.5).
const COOKIE_MAX: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The settings that sessions share with tokens.
const OF_TOKENS: [&str; 9] = [
    "brand",
    "older_brands",
    "touch_mode",
    "hash",
    "limit",
    "at_limit",
    "keep_for_audit",
    "issued_not_before",
    "cache_users",
];

/// How long sessions live and what their cookie looks like. A policy that exists is valid.
///
/// The methods that name a kind of application start a builder with its lifetimes. A use is noted at most once per
/// touch interval, so a session may end earlier than the idle limit after its last use, by up to that interval.
#[derive(Debug, Clone)]
pub struct SessionPolicy {
    pub(super) tokens: TokenPolicy,
    pub(super) settings: Arc<Settings>,
}

/// What the layer and the services need beside the tokens.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) cookie: CookieSettings,
    pub(super) csrf: CsrfPolicy,
    pub(super) clear_site_data: bool,
    pub(super) challenges: Arc<Challenges>,
}

/// Makes a [`SessionPolicy`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SessionPolicyBuilder {
    idle: Duration,
    absolute: Duration,
    touch_every: Option<Duration>,
    cookie: CookieSettings,
    csrf: CsrfPolicy,
    clear_site_data: bool,
    tokens: TokenPolicyBuilder,
    /// What was wrong with settings that came as text.
    faults: Faults,
}

// ===== impl SessionPolicy =====

impl SessionPolicy {
    /// Starts from the defaults, which are those of [`saas`](Self::saas).
    pub fn builder() -> SessionPolicyBuilder {
        SessionPolicyBuilder {
            idle: DAY,
            absolute: 7 * DAY,
            touch_every: None,
            cookie: CookieSettings::new("session"),
            csrf: CsrfPolicy::new(),
            clear_site_data: false,
            tokens: TokenPolicy::builder().brand("pcs"),
            faults: Faults::default(),
        }
    }

    /// The settings in force.
    pub fn describe(&self) -> Description {
        self.settings.describe(&self.tokens)
    }

    /// 30 days idle, 90 days in all, a use noted once an hour.
    pub fn consumer() -> SessionPolicyBuilder {
        Self::builder().idle(30 * DAY).absolute(90 * DAY).touch_every(HOUR)
    }

    /// 24 hours idle, 7 days in all, a use noted once in 5 minutes.
    pub fn saas() -> SessionPolicyBuilder {
        Self::builder()
    }

    /// 5 minutes idle, 8 hours in all: the upper ends that OWASP's session cheat sheet gives for valuable data and an
    /// office worker's day.
    pub fn owasp_high_value() -> SessionPolicyBuilder {
        Self::builder().idle(5 * MINUTE).absolute(8 * HOUR)
    }

    /// 30 days in all and no idle limit of its own, as NIST SP 800-63B-4 §2.1.3 recommends for AAL1.
    pub fn nist_aal1() -> SessionPolicyBuilder {
        Self::builder().idle(30 * DAY).absolute(30 * DAY).touch_every(HOUR)
    }

    /// 1 hour idle, 24 hours in all, as NIST SP 800-63B-4 §2.2.3 recommends for AAL2.
    pub fn nist_aal2() -> SessionPolicyBuilder {
        Self::builder().idle(HOUR).absolute(24 * HOUR)
    }

    /// 15 minutes idle, as NIST SP 800-63B-4 §2.3.3 recommends, and 12 hours in all, as it demands, for AAL3.
    pub fn nist_aal3() -> SessionPolicyBuilder {
        Self::builder().idle(15 * MINUTE).absolute(12 * HOUR)
    }
}

impl Default for SessionPolicy {
    /// 24 h idle, 7 d in all, a use noted once in 5 min; the cookie is `__Host-session`.
    fn default() -> Self {
        Self::builder().build().expect("the defaults break no rule")
    }
}

// ===== impl Settings =====

impl Settings {
    /// What is in force, together with the tokens' policy.
    pub(super) fn describe(&self, tokens: &TokenPolicy) -> Description {
        let tokens = tokens.describe();
        let shared = tokens.lines().filter_map(|(name, value)| {
            let name = if name == "access_ttl" { "idle" } else { name };
            let own = ["idle", "absolute", "touch_every"].contains(&name) || OF_TOKENS.contains(&name);
            own.then(|| (name.to_owned(), value.to_owned()))
        });
        shared
            .chain([("clear_site_data".to_owned(), self.clear_site_data.to_string())])
            .collect::<Description>()
            .with_part("cookie_", &self.cookie.describe())
            .with_part("csrf_", &self.csrf.describe())
    }
}

// ===== impl SessionPolicyBuilder =====

impl SessionPolicyBuilder {
    /// How long a session lives without being used: 1 second to 400 days, which is what browsers keep a cookie for,
    /// and at most the absolute limit. Default 24 h.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// The end of a session, counted from the login and extended by nothing. Default 7 d.
    pub fn absolute(mut self, limit: Duration) -> Self {
        self.absolute = limit;
        self
    }

    /// How long after a use was noted the next use is noted; zero for every use. At most half of the idle limit.
    /// Default: a twentieth of the idle limit, at least one minute and at most five, and never above half of it.
    pub fn touch_every(mut self, interval: Duration) -> Self {
        self.touch_every = Some(interval);
        self
    }

    /// Whether a request waits until its use is noted. Default [`TouchMode::Background`].
    pub fn touch_mode(mut self, mode: TouchMode) -> Self {
        self.tokens = self.tokens.touch_mode(mode);
        self
    }

    /// The cookie: a name, which gets the `__Host-` prefix, or [`CookieSettings`]. Default `session`.
    pub fn cookie(mut self, cookie: impl Into<CookieSettings>) -> Self {
        self.cookie = cookie.into();
        self
    }

    /// From where a request may come that uses its session, where no `AuthLayer` has verified the same cookie. Default:
    /// from the same origin. An `AuthLayer` and ready services have to be told
    /// ([`Sessions::csrf`](super::Sessions::csrf)).
    pub fn csrf(mut self, policy: CsrfPolicy) -> Self {
        self.csrf = policy;
        self
    }

    /// Sends `Clear-Site-Data: "cache", "cookies", "storage"` with the answer to a logout. The browser then removes all
    /// cookies of the registered domain, those of its other hosts included. Off by default. A ready service has to be told
    /// ([`clear_site_data`](crate::flow::LogoutServiceBuilder::clear_site_data)).
    pub fn clear_site_data(mut self) -> Self {
        self.clear_site_data = true;
        self
    }

    /// How many live sessions a subject may have, and what a login above that does. Default
    /// [`LiveLimit::Unlimited`].
    pub fn limit(mut self, limit: LiveLimit) -> Self {
        self.tokens = self.tokens.limit(limit);
        self
    }

    /// The first characters of cookie values: 1–16 of `a`–`z`, `0`–`9`. It tells them from other tokens in one
    /// `AuthLayer`. Default `pcs`.
    pub fn brand(mut self, brand: impl Into<String>) -> Self {
        self.tokens = self.tokens.brand(brand);
        self
    }

    /// A brand of earlier sessions, which keep working.
    pub fn older_brand(mut self, brand: impl Into<String>) -> Self {
        self.tokens = self.tokens.older_brand(brand);
        self
    }

    /// The hash of new digests. Default SHA-256.
    pub fn hash(mut self, hash: HashAlgorithm) -> Self {
        self.tokens = self.tokens.hash(hash);
        self
    }

    /// Keeps records for so long after their session has ended. Default zero.
    pub fn keep_for_audit(mut self, span: Duration) -> Self {
        self.tokens = self.tokens.keep_for_audit(span);
        self
    }

    /// Sessions from before this moment are invalid. Default none.
    pub fn issued_not_before(mut self, moment: Timestamp) -> Self {
        self.tokens = self.tokens.issued_not_before(moment);
        self
    }

    /// Remembers active users for so long between look-ups, as
    /// [for tokens](crate::token::TokenPolicyBuilder::cache_users). Default zero: every request looks up.
    pub fn cache_users(mut self, age: Duration) -> Self {
        self.tokens = self.tokens.cache_users(age);
        self
    }

    /// Takes settings that came as text; those that are not there stay as they are. The names are those of
    /// [`SessionPolicy::describe`]: those of [`CookieSettings`] begin with `cookie_`, those of [`CsrfPolicy`] with
    /// `csrf_`.
    #[cfg(feature = "config")]
    pub fn settings(mut self, settings: crate::settings::Settings) -> Self {
        let mut faults = std::mem::take(&mut self.faults);
        let mut read = crate::settings::Reader::new(settings, &mut faults);
        if let Some(idle) = read.span("idle") {
            self.idle = idle;
        }
        if let Some(absolute) = read.span("absolute") {
            self.absolute = absolute;
        }
        if let Some(interval) = read.span("touch_every") {
            self.touch_every = Some(interval);
        }
        self.cookie = self.cookie.settings(read.take_part("cookie_"));
        self.csrf = self.csrf.settings(read.take_part("csrf_"));
        if let Some(clear) = read.flag("clear_site_data") {
            self.clear_site_data = clear;
        }
        let of_tokens = read.take(&OF_TOKENS);
        read.finish();
        self.tokens = self.tokens.settings(of_tokens);
        self.faults = faults;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(mut self) -> Result<SessionPolicy, ConfigError> {
        let mut faults = std::mem::take(&mut self.faults);
        let touch_every = self.touch_every.unwrap_or_else(|| derived_interval(self.idle));
        // A cookie counts seconds: a shorter one would be removed when it is set.
        faults.check(self.idle >= Duration::from_secs(1), "idle", self.idle, "must be at least one second");
        faults.check(self.idle <= COOKIE_MAX, "idle", self.idle, "must be at most 400 days");
        faults.check(self.idle <= self.absolute, "idle", self.idle, "must not exceed absolute");
        let rule = "must be at most half of idle";
        faults.check(touch_every <= self.idle / 2, "touch_every", touch_every, rule);
        self.cookie.check(&mut faults);
        self.csrf.check(&mut faults);
        let lifetimes_hold =
            self.idle >= Duration::from_secs(1) && self.idle <= self.absolute && touch_every <= self.idle / 2;
        let tokens = self.tokens.refresh_ttl(None);
        let tokens = if lifetimes_hold {
            tokens
                .access_ttl(Some(self.idle))
                .absolute(Some(self.absolute))
                .sliding()
                .touch_every(Some(touch_every))
        } else {
            // Only to find the other faults.
            tokens
        };
        match tokens.build() {
            Ok(tokens) => {
                faults.finish()?;
                let challenges =
                    Challenges::new("session", std::iter::empty(), Some(self.cookie.name()), true);
                let settings = Settings {
                    challenges: Arc::new(challenges.expect("a name that was checked is printable")),
                    cookie: self.cookie,
                    csrf: self.csrf,
                    clear_site_data: self.clear_site_data,
                };
                Ok(SessionPolicy { tokens, settings: Arc::new(settings) })
            }
            Err(others) => {
                faults.append(others.clone());
                Err(faults.finish().err().unwrap_or(others))
            }
        }
    }
}

fn derived_interval(idle: Duration) -> Duration {
    (idle / 20).clamp(MINUTE, 5 * MINUTE).min(idle / 2)
}

#[cfg(feature = "config")]
crate::settings::deserialize_builder!(SessionPolicyBuilder, SessionPolicy::builder());

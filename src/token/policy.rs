//! Lifetimes and limits of opaque tokens.

use std::time::Duration;

use crate::{
    error::{ConfigError, Faults},
    store::HashAlgorithm,
    text::Brand,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const GRACE_MAX: Duration = Duration::from_secs(300);
/// After the window an honest retry may still be judged by a node whose clock is ahead: refused, not punished.
pub(super) const SKEW: Duration = Duration::from_secs(5);
/// Repeats of one generation: fifty tabs at once are honest.
pub(super) const GRACE_CAP: u32 = 100;

/// How long tokens live and what a repeated refresh may do. A policy that exists is valid.
#[derive(Debug, Clone)]
pub struct TokenPolicy {
    pub(super) brands: Vec<Brand>,
    pub(super) access_ttl: Option<Duration>,
    pub(super) refresh_ttl: Option<Duration>,
    pub(super) absolute: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) unconfirmed: Duration,
    pub(super) hash: HashAlgorithm,
    pub(super) bind_channel: bool,
}

/// Makes a [`TokenPolicy`].
#[derive(Debug, Clone)]
#[must_use]
pub struct TokenPolicyBuilder {
    brand: String,
    older_brands: Vec<String>,
    access_ttl: Option<Duration>,
    refresh_ttl: Option<Duration>,
    absolute: Option<Duration>,
    grace: Duration,
    unconfirmed: Duration,
    hash: HashAlgorithm,
    bind_channel: bool,
}

// ===== impl TokenPolicy =====

impl TokenPolicy {
    /// Starts from the defaults.
    pub fn builder() -> TokenPolicyBuilder {
        TokenPolicyBuilder {
            brand: "pc".to_owned(),
            older_brands: Vec::new(),
            access_ttl: Some(DAY),
            refresh_ttl: Some(7 * DAY),
            absolute: Some(7 * DAY),
            grace: Duration::from_secs(10),
            unconfirmed: DAY,
            hash: HashAlgorithm::Sha256,
            bind_channel: true,
        }
    }

    /// The brand of new tokens.
    pub(super) fn brand(&self) -> &Brand {
        &self.brands[0]
    }
}

impl Default for TokenPolicy {
    /// 24 h, refreshed for 7 d, 7 d in all; repeats for 10 s, or until the new pair is used (at most 24 h).
    fn default() -> Self {
        Self::builder().build().expect("the defaults break no rule")
    }
}

// ===== impl TokenPolicyBuilder =====

impl TokenPolicyBuilder {
    /// The first characters of new tokens: 1–16 of `a`–`z`, `0`–`9`. Default `pc`.
    pub fn brand(mut self, brand: impl Into<String>) -> Self {
        self.brand = brand.into();
        self
    }

    /// A brand of earlier tokens, which keep working.
    pub fn older_brand(mut self, brand: impl Into<String>) -> Self {
        self.older_brands.push(brand.into());
        self
    }

    /// Life of an access token; `None` is "never ends" and needs `absolute(None)` and `refresh_ttl(None)`.
    /// Default 24 h.
    pub fn access_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.access_ttl = ttl;
        self
    }

    /// Life of a refresh token, counted anew at each refresh; `None` gives no refresh tokens. Default 7 d.
    pub fn refresh_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.refresh_ttl = ttl;
        self
    }

    /// The end of a login, counted from the login and extended by nothing; `None` for no end. Default 7 d.
    pub fn absolute(mut self, ceiling: Option<Duration>) -> Self {
        self.absolute = ceiling;
        self
    }

    /// How long after a rotation the direct predecessor gets the same pair. At most 300 s; zero for never.
    /// Default 10 s.
    pub fn grace(mut self, window: Duration) -> Self {
        self.grace = window;
        self
    }

    /// How long it gets the same pair while neither token of that pair was used. At most 24 h, and never longer
    /// than the refresh life; zero for never. Default 24 h.
    pub fn unconfirmed(mut self, window: Duration) -> Self {
        self.unconfirmed = window;
        self
    }

    /// Every refresh token works exactly once: no repeats at all. A client that loses an answer has to log in
    /// again.
    pub fn strict(self) -> Self {
        self.grace(Duration::ZERO).unconfirmed(Duration::ZERO)
    }

    /// The hash of new digests. Default SHA-256.
    pub fn hash(mut self, hash: HashAlgorithm) -> Self {
        self.hash = hash;
        self
    }

    /// Accepts an access token on the channel it was not issued for. By default it is refused, as a refresh
    /// token always is.
    pub fn danger_any_channel(mut self) -> Self {
        self.bind_channel = false;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<TokenPolicy, ConfigError> {
        let mut faults = Faults::default();
        let mut brands = Vec::with_capacity(1 + self.older_brands.len());
        for text in std::iter::once(&self.brand).chain(&self.older_brands) {
            match Brand::parse(text) {
                Some(brand) => brands.push(brand),
                None => faults.add("brand", text, "must be 1 to 16 of a-z and 0-9"),
            }
        }
        for (field, ttl) in
            [("access_ttl", self.access_ttl), ("refresh_ttl", self.refresh_ttl), ("absolute", self.absolute)]
        {
            // Times are stored in milliseconds: anything shorter would be zero there.
            let usable = ttl.is_none_or(|ttl| ttl >= Duration::from_millis(1));
            faults.check(usable, field, ttl, "must be at least one millisecond");
        }
        if let Some(refresh) = self.refresh_ttl {
            let shorter = self.access_ttl.is_some_and(|access| access < refresh);
            faults.check(shorter, "access_ttl", self.access_ttl, "must be shorter than refresh_ttl");
        }
        if let Some(ceiling) = self.absolute {
            let below = |ttl: Duration| ttl <= ceiling;
            faults.check(
                self.access_ttl.is_some_and(below),
                "access_ttl",
                self.access_ttl,
                "must not exceed absolute",
            );
            faults.check(
                self.refresh_ttl.is_none_or(below),
                "refresh_ttl",
                self.refresh_ttl,
                "must not exceed absolute",
            );
        }
        faults.check(self.grace <= GRACE_MAX, "grace", self.grace, "must be at most 300 s");
        faults.check(self.unconfirmed <= DAY, "unconfirmed", self.unconfirmed, "must be at most 24 h");
        faults.finish()?;
        Ok(TokenPolicy {
            brands,
            access_ttl: self.access_ttl,
            refresh_ttl: self.refresh_ttl,
            absolute: self.absolute,
            grace: self.grace,
            unconfirmed: self.unconfirmed,
            hash: self.hash,
            bind_channel: self.bind_channel,
        })
    }
}

//! Lifetimes and limits of opaque tokens.

use std::time::Duration;

use super::lifetimes::{self, Lifetimes};
use crate::{
    clock::Timestamp,
    error::{ConfigError, Faults},
    settings::{self, Description},
    store::{HashAlgorithm, LiveLimit, LoginRecord},
    text::Brand,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
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
    pub(super) lifetimes: Lifetimes,
    pub(super) sliding: Sliding,
    pub(super) touch_every: Option<Duration>,
    pub(super) touch_mode: TouchMode,
    pub(super) grace: Duration,
    pub(super) unconfirmed: Duration,
    pub(super) hash: HashAlgorithm,
    pub(super) bind_channel: bool,
    pub(super) limit: LiveLimit,
    pub(super) keep_for: Duration,
    pub(super) issued_not_before: Option<Timestamp>,
    pub(super) cache_users: Duration,
}

/// Which ends move while a login is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Sliding {
    /// None.
    #[default]
    Off,
    /// That of the access token.
    Access,
    /// Those of the access and the refresh token.
    AccessAndRefresh,
}

/// When the write that notes a use happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TouchMode {
    /// Beside the request, which does not wait for it; dropped where too many are under way.
    #[default]
    Background,
    /// Before the request goes on.
    Inline,
}

/// Makes a [`TokenPolicy`].
#[derive(Debug, Clone)]
#[must_use]
pub struct TokenPolicyBuilder {
    brand: String,
    older_brands: Vec<String>,
    lifetimes: Lifetimes,
    sliding: Sliding,
    touch_every: Interval,
    touch_mode: TouchMode,
    grace: Duration,
    unconfirmed: Duration,
    hash: HashAlgorithm,
    bind_channel: bool,
    limit: LiveLimit,
    keep_for: Duration,
    issued_not_before: Option<Timestamp>,
    cache_users: Duration,
    /// What was wrong with settings that came as text.
    faults: Faults,
}

#[derive(Debug, Clone, Copy)]
enum Interval {
    /// A share of the access token's life.
    Derived,
    Set(Option<Duration>),
}

// ===== impl TokenPolicy =====

impl TokenPolicy {
    /// Starts from the defaults.
    pub fn builder() -> TokenPolicyBuilder {
        TokenPolicyBuilder {
            brand: "pc".to_owned(),
            older_brands: Vec::new(),
            lifetimes: Lifetimes { access: Some(DAY), refresh: Some(7 * DAY), absolute: Some(7 * DAY) },
            sliding: Sliding::Off,
            touch_every: Interval::Derived,
            touch_mode: TouchMode::Background,
            grace: Duration::from_secs(10),
            unconfirmed: DAY,
            hash: HashAlgorithm::Sha256,
            bind_channel: true,
            limit: LiveLimit::Unlimited,
            keep_for: Duration::ZERO,
            issued_not_before: None,
            cache_users: Duration::ZERO,
            faults: Faults::default(),
        }
    }

    /// The settings in force.
    pub fn describe(&self) -> Description {
        let never = |span: Option<Duration>| span.map_or_else(|| "never".to_owned(), settings::span);
        let brands: Vec<_> = self.brands[1..].iter().map(ToString::to_string).collect();
        let (limit, at_limit) = match self.limit {
            LiveLimit::Unlimited => ("none".to_owned(), "refuse"),
            LiveLimit::Refuse(max) => (max.to_string(), "refuse"),
            LiveLimit::EndOldest(max) => (max.to_string(), "end_oldest"),
        };
        let floor =
            self.issued_not_before.map_or_else(|| "0".to_owned(), |floor| floor.as_millis().to_string());
        Description::new(vec![
            ("brand", self.brand().to_string()),
            ("older_brands", brands.join(",")),
            ("access_ttl", never(self.lifetimes.access)),
            ("refresh_ttl", never(self.lifetimes.refresh)),
            ("absolute", never(self.lifetimes.absolute)),
            ("sliding", self.sliding.as_str().to_owned()),
            ("touch_every", never(self.touch_every)),
            ("touch_mode", self.touch_mode.as_str().to_owned()),
            ("grace", settings::span(self.grace)),
            ("unconfirmed", settings::span(self.unconfirmed)),
            ("hash", self.hash.as_str().to_owned()),
            ("danger_any_channel", (!self.bind_channel).to_string()),
            ("limit", limit),
            ("at_limit", at_limit.to_owned()),
            ("keep_for_audit", settings::span(self.keep_for)),
            ("issued_not_before", floor),
            ("cache_users", settings::span(self.cache_users)),
        ])
    }

    /// The brand of new tokens.
    pub(super) fn brand(&self) -> &Brand {
        &self.brands[0]
    }

    /// Whether the login is older than the policy allows any login to be.
    pub(super) fn is_before_floor(&self, record: &LoginRecord) -> bool {
        self.issued_not_before.is_some_and(|floor| record.created < floor)
    }

    /// What may be purged at `now`: the rest is kept for audit.
    pub(super) fn purge_before(&self, now: Timestamp) -> Timestamp {
        now.minus(self.keep_for)
    }
}

impl Default for TokenPolicy {
    /// 24 h, refreshed for 7 d, 7 d in all; repeats for 10 s, or until the new pair is used (at most 24 h) and 10 s from
    /// then.
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
        self.lifetimes.access = ttl;
        self
    }

    /// Life of a refresh token, counted anew at each refresh; `None` gives no refresh tokens. Default 7 d.
    pub fn refresh_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.lifetimes.refresh = ttl;
        self
    }

    /// The end of a login, counted from the login and extended by nothing; `None` for no end. Default 7 d.
    pub fn absolute(mut self, ceiling: Option<Duration>) -> Self {
        self.lifetimes.absolute = ceiling;
        self
    }

    /// Extends the access token while it is in use: to its own life from now, never past the absolute end, never
    /// back. Off by default.
    ///
    /// A captured access token then lives to the absolute end, and where refresh tokens exist nothing ever
    /// rotates. So this needs `absolute`, and `refresh_ttl(None)` or
    /// [`sliding_with_refresh`](Self::sliding_with_refresh).
    pub fn sliding(mut self) -> Self {
        self.sliding = Sliding::Access;
        self
    }

    /// [`sliding`](Self::sliding) for tokens with a refresh token, whose end moves too.
    pub fn sliding_with_refresh(mut self) -> Self {
        self.sliding = Sliding::AccessAndRefresh;
        self
    }

    /// How long after a use was noted, and the ends were extended, the next use is noted; zero for every use,
    /// `None` for never. Default: a twentieth of the access life, at least one minute and at most one hour, and
    /// never above half of it.
    pub fn touch_every(mut self, interval: Option<Duration>) -> Self {
        self.touch_every = Interval::Set(interval);
        self
    }

    /// Whether a request waits until its use is noted. Default [`TouchMode::Background`].
    pub fn touch_mode(mut self, mode: TouchMode) -> Self {
        self.touch_mode = mode;
        self
    }

    /// How long after a rotation the direct predecessor gets the same pair; and how long after the first use of that
    /// pair, where it was still [awaited](Self::unconfirmed). At most 300 s; zero for never. Default 10 s.
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

    /// A new login ends all earlier ones of its subject, in one step with it. Off by default.
    pub fn single_login(self) -> Self {
        self.limit(LiveLimit::EndOldest(1))
    }

    /// How many live logins a subject may have, and what a login above that does. Exact, also for logins at the
    /// same moment. Default [`LiveLimit::Unlimited`].
    pub fn limit(mut self, limit: LiveLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Keeps records for so long after their login has ended, as they were, with time and reason of a
    /// revocation; [`Duration::MAX`] for ever. They authenticate nobody, but count towards the bound of a store.
    /// Default zero.
    pub fn keep_for_audit(mut self, span: Duration) -> Self {
        self.keep_for = span;
        self
    }

    /// Logins from before this moment are invalid: after a backup was restored, whose revocations are lost, or
    /// after a leak. Default none.
    pub fn issued_not_before(mut self, moment: Timestamp) -> Self {
        self.issued_not_before = Some(moment);
        self
    }

    /// Remembers active users for so long between look-ups: for so long a user who was made inactive, or lost a
    /// role, goes on as before. Refreshing, rekeying and watching always look up, and what they find is what the
    /// service and its clones know from then on. Default zero: every request looks up.
    pub fn cache_users(mut self, age: Duration) -> Self {
        self.cache_users = age;
        self
    }

    /// Takes settings that came as text; those that are not there stay as they are. The names are those of
    /// [`TokenPolicy::describe`].
    #[cfg(feature = "config")]
    pub fn settings(mut self, settings: settings::Settings) -> Self {
        let mut faults = std::mem::take(&mut self.faults);
        let mut read = settings::Reader::new(settings, &mut faults);
        if let Some(brand) = read.text("brand") {
            self.brand = brand;
        }
        if let Some(brands) = read.list("older_brands") {
            self.older_brands = brands;
        }
        read.maybe_span("access_ttl", &mut self.lifetimes.access);
        read.maybe_span("refresh_ttl", &mut self.lifetimes.refresh);
        read.maybe_span("absolute", &mut self.lifetimes.absolute);
        let sliding = [Sliding::Off, Sliding::Access, Sliding::AccessAndRefresh]
            .map(|sliding| (sliding.as_str(), sliding));
        if let Some(sliding) = read.choice("sliding", &sliding, "must be off, access or access_and_refresh") {
            self.sliding = sliding;
        }
        if read.has("touch_every") {
            let mut interval = None;
            read.maybe_span("touch_every", &mut interval);
            self.touch_every = Interval::Set(interval);
        }
        let modes = [TouchMode::Background, TouchMode::Inline].map(|mode| (mode.as_str(), mode));
        if let Some(mode) = read.choice("touch_mode", &modes, "must be background or inline") {
            self.touch_mode = mode;
        }
        if let Some(window) = read.span("grace") {
            self.grace = window;
        }
        if let Some(window) = read.span("unconfirmed") {
            self.unconfirmed = window;
        }
        let hashes = HashAlgorithm::ALL.map(|hash| (hash.as_str(), hash));
        if let Some(hash) = read.choice("hash", &hashes, "must be sha256, sha384 or sha512") {
            self.hash = hash;
        }
        if let Some(any) = read.flag("danger_any_channel") {
            self.bind_channel = !any;
        }
        self.limit = read_limit(&mut read, self.limit);
        if let Some(span) = read.span("keep_for_audit") {
            self.keep_for = span;
        }
        if let Some(floor) = read.moment("issued_not_before") {
            self.issued_not_before = Some(floor);
        }
        if let Some(age) = read.span("cache_users") {
            self.cache_users = age;
        }
        read.finish();
        self.faults = faults;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(mut self) -> Result<TokenPolicy, ConfigError> {
        let mut faults = std::mem::take(&mut self.faults);
        let mut brands = Vec::with_capacity(1 + self.older_brands.len());
        for text in std::iter::once(&self.brand).chain(&self.older_brands) {
            match Brand::parse(text) {
                Some(brand) => brands.push(brand),
                None => faults.add("brand", text, "must be 1 to 16 of a-z and 0-9"),
            }
        }
        self.lifetimes.check(&mut faults);
        lifetimes::check_sliding(self.sliding, self.lifetimes, &mut faults);
        let touch_every = match self.touch_every {
            Interval::Derived => Some(derived_interval(self.lifetimes.access)),
            Interval::Set(interval) => interval,
        };
        if self.sliding != Sliding::Off {
            let rule = "sliding needs it, at most half of access_ttl";
            let half = self.lifetimes.access.map_or(Duration::MAX, |access| access / 2);
            faults.check(touch_every.is_some_and(|every| every <= half), "touch_every", touch_every, rule);
        }
        faults.check(self.grace <= GRACE_MAX, "grace", self.grace, "must be at most 300 s");
        faults.check(self.unconfirmed <= DAY, "unconfirmed", self.unconfirmed, "must be at most 24 h");
        let nobody = matches!(self.limit, LiveLimit::Refuse(0) | LiveLimit::EndOldest(0));
        faults.check(!nobody, "limit", self.limit, "must be at least 1");
        faults.finish()?;
        Ok(TokenPolicy {
            brands,
            lifetimes: self.lifetimes,
            sliding: self.sliding,
            touch_every,
            touch_mode: self.touch_mode,
            grace: self.grace,
            unconfirmed: self.unconfirmed,
            hash: self.hash,
            bind_channel: self.bind_channel,
            limit: self.limit,
            keep_for: self.keep_for,
            issued_not_before: self.issued_not_before,
            cache_users: self.cache_users,
        })
    }
}

// ===== impl Sliding =====

impl Sliding {
    /// The name under which it is configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Access => "access",
            Self::AccessAndRefresh => "access_and_refresh",
        }
    }
}

// ===== impl TouchMode =====

impl TouchMode {
    /// The name under which it is configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Inline => "inline",
        }
    }
}

/// The number and what happens at it are two settings; each may come alone.
#[cfg(feature = "config")]
fn read_limit(read: &mut settings::Reader<'_>, before: LiveLimit) -> LiveLimit {
    // A limit of 2^32 - 1 logins is none.
    let number = |text: &str| match text {
        "none" => Some(u32::MAX),
        _ => text.parse().ok().filter(|max| *max < u32::MAX),
    };
    let (old_max, old_end) = match before {
        LiveLimit::Unlimited => (u32::MAX, false),
        LiveLimit::Refuse(max) => (max, false),
        LiveLimit::EndOldest(max) => (max, true),
    };
    let max = read.parse("limit", number, "must be a number or none").unwrap_or(old_max);
    let choices = [("refuse", false), ("end_oldest", true)];
    match read.choice("at_limit", &choices, "must be refuse or end_oldest").unwrap_or(old_end) {
        _ if max == u32::MAX => LiveLimit::Unlimited,
        false => LiveLimit::Refuse(max),
        true => LiveLimit::EndOldest(max),
    }
}

fn derived_interval(access: Option<Duration>) -> Duration {
    access.map_or(HOUR, |access| (access / 20).clamp(MINUTE, HOUR).min(access / 2))
}

#[cfg(feature = "config")]
settings::deserialize_builder!(TokenPolicyBuilder, TokenPolicy::builder());

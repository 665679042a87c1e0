//! Name and attributes of one cookie.

use super::CookieError;
use crate::{error::Faults, settings::Description, text::is_tchar};

/// The longest value of an attribute that browsers read (RFC 6265bis §5.6).
pub(super) const ATTRIBUTE_CAP: usize = 1024;

/// How a browser may send the cookie on requests that other sites cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// On top-level navigations only.
    Lax,
    /// On every request that the browser's own rules for third parties let through. Browsers refuse such a
    /// cookie without `Secure` (RFC 6265bis §5.7), so it cannot be combined with
    /// [`danger_plain`](CookieSettings::danger_plain). Nothing but the check of the request's origin then
    /// stands against forged requests.
    None,
    /// Never.
    Strict,
}

/// Name and attributes of one cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSettings {
    pub(super) name: String,
    /// How much of `name` is the prefix.
    pub(super) prefix_len: usize,
    pub(super) path: String,
    pub(super) same_site: SameSite,
    pub(super) plain: bool,
    pub(super) browser_session: bool,
    /// What was wrong with settings that came as text.
    faults: Faults,
}

// ===== impl SameSite =====

impl SameSite {
    /// The name under which it is configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "lax",
            Self::None => "none",
            Self::Strict => "strict",
        }
    }
}

// ===== impl CookieSettings =====

impl CookieSettings {
    /// A cookie for this host only, over TLS only, unreadable for scripts, for all paths, `SameSite=Lax`.
    ///
    /// The name sent is `__Host-` and this one.
    pub fn new(name: impl Into<String>) -> Self {
        let settings = Self {
            name: name.into(),
            prefix_len: 0,
            path: "/".to_owned(),
            same_site: SameSite::Lax,
            plain: false,
            browser_session: false,
            faults: Faults::default(),
        };
        settings.with_prefix()
    }

    /// Sets `SameSite`; the default is [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Sends the cookie to this path and those below it only, for instance to the one that refreshes tokens;
    /// the default is `/`. It keeps the cookie out of requests that have no use for it, and protects it from
    /// nobody: pages of one host can reach each other's paths.
    ///
    /// The prefix of any other path than `/` is `__Secure-`, because browsers take `__Host-` with `Path=/` only
    /// (RFC 6265bis §4.1.3.2). With it, a sibling domain that has TLS can plant a cookie of this name.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self.with_prefix()
    }

    /// Writes the cookie without `Max-Age`, whatever age is asked for, so that it ends with the browser.
    /// Renewals leave it so. Browsers that restore their windows may keep it: the login's own end is on the
    /// server.
    #[must_use]
    pub fn browser_session(mut self) -> Self {
        self.browser_session = true;
        self
    }

    /// Drops the prefix and `Secure`: for plain `http` while developing. Sibling domains can then
    /// plant the cookie, and the network can read it. Off `localhost`, browsers send no `Sec-Fetch-Site` over
    /// plain `http`, so that only `Origin` shows where a request comes from.
    #[must_use]
    pub fn danger_plain(mut self) -> Self {
        self.plain = true;
        self.with_prefix()
    }

    /// The settings in force; the name is the one before the prefix.
    pub fn describe(&self) -> Description {
        Description::new(vec![
            ("name", self.bare_name().to_owned()),
            ("path", self.path.clone()),
            ("same_site", self.same_site.as_str().to_owned()),
            ("browser_session", self.browser_session.to_string()),
            ("danger_plain", self.plain.to_string()),
        ])
    }

    /// Takes settings that came as text; those that are not there stay as they are. The names are those of
    /// [`describe`](Self::describe). Faults are reported by the `build` of whatever takes the cookie; until then it
    /// cannot be written.
    #[cfg(feature = "config")]
    #[must_use]
    pub fn settings(mut self, settings: crate::settings::Settings) -> Self {
        let mut faults = std::mem::take(&mut self.faults);
        let mut read = crate::settings::Reader::new(settings, &mut faults);
        if let Some(name) = read.text("name") {
            self = Self { name, prefix_len: 0, ..self }.with_prefix();
        }
        if let Some(path) = read.text("path") {
            self = self.path(path);
        }
        let same_site = [SameSite::Lax, SameSite::None, SameSite::Strict].map(|site| (site.as_str(), site));
        if let Some(site) = read.choice("same_site", &same_site, "must be lax, none or strict") {
            self = self.same_site(site);
        }
        if let Some(browser_session) = read.flag("browser_session") {
            self.browser_session = browser_session;
        }
        if let Some(plain) = read.flag("danger_plain") {
            self = Self { plain, ..self }.with_prefix();
        }
        read.finish();
        self.faults = faults;
        self
    }

    /// The cookie that holds the refresh token beside this one: `<name>_refresh`, for this path and those below it,
    /// never sent on requests that other sites cause.
    pub(crate) fn refresh(&self, path: &str) -> Self {
        let name = format!("{}_refresh", self.bare_name());
        // What is wrong with the settings is the other cookie's to report.
        Self { name, prefix_len: 0, faults: Faults::default(), ..self.clone() }
            .same_site(SameSite::Strict)
            .path(path)
    }

    /// The name as the browser sends it, prefix included.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as it was given.
    fn bare_name(&self) -> &str {
        &self.name[self.prefix_len..]
    }

    fn with_prefix(mut self) -> Self {
        let prefix = match (self.plain, self.path.as_str()) {
            (true, _) => "",
            (false, "/") => "__Host-",
            (false, _) => "__Secure-",
        };
        self.name.replace_range(..self.prefix_len, prefix);
        self.prefix_len = prefix.len();
        self
    }

    fn name_is_usable(&self) -> bool {
        let name = self.bare_name().as_bytes();
        let length = (1..=256).contains(&name.len());
        length && name.iter().all(|byte| is_tchar(*byte)) && !name.starts_with(b"__")
    }

    fn path_is_usable(&self) -> bool {
        let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b';';
        self.path.starts_with('/') && self.path.len() <= ATTRIBUTE_CAP && self.path.bytes().all(allowed)
    }

    fn same_site_is_usable(&self) -> bool {
        !(self.plain && self.same_site == SameSite::None)
    }

    /// The first broken rule, for who did not [`check`](Self::check).
    pub(super) fn usable(&self) -> Result<(), CookieError> {
        if !self.faults.is_empty() {
            return Err(CookieError::InvalidSetting);
        }
        if !self.name_is_usable() {
            return Err(CookieError::InvalidName);
        }
        if !self.path_is_usable() {
            return Err(CookieError::InvalidPath);
        }
        if !self.same_site_is_usable() {
            return Err(CookieError::SameSiteNoneNeedsSecure);
        }
        Ok(())
    }

    /// Every broken rule.
    pub(crate) fn check(&self, faults: &mut Faults) {
        faults.extend(&self.faults);
        let rule =
            "must be 1 to 256 characters of a token (RFC 9110, section 5.6.2), without a prefix of its own";
        faults.check(self.name_is_usable(), "cookie", self.bare_name(), rule);
        let rule = "must start with / and be at most 1024 characters of visible ASCII without ;";
        faults.check(self.path_is_usable(), "path", &self.path, rule);
        let rule = "needs Secure, which danger_plain() drops";
        faults.check(self.same_site_is_usable(), "same_site", self.same_site, rule);
    }
}

impl From<&str> for CookieSettings {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

// Who names no cookie has a fault: an empty name.
#[cfg(feature = "config")]
crate::settings::deserialize_builder!(CookieSettings, CookieSettings::new(""));

//! Writing and removing the cookie.

use std::time::Duration;

use http::HeaderValue;
use zeroize::Zeroizing;

use super::{CookieError, CookieSettings, SameSite};
use crate::secret::Secret;

/// The longest `Max-Age` that browsers keep: 400 days (RFC 6265bis §5.5).
const MAX_AGE_CAP: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// Name and value together (RFC 6265bis §5.6).
pub(super) const PAIR_CAP: usize = 4096;

/// A `Set-Cookie` value of checked parts. `HttpOnly` is not a choice.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// In seconds.
    pub(super) max_age: Option<u64>,
    pub(super) path: &'a str,
    pub(super) secure: bool,
    pub(super) same_site: SameSite,
}

impl CookieSettings {
    /// The `Set-Cookie` value that stores `value`, marked sensitive. Without `max_age`, or as a
    /// [`browser_session`](Self::browser_session), the cookie ends with the browser; more than 400 days are cut
    /// to 400, as browsers do.
    ///
    /// # Errors
    /// [`CookieError::InvalidValue`] for an empty value or a byte that a cookie cannot carry,
    /// [`CookieError::TooLong`] above 4096 bytes; for settings that contradict each other,
    /// [`CookieError::InvalidName`], [`CookieError::InvalidPath`] or [`CookieError::SameSiteNoneNeedsSecure`], and
    /// [`CookieError::InvalidSetting`] for those that could not be read.
    pub fn write(&self, value: &Secret, max_age: Option<Duration>) -> Result<HeaderValue, CookieError> {
        self.usable()?;
        let value = value.expose();
        if value.is_empty() || !value.bytes().all(is_cookie_octet) {
            return Err(CookieError::InvalidValue);
        }
        if self.name().len() + value.len() > PAIR_CAP {
            return Err(CookieError::TooLong);
        }
        let max_age = max_age.filter(|_| !self.browser_session);
        Ok(self.header(value, max_age.map(|age| age.min(MAX_AGE_CAP).as_secs())))
    }

    /// The `Set-Cookie` value that removes the cookie, with the same attributes: browsers ignore a removal that
    /// differs.
    ///
    /// # Errors
    /// Those of [`write`](Self::write) for settings that contradict each other.
    pub fn clear(&self) -> Result<HeaderValue, CookieError> {
        self.usable()?;
        Ok(self.header("", Some(0)))
    }

    fn header(&self, value: &str, max_age: Option<u64>) -> HeaderValue {
        let line = Line {
            name: self.name(),
            value,
            max_age,
            path: &self.path,
            secure: !self.plain,
            same_site: self.same_site,
        };
        let mut header = HeaderValue::from_str(&line.text(0)).expect("name, value and path were checked");
        header.set_sensitive(true);
        header
    }
}

impl Line<'_> {
    /// The text, with room for `more` bytes, so that a secret is not left behind where a longer text is moved.
    pub(super) fn text(&self, more: usize) -> Zeroizing<String> {
        use std::fmt::Write;

        let length = self.name.len() + self.value.len() + self.path.len() + more;
        let mut text = Zeroizing::new(String::with_capacity(length + 96));
        text.push_str(self.name);
        text.push('=');
        text.push_str(self.value);
        if let Some(seconds) = self.max_age {
            let _infallible = write!(text, "; Max-Age={seconds}");
        }
        text.push_str("; Path=");
        text.push_str(self.path);
        if self.secure {
            text.push_str("; Secure");
        }
        text.push_str("; HttpOnly");
        text.push_str(match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
            SameSite::Strict => "; SameSite=Strict",
        });
        text
    }
}

/// A byte of a value (RFC 6265 §4.1.1).
pub(super) fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E)
}

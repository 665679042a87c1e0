//! One place that names, writes, reads and clears a cookie, so that the four never differ.
//!
//! [`CookieSettings::new("token")`](CookieSettings::new) means `__Host-token; Path=/; Secure; HttpOnly;
//! SameSite=Lax`, in all four.

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderValue, header};

use crate::{error::Faults, secret::Secret, text::is_tchar};

/// The longest `Max-Age` that browsers keep: 400 days (RFC 6265bis §5.5).
const MAX_AGE_CAP: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// Name and value together (RFC 6265bis §5.6).
const PAIR_CAP: usize = 4096;

/// How a browser may send the cookie on requests that other sites cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// On top-level navigations only.
    Lax,
    /// Never.
    Strict,
}

/// Name and attributes of one cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSettings {
    bare_name: String,
    name: String,
    same_site: SameSite,
    plain: bool,
}

/// Why a cookie could not be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// The request names the cookie twice.
    Duplicate,
    /// The name is not 1 to 256 characters of a token (RFC 9110 §5.6.2), or starts with `__`.
    InvalidName,
    /// The value holds a byte that a cookie cannot carry.
    InvalidValue,
    /// Name and value together exceed 4096 bytes.
    TooLong,
}

// ===== impl CookieSettings =====

impl CookieSettings {
    /// A cookie for this host only, over TLS only, unreadable for scripts, for all paths, `SameSite=Lax`.
    ///
    /// The name sent is `__Host-` and this one.
    pub fn new(name: impl Into<String>) -> Self {
        let bare_name = name.into();
        let name = format!("__Host-{bare_name}");
        Self { bare_name, name, same_site: SameSite::Lax, plain: false }
    }

    /// Sets `SameSite`; the default is [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Drops the `__Host-` prefix and `Secure`: for plain `http` while developing. Sibling domains can then
    /// plant the cookie, and the network can read it. Off `localhost`, browsers send no `Sec-Fetch-Site` over
    /// plain `http`, so that only `Origin` shows where a request comes from.
    #[must_use]
    pub fn danger_plain(mut self) -> Self {
        self.name.clone_from(&self.bare_name);
        self.plain = true;
        self
    }

    /// The name as the browser sends it, prefix included.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value in the request's `Cookie` headers, or `None`; an empty value counts as absent.
    ///
    /// # Errors
    /// [`CookieError::Duplicate`] if the name comes twice: any rule for choosing one is a rule somebody else
    /// does not share. [`CookieError::InvalidValue`] if the value is not visible ASCII.
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, CookieError> {
        let mut found: Option<&[u8]> = None;
        for header in headers.get_all(header::COOKIE) {
            for pair in header.as_bytes().split(|byte| *byte == b';') {
                let Some(value) = value_of(pair.trim_ascii(), self.name.as_bytes()) else {
                    continue;
                };
                if found.replace(value).is_some() {
                    return Err(CookieError::Duplicate);
                }
            }
        }
        match found {
            None | Some([]) => Ok(None),
            Some(value) if value.iter().all(u8::is_ascii_graphic) => {
                Ok(Some(std::str::from_utf8(value).expect("visible ASCII is UTF-8")))
            }
            Some(_) => Err(CookieError::InvalidValue),
        }
    }

    /// The `Set-Cookie` value that stores `value`, marked sensitive. Without `max_age` the cookie ends with the
    /// browser's session; more than 400 days are cut to 400, as browsers do.
    ///
    /// # Errors
    /// [`CookieError::InvalidName`], [`CookieError::InvalidValue`] for an empty value or a byte that a cookie
    /// cannot carry, [`CookieError::TooLong`] above 4096 bytes.
    pub fn write(&self, value: &Secret, max_age: Option<Duration>) -> Result<HeaderValue, CookieError> {
        let value = value.expose();
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E);
        if value.is_empty() || !value.bytes().all(allowed) {
            return Err(CookieError::InvalidValue);
        }
        if !self.name_is_usable() {
            return Err(CookieError::InvalidName);
        }
        if self.name.len() + value.len() > PAIR_CAP {
            return Err(CookieError::TooLong);
        }
        Ok(self.header(value, max_age))
    }

    /// The `Set-Cookie` value that removes the cookie, with the same attributes: browsers ignore a removal that
    /// differs.
    ///
    /// # Errors
    /// [`CookieError::InvalidName`].
    pub fn clear(&self) -> Result<HeaderValue, CookieError> {
        if !self.name_is_usable() {
            return Err(CookieError::InvalidName);
        }
        Ok(self.header("", Some(Duration::ZERO)))
    }

    fn name_is_usable(&self) -> bool {
        let name = self.bare_name.as_bytes();
        let length = (1..=256).contains(&name.len());
        length && name.iter().all(|byte| is_tchar(*byte)) && !name.starts_with(b"__")
    }

    fn header(&self, value: &str, max_age: Option<Duration>) -> HeaderValue {
        use fmt::Write;

        let mut text = zeroize::Zeroizing::new(String::with_capacity(self.name.len() + value.len() + 80));
        text.push_str(&self.name);
        text.push('=');
        text.push_str(value);
        if let Some(age) = max_age {
            let seconds = age.min(MAX_AGE_CAP).as_secs();
            let _infallible = write!(text, "; Max-Age={seconds}");
        }
        text.push_str("; Path=/");
        if !self.plain {
            text.push_str("; Secure");
        }
        text.push_str("; HttpOnly");
        text.push_str(match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
        });
        let mut header = HeaderValue::from_str(&text).expect("name and value were checked");
        header.set_sensitive(true);
        header
    }

    pub(crate) fn check(&self, faults: &mut Faults) {
        let rule =
            "must be 1 to 256 characters of a token (RFC 9110, section 5.6.2), without a prefix of its own";
        faults.check(self.name_is_usable(), "cookie", &self.bare_name, rule);
    }
}

impl From<&str> for CookieSettings {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pair.strip_prefix(name)?.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii)
}

// ===== impl CookieError =====

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "the cookie came twice",
            Self::InvalidName => "the name cannot be a cookie's",
            Self::InvalidValue => "the value holds a byte that a cookie cannot carry",
            Self::TooLong => "name and value together exceed 4096 bytes",
        })
    }
}

impl std::error::Error for CookieError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &CookieSettings, cookies: &[&str]) -> Result<Option<String>, CookieError> {
        let mut headers = HeaderMap::new();
        for line in cookies {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        settings.read(&headers).map(|value| value.map(str::to_owned))
    }

    #[test]
    fn the_four_verbs_agree_on_name_and_attributes() {
        let settings = CookieSettings::new("token");
        let written = settings.write(&Secret::new("abc"), Some(Duration::from_secs(60))).unwrap();
        assert!(written.is_sensitive());
        assert_eq!(written, "__Host-token=abc; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(
            settings.clear().unwrap(),
            "__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(read(&settings, &["__Host-token=abc"]), Ok(Some("abc".to_owned())));
        let plain = settings.danger_plain().same_site(SameSite::Strict);
        assert_eq!(
            plain.write(&Secret::new("abc"), None).unwrap(),
            "token=abc; Path=/; HttpOnly; SameSite=Strict"
        );
        assert_eq!(read(&plain, &["token=abc"]), Ok(Some("abc".to_owned())));
    }

    #[test]
    fn reading_finds_the_name_among_others() {
        let settings = CookieSettings::new("t").danger_plain();
        assert_eq!(read(&settings, &["a=1; t=x; b=2"]), Ok(Some("x".to_owned())));
        assert_eq!(read(&settings, &["a=1", "t=x"]), Ok(Some("x".to_owned())));
        assert_eq!(read(&settings, &["tt=1; T=2; at=3; t"]), Ok(None));
        assert_eq!(read(&settings, &["t="]), Ok(None));
        assert_eq!(read(&settings, &["t = x "]), Ok(Some("x".to_owned())));
        assert_eq!(read(&settings, &[]), Ok(None));
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_in_any_order() {
        let settings = CookieSettings::new("t").danger_plain();
        for cookies in
            [&["t=a; t=b"][..], &["t=b; t=a"], &["t=a", "t=b"], &["t=a; t="], &["t=; t=a"], &["t=a; t=a"]]
        {
            assert_eq!(read(&settings, cookies), Err(CookieError::Duplicate), "{cookies:?}");
        }
    }

    #[test]
    fn bad_bytes_are_refused_both_ways() {
        let settings = CookieSettings::new("t");
        assert_eq!(read(&settings.clone().danger_plain(), &["t=\u{e9}"]), Err(CookieError::InvalidValue));
        for value in ["", "a;b", "a b", "a,b", "a\"b", "a\\b", "a\r\nSet-Cookie: x=y", "\u{e9}"] {
            assert_eq!(
                settings.write(&Secret::new(value), None),
                Err(CookieError::InvalidValue),
                "{value:?}"
            );
        }
        assert_eq!(settings.write(&Secret::new("x".repeat(4096)), None), Err(CookieError::TooLong));
    }

    #[test]
    fn a_name_that_would_break_out_is_refused_both_ways() {
        for name in ["", "a\n", "a; Domain=evil.test", "a=b", "__Host-a", "\u{e9}"] {
            let settings = CookieSettings::new(name);
            assert_eq!(settings.write(&Secret::new("x"), None), Err(CookieError::InvalidName), "{name:?}");
            assert_eq!(settings.clear(), Err(CookieError::InvalidName), "{name:?}");
        }
    }

    #[test]
    fn a_long_life_is_cut_as_browsers_do() {
        let written = CookieSettings::new("t").write(&Secret::new("a"), Some(Duration::MAX)).unwrap();
        assert!(written.to_str().unwrap().contains("Max-Age=34560000;"));
    }
}

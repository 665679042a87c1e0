//! Why a cookie could not be written or read.

use std::fmt;

/// Why a cookie could not be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// The request names the cookie twice.
    Duplicate,
    /// The name is not 1 to 256 characters of a token (RFC 9110 §5.6.2), or starts with `__`.
    InvalidName,
    /// The path does not start with `/`, is longer than 1024 bytes, or holds a byte that is `;` or not visible
    /// ASCII.
    InvalidPath,
    /// A setting that came as text could not be read.
    InvalidSetting,
    /// The value holds a byte that a cookie cannot carry.
    InvalidValue,
    /// `SameSite=None` together with [`danger_plain`](super::CookieSettings::danger_plain), which drops the
    /// `Secure` that it needs.
    SameSiteNoneNeedsSecure,
    /// Name and value together exceed 4096 bytes.
    TooLong,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "the cookie came twice",
            Self::InvalidName => "the name cannot be a cookie's",
            Self::InvalidPath => "the path cannot be a cookie's",
            Self::InvalidSetting => "a setting of the cookie could not be read",
            Self::InvalidValue => "the value holds a byte that a cookie cannot carry",
            Self::SameSiteNoneNeedsSecure => "SameSite=None needs Secure",
            Self::TooLong => "name and value together exceed 4096 bytes",
        })
    }
}

impl std::error::Error for CookieError {}

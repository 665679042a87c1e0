//! The id.

use std::fmt;

use data_encoding::HEXLOWER;
use http::HeaderValue;

use crate::random::{self, RandomError};

/// The id of a request; cheap to clone. See the [module docs](super) for what it may be made of.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CorrelationId(HeaderValue);

impl CorrelationId {
    /// The longest that is accepted, in bytes.
    pub const LEN_MAX: usize = 128;

    /// Takes an id over. `None` if it is empty, too long, or has other characters than those of the
    /// [module docs](super).
    pub fn new(text: &str) -> Option<Self> {
        Self::from_header(&HeaderValue::from_str(text).ok()?)
    }

    /// Takes an id over from a header, by the same rules.
    pub fn from_header(value: &HeaderValue) -> Option<Self> {
        let text = value.as_bytes();
        let sane = (1..=Self::LEN_MAX).contains(&text.len())
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte));
        sane.then(|| Self(value.clone()))
    }

    /// A new one: a random UUID.
    ///
    /// # Errors
    /// [`RandomError`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        let mut bytes = *random::bytes::<16>()?;
        // Version 4, and the variant of RFC 9562.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = HEXLOWER.encode(&bytes);
        let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        let value = HeaderValue::from_str(&groups.join("-")).expect("hexadecimal digits are a header's");
        Ok(Self(value))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("checked when it was made")
    }

    /// As the value of a header.
    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CorrelationId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r125_an_id_is_short_and_of_harmless_characters() {
        let longest = "a".repeat(CorrelationId::LEN_MAX);
        for sane in ["a", "7", "order-17", "1.2_3~4+5/6=7:8@9", longest.as_str()] {
            assert_eq!(CorrelationId::new(sane).unwrap().as_str(), sane);
        }
        let too_long = "a".repeat(CorrelationId::LEN_MAX + 1);
        for other in [
            "",
            " a",
            "a b",
            "a\r\nset-cookie: x",
            "a\nb",
            "a\tb",
            "a\0",
            "a,b",
            "a;b",
            "\"a\"",
            "<a>",
            "a%0a",
            "ä",
            "{a}",
            "$(a)",
            too_long.as_str(),
        ] {
            assert_eq!(CorrelationId::new(other), None, "{other:?}");
        }
        assert_eq!(CorrelationId::from_header(&HeaderValue::from_bytes(b"a\xff").unwrap()), None);
    }

    #[test]
    fn r125_new_ids_are_random_uuids() {
        let (one, two) = (CorrelationId::generate().unwrap(), CorrelationId::generate().unwrap());
        assert_ne!(one, two);
        let text = one.as_str();
        assert_eq!(CorrelationId::new(text).unwrap(), one);
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(&text[14..15], "4");
        assert!("89ab".contains(&text[19..20]));
    }
}

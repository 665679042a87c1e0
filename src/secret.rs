//! What must not leak: tokens, client secrets, passwords.

use std::fmt;

use constant_time_eq::constant_time_eq;
use zeroize::Zeroizing;

/// A secret text.
///
/// It has no `Display`, its `Debug` shows nothing of the text, equality takes the same time wherever the texts
/// differ, and the memory is wiped on drop. The length is no secret.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Every call of this is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Thirty-two secret bytes: a nonce, a key of a record. Shown like [`Secret`]; there is no equality.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<[u8; 32]>);

impl SecretBytes {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Zeroizing<[u8; 32]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves. Every call of this is a place to review.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_d16_a_secret_is_shown_by_its_name_alone() {
        assert_eq!(format!("{:?}", Secret::new("planted")), "Secret(..)");
        assert_eq!(format!("{:?}", SecretBytes::new([7; 32])), "SecretBytes(..)");
    }

    #[test]
    fn secrets_are_equal_where_their_texts_are() {
        assert_eq!(Secret::new("planted"), Secret::from("planted"));
        for other in ["", "plante", "planted ", "Planted", "planteD"] {
            assert_ne!(Secret::new("planted"), Secret::new(other));
        }
    }
}

//! Scope words of RFC 6749 §3.3.

use std::fmt;

/// A list of scope words, as a challenge or a token request carries it: `orders:read orders:write`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope(Vec<Box<str>>);

/// The text is no list of scope words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidScope;

impl Scope {
    /// Reads words separated by single spaces. Order is kept, repeated words are dropped.
    ///
    /// # Errors
    /// [`InvalidScope`] for an empty text, an empty word, and a character outside `%x21 / %x23-5B / %x5D-7E`.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        let mut words: Vec<Box<str>> = Vec::new();
        for word in text.split(' ') {
            let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
            if word.is_empty() || !word.bytes().all(allowed) {
                return Err(InvalidScope);
            }
            if !words.iter().any(|known| **known == *word) {
                words.push(word.into());
            }
        }
        Ok(Self(words))
    }

    /// Whether `word` is in the list. Words are compared as they are, case included.
    pub fn contains(&self, word: &str) -> bool {
        self.0.iter().any(|known| **known == *word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

impl fmt::Display for InvalidScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a list of scope words (RFC 6749, section 3.3)")
    }
}

impl std::error::Error for InvalidScope {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_order_and_lose_their_doubles() {
        let scope = Scope::parse("b a b").unwrap();
        assert_eq!(scope.to_string(), "b a");
        assert!(scope.contains("a") && !scope.contains("A"));
        let scope = Scope::parse("orders:read users").unwrap();
        for other in ["orders", "orders:", "orders:read:all", "users:read", "read", "", "orders:read users"] {
            assert!(!scope.contains(other), "{other:?}");
        }
    }

    #[test]
    fn what_could_break_out_of_a_challenge_is_refused() {
        for text in ["", " ", "a  b", " a", "a ", "a\"b", "a\\b", "a\r\nb", "a\tb", "ä", "a\u{7f}"] {
            assert_eq!(Scope::parse(text), Err(InvalidScope), "{text:?}");
        }
    }
}

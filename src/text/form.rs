//! The two token texts, by position.

use std::fmt;

use zeroize::Zeroizing;

use super::base62;
use crate::secret::Secret;

const ID_WIDTH: usize = 17;
const SECRET_WIDTH: usize = 43;
const CHECK_WIDTH: usize = 6;
const GENERATION_WIDTH: usize = 6;
const TAG_WIDTH: usize = 22;
const BRAND_MAX: usize = 16;

/// The 43 characters of a 256-bit secret.
pub(crate) type SecretChars = Zeroizing<[u8; SECRET_WIDTH]>;
/// The 22 characters of a 128-bit tag.
pub(crate) type TagChars = [u8; TAG_WIDTH];

/// The public id of a login: 96 random bits in 17 characters.
///
/// It names a record and proves nothing, so it may be logged and shown in a list of devices.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId([u8; ID_WIDTH]);

/// The first characters of every token, 1–16 of `a`–`z` and `0`–`9`, by which scanners and people know whose
/// token it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Brand {
    bytes: [u8; BRAND_MAX],
    len: u8,
}

/// An access token, taken apart.
pub(crate) struct AccessText {
    pub(crate) id: TokenId,
    /// The place of its brand in the list.
    pub(crate) brand: usize,
    /// Not wiped, unlike a secret of ours: the request holds the same characters, and nobody wipes those.
    pub(crate) secret: [u8; SECRET_WIDTH],
}

/// A refresh token, taken apart.
pub(crate) struct RefreshText {
    pub(crate) id: TokenId,
    pub(crate) generation: u32,
    pub(crate) secret: SecretChars,
    pub(crate) tag: TagChars,
    /// Everything before the tag, brand included: what the tag is computed over.
    pub(crate) tagged: Secret,
}

// ===== impl TokenId =====

impl TokenId {
    /// Before every other id in order.
    pub(crate) const LOWEST: Self = Self([0; ID_WIDTH]);

    pub(crate) fn from_random(bytes: &[u8; 12]) -> Self {
        Self(base62::encode(bytes))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII ever enters: base62 digits here, checked characters in `parse`.
        std::str::from_utf8(&self.0).expect("ids are ASCII")
    }

    /// The id's 17 characters.
    pub fn as_bytes(&self) -> &[u8; 17] {
        &self.0
    }

    /// An id from its 17 characters, for a store that reads one back. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; ID_WIDTH] = text.as_bytes().try_into().ok()?;
        all_base62(&bytes).then_some(Self(bytes))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

// ===== impl Brand =====

impl Brand {
    /// `None` unless the text is 1–16 of `a`–`z` and `0`–`9`.
    pub fn parse(text: &str) -> Option<Self> {
        let source = text.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if source.is_empty() || source.len() > BRAND_MAX || !source.iter().all(allowed) {
            return None;
        }
        let mut bytes = [0; BRAND_MAX];
        bytes[..source.len()].copy_from_slice(source);
        Some(Self { bytes, len: u8::try_from(source.len()).ok()? })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// What follows `brand "_" kind`, if that is how the text starts.
    fn strip<'a>(&self, text: &'a [u8], kind: u8) -> Option<&'a [u8]> {
        match text.strip_prefix(self.as_bytes())? {
            [b'_', found, rest @ ..] if *found == kind => Some(rest),
            _ => None,
        }
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.as_bytes()).expect("brands are ASCII"))
    }
}

impl fmt::Debug for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Brand({self})")
    }
}

// ===== writing =====

pub(crate) fn encode_secret(bytes: &[u8; 32]) -> SecretChars {
    Zeroizing::new(base62::encode(bytes))
}

pub(crate) fn encode_tag(bytes: &[u8; 16]) -> TagChars {
    base62::encode(bytes)
}

pub(crate) fn compose_access(brand: &Brand, id: TokenId, secret: &[u8; SECRET_WIDTH]) -> Secret {
    let mut text = String::with_capacity(BRAND_MAX + 68);
    push(&mut text, brand.as_bytes());
    text.push_str("_a");
    push(&mut text, &id.0);
    push(&mut text, secret);
    finish(text)
}

/// `tag` is asked for the tag of the text that precedes it.
pub(crate) fn compose_refresh(
    brand: &Brand,
    id: TokenId,
    generation: u32,
    secret: &[u8; SECRET_WIDTH],
    tag: impl FnOnce(&str) -> TagChars,
) -> Secret {
    let mut text = String::with_capacity(BRAND_MAX + 96);
    push(&mut text, brand.as_bytes());
    text.push_str("_r");
    push(&mut text, &id.0);
    push(&mut text, &base62::encode_u32(generation));
    push(&mut text, secret);
    let tag = tag(&text);
    push(&mut text, &tag);
    finish(text)
}

fn push(text: &mut String, ascii: &[u8]) {
    text.push_str(std::str::from_utf8(ascii).expect("parts of a token are ASCII"));
}

fn finish(mut text: String) -> Secret {
    let check = check_of(text.as_bytes());
    push(&mut text, &check);
    Secret::new(text)
}

fn check_of(text: &[u8]) -> [u8; CHECK_WIDTH] {
    base62::encode_u32(crc32fast::hash(text))
}

/// The text with a check that fits it, for tests that forge tokens.
#[cfg(test)]
pub(crate) fn with_check(before: &str) -> String {
    finish(before.to_owned()).expose().to_owned()
}

// ===== reading =====

/// Whether the text calls itself an access token of one of these brands; says nothing of its validity.
pub(crate) fn is_access(text: &str, brands: &[Brand]) -> bool {
    brands.iter().any(|brand| brand.strip(text.as_bytes(), b'a').is_some())
}

pub(crate) fn parse_access(text: &str, brands: &[Brand]) -> Option<AccessText> {
    let text = text.as_bytes();
    let (brand, body) =
        brands.iter().enumerate().find_map(|(place, brand)| Some((place, brand.strip(text, b'a')?)))?;
    let body: &[u8; ID_WIDTH + SECRET_WIDTH + CHECK_WIDTH] = body.try_into().ok()?;
    check_characters(text, body)?;
    let (id, rest) = body.split_first_chunk()?;
    let (secret, _check) = rest.split_first_chunk()?;
    Some(AccessText { id: TokenId(*id), brand, secret: *secret })
}

pub(crate) fn parse_refresh(text: &str, brands: &[Brand]) -> Option<RefreshText> {
    const BODY: usize = ID_WIDTH + GENERATION_WIDTH + SECRET_WIDTH + TAG_WIDTH + CHECK_WIDTH;
    let whole = text.as_bytes();
    let body = brands.iter().find_map(|brand| brand.strip(whole, b'r'))?;
    let body: &[u8; BODY] = body.try_into().ok()?;
    check_characters(whole, body)?;
    let (id, rest) = body.split_first_chunk()?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (secret, rest) = rest.split_first_chunk()?;
    let (tag, _check) = rest.split_first_chunk()?;
    Some(RefreshText {
        id: TokenId(*id),
        generation: base62::decode_u32(generation)?,
        secret: Zeroizing::new(*secret),
        tag: *tag,
        tagged: Secret::new(&text[..whole.len() - TAG_WIDTH - CHECK_WIDTH]),
    })
}

/// The check is no secret to whoever holds the text, so a plain comparison is enough.
fn check_characters(whole: &[u8], body: &[u8]) -> Option<()> {
    let (before, check) = whole.split_last_chunk::<CHECK_WIDTH>()?;
    (all_base62(body) && check_of(before) == *check).then_some(())
}

/// Without an early end, so that the compiler can compare many characters at once.
fn all_base62(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, byte| all & byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;

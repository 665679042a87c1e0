//! Which names speak of a credential.

/// Names that do, as they are after [`normalised`].
const NAMES: [&str; 21] = [
    "auth",
    "code",
    "codeverifier",
    "devicecode",
    "dpop",
    "key",
    "nonce",
    "otp",
    "pass",
    "passcode",
    "pin",
    "pwd",
    "recoverycode",
    "samlart",
    "sid",
    "sig",
    "state",
    "ticket",
    "totp",
    "usercode",
    "xamzcredential",
];

/// Parts of names that do. None is part of a word that a harmless name would hold.
const PARTS: [&str; 18] = [
    "accesskey",
    "apikey",
    "assertion",
    "authoriz",
    "bearer",
    "cookie",
    "credential",
    "csrf",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "samlre",
    "secret",
    "session",
    "signature",
    "token",
];

/// A name without what people write differently: lower case, and neither hyphens, underscores nor dots.
pub(super) fn normalised(name: &str) -> String {
    let kept = name.chars().filter(|char| !matches!(char, '-' | '_' | '.'));
    kept.flat_map(char::to_lowercase).collect()
}

/// Whether a normalised name is one of ours.
pub(super) fn is_built_in(name: &str) -> bool {
    NAMES.contains(&name) || name.contains("xsrf") || PARTS.iter().any(|part| name.contains(part))
}

/// Whether a text looks like nothing but a token or a digest. Numbers, words and UUIDs are shorter.
pub(super) fn looks_secret(text: &str) -> bool {
    let of_a_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+/=%".contains(&byte);
    text.len() >= 40 && text.bytes().all(of_a_token) && !text.contains('/') || is_jwt(text)
}

/// Three parts, the first of which is a JSON object in base64url.
fn is_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() >= 2
}

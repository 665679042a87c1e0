//! Values that look like credentials, whatever their name is.

/// Whether a text looks like nothing but a token or a digest. Numbers, words and UUIDs are shorter.
pub(super) fn looks_secret(text: &str) -> bool {
    let of_a_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+/=%".contains(&byte);
    let long = text.len() >= 40 && text.bytes().all(of_a_token);
    long && (!text.contains('/') || is_mixed(text)) || is_jwt(text)
}

/// Base64 has a slash among its characters, as have paths and media types; these have seldom all of the others.
fn is_mixed(text: &str) -> bool {
    let has = |of: fn(&u8) -> bool| text.bytes().any(|byte| of(&byte));
    has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && has(|byte| byte.is_ascii_digit() || *byte == b'+')
}

/// Three parts, the first of which is a JSON object in base64url.
fn is_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() >= 2
}

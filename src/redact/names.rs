//! Which names speak of a credential, and which headers do not.

/// Whole names that do, as they are after [`normalised`].
const NAMES: [&str; 13] = [
    "code",
    "codeverifier",
    "devicecode",
    "dpop",
    "nonce",
    "passcode",
    "recoverycode",
    "samlart",
    "sid",
    "state",
    "ticket",
    "usercode",
    "xamzcredential",
];

/// Parts of normalised names that do. None is part of a word that a harmless name would hold.
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
    "token",
    "xsrf",
];

/// Parts of words that do, unless the word is one of [`HARMLESS`].
const STEMS: [&str; 7] = ["auth", "creds", "hmac", "key", "pass", "pwd", "sig"];

/// Words that do.
const WORDS: [&str; 4] = ["mac", "otp", "pin", "totp"];

/// Words that hold a stem and mean something else. A name is hidden for nothing rather than shown by mistake, so
/// the list has only what is common.
const HARMLESS: [&str; 37] = [
    "assign",
    "assigned",
    "assignee",
    "assignees",
    "assignment",
    "author",
    "authority",
    "authors",
    "bypass",
    "compass",
    "design",
    "designation",
    "designer",
    "designs",
    "hockey",
    "hotkeys",
    "insight",
    "insights",
    "keyboard",
    "keynote",
    "keyword",
    "keywords",
    "monkey",
    "passage",
    "passages",
    "passed",
    "passenger",
    "passengers",
    "passes",
    "passive",
    "sigma",
    "signal",
    "signals",
    "significance",
    "significant",
    "signup",
    "turkey",
];

/// Headers whose values are shown; those of all others are not. None carries a credential by its definition.
const SHOWN_HEADERS: [&str; 47] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "grpc-status",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "ratelimit",
    "ratelimit-policy",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "x-correlation-id",
    "x-request-id",
];

/// A name without what people write differently: lower case, and neither hyphens, underscores nor dots.
pub(super) fn normalised(name: &str) -> String {
    let kept = name.chars().filter(|char| !matches!(char, '-' | '_' | '.'));
    kept.flat_map(char::to_lowercase).collect()
}

/// Whether a name speaks of a credential.
pub(super) fn is_built_in(name: &str) -> bool {
    let whole = normalised(name);
    NAMES.contains(&&*whole)
        || PARTS.iter().any(|part| whole.contains(part))
        || words(name).iter().any(|word| speaks(word))
}

/// Whether the value of a header of this name, in lower case, may be shown.
pub(super) fn is_shown_header(name: &str) -> bool {
    SHOWN_HEADERS.contains(&name)
}

fn speaks(word: &str) -> bool {
    WORDS.contains(&word) || STEMS.iter().any(|stem| word.contains(stem)) && !HARMLESS.contains(&word)
}

/// The words of a name, in lower case: `X-Auth-Key`, `author_id`, `signedHeaders`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for char in name.chars() {
        if !char.is_alphanumeric() || char.is_uppercase() && after_lower {
            words.push(String::new());
        }
        if char.is_alphanumeric() {
            words.last_mut().expect("there is one").extend(char.to_lowercase());
        }
        after_lower = char.is_lowercase();
    }
    words
}

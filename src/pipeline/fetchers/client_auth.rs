//! Who asks for a token: the client of OAuth 2.0.

use std::fmt;

use data_encoding::BASE64;
use form_urlencoded::byte_serialize;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// How a client shows a token endpoint who it is (RFC 6749 §2.3.1).
#[derive(Clone)]
pub struct ClientAuth {
    id: String,
    proof: Proof,
}

#[derive(Clone)]
enum Proof {
    Basic(Secret),
    Body(Secret),
    Nothing,
}

impl ClientAuth {
    /// Id and secret in the `Authorization` header, both form-encoded first, as the RFC has it. Every server must
    /// understand it.
    pub fn basic(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), proof: Proof::Basic(secret.into()) }
    }

    /// Id and secret as fields of the form: for servers that do not read the header. The RFC advises against it.
    pub fn body(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), proof: Proof::Body(secret.into()) }
    }

    /// A client without a secret, or with one that is shown in another way: the id alone, as a field of the form.
    pub fn public(id: impl Into<String>) -> Self {
        Self { id: id.into(), proof: Proof::Nothing }
    }

    pub(super) fn is_named(&self) -> bool {
        !self.id.is_empty()
    }

    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let Proof::Basic(secret) = &self.proof else { return None };
        let mut pair = Zeroizing::new(String::new());
        pair.extend(byte_serialize(self.id.as_bytes()));
        pair.push(':');
        pair.extend(byte_serialize(secret.expose().as_bytes()));
        let text = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())));
        let mut value = HeaderValue::from_str(&text).expect("base64 is ASCII");
        value.set_sensitive(true);
        Some(value)
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, Secret)> {
        let id = || ("client_id", Secret::new(self.id.as_str()));
        match &self.proof {
            Proof::Basic(_) => Vec::new(),
            Proof::Body(secret) => vec![id(), ("client_secret", secret.clone())],
            Proof::Nothing => vec![id()],
        }
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn basic(id: &str, secret: &str, expected: &str) {
        let value = ClientAuth::basic(id, secret).authorization().unwrap();
        assert!(value.is_sensitive());
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(BASE64.decode(encoded.as_bytes()).unwrap(), expected.as_bytes());
    }

    #[test]
    fn r114_id_and_secret_are_form_encoded_before_they_are_basic() {
        basic("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "s6BhdRkqt3:7Fjfp0ZBr1KtDRbnfVdmIw");
        // The example of RFC 6749 appendix B, and what would end the id.
        basic(" %&+\u{a3}\u{20ac}", "a:b", "+%25%26%2B%C2%A3%E2%82%AC:a%3Ab");
        basic("a:b/c=", "", "a%3Ab%2Fc%3D:");
    }

    #[test]
    fn r114_a_secret_is_in_the_header_or_in_the_body_and_never_in_both() {
        let names = |client: &ClientAuth| client.fields().iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let (basic, body, public) =
            (ClientAuth::basic("id", "planted"), ClientAuth::body("id", "planted"), ClientAuth::public("id"));
        assert!(names(&basic).is_empty());
        assert_eq!((body.authorization(), names(&body)), (None, vec!["client_id", "client_secret"]));
        assert_eq!((public.authorization(), names(&public)), (None, vec!["client_id"]));
        assert!(!format!("{basic:?} {body:?} {public:?}").contains("planted"));
    }
}

//! Challenges as a client reads them: `WWW-Authenticate` (RFC 9110 §11.6.1).
//!
//! 1. One header may hold several challenges, several headers may come, and commas separate both challenges and
//!    their parameters.
//! 2. Commas and quotes inside a quoted string separate nothing.
//! 3. What is no challenge is passed over up to the next comma, and what follows is read.
//! 4. At most 16 KiB and 64 challenges are read. Time is linear in the length.
//!
//! ```
//! use http::{HeaderMap, header::WWW_AUTHENTICATE};
//! use portcullis::challenge::Challenge;
//!
//! let mut headers = HeaderMap::new();
//! let value = r#"Basic realm="a, b", Bearer error="invalid_token", scope="x y""#;
//! headers.insert(WWW_AUTHENTICATE, value.parse()?);
//! let [basic, bearer] = &Challenge::read(&headers)[..] else { panic!() };
//! assert_eq!((basic.scheme(), basic.parameter("Realm")), ("Basic", Some("a, b")));
//! assert!(bearer.is("bearer") && bearer.parameter("error") == Some("invalid_token"));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

mod scan;

use std::fmt;

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// One challenge: a scheme, and what it says.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    token: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Reads all challenges of an answer, in their order.
    pub fn read(headers: &HeaderMap) -> Vec<Self> {
        scan::challenges(headers.get_all(WWW_AUTHENTICATE).iter().map(|value| value.as_bytes()))
    }

    /// The scheme, as it was written.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether this is the scheme; case does not matter.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The text that some schemes have in place of parameters (`token68`).
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The value of a parameter, without its quotes; the case of the name does not matter. Of two with one name, the
    /// first.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All parameters, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// Names alone: in some schemes, what an answer says to one client is a credential.
impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters().map(|(name, _)| name).collect();
        f.debug_struct("Challenge")
            .field("scheme", &self.scheme)
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

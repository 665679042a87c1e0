//! Who has answered.

use std::fmt;

use http::Uri;

/// Response extension: the URI that the answer came from, where a client below the layer has followed redirects.
///
/// Adapters of such clients set it. A 401 from another origin than the one that the token was sent to is no word
/// about the token, and neither is a success. Without the extension, the answer counts as that of the request's
/// own URI.
#[derive(Clone, PartialEq, Eq)]
pub struct FinalUri(Uri);

impl FinalUri {
    /// The URI of the last request of a chain of redirects.
    pub fn new(uri: Uri) -> Self {
        Self(uri)
    }

    /// The URI that the answer came from.
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

/// Without user, password and query: the last may hold a code or a signature.
impl fmt::Debug for FinalUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FinalUri(")?;
        if let Some(scheme) = self.0.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        if let Some(authority) = self.0.authority() {
            f.write_str(authority.as_str().rsplit('@').next().unwrap_or_default())?;
        }
        write!(f, "{})", self.0.path())
    }
}

//! Who has answered.

use http::Uri;

/// Response extension: the URI that the answer came from, where a client below the layer has followed redirects.
///
/// Adapters of such clients set it. A 401 from another origin than the one that the token was sent to is no word
/// about the token, and neither is a success. Without the extension, the answer counts as that of the request's
/// own URI.
#[derive(Debug, Clone, PartialEq, Eq)]
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

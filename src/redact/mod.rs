//! What of a request may be shown in a log.
//!
//! 1. Of headers, values are shown for a list of harmless names, such as `accept`, `content-type` and `etag`, and for
//!    names that were [added](Redaction::and_shown_headers). Every other one shows `[redacted]`.
//! 2. Query parameters and members are hidden if their name speaks of a credential: if it holds `key`, `auth`, `token`,
//!    `secret`, `pass`, `sig` and the like, outside of words such as `author`, or is `code`, `state` and their like.
//!    Case, hyphens, underscores and dots do not count: `X-Api-Key` is `x_api_key` is `apiKey`.
//! 3. Names of your own come on top of the built-in ones, and never instead of them. A name that is hidden is hidden as
//!    a header, too, whatever was added to those that are shown.
//! 4. A header value that is marked sensitive is hidden whatever its name, and so is text of forty characters and
//!    more that only a token or a digest looks like, also in a path.
//! 5. Bodies have no names that could be trusted. Nothing here prints one; [`Redaction::json`] hides the members
//!    of a parsed one.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Uri};
//! use portcullis::redact::Redaction;
//!
//! let redaction = Redaction::new().and_names(["X-Customer"]);
//!
//! let uri: Uri = "https://ada:pw@api.example.com/orders?page=2&access_token=abc".parse()?;
//! assert_eq!(redaction.uri(&uri).to_string(), "https://api.example.com/orders?page=2&access_token=[redacted]");
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("x-customer", HeaderValue::from_static("ada"));
//! headers.insert("accept", HeaderValue::from_static("text/html"));
//! let shown = format!("{:?}", redaction.headers(&headers));
//! assert_eq!(shown, r#"{"x-customer": [redacted], "accept": "text/html"}"#);
//! # Ok::<(), http::uri::InvalidUri>(())
//! ```

mod headers;
mod names;
mod redaction;
mod shapes;
#[cfg(test)]
mod tests;
mod uri;

pub use headers::RedactedHeaders;
pub use redaction::Redaction;
pub use uri::RedactedUri;

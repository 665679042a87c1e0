//! reqwest's answer as an answer of `http`, with what that loses.

use http::{Response, Uri};
use reqwest::{Body, ResponseBuilderExt};

use crate::outbound::FinalUri;

/// Nobody's: the domain is reserved (RFC 2606 §2).
const NOBODY: &str = "http://nobody.invalid/";

/// Leaves who has answered, as [`FinalUri`], and for the way back to reqwest's own type.
pub(super) fn answer(response: reqwest::Response) -> Response<Body> {
    let url = response.url().clone();
    // Written as a URL, what a redirect has named can be longer than a URI may be.
    let uri = url.as_str().parse().unwrap_or_else(|_| Uri::from_static(NOBODY));
    let mut response = Response::from(response);
    response.extensions_mut().insert(FinalUri::new(uri));
    if let Ok(located) = Response::builder().url(url).body(()) {
        response.extensions_mut().extend(located.into_parts().0.extensions);
    }
    response
}

//! reqwest's answer as an answer of `http`, with what that loses.

use http::{Response, Uri};
use reqwest::{Body, ResponseBuilderExt};

use crate::outbound::FinalUri;

/// Nobody's: the domain is reserved (RFC 2606 §2).
const NOBODY: &str = "http://nobody.invalid/";

/// Leaves who has answered, as [`FinalUri`], and for the way back to reqwest's own type.
pub(super) fn answer(response: reqwest::Response) -> Response<Body> {
    let url = response.url().clone();
    // A URL may be what no URI is, for its length alone. Whatever it is, it is not known to be the API.
    let uri = url.as_str().parse().unwrap_or_else(|_| Uri::from_static(NOBODY));
    let mut response = Response::from(response);
    response.extensions_mut().insert(FinalUri::new(uri));
    if let Ok(located) = Response::builder().url(url).body(()) {
        response.extensions_mut().extend(located.into_parts().0.extensions);
    }
    response
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::*;

    fn answered(url: &str) -> Response<Body> {
        let located = Response::builder().status(401).url(Url::parse(url).unwrap());
        answer(reqwest::Response::from(located.extension(7_u8).body("text").unwrap()))
    }

    #[test]
    fn sec_k04_an_answer_says_where_it_is_from() {
        let response = answered("https://api.test/a?b#c");
        assert_eq!(response.extensions().get::<FinalUri>().unwrap().uri(), "https://api.test/a?b");
        assert_eq!((response.status().as_u16(), response.extensions().get()), (401, Some(&7_u8)));
        assert_eq!(reqwest::Response::from(response).url().as_str(), "https://api.test/a?b#c");
    }

    #[test]
    fn sec_k04_an_answer_from_what_is_no_uri_is_nobodys() {
        let response = answered(&format!("https://api.test/{}", "a".repeat(70_000)));
        assert_eq!(response.extensions().get::<FinalUri>().unwrap().uri(), NOBODY);
    }
}

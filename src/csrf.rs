//! Whether a request that is authenticated by a cookie was meant by the user.

use http::{HeaderMap, Method};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether a cookie credential may authenticate this request.
///
/// Safe methods (RFC 9110 §9.2.1) may come from anywhere. Every other method needs the browser's word that the
/// page that sent it is of the same origin: exactly one `Sec-Fetch-Site`, saying `same-origin`. A client that
/// sends no such header uses the `Authorization` header instead of a cookie.
pub(crate) fn allows_cookie(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE) {
        return true;
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    matches!((sites.next(), sites.next()), (Some(site), None) if site.as_bytes() == b"same-origin")
}

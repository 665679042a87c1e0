//! Whether a person is waiting for a page.

use http::{HeaderMap, Method, header::ACCEPT};

const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// Whether a browser is opening a page: a GET or HEAD whose `Sec-Fetch-Mode` says `navigate`, or, from a browser
/// that does not send that header, one that accepts `text/html` by name.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let mut modes = headers.get_all(SEC_FETCH_MODE).iter();
    match (modes.next(), modes.next()) {
        (None, _) => accepts_html(headers),
        (Some(mode), None) => mode.as_bytes() == b"navigate",
        _ => false,
    }
}

/// `*/*` names nothing: that is what clients of APIs send.
fn accepts_html(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    ranges.flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim_ascii);
        let html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        html && !parts.any(is_weight_zero)
    })
}

/// `q=0`, by which a client says that it does not accept something (RFC 9110 §12.4.2).
fn is_weight_zero(parameter: &str) -> bool {
    let weight = parameter.strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
    weight.is_some_and(|weight| {
        weight.starts_with('0') && weight.bytes().all(|byte| matches!(byte, b'0' | b'.'))
    })
}

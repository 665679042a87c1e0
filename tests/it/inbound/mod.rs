//! The inbound door: what counts as a credential, who verifies it, and what is answered.

mod answers;
mod build;
mod events;
mod exempt;
mod extractors;
mod header_bytes;
mod hooks;
mod identity_headers;
mod order;
mod origins;
mod redirects;
mod refusals;
mod renewal;
mod sources;
mod tenants;
mod watch;

use http::{Method, Request};
use portcullis::token::Issued;

use crate::support::{Body, Mode, request};

const MODES: [Mode; 2] = [Mode::Now, Mode::Later];

fn cookie(name: &str, issued: &Issued) -> String {
    format!("{name}={}", issued.access().expose())
}

fn to(method: Method, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = request(headers);
    (*request.method_mut(), *request.uri_mut()) = (method, uri.parse().expect("a URI"));
    request
}

fn get(uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    to(Method::GET, uri, headers)
}

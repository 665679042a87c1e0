//! Answers, none of which any cache may keep.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Map, Value};

use super::cookies::Cookies;
use crate::{
    problem::{ProblemReply, Rejection},
    token::Issued,
};

/// What the services here answer with.
pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn json(body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

pub(super) fn no_content() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

pub(super) fn refusal(rejection: Rejection) -> Answer {
    tracing::debug!(kind = rejection.kind().code(), reason = ?rejection.reason(), "request refused");
    rejection.respond(&ProblemReply)
}

/// A pair in the body, under the names of RFC 6749 §5.1. Lives are in seconds and left out where there is no end.
pub(super) fn pair(issued: &Issued, user: Option<Value>) -> Answer {
    let mut body = Map::new();
    body.insert("access_token".to_owned(), issued.access().expose().into());
    body.insert("token_type".to_owned(), "Bearer".into());
    if let Some(refresh) = issued.refresh() {
        body.insert("refresh_token".to_owned(), refresh.expose().into());
    }
    add_lives(&mut body, issued, user);
    json(&Value::Object(body))
}

/// A pair in cookies. The body holds no token: what a script can read, a foreign script can read too.
pub(super) fn pair_in_cookies(cookies: &Cookies, issued: &Issued, user: Option<Value>) -> Answer {
    let mut body = Map::new();
    add_lives(&mut body, issued, user);
    let mut answer = json(&Value::Object(body));
    cookies.write(issued, answer.headers_mut());
    answer
}

fn add_lives(body: &mut Map<String, Value>, issued: &Issued, user: Option<Value>) {
    let lives = [("expires_in", issued.expires_in()), ("refresh_expires_in", issued.refresh_expires_in())];
    for (name, life) in lives {
        body.extend(life.map(|life| (name.to_owned(), life.as_secs().into())));
    }
    body.extend(user.map(|user| ("user".to_owned(), user)));
}

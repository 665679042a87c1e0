//! The list of the caller's devices.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, request::Parts};
use http_body::Body;
use serde_json::{Map, Value, json};
use tower_service::Service;

use super::{
    answer::{self, Answer},
    body::{Content, missing},
    caller, device,
    endpoint::{self, Endpoint, ResponseFuture},
};
use crate::{
    clock::Timestamp,
    identity::Subject,
    problem::Rejection,
    store::LoginRecord,
    text::TokenId,
    token::{LoginQuery, TokenService},
};

/// `GET` the caller's live logins: `{"devices": […], "next": null}`. Stands behind an
/// [`AuthLayer`](crate::AuthLayer) with the same identity type.
///
/// A device has `id`, `label`, `channel`, `created`, `last_seen`, `expires`, `current`, `device`, `ip_address` and
/// `user_agent`. Times are seconds since the Unix epoch; what is not known, or has no end, is `null`. `current` is
/// the login of the request. Up to a hundred come at once; where `next` is an id, `?after=<id>` goes on behind it.
///
/// Answers 400 for an `after` that is no id, 401, 403, 500 and 503 as
/// [`LogoutAllService`](super::LogoutAllService) does, and 405 for other methods than `GET` and `HEAD`.
#[must_use]
pub struct DeviceListService<I = Subject> {
    list: Arc<DeviceList<I>>,
}

struct DeviceList<I> {
    tokens: TokenService<I>,
}

// ===== impl DeviceListService =====

impl<I: Send + Sync + 'static> DeviceListService<I> {
    /// The logins of this token service.
    pub fn new(tokens: TokenService<I>) -> Self {
        Self { list: Arc::new(DeviceList { tokens }) }
    }
}

impl<I, B> Service<Request<B>> for DeviceListService<I>
where
    I: Send + Sync + 'static,
    B: Body<Data: Send> + Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        endpoint::serve(&self.list, request)
    }
}

impl<I> Clone for DeviceListService<I> {
    fn clone(&self) -> Self {
        Self { list: Arc::clone(&self.list) }
    }
}

impl<I> fmt::Debug for DeviceListService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceListService").finish_non_exhaustive()
    }
}

// ===== impl DeviceList =====

impl<I: Send + Sync + 'static> Endpoint for DeviceList<I> {
    const METHODS: &'static str = "GET, HEAD";

    async fn answer(&self, head: &Parts, _content: Content) -> Result<Answer, Rejection> {
        let auth = caller::caller::<I>(head)?;
        let login = caller::login(&auth)?;
        let mut query = LoginQuery::of(login.subject().clone());
        if let Some(after) = after(head.uri.query().unwrap_or_default()) {
            query = query.after(TokenId::parse(after).ok_or_else(missing)?);
        }
        let page = self.tokens.logins(query).await.map_err(|error| Rejection::unavailable(error.into()))?;
        let devices: Vec<Value> =
            page.logins.iter().map(|listed| shown(listed, listed.id() == login.id())).collect();
        let next = page.next.as_ref().map(TokenId::as_str);
        Ok(answer::json(&json!({ "devices": devices, "next": next })))
    }
}

/// Ids need no escapes, so none are decoded.
fn after(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("after="))
}

fn shown(login: &LoginRecord, current: bool) -> Value {
    let mut shown = Map::new();
    let mut add = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    add("id", login.id().as_str().into());
    add("label", login.label().into());
    add("channel", login.channel().as_str().into());
    add("created", seconds(login.created()));
    add("last_seen", seconds(login.last_seen()));
    // Of a login that lives: the end of its last token.
    add("expires", seconds(login.purgeable_from()));
    add("current", current.into());
    shown.extend(device::shown(login.context()));
    Value::Object(shown)
}

fn seconds(moment: Timestamp) -> Value {
    if moment == Timestamp::NEVER { Value::Null } else { moment.as_millis().div_euclid(1000).into() }
}

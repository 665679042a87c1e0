//! The list of the caller's devices.

use std::sync::Arc;

use http::request::Parts;
use serde_json::{Map, Value, json};

use super::{
    answer::{self, Answer},
    body::{Content, missing},
    caller::login,
    device,
    endpoint::{self, Endpoint},
};
use crate::{
    clock::Timestamp,
    identity::{Subject, caller::known},
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
pub struct DeviceListService<I = Subject>(Arc<DeviceList<I>>);

struct DeviceList<I> {
    tokens: TokenService<I>,
}

// ===== impl DeviceListService =====

impl<I: Send + Sync + 'static> DeviceListService<I> {
    /// The logins of this token service.
    pub fn new(tokens: TokenService<I>) -> Self {
        Self(Arc::new(DeviceList { tokens }))
    }
}

endpoint::service!(DeviceListService);

// ===== impl DeviceList =====

impl<I: Send + Sync + 'static> Endpoint for DeviceList<I> {
    const METHODS: &'static str = "GET, HEAD";

    async fn answer(&self, head: &Parts, _content: Content) -> Result<Answer, Rejection> {
        let auth = known::<I>(&head.extensions)?;
        let login = login(&auth)?;
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

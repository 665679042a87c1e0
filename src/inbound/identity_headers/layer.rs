//! The layer and its settings.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue, request::Parts};
use tower_layer::Layer;

use super::{names::Names, service::IdentityHeadersService};
use crate::{
    error::{ConfigError, Faults},
    identity::{
        Auth, AuthContext, Issuer, Subject,
        caller::{context, typed},
    },
    problem::{ProblemReply, Rejection},
};

/// Tells an application behind it who is calling, in headers that nobody else can set: for a proxy or an
/// application that believes `X-User-Id` and the like. It stands inside the [`AuthLayer`](crate::AuthLayer).
///
/// 1. Headers that say who somebody is are taken off every request, also an anonymous one: those of
///    [`STRIPPED`](IdentityHeaders::STRIPPED), of [`strip`](IdentityHeadersBuilder::strip), and all that the layer
///    adds, with all their values.
/// 2. Names are compared without case, and everything in them that is neither letter nor digit counts as a `-`:
///    CGI, WSGI and PHP read `X_User_Id` (and some of them `X.User.Id`) as `X-User-Id`.
/// 3. The names are taken out of `Connection`, too, where they would have the next proxy remove what this layer
///    adds.
/// 4. Then the layer adds its own. Without a caller, or without a value, there is no header.
/// 5. Trailers are not touched: an application must not take an identity from one.
///
/// A layer that adds headers answers 500 without an `AuthLayer` outside, or with one of another identity type.
///
/// ```
/// use http::{Request, Response, header::AUTHORIZATION};
/// use portcullis::{
///     AuthLayer,
///     identity::Subject,
///     inbound::IdentityHeaders,
///     store::MemoryStore,
///     token::{IssueOptions, TokenPolicy, TokenService},
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
/// let service = ServiceBuilder::new()
///     .layer(AuthLayer::new(tokens.clone()).build()?)
///     .layer(IdentityHeaders::new().subject_header("x-user-id").build()?)
///     .service(service_fn(|request: Request<String>| async move {
///         let users = request.headers().iter().filter(|(name, _)| name.as_str().contains("user"));
///         Ok::<_, std::convert::Infallible>(Response::new(format!("{:?}", users.collect::<Vec<_>>())))
///     }));
///
/// let token = tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await?;
/// let request = Request::builder()
///     .header(AUTHORIZATION, format!("Bearer {}", token.access().expose()))
///     .header("x-user-id", "root")
///     .header("x_user_id", "root")
///     .body(String::new())?;
/// assert_eq!(service.oneshot(request).await?.body(), r#"[("x-user-id", "ada")]"#);
/// # Ok(())
/// # }
/// ```
///
/// Headers of the house, more to add, and the token kept from the application:
///
/// ```
/// use http::HeaderValue;
/// use portcullis::{identity::{Auth, Subject}, inbound::IdentityHeaders};
///
/// let layer = IdentityHeaders::new()
///     .strip("x-corp-*")
///     .strip("authorization")
///     .subject_header("x-corp-user")
///     .add("x-corp-device", |auth: &Auth<Subject>| {
///         HeaderValue::from_str(auth.record().ok()?.label()?).ok()
///     })
///     .build()?;
/// # let _ = layer;
/// # Ok::<(), portcullis::error::ConfigError>(())
/// ```
#[must_use]
pub struct IdentityHeaders<R = ProblemReply> {
    settings: Arc<Settings>,
    maker: Arc<R>,
}

/// Settings of [`IdentityHeaders`].
#[must_use]
pub struct IdentityHeadersBuilder<R = ProblemReply> {
    stripped: Vec<String>,
    added: Vec<(String, MakeValue)>,
    maker: R,
}

type MakeValue = Box<dyn Fn(&AuthContext) -> Result<Option<HeaderValue>, Rejection> + Send + Sync>;

/// What a layer does, checked and shared by all its services.
pub(super) struct Settings {
    names: Names,
    added: Vec<(HeaderName, MakeValue)>,
}

// ===== impl IdentityHeaders =====

impl IdentityHeaders {
    /// What is always taken off: headers by which well-known proxies and gateways tell an application who is
    /// calling.
    pub const STRIPPED: &[&str] = &[
        "cf-access-*",
        "client-cert",
        "client-cert-chain",
        "remote-email",
        "remote-group",
        "remote-groups",
        "remote-name",
        "remote-user",
        "ssl-client-*",
        "tailscale-user-*",
        "x-amzn-oidc-*",
        "x-auth-email",
        "x-auth-groups",
        "x-auth-request-*",
        "x-auth-roles",
        "x-auth-subject",
        "x-auth-user",
        "x-auth-userid",
        "x-auth-username",
        "x-authenticated-*",
        "x-authentik-*",
        "x-client-cert*",
        "x-consumer-*",
        "x-credential-*",
        "x-forwarded-access-token",
        "x-forwarded-client-cert",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-forwarded-user",
        "x-goog-authenticated-user-*",
        "x-goog-iap-*",
        "x-ms-client-principal*",
        "x-pomerium-*",
        "x-remote-email",
        "x-remote-extra-*",
        "x-remote-group",
        "x-remote-groups",
        "x-remote-name",
        "x-remote-uid",
        "x-remote-user",
        "x-ssl-client-*",
        "x-user",
        "x-user-*",
        "x-userid",
        "x-userinfo",
        "x-username",
        "x-vouch-*",
        "x-webauth-*",
    ];

    /// Takes off [`STRIPPED`](Self::STRIPPED) and adds nothing.
    #[allow(clippy::new_ret_no_self)] // a layer that exists is valid; this is where its settings begin
    pub fn new() -> IdentityHeadersBuilder {
        let stripped = Self::STRIPPED.iter().map(|&name| name.to_owned()).collect();
        IdentityHeadersBuilder { stripped, added: Vec::new(), maker: ProblemReply }
    }
}

impl<S, R> Layer<S> for IdentityHeaders<R> {
    type Service = IdentityHeadersService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        IdentityHeadersService::new(inner, Arc::clone(&self.settings), Arc::clone(&self.maker))
    }
}

impl<R> Clone for IdentityHeaders<R> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings), maker: Arc::clone(&self.maker) }
    }
}

impl<R> fmt::Debug for IdentityHeaders<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added: Vec<&HeaderName> = self.settings.added.iter().map(|(name, _)| name).collect();
        f.debug_struct("IdentityHeaders").field("added", &added).finish_non_exhaustive()
    }
}

// ===== impl IdentityHeadersBuilder =====

impl<R> IdentityHeadersBuilder<R> {
    /// Also takes off this header; with a `*` at the end, all whose names begin so.
    pub fn strip(mut self, pattern: impl Into<String>) -> Self {
        self.stripped.push(pattern.into());
        self
    }

    /// Adds a header for a known caller, with the value that the closure makes; `None` leaves it out. What came
    /// under this name from outside is taken off in any case.
    pub fn add<I: Send + Sync + 'static>(
        mut self,
        name: impl Into<String>,
        value: impl Fn(&Auth<I>) -> Option<HeaderValue> + Send + Sync + 'static,
    ) -> Self {
        let make = move |context: &AuthContext| Ok(typed(context)?.as_ref().and_then(&value));
        self.added.push((name.into(), Box::new(make)));
        self
    }

    /// Adds a header with the id of the caller's [`Subject`], if it is one of this service and is the same text
    /// as a header value: visible ASCII, with spaces inside at most. Else there is no header.
    ///
    /// The id of another issuer's subject alone could be that of one of ours; [`add`](Self::add) a header of your
    /// own where the application knows the issuer.
    pub fn subject_header(self, name: impl Into<String>) -> Self {
        self.add(name, |auth: &Auth<Subject>| subject_value(auth.user()))
    }

    /// Makes every answer of the layer with this [`MakeReply`](crate::problem::MakeReply), for instance a
    /// closure `Fn(&Rejection, Response<Bytes>) -> Response<B>`. With one, any response body works.
    pub fn reject_with<T>(self, maker: T) -> IdentityHeadersBuilder<T> {
        IdentityHeadersBuilder { stripped: self.stripped, added: self.added, maker }
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<IdentityHeaders<R>, ConfigError> {
        let (mut faults, mut names, mut own) = (Faults::default(), Names::default(), Names::default());
        for pattern in &self.stripped {
            names.add(pattern, "strip", &mut faults);
        }
        let mut added = Vec::new();
        for (text, make) in self.added {
            // A `*` is a character of header names (RFC 9110 §5.6.2), but here it would be a pattern.
            let name = HeaderName::try_from(&text).ok().filter(|_| !text.contains('*'));
            let Some(name) = name else {
                faults.add("add", text, "must be a header name");
                continue;
            };
            faults.check(!own.cover(text.as_bytes()), "add", &text, "must not come twice");
            own.add(&text, "add", &mut faults);
            added.push((name, make));
        }
        faults.finish()?;
        names.extend(own);
        Ok(IdentityHeaders { settings: Arc::new(Settings { names, added }), maker: Arc::new(self.maker) })
    }
}

impl<R> fmt::Debug for IdentityHeadersBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added: Vec<&str> = self.added.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("IdentityHeadersBuilder")
            .field("stripped", &self.stripped)
            .field("added", &added)
            .finish_non_exhaustive()
    }
}

// ===== impl Settings =====

impl Settings {
    /// Takes off what came from outside, whoever is calling, and adds our own.
    pub(super) fn apply(&self, parts: &mut Parts) -> Result<(), Rejection> {
        self.names.strip(&mut parts.headers);
        if self.added.is_empty() {
            return Ok(());
        }
        let context = context(&parts.extensions)?;
        for (name, make) in &self.added {
            let Some(value) = make(context)? else { continue };
            if parts.headers.try_insert(name, value).is_err() {
                tracing::error!(header = name.as_str(), "the request has too many headers to add this one");
            }
        }
        Ok(())
    }
}

/// The id, if whoever reads the header reads exactly this id: spaces around a value are none of it (RFC 9110
/// §5.5).
fn subject_value(subject: &Subject) -> Option<HeaderValue> {
    let id = subject.id();
    let exact = !id.is_empty() && id.bytes().all(|byte| matches!(byte, b' '..=b'~')) && id.trim() == id;
    (exact && *subject.issuer() == Issuer::Local).then(|| HeaderValue::from_str(id).ok()).flatten()
}

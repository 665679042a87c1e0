//! The settings of a layer.

use std::{fmt, sync::Arc};

use super::{
    door::ReadTenant,
    head::RequestHead,
    hook::{AuthHook, Hooks},
};
use crate::{
    client_ip::ClientIpPolicy,
    clock::Clock,
    cookie::CookieSettings,
    csrf::CsrfPolicy,
    error::Faults,
    event::{Observer, Reporter},
    problem::ProblemReply,
    redirect::RedirectPolicy,
    verify::Verify,
};

/// Settings of an [`AuthLayer`](super::AuthLayer).
#[must_use]
pub struct AuthLayerBuilder<I, R = ProblemReply> {
    pub(super) settings: Settings<I>,
    pub(super) maker: R,
}

/// Everything but the maker of answers, unchecked.
pub(super) struct Settings<I> {
    pub(super) authenticators: Vec<Arc<dyn Verify<Identity = I>>>,
    /// The schemes of the `Authorization` header, if it is read.
    pub(super) schemes: Option<Vec<String>>,
    pub(super) cookies: Vec<CookieSettings>,
    pub(super) cookies_first: bool,
    pub(super) refuse_foreign: bool,
    pub(super) excluded: Vec<String>,
    pub(super) preflight: bool,
    pub(super) optional: bool,
    pub(super) invalid_as_anonymous: bool,
    pub(super) realm: String,
    pub(super) csrf: CsrfPolicy,
    pub(super) redirect: Option<RedirectPolicy>,
    pub(super) tenant: Option<Arc<ReadTenant>>,
    pub(super) client_ip: ClientIpPolicy,
    pub(super) hooks: Hooks<I>,
    pub(super) reporter: Reporter,
    pub(super) clock: Clock,
    /// What was wrong with settings that came as text.
    pub(super) faults: Faults,
}

impl<I: Send + Sync + 'static> AuthLayerBuilder<I> {
    pub(super) fn new(verifier: impl Verify<Identity = I>) -> Self {
        let settings = Settings {
            authenticators: vec![Arc::new(verifier)],
            schemes: Some(vec!["Bearer".to_owned(), "Token".to_owned()]),
            cookies: Vec::new(),
            cookies_first: false,
            refuse_foreign: false,
            excluded: Vec::new(),
            preflight: false,
            optional: false,
            invalid_as_anonymous: false,
            realm: "api".to_owned(),
            csrf: CsrfPolicy::new(),
            redirect: None,
            tenant: None,
            client_ip: ClientIpPolicy::peer(),
            hooks: Hooks { on_renewal: None, on_auth: None },
            reporter: Reporter::default(),
            clock: Clock::system(),
            faults: Faults::default(),
        };
        Self { settings, maker: ProblemReply }
    }
}

/// Where credentials are looked for, and who verifies them.
impl<I: Send + Sync + 'static, R> AuthLayerBuilder<I, R> {
    /// Adds an authenticator. The first that recognises a credential by its text verifies it, and no other.
    pub fn or(mut self, verifier: impl Verify<Identity = I>) -> Self {
        self.settings.authenticators.push(Arc::new(verifier));
        self
    }

    /// The accepted schemes of the `Authorization` header, as challenges name them; compared without regard to
    /// case. Default `Bearer`, `Token`.
    ///
    /// By default the header is asked before all cookies; called after [`cookie`](Self::cookie), it is asked
    /// after all of them.
    pub fn schemes<T: Into<String>>(mut self, schemes: impl IntoIterator<Item = T>) -> Self {
        self.settings.schemes = Some(schemes.into_iter().map(Into::into).collect());
        self.settings.cookies_first = !self.settings.cookies.is_empty();
        self
    }

    /// Reads no header at all. Without this, cookies are read beside the header.
    pub fn without_header(mut self) -> Self {
        self.settings.schemes = None;
        self
    }

    /// Also reads this cookie: a name, which gets the `__Host-` prefix, or [`CookieSettings`]. Several cookies
    /// are tried in turn until one verifies.
    ///
    /// A request that may change something, or opens a WebSocket, and is authenticated by a cookie must come
    /// from a page of the same origin, else it is answered with 403; see [`csrf`](Self::csrf). Where the
    /// request extends the credential, the answer brings the cookie again, with its new `Max-Age`.
    pub fn cookie(mut self, cookie: impl Into<CookieSettings>) -> Self {
        self.settings.cookies.push(cookie.into());
        self
    }

    /// Answers 401 to an `Authorization` header with a scheme that is not configured. By default such a header
    /// is somebody else's and counts as absent.
    pub fn refuse_foreign_schemes(mut self) -> Self {
        self.settings.refuse_foreign = true;
        self
    }

    /// Finds the tenant that a request is for: in its host name, its path, or what a layer outside has left in
    /// its extensions. A credential of another tenant, or of none, is then invalid; where the closure finds no
    /// tenant, only a credential of none is valid. Without this, the service has no tenants.
    ///
    /// ```
    /// use portcullis::{AuthLayer, MemoryStore, TokenPolicy, TokenService};
    ///
    /// let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    /// let layer = AuthLayer::new(tokens)
    ///     .tenant(|head| {
    ///         let host = head.headers().get("host")?.to_str().ok()?;
    ///         host.strip_suffix(".shop.example.com").map(str::to_owned)
    ///     })
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), portcullis::error::ConfigError>(())
    /// ```
    pub fn tenant<T: Into<Arc<str>>>(
        mut self,
        find: impl Fn(RequestHead<'_>) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        self.settings.tenant = Some(Arc::new(move |head| find(head).map(Into::into)));
        self
    }

    /// How the client's address is found. Verifiers, hooks, handlers and events get it. Default
    /// [`ClientIpPolicy::peer`].
    pub fn client_ip(mut self, policy: ClientIpPolicy) -> Self {
        self.settings.client_ip = policy;
        self
    }

    /// Replaces the clock that credentials are judged by; the default is [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }
}

/// Who is let through, and what happens on the way.
impl<I: Send + Sync + 'static, R> AuthLayerBuilder<I, R> {
    /// Lets requests without a credential through as anonymous. An invalid credential is still refused.
    pub fn optional(mut self) -> Self {
        self.settings.optional = true;
        self
    }

    /// Treats an invalid credential like none. Needs [`optional`](Self::optional). A handler then cannot tell a
    /// guest from a user whose login has just ended. A malformed credential, one that could not be checked and
    /// one that a hook turned away are refused all the same.
    pub fn danger_invalid_as_anonymous(mut self) -> Self {
        self.settings.invalid_as_anonymous = true;
        self
    }

    /// Lets requests for these paths through as anonymous, whatever credential they bring: nothing is read and
    /// nothing is verified. For the patterns see [`path`](crate::path); a path that could be read in two ways is
    /// never excluded.
    ///
    /// Patterns are compared with the path that reaches the layer: inside a nested axum router that is the rest
    /// behind the prefix.
    pub fn exclude<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.settings.excluded.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Lets CORS preflights through as anonymous: `OPTIONS` with one `Origin` and one
    /// `Access-Control-Request-Method`. Browsers send them without credentials. The service inside must answer
    /// such a request and do nothing else with it. A CORS layer outside of this one makes the setting needless.
    pub fn allow_preflight(mut self) -> Self {
        self.settings.preflight = true;
        self
    }

    /// Replaces the policy of where a request with a cookie may come from. The default is the same origin. It is
    /// asked only where the credential in use is a cookie.
    pub fn csrf(mut self, policy: CsrfPolicy) -> Self {
        self.settings.csrf = policy;
        self
    }

    /// Calls this hook with every valid credential, last before the request goes on. Replaces the one before.
    pub fn on_auth(mut self, hook: impl AuthHook<I>) -> Self {
        self.settings.hooks.on_auth = Some(Arc::new(hook));
        self
    }

    /// Calls this hook where the request has extended its credential, before [`on_auth`](Self::on_auth). The
    /// extension is then written before the hook is called, so that such a request waits for the store. Replaces
    /// the one before.
    pub fn on_renewal(mut self, hook: impl AuthHook<I>) -> Self {
        self.settings.hooks.on_renewal = Some(Arc::new(hook));
        self
    }

    /// Reports through this reporter, which may be shared with other layers and services: one event for each
    /// request that presents a credential or needs one. It replaces the one before, observers included. The
    /// default only logs.
    pub fn reporter(mut self, reporter: Reporter) -> Self {
        self.settings.reporter = reporter;
        self
    }

    /// Reports events to this observer, too.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.settings.reporter = std::mem::take(&mut self.settings.reporter).observer(observer);
        self
    }
}

/// Answers.
impl<I: Send + Sync + 'static, R> AuthLayerBuilder<I, R> {
    /// The realm that challenges name. Default `api`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.realm = realm.into();
        self
    }

    /// Sends a browser that opens a page without a valid credential to a login page (303), where it would get a
    /// 401. Requests of scripts and other programs get the 401, and every other refusal stays what it is. The
    /// [`Rejection`](crate::problem::Rejection) is in the redirect's extensions.
    ///
    /// [Exclude](Self::exclude) the login page, or the browser is sent in a circle. The way back is the URI that
    /// reaches the layer: inside a nested axum router that is not the whole path.
    pub fn redirect_to(mut self, policy: RedirectPolicy) -> Self {
        self.settings.redirect = Some(policy);
        self
    }

    /// Makes every answer of the layer with this [`MakeReply`](crate::problem::MakeReply), for instance a
    /// closure `Fn(&Rejection, Response<Bytes>) -> Response<B>`. With one, any response body works.
    pub fn reject_with<T>(self, maker: T) -> AuthLayerBuilder<I, T> {
        AuthLayerBuilder { settings: self.settings, maker }
    }
}

impl<I, R> fmt::Debug for AuthLayerBuilder<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayerBuilder")
            .field("authenticators", &self.settings.authenticators.len())
            .field("cookies", &self.settings.cookies)
            .field("excluded", &self.settings.excluded)
            .field("optional", &self.settings.optional)
            .field("realm", &self.settings.realm)
            .finish_non_exhaustive()
    }
}

//! The refresh service.

use std::{fmt, net::IpAddr, sync::Arc};

use http::request::Parts;

use super::{
    answer::{self, Answer},
    body::{self, Content},
    common::{Common, FromHead, Settings, bearer},
    cookies, device,
    endpoint::{self, Endpoint},
};
use crate::{
    client_ip::ClientIpPolicy,
    cookie::CookieSettings,
    credential::Channel,
    csrf::CsrfPolicy,
    error::{ConfigError, Faults},
    event::Reporter,
    identity::Subject,
    problem::{Rejection, RejectionKind},
    throttle::Throttle,
    token::{Issued, RefreshRequest, TokenService},
    verify::Refusal,
};

const REFRESH_TOKEN: &str = "refresh_token";

/// `POST` a refresh token, get the next pair. See the [module docs](super).
///
/// The token comes in the field `refresh_token` of the body and is answered in the body; where cookies are
/// configured and the body has none, it comes in its cookie and is answered in cookies. It is never read from the
/// URL.
///
/// | request | answer |
/// |---|---|
/// | a token that may be used | 200 and the next pair |
/// | no token | 400 `invalid_request` |
/// | any other token | 401 `invalid_token`, the same to the byte; no cookie is removed |
/// | in a cookie, from another site | 403 `csrf` |
/// | method, size and type of the body | 405, 413, 415, as for a [login](super::LoginService) |
/// | too many attempts | 429 with `Retry-After` |
/// | the store or the user look-up did not answer | 503; the token may be presented again |
#[must_use]
pub struct RefreshService<I = Subject>(Arc<Refresh<I>>);

/// Settings of a [`RefreshService`].
#[must_use]
pub struct RefreshServiceBuilder<I = Subject> {
    tokens: TokenService<I>,
    tenant: Option<FromHead>,
    client: Option<FromHead>,
    settings: Settings,
}

/// A refresh service, checked.
struct Refresh<I> {
    tokens: TokenService<I>,
    tenant: Option<FromHead>,
    client: Option<FromHead>,
    common: Common,
}

// ===== impl RefreshService =====

impl<I: Send + Sync + 'static> RefreshService<I> {
    /// Starts from the defaults: the token in the body.
    #[allow(clippy::new_ret_no_self)] // a service that exists is valid; this is where its settings begin
    pub fn new(tokens: TokenService<I>) -> RefreshServiceBuilder<I> {
        let settings = Settings::new(tokens.shared_reporter());
        RefreshServiceBuilder { tokens, tenant: None, client: None, settings }
    }
}

endpoint::service!(RefreshService);

// ===== impl RefreshServiceBuilder =====

impl<I: Send + Sync + 'static> RefreshServiceBuilder<I> {
    /// The cookie of the access token, as the login service sets it. Needs
    /// [`refresh_cookie`](Self::refresh_cookie).
    pub fn cookie(mut self, cookie: impl Into<CookieSettings>) -> Self {
        self.settings.cookies.access = Some(cookie.into());
        self
    }

    /// Also reads the cookie of the refresh token, as the login service sets it, and answers with cookies then.
    pub fn refresh_cookie(mut self, path: impl Into<String>) -> Self {
        self.settings.cookies.refresh_path = Some(path.into());
        self
    }

    /// Limits attempts from one client address, for instance by [`ThrottlePolicy::refreshes`]: the 30 a minute that are
    /// right for logins refuse some of fifty tabs that wake up together. Default: none are counted, and none are where
    /// the address is not known, of which the log warns once.
    ///
    /// [`ThrottlePolicy::refreshes`]: crate::throttle::ThrottlePolicy::refreshes
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.settings.throttle = Some(throttle);
        self
    }

    /// How the client's address is found. Default: the peer's, from the extension
    /// [`PeerAddr`](crate::client_ip::PeerAddr).
    pub fn client_ip(mut self, policy: ClientIpPolicy) -> Self {
        self.settings.client_ip = policy;
        self
    }

    /// From where a refresh by cookie may come. Default: from the same origin.
    pub fn csrf(mut self, policy: CsrfPolicy) -> Self {
        self.settings.csrf = policy;
        self
    }

    /// The tenant that a login must be bound to. Logins of tenants are refused without it.
    pub fn tenant(mut self, tenant: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.tenant = Some(Arc::new(tenant));
        self
    }

    /// The client that a login must be bound to. What this finds in the head must be proven already, by a layer in
    /// front. Logins of clients are refused without it.
    pub fn client(mut self, client: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// Reports events through this reporter. Default: that of the token service.
    pub fn reporter(mut self, reporter: Reporter) -> Self {
        self.settings.reporter = reporter;
        self
    }

    /// The realm that challenges name. Default `api`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.realm = realm.into();
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<RefreshService<I>, ConfigError> {
        let mut faults = Faults::default();
        let cookies = &self.settings.cookies;
        let useful = cookies.access.is_none() || cookies.refresh_path.is_some();
        faults.check(
            useful,
            "cookie",
            cookies.access.as_ref().map(CookieSettings::name),
            "needs refresh_cookie()",
        );
        let common = self.settings.check(&bearer(), faults)?;
        let Self { tokens, tenant, client, .. } = self;
        Ok(RefreshService(Arc::new(Refresh { tokens, tenant, client, common })))
    }
}

impl<I> fmt::Debug for RefreshServiceBuilder<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshServiceBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

// ===== impl Refresh =====

impl<I: Send + Sync + 'static> Endpoint for Refresh<I> {
    const METHODS: &'static str = "POST";

    async fn answer(&self, head: &Parts, content: Content) -> Result<Answer, Rejection> {
        let client_ip = self.common.client_ip(head);
        self.refresh(head, content, client_ip).await.inspect_err(|rejection| {
            self.common.report(rejection, self.tokens.now(), client_ip, None);
        })
    }
}

impl<I: Send + Sync + 'static> Refresh<I> {
    async fn refresh(
        &self,
        head: &Parts,
        content: Content,
        client_ip: Option<IpAddr>,
    ) -> Result<Answer, Rejection> {
        let cookies = self.common.cookies.as_ref().and_then(|all| Some((all, all.refresh.as_ref()?)));
        let mut fields = match cookies {
            None => content.fields().await?,
            Some(_) => content.fields_if_any().await?,
        };
        if let Some(token) = fields.text(REFRESH_TOKEN)?.filter(|token| !token.expose().is_empty()) {
            let issued = self.exchange(head, client_ip, token.expose(), Channel::Header).await?;
            return Ok(answer::pair(&issued, None));
        }
        let Some((all, cookie)) = cookies else { return Err(body::missing()) };
        let token = cookies::read(cookie, &head.headers)?.ok_or_else(body::missing)?;
        self.common.check_origin(head)?;
        let issued = self.exchange(head, client_ip, token, Channel::Cookie).await?;
        Ok(answer::pair_in_cookies(all, &issued, None))
    }

    async fn exchange(
        &self,
        head: &Parts,
        client_ip: Option<IpAddr>,
        token: &str,
        channel: Channel,
    ) -> Result<Issued, Rejection> {
        self.common.admit("refresh", client_ip, None).await?;
        let tenant = self.tenant.as_ref().and_then(|tenant| tenant(head));
        let client = self.client.as_ref().and_then(|client| client(head));
        let user_agent = device::user_agent(&head.headers);
        let mut request = RefreshRequest::new(token, channel);
        if let Some(client_ip) = client_ip {
            request = request.with_client_ip(client_ip);
        }
        if let Some(user_agent) = &user_agent {
            request = request.with_user_agent(user_agent);
        }
        if let Some(tenant) = &tenant {
            request = request.with_tenant(tenant);
        }
        if let Some(client) = &client {
            request = request.with_client(client);
        }
        self.tokens.refresh(request).await.map_err(|refusal| match refusal {
            Refusal::Invalid(reason) => {
                // The cookie's challenge follows that of the header.
                let presented = u8::from(channel == Channel::Cookie);
                self.common.challenged(RejectionKind::InvalidToken, reason, Some(presented))
            }
            Refusal::Unavailable(source) => Rejection::unavailable(source),
        })
    }
}

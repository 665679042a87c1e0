//! The logout service.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};

use super::{
    answer::{self, Answer},
    body::Content,
    common::{Common, Settings},
    endpoint::{self, Endpoint},
};
use crate::{
    client_ip::ClientIpPolicy,
    cookie::CookieSettings,
    credential::{Channel, FromHeader, from_header},
    csrf::CsrfPolicy,
    error::{ConfigError, Faults},
    event::Reporter,
    identity::Subject,
    problem::{Rejection, RejectionKind},
    text::is_tchar,
    token::TokenService,
    verify::Refusal,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// `POST`, and the login of the presented token has ended: 204. See the [module docs](super).
///
/// It needs no layer in front: expired tokens are accepted, and so is none at all. A token in the `Authorization`
/// header decides alone; else the tokens in all configured cookies count, that for refreshing included.
///
/// | request | answer |
/// |---|---|
/// | a token of ours, valid or not, or none | 204; the cookies are removed |
/// | two `Authorization` headers, a scheme alone, the same cookie twice | 400 `invalid_request` |
/// | a cookie, from another site | 403 `csrf` |
/// | another method | 405 |
/// | the store did not answer | 503; the login may live on, and the cookies stay |
///
/// With [`everywhere`](LogoutServiceBuilder::everywhere) all logins of the same user end, by the same table.
#[must_use]
pub struct LogoutService<I = Subject>(Arc<Logout<I>>);

/// Settings of a [`LogoutService`].
#[must_use]
pub struct LogoutServiceBuilder<I = Subject> {
    tokens: TokenService<I>,
    schemes: Vec<String>,
    everywhere: bool,
    clear_site_data: bool,
    settings: Settings,
}

/// A logout service, checked.
struct Logout<I> {
    tokens: TokenService<I>,
    schemes: Vec<String>,
    everywhere: bool,
    clear_site_data: bool,
    common: Common,
}

// ===== impl LogoutService =====

impl<I: Send + Sync + 'static> LogoutService<I> {
    /// Starts from the defaults: the `Authorization` header with the schemes `Bearer` and `Token`.
    #[allow(clippy::new_ret_no_self)] // a service that exists is valid; this is where its settings begin
    pub fn new(tokens: TokenService<I>) -> LogoutServiceBuilder<I> {
        let settings = Settings::new(tokens.shared_reporter());
        let schemes = vec!["Bearer".to_owned(), "Token".to_owned()];
        LogoutServiceBuilder { tokens, schemes, everywhere: false, clear_site_data: false, settings }
    }
}

endpoint::service!(LogoutService);

// ===== impl LogoutServiceBuilder =====

impl<I: Send + Sync + 'static> LogoutServiceBuilder<I> {
    /// The schemes of the `Authorization` header. Default `Bearer`, `Token`.
    pub fn schemes<T: Into<String>>(mut self, schemes: impl IntoIterator<Item = T>) -> Self {
        self.schemes = schemes.into_iter().map(Into::into).collect();
        self
    }

    /// Also reads and removes this cookie, with the attributes that the login service sets it with.
    pub fn cookie(mut self, cookie: impl Into<CookieSettings>) -> Self {
        self.settings.cookies.access = Some(cookie.into());
        self
    }

    /// Also reads and removes the cookie of the refresh token. The browser sends it only if this service is below
    /// its path; where it is not, a login whose access cookie has gone can be refreshed until it ends by itself.
    pub fn refresh_cookie(mut self, path: impl Into<String>) -> Self {
        self.settings.cookies.refresh_path = Some(path.into());
        self
    }

    /// Ends all logins of the user whose token is presented, as long as that token's own login lives; a refresh token that
    /// was rotated away more than once ends its own login alone. A repeat is
    /// answered alike, and so is a token that was never one: who copied a token learns nothing from it, and a browser
    /// whose answer was lost gets rid of its cookies. A [`LogoutAllService`](super::LogoutAllService) behind a layer
    /// says how many logins ended, and is refused by that layer when it is repeated.
    pub fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// Has the browser forget caches and storage of this origin, too (`Clear-Site-Data`). Cookies are left out of
    /// it: the browser would remove those of all sibling domains.
    pub fn clear_site_data(mut self) -> Self {
        self.clear_site_data = true;
        self
    }

    /// From where a logout by cookie may come. Default: from the same origin.
    pub fn csrf(mut self, policy: CsrfPolicy) -> Self {
        self.settings.csrf = policy;
        self
    }

    /// How the client's address is found, for events. Default: the peer's.
    pub fn client_ip(mut self, policy: ClientIpPolicy) -> Self {
        self.settings.client_ip = policy;
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
    pub fn build(self) -> Result<LogoutService<I>, ConfigError> {
        let mut faults = Faults::default();
        for scheme in &self.schemes {
            let token = !scheme.is_empty() && scheme.bytes().all(is_tchar);
            faults.check(token, "schemes", scheme, "must be a token (RFC 9110, section 5.6.2)");
        }
        faults.check(self.schemes.len() <= 16, "schemes", self.schemes.len(), "must be at most 16");
        let common = self.settings.check(&self.schemes, faults)?;
        let Self { tokens, schemes, everywhere, clear_site_data, .. } = self;
        Ok(LogoutService(Arc::new(Logout { tokens, schemes, everywhere, clear_site_data, common })))
    }
}

impl<I> fmt::Debug for LogoutServiceBuilder<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutServiceBuilder")
            .field("schemes", &self.schemes)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

// ===== impl Logout =====

impl<I: Send + Sync + 'static> Endpoint for Logout<I> {
    const METHODS: &'static str = "POST";

    async fn answer(&self, head: &Parts, _content: Content) -> Result<Answer, Rejection> {
        let answered = match from_header(&self.schemes, &head.headers) {
            FromHeader::Token { credential, .. } => self.by_header(credential.text()).await,
            FromHeader::Garbled { reason, scheme } => {
                Err(self.common.challenged(RejectionKind::InvalidRequest, reason, Some(scheme)))
            }
            FromHeader::Foreign | FromHeader::Nothing => self.by_cookie(head).await,
        };
        answered.inspect_err(|rejection| {
            self.common.report(rejection, self.tokens.now(), self.common.client_ip(head), None);
        })
    }
}

impl<I: Send + Sync + 'static> Logout<I> {
    async fn by_header(&self, token: &str) -> Result<Answer, Rejection> {
        self.end(token, Channel::Header).await?;
        let mut answer = answer::no_content();
        self.clear_data(answer.headers_mut());
        Ok(answer)
    }

    async fn by_cookie(&self, head: &Parts) -> Result<Answer, Rejection> {
        let mut answer = answer::no_content();
        let Some(cookies) = &self.common.cookies else { return Ok(answer) };
        let presented = cookies.presented(&head.headers)?;
        if !presented.is_empty() {
            self.common.check_origin(head)?;
        }
        for token in presented {
            self.end(token, Channel::Cookie).await?;
        }
        // Also where none was sent: the browser may keep one for another path. But not for another site, which can
        // send no `SameSite` cookie along and would have us remove it all the same.
        if self.common.is_same_origin(head) {
            cookies.clear(answer.headers_mut());
            self.clear_data(answer.headers_mut());
        }
        Ok(answer)
    }

    /// A token that is nobody's has nothing to end.
    async fn end(&self, token: &str, channel: Channel) -> Result<(), Rejection> {
        let ended = if self.everywhere {
            self.tokens.logout_everywhere(token, channel).await.map(drop)
        } else {
            self.tokens.logout(token, channel).await.map(drop)
        };
        match ended {
            Ok(()) | Err(Refusal::Invalid(_)) => Ok(()),
            Err(Refusal::Unavailable(source)) => Err(Rejection::unavailable(source)),
        }
    }

    fn clear_data(&self, headers: &mut HeaderMap) {
        if self.clear_site_data {
            headers.insert(CLEAR_SITE_DATA, HeaderValue::from_static(r#""cache", "storage""#));
        }
    }
}

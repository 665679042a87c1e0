//! The layer.

use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderMap, Request};
use tower_layer::Layer;

use super::{
    error::SessionErrorKind,
    handle::Session,
    service::SessionService,
    sessions::{Engine, Sessions},
    state::Presented,
};
use crate::{
    client_ip::ClientIpPolicy,
    cookie::CookieError,
    error::{ConfigError, Faults},
    identity::AuthContext,
    problem::ProblemReply,
    secret::Secret,
    store::LoginRecord,
};

/// Gives handlers a [`Session`], in the extensions of the request. See the [module docs](super).
///
/// Put it inside of an [`AuthLayer`](crate::AuthLayer), or use it alone. Where data could not be saved, it answers with
/// 503 in the place of the handler (with 500, if what two requests keep is too long together). The cookie of a login, a
/// rekey or a logout that has happened goes with that answer, too.
#[must_use]
pub struct SessionLayer<R = ProblemReply> {
    engine: Arc<Engine>,
    maker: Arc<R>,
}

impl SessionLayer {
    /// A layer for these sessions.
    pub fn new<I: Send + Sync + 'static>(sessions: &Sessions<I>) -> Self {
        Self { engine: Arc::new(sessions.engine()), maker: Arc::new(ProblemReply) }
    }
}

impl<R> SessionLayer<R> {
    /// How the client's address is found, for events, where no `AuthLayer` in front has found it. Default: the peer's,
    /// from the extension [`PeerAddr`](crate::client_ip::PeerAddr).
    ///
    /// # Errors
    /// [`ConfigError`] with all faults of the policy. It is told here, because a layer has no other setting that can
    /// be wrong, and so no `build`.
    pub fn client_ip(self, policy: ClientIpPolicy) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        policy.check(&mut faults);
        faults.finish()?;
        let Engine { tokens, settings, .. } = &*self.engine;
        let engine = Engine { tokens: tokens.clone(), settings: Arc::clone(settings), client_ip: policy };
        Ok(Self { engine: Arc::new(engine), ..self })
    }

    /// Makes the 503 with this [`MakeReply`](crate::problem::MakeReply), for instance a closure
    /// `Fn(&Rejection, Response<Bytes>) -> Response<B>`. With one, any response body works.
    pub fn reject_with<T>(self, maker: T) -> SessionLayer<T> {
        SessionLayer { engine: self.engine, maker: Arc::new(maker) }
    }
}

impl<S, R> Layer<S> for SessionLayer<R> {
    type Service = SessionService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, Arc::clone(&self.engine), Arc::clone(&self.maker))
    }
}

impl<R> Clone for SessionLayer<R> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), maker: Arc::clone(&self.maker) }
    }
}

impl<R> fmt::Debug for SessionLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").field("cookie", &self.engine.settings.cookie).finish_non_exhaustive()
    }
}

impl Engine {
    /// The session of a request, not looked up yet.
    pub(super) fn session<B>(self: &Arc<Self>, request: &Request<B>) -> Session {
        Session::new(Arc::clone(self), self.presented(request), self.client_ip(request))
    }

    fn presented<B>(&self, request: &Request<B>) -> Presented {
        let text = match self.settings.cookie.read(request.headers()) {
            Ok(Some(text)) => text,
            Err(CookieError::Duplicate) => {
                return Presented::Refused(SessionErrorKind::DuplicateCookie, None);
            }
            Ok(None) | Err(_) => return Presented::Nothing,
        };
        if let Some(record) = self.verified(request, text) {
            return Presented::Verified(record);
        }
        let headers: &HeaderMap = request.headers();
        if !self.settings.csrf.allows(request.method(), request.uri(), headers) {
            return Presented::Refused(SessionErrorKind::CrossSite, self.tokens.named_login(text));
        }
        Presented::Cookie(Secret::new(text))
    }

    fn client_ip<B>(&self, request: &Request<B>) -> Option<IpAddr> {
        let found = request.extensions().get::<AuthContext>().and_then(AuthContext::client_ip);
        found.or_else(|| self.client_ip.client_ip(request.headers(), request.extensions()))
    }

    /// The login that an `AuthLayer` in front has verified, if it is the one that our cookie names.
    fn verified<B>(&self, request: &Request<B>, text: &str) -> Option<Arc<LoginRecord>> {
        let context = request.extensions().get::<AuthContext>()?;
        let verified = context.evidence()?.record()?;
        if self.tokens.named_login(text) != Some(verified) {
            return None;
        }
        context.details::<LoginRecord>().filter(|record| record.id() == verified)
    }
}

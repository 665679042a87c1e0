//! The layer and its settings.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    extract::{Place, Sources},
    service::AuthService,
    settle::Settlement,
    verify::Door,
};
use crate::{
    clock::Clock,
    cookie::CookieSettings,
    csrf::CsrfPolicy,
    error::{ConfigError, Faults},
    problem::{Challenges, ProblemReply},
    text::is_tchar,
    verify::Verify,
};

/// Guards services. See the [module docs](super).
#[must_use]
pub struct AuthLayer<I, R = ProblemReply> {
    door: Arc<Door<I>>,
    maker: Arc<R>,
}

/// Settings of an [`AuthLayer`].
#[must_use]
pub struct AuthLayerBuilder<I, R = ProblemReply> {
    authenticators: Vec<Arc<dyn Verify<Identity = I>>>,
    /// The schemes of the `Authorization` header, if it is read.
    schemes: Option<Vec<String>>,
    cookies: Vec<CookieSettings>,
    cookies_first: bool,
    refuse_foreign: bool,
    optional: bool,
    invalid_as_anonymous: bool,
    realm: String,
    csrf: CsrfPolicy,
    clock: Clock,
    maker: R,
}

// ===== impl AuthLayer =====

impl<I: Send + Sync + 'static> AuthLayer<I> {
    /// Starts from the defaults: the `Authorization` header with the schemes `Bearer` and `Token`, a credential
    /// required.
    #[allow(clippy::new_ret_no_self)] // a layer that exists is valid; this is where its settings begin
    pub fn new(verifier: impl Verify<Identity = I>) -> AuthLayerBuilder<I> {
        AuthLayerBuilder {
            authenticators: vec![Arc::new(verifier)],
            schemes: Some(vec!["Bearer".to_owned(), "Token".to_owned()]),
            cookies: Vec::new(),
            cookies_first: false,
            refuse_foreign: false,
            optional: false,
            invalid_as_anonymous: false,
            realm: "api".to_owned(),
            csrf: CsrfPolicy::new(),
            clock: Clock::system(),
            maker: ProblemReply,
        }
    }
}

impl<S, I, R> Layer<S> for AuthLayer<I, R> {
    type Service = AuthService<S, I, R>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService::new(inner, Arc::clone(&self.door), Arc::clone(&self.maker))
    }
}

impl<I, R> Clone for AuthLayer<I, R> {
    fn clone(&self) -> Self {
        Self { door: Arc::clone(&self.door), maker: Arc::clone(&self.maker) }
    }
}

impl<I, R> fmt::Debug for AuthLayer<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer").field("sources", &self.door.sources).finish_non_exhaustive()
    }
}

// ===== impl AuthLayerBuilder =====

impl<I: Send + Sync + 'static, R> AuthLayerBuilder<I, R> {
    /// Adds an authenticator. The first that recognises a credential by its text verifies it, and no other.
    pub fn or(mut self, verifier: impl Verify<Identity = I>) -> Self {
        self.authenticators.push(Arc::new(verifier));
        self
    }

    /// The accepted schemes of the `Authorization` header, as challenges name them; compared without regard to
    /// case. Default `Bearer`, `Token`.
    ///
    /// By default the header is asked before all cookies; called after [`cookie`](Self::cookie), it is asked
    /// after all of them.
    pub fn schemes<T: Into<String>>(mut self, schemes: impl IntoIterator<Item = T>) -> Self {
        self.schemes = Some(schemes.into_iter().map(Into::into).collect());
        self.cookies_first = !self.cookies.is_empty();
        self
    }

    /// Reads no header at all. Without this, cookies are read beside the header.
    pub fn without_header(mut self) -> Self {
        self.schemes = None;
        self
    }

    /// Also reads this cookie: a name, which gets the `__Host-` prefix, or [`CookieSettings`]. Several cookies
    /// are tried in turn until one verifies.
    ///
    /// A request that may change something, or opens a WebSocket, and is authenticated by a cookie must come
    /// from a page of the same origin, else it is answered with 403. See [`csrf`](crate::csrf).
    pub fn cookie(mut self, cookie: impl Into<CookieSettings>) -> Self {
        self.cookies.push(cookie.into());
        self
    }

    /// Lets requests without a credential through as anonymous. An invalid credential is still refused.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Treats an invalid credential like none. Needs [`optional`](Self::optional). A handler then cannot tell a
    /// guest from a user whose login has just ended. A malformed credential and one that could not be checked
    /// are refused all the same.
    pub fn danger_invalid_as_anonymous(mut self) -> Self {
        self.invalid_as_anonymous = true;
        self
    }

    /// Answers 401 to an `Authorization` header with a scheme that is not configured. By default such a header
    /// is somebody else's and counts as absent.
    pub fn refuse_foreign_schemes(mut self) -> Self {
        self.refuse_foreign = true;
        self
    }

    /// The realm that challenges name. Default `api`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// Replaces the clock that credentials are judged by; the default is [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Makes every answer of the layer with this [`MakeReply`](crate::problem::MakeReply), for instance a
    /// closure `Fn(&Rejection, Response<Bytes>) -> Response<B>`. With one, any response body works.
    pub fn reject_with<T>(self, maker: T) -> AuthLayerBuilder<I, T> {
        AuthLayerBuilder {
            authenticators: self.authenticators,
            schemes: self.schemes,
            cookies: self.cookies,
            cookies_first: self.cookies_first,
            refuse_foreign: self.refuse_foreign,
            optional: self.optional,
            invalid_as_anonymous: self.invalid_as_anonymous,
            realm: self.realm,
            csrf: self.csrf,
            clock: self.clock,
            maker,
        }
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<AuthLayer<I, R>, ConfigError> {
        let mut faults = Faults::default();
        self.check(&mut faults);
        faults.finish()?;
        let schemes = self.schemes.as_deref().unwrap_or_default().iter().map(String::as_str);
        let cookie = self.cookies.first().map(CookieSettings::name);
        let challenges = Challenges::new(&self.realm, schemes, cookie, self.cookies_first)
            .expect("realm, schemes and cookie names are printable");
        let settlement = Settlement {
            header: self.schemes.is_some(),
            cookie: !self.cookies.is_empty(),
            optional: self.optional,
        };
        let places = self.places();
        Ok(AuthLayer {
            door: Arc::new(Door {
                sources: Sources { places, refuse_foreign: self.refuse_foreign },
                authenticators: self.authenticators,
                challenges: Arc::new(challenges),
                csrf: self.csrf,
                clock: self.clock,
                optional: self.optional,
                invalid_as_anonymous: self.invalid_as_anonymous,
                settlement,
            }),
            maker: Arc::new(self.maker),
        })
    }

    fn check(&self, faults: &mut Faults) {
        faults.check(
            self.schemes.is_some() || !self.cookies.is_empty(),
            "sources",
            "none",
            "name a scheme or a cookie",
        );
        if let Some(schemes) = &self.schemes {
            faults.check(!schemes.is_empty(), "schemes", schemes, "must not be empty");
            faults.check(schemes.len() <= 16, "schemes", schemes.len(), "must be at most 16");
            for (index, scheme) in schemes.iter().enumerate() {
                let token = !scheme.is_empty() && scheme.bytes().all(is_tchar);
                faults.check(token, "schemes", scheme, "must be a token (RFC 9110, section 5.6.2)");
                let again = schemes[..index].iter().any(|known| known.eq_ignore_ascii_case(scheme));
                faults.check(!again, "schemes", scheme, "must not come twice");
                let ambiguous = !self.cookies.is_empty() && scheme.eq_ignore_ascii_case("Cookie");
                faults.check(!ambiguous, "schemes", scheme, "is the challenge of cookies");
            }
        }
        let printable = self.realm.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        faults.check(printable, "realm", &self.realm, "must be printable ASCII");
        faults.check(self.cookies.len() <= 16, "cookie", self.cookies.len(), "must be at most 16");
        for (index, cookie) in self.cookies.iter().enumerate() {
            cookie.check(faults);
            let again = self.cookies[..index].iter().any(|known| known.name() == cookie.name());
            faults.check(!again, "cookie", cookie.name(), "must not come twice");
        }
        self.csrf.check(faults);
        let harmless = self.optional || !self.invalid_as_anonymous;
        faults.check(harmless, "danger_invalid_as_anonymous", true, "needs optional()");
    }

    /// The places in order, each with the position of its challenge.
    fn places(&self) -> Vec<Place> {
        let schemes = self.schemes.as_deref().unwrap_or_default();
        let behind_the_schemes = u8::try_from(schemes.len()).expect("at most 16 schemes");
        let position = if self.cookies_first { 0 } else { behind_the_schemes };
        let cookie = |settings: &CookieSettings| Place::Cookie { settings: settings.clone(), position };
        let mut places: Vec<Place> = self.cookies.iter().map(cookie).collect();
        if !schemes.is_empty() {
            let header = Place::Header { schemes: schemes.to_vec(), position: u8::from(self.cookies_first) };
            places.insert(if self.cookies_first { places.len() } else { 0 }, header);
        }
        places
    }
}

impl<I, R> fmt::Debug for AuthLayerBuilder<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayerBuilder")
            .field("authenticators", &self.authenticators.len())
            .field("cookies", &self.cookies)
            .field("optional", &self.optional)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

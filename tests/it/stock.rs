//! A provider with tokens at hand, which remembers what it was asked.

use std::sync::{Arc, Mutex, MutexGuard};

use http::{HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION};
use portcullis::{
    TokenInjectLayer,
    maybe_ready::MaybeReady,
    outbound::{InjectError, Replay, TokenInjectLayerBuilder},
    provider::{Ask, Lease, TokenError, TokenErrorKind, TokenProvider},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::Body;

/// Its tokens are `Bearer t-1`, `Bearer t-2` …; each one asked for in place of a rejected one is the next.
#[derive(Clone)]
pub(crate) struct Stock {
    header: HeaderName,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) current: Option<Arc<Lease>>,
    /// What newer leases are, instead of the next token.
    pub(crate) newer: Option<Arc<Lease>>,
    /// Something newer takes for ever.
    pub(crate) stuck: bool,
    /// There is nothing newer.
    pub(crate) exhausted: bool,
    /// The next answers to whatever is asked.
    pub(crate) errors: Vec<TokenErrorKind>,
    /// Answers come after a turn of the executor.
    pub(crate) later: bool,
    /// For each lease asked for: whether its request could be repeated.
    pub(crate) repeatable: Vec<bool>,
    /// The generations for which something newer was asked.
    pub(crate) rejected: Vec<u64>,
    pub(crate) rejected_again: Vec<u64>,
}

impl Stock {
    pub(crate) fn new() -> Self {
        Self::named(AUTHORIZATION, "t")
    }

    /// Its tokens are `Bearer <name>-1` and so on, in this header.
    pub(crate) fn named(header: HeaderName, name: &str) -> Self {
        let current = Some(lease(&format!("{name}-1"), 1));
        Self { header, state: Arc::new(Mutex::new(State { current, ..State::default() })) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next token takes the place of the current one.
    pub(crate) fn renew(&self) {
        self.state().renew();
    }
}

impl State {
    fn renew(&mut self) -> Arc<Lease> {
        let current = self.current.as_ref().unwrap();
        let text = current.value().to_str().unwrap();
        let name = text.strip_prefix("Bearer ").unwrap().rsplit_once('-').unwrap().0;
        let generation = current.generation() + 1;
        let next = lease(&format!("{name}-{generation}"), generation);
        self.current = Some(Arc::clone(&next));
        next
    }

    fn answer<T: Send + 'static>(
        &mut self,
        answer: impl FnOnce(&mut Self) -> T,
    ) -> MaybeReady<Result<T, TokenError>> {
        let answer = match self.errors.is_empty() {
            true => Ok(answer(self)),
            false => Err(TokenError::new(self.errors.remove(0))),
        };
        if !self.later {
            return MaybeReady::Now(answer);
        }
        MaybeReady::later(async {
            tokio::task::yield_now().await;
            answer
        })
    }
}

pub(crate) fn lease(token: &str, generation: u64) -> Arc<Lease> {
    Arc::new(Lease::new(HeaderValue::from_str(&format!("Bearer {token}")).unwrap(), generation))
}

impl TokenProvider for Stock {
    fn header(&self) -> &HeaderName {
        &self.header
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        let mut state = self.state();
        state.repeatable.push(ask.is_repeatable());
        state.answer(|state| Arc::clone(state.current.as_ref().unwrap()))
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        let mut state = self.state();
        state.rejected.push(rejected.generation());
        if state.stuck {
            return MaybeReady::later(std::future::pending());
        }
        let generation = rejected.generation();
        state.answer(|state| {
            if state.exhausted {
                return None;
            }
            if let Some(newer) = &state.newer {
                return Some(Arc::clone(newer));
            }
            let current = state.current.clone().unwrap();
            Some(if current.generation() > generation { current } else { state.renew() })
        })
    }

    fn rejected_again(&self, newer: &Arc<Lease>) {
        self.state().rejected_again.push(newer.generation());
    }
}

// ===== sending =====

pub(crate) const API: &str = "https://api.test";

pub(crate) fn layer(provider: impl TokenProvider) -> TokenInjectLayerBuilder {
    TokenInjectLayer::new(provider).allow_origin(API)
}

pub(crate) fn get() -> Request<Body> {
    Request::get("https://api.test/").body(Body::default()).unwrap()
}

pub(crate) fn post() -> Request<Body> {
    Request::post("https://api.test/").body(Body::from("payload")).unwrap()
}

pub(crate) fn status(code: u16) -> Response<Body> {
    Response::builder().status(code).body(Body::from("answer")).unwrap()
}

/// A 401 for these tokens and a 200 for others.
pub(crate) fn refuse(tokens: &[&str]) -> impl Fn(&str) -> Response<Body> + Clone + Send + 'static {
    let refused: Vec<String> = tokens.iter().map(|token| format!("Bearer {token}")).collect();
    move |token| status(if refused.iter().any(|refused| refused == token) { 401 } else { 200 })
}

/// Sends a request to an API that answers by the token in `Authorization`; also returns the tokens that it saw, `-`
/// for none.
pub(crate) async fn send<R: Replay<Body>>(
    layer: TokenInjectLayerBuilder<R>,
    request: Request<Body>,
    api: impl Fn(&str) -> Response<Body> + Clone + Send + 'static,
) -> (Result<Response<Body>, InjectError>, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<Body>| {
        let value = request.headers().get(AUTHORIZATION);
        assert!(value.is_none_or(HeaderValue::is_sensitive));
        let token = value.map_or("-", |value| value.to_str().unwrap()).to_owned();
        let response = api(&token);
        log.lock().unwrap().push(token);
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let response = layer.build().unwrap().layer(inner).oneshot(request).await;
    let seen = seen.lock().unwrap().clone();
    (response, seen)
}

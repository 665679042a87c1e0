//! One step of a pipeline: the port, and what a step is given.

use std::{
    collections::HashMap,
    error::Error,
    fmt, io,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, Uri};
use http_body_util::Full;
use tokio::time;

use super::token::AccessToken;
use crate::{
    clock::{Clock, Timestamp},
    error::{NotSent, causes},
    http_client::HttpClient,
    origin,
    provider::{TokenError, TokenErrorKind, TokenRequest},
    secret::Secret,
};

/// Fetches one token.
///
/// Ready ones are [`BodyTokenFetcher`](super::BodyTokenFetcher), [`HeaderTokenFetcher`](super::HeaderTokenFetcher),
/// [`ClientCredentials`](super::ClientCredentials) and its siblings, [`StaticToken`](super::StaticToken),
/// [`FileToken`](super::FileToken) and [`TokenFn`](super::TokenFn). The [module's docs](super) have one of your own.
///
/// # Cancel safety
/// A fetch is dropped when its deadline passes or the runtime ends, never because a caller went away.
#[async_trait]
pub trait TokenFetcher: Send + Sync + 'static {
    /// The step's name, unique in its pipeline.
    fn name(&self) -> &str;

    /// The steps whose tokens it needs.
    fn depends_on(&self) -> &[String] {
        &[]
    }

    /// Where it sends its request, if that is known beforehand: checked when the pipeline is built.
    fn endpoint(&self) -> Option<&Uri> {
        None
    }

    /// What is wrong with its settings, found when the pipeline is built: (setting, rule) of each fault.
    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// Gets a token.
    async fn fetch(&self, fetch: &Fetch) -> Result<AccessToken, TokenError>;

    /// Gets a token for a refresh token that came with an earlier one. `None` if it does not know how, which is
    /// the default: [`TokenFetcher::fetch`] is called then, and so it is where the refresh token is refused
    /// ([`TokenErrorKind::Refused`], unless with a status that passes: 408, 429 or 5xx). Both share one deadline.
    ///
    /// If the answer brings no new refresh token, the old one is kept.
    async fn refresh(&self, fetch: &Fetch, refresh: &Secret) -> Result<Option<AccessToken>, TokenError> {
        let _ = (fetch, refresh);
        Ok(None)
    }

    /// Whether a fetch that has begun must come to its end, because it sends something that works only once, such
    /// as a refresh token of its own. A pipeline that is dropped does not stop it then, and where its tokens are
    /// shared, it is sent under their lock or not at all. Default: no.
    fn must_finish(&self) -> bool {
        false
    }

    /// Whether its tokens are never shared with other processes, because each has them at hand: those of a file, for
    /// example. Default: no.
    fn is_local(&self) -> bool {
        false
    }

    /// Is told when this step has failed, with the step's name in the error. It must not block; a panic is caught
    /// and changes nothing. A failure of an earlier step is told to that one.
    fn on_fetch_error(&self, error: &TokenError) {
        let _ = error;
    }
}

/// What a step has at hand while it fetches; cheap to clone.
#[derive(Clone)]
pub struct Fetch {
    pub(super) http: HttpClient,
    pub(super) http_on_loopback: bool,
    pub(super) clock: Clock,
    pub(super) earlier: Arc<HashMap<Arc<str>, Earlier>>,
}

/// An earlier token, and whether the step has looked at it.
#[derive(Clone)]
pub(super) struct Earlier {
    token: AccessToken,
    used: Arc<AtomicBool>,
}

impl Fetch {
    /// For a fetcher that is used without a pipeline, or tested: it has this client, the system's clock, and no
    /// earlier tokens.
    pub fn alone(http: HttpClient) -> Self {
        Self { http, http_on_loopback: false, clock: Clock::system(), earlier: Arc::default() }
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds the token of an earlier step.
    #[must_use]
    pub fn with_token(mut self, step: impl Into<Arc<str>>, token: AccessToken) -> Self {
        Arc::make_mut(&mut self.earlier).insert(step.into(), Earlier::new(token));
        self
    }

    /// Accepts token endpoints with plain `http` on a loopback address, for tests and local development.
    #[must_use]
    pub fn danger_allow_http_on_loopback(mut self) -> Self {
        self.http_on_loopback = true;
        self
    }

    /// Wall-clock time: for time stamps that are sent along, and for ends that are given as a date.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The token of a step that this one depends on.
    ///
    /// # Errors
    /// [`TokenErrorKind::Request`] for any other step.
    pub fn token(&self, step: &str) -> Result<&AccessToken, TokenError> {
        let earlier = self.earlier.get(step).ok_or_else(|| TokenError::new(TokenErrorKind::Request))?;
        earlier.used.store(true, Ordering::Relaxed);
        Ok(&earlier.token)
    }

    /// Whether the step has looked at that token. One that it has not sent is not to blame.
    pub(super) fn has_used(&self, step: &str) -> bool {
        self.earlier.get(step).is_some_and(|earlier| earlier.used.load(Ordering::Relaxed))
    }

    /// Sends a request and collects at most 64 KiB of the answer, whatever its status. A
    /// [`TokenInjectLayer`](crate::TokenInjectLayer) on the client lets it pass: it would wait for itself.
    ///
    /// # Errors
    /// [`TokenErrorKind::Request`] for a URI that is not `https` (or `http` on loopback where that is allowed), and if
    /// the client says that it has [not sent](NotSent) the request,
    /// [`TokenErrorKind::Timeout`] if the client says that there was no answer in time,
    /// [`TokenErrorKind::Transport`] if there is none for another reason.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>, TokenError> {
        if !origin::is_safe(request.uri(), self.http_on_loopback) {
            return Err(TokenError::new(TokenErrorKind::Request));
        }
        request.extensions_mut().insert(TokenRequest);
        self.http.send(request).await.map_err(|error| {
            let kind = if causes(&*error).any(|cause| cause.is::<NotSent>()) {
                TokenErrorKind::Request
            } else if is_timeout(&*error) {
                TokenErrorKind::Timeout
            } else {
                TokenErrorKind::Transport
            };
            TokenError::new(kind).with_source(error)
        })
    }
}

impl Earlier {
    pub(super) fn new(token: AccessToken) -> Self {
        Self { token, used: Arc::default() }
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("earlier", &self.earlier.keys()).finish_non_exhaustive()
    }
}

/// One call of a fetcher, within its deadline. Its panic is an error like any other.
pub(super) async fn bounded<T, E: From<TokenError>>(
    deadline: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match time::timeout(deadline, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(done)) => done,
        Ok(Err(_panic)) => Err(TokenError::new(TokenErrorKind::Panicked).into()),
        Err(_elapsed) => Err(TokenError::new(TokenErrorKind::Timeout).into()),
    }
}

/// A client has time-outs of its own, and wraps them.
fn is_timeout(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        next = error.source();
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.kind() == io::ErrorKind::TimedOut {
                return true;
            }
            // Its source is that of the error inside it, which would be passed over.
            if let Some(inside) = error.get_ref() {
                next = Some(inside);
            }
        } else if error.is::<time::error::Elapsed>() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(io::Error);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn r127_the_timers_own_error_is_a_timeout() {
        let elapsed = time::timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
        assert!(is_timeout(&elapsed));
        assert!(is_timeout(&io::Error::other(elapsed)));
    }

    #[test]
    fn r127_a_clients_own_timeout_is_found_however_deep() {
        for (kind, expected) in [(io::ErrorKind::TimedOut, true), (io::ErrorKind::ConnectionReset, false)] {
            assert_eq!(is_timeout(&io::Error::from(kind)), expected);
            assert_eq!(is_timeout(&Wrapped(io::Error::from(kind))), expected);
            assert_eq!(is_timeout(&io::Error::other(io::Error::from(kind))), expected);
            assert_eq!(is_timeout(&Wrapped(io::Error::other(Wrapped(kind.into())))), expected);
        }
    }
}

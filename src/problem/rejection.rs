//! One refusal, and the answer it becomes.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::{Challenges, MakeReply, Reason, RejectionKind};
use crate::error::BoxError;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Why a request was turned away.
///
/// It is found in the extensions of every answer that this crate gives in place of the inner service.
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    reason: Reason,
    source: Option<Arc<dyn Error + Send + Sync>>,
    challenges: Option<Arc<Challenges>>,
    presented: Option<u8>,
    scope: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
}

impl Rejection {
    /// How long a client is asked to wait before it asks again, where we could not check: 5 s.
    pub const RETRY_AFTER: Duration = Duration::from_secs(5);

    /// A refusal without challenges. [`RejectionKind::Unavailable`] asks for a wait of
    /// [`RETRY_AFTER`](Self::RETRY_AFTER), no other kind for any.
    pub const fn new(kind: RejectionKind, reason: Reason) -> Self {
        let retry_after = match kind {
            RejectionKind::Unavailable => Some(Self::RETRY_AFTER),
            _ => None,
        };
        Self {
            kind,
            reason,
            source: None,
            challenges: None,
            presented: None,
            scope: None,
            retry_after,
            allow: None,
        }
    }

    /// Asks the client to wait: `Retry-After` in seconds, rounded up (RFC 9110 §10.2.3). `None` leaves the header
    /// out.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// "Could not check": a 503 with its cause. The cause is kept for those who log the rejection and is never
    /// part of the answer.
    pub fn unavailable(source: BoxError) -> Self {
        Self { source: Some(source.into()), ..Self::new(RejectionKind::Unavailable, Reason::Unavailable) }
    }

    pub(crate) fn challenged(mut self, challenges: Arc<Challenges>, presented: Option<u8>) -> Self {
        self.challenges = Some(challenges);
        self.presented = presented;
        self
    }

    /// Names the scope that [`RejectionKind::InsufficientScope`] misses: scope words (RFC 6749 §3.3); anything
    /// else is left out of the challenge.
    #[must_use]
    pub fn with_scope(mut self, scope: Option<impl Into<Cow<'static, str>>>) -> Self {
        self.scope = scope.map(Into::into);
        self
    }

    /// Adds the challenges of a layer, unless it has some already.
    pub(crate) fn challenged_by(self, challenges: &Arc<Challenges>, presented: u8) -> Self {
        match self.challenges {
            Some(_) => self,
            None => self.challenged(Arc::clone(challenges), Some(presented)),
        }
    }

    /// A 405 that names the methods which are answered (RFC 9110 §15.5.6).
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(RejectionKind::MethodNotAllowed, Reason::WrongMethod) }
    }

    /// What the client is told.
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// What the log is told.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// How long the client is asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The answer with the problem body.
    pub fn answer(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(self.kind.body().as_bytes()));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        if let Some(challenges) = &self.challenges {
            challenges.write(headers, self.kind, self.presented, self.scope.as_deref());
        }
        if let Some(wait) = self.retry_after {
            // Rounded down, the client would come back too early.
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        response
    }

    /// The answer that `maker` makes of it, this rejection in its extensions.
    pub fn respond<B>(self, maker: &impl MakeReply<B>) -> Response<B> {
        let answer = self.answer();
        self.respond_with(answer, maker)
    }

    /// As [`respond`](Self::respond), but sends the client somewhere else (303, RFC 9110 §15.4.4).
    pub(crate) fn redirect<B>(self, location: HeaderValue, maker: &impl MakeReply<B>) -> Response<B> {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::SEE_OTHER;
        answer.headers_mut().insert(header::LOCATION, location);
        answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        self.respond_with(answer, maker)
    }

    fn respond_with<B>(self, answer: Response<Bytes>, maker: &impl MakeReply<B>) -> Response<B> {
        let mut response = maker.make(&self, answer);
        response.extensions_mut().insert(self);
        response
    }
}

/// Shows kind and reason, never the source's text.
impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request refused: {}", self.kind.code())
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(rejection: &Rejection) -> Option<String> {
        rejection.answer().headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn retry_after_is_rounded_up_and_left_out_where_nobody_knows() {
        let too_many = || Rejection::new(RejectionKind::TooManyRequests, Reason::Throttled);
        assert_eq!(retry_after(&too_many()), None);
        for (millis, seconds) in [(1, "1"), (999, "1"), (1_000, "1"), (1_001, "2"), (60_000, "60")] {
            let rejection = too_many().with_retry_after(Some(Duration::from_millis(millis)));
            assert_eq!(retry_after(&rejection).as_deref(), Some(seconds), "{millis} ms");
        }
        let longest = too_many().with_retry_after(Some(Duration::MAX));
        assert_eq!(retry_after(&longest), Some(u64::MAX.to_string()));
        let unavailable = Rejection::new(RejectionKind::Unavailable, Reason::Unavailable);
        assert_eq!(retry_after(&unavailable).as_deref(), Some("5"));
        assert_eq!(retry_after(&unavailable.with_retry_after(None)), None);
        assert_eq!(retry_after(&Rejection::new(RejectionKind::InvalidToken, Reason::Expired)), None);
    }
}

//! One step of a pipeline: the port, and what a step is given.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;

use super::token::AccessToken;
use crate::{
    http_client::HttpClient,
    origin,
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
};

/// Fetches one token.
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

    /// Gets a token with the refresh token that came with the last one; `None` if the step has no way to, which
    /// is the default. The step is fetched then.
    ///
    /// A refresh token that comes with the answer replaces this one, otherwise this one is kept. Where it is
    /// refused ([`TokenErrorKind::Refused`], unless with a status that passes: 408, 429 or 5xx) the step is
    /// fetched. Both share one deadline.
    async fn refresh(
        &self,
        _fetch: &Fetch,
        _refresh_token: &Secret,
    ) -> Option<Result<AccessToken, TokenError>> {
        None
    }
}

/// What a step has at hand while it fetches.
pub struct Fetch {
    pub(super) http: HttpClient,
    pub(super) http_on_loopback: bool,
    pub(super) earlier: HashMap<Arc<str>, Earlier>,
}

/// An earlier token, and whether the step has looked at it.
pub(super) struct Earlier {
    token: AccessToken,
    used: AtomicBool,
}

impl Fetch {
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

    /// Sends a request and collects at most 64 KiB of the answer, whatever its status.
    ///
    /// # Errors
    /// [`TokenErrorKind::Request`] for a URI that is not `https` (or `http` on loopback where that is allowed),
    /// [`TokenErrorKind::Transport`] if there is no answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, TokenError> {
        if !origin::is_safe(request.uri(), self.http_on_loopback) {
            return Err(TokenError::new(TokenErrorKind::Request));
        }
        self.http
            .send(request)
            .await
            .map_err(|error| TokenError::new(TokenErrorKind::Transport).with_source(error))
    }
}

impl Earlier {
    pub(super) fn new(token: AccessToken) -> Self {
        Self { token, used: AtomicBool::new(false) }
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("earlier", &self.earlier.keys()).finish_non_exhaustive()
    }
}

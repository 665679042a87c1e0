//! What is kept of a request to send it once more.

use std::{future::poll_fn, time::Duration};

use futures_util::FutureExt;
use http::{Extensions, Request, request};
use tokio::{runtime::Handle, time::timeout};

use super::replay::Replay;

/// Over HTTP/2 an answer may overtake the end of its request, by less than this even on a busy machine. An upload takes
/// longer, and must not hold the rejection up.
const BACK_WAIT_MAX: Duration = Duration::from_millis(250);

/// What a second sending needs.
pub(super) struct Again<S, R, B>
where
    R: Replay<B>,
{
    service: S,
    head: request::Parts,
    replay: R,
    saved: R::Saved,
}

impl<S: Clone, R: Replay<B>, B> Again<S, R, B> {
    /// Nothing if the body cannot be sent again. The token is not attached yet.
    pub(super) fn save(service: &S, replay: &R, request: &mut Request<B>) -> Option<Box<Self>> {
        let saved = replay.save(request.body_mut())?;
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.version_mut() = request.version();
        *head.headers_mut() = request.headers().clone();
        *head.extensions_mut() = request.extensions().clone();
        let (head, ()) = head.into_parts();
        Some(Box::new(Self { service: service.clone(), head, replay: replay.clone(), saved }))
    }

    pub(super) fn extensions(&self) -> &Extensions {
        &self.head.extensions
    }

    /// Whether the body will never be there again.
    pub(super) fn is_lost(&self) -> bool {
        self.replay.is_lost(&self.saved)
    }

    /// Waits until the body is back or lost, and gives up soon.
    pub(super) async fn back(&mut self) {
        let Self { replay, saved, .. } = self;
        let mut back = poll_fn(|cx| replay.poll_back(saved, cx));
        // A timer needs a runtime, which a client of another kind may not have.
        if (&mut back).now_or_never().is_none() && Handle::try_current().is_ok() {
            let _back_or_given_up = timeout(BACK_WAIT_MAX, back).await;
        }
    }

    /// The service and the request, as it was before its token; `None` if the body is not there.
    pub(super) fn restore(self) -> Option<(S, Request<B>)> {
        let body = self.replay.restore(self.saved)?;
        Some((self.service, Request::from_parts(self.head, body)))
    }
}

//! The port to a plain HTTP client: any `Service<Request<Full<Bytes>>>`.
//!
//! Give it a client that follows no redirects: a token endpoint's redirect would carry the client's secret
//! elsewhere. It must not carry the layer whose tokens it fetches.

use std::{fmt, future::poll_fn, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;

use crate::{error::BoxError, maybe_ready::BoxFuture};

/// Longer answers are refused: no token answer comes near.
const MAX_ANSWER: usize = 64 * 1024;

/// An HTTP client with its types erased; cheap to clone.
#[derive(Clone)]
pub struct HttpClient(Arc<dyn Exchange>);

/// One request, one collected answer.
trait Exchange: Send + Sync {
    fn send(&self, request: Request<Full<Bytes>>) -> BoxFuture<Result<Response<Bytes>, BoxError>>;
}

struct Erased<S>(S);

impl HttpClient {
    /// Wraps a client. It is cloned for every request.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Erased(service)))
    }

    /// Sends a request and collects at most 64 KiB of the answer.
    pub(crate) fn send(&self, request: Request<Full<Bytes>>) -> BoxFuture<Result<Response<Bytes>, BoxError>> {
        self.0.send(request)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient(..)")
    }
}

impl<S, B> Exchange for Erased<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn send(&self, request: Request<Full<Bytes>>) -> BoxFuture<Result<Response<Bytes>, BoxError>> {
        let mut service = self.0.clone();
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
            let (parts, body) = service.call(request).await.map_err(Into::into)?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        })
    }
}

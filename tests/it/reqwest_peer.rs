//! A server for reqwest's tests: it refuses tokens, redirects, and remembers.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{Router, extract::State, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, header::LOCATION};
use http_body_util::{BodyExt, StreamBody};
use portcullis::{TokenInjectLayer, outbound::TokenInjectLayerBuilder, provider::TokenProvider};
use tokio::net::TcpListener;

/// A server on a socket of its own.
#[derive(Clone, Default)]
pub(crate) struct Peer(Arc<Mutex<PeerState>>);

#[derive(Default)]
pub(crate) struct PeerState {
    /// Texts that are refused, in whatever header.
    pub(crate) refused: HashSet<String>,
    pub(crate) refuses_all: bool,
    /// From which path to where, with which status.
    pub(crate) redirects: Vec<(String, u16, String)>,
    pub(crate) seen: Vec<Seen>,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Peer {
    /// It and its origin.
    pub(crate) async fn start() -> (Self, String) {
        let peer = Self::default();
        let router = Router::new().fallback(Self::answer).with_state(peer.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (peer, format!("http://{address}"))
    }

    async fn answer(State(peer): State<Self>, request: axum::extract::Request) -> axum::response::Response {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        // Else its caller would have to fail first.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        if path == "/never" {
            std::future::pending::<()>().await;
        }
        let mut state = peer.state();
        let refused = state.refuses_all
            || head
                .headers
                .values()
                .any(|value| value.to_str().is_ok_and(|text| state.refused.contains(text)));
        let redirect = state.redirects.iter().find(|(from, ..)| *from == path).cloned();
        state.seen.push(Seen { path, version: head.version, headers: head.headers, body });
        if let Some((_, status, to)) = redirect {
            return (StatusCode::from_u16(status).unwrap(), [(LOCATION, to)]).into_response();
        }
        if refused { StatusCode::UNAUTHORIZED.into_response() } else { "done".into_response() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, PeerState> {
        self.0.lock().unwrap()
    }

    pub(crate) fn refuse(&self, token: &str) {
        self.state().refused.insert(format!("Bearer {token}"));
    }

    pub(crate) fn redirect(&self, from: &str, status: u16, to: impl Into<String>) {
        self.state().redirects.push((from.to_owned(), status, to.into()));
    }

    /// Path and value of this header, `-` for none, of every request.
    pub(crate) fn seen(&self, header: &str) -> Vec<String> {
        let value =
            |seen: &Seen| seen.headers.get(header).map_or("-", |value| value.to_str().unwrap()).to_owned();
        self.state().seen.iter().map(|seen| format!("{} {}", seen.path, value(seen))).collect()
    }
}

/// Gives its tokens to this origin.
pub(crate) fn layer(provider: impl TokenProvider, origin: &str) -> TokenInjectLayerBuilder {
    TokenInjectLayer::new(provider).danger_allow_http_on_loopback().allow_origin(origin)
}

/// A body of these chunks that does not say how long it is.
pub(crate) fn streamed(chunks: &'static [&'static str]) -> reqwest::Body {
    let frames = chunks.iter().map(|chunk| {
        Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(chunk.as_bytes())))
    });
    reqwest::Body::wrap(StreamBody::new(futures_util::stream::iter(frames)))
}

/// Everything that an error and its causes show.
pub(crate) fn shown(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(|error| format!("{error} {error:?}\n")).collect()
}

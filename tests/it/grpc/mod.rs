//! Generated clients on real channels, in front of a real tonic server: the health service behind a check of the token.

mod attach;
mod doors;
mod failures;
mod repeat;
mod streams;

use std::{
    collections::HashSet,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures_util::{Stream, stream};
use portcullis::{
    TokenInjectLayer,
    outbound::{Replay, Tee, TokenInject, TokenInjectLayerBuilder},
    provider::TokenProvider,
};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    metadata::MetadataMap,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_client::HealthClient,
        health_server::{Health, HealthServer},
    },
    server::{HealthReporter, HealthService},
};
use tower::Layer;

/// How the server answers a token that it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Before any handler, as most servers do.
    Interceptor,
    Handler,
    /// At the end of an answer that has begun.
    Trailers,
}

/// A health service that accepts some tokens, and remembers what it was sent.
#[derive(Clone)]
struct Api {
    refusal: Refusal,
    code: Code,
    state: Arc<Mutex<State>>,
    reporter: HealthReporter,
    health: Arc<HealthService>,
    origin: String,
}

#[derive(Default)]
struct State {
    refused: HashSet<String>,
    refuse_all: bool,
    seen: Vec<String>,
    names: Vec<String>,
}

impl Api {
    async fn serve(refusal: Refusal) -> Self {
        Self::serve_with(refusal, Code::Unauthenticated).await
    }

    /// Serves until the runtime of the test ends.
    async fn serve_with(refusal: Refusal, code: Code) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let reporter = HealthReporter::new();
        let health = Arc::new(HealthService::from_health_reporter(reporter.clone()));
        let api = Self { refusal, code, state: Arc::default(), reporter, health, origin };
        let at_the_door = api.clone();
        let check = move |request: Request<()>| {
            at_the_door.note(request.metadata());
            at_the_door.check(Refusal::Interceptor, request.metadata())?;
            Ok(request)
        };
        let service = HealthServer::with_interceptor(api.clone(), check);
        let serving = Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        api
    }

    fn refuse(&self, token: &str) {
        self.state.lock().unwrap().refused.insert(format!("Bearer {token}"));
    }

    fn refuse_all(&self) {
        self.state.lock().unwrap().refuse_all = true;
    }

    /// The `authorization` values in order; `-` for none.
    fn seen(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.clone()
    }

    /// The messages that handlers have read.
    fn names(&self) -> Vec<String> {
        self.state.lock().unwrap().names.clone()
    }

    fn note(&self, metadata: &MetadataMap) {
        self.state.lock().unwrap().seen.push(token(metadata));
    }

    fn check(&self, place: Refusal, metadata: &MetadataMap) -> Result<(), Status> {
        let (token, state) = (token(metadata), self.state.lock().unwrap());
        if place != self.refusal || !(state.refuse_all || state.refused.contains(&token)) {
            return Ok(());
        }
        let mut status = Status::new(self.code, "no to this token");
        status.metadata_mut().insert("x-refused", token.parse().unwrap());
        Err(status)
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(self.origin.clone()).unwrap()
    }

    /// What a layer needs to know of this API, and a replay for gRPC's bodies.
    fn layer(&self, provider: impl TokenProvider) -> TokenInjectLayerBuilder<Tee> {
        self.bare_layer(provider).default_origin(&self.origin)
    }

    /// The same, without the default origin.
    fn bare_layer(&self, provider: impl TokenProvider) -> TokenInjectLayerBuilder<Tee> {
        TokenInjectLayer::new(provider)
            .danger_allow_http_on_loopback()
            .allow_origin(&self.origin)
            .replay(Tee::new())
    }

    fn client<R: Replay<Body>>(
        &self,
        layer: TokenInjectLayerBuilder<R>,
    ) -> HealthClient<TokenInject<Channel, R>> {
        HealthClient::new(layer.build().unwrap().layer(self.endpoint().connect_lazy()))
    }
}

fn token(metadata: &MetadataMap) -> String {
    metadata.get("authorization").map_or("-", |value| value.to_str().unwrap()).to_owned()
}

#[tonic::async_trait]
impl Health for Api {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.state.lock().unwrap().names.push(request.get_ref().service.clone());
        self.check(Refusal::Handler, request.metadata())?;
        self.health.check(request).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.check(Refusal::Handler, request.metadata())?;
        if let Err(status) = self.check(Refusal::Trailers, request.metadata()) {
            return Ok(Response::new(Box::pin(stream::iter([Err(status)]))));
        }
        Ok(self.health.watch(request).await?.map(|items| Box::pin(items) as Self::WatchStream))
    }
}

/// A question about a service; the empty name is the server.
fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

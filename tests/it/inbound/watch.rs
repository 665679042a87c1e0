//! Streams that outlive their request hear of the end of their login.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Request, Response};
use portcullis::{
    Auth, AuthLayer, TokenPolicy, TokenService,
    clock::{Clock, PausedClock},
    credential::Channel,
    error::BoxError,
    identity::{AuthContext, Ended, Subject},
    maybe_ready::{BoxFuture, MaybeReady},
    token::{IssueOptions, Issued, RefreshRequest},
    verify::UserLookup,
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Body, Mode, ProbeStore, START, bearer, refresh_text, request, secs};

const MODES: [Mode; 2] = [Mode::Now, Mode::Later];
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Node {
    store: ProbeStore,
    clock: Clock,
    tokens: TokenService,
}

impl Node {
    fn new(policy: TokenPolicy) -> Self {
        let (store, clock) = (ProbeStore::new(), PausedClock::starting_at(START));
        let tokens = TokenService::new(store.clone(), policy).clock(clock.clone());
        Self { store, clock, tokens }
    }

    /// A second process over the same store.
    fn other(&self) -> TokenService {
        TokenService::new(self.store.clone(), TokenPolicy::default()).clock(self.clock.clone())
    }

    async fn login(&self) -> Issued {
        self.tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap()
    }

    /// What a handler gets for a request with this login.
    async fn admitted(&self, issued: &Issued) -> Auth<Subject> {
        // The second of two authenticators: the one that verified is the one that is asked.
        let first = TokenService::new(
            portcullis::MemoryStore::new(),
            TokenPolicy::builder().brand("first").build().unwrap(),
        );
        let layer = AuthLayer::new(first).or(self.tokens.clone()).clock(self.clock.clone()).build().unwrap();
        let service = layer.layer(service_fn(|request: Request<Body>| async move {
            let context = request.extensions().get::<AuthContext>().unwrap().clone();
            assert!(context.watch().is_some());
            let mut response = Response::new(Body::default());
            response.extensions_mut().insert(context.auth::<Subject>().unwrap().unwrap());
            Ok::<_, Infallible>(response)
        }));
        let (name, value) = bearer(issued.access().expose());
        let response = service.oneshot(request(&[(&name, &value)])).await.unwrap();
        response.extensions().get::<Auth<Subject>>().expect("a caller").clone()
    }
}

/// Why and after how long it ended.
async fn watched(watch: BoxFuture<Ended>) -> (Ended, Duration) {
    let began = now();
    (watch.await, now().duration_since(began))
}

#[allow(clippy::disallowed_methods)] // paused time, of which the clock is a reading
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_once_with_a_revocation_of_this_process() {
    for mode in MODES {
        let node = Node::new(TokenPolicy::default());
        let issued = node.login().await;
        node.store.set(mode);
        let auth = node.admitted(&issued).await;
        let (first, second) = (tokio::spawn(watched(auth.watch())), tokio::spawn(watched(auth.watch())));
        tokio::time::sleep(secs(100)).await;
        assert!(!first.is_finished() && !second.is_finished());
        node.tokens.revoke(&issued.record().id()).await.unwrap();
        assert_eq!(first.await.unwrap(), (Ended::Revoked, secs(100)));
        assert_eq!(second.await.unwrap(), (Ended::Revoked, secs(100)), "however many watch");
        assert_eq!(watched(auth.watch()).await, (Ended::Revoked, secs(0)), "and it stays ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_the_moment_at_which_its_token_does() {
    for mode in MODES {
        let node = Node::new(TokenPolicy::default());
        let issued = node.login().await;
        node.store.set(mode);
        let auth = node.admitted(&issued).await;
        assert_eq!(watched(auth.watch()).await, (Ended::Expired, DAY));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_moves_the_end_of_a_stream() {
    for mode in MODES {
        let node = Node::new(TokenPolicy::default());
        let issued = node.login().await;
        node.store.set(mode);
        let watch = tokio::spawn(watched(node.admitted(&issued).await.watch()));
        tokio::time::sleep(DAY / 2).await;
        let text = refresh_text(&issued);
        node.tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
        assert_eq!(watch.await.unwrap(), (Ended::Expired, DAY + DAY / 2));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_does_not_end_a_stream_before_its_time() {
    for mode in [Mode::Down, Mode::DownLater] {
        let node = Node::new(TokenPolicy::default());
        let issued = node.login().await;
        let auth = node.admitted(&issued).await;
        let watch = tokio::spawn(watched(auth.watch()));
        tokio::time::sleep(secs(10)).await;
        node.store.set(mode);
        tokio::time::sleep(secs(3600)).await;
        assert!(!watch.is_finished());
        assert_eq!(watch.await.unwrap(), (Ended::Expired, DAY), "the end that is known still counts");
    }
}

#[tokio::test(start_paused = true)]
async fn sec_d07_a_stream_hears_of_a_revocation_on_another_node_within_thirty_seconds() {
    for mode in MODES {
        let node = Node::new(TokenPolicy::default());
        let issued = node.login().await;
        node.store.set(mode);
        let watch = tokio::spawn(watched(node.admitted(&issued).await.watch()));
        tokio::time::sleep(secs(100)).await;
        node.other().revoke(&issued.record().id()).await.unwrap();
        let (why, after) = watch.await.unwrap();
        assert_eq!(why, Ended::Revoked);
        assert!(after > secs(100) && after <= secs(130), "{after:?}");
    }
}

struct Gone;

impl UserLookup for Gone {
    type User = Subject;

    fn find(&self, _: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<Subject>>, BoxError>> {
        MaybeReady::Now(Ok(None))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_user_is_gone() {
    let node = Node::new(TokenPolicy::default());
    let issued = node.login().await;
    let auth = node.admitted(&issued).await;
    let gone = node.other().users(Gone);
    let watch = portcullis::verify::Verify::watch(&gone, auth.evidence());
    assert_eq!(watched(watch).await, (Ended::Revoked, secs(0)));
}

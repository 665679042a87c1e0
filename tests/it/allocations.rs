//! What a request costs in memory, on the paths that every request takes.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use portcullis::{
    TokenInjectLayer,
    maybe_ready::MaybeReady,
    outbound::Never,
    provider::{AllOf, Ask, FirstOf, Lease, TokenError, TokenProvider},
    store::{CachedStore, MemoryCounters},
    throttle::{Throttle, ThrottlePolicy},
};
use tower::{Layer, Service, service_fn};

use crate::{
    idp::Leased,
    support::{Body, Mode, bearer, fixture, request},
};

/// Allocations of one call, building the request not counted.
fn allocations<S, B>(service: &mut S, make: impl Fn() -> Request<B>) -> u64
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Error: std::fmt::Debug,
{
    let mut call = |request| service.call(request).now_or_never().expect("nothing to wait for").unwrap();
    // The first call may fill caches.
    drop(call(make()));
    let request = make();
    let mut response = None;
    // The log of the whole suite, where one is kept, allocates for every event.
    let _silent = crate::log::silence();
    let counted = allocation_counter::measure(|| response = Some(call(request)));
    assert!(response.unwrap().status().is_success());
    counted.count_total
}

fn inner<B>()
-> impl Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    service_fn(|_: Request<B>| std::future::ready(Ok(Response::new(Full::<Bytes>::default()))))
}

#[tokio::test]
async fn an_inbound_hit_allocates_for_its_extension_only() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let (name, value) = bearer(issued.access().expose());
    let make = || request(&[(&name, &value)]);

    let bare = allocations(&mut inner(), make);
    // Through the memory store itself: a probe in between would allocate for itself.
    let tokens =
        portcullis::TokenService::new(fixture.store.memory.clone(), portcullis::TokenPolicy::default());
    let layer = portcullis::AuthLayer::new(tokens.clock(fixture.time.clock())).clock(fixture.time.clock());
    let mut guarded = layer.build().unwrap().layer(inner());
    assert_eq!(allocations(&mut guarded, make) - bare, 3);
}

/// Nor does one by a copy, whatever the store behind it costs.
#[tokio::test]
async fn r203_an_inbound_hit_by_a_copy_allocates_no_more() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let (name, value) = bearer(issued.access().expose());
    let make = || request(&[(&name, &value)]);

    let bare = allocations(&mut inner(), make);
    fixture.store.set(Mode::Later);
    let cached = CachedStore::builder(fixture.store.clone()).clock(fixture.time.clock()).build().unwrap();
    let tokens = portcullis::TokenService::new(cached, portcullis::TokenPolicy::default());
    let tokens = tokens.clock(fixture.time.clock());
    tokens.verify(issued.access().expose(), None).await.unwrap();
    let layer = portcullis::AuthLayer::new(tokens).clock(fixture.time.clock());
    let mut guarded = layer.build().unwrap().layer(inner());
    assert_eq!(allocations(&mut guarded, make) - bare, 3);
}

struct Warm(HeaderName, Arc<Lease>);

impl TokenProvider for Warm {
    fn header(&self) -> &HeaderName {
        &self.0
    }

    fn lease(&self, _ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        MaybeReady::Now(Ok(Arc::clone(&self.1)))
    }

    fn newer_than(&self, _: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        MaybeReady::Now(Ok(None))
    }
}

#[test]
fn a_warm_outbound_lease_allocates_for_its_header_only() {
    let value = HeaderValue::from_static("Bearer abc");
    let make = || Request::get("https://api.test/").body(Body::default()).unwrap();

    let copy = value.clone();
    let mut by_hand = inner();
    let mut by_hand = service_fn(move |mut request: Request<Body>| {
        request.headers_mut().insert(AUTHORIZATION, copy.clone());
        by_hand.call(request)
    });
    let header = allocations(&mut by_hand, make);

    let provider = Warm(AUTHORIZATION, Arc::new(Lease::new(value, 1)));
    let layer =
        TokenInjectLayer::new(provider).allow_origin("https://api.test").replay(Never).build().unwrap();
    assert_eq!(allocations(&mut layer.layer(inner()), make), header);
}

/// The pipeline's own provider, and the default replay: what is kept of a request is its head, a copy of the
/// service and the box for both.
#[tokio::test(start_paused = true)]
async fn a_warm_pipeline_adds_nothing_and_an_armed_replay_one_box() {
    let idp = crate::idp::Idp::counting();
    let provider = idp.pipeline().step(crate::idp::step("only")).build().unwrap().provider();
    provider.leased().await.unwrap();
    let layer = || TokenInjectLayer::new(provider.clone()).allow_origin("https://api.test");
    let make = || Request::get("https://api.test/").body(Body::default()).unwrap();
    let off = allocations(&mut layer().replay(Never).build().unwrap().layer(inner()), make);
    let armed = allocations(&mut layer().build().unwrap().layer(inner()), make);
    assert_eq!((off, armed), (2, 3), "two for the first header of a request");
}

/// Of what a client names itself with, no more is copied than counts.
#[test]
fn a_long_identifier_costs_a_throttle_no_more_memory_than_a_short_one() {
    let throttle = Throttle::new(MemoryCounters::new(), ThrottlePolicy::default());
    let client = Some([192, 0, 2, 7].into());
    let admit = |identifier: &str| {
        let admitted = throttle.admit("login", client, Some(identifier)).now_or_never();
        assert!(admitted.expect("nothing to wait for").is_ok());
    };
    admit("ada");
    let long = "x".repeat(1_000_000);
    let counted = allocation_counter::measure(|| admit(&long));
    assert!(counted.bytes_total < 8_192, "{counted:?}");
}

/// A composite puts its lease together once. After that, one that hands out its only member's costs nothing; one that
/// sends two headers gathers their leases, and the second header has the room that the first one made.
#[tokio::test]
async fn a_warm_composite_allocates_for_its_headers_and_for_gathering_them() {
    let warm =
        |header: HeaderName| Warm(header, Arc::new(Lease::new(HeaderValue::from_static("Bearer abc"), 1)));
    let make = || Request::get("https://api.test/").body(Body::default()).unwrap();
    let layer = |provider: Arc<dyn TokenProvider>| {
        TokenInjectLayer::new(provider).allow_origin("https://api.test").replay(Never).build().unwrap()
    };
    let counted = |provider| allocations(&mut layer(provider).layer(inner()), make);
    let key = || warm(HeaderName::from_static("x-api-key"));
    let all = AllOf::of(warm(AUTHORIZATION)).and(key()).build().unwrap();
    assert_eq!(counted(Arc::new(warm(AUTHORIZATION))), 2);
    assert_eq!(counted(Arc::new(FirstOf::of(warm(AUTHORIZATION)).or(key()))), 2);
    assert!(counted(Arc::new(all)) <= 5);
}

//! Credentials of several subjects through one layer: nobody's is sent for somebody else.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION};
use portcullis::{
    TokenInjectLayer,
    maybe_ready::MaybeReady,
    provider::{
        AllOf, ApiKey, Ask, FirstOf, Lease, TokenError, TokenErrorKind, TokenProvider, provider_async_fn,
        provider_fn,
    },
};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};

use crate::{stock::status, support::Body};

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-token");

/// On whose behalf a request goes out; nobody's goes out with the application's own credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subject(u8);

fn text_of(ask: &Ask<'_>) -> Option<HeaderValue> {
    let subject = ask.extensions().get::<Subject>()?;
    Some(HeaderValue::from_str(&format!("Bearer of-{}", subject.0)).unwrap())
}

/// Exchanges tokens: has one lease for each subject, and makes a new one after each rejection.
#[derive(Default)]
struct Exchange(Mutex<Vec<Arc<Lease>>>);

impl Exchange {
    fn current(&self, subject: u8) -> Arc<Lease> {
        let mut leases = self.0.lock().unwrap();
        while leases.len() <= usize::from(subject) {
            let number = leases.len();
            let value = HeaderValue::from_str(&format!("Bearer of-{number}")).unwrap();
            leases.push(Arc::new(Lease::new(value, 1)));
        }
        Arc::clone(&leases[usize::from(subject)])
    }
}

impl TokenProvider for Exchange {
    fn header(&self) -> &HeaderName {
        &AUTHORIZATION
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        let absent = || TokenError::new(TokenErrorKind::Absent);
        MaybeReady::Now(
            ask.extensions().get::<Subject>().ok_or_else(absent).map(|subject| self.current(subject.0)),
        )
    }

    fn newer_than(&self, _: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        MaybeReady::Now(Ok(None))
    }
}

/// The application's own, for whom nobody is behind the request.
fn own() -> ApiKey {
    ApiKey::header("authorization", "own").unwrap()
}

fn composites() -> Vec<(&'static str, Arc<dyn TokenProvider>)> {
    let now = || provider_fn(AUTHORIZATION, |ask: &Ask<'_>| Ok(text_of(ask)));
    let later = || {
        provider_async_fn(AUTHORIZATION, |ask: &Ask<'_>| {
            let value = text_of(ask);
            async move {
                tokio::task::yield_now().await;
                Ok(value)
            }
        })
    };
    // Of all, each must have something, so nobody's is empty.
    let forwarded = || {
        provider_fn(FORWARDED, |ask: &Ask<'_>| {
            Ok(Some(text_of(ask).unwrap_or(HeaderValue::from_static("own"))))
        })
    };
    vec![
        ("first, at once", Arc::new(FirstOf::of(now()).or(own()))),
        ("first, later", Arc::new(FirstOf::of(later()).or(own()))),
        ("first, exchanged", Arc::new(FirstOf::of(Exchange::default()).or(own()))),
        ("all", Arc::new(AllOf::of(FirstOf::of(now()).or(own())).and(forwarded()).build().unwrap())),
        ("all, later", Arc::new(AllOf::of(FirstOf::of(later()).or(own())).and(forwarded()).build().unwrap())),
        (
            "all, exchanged",
            Arc::new(AllOf::of(FirstOf::of(Exchange::default()).or(own())).and(forwarded()).build().unwrap()),
        ),
    ]
}

/// Sends a request for a subject; the API checks that it carries that subject's credentials, and refuses some.
async fn send(provider: Arc<dyn TokenProvider>, subject: Option<u8>, refuse: bool) {
    let expected = subject.map_or("own".to_owned(), |subject| format!("Bearer of-{subject}"));
    let headers = provider.headers().to_vec();
    let inner = service_fn(move |request: Request<Body>| {
        for header in &headers {
            assert_eq!(request.headers()[header], *expected, "{header}");
        }
        let answer: Response<Body> = status(if refuse { 401 } else { 200 });
        async move {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(answer)
        }
    });
    let layer = TokenInjectLayer::new(provider).allow_origin("https://api.test").build().unwrap();
    let mut request = Request::get("https://api.test/").body(Body::default()).unwrap();
    if let Some(subject) = subject {
        request.extensions_mut().insert(Subject(subject));
    }
    assert_eq!(layer.layer(inner).oneshot(request).await.unwrap().status(), if refuse { 401 } else { 200 });
}

#[tokio::test]
async fn sec_k06_a_credential_is_never_served_to_another_subject() {
    for (name, provider) in composites() {
        for subject in [Some(1), Some(2), Some(1), None, Some(2), None, Some(1)] {
            send(Arc::clone(&provider), subject, false).await;
            send(Arc::clone(&provider), subject, true).await;
        }
        assert!(provider.headers().contains(&AUTHORIZATION), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k06_nor_while_many_ask_at_once() {
    for (_, provider) in composites() {
        let calls = (0..400_u16).map(|number| {
            let subject = (number % 5 > 0).then(|| u8::try_from(number % 5).unwrap());
            tokio::spawn(send(Arc::clone(&provider), subject, number % 3 == 0))
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order, and however many are under way together.
    #[test]
    fn sec_k06_whatever_the_order_in_which_subjects_come(
        rounds in prop::collection::vec(prop::collection::vec((prop::option::of(0..4_u8), any::<bool>()), 1..6), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for (_, provider) in composites() {
                for round in &rounds {
                    let calls = round.iter().map(|(subject, refuse)| send(Arc::clone(&provider), *subject, *refuse));
                    futures_util::future::join_all(calls).await;
                }
            }
        });
    }
}

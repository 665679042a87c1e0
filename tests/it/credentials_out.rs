//! Credentials that need no fetching, and several of them on one layer.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, COOKIE},
};
use portcullis::{
    maybe_ready::MaybeReady,
    outbound::{AuthOutcome, ExistingHeader, InjectError, TokenInjectLayerBuilder},
    provider::{
        AllOf, ApiKey, Ask, Basic, FirstOf, Lease, StaticBearer, TokenError, TokenErrorKind, TokenProvider,
        provider_async_fn, provider_fn,
    },
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    idp::Leased,
    stock::{Stock, get, layer, status},
    support::Body,
};

const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The headers of every sending; those with these values are answered 401.
async fn sent(
    layer: TokenInjectLayerBuilder,
    request: Request<Body>,
    refused: &[&'static str],
) -> (Result<(u16, Option<AuthOutcome>), InjectError>, Vec<HeaderMap>) {
    let (calls, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let refused = refused.to_vec();
    let inner = service_fn(move |request: Request<Body>| {
        let headers = request.headers();
        let refuse = headers.values().any(|value| refused.iter().any(|refused| value == refused));
        calls.send(headers.clone()).unwrap();
        std::future::ready(Ok::<_, Infallible>(status(if refuse { 401 } else { 200 })))
    });
    let response = layer.build().unwrap().layer(inner).oneshot(request).await;
    let answer = response
        .map(|response| (response.status().as_u16(), response.extensions().get::<AuthOutcome>().cloned()));
    let mut all = Vec::new();
    while let Some(headers) = seen.recv().await {
        all.push(headers);
    }
    (answer, all)
}

/// `name: value` of one sending, in the order of the names.
fn lines(headers: &HeaderMap) -> Vec<String> {
    assert!(headers.values().all(HeaderValue::is_sensitive), "{headers:?}");
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort_unstable();
    lines
}

/// One request, and what it carries.
async fn carried(provider: impl TokenProvider) -> Vec<String> {
    let (answer, seen) = sent(layer(provider), get(), &[]).await;
    assert_eq!(answer.unwrap().0, 200);
    assert_eq!(seen.len(), 1);
    lines(&seen[0])
}

// ===== one =====

#[tokio::test]
async fn r122_keys_passwords_and_bearers_are_attached_as_their_standards_say() {
    let key = ApiKey::header("X-API-Key", "k-1!~").unwrap();
    assert_eq!(carried(key).await, ["x-api-key: k-1!~"]);
    let bearer = StaticBearer::new("t.1==").unwrap();
    assert_eq!(carried(bearer).await, ["authorization: Bearer t.1=="]);
    // The examples of RFC 7617 §2 and §2.1.
    for (user, password, expected) in [
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123\u{a3}", "Basic dGVzdDoxMjPCow=="),
        ("", "", "Basic Og=="),
        ("u", "a:b", "Basic dTphOmI="),
    ] {
        let basic = Basic::new(user, password).unwrap();
        assert_eq!(carried(basic).await, [format!("authorization: {expected}")]);
    }
}

#[tokio::test]
async fn r122_what_cannot_stand_in_a_header_is_a_fault() {
    let fields = |error: portcullis::error::ConfigError| {
        assert!(!error.to_string().contains("planted"), "{error}");
        error.faults().iter().map(|fault| fault.field()).collect::<Vec<_>>()
    };
    assert_eq!(fields(ApiKey::header("x api", "planted\n").unwrap_err()), ["header", "key"]);
    for key in ["", "planted planted", "planted\r\n", "plant\u{e9}d"] {
        assert_eq!(fields(ApiKey::header("x-api-key", key).unwrap_err()), ["key"], "{key:?}");
        assert_eq!(fields(StaticBearer::new(key).unwrap_err()), ["token"], "{key:?}");
    }
    assert_eq!(fields(Basic::new("a:b", "planted").unwrap_err()), ["user"]);
    assert_eq!(fields(Basic::new("a\n", "planted\0").unwrap_err()), ["user", "password"]);
    assert_eq!(fields(Basic::new("a\u{7f}", "").unwrap_err()), ["user"]);
}

/// What was pasted into the wrong place is not printed either.
#[tokio::test]
async fn r126_no_fault_shows_what_may_be_a_secret() {
    let origin =
        |text: &str| layer(Stock::new()).allow_origin(text).default_origin(text).build().unwrap_err();
    let faults = [
        Basic::new("ada:planted", "x").unwrap_err(),
        Basic::new("planted\n", "x").unwrap_err(),
        ApiKey::header("planted/pl+nted=", "x-api-key").unwrap_err(),
        origin("https://ada:planted@a.test"),
        origin("https://a.test/?key=planted"),
        origin("https://a.test/planted"),
        origin("https://a.test#planted"),
        origin("http://ada:planted@a.test"),
        origin("planted"),
        origin("planted planted"),
        origin("ada:planted@a.test"),
    ];
    for error in faults {
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
    // Where it is safe, it is said what is wrong with which.
    for text in ["https://ada:planted@a.test:8443/x?y", "http://a.test:8443/", "ftp://a.test:8443"] {
        assert!(origin(text).to_string().contains("://a.test:8443\""), "{text}");
    }
}

#[tokio::test]
async fn r122_a_credential_without_a_successor_is_sent_once() {
    let value = HeaderValue::from_static("Bearer t");
    let sync = provider_fn(AUTHORIZATION, {
        let value = value.clone();
        move |_: &Ask<'_>| Ok(Some(value.clone()))
    });
    let slow = provider_async_fn(AUTHORIZATION, move |_: &Ask<'_>| {
        let value = value.clone();
        async move {
            tokio::task::yield_now().await;
            Ok(Some(value))
        }
    });
    let providers: [Arc<dyn TokenProvider>; 5] = [
        Arc::new(ApiKey::header("x-api-key", "Bearer-t").unwrap()),
        Arc::new(Basic::new("u", "p").unwrap()),
        Arc::new(StaticBearer::new("t").unwrap()),
        Arc::new(sync),
        Arc::new(slow),
    ];
    for provider in providers {
        let refused = ["Bearer-t", "Basic dTpw", "Bearer t"];
        let (answer, seen) = sent(layer(provider), get(), &refused).await;
        assert!(matches!(answer, Ok((401, Some(AuthOutcome::NoNewerToken)))), "{answer:?}");
        assert_eq!(seen.len(), 1);
    }
}

#[derive(Clone)]
struct Caller(&'static str);

fn of_the_caller() -> impl TokenProvider {
    provider_fn(AUTHORIZATION, |ask: &Ask<'_>| {
        Ok(ask.extensions().get::<Caller>().map(|caller| HeaderValue::from_static(caller.0)))
    })
}

#[tokio::test]
async fn r122_a_function_sees_the_request_and_may_have_nothing_for_it() {
    for name in ["ada", "bob"] {
        let mut request = get();
        request.extensions_mut().insert(Caller(name));
        let (_, seen) = sent(layer(of_the_caller()), request, &[]).await;
        assert_eq!(lines(&seen[0]), [format!("authorization: {name}")]);
    }
    let nothing = provider_async_fn(AUTHORIZATION, |_: &Ask<'_>| async { Ok(None) });
    let failing = provider_fn(AUTHORIZATION, |_: &Ask<'_>| Err(TokenError::new(TokenErrorKind::Timeout)));
    let providers: [(Arc<dyn TokenProvider>, _); 3] = [
        (Arc::new(of_the_caller()), TokenErrorKind::Absent),
        (Arc::new(nothing), TokenErrorKind::Absent),
        (Arc::new(failing), TokenErrorKind::Timeout),
    ];
    for (provider, kind) in providers {
        let (answer, seen) = sent(layer(provider), get(), &[]).await;
        let Err(InjectError::Token(error)) = answer else { panic!("{answer:?}") };
        assert_eq!((error.kind(), seen.len()), (kind, 0), "without a token nothing is sent");
    }
}

// ===== several =====

#[tokio::test]
async fn r122_the_first_that_has_a_credential_counts() {
    let of = |caller: Option<&'static str>| {
        let mut request = get();
        if let Some(caller) = caller {
            request.extensions_mut().insert(Caller(caller));
        }
        request
    };
    for later in [false, true] {
        let (stock, key) = (Stock::new(), ApiKey::header("x-api-key", "k").unwrap());
        stock.state().later = later;
        let first = || FirstOf::of(of_the_caller()).or(stock.clone()).or(key.clone());
        let (_, seen) = sent(layer(first()), of(Some("ada")), &[]).await;
        assert_eq!(lines(&seen[0]), ["authorization: ada"]);
        let (_, seen) = sent(layer(first()), of(None), &[]).await;
        assert_eq!(lines(&seen[0]), ["authorization: Bearer t-1"]);
        stock.state().errors = vec![TokenErrorKind::Absent];
        let (_, seen) = sent(layer(first()), of(None), &[]).await;
        assert_eq!(lines(&seen[0]), ["x-api-key: k"]);

        // Who has a credential and cannot get at it does not leave the request to another.
        stock.state().errors = vec![TokenErrorKind::Transport];
        let (answer, seen) = sent(layer(first()), of(None), &[]).await;
        assert!(
            matches!(answer, Err(InjectError::Token(error)) if error.kind() == TokenErrorKind::Transport)
        );
        assert!(seen.is_empty());

        stock.state().errors = vec![TokenErrorKind::Absent];
        let none = FirstOf::of(of_the_caller()).or(stock.clone());
        let (answer, _) = sent(layer(none), of(None), &[]).await;
        assert!(matches!(answer, Err(InjectError::Token(error)) if error.kind() == TokenErrorKind::Absent));
    }
}

/// What the composite of an earlier day got wrong: the first member's word was taken for all.
#[tokio::test]
async fn r122_after_a_401_the_member_that_was_sent_is_renewed() {
    for later in [false, true] {
        let (one, two) = (Stock::named(KEY, "one"), Stock::named(AUTHORIZATION, "two"));
        one.state().later = later;
        two.state().later = later;
        one.state().errors = vec![TokenErrorKind::Absent];
        let first = FirstOf::of(one.clone()).or(two.clone()).or(StaticBearer::new("x").unwrap());
        let (answer, seen) = sent(layer(first.clone()), get(), &["Bearer two-1"]).await;
        assert!(matches!(answer, Ok((200, Some(AuthOutcome::Repeated)))), "{answer:?}");
        assert_eq!(
            seen.iter().map(lines).collect::<Vec<_>>(),
            [["authorization: Bearer two-1"], ["authorization: Bearer two-2"],]
        );
        assert!(one.state().rejected.is_empty());
        assert_eq!(two.state().rejected, [1]);
        assert!(two.state().current.as_ref().unwrap().was_accepted(), "the member's own lease knows");

        let refused = ["Bearer one-1", "Bearer one-2"];
        let (answer, seen) = sent(layer(first), get(), &refused).await;
        assert!(matches!(answer, Ok((401, Some(AuthOutcome::RejectedAgain)))), "{answer:?}");
        assert_eq!(seen.len(), 2);
        assert_eq!(one.state().rejected, [1]);
        assert_eq!(one.state().rejected_again, [2]);
        assert!(one.state().current.as_ref().unwrap().was_rejected());
        assert!(two.state().rejected_again.is_empty());
    }
}

#[tokio::test]
async fn r122_all_credentials_go_out_together_and_those_that_can_be_are_renewed() {
    for later in [false, true] {
        let (stock, other) = (Stock::new(), Stock::named(COOKIE, "c"));
        stock.state().later = later;
        other.state().exhausted = true;
        let key = ApiKey::header("x-api-key", "k").unwrap();
        let all = AllOf::of(key).and(stock.clone()).and(other.clone()).build().unwrap();
        let (answer, seen) = sent(layer(all.clone()), get(), &["Bearer t-1"]).await;
        assert!(matches!(answer, Ok((200, Some(AuthOutcome::Repeated)))), "{answer:?}");
        assert_eq!(
            seen.iter().map(lines).collect::<Vec<_>>(),
            [
                ["authorization: Bearer t-1", "cookie: Bearer c-1", "x-api-key: k"],
                ["authorization: Bearer t-2", "cookie: Bearer c-1", "x-api-key: k"],
            ]
        );
        assert!(stock.state().current.as_ref().unwrap().was_accepted());

        let (answer, _) = sent(layer(all.clone()), get(), &["k"]).await;
        assert!(matches!(answer, Ok((401, Some(AuthOutcome::RejectedAgain)))), "{answer:?}");
        assert_eq!(stock.state().rejected_again, [3]);

        // One that fails spoils neither the other's success nor, alone, the answer.
        stock.state().exhausted = true;
        let (answer, seen) = sent(layer(all.clone()), get(), &["k"]).await;
        assert!(matches!(answer, Ok((401, Some(AuthOutcome::NoNewerToken)))), "{answer:?}");
        assert_eq!(seen.len(), 1);

        stock.state().errors = vec![TokenErrorKind::Absent];
        let (answer, seen) = sent(layer(all), get(), &[]).await;
        assert!(matches!(answer, Err(InjectError::Token(error)) if error.kind() == TokenErrorKind::Absent));
        assert!(seen.is_empty());
    }
    let twice = AllOf::of(StaticBearer::new("a").unwrap())
        .and(ApiKey::header("x-api-key", "k").unwrap())
        .and(FirstOf::of(of_the_caller()).or(ApiKey::header("x-api-key", "l").unwrap()));
    let error = twice.build().unwrap_err();
    assert_eq!(error.faults().len(), 2, "{error}");
}

#[tokio::test]
async fn r122_if_one_of_all_fails_to_renew_the_others_are_sent() {
    let (one, two) = (Stock::named(KEY, "one"), Stock::new());
    let all = AllOf::of(one.clone()).and(two.clone()).build().unwrap();
    let rejected = all.leased().await.unwrap();
    one.state().errors = vec![TokenErrorKind::Timeout];
    let newer = all.newer_than(&rejected).wait().await.unwrap().unwrap();
    assert!(newer.generation() > rejected.generation());
    assert_eq!(two.state().rejected, [1]);
    one.state().errors = vec![TokenErrorKind::Timeout];
    two.state().exhausted = true;
    assert_eq!(all.newer_than(&newer).wait().await.unwrap_err().kind(), TokenErrorKind::Timeout);
}

#[tokio::test]
async fn r122_composites_can_hold_composites() {
    let stock = Stock::new();
    let first = FirstOf::of(of_the_caller()).or(stock.clone());
    let all = AllOf::of(first).and(ApiKey::header("x-api-key", "k").unwrap()).build().unwrap();
    let (answer, seen) = sent(layer(Arc::new(all)), get(), &["Bearer t-1"]).await;
    assert!(matches!(answer, Ok((200, Some(AuthOutcome::Repeated)))), "{answer:?}");
    assert_eq!(lines(&seen[1]), ["authorization: Bearer t-2", "x-api-key: k"]);
}

#[tokio::test]
async fn r122_a_request_with_one_of_the_headers_has_a_credential_of_its_own() {
    let first = || FirstOf::of(ApiKey::header("x-api-key", "k").unwrap()).or(Stock::new());
    let own = || {
        let mut request = get();
        let mut value = HeaderValue::from_static("mine");
        value.set_sensitive(true);
        request.headers_mut().insert("authorization", value);
        request
    };
    let (_, seen) = sent(layer(first()), own(), &[]).await;
    assert_eq!(lines(&seen[0]), ["authorization: mine"]);
    // Replaced is replaced: nothing of the request's own is left beside ours.
    let replacing = layer(first()).existing_header(ExistingHeader::Replace);
    let (_, seen) = sent(replacing, own(), &[]).await;
    assert_eq!(lines(&seen[0]), ["x-api-key: k"]);
}

#[tokio::test]
async fn r122_a_lease_of_somebody_else_is_not_renewed() {
    let stock = Stock::new();
    let foreign = Arc::new(Lease::new(HeaderValue::from_static("x"), 1));
    let composites: [Arc<dyn TokenProvider>; 2] =
        [Arc::new(FirstOf::of(stock.clone())), Arc::new(AllOf::of(stock.clone()).build().unwrap())];
    for composite in composites {
        assert!(composite.newer_than(&foreign).wait().await.unwrap().is_none());
        composite.rejected_again(&foreign);
    }
    assert!(stock.state().rejected.is_empty() && stock.state().rejected_again.is_empty());
}

/// Somebody else puts the member's old lease together just while this one is being made of the new one.
#[tokio::test]
async fn r122_a_joint_lease_that_replaces_another_is_newer_whoever_was_first() {
    let composites: [fn(Slow) -> Arc<dyn TokenProvider>; 2] =
        [|slow| Arc::new(FirstOf::of(slow)), |slow| Arc::new(AllOf::of(slow).build().unwrap())];
    for composite in composites {
        let slow = Slow { stock: Stock::new(), meanwhile: Arc::default() };
        let composite = composite(slow.clone());
        let extensions = http::Extensions::new();
        let old = slow.stock.state().current.clone();
        slow.stock.renew();
        let new = slow.stock.state().current.clone();
        let sent: Arc<Mutex<Option<Arc<Lease>>>> = Arc::default();
        *slow.meanwhile.lock().unwrap() = Some(Box::new({
            let (composite, stock, sent) = (Arc::clone(&composite), slow.stock.clone(), Arc::clone(&sent));
            move || {
                stock.state().current = old;
                let late = composite.lease(&Ask::new(&http::Extensions::new())).wait().now_or_never();
                *sent.lock().unwrap() = Some(late.unwrap().unwrap());
                stock.state().current = new;
            }
        }));
        composite.lease(&Ask::new(&extensions)).wait().await.unwrap();
        let rejected = sent.lock().unwrap().take().expect("it was put together meanwhile");
        assert_eq!(rejected.value(), "Bearer t-1");
        let newer = composite.newer_than(&rejected).wait().await.unwrap().expect("there is a newer one");
        assert_eq!(newer.value(), "Bearer t-2");
        assert!(newer.generation() > rejected.generation(), "{newer:?} {rejected:?}");
        // It is put together once.
        let again = composite.lease(&Ask::new(&extensions)).wait().await.unwrap();
        assert!(Arc::ptr_eq(&again, &newer));
    }
}

/// Of two that put the same lease together at the same time, both get one.
#[tokio::test]
async fn r122_a_joint_lease_of_the_same_leases_is_made_once() {
    let slow = Slow { stock: Stock::new(), meanwhile: Arc::default() };
    let composite = Arc::new(FirstOf::of(slow.clone()));
    let lease = |composite: &FirstOf| {
        composite.lease(&Ask::new(&http::Extensions::new())).wait().now_or_never().unwrap().unwrap()
    };
    let other: Arc<Mutex<Option<Arc<Lease>>>> = Arc::default();
    *slow.meanwhile.lock().unwrap() = Some(Box::new({
        let (composite, other) = (Arc::clone(&composite), Arc::clone(&other));
        move || *other.lock().unwrap() = Some(lease(&composite))
    }));
    let one = lease(&composite);
    assert!(Arc::ptr_eq(&one, &other.lock().unwrap().take().expect("it was put together meanwhile")));
}

type Meanwhile = Box<dyn FnOnce() + Send>;

/// Does something once when a composite asks for its header, which it does while it puts a lease together.
#[derive(Clone)]
struct Slow {
    stock: Stock,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

impl TokenProvider for Slow {
    fn header(&self) -> &HeaderName {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        self.stock.header()
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        self.stock.lease(ask)
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        self.stock.newer_than(rejected)
    }
}

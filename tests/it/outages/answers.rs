//! The store's answer to a refresh is lost on its way to the service.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::Request;
use portcullis::{
    error::BoxError,
    flow::RefreshService,
    identity::Subject,
    maybe_ready::MaybeReady,
    store::{CachedStore, TokenStore},
    text::TokenId,
    token::Issued,
    verify::UserLookup,
};
use serde_json::json;
use tower::ServiceExt;

use super::{
    on_each_server,
    places::{Place, check_down},
};
use crate::{
    servers::Proxy,
    support::{Answer, refresh_text},
};

/// The first two are shorter than any reply.
const LENGTHS: [usize; 6] = [0, 1, 5, 20, 60, 200];

/// Knows every user. A refresh asks for its user between its look-up and its change, so that the reply to be cut is
/// that of the change.
#[derive(Clone)]
struct Cutter(Arc<Shared>);

struct Shared {
    proxy: Proxy,
    /// The length that the next reply is cut to.
    next: Mutex<Option<usize>>,
}

impl UserLookup for Cutter {
    type User = Subject;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<Subject>>, BoxError>> {
        if let Some(length) = self.0.next.lock().unwrap().take() {
            self.0.proxy.cut_next_reply_after(length);
        }
        MaybeReady::Now(Ok(Some(Arc::clone(subject))))
    }
}

/// A refresh service whose way to the store is cut.
struct Refreshes {
    service: RefreshService<Subject>,
    cutter: Cutter,
}

impl Refreshes {
    async fn of(place: &Place) -> Self {
        let proxy = place.proxy().await;
        let tokens = place.app_behind(&proxy).tokens;
        let cutter = Cutter(Arc::new(Shared { proxy, next: Mutex::default() }));
        let tokens = tokens.users(cutter.clone());
        let service = RefreshService::new(tokens).build().unwrap();
        Self { service, cutter }
    }

    async fn ask(&self, login: &Issued) -> Answer {
        let body = json!({ "refresh_token": refresh_text(login) }).to_string();
        let request = Request::builder().method("POST").uri("/").header("content-type", "application/json");
        let request = request.body(Body::from(body)).unwrap();
        Answer::of(self.service.clone().oneshot(request).await.unwrap()).await
    }

    /// As a client that comes again after a 503. What is left of a cut may break the next reply, too.
    async fn pair(&self, login: &Issued) -> [String; 2] {
        for _ in 0..4 {
            let answer = self.ask(login).await;
            if answer.status == 200 {
                return texts(&answer);
            }
            check_down(&answer);
        }
        panic!("no pair");
    }
}

fn texts(answer: &Answer) -> [String; 2] {
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    ["access_token", "refresh_token"].map(|name| body[name].as_str().unwrap().to_owned())
}

/// By a connection of its own.
async fn generation(store: &CachedStore, id: &TokenId) -> u32 {
    let record = store.find(id).wait().await.unwrap().expect("a login").record;
    assert_eq!(record.revoked(), None);
    record.generation()
}

async fn r036_a_refresh_whose_outcome_is_lost_is_503_and_then_the_one_pair_that_there_is(place: Place) {
    let direct = place.app();
    let store = place.copies().age(Duration::ZERO).build().unwrap();
    let mut lost = 0;
    for length in LENGTHS {
        // Connections on which nothing is left of another cut, with whatever statements a refresh needs.
        let refreshes = Refreshes::of(&place).await;
        assert_eq!(refreshes.ask(&direct.login("bob").await).await.status, 200);
        let login = direct.login("ada").await;
        let id = login.record().id();
        *refreshes.cutter.0.next.lock().unwrap() = Some(length);
        let first = refreshes.ask(&login).await;
        let first = match first.status.as_u16() {
            200 => Some(texts(&first)),
            _ => {
                check_down(&first);
                lost += 1;
                None
            }
        };
        assert_eq!(generation(&store, &id).await, 1, "it was done, whatever was heard of it");
        let next = refreshes.pair(&login).await;
        assert_eq!(refreshes.pair(&login).await, next, "nobody is given another one");
        assert!(first.is_none_or(|first| first == next));
        assert_eq!(generation(&store, &id).await, 1);
        let lives = async |text: &str| direct.tokens.verify(text, None).await.is_ok();
        assert!(lives(&next[0]).await);
        assert!(!lives(login.access().expose()).await);
        assert!(direct.tokens.verify(&next[1], None).await.is_err(), "no access text");
    }
    assert!(lost >= 2, "{lost}");
}

on_each_server! {
    r036_a_refresh_whose_outcome_is_lost_is_503_and_then_the_one_pair_that_there_is
}

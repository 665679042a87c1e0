//! Rights that change while a login lives.

use std::sync::{Arc, Mutex, atomic::AtomicUsize};

use portcullis::{
    AuthLayer, TokenPolicy,
    error::BoxError,
    identity::Subject,
    inbound::{GuardLayer, Policy},
    maybe_ready::MaybeReady,
    verify::UserLookup,
};
use tower::{ServiceBuilder, ServiceExt};

use super::{Keys, counting, login_with, scope};
use crate::support::{bearer, fixture_with, request, secs};

struct User {
    admin: bool,
}

/// One user, whose role is changed while a login lives.
#[derive(Clone)]
struct Directory(Arc<Mutex<bool>>);

impl UserLookup for Directory {
    type User = User;

    fn find(&self, _: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<User>>, BoxError>> {
        MaybeReady::Now(Ok(Some(Arc::new(User { admin: *self.0.lock().unwrap() }))))
    }
}

#[tokio::test]
async fn sec_i09_a_role_that_changes_counts_from_the_next_request_on_or_within_the_cache_age() {
    for age in [secs(0), secs(30)] {
        let fixture = fixture_with(TokenPolicy::builder().cache_users(age).build().unwrap());
        let directory = Directory(Arc::new(Mutex::new(true)));
        let tokens = fixture.tokens.clone().users(directory.clone());
        let (name, value) = bearer(&login_with(&fixture.tokens, None, &[]).await);
        let guard = GuardLayer::new(Policy::user(|user: &User| user.admin)).build().unwrap();
        let auth = AuthLayer::new(tokens).clock(fixture.time.clock()).build().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let status = async || {
            let service = ServiceBuilder::new().layer(auth.clone()).layer(guard.clone());
            let answer = service.service(counting(&calls)).oneshot(request(&[(&name, &value)])).await;
            answer.unwrap().status().as_u16()
        };
        assert_eq!(status().await, 200);
        *directory.0.lock().unwrap() = false;
        if !age.is_zero() {
            assert_eq!(status().await, 200, "remembered");
            fixture.time.advance(age);
        }
        assert_eq!(status().await, 403, "{age:?}");
        *directory.0.lock().unwrap() = true;
        fixture.time.advance(age);
        assert_eq!(status().await, 200, "{age:?}");
    }
}

#[tokio::test]
async fn sec_i09_a_scope_that_changes_counts_from_the_next_request_on() {
    let scopes = Arc::new(Mutex::new(Some("orders:read orders:write")));
    let auth = AuthLayer::new(Keys(Arc::clone(&scopes))).build().unwrap();
    let guard = GuardLayer::new(scope("orders:write")).build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let service = ServiceBuilder::new().layer(auth).layer(guard).service(counting(&calls));
    let (name, value) = bearer("key");
    for (scope, status) in [
        (Some("orders:read orders:write"), 200),
        (Some("orders:read"), 403),
        (Some("orders:write"), 200),
        (None, 200),
        (Some("orders:Write"), 403),
    ] {
        *scopes.lock().unwrap() = scope;
        let answer = service.clone().oneshot(request(&[(&name, &value)])).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{scope:?}");
    }
}

//! Logins and tokens that an earlier version has made, and that every later one has to honour.
//!
//! `format_1.jsonl` was written once, by the version that had the first format. It is not written again: a version with
//! another format adds a file of its own beside it. `tests.rs` says how.

mod decode;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::decode::Golden;
use super::{
    bench::{Bench, HOUR},
    columns::assert_same,
};
use crate::{
    clock::ManualClock,
    credential::{Channel, Credential},
    event::RevokeReason,
    keyring::KeyRing,
    store::{Insertion, TokenStore},
    token::{RefreshRequest, TokenPolicy, TokenService},
    verify::{Attempt, Refusal, Verify},
};

const FORMAT_1: &str = include_str!("format_1.jsonl");

/// The records come back as they were, and every token does what it did.
pub(super) async fn r213_logins_of_earlier_versions_work(bench: &Bench) {
    for line in FORMAT_1.lines() {
        honours(bench, &Golden::parse(line)).await;
    }
}

async fn honours(bench: &Bench, golden: &Golden) {
    let Golden { name, columns, now, .. } = golden;
    let insertion = Insertion::new(columns.epoch, *now);
    bench.one.insert(columns.clone().into(), insertion).await.unwrap();
    assert_same(&*bench.found(&columns.id).await, columns, name);

    let then = now.plus(HOUR / 60);
    let service = |store: &Arc<dyn TokenStore>| {
        let policy = TokenPolicy::builder().hash(golden.hash).touch_every(None).build().unwrap();
        let service = TokenService::over(Arc::clone(store), policy).clock(ManualClock::new(then).clock());
        match &golden.pepper {
            Some(key) => service.pepper(KeyRing::new(key.clone())),
            None => service,
        }
    };
    let (one, two) = (service(&bench.one), service(&bench.two));
    let verify = async |text: &str| {
        let credential = match columns.channel {
            Channel::Header => Credential::header(text, "Bearer"),
            Channel::Cookie => Credential::cookie(text),
        };
        let mut attempt = Attempt::new(credential, then);
        if let Some(tenant) = &columns.tenant {
            attempt = attempt.with_tenant(tenant);
        }
        match Verify::verify(&two, &attempt).wait().await {
            Ok(_) => true,
            Err(Refusal::Invalid(_)) => false,
            Err(Refusal::Unavailable(error)) => panic!("{name}: could not check: {error}"),
        }
    };
    let refresh = async |text: &str| {
        let mut request = RefreshRequest::new(text, columns.channel);
        if let Some(tenant) = &columns.tenant {
            request = request.with_tenant(tenant);
        }
        if let Some(client) = &columns.client {
            request = request.with_client(client);
        }
        if let Some(thumbprint) = &columns.key_thumbprint {
            request = request.with_key_thumbprint(thumbprint);
        }
        one.refresh(request).await
    };
    assert_eq!(verify(&golden.access).await, columns.revoked.is_none(), "{name}");
    for dead in &golden.dead {
        assert!(!verify(dead).await, "{name}");
    }
    // The answer that may have been lost comes again as it was.
    if let Some(previous) = &golden.previous {
        let again = refresh(previous).await.unwrap();
        assert_eq!(again.access().expose(), golden.access, "{name}");
        assert_eq!(again.refresh().map(|text| text.expose()), golden.refresh.as_deref(), "{name}");
    }
    if let Some(text) = &golden.refresh {
        let refreshed = refresh(text).await;
        assert_eq!(refreshed.is_ok(), columns.revoked.is_none(), "{name}");
        if let Ok(refreshed) = refreshed {
            assert!(verify(refreshed.access().expose()).await, "{name}");
            assert!(!verify(&golden.access).await, "{name}");
        }
    }
    // The one before the previous one: proven to be the login's own, and the end of it.
    if let Some(ancestor) = &golden.ancestor {
        assert!(matches!(refresh(ancestor).await, Err(Refusal::Invalid(_))), "{name}");
        let revoked = bench.found(&columns.id).await.revoked();
        assert_eq!(revoked.map(|revoked| revoked.reason()), Some(RevokeReason::Reuse), "{name}");
    }
}

//! Branches of a refresh that no honest sequence of calls reaches.

use super::*;
use crate::{
    store::{Epoch, Insertion, StoreErrorKind},
    text::{self, SecretChars},
    token::ratchet,
};

/// A service over a store that holds this record alone; what it reports goes to the fixture's events.
async fn service_with(fixture: &Fixture, record: LoginRecord) -> TokenService {
    let store = MemoryStore::new();
    let first = Epoch::from_number(record.epoch.number());
    store.insert(record, Insertion::new(first, fixture.time.now())).await.unwrap();
    TokenService::new(store, TokenPolicy::default())
        .clock(fixture.time.clock())
        .reporter(fixture.events.reporter.clone())
}

fn secret_of(fixture: &Fixture, refresh: &str) -> SecretChars {
    text::parse_refresh(refresh, &fixture.tokens.parts.policy.brands).unwrap().secret
}

#[tokio::test]
async fn r034_the_last_generation_is_refused_and_revokes_nothing() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let mut last = (*fixture.record(&issued.record().id()).await).clone();
    last.generation = u32::MAX;
    let secret = secret_of(&fixture, &refresh_text(&issued));
    let tag = |tagged: &str| ratchet::tag(&last.lineage, tagged);
    let text = text::compose_refresh(fixture.tokens.parts.policy.brand(), last.id, u32::MAX, &secret, tag);
    let tokens = service_with(&fixture, last).await;
    let refused = tokens.refresh(RefreshRequest::new(text.expose(), Channel::Header)).await;
    assert!(matches!(refused, Err(Refusal::Invalid(Reason::Exhausted))), "{refused:?}");
    tokens.verify(issued.access().expose(), None).await.unwrap();
}

/// The nonce was exchanged: the pair that it yields is not the one in the record, so it is not handed out.
#[tokio::test]
async fn r035_a_repeat_that_does_not_match_the_record_is_refused() {
    let fixture = fixture();
    let first = fixture.login().await;
    let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
    let record = fixture.record(&first.record().id()).await;
    for part in ["nonce", "access", "refresh"] {
        let mut edited = (*record).clone();
        match part {
            "nonce" => edited.nonce = Some(Box::new(record.lineage.clone())),
            "access" => edited.access = *record.previous.clone().unwrap(),
            _ => edited.refresh = record.previous.as_deref().cloned(),
        }
        let tokens = service_with(&fixture, edited).await;
        let text = refresh_text(&first);
        let refused = tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
        assert!(matches!(refused, Err(Refusal::Invalid(Reason::Inconsistent))), "{part}: {refused:?}");
        assert_eq!(fixture.events.incidents().last().unwrap().name(), "inconsistent");
    }
    let repeat = fixture.refresh(&refresh_text(&first)).await.unwrap();
    assert_eq!(repeat.access(), second.access());
}

/// The nonce is gone, and nobody has used the new pair: an honest client may still be asking.
#[tokio::test]
async fn r035_without_its_nonce_an_unused_pair_is_refused_and_not_revoked() {
    let fixture = fixture();
    let first = fixture.login().await;
    fixture.refresh(&refresh_text(&first)).await.unwrap();
    let mut edited = (*fixture.record(&first.record().id()).await).clone();
    edited.nonce = None;
    let tokens = service_with(&fixture, edited).await;
    fixture.time.advance(Duration::from_secs(3600));
    let text = refresh_text(&first);
    let refused = tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
    assert!(matches!(refused, Err(Refusal::Invalid(Reason::TooRecent))), "{refused:?}");
    assert!(fixture.events.incidents().is_empty());
}

/// What rests in the store is clamped, not only what is shown of it.
#[tokio::test]
async fn r039_no_stored_end_exceeds_the_absolute_one() {
    let fixture = fixture();
    let mut current = fixture.login().await;
    for _ in 0..13 {
        fixture.time.advance(Duration::from_secs(12 * 3600));
        current = fixture.refresh(&refresh_text(&current)).await.unwrap();
        let record = fixture.record(&current.record().id()).await;
        assert!(record.access_expires <= record.absolute_expires);
        assert!(record.refresh_expires <= record.absolute_expires);
    }
}

#[tokio::test]
async fn an_id_that_is_taken_is_a_conflict_and_replaces_nothing() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let before = fixture.record(&issued.record().id()).await;
    let again =
        fixture.store.insert((*before).clone(), Insertion::new(before.epoch, fixture.time.now())).await;
    assert_eq!(again.unwrap_err().kind(), StoreErrorKind::Conflict);
    assert!(Arc::ptr_eq(&before, &fixture.record(&issued.record().id()).await));
}

/// A copy of the record from before a rotation is restored: what the next rotation gives is new all the same.
#[tokio::test]
async fn r035_a_restored_record_never_gives_the_same_pair_again() {
    let fixture = fixture();
    let first = fixture.login().await;
    let copy = (*fixture.record(&first.record().id()).await).clone();
    let text = refresh_text(&first);
    let second = fixture.refresh(&text).await.unwrap();
    let restored = service_with(&fixture, copy).await;
    let again = restored.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
    assert_ne!(again.access(), second.access());
    assert_ne!(refresh_text(&again), refresh_text(&second));
}

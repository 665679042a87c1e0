//! Refresh tokens that were never ours change nothing.

use super::*;
use crate::{
    random,
    text::{self, with_check},
    token::ratchet,
};

/// Each text differs from a real token of the login in one character and has a check that fits.
#[tokio::test]
async fn sec_e06_every_changed_character_is_refused_and_writes_nothing() {
    let fixture = fixture();
    let (id, texts) = fixture.lineage().await;
    let before = fixture.record(&id).await;
    for text in &texts {
        let body = &text[..text.len() - 6];
        for (position, original) in body.char_indices() {
            for other in ('0'..='9').chain('A'..='Z').chain('a'..='z').filter(|other| *other != original) {
                let mut forged = body.to_owned();
                forged.replace_range(position..=position, other.encode_utf8(&mut [0; 4]));
                let refused = fixture.refresh(&with_check(&forged)).await.map(|_| ());
                assert!(refused.is_err(), "position {position}, {other:?}");
            }
        }
    }
    assert!(Arc::ptr_eq(&before, &fixture.record(&id).await), "something was written");
    assert!(fixture.events.incidents().iter().all(|event| event.name() == "reuse_allowed"));
}

/// The tag is right, because the forger knows the lineage key; the secret is not.
#[tokio::test]
async fn sec_e06_a_tag_made_with_the_lineage_key_is_not_enough() {
    let fixture = fixture();
    let (id, texts) = fixture.lineage().await;
    let before = fixture.record(&id).await;
    let brand = fixture.tokens.parts.policy.brand();
    for generation in [before.generation, before.generation - 1] {
        let secret = text::encode_secret(&random::bytes().unwrap());
        let tag = |tagged: &str| ratchet::tag(&before.lineage, tagged);
        let forged = text::compose_refresh(brand, id, generation, &secret, tag);
        assert_eq!(fixture.refresh(forged.expose()).await.map(|_| ()), Err(Reason::WrongSecret));
    }
    assert!(Arc::ptr_eq(&before, &fixture.record(&id).await));
    fixture.refresh(&texts[2]).await.unwrap();
}

/// So does a logout of all: whoever copied the store can end the logins whose keys he has, and through them no other.
#[tokio::test]
async fn sec_e06_a_tag_made_with_the_lineage_key_has_no_say_over_other_logins() {
    let fixture = fixture();
    let other = fixture.login().await;
    for older in [0, 1, 2] {
        let (id, texts) = fixture.lineage().await;
        let before = fixture.record(&id).await;
        let (brand, generation) = (fixture.tokens.parts.policy.brand(), before.generation - older);
        let secret = text::encode_secret(&random::bytes().unwrap());
        let tag = |tagged: &str| ratchet::tag(&before.lineage, tagged);
        let forged = text::compose_refresh(brand, id, generation, &secret, tag);
        let ended = fixture.tokens.logout_everywhere(forged.expose(), Channel::Header).await;
        assert_eq!(ended.unwrap(), 1);
        assert_eq!(fixture.refresh(&texts[2]).await.map(|_| ()), Err(Reason::Revoked));
        fixture.verify(other.access().expose()).await.unwrap();
    }
}

/// Whoever has a login knows its texts, never the key of another one: each login draws its own.
#[tokio::test]
async fn sec_e06_a_tag_of_another_login_is_refused() {
    let fixture = fixture();
    let (id, texts) = fixture.lineage().await;
    let other = fixture.login().await;
    let key = fixture.record(&other.record().id()).await.lineage.clone();
    let before = fixture.record(&id).await;
    let secret = text::encode_secret(&random::bytes().unwrap());
    let tag = |tagged: &str| ratchet::tag(&key, tagged);
    let forged = text::compose_refresh(fixture.tokens.parts.policy.brand(), id, 0, &secret, tag);
    assert_eq!(fixture.refresh(forged.expose()).await.map(|_| ()), Err(Reason::WrongTag));
    assert!(Arc::ptr_eq(&before, &fixture.record(&id).await));
    fixture.refresh(&texts[2]).await.unwrap();
}

#[tokio::test]
async fn sec_e06_a_hundred_thousand_wrong_tags_write_nothing() {
    let fixture = fixture();
    let (id, texts) = fixture.lineage().await;
    let before = fixture.record(&id).await;
    let brand = fixture.tokens.parts.policy.brand();
    let secret = text::encode_secret(&random::bytes().unwrap());
    for number in 0..100_000_u32 {
        let generation = number % 5;
        let tag = |_: &str| {
            text::encode_tag(&{
                let mut bytes = [7; 16];
                bytes[..4].copy_from_slice(&number.to_be_bytes());
                bytes
            })
        };
        let forged = text::compose_refresh(brand, id, generation, &secret, tag);
        assert_eq!(fixture.refresh(forged.expose()).await.map(|_| ()), Err(Reason::WrongTag));
    }
    assert!(Arc::ptr_eq(&before, &fixture.record(&id).await), "something was written");
    fixture.refresh(&texts[2]).await.unwrap();
}

/// Ahead of its record: a store that lost writes, not a thief.
#[tokio::test]
async fn sec_e06_a_token_ahead_of_its_record_revokes_nothing() {
    let fixture = fixture();
    let (id, texts) = fixture.lineage().await;
    let before = fixture.record(&id).await;
    let secret = text::encode_secret(&random::bytes().unwrap());
    let tag = |tagged: &str| ratchet::tag(&before.lineage, tagged);
    let ahead =
        text::compose_refresh(fixture.tokens.parts.policy.brand(), id, before.generation + 1, &secret, tag);
    assert_eq!(fixture.refresh(ahead.expose()).await.map(|_| ()), Err(Reason::AheadOfStore));
    assert_eq!(fixture.events.incidents().last().unwrap().name(), "store_regressed");
    assert!(Arc::ptr_eq(&before, &fixture.record(&id).await));
    fixture.refresh(&texts[2]).await.unwrap();
}

proptest::proptest! {
    /// Texts of the right length in any characters, with a check that fits.
    #[test]
    fn sec_a07_no_text_makes_verification_or_refresh_panic(
        kind in "[ar]",
        rest in proptest::prop_oneof!["[0-9A-Za-z]{50,110}", "\\PC{20,110}", "[\u{e9}\u{1F980}a]{10,60}"],
        length in proptest::prop_oneof![proptest::prelude::Just(60), proptest::prelude::Just(88), 0..120_usize],
    ) {
        let end = (0..=length.min(rest.len())).rev().find(|end| rest.is_char_boundary(*end)).unwrap();
        let text = with_check(&format!("pc_{kind}{}", &rest[..end]));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = fixture();
            assert!(fixture.verify(&text).await.is_err());
            assert!(fixture.refresh(&text).await.is_err());
        });
    }
}

//! The text form: widths, and one text per token.

use std::collections::HashSet;

use super::*;
use crate::{
    random,
    store::{Epoch, HashAlgorithm, Insertion},
    text::{self, Brand, with_check},
    token::ratchet::{self, Kind},
};

#[test]
fn r013_a_million_tokens_differ_and_read_back_by_position() {
    let brands = [Brand::parse("pc").unwrap()];
    let lineage = crate::secret::SecretBytes::new(random::bytes().unwrap());
    let mut seen = HashSet::with_capacity(1_000_000);
    for generation in 0..1_000_000_u32 {
        let id = TokenId::from_random(&random::bytes().unwrap());
        let access = text::encode_secret(&random::bytes().unwrap());
        let written = text::compose_access(&brands[0], id, &access);
        assert_eq!(written.expose().len(), 2 + 68);
        let read = text::parse_access(written.expose(), &brands).unwrap();
        assert_eq!((read.id, read.secret), (id, *access));
        let mut start = [0; 16];
        start.copy_from_slice(&access[..16]);
        assert!(seen.insert(start), "two secrets begin alike");

        // Tags cost two hashes each: every hundredth is enough to show the positions.
        if generation % 100 == 0 {
            let tag = |tagged: &str| ratchet::tag(&lineage, tagged);
            let written = text::compose_refresh(&brands[0], id, generation, &access, tag);
            assert_eq!(written.expose().len(), 2 + 96);
            let read = text::parse_refresh(written.expose(), &brands).unwrap();
            assert_eq!((read.id, read.generation, &read.secret), (id, generation, &access));
            assert!(ratchet::tag_matches(&lineage, &read));
        }
    }
}

#[tokio::test]
async fn r013_an_access_token_has_exactly_one_accepted_text() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let text = issued.access().expose();
    fixture.verify(text).await.unwrap();
    let body = &text[..text.len() - 6];
    for (position, original) in body.char_indices() {
        for other in ('0'..='9').chain('A'..='Z').chain('a'..='z').chain(['_', '-', '=', '\u{e9}']) {
            if other == original {
                continue;
            }
            let mut forged = body.to_owned();
            forged.replace_range(position..=position, other.encode_utf8(&mut [0; 4]));
            let refused = fixture.verify(&with_check(&forged)).await;
            assert!(refused.is_err(), "position {position}, {other:?}");
            if !other.is_ascii_alphanumeric() {
                assert_eq!(refused, Err(Reason::Malformed), "position {position}, {other:?}");
            }
        }
    }
    for changed in [
        format!("{text}0"),
        format!("0{text}"),
        format!(" {text}"),
        text.to_uppercase(),
        text.replacen("pc_a", "PC_a", 1),
        text.replacen("pc_a", "pc_A", 1),
        with_check(&body.replacen("pc_a", "PC_a", 1)),
        with_check(&format!("{}0{}", &body[..4], &body[4..])),
        body.to_owned(),
        String::new(),
    ] {
        assert_eq!(fixture.verify(&changed).await, Err(Reason::Malformed));
    }
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The texts whose check, as a number, is the same modulo 2^32.
fn with_wrapped_checks(text: &str) -> Vec<String> {
    let (body, check) = text.split_at(text.len() - 6);
    let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte).unwrap() as u64;
    let number = check.bytes().fold(0, |number, byte| number * 62 + digit(byte));
    let wrapped = (1..14_u64).filter_map(|wraps| {
        let mut rest = number + wraps * (1 << 32);
        let mut other = [0; 6];
        for place in other.iter_mut().rev() {
            *place = DIGITS[usize::try_from(rest % 62).unwrap()];
            rest /= 62;
        }
        (rest == 0).then(|| format!("{body}{}", std::str::from_utf8(&other).unwrap()))
    });
    wrapped.collect()
}

/// 62^6 is thirteen times 2^32: a check that is decoded and wrapped would have thirteen texts.
#[tokio::test]
async fn r013_the_check_has_one_text() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let (access, refresh) = (issued.access().expose(), refresh_text(&issued));
    let others = [access, &refresh].map(with_wrapped_checks);
    assert!(others.iter().all(|others| others.len() >= 12), "{others:?}");
    let before = fixture.record(&issued.record().id()).await;
    for forged in &others[0] {
        assert_eq!(fixture.verify(forged).await, Err(Reason::Malformed));
    }
    for forged in &others[1] {
        assert_eq!(fixture.refresh(forged).await.map(|_| ()), Err(Reason::Malformed));
    }
    assert!(Arc::ptr_eq(&before, &fixture.record(&issued.record().id()).await), "something was written");
    fixture.verify(access).await.unwrap();
    fixture.refresh(&refresh).await.unwrap();
}

/// 62^43 is a little more than 2^256: a secret that is decoded and wrapped would have two texts, where the number is
/// small enough.
#[tokio::test]
async fn r013_a_secret_and_the_same_with_two_to_the_256_are_not_the_same() {
    for last in [0, 1, 255] {
        let mut bytes = [0; 32];
        bytes[31] = last;
        let secret = text::encode_secret(&bytes);
        let wrapped = plus_2_to_the_256(&secret);
        let fixture = fixture();
        let template = fixture.login().await;
        let mut record = LoginRecord::clone(&*fixture.record(&template.record().id()).await);
        record.id = TokenId::from_random(&random::bytes().unwrap());
        let digest = |kind, record: &LoginRecord| {
            ratchet::new_digest(ratchet::binding(kind, record), &secret, HashAlgorithm::Sha256, None)
        };
        record.access = digest(Kind::Access, &record);
        record.refresh = Some(digest(Kind::Refresh, &record));
        let (id, lineage) = (record.id, record.lineage.clone());
        let insertion = Insertion::new(Epoch::from_number(1), fixture.time.now());
        fixture.store.insert(record, insertion).await.unwrap();
        let before = fixture.record(&id).await;
        let brand = Brand::parse("pc").unwrap();
        let access = |secret| text::compose_access(&brand, id, secret);
        let refresh =
            |secret| text::compose_refresh(&brand, id, 0, secret, |tagged| ratchet::tag(&lineage, tagged));
        assert_eq!(fixture.verify(access(&wrapped).expose()).await, Err(Reason::WrongSecret));
        let refused = fixture.refresh(refresh(&wrapped).expose()).await.map(|_| ());
        assert_eq!(refused, Err(Reason::WrongSecret));
        assert!(Arc::ptr_eq(&before, &fixture.record(&id).await), "something was written");
        fixture.verify(access(&secret).expose()).await.unwrap();
        fixture.refresh(refresh(&secret).expose()).await.unwrap();
    }
}

/// The 43 digits of the number that is greater by 2^256.
fn plus_2_to_the_256(secret: &[u8; 43]) -> [u8; 43] {
    // The digits of 2^256 - 1, and one more.
    let highest = text::encode_secret(&[0xFF; 32]);
    let mut carry = 1;
    let mut sum = [0; 43];
    for place in (0..43).rev() {
        let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte).unwrap();
        carry += digit(secret[place]) + digit(highest[place]);
        sum[place] = DIGITS[carry % 62];
        carry /= 62;
    }
    assert_eq!(carry, 0, "it fits into 43 digits");
    sum
}

#[tokio::test]
async fn r013_tokens_of_an_older_brand_keep_working() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let renamed = |older: bool| {
        let policy = TokenPolicy::builder().brand("acme");
        let policy = if older { policy.older_brand("pc") } else { policy };
        TokenService::new(fixture.store.clone(), policy.build().unwrap()).clock(fixture.time.clock())
    };
    assert!(renamed(false).verify(issued.access().expose(), None).await.is_err());
    renamed(true).verify(issued.access().expose(), None).await.unwrap();
    let refresh = refresh_text(&issued);
    let next = renamed(true).refresh(RefreshRequest::new(&refresh, Channel::Header)).await.unwrap();
    assert!(next.access().expose().starts_with("acme_a"));
    renamed(true).verify(next.access().expose(), None).await.unwrap();
}

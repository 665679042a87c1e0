//! The text form: widths, and one text per token.

use std::collections::HashSet;

use super::*;
use crate::{
    random,
    text::{self, Brand, with_check},
    token::ratchet,
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

/// 62^6 is thirteen times 2^32: a check that is decoded and wrapped would have thirteen texts.
#[tokio::test]
async fn r013_the_check_has_one_text() {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let fixture = fixture();
    let issued = fixture.login().await;
    let text = issued.access().expose();
    let (body, check) = text.split_at(text.len() - 6);
    let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte).unwrap() as u64;
    let number = check.bytes().fold(0, |number, byte| number * 62 + digit(byte));
    for wraps in 1..13_u64 {
        let mut rest = number + wraps * (1 << 32);
        let mut other = [0; 6];
        for place in other.iter_mut().rev() {
            *place = DIGITS[usize::try_from(rest % 62).unwrap()];
            rest /= 62;
        }
        if rest == 0 {
            let forged = format!("{body}{}", std::str::from_utf8(&other).unwrap());
            assert_eq!(fixture.verify(&forged).await, Err(Reason::Malformed));
        }
    }
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

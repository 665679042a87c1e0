//! Digests: how they are made, and how they move to a newer key or hash.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::{
    keyring::{Key, KeyId, KeyRing},
    store::HashAlgorithm,
    text,
    token::ratchet::{self, Kind},
};

fn key() -> Key {
    Key::generate().unwrap()
}

/// Uses are noted each second.
fn fixture_of(hash: HashAlgorithm) -> (Fixture, TokenService) {
    let fixture = fixture();
    let policy = TokenPolicy::builder().touch_every(Some(Duration::from_secs(1))).hash(hash).build().unwrap();
    let tokens = TokenService::new(fixture.store.clone(), policy)
        .clock(fixture.time.clock())
        .reporter(fixture.events.reporter.clone());
    (fixture, tokens)
}

async fn login(tokens: &TokenService) -> Issued {
    tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap()
}

async fn refresh(tokens: &TokenService, issued: &Issued) -> Result<Issued, Refusal> {
    tokens.refresh(RefreshRequest::new(&refresh_text(issued), Channel::Header)).await
}

/// The keys that the access, the refresh and the previous digest name.
async fn keys(fixture: &Fixture, issued: &Issued) -> [Option<KeyId>; 3] {
    let record = fixture.record(&issued.record().id()).await;
    [
        record.access.key(),
        record.refresh.as_ref().and_then(|digest| digest.key()),
        record.previous.as_ref().and_then(|digest| digest.key()),
    ]
}

// ===== how they are made =====

/// Written out again from the description, with nothing of the crate but SHA-256.
#[test]
fn r015_the_digest_is_the_one_that_is_described() {
    fn field(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[1], &length[..], bytes].concat()
    }
    let id = TokenId::parse("0123456789ABCDEFG").unwrap();
    let secret = text::encode_secret(&[0xA5; 32]);
    let head = [b"portcullis/v1/digest\0".to_vec(), field(b"access"), field(id.as_bytes())].concat();
    let local = [head.clone(), vec![0], field(b"ada"), vec![0], field(b"header")].concat();
    let foreign = [head, field(b"https://idp.test"), field(b"ada"), field(b"red"), field(b"cookie")].concat();
    let cases = [
        (local, Subject::local("ada"), None, Channel::Header),
        (foreign, Subject::of("https://idp.test", "ada"), Some("red"), Channel::Cookie),
    ];
    for (encoded, subject, tenant, channel) in cases {
        let binding = ratchet::bind(Kind::Access, id, &subject, tenant, channel);
        let expected = [&Sha256::digest(encoded)[..12], secret.as_slice()].concat();
        assert_eq!(expected.len(), 55, "one block of SHA-256");
        let digest = ratchet::new_digest(binding, &secret, HashAlgorithm::Sha256, None);
        assert_eq!(digest.as_bytes(), &Sha256::digest(expected)[..]);
        assert_eq!((digest.algorithm(), digest.key()), (HashAlgorithm::Sha256, None));
    }
}

#[tokio::test]
async fn r015_a_changed_hash_keeps_old_logins_and_moves_them_in_use() {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    let (fixture, old) = fixture_of(Sha256);
    let first = login(&old).await;
    let mut before = Sha256;
    for after in [Sha512, Sha384, Sha256] {
        let policy = TokenPolicy::builder().touch_every(Some(Duration::from_secs(1))).hash(after);
        let tokens =
            TokenService::new(fixture.store.clone(), policy.build().unwrap()).clock(fixture.time.clock());
        tokens.verify(first.access().expose(), None).await.unwrap();
        let algorithms = async || {
            let record = fixture.record(&first.record().id()).await;
            (record.access.algorithm(), record.refresh.as_ref().unwrap().algorithm())
        };
        assert_eq!(algorithms().await, (before, Sha256), "not before a touch is due");
        fixture.time.advance(Duration::from_secs(1));
        tokens.verify(first.access().expose(), None).await.unwrap();
        assert_eq!(algorithms().await, (after, Sha256));
        tokens.verify(first.access().expose(), None).await.unwrap();
        before = after;
    }
    let policy = TokenPolicy::builder().hash(Sha512).build().unwrap();
    let tokens = TokenService::new(fixture.store.clone(), policy).clock(fixture.time.clock());
    let second = refresh(&tokens, &first).await.unwrap();
    let record = fixture.record(&first.record().id()).await;
    assert_eq!(record.access.algorithm(), Sha512);
    assert_eq!(record.refresh.as_ref().unwrap().algorithm(), Sha512);
    assert_eq!(record.previous.as_ref().unwrap().algorithm(), Sha256);
    // Repeats and proofs work across the change.
    assert_eq!(refresh(&tokens, &first).await.unwrap().access(), second.access());
}

/// All of the 256 bits are random, and those of different kinds have nothing to do with one another.
#[tokio::test]
async fn sec_d01_every_bit_of_a_secret_is_drawn() {
    const LOGINS: usize = 4_096;
    let fixture = fixture();
    let mut ones = [[0_usize; 256]; 2];
    let mut equal = [0_usize; 256];
    for _ in 0..LOGINS {
        let issued = fixture.login().await;
        let secrets =
            [&issued.access().expose()[21..64], &refresh_text(&issued)[27..70]].map(super::dump::decoded);
        for bit in 0..256 {
            let [access, refresh] = secrets.map(|secret| usize::from(secret[bit / 8] >> (bit % 8) & 1));
            ones[0][bit] += access;
            ones[1][bit] += refresh;
            equal[bit] += usize::from(access == refresh);
        }
    }
    // Seven standard deviations of 32 around the half: a fair coin passes 768 times in all but one of 10^8 runs.
    for counts in ones.iter().chain([&equal]) {
        for (bit, count) in counts.iter().enumerate() {
            assert!(count.abs_diff(LOGINS / 2) < 7 * 32, "bit {bit}: {count}");
        }
    }
}

// ===== the pepper =====

#[tokio::test]
async fn r201_a_key_that_is_unknown_here_ends_nothing() {
    let (fixture, plain) = fixture_of(HashAlgorithm::Sha256);
    let own = key();
    let tokens = plain.clone().pepper(KeyRing::new(own.clone()));
    let first = login(&tokens).await;
    let second = refresh(&tokens, &first).await.unwrap();
    let before = fixture.record(&first.record().id()).await;
    fixture.time.advance(Duration::from_secs(60));
    for stranger in [plain.clone(), plain.clone().pepper(KeyRing::new(key()))] {
        let told = fixture.events.incidents().len();
        let text = second.access().expose();
        assert!(matches!(stranger.verify(text, None).await, Err(Refusal::Unavailable(_))));
        assert!(matches!(stranger.logout(text, Channel::Header).await, Err(Refusal::Unavailable(_))));
        for refresh_token in [&first, &second] {
            let unknown = refresh(&stranger, refresh_token).await;
            assert!(matches!(unknown, Err(Refusal::Unavailable(_))), "{unknown:?}");
        }
        let incidents = fixture.events.incidents();
        assert_eq!(incidents.len() - told, 4);
        assert!(incidents[told..].iter().all(|event| event.name() == "unknown_key"));
    }
    assert!(Arc::ptr_eq(&before, &fixture.record(&first.record().id()).await), "something was written");
    let knows = plain.pepper(KeyRing::new(key()).verify_only(own));
    knows.verify(second.access().expose(), None).await.unwrap();
    refresh(&knows, &second).await.unwrap();
}

#[tokio::test]
async fn r201_a_promoted_key_takes_over_in_use_and_nobody_notices() {
    let (fixture, plain) = fixture_of(HashAlgorithm::Sha256);
    let (old, new) = (key(), key());
    let (o, n) = (Some(old.id()), Some(new.id()));
    let before = plain.clone().pepper(KeyRing::new(old.clone()).verify_only(new.clone()));
    let promoted = plain.clone().pepper(KeyRing::new(new.clone()).verify_only(old.clone()));

    let first = login(&before).await;
    assert_eq!(keys(&fixture, &first).await, [o, o, None]);
    let second = refresh(&before, &first).await.unwrap();
    assert_eq!(keys(&fixture, &first).await, [o, o, o]);

    // A touch moves the access digest alone; the lost answer is still repeated, by both kinds of node.
    fixture.time.advance(Duration::from_secs(2));
    promoted.verify(second.access().expose(), None).await.unwrap();
    assert_eq!(keys(&fixture, &first).await, [n, o, o]);
    for node in [&before, &promoted] {
        assert_eq!(refresh(node, &first).await.unwrap().access(), second.access());
        node.verify(second.access().expose(), None).await.unwrap();
    }
    // A node that is behind moves it back at its next touch: either key is known to both.
    fixture.time.advance(Duration::from_secs(2));
    before.verify(second.access().expose(), None).await.unwrap();
    assert_eq!(keys(&fixture, &first).await, [o, o, o]);

    // A refresh moves both; the previous digest keeps the key it was made with, and is repeated all the same.
    let third = refresh(&promoted, &second).await.unwrap();
    assert_eq!(keys(&fixture, &first).await, [n, n, o]);
    for node in [&before, &promoted] {
        assert_eq!(refresh(node, &second).await.unwrap().access(), third.access());
    }
    let rekeyed = promoted.rekey(&third.record().id()).await.unwrap();
    assert_eq!(keys(&fixture, &first).await, [n, n, None]);
    promoted.verify(rekeyed.access().expose(), None).await.unwrap();
}

#[tokio::test]
async fn r201_an_ancestor_is_proven_through_a_change_of_keys() {
    for retired in [false, true] {
        let (_fixture, plain) = fixture_of(HashAlgorithm::Sha256);
        let (old, new) = (key(), key());
        let before = plain.clone().pepper(KeyRing::new(old.clone()));
        let ring = KeyRing::new(new);
        let ring = if retired { ring.retire(old.id()) } else { ring.verify_only(old.clone()) };
        let promoted = plain.clone().pepper(KeyRing::new(key()).verify_only(old));
        let first = login(&before).await;
        let second = refresh(&before, &first).await.unwrap();
        let third = refresh(&promoted, &second).await.unwrap();
        // By its tag alone, which no key of the ring has part in.
        let after = plain.pepper(ring);
        let proven = refresh(&after, &first).await;
        assert!(matches!(proven, Err(Refusal::Invalid(Reason::Reuse))), "{proven:?}");
        assert!(promoted.verify(third.access().expose(), None).await.is_err());
    }
}

#[tokio::test]
async fn r201_what_names_a_retired_key_is_invalid_and_not_punished() {
    let (fixture, plain) = fixture_of(HashAlgorithm::Sha256);
    let (old, new) = (key(), key());
    let before = plain.clone().pepper(KeyRing::new(old.clone()));
    let promoted = plain.clone().pepper(KeyRing::new(new.clone()).verify_only(old.clone()));
    let retired = plain.clone().pepper(KeyRing::new(new).retire(old.id()));
    let (left, moved) = (login(&before).await, login(&before).await);
    let current = refresh(&promoted, &moved).await.unwrap();
    let records = [fixture.record(&left.record().id()).await, fixture.record(&moved.record().id()).await];

    let refused = retired.verify(left.access().expose(), None).await;
    assert!(matches!(refused, Err(Refusal::Invalid(Reason::RetiredKey))), "{refused:?}");
    assert!(!retired.logout(left.access().expose(), Channel::Header).await.unwrap());
    // The refresh token, and a predecessor whose digest still names the key.
    for token in [&left, &moved] {
        let refused = refresh(&retired, token).await;
        assert!(matches!(refused, Err(Refusal::Invalid(Reason::RetiredKey))), "{refused:?}");
    }
    assert!(Arc::ptr_eq(&records[0], &fixture.record(&left.record().id()).await));
    assert!(Arc::ptr_eq(&records[1], &fixture.record(&moved.record().id()).await));
    assert!(fixture.events.incidents().is_empty());
    retired.verify(current.access().expose(), None).await.unwrap();
    refresh(&retired, &current).await.unwrap();
}

/// A ring that is added later takes the logins from before it over.
#[tokio::test]
async fn r201_a_pepper_can_be_added_to_living_logins() {
    let (fixture, plain) = fixture_of(HashAlgorithm::Sha256);
    let new = key();
    let peppered = plain.clone().pepper(KeyRing::new(new.clone()));
    let first = login(&plain).await;
    let second = refresh(&plain, &first).await.unwrap();
    assert_eq!(refresh(&peppered, &first).await.unwrap().access(), second.access());
    fixture.time.advance(Duration::from_secs(2));
    peppered.verify(second.access().expose(), None).await.unwrap();
    assert_eq!(keys(&fixture, &first).await, [Some(new.id()), None, None]);
    let third = refresh(&peppered, &second).await.unwrap();
    assert_eq!(keys(&fixture, &first).await, [Some(new.id()), Some(new.id()), None]);
    assert_eq!(refresh(&peppered, &second).await.unwrap().access(), third.access());
}

// ===== the text of a refresh token =====

#[tokio::test]
async fn r014_a_refresh_token_is_its_parts_and_no_mixture_of_two() {
    let fixture = fixture();
    let (mine, hers) = (fixture.login().await, fixture.login().await);
    let (id, before) = (hers.record().id(), fixture.record(&hers.record().id()).await);
    let (mine, text) = (refresh_text(&mine), refresh_text(&hers));
    assert_eq!(text.len(), 2 + 96);
    // Brand and kind, id, generation, secret, tag.
    let borders = [0, 4, 21, 27, 70, 92];
    assert_eq!((&text[..4], &text[4..21], &text[21..27]), ("pc_r", id.as_str(), "000000"));
    // Every choice of whose part stands where, but hers alone and mine alone.
    for mixture in 1..31_u32 {
        let mut forged = String::new();
        for part in 0..5 {
            let from = if mixture >> part & 1 == 1 { &mine } else { &text };
            forged.push_str(&from[borders[part]..borders[part + 1]]);
        }
        if forged == text[..92] || forged == mine[..92] {
            continue;
        }
        let refused = fixture.refresh(&text::with_check(&forged)).await.map(|_| ());
        assert!(matches!(refused, Err(Reason::WrongTag)), "{mixture:05b}: {refused:?}");
    }
    for generation in ["000001", "000002", "4gfFC3"] {
        let forged = text::with_check(&format!("{}{generation}{}", &text[..21], &text[27..92]));
        assert_eq!(fixture.refresh(&forged).await.map(|_| ()), Err(Reason::WrongTag));
    }
    let above = text::with_check(&format!("{}4gfFC4{}", &text[..21], &text[27..92]));
    assert_eq!(fixture.refresh(&above).await.map(|_| ()), Err(Reason::Malformed));
    assert!(Arc::ptr_eq(&before, &fixture.record(&id).await), "something was written");
    fixture.refresh(&text).await.unwrap();
}

/// A logout, too, needs the secret: the id is public.
#[tokio::test]
async fn r047_the_id_and_another_secret_log_nobody_out() {
    let fixture = fixture();
    let (mine, hers) = (fixture.login().await, fixture.login().await);
    let before = fixture.record(&hers.record().id()).await;
    let (mine, text) = (mine.access().expose(), hers.access().expose());
    let forged = text::with_check(&format!("{}{}", &text[..21], &mine[21..64]));
    assert!(!fixture.tokens.logout(&forged, Channel::Header).await.unwrap());
    assert!(Arc::ptr_eq(&before, &fixture.record(&hers.record().id()).await));
    assert!(fixture.tokens.logout(text, Channel::Header).await.unwrap());
}

//! What somebody gets who has a copy of the store, a leaked key ring, a captured token, or several of them.

use super::*;
use crate::{
    keyring::{Key, KeyRing},
    random,
    secret::SecretBytes,
    store::{Epoch, Insertion},
    text::{self, SecretChars},
    token::{
        pepper::{Pepper, PepperKey},
        ratchet::{self, Kind, Pair},
    },
};

/// Every byte of a record, as it lies in a store.
fn dump(record: &LoginRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(record.id.as_bytes());
    bytes.extend_from_slice(format!("{:?}", record.subject).as_bytes());
    bytes.extend_from_slice(record.context.as_json().as_bytes());
    bytes.extend_from_slice(record.data().as_json().unwrap_or_default().as_bytes());
    bytes.extend_from_slice(record.label().unwrap_or_default().as_bytes());
    for digest in
        [Some(&record.access), record.refresh.as_ref(), record.previous.as_deref()].into_iter().flatten()
    {
        bytes.extend_from_slice(format!("{:?}", digest.key()).as_bytes());
        bytes.extend_from_slice(digest.as_bytes());
    }
    bytes.extend(record.nonce.iter().flat_map(|nonce| *nonce.expose()));
    bytes.extend_from_slice(record.lineage.expose());
    // What is remembered of a record that was loaded is memory, too.
    bytes.extend_from_slice(&ratchet::binding(Kind::Access, record));
    let times = [
        record.created,
        record.rotated_at,
        record.confirmed_at,
        record.last_seen,
        record.access_expires,
        record.refresh_expires,
        record.absolute_expires,
    ];
    bytes.extend(times.into_iter().flat_map(|time| time.as_millis().to_be_bytes()));
    let numbers = [u64::from(record.generation), record.epoch.number(), u64::from(record.grace_hits)];
    bytes.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
    bytes
}

/// The number behind 43 digits.
pub(super) fn decoded(secret: &str) -> [u8; 32] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = [0_u8; 32];
    for byte in secret.bytes() {
        let mut carry = DIGITS.iter().position(|digit| *digit == byte).unwrap();
        for place in number.iter_mut().rev() {
            carry += usize::from(*place) * 62;
            *place = u8::try_from(carry & 0xFF).unwrap();
            carry >>= 8;
        }
        assert_eq!(carry, 0);
    }
    number
}

/// The forms under which a token could lie in a store.
fn forms(token: &str) -> Vec<Vec<u8>> {
    let secret = match token.as_bytes()[3] {
        b'a' => &token[21..64],
        _ => &token[27..70],
    };
    let mut forms = Vec::new();
    let tag = (token.as_bytes()[3] == b'r').then(|| &token.as_bytes()[70..92]);
    for plain in [token.as_bytes(), secret.as_bytes(), &decoded(secret)].into_iter().chain(tag) {
        forms.push(plain.to_vec());
        forms.push(data_encoding::HEXLOWER.encode(plain).into_bytes());
        forms.push(data_encoding::HEXUPPER.encode(plain).into_bytes());
        // Without the last characters, which depend on what follows.
        for base64 in [&data_encoding::BASE64, &data_encoding::BASE64URL] {
            let text = base64.encode(plain).into_bytes();
            forms.push(text[..text.len() - 4].to_vec());
        }
    }
    forms
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A login that was refreshed so often, confirmed each time but the last, with all its texts.
async fn refreshed(fixture: &Fixture, tokens: &TokenService, times: usize) -> (TokenId, Vec<Issued>) {
    let options = || IssueOptions::default().label("phone").data(&"noted");
    let mut texts = vec![tokens.issue_for_header(Subject::local("ada"), options()).await.unwrap()];
    for _ in 0..times {
        fixture.time.advance(Duration::from_secs(60));
        let last = texts.last().unwrap();
        tokens.verify(last.access().expose(), None).await.unwrap();
        let text = refresh_text(last);
        texts.push(tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap());
    }
    (texts[0].record().id(), texts)
}

/// Whether any of the two secrets is accepted, at this generation and with a tag that fits.
async fn accepted(tokens: &TokenService, record: &LoginRecord, pair: &Pair, generation: u32) -> bool {
    let brand = tokens.parts.policy.brand();
    for secret in [&pair.access, &pair.refresh] {
        let access = text::compose_access(brand, record.id, secret);
        if tokens.verify(access.expose(), None).await.is_ok() {
            return true;
        }
        let tag = |tagged: &str| ratchet::tag(&record.lineage, tagged);
        let refresh = text::compose_refresh(brand, record.id, generation, secret, tag);
        if tokens.refresh(RefreshRequest::new(refresh.expose(), Channel::Header)).await.is_ok() {
            return true;
        }
    }
    false
}

/// Tries all that the crate's own code can make of the copy: each run of 32 bytes as a secret, as a nonce's partner,
/// as the secret before the current one; with and without a key.
async fn forge(
    tokens: &TokenService,
    record: &LoginRecord,
    known: &[SecretChars],
    key: Option<&PepperKey>,
) -> bool {
    let copy = dump(record);
    let windows = copy.windows(32).map(|window| {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(window);
        text::encode_secret(&bytes)
    });
    let secrets: Vec<SecretChars> = windows.chain(known.iter().cloned()).collect();
    let digest = |bytes: &[u8]| SecretBytes::new(<[u8; 32]>::try_from(bytes).unwrap());
    let mut nonces = vec![record.lineage.clone(), digest(record.access.as_bytes())];
    nonces.extend(record.nonce.as_deref().cloned());
    nonces.extend(record.refresh.iter().map(|refresh| digest(refresh.as_bytes())));
    for secret in &secrets {
        for generation in [record.generation.saturating_sub(1), record.generation] {
            let itself = Pair { access: secret.clone(), refresh: secret.clone() };
            if accepted(tokens, record, &itself, generation).await {
                return true;
            }
        }
        for nonce in &nonces {
            for generation in [record.generation, record.generation.saturating_add(1)] {
                for key in [None, key] {
                    let pair = ratchet::next_pair(secret, record.id, generation, nonce, key);
                    if accepted(tokens, record, &pair, record.generation).await {
                        return true;
                    }
                }
            }
        }
    }
    false
}

fn refresh_secret(fixture: &Fixture, issued: &Issued) -> SecretChars {
    text::parse_refresh(&refresh_text(issued), &fixture.tokens.parts.policy.brands).unwrap().secret
}

#[tokio::test]
async fn sec_d02_no_form_of_any_token_is_in_the_store() {
    let fixture = fixture();
    let peppered = fixture.tokens.clone().pepper(KeyRing::new(Key::generate().unwrap()));
    for tokens in [&fixture.tokens, &peppered] {
        for times in [0, 1, 5] {
            let (id, texts) = refreshed(&fixture, tokens, times).await;
            let record = fixture.record(&id).await;
            let copy = dump(&record);
            for issued in &texts {
                for text in [issued.access().expose().to_owned(), refresh_text(issued)] {
                    for form in forms(&text) {
                        assert!(
                            !holds(&copy, &form),
                            "{} after {times} refreshes",
                            String::from_utf8_lossy(&form)
                        );
                    }
                }
            }
            // The search itself finds what is there.
            assert!(holds(&copy, id.as_bytes()) && holds(&copy, b"phone") && holds(&copy, b"noted"));
        }
    }
}

#[tokio::test]
async fn r201_a_copy_of_the_store_forges_nothing() {
    let fixture = fixture();
    // The attacker has logins of his own, their texts, and the rows of both in the copy.
    let (_, own) = refreshed(&fixture, &fixture.tokens, 1).await;
    let own: Vec<_> = own.iter().map(|issued| refresh_secret(&fixture, issued)).collect();
    for times in [0, 1, 5] {
        let (id, texts) = refreshed(&fixture, &fixture.tokens, times).await;
        let record = fixture.record(&id).await;
        assert!(!forge(&fixture.tokens, &record, &own, None).await, "after {times} refreshes");
        assert!(Arc::ptr_eq(&record, &fixture.record(&id).await), "nor was anything written");
        fixture.verify(texts.last().unwrap().access().expose()).await.unwrap();
    }
}

#[tokio::test]
async fn r201_a_leaked_key_ring_forges_nothing_with_the_copy_or_without_it() {
    let fixture = fixture();
    let ring = KeyRing::new(Key::generate().unwrap());
    let leaked = Pepper::new(ring.clone());
    let tokens = fixture.tokens.clone().pepper(ring);
    let (_, own) = refreshed(&fixture, &tokens, 1).await;
    let mut known: Vec<_> = own.iter().map(|issued| refresh_secret(&fixture, issued)).collect();
    // The key's own bytes, in case a secret were one of them.
    let key = leaked.current();
    known.extend([&key.digest, &key.next].map(|bytes| text::encode_secret(bytes)));
    for times in [0, 1, 5] {
        let (id, texts) = refreshed(&fixture, &tokens, times).await;
        let record = fixture.record(&id).await;
        assert!(!forge(&tokens, &record, &known, Some(key)).await, "after {times} refreshes");
        assert!(Arc::ptr_eq(&record, &fixture.record(&id).await));
        tokens.verify(texts.last().unwrap().access().expose(), None).await.unwrap();

        // Without the copy there is not even the lineage key that a refresh token needs.
        let mut blind = (*record).clone();
        blind.lineage = SecretBytes::new(random::bytes().unwrap());
        for secret in &known {
            let pair = ratchet::next_pair(secret, id, record.generation, &blind.lineage, Some(key));
            assert!(!accepted(&tokens, &blind, &pair, record.generation).await);
        }
    }
}

/// The one thing that a copy is good for: whoever reads the lineage key can have a login ended.
#[tokio::test]
async fn r201_a_copy_of_the_store_can_fake_the_verdict_reused_and_no_more() {
    let fixture = fixture();
    let (id, texts) = refreshed(&fixture, &fixture.tokens, 2).await;
    let record = fixture.record(&id).await;
    let secret = text::encode_secret(&random::bytes().unwrap());
    let tag = |tagged: &str| ratchet::tag(&record.lineage, tagged);
    let forged = text::compose_refresh(fixture.tokens.parts.policy.brand(), id, 0, &secret, tag);
    assert_eq!(fixture.refresh(forged.expose()).await.map(|_| ()), Err(Reason::Reuse));
    assert!(fixture.verify(texts[2].access().expose()).await.is_err());
}

#[tokio::test]
async fn r201_a_copy_and_an_older_token_forge_nothing() {
    let fixture = fixture();
    let (id, texts) = refreshed(&fixture, &fixture.tokens, 4).await;
    let record = fixture.record(&id).await;
    let nonce = record.nonce.as_deref().unwrap();
    for ancestor in &texts[..3] {
        let secret = refresh_secret(&fixture, ancestor);
        assert!(!forge(&fixture.tokens, &record, std::slice::from_ref(&secret), None).await);
        // Along the chain: the nonces in between are gone, the last one does not stand for them.
        let mut secret = secret;
        for generation in ancestor.record().generation() + 1..=record.generation {
            let pair = ratchet::next_pair(&secret, id, generation, nonce, None);
            assert!(!accepted(&fixture.tokens, &record, &pair, record.generation).await);
            secret = pair.refresh;
        }
    }
    assert!(Arc::ptr_eq(&record, &fixture.record(&id).await));
}

/// What the security notes concede, and until when.
#[tokio::test]
async fn r201_a_copy_and_the_predecessor_are_that_login_until_the_nonce_is_wiped() {
    let fixture = fixture();
    let (id, texts) = refreshed(&fixture, &fixture.tokens, 3).await;
    let predecessor = refresh_secret(&fixture, &texts[2]);
    let copy = fixture.record(&id).await;
    let nonce = copy.nonce.as_deref().unwrap();
    let pair = ratchet::next_pair(&predecessor, id, copy.generation, nonce, None);
    let forged = text::compose_access(fixture.tokens.parts.policy.brand(), id, &pair.access);
    assert_eq!(&forged, texts[3].access());

    // In use, and past the window: the next touch or purge takes the nonce, and a copy from then on is worth nothing.
    fixture.verify(texts[3].access().expose()).await.unwrap();
    fixture.time.advance(Duration::from_secs(20));
    fixture.tokens.purge(1).await.unwrap();
    let later = fixture.record(&id).await;
    assert!(later.nonce.is_none() && later.previous.is_some());
    assert!(!forge(&fixture.tokens, &later, &[predecessor], None).await);

    let (id, texts) = refreshed(&fixture, &fixture.tokens, 3).await;
    fixture.verify(texts[3].access().expose()).await.unwrap();
    fixture.time.advance(Duration::from_secs(2 * 3600));
    fixture.verify(texts[3].access().expose()).await.unwrap();
    assert!(fixture.record(&id).await.nonce.is_none(), "a touch wipes it as well");
}

/// Not before the window is over, which the first use opens once more, and as soon as it is.
#[tokio::test]
async fn r201_the_nonce_stays_as_long_as_the_first_use_lets_it_be_repeated() {
    const MILLI: Duration = Duration::from_millis(1);
    let every_use = TokenPolicy::builder().sliding_with_refresh().touch_every(Some(Duration::ZERO));
    let every_use = every_use.build().unwrap();
    for by_purge in [true, false] {
        let mut fixture = fixture();
        fixture.tokens =
            TokenService::new(fixture.store.clone(), every_use.clone()).clock(fixture.time.clock());
        let (id, texts) = refreshed(&fixture, &fixture.tokens, 1).await;
        let wipe = async || {
            if by_purge {
                fixture.tokens.purge(1).await.unwrap();
            } else {
                fixture.verify(texts[1].access().expose()).await.unwrap();
            }
            fixture.record(&id).await.nonce.is_none()
        };
        // Unused, it is never wiped.
        fixture.time.advance(Duration::from_secs(3600));
        fixture.tokens.purge(1).await.unwrap();
        assert!(fixture.record(&id).await.nonce.is_some());

        fixture.verify(texts[1].access().expose()).await.unwrap();
        assert_eq!(fixture.record(&id).await.confirmed_at, fixture.time.now());
        assert!(!wipe().await, "the first use itself");
        fixture.time.advance(Duration::from_secs(10) - MILLI);
        assert!(!wipe().await);
        fixture.refresh(&refresh_text(&texts[0])).await.unwrap();
        fixture.time.advance(Duration::from_secs(5) + MILLI);
        assert!(!wipe().await, "a clock may differ");
        fixture.time.advance(MILLI);
        assert!(wipe().await, "by a purge: {by_purge}");
        assert!(fixture.record(&id).await.previous.is_some());
    }
}

#[tokio::test]
async fn r201_with_a_pepper_the_copy_and_the_predecessor_forge_nothing() {
    let fixture = fixture();
    let tokens = fixture.tokens.clone().pepper(KeyRing::new(Key::generate().unwrap()));
    let (id, texts) = refreshed(&fixture, &tokens, 3).await;
    let known: Vec<_> = texts[..3].iter().map(|issued| refresh_secret(&fixture, issued)).collect();
    let record = fixture.record(&id).await;
    assert!(record.nonce.is_some());
    let guess = Pepper::new(KeyRing::new(Key::generate().unwrap()));
    // The predecessor itself is answered while the new pair is unused; what is tried is what can be made of it.
    tokens.verify(texts[3].access().expose(), None).await.unwrap();
    fixture.time.advance(Duration::from_secs(11));
    let record = fixture.record(&record.id).await;
    assert!(!forge(&tokens, &record, &known, None).await);
    assert!(!forge(&tokens, &record, &known, Some(guess.current())).await);
}

/// A copy from before is restored: nothing comes twice, and whoever is ahead of it is refused and not punished.
#[tokio::test]
async fn r201_a_restored_copy_gives_new_texts_and_ends_nothing() {
    let fixture = fixture();
    let (id, texts) = refreshed(&fixture, &fixture.tokens, 2).await;
    let copy = (*fixture.record(&id).await).clone();
    fixture.verify(texts[2].access().expose()).await.unwrap();
    let third = fixture.refresh(&refresh_text(&texts[2])).await.unwrap();
    let fourth = fixture.refresh(&refresh_text(&third)).await.unwrap();

    let store = MemoryStore::new();
    let first = Epoch::from_number(copy.epoch.number());
    store.insert(copy, Insertion::new(first, fixture.time.now())).await.unwrap();
    let restored = TokenService::new(store.clone(), TokenPolicy::default())
        .clock(fixture.time.clock())
        .reporter(fixture.events.reporter.clone());
    let refresh = async |text: &str| restored.refresh(RefreshRequest::new(text, Channel::Header)).await;
    let before = store.find(&id).wait().await.unwrap().unwrap().record;
    for ahead in [&third, &fourth] {
        let refused = refresh(&refresh_text(ahead)).await;
        assert!(matches!(refused, Err(Refusal::Invalid(Reason::AheadOfStore))), "{refused:?}");
    }
    assert!(Arc::ptr_eq(&before, &store.find(&id).wait().await.unwrap().unwrap().record));
    let regressed = fixture.events.incidents();
    assert_eq!(regressed.iter().filter(|event| event.name() == "store_regressed").count(), 2);

    let again = refresh(&refresh_text(&texts[2])).await.unwrap();
    let earlier = [&texts[0], &texts[1], &texts[2], &third, &fourth];
    for old in earlier {
        assert_ne!(again.access(), old.access());
        assert_ne!(again.refresh(), old.refresh());
    }
    restored.verify(again.access().expose(), None).await.unwrap();
}

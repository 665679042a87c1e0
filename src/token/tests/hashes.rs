//! How many digests a request costs.

use super::*;
use crate::{
    credential::Credential,
    keyring::{Key, KeyRing},
    store::HashAlgorithm,
    text::with_check,
    token::ratchet::computed,
    verify::{Attempt, Verify},
};

/// The digests, and the hashes of what binds, that were computed while this ran.
async fn cost<T>(work: impl AsyncFnOnce() -> T) -> ([usize; 2], T) {
    let before = computed::so_far();
    let done = work().await;
    let after = computed::so_far();
    ([after.digests - before.digests, after.bindings - before.bindings], done)
}

/// One for each request that is verified, whichever hash, with a pepper and without, in the service and as a layer
/// calls it.
#[tokio::test]
async fn r027_a_verified_request_costs_one_digest() {
    for algorithm in HashAlgorithm::ALL {
        for pepper in [None, Some(KeyRing::new(Key::generate().unwrap()))] {
            let fixture = fixture();
            let policy = TokenPolicy::builder().hash(algorithm).build().unwrap();
            let tokens = TokenService::new(fixture.store.clone(), policy).clock(fixture.time.clock());
            let tokens = pepper.into_iter().fold(tokens, TokenService::pepper);
            let issued =
                tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
            for _ in 0..3 {
                let (digests, verified) =
                    cost(async || tokens.verify(issued.access().expose(), None).await).await;
                verified.unwrap();
                assert_eq!(digests, [1, 0], "{algorithm:?}");
                let attempt =
                    Attempt::new(Credential::header(issued.access().expose(), "Bearer"), fixture.time.now());
                let (digests, verified) = cost(async || Verify::verify(&tokens, &attempt).wait().await).await;
                verified.unwrap();
                assert_eq!(digests, [1, 0], "{algorithm:?}");
            }
        }
    }
}

/// The first use of a pair, which is noted, and one that is touched.
#[tokio::test]
async fn r027_a_use_that_is_noted_costs_no_further_digest() {
    let fixture = fixture();
    let first = fixture.login().await;
    fixture.time.advance(Duration::from_secs(60));
    let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
    assert!(!fixture.record(&first.record().id()).await.is_confirmed());
    let (digests, verified) = cost(async || fixture.verify(second.access().expose()).await).await;
    verified.unwrap();
    assert!(fixture.record(&first.record().id()).await.is_confirmed());
    // What binds is hashed once for each state of the record, and not again while that state is read.
    assert_eq!(digests, [1, 1]);
    assert_eq!(cost(async || fixture.verify(second.access().expose()).await).await, ([1, 1], Ok(())));
    assert_eq!(cost(async || fixture.verify(second.access().expose()).await).await, ([1, 0], Ok(())));
    fixture.time.advance(Duration::from_secs(2 * 3600));
    let (digests, verified) = cost(async || fixture.verify(second.access().expose()).await).await;
    verified.unwrap();
    assert_eq!(fixture.record(&first.record().id()).await.last_seen, fixture.time.now(), "touched");
    assert_eq!(digests, [1, 0]);
}

/// What cannot be a token costs nothing; one of an unknown login costs what a wrong secret costs.
#[tokio::test]
async fn r027_junk_costs_no_digest() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let text = issued.access().expose();
    let long = "a".repeat(5_000);
    let upper = text.to_uppercase();
    let wrong_check = format!("{}000000", &text[..text.len() - 6]);
    for junk in ["", "junk", "pc_a", &text[1..], &text[..text.len() - 1], &long, &upper, &wrong_check] {
        let (digests, verified) = cost(async || fixture.verify(junk).await).await;
        assert_eq!((digests, verified), ([0, 0], Err(Reason::Malformed)), "{junk:?}");
        let (digests, refreshed) = cost(async || fixture.refresh(junk).await).await;
        assert_eq!((digests, refreshed.map(|_| ())), ([0, 0], Err(Reason::Malformed)), "{junk:?}");
    }
    let other = fixture.login().await;
    let swapped = |from: usize, to: usize| {
        with_check(&format!(
            "{}{}{}",
            &text[..from],
            &other.access().expose()[from..to],
            &text[to..text.len() - 6]
        ))
    };
    let (digests, verified) = cost(async || fixture.verify(&swapped(21, 64)).await).await;
    assert_eq!((digests, verified), ([1, 0], Err(Reason::WrongSecret)));
    let unknown = with_check(&format!("pc_a{}{}", "0".repeat(17), &text[21..64]));
    let (digests, verified) = cost(async || fixture.verify(&unknown).await).await;
    assert_eq!((digests[0], verified), (1, Err(Reason::UnknownRecord)));
}

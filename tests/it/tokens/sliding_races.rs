//! Renewals of a login that ends at the same moment.

use std::{sync::Arc, time::Duration};

use portcullis::{problem::Reason, token::TouchMode};
use tokio::{sync::Barrier, task::yield_now};

use super::sliding::{MINUTE, open, policy};
use crate::support::{Mode, fixture_with};

#[tokio::test]
async fn r046_a_renewal_that_is_under_way_does_not_bring_a_revoked_login_back() {
    for mode in [TouchMode::Background, TouchMode::Inline] {
        let fixture = Arc::new(fixture_with(policy().touch_mode(mode).build().unwrap()));
        fixture.store.set(Mode::Later);
        let login = fixture.login("ada").await;
        let gate = fixture.store.hold_touches();
        fixture.time.advance(10 * MINUTE);
        let request = tokio::spawn({
            let (fixture, login) = (Arc::clone(&fixture), login.clone());
            async move { open(&fixture, &login).await }
        });
        for _ in 0..20 {
            yield_now().await;
        }
        assert_eq!(request.is_finished(), mode == TouchMode::Background);
        fixture.tokens.revoke(&login.record().id()).await.unwrap();
        let revoked = fixture.store.record(&login.record().id()).await;
        gate.add_permits(1);
        let verified = request.await.unwrap().expect("it was valid when it came");
        // Whoever waited for the write knows that there was none.
        assert_eq!(verified.renewal().is_some(), mode == TouchMode::Background);
        fixture.tokens.flush().await;
        assert!(Arc::ptr_eq(&revoked, &fixture.store.record(&login.record().id()).await));
        assert_eq!(open(&fixture, &login).await.map(|_| ()), Err(Reason::Revoked));
        assert_eq!((fixture.store.touches(), fixture.events.count("session_renewed")), (0, 0));
        if let Some(renewal) = verified.renewal() {
            assert!(!renewal.is_current().wait().await, "no cookie may bring it back either");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r046_renewals_and_a_revocation_at_once_end_revoked() {
    for round in 0..300 {
        let fixture = Arc::new(fixture_with(policy().touch_every(Some(Duration::ZERO)).build().unwrap()));
        if round % 2 == 1 {
            fixture.store.set(Mode::Later);
        }
        let login = Arc::new(fixture.login("ada").await);
        let start = Arc::new(Barrier::new(5));
        let requests: Vec<_> = (0..4)
            .map(|_| {
                let (fixture, login, start) = (Arc::clone(&fixture), Arc::clone(&login), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    let mut last = Ok(());
                    for _ in 0..10 {
                        last = open(&fixture, &login).await.map(|_| ());
                    }
                    last
                })
            })
            .collect();
        start.wait().await;
        fixture.tokens.revoke(&login.record().id()).await.unwrap();
        for request in requests {
            // `open` panics at "could not check", which would be a 503.
            assert!(matches!(request.await.unwrap(), Ok(()) | Err(Reason::Revoked)));
        }
        fixture.tokens.flush().await;
        assert_eq!(open(&fixture, &login).await.map(|_| ()), Err(Reason::Revoked));
        assert!(fixture.store.record(&login.record().id()).await.revoked().is_some());
    }
}

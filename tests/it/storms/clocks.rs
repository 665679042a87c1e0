//! A clock that is set back by an hour.

use std::time::Duration;

use portcullis::{
    TokenPolicy,
    clock::{ManualClock, Timestamp},
    token::Issued,
};

use super::{
    on_each_engine,
    sites::{Site, lives, login, now, refresh},
};

const HOUR: Duration = Duration::from_secs(3600);

/// Nobody is logged out, what was over by a step of its own stays over, and no end moves.
async fn r202_a_clock_that_steps_back_an_hour_ends_nothing_and_revives_nothing(site: &Site) {
    let start = now();
    let time = ManualClock::new(start);
    let [one, two] = site.nodes(TokenPolicy::builder(), &time.clock());
    let first = login(&one, "ada").await;
    let gone = login(&one, "ada").await;
    time.advance(2 * HOUR);
    let text = |issued: &Issued| issued.refresh().unwrap().expose().to_owned();
    let second = refresh(&one, &text(&first)).await.unwrap();
    assert!(lives(&two, &second).await);
    one.revoke(&gone.record().id()).await.unwrap();
    time.set(Timestamp::from_millis(time.now().as_millis() - 3_600_000));
    for node in [&one, &two] {
        assert!(lives(node, &second).await, "who was in is in");
        assert!(!lives(node, &first).await, "it was rotated");
        assert!(!lives(node, &gone).await, "it was revoked");
        assert!(refresh(node, &text(&gone)).await.is_err());
    }
    let third = refresh(&two, &text(&second)).await.unwrap();
    assert!(lives(&one, &third).await);
    assert!(!lives(&one, &second).await);
    let record = site.record(&third.record().id()).await;
    assert_eq!(record.absolute_expires(), first.record().absolute_expires());
    assert_eq!(record.last_seen(), start.plus(2 * HOUR), "no use was before it");
    // What is a day away ends a day after the clock that is there now.
    time.advance(25 * HOUR);
    assert!(!lives(&one, &third).await);
    assert!(lives(&two, &refresh(&one, &text(&third)).await.unwrap()).await);
}

on_each_engine! {
    r202_a_clock_that_steps_back_an_hour_ends_nothing_and_revives_nothing
}

//! Copies in front of a store that is down.

use std::time::Duration;

use portcullis::{
    TokenPolicy, TokenService,
    clock::{Clock, ManualClock},
};

use super::{
    on_each_server,
    places::{App, Place, check_down, check_is},
};

const AGE: Duration = Duration::from_secs(60);

/// Whom a copy lets in, it lets in up to its age; nobody else gets one meanwhile.
async fn r203_sec_i07_copies_let_in_up_to_their_age_while_the_store_is_down(mut place: Place) {
    // From the true time on: servers forget what has ended by their own clocks.
    let time = ManualClock::new(Clock::system().now());
    let cached = place.copies().age(AGE).clock(time.clock()).build().unwrap();
    let tokens = TokenService::new(cached.clone(), TokenPolicy::default());
    let app = App::new(tokens.clock(time.clock()));
    let elsewhere = place.app();
    let known = elsewhere.login("ada").await;
    let (unknown, ended) = (elsewhere.login("bob").await, elsewhere.login("carol").await);
    check_is(&app.me(&known).await, "ada");
    check_is(&app.me(&ended).await, "carol");
    assert_eq!(app.log_out(&ended).await.status, 204);
    place.kill();
    let check_kept_out = async || {
        for login in [&unknown, &ended] {
            check_down(&app.me(login).await);
            check_down(&app.ask("/open", Some(login)).await);
        }
    };
    let copies = cached.copies();
    for _ in 0..3 {
        check_is(&app.me(&known).await, "ada");
        check_is(&app.ask("/open", Some(&known)).await, "ada");
        check_kept_out().await;
        app.check_without_store().await;
    }
    assert!(cached.copies() <= copies);
    time.advance(AGE - Duration::from_millis(1));
    check_is(&app.me(&known).await, "ada");
    check_kept_out().await;
    time.advance(Duration::from_millis(1));
    check_down(&app.me(&known).await);
    check_kept_out().await;
    // Somebody else has ended it before anyone here may look again.
    place.start_again();
    elsewhere.check_works_again(&known, "ada").await;
    elsewhere.tokens.revoke(&known.record().id()).await.unwrap();
    app.check_works_again(&unknown, "bob").await;
    assert_eq!(app.me(&known).await.status, 401);
    assert_eq!(app.me(&ended).await.status, 401);
}

on_each_server! {
    r203_sec_i07_copies_let_in_up_to_their_age_while_the_store_is_down
}

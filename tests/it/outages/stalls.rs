//! A store, or the way to it, that stands still.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::join_all;
use portcullis::token::Issued;

use super::{
    on_each_server,
    places::{AGAIN, App, Engine, Place, check_down, check_is, timed},
};
use crate::servers::Proxy;

/// How long nothing is answered: longer than every limit of a store as it is by default, so that connections are
/// given up and made anew meanwhile.
const SPAN: Duration = Duration::from_secs(5);

/// To make a connection, and to wait for the answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Twenty users who are in.
async fn users(app: &App) -> Arc<[(Issued, String)]> {
    let users = join_all((0..20).map(|number| async move {
        let user = format!("user{number}");
        (app.login(&user).await, user)
    }))
    .await;
    join_all(users.iter().map(|(login, user)| async move { check_is(&app.me(login).await, user) })).await;
    users.into()
}

/// Each of them asks again as soon as it is answered, for the whole span. The most connections that were seen.
async fn ask_for_the_span(app: &App, users: &Arc<[(Issued, String)]>, proxy: &Proxy) -> usize {
    let clients = (0..users.len()).map(|number| {
        let (app, users) = (app.clone(), Arc::clone(users));
        tokio::spawn(async move {
            let (mut passed, mut times) = (Duration::ZERO, 0);
            while passed < SPAN {
                let (answer, took) = timed(app.me(&users[number].0)).await;
                check_down(&answer);
                assert!(took < LIMIT, "{took:?}");
                passed += took;
                times += 1;
                // Those who are refused at once come back like clients, not like a loop.
                tokio::time::sleep(Duration::from_millis(20)).await;
                passed += Duration::from_millis(20);
            }
            times
        })
    });
    let mut asking = pin!(join_all(clients.collect::<Vec<_>>()));
    let mut most = 0;
    let asked = loop {
        most = most.max(proxy.open());
        app.check_without_store().await;
        // Only how often is looked.
        if let Ok(asked) = tokio::time::timeout(Duration::from_millis(20), &mut asking).await {
            break asked;
        }
    };
    for times in asked {
        assert!(times.unwrap() > 1);
    }
    most
}

/// As many as there may be at a time, for each time that an attempt may have been given up.
fn check_few(most: usize, place: &Place) {
    let few = match place.engine() {
        Engine::Redis => 10,
        Engine::Postgres => 32,
    };
    assert!(most <= few, "{most} connections");
}

async fn sec_i07_a_way_to_the_store_that_stands_still_is_503_in_time_and_nothing_piles_up(place: Place) {
    let proxy = place.proxy().await;
    let app = place.app_behind(&proxy);
    let users = users(&app).await;
    let refreshed = app.login("ada").await;
    proxy.stall();
    let (most, refresh) = tokio::join!(ask_for_the_span(&app, &users, &proxy), app.refresh(&refreshed));
    check_few(most, &place);
    check_down(&refresh);
    proxy.go_on();
    let again = join_all(users.iter().map(|(login, user)| app.check_works_again(login, user)));
    tokio::time::timeout(AGAIN, again).await.unwrap();
    // What was held has arrived by now, or arrives later: the token may be presented again all the same.
    app.check_refreshed(&app.refresh(&refreshed).await, &refreshed, "ada").await;
}

async fn sec_i07_a_store_that_stands_still_is_503_in_time_and_nothing_piles_up(place: Place) {
    let proxy = place.proxy().await;
    let app = place.app_behind(&proxy);
    let users = users(&app).await;
    place.stall();
    let most = ask_for_the_span(&app, &users, &proxy).await;
    check_few(most, &place);
    place.go_on();
    let again = join_all(users.iter().map(|(login, user)| app.check_works_again(login, user)));
    tokio::time::timeout(AGAIN, again).await.unwrap();
}

/// Who has begun to connect is gone when that fails, and what comes next is another attempt.
async fn sec_i07_who_comes_after_an_outage_is_not_told_of_an_attempt_that_was_made_in_it(place: Place) {
    let proxy = place.proxy().await;
    let login = place.app().login("ada").await;
    let app = place.app_behind(&proxy);
    proxy.stall();
    let given_up = tokio::time::timeout(Duration::from_millis(100), app.me(&login)).await;
    assert!(given_up.is_err());
    // Nothing shows when the attempt has ended: nothing passes the proxy, the end of a connection neither.
    tokio::time::sleep(SPAN).await;
    proxy.go_on();
    check_is(&app.me(&login).await, "ada");
}

on_each_server! {
    sec_i07_who_comes_after_an_outage_is_not_told_of_an_attempt_that_was_made_in_it
    sec_i07_a_way_to_the_store_that_stands_still_is_503_in_time_and_nothing_piles_up
    sec_i07_a_store_that_stands_still_is_503_in_time_and_nothing_piles_up
}

//! Connections that break in the middle of a reply.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis::token::Issued;

use super::{
    on_each_server,
    places::{App, Place, check_down, is_or_is_down},
};
use crate::servers::Proxy;

const LENGTHS: [usize; 8] = [0, 1, 3, 10, 30, 100, 300, 1000];

/// Two users ask at once and again until a reply was cut, and whether anyone met that.
async fn ask_until_cut(app: &App, proxy: &Proxy, users: &[(Issued, &str); 2]) {
    let rounds = async {
        // A first round in which the cut falls, and a second one on what is left.
        for last in [false, true] {
            loop {
                let asked = users.iter().cycle().take(10);
                join_all(asked.map(|(login, user)| async move {
                    is_or_is_down(&app.me(login).await, user);
                    // Not anonymous either.
                    is_or_is_down(&app.ask("/open", Some(login)).await, user);
                }))
                .await;
                if last || !proxy.waits_to_cut() {
                    break;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), rounds).await.expect("a reply is cut");
}

async fn sec_i07_a_reply_that_is_cut_is_503_or_right_and_nobody_becomes_somebody_else(place: Place) {
    let proxy = place.proxy().await;
    let app = place.app_behind(&proxy);
    let users = [(app.login("ada").await, "ada"), (app.login("bob").await, "bob")];
    for length in LENGTHS {
        // In the middle of its work, and in the greeting of a new connection.
        for fresh in [false, true] {
            if fresh {
                proxy.close_all();
            }
            proxy.cut_next_reply_after(length);
            ask_until_cut(&app, &proxy, &users).await;
            for (login, user) in &users {
                app.check_works_again(login, user).await;
            }
        }
    }
}

/// Whether it was done is not known; it may be asked for again.
async fn sec_i07_a_change_whose_answer_is_cut_is_never_called_done_unless_it_is(place: Place) {
    let proxy = place.proxy().await;
    let (app, direct) = (place.app_behind(&proxy), place.app());
    let check_out = async |login: &Issued| assert_eq!(direct.me(login).await.status, 401);
    for length in LENGTHS {
        let (refreshed, ended) = (direct.login("ada").await, direct.login("bob").await);
        let revoked = direct.login("carol").await;
        app.check_works_again(&refreshed, "ada").await;
        proxy.cut_next_reply_after(length);
        let mut answer = app.refresh(&refreshed).await;
        if answer.status != 200 {
            check_down(&answer);
            answer = app.refresh(&refreshed).await;
        }
        direct.check_refreshed(&answer, &refreshed, "ada").await;
        proxy.cut_next_reply_after(length);
        let is_out = async || {
            let answer = app.log_out(&ended).await;
            answer.status == 204 || {
                check_down(&answer);
                false
            }
        };
        again("a logout", is_out).await;
        check_out(&ended).await;
        // Without the look-up that goes before: this reply is the one that is cut.
        let id = revoked.record().id();
        proxy.cut_next_reply_after(length);
        let done = app.tokens.revoke(&id).await;
        assert!(done.is_err() || length > 0, "nobody has said so");
        if done.is_err() {
            again("a revocation", async || app.tokens.revoke(&id).await.is_ok()).await;
        }
        check_out(&revoked).await;
    }
}

/// One reply was cut, and what is left of an earlier one may break another.
async fn again(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..3 {
        if done().await {
            return;
        }
    }
    panic!("no {what}");
}

on_each_server! {
    sec_i07_a_reply_that_is_cut_is_503_or_right_and_nobody_becomes_somebody_else
    sec_i07_a_change_whose_answer_is_cut_is_never_called_done_unless_it_is
}

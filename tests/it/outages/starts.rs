//! A store that is not there when the service starts, or is killed later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::token::Issued;
use tokio::task::JoinSet;

use super::{
    on_each_server,
    places::{App, Place, check_down, check_is, is_or_is_down},
};

/// The service was started before its store.
async fn sec_i07_a_service_that_starts_without_its_store_is_503_and_works_once_that_is_there(
    mut place: Place,
) {
    let before = place.app();
    let (known, ended) = (before.login("ada").await, before.login("bob").await);
    before.tokens.revoke(&ended.record().id()).await.unwrap();
    drop(before);
    place.kill();
    let app = place.app();
    for _ in 0..3 {
        for login in [&known, &ended] {
            check_down(&app.me(login).await);
            // Not anonymous either.
            check_down(&app.ask("/open", Some(login)).await);
        }
        app.check_without_store().await;
    }
    place.start_again();
    app.check_works_again(&known, "ada").await;
    check_is(&app.ask("/open", Some(&known)).await, "ada");
    assert_eq!(app.me(&ended).await.status, 401, "nothing was remembered of it");
    let new = app.login("carol").await;
    check_is(&app.me(&new).await, "carol");
}

/// Clients that ask all the time, each for its own user.
struct Crowd {
    clients: JoinSet<()>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    right: AtomicUsize,
    down: AtomicUsize,
}

impl Crowd {
    fn of(app: &App, logins: &[(Issued, &'static str)]) -> Self {
        let counts = Arc::<Counts>::default();
        let clients = logins.iter().cycle().take(8).cloned().map(|(login, user)| {
            let (app, counts) = (app.clone(), Arc::clone(&counts));
            async move {
                loop {
                    let right = is_or_is_down(&app.me(&login).await, user);
                    let counter = if right { &counts.right } else { &counts.down };
                    counter.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
            }
        });
        Self { clients: clients.collect(), counts }
    }

    /// Waits until so many more were answered so.
    async fn heard(&self, which: impl Fn(&Counts) -> &AtomicUsize, more: usize) {
        let read = || which(&self.counts).load(Ordering::SeqCst);
        let enough = read() + more;
        let heard = async {
            while read() < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), heard).await.expect("the crowd is answered");
    }

    /// None of them was ever answered anything else.
    async fn end(mut self) {
        self.clients.abort_all();
        while let Some(end) = self.clients.join_next().await {
            assert!(end.unwrap_err().is_cancelled());
        }
    }
}

async fn sec_i07_a_store_that_is_killed_is_503_until_it_is_back_with_what_it_had(mut place: Place) {
    let app = place.app();
    let logins = [(app.login("ada").await, "ada"), (app.login("bob").await, "bob")];
    let (refreshed, staying, ended) =
        (app.login("carol").await, app.login("dave").await, app.login("eve").await);
    assert_eq!(app.log_out(&ended).await.status, 204);
    for (login, user) in &logins {
        check_is(&app.me(login).await, user);
    }
    let crowd = Crowd::of(&app, &logins);
    crowd.heard(|counts| &counts.right, 20).await;
    place.kill();
    crowd.heard(|counts| &counts.down, 20).await;
    for _ in 0..3 {
        for login in [&logins[0].0, &logins[1].0, &ended] {
            check_down(&app.me(login).await);
            check_down(&app.ask("/open", Some(login)).await);
        }
        check_down(&app.refresh(&refreshed).await);
        // Nobody is told that they are out who are not.
        check_down(&app.log_out(&staying).await);
        assert!(app.tokens.revoke(&staying.record().id()).await.is_err());
        assert!(app.tokens.revoke_subject(staying.record().subject()).await.is_err());
        app.check_without_store().await;
    }
    place.start_again();
    for (login, user) in &logins {
        app.check_works_again(login, user).await;
    }
    crowd.heard(|counts| &counts.right, 20).await;
    crowd.end().await;
    assert_eq!(app.me(&ended).await.status, 401);
    check_is(&app.me(&staying).await, "dave");
    assert_eq!(app.log_out(&staying).await.status, 204);
    assert_eq!(app.me(&staying).await.status, 401);
    app.check_refreshed(&app.refresh(&refreshed).await, &refreshed, "carol").await;
}

on_each_server! {
    sec_i07_a_service_that_starts_without_its_store_is_503_and_works_once_that_is_there
    sec_i07_a_store_that_is_killed_is_503_until_it_is_back_with_what_it_had
}

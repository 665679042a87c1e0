//! A server that does not keep everything, and is started again with what it had some time ago.

use std::sync::{Arc, Mutex};

use portcullis::{
    TokenPolicy, TokenService,
    event::{Event, Observer, Reporter},
    problem::Reason,
    store::TokenStore,
    token::Issued,
};

use super::sites::{Address, Store, lives, login, now, refresh, service, unique_name, verify};
use crate::{
    servers::{Keeps, Program, RedisServer},
    support::refresh_text,
};

#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<&'static str>>>);

impl Observer for Names {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.name());
    }
}

/// A login and the pairs that it was given.
struct Given(Vec<Issued>);

impl Given {
    fn newest(&self) -> &Issued {
        self.0.last().expect("a pair")
    }

    async fn refresh(&mut self, node: &TokenService) {
        let next = refresh(node, &refresh_text(self.newest())).await.unwrap();
        self.0.push(next);
    }
}

async fn generation(store: &Store, given: &Given) -> u32 {
    let found = store.find(&given.0[0].record().id()).wait().await.unwrap().expect("it was saved");
    assert_eq!(found.record.revoked(), None, "nobody is punished for what the server has lost");
    found.record.generation()
}

/// Branch i: what is ahead of its record is refused, is told, and ends nothing.
async fn a_token_that_is_ahead_of_its_record_ends_nothing(program: Program) {
    let mut server = RedisServer::start_as(program, Keeps::Nothing);
    let address = Address::Redis(server.url(), unique_name());
    let (store, names) = (address.open(), Names::default());
    let reporter = Reporter::default().observer(names.clone());
    let node = service(&store).reporter(reporter.clone());
    let told = || {
        reporter.flush();
        std::mem::take(&mut *names.0.lock().unwrap())
    };
    let mut all = Vec::new();
    for _ in 0..6 {
        let mut given = Given(vec![login(&node, "ada").await]);
        given.refresh(&node).await;
        all.push(given);
    }
    let ended = login(&node, "ada").await;
    assert!(server.command("SAVE").starts_with("+OK"));
    // By one, two or three generations, which are lost, as are a login and a logout.
    for (number, given) in all.iter_mut().enumerate() {
        for _ in 0..=number % 3 {
            given.refresh(&node).await;
        }
    }
    let new = login(&node, "ada").await;
    node.revoke(&ended.record().id()).await.unwrap();
    assert!(lives(&node, &new).await && !lives(&node, &ended).await);
    told();
    server.kill();
    server.start_from_dump();

    for given in &all {
        assert_eq!(generation(&store, given).await, 1);
        assert_eq!(verify(&node, given.newest().access().expose()).await, Err(Reason::WrongSecret));
        for _ in 0..2 {
            for ahead in &given.0[2..] {
                let refused = refresh(&node, &refresh_text(ahead)).await.map(|_| ());
                assert_eq!(refused, Err(Reason::AheadOfStore));
            }
        }
        assert_eq!(generation(&store, given).await, 1);
    }
    let names = told();
    let regressed = names.iter().filter(|name| **name == "store_regressed").count();
    assert_eq!(regressed, 2 * all.iter().map(|given| given.0.len() - 2).sum::<usize>());
    assert!(names.iter().all(|name| !name.contains("reuse") && !name.contains("revoked")), "{names:?}");

    // Who has what the server has goes on, with texts that nobody was given before.
    for given in &all {
        let kept = &given.0[1];
        assert!(lives(&node, kept).await);
        let next = refresh(&node, &refresh_text(kept)).await.unwrap();
        assert!(given.0.iter().all(|old| old.access() != next.access() && old.refresh() != next.refresh()));
        assert!(lives(&node, &next).await);
        // The lost pair of the same generation is a stranger's, and proves nothing.
        assert!(refresh(&node, &refresh_text(&given.0[2])).await.is_err());
        assert!(lives(&node, &next).await);
        assert_eq!(generation(&store, given).await, 2);
    }
    assert_eq!(verify(&node, new.access().expose()).await, Err(Reason::UnknownRecord));
    assert_eq!(refresh(&node, &refresh_text(&new)).await.map(|_| ()), Err(Reason::UnknownRecord));

    // A logout is lost with the rest: who cannot have that sets a floor, and all log in again.
    assert!(lives(&node, &ended).await);
    let floor = TokenPolicy::builder().issued_not_before(now()).build().unwrap();
    let strict = TokenService::new(store.clone(), floor);
    assert!(!lives(&strict, &ended).await && !lives(&strict, all[0].newest()).await);
    assert!(lives(&strict, &login(&strict, "ada").await).await);
}

#[tokio::test]
async fn r202_a_token_that_is_ahead_of_its_record_ends_nothing_on_redis() {
    a_token_that_is_ahead_of_its_record_ends_nothing(Program::Redis).await;
}

#[tokio::test]
async fn r202_a_token_that_is_ahead_of_its_record_ends_nothing_on_valkey() {
    a_token_that_is_ahead_of_its_record_ends_nothing(Program::Valkey).await;
}

//! What only the inside can show: forged texts, forged tags, edited records.

mod binding;
mod branches;
mod dump;
mod forged;
mod golden;
mod hashes;
mod keys;
mod text;
mod users;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{IssueOptions, Issued, RefreshRequest, TokenPolicy, TokenService};
use crate::{
    clock::{ManualClock, Timestamp},
    credential::Channel,
    event::{Event, Observer, Reporter},
    identity::Subject,
    problem::Reason,
    store::{LoginRecord, MemoryStore, TokenStore},
    text::TokenId,
    verify::Refusal,
};

/// What was reported so far.
struct Events {
    log: Log,
    reporter: Reporter,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Event>>>);

impl Events {
    fn new() -> Self {
        let log = Log::default();
        Self { reporter: Reporter::default().observer(log.clone()), log }
    }

    fn all(&self) -> Vec<Event> {
        self.reporter.flush();
        self.log.0.lock().unwrap().clone()
    }

    /// What is not the trace of honest work: logins, refreshes and logouts leave one event each.
    fn incidents(&self) -> Vec<Event> {
        const HONEST: [&str; 4] =
            ["authn_token_created", "token_refreshed", "session_renewed", "authn_token_revoked"];
        self.all().into_iter().filter(|event| !HONEST.contains(&event.name())).collect()
    }
}

impl Observer for Log {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

struct Fixture {
    time: ManualClock,
    store: MemoryStore,
    events: Events,
    tokens: TokenService,
}

fn fixture() -> Fixture {
    let time = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    let (store, events) = (MemoryStore::new(), Events::new());
    let tokens = TokenService::new(store.clone(), TokenPolicy::default())
        .clock(time.clock())
        .reporter(events.reporter.clone());
    Fixture { time, store, events, tokens }
}

impl Fixture {
    async fn login(&self) -> Issued {
        self.tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap()
    }

    async fn refresh(&self, text: &str) -> Result<Issued, Reason> {
        match self.tokens.refresh(RefreshRequest::new(text, Channel::Header)).await {
            Ok(issued) => Ok(issued),
            Err(Refusal::Invalid(reason)) => Err(reason),
            Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
        }
    }

    async fn verify(&self, text: &str) -> Result<(), Reason> {
        match self.tokens.verify(text, None).await {
            Ok(_) => Ok(()),
            Err(Refusal::Invalid(reason)) => Err(reason),
            Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
        }
    }

    /// The record as it rests: the same allocation as long as nothing was written.
    async fn record(&self, id: &TokenId) -> Arc<LoginRecord> {
        self.store.find(id).wait().await.unwrap().unwrap().record
    }

    /// A login that was refreshed twice, far enough apart that no window is open: ancestor, predecessor and
    /// current refresh token.
    async fn lineage(&self) -> (TokenId, [String; 3]) {
        let first = self.login().await;
        let id = first.record().id();
        let mut texts = vec![refresh_text(&first)];
        for _ in 0..2 {
            self.time.advance(Duration::from_secs(60));
            let next = self.refresh(texts.last().unwrap()).await.unwrap();
            texts.push(refresh_text(&next));
        }
        self.verify(self.refresh_current_access(&texts).await.as_str()).await.unwrap();
        self.time.advance(Duration::from_secs(60));
        (id, texts.try_into().unwrap())
    }

    /// The access token that belongs to the current refresh token, by repeating the last refresh.
    async fn refresh_current_access(&self, texts: &[String]) -> String {
        let repeated = self.refresh(&texts[texts.len() - 2]).await.unwrap();
        repeated.access().expose().to_owned()
    }
}

fn refresh_text(issued: &Issued) -> String {
    issued.refresh().unwrap().expose().to_owned()
}

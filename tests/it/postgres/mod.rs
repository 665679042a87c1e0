//! `PostgresStore` on a real server.

mod changes;
mod conformance;
mod failures;
mod keys;
mod records;
mod schema;

use std::{
    error::Error,
    time::{Duration, Instant},
};

use portcullis::{
    PostgresStore,
    clock::Timestamp,
    credential::Channel,
    identity::Subject,
    secret::SecretBytes,
    store::{Digest, Epoch, Insertion, LoginColumns, LoginRecord, StoreError, TokenStore},
    text::TokenId,
};

use crate::servers::{Database, SharedPostgres};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A database of its own with the tables of this version.
struct Place {
    database: Database,
    _server: SharedPostgres,
}

impl Place {
    async fn new() -> Self {
        let place = Self::without_tables();
        place.store().migrate().await.unwrap();
        place
    }

    fn without_tables() -> Self {
        let server = SharedPostgres::get();
        Self { database: server.database(), _server: server }
    }

    /// Another process's handle.
    fn store(&self) -> PostgresStore {
        patient(self.database.url())
    }

    fn count(&self, table: &str) -> usize {
        self.database.sql(&format!("select count(*) from portcullis_{table}")).parse().unwrap()
    }
}

/// With limits that a busy machine keeps.
fn patient(url: &str) -> PostgresStore {
    let long = Duration::from_secs(20);
    PostgresStore::builder(url).connect_timeout(long).step_timeout(long).build().unwrap()
}

/// The id that ends so, and is else the same.
fn id(end: &str) -> TokenId {
    TokenId::parse(&format!("{}{end}", "0".repeat(17 - end.len()))).unwrap()
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes(&[&[1, 0][..], &[byte; 32]].concat()).unwrap()
}

fn columns(id: TokenId, subject: Subject) -> LoginColumns {
    LoginColumns::new(id, subject, Channel::Header, digest(1), SecretBytes::new([2; 32]), NOW)
}

fn login(end: &str, user: &str) -> LoginRecord {
    columns(id(end), Subject::local(user)).into()
}

fn insertion() -> Insertion {
    Insertion::new(Epoch::from_number(7), NOW)
}

async fn insert(store: &PostgresStore, end: &str, user: &str) -> TokenId {
    store.insert(login(end, user), insertion()).await.unwrap().record.id()
}

/// The error and its causes, as they are shown.
fn shown(error: &StoreError) -> String {
    let first: &(dyn Error + 'static) = error;
    let causes = std::iter::successors(Some(first), |error| (*error).source());
    causes.map(|error| format!("{error} {error:?}; ")).collect()
}

/// Until it is so, for longer than anything takes.
async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// What it comes to, and how long it takes.
#[allow(clippy::disallowed_methods)] // the time that a caller waits, whatever clocks the store has
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}

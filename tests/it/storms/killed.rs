//! Servers and clients that are killed in the middle of a storm of refreshes. What somebody was told holds afterwards,
//! whoever died: no token that was replaced works, no login has two pairs or has lost its only one, and nobody was logged
//! out but who wanted to be.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use portcullis::{
    TokenPolicy, TokenService, clock::ManualClock, event::RevokeReason, problem::Reason, store::TokenStore,
    text::TokenId,
};
use tokio::time::sleep;

use super::{
    clients::Client,
    journal::{self, Known, Pair},
    sites::{Address, Engine, Store, now, refresh, unique_name, verify},
};
use crate::{
    servers::{Keeps, PostgresServer, Program, Proxy, RedisServer},
    sqlite::Folder,
};

const CLIENTS: usize = 3;
/// What has to happen between two blows, in all processes together.
const PAIRS: usize = 200;
const LOGOUTS: usize = 6;

/// A server that keeps everything it has answered.
enum Server {
    Postgres(PostgresServer),
    Redis(RedisServer),
}

struct Storm {
    clients: Vec<Client>,
    /// With the journals.
    _folder: Folder,
}

/// What was found when it was over.
#[derive(Debug, Default)]
struct Found {
    living: usize,
    ended: usize,
    pairs: usize,
    /// Rotated, or ended, without that anybody was told.
    in_flight: usize,
}

// ===== impl Server =====

impl Server {
    fn start(engine: Engine) -> Self {
        match engine {
            Engine::Postgres => Self::Postgres(PostgresServer::start()),
            Engine::Redis => Self::Redis(RedisServer::start_as(Program::Redis, Keeps::Everything)),
            Engine::Valkey => Self::Redis(RedisServer::start_as(Program::Valkey, Keeps::Everything)),
            Engine::Memory | Engine::Sqlite => panic!("no server"),
        }
    }

    /// An empty store.
    async fn address(&self) -> Address {
        let address = match self {
            Self::Postgres(server) => Address::Postgres(server.database().url().to_owned()),
            Self::Redis(server) => Address::Redis(server.url(), unique_name()),
        };
        address.make_tables().await;
        address
    }

    fn kill_and_start_again(&mut self) {
        match self {
            Self::Postgres(server) => {
                server.kill();
                server.start_again();
            }
            Self::Redis(server) => {
                server.kill();
                server.start_again();
            }
        }
    }
}

// ===== impl Storm =====

impl Storm {
    fn begin(address: &Address) -> Self {
        let folder = Folder::new();
        let journal = |number| folder.file().with_file_name(format!("journal-{number}"));
        let clients = (0..CLIENTS).map(|number| Client::start(address, &journal(number))).collect();
        Self { clients, _folder: folder }
    }

    fn count(&self) -> [usize; 2] {
        ["pair", "ended"].map(|kind| self.clients.iter().map(|client| client.count(kind)).sum())
    }

    /// Until this much more was done.
    async fn rages(&mut self, pairs: usize, logouts: usize) {
        let before = self.count();
        for _ in 0..1800 {
            self.clients.iter_mut().for_each(Client::must_run);
            let now = self.count();
            if now[0] - before[0] >= pairs && now[1] - before[1] >= logouts {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the storm has died down: {before:?}, then {:?}", self.count());
    }

    /// Every process is killed, and what it was told holds.
    async fn ends_well(mut self, store: &Store) -> Found {
        self.clients.iter_mut().for_each(Client::kill);
        let mut all = Vec::new();
        self.clients.iter().for_each(|client| all.extend(journal::read(client.journal())));
        // Long after any window by time alone.
        let time = ManualClock::new(now().plus(Duration::from_secs(60)));
        let node = &TokenService::new(store.clone(), TokenPolicy::default()).clock(time.clock());
        let checks = all.iter().enumerate().map(async |(number, (id, known))| {
            let pairs = known.pairs.len();
            Found { pairs, ..holds(node, store, id, known, number).await }
        });
        let found: Vec<Found> = stream::iter(checks).buffer_unordered(32).collect().await;
        let sum = |part: fn(&Found) -> usize| found.iter().map(part).sum();
        let found = Found {
            living: sum(|found| found.living),
            ended: sum(|found| found.ended),
            pairs: sum(|found| found.pairs),
            in_flight: sum(|found| found.in_flight),
        };
        assert!(found.living >= CLIENTS && found.ended >= LOGOUTS, "{found:?}");
        found
    }
}

async fn holds(node: &TokenService, store: &Store, id: &TokenId, known: &Known, number: usize) -> Found {
    let record = async || store.find(id).wait().await.unwrap().expect("it was told of this login").record;
    let (newest, older) = known.pairs.split_last().expect("it was told a pair");
    let generations: Vec<u32> = known.pairs.iter().map(|pair| pair.generation).collect();
    assert!(generations.iter().copied().eq(0..=newest.generation), "one lineage: {generations:?}");
    for pair in older {
        assert!(verify(node, &pair.access).await.is_err(), "a token that was replaced works");
    }
    let kept = record().await;
    if known.ended || kept.revoked().is_some() {
        // Ended by who wanted it, whether or not he was told.
        assert!(known.ends, "an honest login was ended: {:?}", kept.revoked());
        assert_eq!(kept.revoked().map(|revoked| revoked.reason()), Some(RevokeReason::Logout));
        for pair in &known.pairs {
            assert!(verify(node, &pair.access).await.is_err());
            assert!(refresh(node, &pair.refresh).await.is_err());
        }
        return Found { ended: 1, in_flight: usize::from(!known.ended), ..Found::default() };
    }
    let ahead = kept.generation().checked_sub(newest.generation).expect("a rotation that was told is there");
    assert!(ahead <= 1, "{} is no successor of {}", kept.generation(), newest.generation);
    if ahead == 0 {
        // As if the answer had been lost: the same pair, as long as nobody has used it.
        if let Some(last) = older.last().filter(|_| known.used != Some(newest.generation)) {
            let again = refresh(node, &last.refresh).await.expect("the same pair once more");
            assert!(Pair::of(&again) == *newest, "another pair");
        }
        verify(node, &newest.access).await.expect("the newest token works");
    } else {
        assert!(verify(node, &newest.access).await.is_err(), "a token that was replaced works");
    }
    // It goes on from what was told last, be it by a pair that was on its way.
    let next = Pair::of(&refresh(node, &newest.refresh).await.expect("the login goes on"));
    assert_eq!(next.generation, newest.generation + 1);
    assert!(Pair::of(&refresh(node, &newest.refresh).await.expect("a repeat")) == next, "two successors");
    verify(node, &next.access).await.expect("the new token works");
    assert!(verify(node, &newest.access).await.is_err(), "two pairs of one login work");
    assert_eq!(record().await.revoked(), None);
    // And a copy of an old one is found out as ever.
    if let Some(oldest) = older.first().filter(|_| number.is_multiple_of(3)) {
        assert_eq!(refresh(node, &oldest.refresh).await.map(|_| ()), Err(Reason::Reuse));
        assert_eq!(verify(node, &next.access).await, Err(Reason::Revoked));
    }
    Found { living: 1, in_flight: usize::from(ahead == 1), ..Found::default() }
}

// ===== tests =====

#[allow(clippy::print_stdout)] // what it was worth
fn told(what: &str, found: &Found) {
    println!("{what}: {found:?}");
}

/// Twice, and connections are cut between.
async fn a_killed_server_loses_nothing(engine: Engine) {
    let mut server = Server::start(engine);
    let here = server.address().await;
    let proxy = Proxy::to(here.server()).await;
    let mut storm = Storm::begin(&here.by_way_of(proxy.port()));
    for _ in 0..2 {
        for _ in 0..3 {
            storm.rages(PAIRS / 4, 1).await;
            proxy.close_all();
        }
        storm.rages(PAIRS, LOGOUTS).await;
        server.kill_and_start_again();
        storm.rages(PAIRS, LOGOUTS).await;
    }
    // And once more while nobody goes on.
    storm.clients.iter_mut().for_each(Client::must_run);
    server.kill_and_start_again();
    told(&format!("a killed server, {engine:?}"), &storm.ends_well(&here.open()).await);
}

/// Each of them, one after the other; their users come back and go on.
async fn killed_clients_lose_nothing(address: &Address) -> Found {
    let mut storm = Storm::begin(address);
    for killed in 0..CLIENTS {
        storm.rages(PAIRS, LOGOUTS).await;
        storm.clients[killed].kill();
        storm.clients[killed].start_again();
    }
    storm.rages(PAIRS, LOGOUTS).await;
    storm.ends_well(&address.open()).await
}

async fn killed_clients_of_a_server_lose_nothing(engine: Engine) {
    let server = Server::start(engine);
    let address = server.address().await;
    told(&format!("killed clients, {engine:?}"), &killed_clients_lose_nothing(&address).await);
}

/// In a file the clients are the servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r202_processes_that_are_killed_in_a_storm_lose_nothing_they_have_told_on_sqlite() {
    let folder = Folder::new();
    let address = Address::of_file(&folder);
    address.make_tables().await;
    told("killed processes, Sqlite", &killed_clients_lose_nothing(&address).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r202_clients_that_are_killed_in_a_storm_lose_nothing_they_were_told_on_postgres() {
    killed_clients_of_a_server_lose_nothing(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r202_clients_that_are_killed_in_a_storm_lose_nothing_they_were_told_on_redis() {
    killed_clients_of_a_server_lose_nothing(Engine::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r202_a_server_that_is_killed_in_a_storm_loses_nothing_it_has_told_on_postgres() {
    a_killed_server_loses_nothing(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r202_a_server_that_is_killed_in_a_storm_loses_nothing_it_has_told_on_redis() {
    a_killed_server_loses_nothing(Engine::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r202_a_server_that_is_killed_in_a_storm_loses_nothing_it_has_told_on_valkey() {
    a_killed_server_loses_nothing(Engine::Valkey).await;
}

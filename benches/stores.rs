//! What a verification costs on each store, beside the bare client with the same statement or script:
//! `cargo bench --bench stores --features sqlite,postgres,redis`
//!
//! Starts its own servers: Redis and PostgreSQL have to be installed. Rounds of the store and of the bare client are
//! interleaved, at one caller and at 64, with 1 000 logins and with 1 000 000; printed are medians over the rounds, in
//! microseconds for each look-up.
//!
//! On few cores, what one caller waits for is mostly on which of them a thread wakes up. On one core (`taskset -c 0`) it is
//! what is done.
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)] // a bench that meets an error has failed

/// The servers of the tests, which use more of them.
#[allow(dead_code)]
#[path = "../tests/it/servers"]
mod servers {
    mod child;
    mod postgres;
    mod redis;

    pub(crate) use self::{
        postgres::{Database, PostgresServer},
        redis::RedisServer,
    };

    pub(crate) const PASSWORD: &str = "planted-password";
}

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use portcullis::{
    PostgresStore, RedisStore, SqliteStore, TokenPolicy, TokenService,
    identity::Subject,
    store::{CachedStore, TokenStore},
    text::TokenId,
    token::IssueOptions,
};
use redis::{Script, aio::MultiplexedConnection};
use rusqlite::Connection;
use servers::{Database, PostgresServer, RedisServer};
use tokio_postgres::{NoTls, Statement};

const ROUNDS: usize = 21;
const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
/// Look-ups of a round, by one caller and by all 64 together.
const CALLS: [(usize, usize); 2] = [(1, 400), (64, 6_400)];

/// What the stores themselves ask for: the login and its subject's epoch in one.
const SQLITE_FIND: &str = "select l.format, l.id, s.issuer, s.id, l.channel, l.browser_session, l.tenant, l.client, \
     l.key_thumbprint, l.scope, l.label, l.context, l.data, l.version, l.access, l.refresh, l.previous, l.nonce, \
     l.lineage, l.generation, l.rotated_at, l.confirmed_at, l.grace_hits, l.created, l.last_seen, l.access_ttl, \
     l.refresh_ttl, l.access_expires, l.refresh_expires, l.absolute_expires, l.epoch, l.everyone, l.revoked_at, \
     l.revoked_for, s.epoch, (select everyone from portcullis_state) \
     from portcullis_logins as l cross join portcullis_subjects as s on s.key = l.subject where l.id = ?1";
const POSTGRES_FIND: &str = "select l.id, l.format, l.issuer, l.subject, l.channel, l.browser_session, l.tenant, \
     l.client, l.key_thumbprint, l.scope, l.label, l.context, l.data, l.version, l.access, l.refresh, l.previous, \
     l.nonce, l.lineage, l.generation, l.rotated_at, l.confirmed_at, l.grace_hits, l.created, l.last_seen, \
     l.access_ttl, l.refresh_ttl, l.access_expires, l.refresh_expires, l.absolute_expires, l.epoch, l.revoked_at, \
     l.revoked_reason, s.epoch \
     from portcullis_logins l left join portcullis_subjects s on s.key = l.subject_key where l.id = $1";
const REDIS_FIND: &str = concat!("#!lua flags=no-writes\n", include_str!("../src/redis/lua/find.lua"));

/// Something that looks a login up.
trait Look: Clone + Send + Sync + 'static {
    fn look(&self, id: TokenId) -> impl Future<Output = ()> + Send;
}

// ===== through the crate =====

#[derive(Clone)]
struct Ours(Arc<dyn TokenStore>);

impl Look for Ours {
    async fn look(&self, id: TokenId) {
        assert!(self.0.find(&id).wait().await.unwrap().is_some());
    }
}

/// As [`Ours`], from memory where a copy is there.
#[derive(Clone)]
struct Copies(Arc<dyn TokenStore>);

impl Look for Copies {
    async fn look(&self, id: TokenId) {
        assert!(self.0.recall(&id).wait().await.unwrap().is_some());
    }
}

// ===== the bare clients =====

#[derive(Clone)]
struct BareRedis {
    connection: MultiplexedConnection,
    script: Arc<Script>,
}

impl Look for BareRedis {
    async fn look(&self, id: TokenId) {
        let mut connection = self.connection.clone();
        let mut step = self.script.key(format!("{{portcullis}}:login:{id}"));
        step.arg("{portcullis}:");
        let answer: redis::Value = step.invoke_async(&mut connection).await.unwrap();
        assert_ne!(answer, redis::Value::Nil);
    }
}

#[derive(Clone)]
struct BarePostgres {
    client: Arc<tokio_postgres::Client>,
    find: Statement,
}

impl Look for BarePostgres {
    async fn look(&self, id: TokenId) {
        assert_eq!(self.client.query(&self.find, &[&id.as_str()]).await.unwrap().len(), 1);
    }
}

/// One connection for each call that is under way, as `spawn_blocking` has a thread for each.
#[derive(Clone)]
struct BareSqlite {
    file: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Look for BareSqlite {
    async fn look(&self, id: TokenId) {
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let idle = this.idle.lock().unwrap().pop();
            let connection = idle.unwrap_or_else(|| Connection::open(&this.file).unwrap());
            let mut find = connection.prepare_cached(SQLITE_FIND).unwrap();
            let columns = find.column_count();
            let mut rows = find.query([id.as_str()]).unwrap();
            let row = rows.next().unwrap().unwrap();
            for column in 0..columns {
                let _value: rusqlite::types::Value = row.get(column).unwrap();
            }
            drop(rows);
            drop(find);
            this.idle.lock().unwrap().push(connection);
        })
        .await
        .unwrap();
    }
}

// ===== measuring =====

/// Ids to draw from.
#[derive(Clone)]
struct Ids {
    all: Arc<[TokenId]>,
    random: u64,
}

impl Ids {
    /// xorshift64: even enough to draw from, and much cheaper than what is measured.
    fn draw(&mut self) -> TokenId {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.all[(self.random % self.all.len() as u64) as usize]
    }
}

/// Nanoseconds for each of `calls` look-ups by so many callers at once.
async fn round(look: &impl Look, ids: &mut Ids, callers: usize, calls: usize) -> f64 {
    let mut tasks = Vec::new();
    let started = Instant::now();
    for caller in 0..callers {
        let (look, mut ids) = (look.clone(), ids.clone());
        ids.random = ids.random.wrapping_mul(2 * caller as u64 + 3) | 1;
        tasks.push(tokio::spawn(async move {
            for _ in 0..calls / callers {
                look.look(ids.draw()).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    ids.draw();
    started.elapsed().as_nanos() as f64 / calls as f64
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// Prints both and their ratio, and returns what a look-up of ours took at one caller.
async fn compare(name: &str, ours: &impl Look, bare: &impl Look, ids: &mut Ids) -> f64 {
    let mut alone = 0.0;
    for (callers, calls) in CALLS {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for number in 0..ROUNDS + 2 {
            let (one, other) =
                (round(ours, ids, callers, calls).await, round(bare, ids, callers, calls).await);
            // The first rounds open connections and fill caches.
            if number >= 2 {
                with.push(one);
                without.push(other);
            }
        }
        let (with, without) = (median(with), median(without));
        println!(
            "{name:>10} {:>9} {callers:>7} {:>9.2} {:>9.2} {:>7.2}",
            ids.all.len(),
            with / 1000.0,
            without / 1000.0,
            with / without
        );
        if callers == 1 {
            alone = with;
        }
    }
    alone
}

/// A store, a bare client on the same data, and how the data is multiplied.
struct Bench<'a, S, B> {
    name: &'static str,
    store: S,
    bare: B,
    multiply: &'a dyn Fn(TokenId),
}

async fn run<S: TokenStore + Clone, B: Look>(bench: Bench<'_, S, B>) {
    let Bench { name, store, bare, multiply } = bench;
    let tokens = TokenService::new(store.clone(), TokenPolicy::default());
    let mut few = Vec::new();
    for number in 0..FEW {
        let subject = Subject::local(format!("user-{number:011}"));
        let login = tokens.issue_for_header(subject, IssueOptions::default()).await.unwrap();
        few.push(login.record().id());
    }
    let ours = Ours(Arc::new(store.clone()));
    let mut ids = Ids { all: few.clone().into(), random: 0x9E37_79B9 };
    let small = compare(name, &ours, &bare, &mut ids).await;
    let copies = Copies(Arc::new(CachedStore::new(store)));
    for id in &few {
        copies.look(*id).await;
    }
    let hit = round(&copies, &mut ids, 1, 100_000).await;
    multiply(few[0]);
    let many = (1..=MANY - FEW).map(|number| TokenId::parse(&format!("{number:017}")).unwrap());
    let mut ids = Ids { all: few.into_iter().chain(many).collect(), random: 0x9E37_79B9 };
    let large = compare(name, &ours, &bare, &mut ids).await;
    println!("{name:>10} grows by {:.2}; a copy costs {hit:.0} ns\n", large / small);
}

fn main() {
    println!("{:>10} {:>9} {:>7} {:>9} {:>9} {:>7}", "store", "logins", "callers", "us", "bare us", "ratio");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        on_sqlite().await;
        on_redis().await;
        on_postgres().await;
    });
}

async fn on_sqlite() {
    let folder = Folder::new();
    let file = folder.0.join("logins.db");
    let store = SqliteStore::builder(&file).build().unwrap();
    store.migrate().await.unwrap();
    let multiply = |seed: TokenId| multiply_sqlite(&file, seed);
    let bare = BareSqlite { file: file.clone(), idle: Arc::default() };
    run(Bench { name: "sqlite", store, bare, multiply: &multiply }).await;
}

fn multiply_sqlite(file: &Path, seed: TokenId) {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    let mut info = connection.prepare("select name from pragma_table_info('portcullis_logins')").unwrap();
    let columns: Vec<String> = info.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let others = columns.iter().filter(|name| *name != "id").cloned().collect::<Vec<_>>().join(", ");
    let sql = format!(
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {})
         insert into portcullis_logins (id, {others})
         select printf('%017d', n), {others} from numbers, portcullis_logins where id = '{seed}'",
        MANY - FEW
    );
    connection.execute(&sql, []).unwrap();
    connection.execute_batch("analyze; pragma wal_checkpoint(truncate)").unwrap();
}

async fn on_redis() {
    let server = RedisServer::start();
    let store = RedisStore::builder(server.url()).build().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let multiply = |seed: TokenId| multiply_redis(&client, seed);
    let bare = BareRedis { connection, script: Arc::new(Script::new(REDIS_FIND)) };
    run(Bench { name: "redis", store, bare, multiply: &multiply }).await;
}

fn multiply_redis(client: &redis::Client, seed: TokenId) {
    let mut connection = client.get_connection().unwrap();
    let copy = Script::new(
        "for n = ARGV[1], ARGV[2] do
           redis.call('COPY', KEYS[1], string.format('{portcullis}:login:%017d', n))
         end",
    );
    for first in (1..=MANY - FEW).step_by(1000) {
        let last = (first + 999).min(MANY - FEW);
        let mut step = copy.key(format!("{{portcullis}}:login:{seed}"));
        let () = step.arg(first).arg(last).invoke(&mut connection).unwrap();
    }
}

async fn on_postgres() {
    let server = PostgresServer::start();
    let database = server.database();
    let store = PostgresStore::builder(database.url()).build().unwrap();
    store.migrate().await.unwrap();
    let (client, connection) = tokio_postgres::connect(database.url(), NoTls).await.unwrap();
    let _reading = tokio::spawn(connection);
    let find = client.prepare(POSTGRES_FIND).await.unwrap();
    let multiply = |seed: TokenId| multiply_postgres(&database, seed);
    let bare = BarePostgres { client: Arc::new(client), find };
    run(Bench { name: "postgres", store, bare, multiply: &multiply }).await;
}

fn multiply_postgres(database: &Database, seed: TokenId) {
    let others = database.sql(
        "select string_agg(column_name, ', ') from information_schema.columns
         where table_name = 'portcullis_logins' and is_generated = 'NEVER' and column_name <> 'id'",
    );
    let others = others.trim();
    database.sql(&format!(
        "insert into portcullis_logins (id, {others})
         select lpad(n::text, 17, '0'), {others} from portcullis_logins, generate_series(1, {}) as n
         where id = '{seed}'",
        MANY - FEW
    ));
    database.sql("vacuum analyze portcullis_logins");
}

/// A folder that goes with the bench.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-stores-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

//! A clock that is set back, and what is counted and held by it.

use std::time::Duration;

use portcullis::{
    PostgresStore, TokenPolicy, TokenService,
    clock::{Clock, ManualClock, Timestamp},
    identity::Subject,
    store::{CounterStore, Limit, LockOwner, TokenStore},
    throttle::{Throttle, ThrottlePolicy, Throttled},
    token::IssueOptions,
};

use crate::{
    servers::{SharedPostgres, SharedServer},
    support::invalid,
};

const HOUR: Duration = Duration::from_secs(3600);

fn back(time: &ManualClock, span: Duration) {
    let millis = i64::try_from(span.as_millis()).unwrap();
    time.set(Timestamp::from_millis(time.now().as_millis() - millis));
}

/// From the true time on: servers forget what has ended by their own clocks.
fn time() -> ManualClock {
    ManualClock::new(Clock::system().now())
}

async fn on_postgres(server: &SharedPostgres) -> PostgresStore {
    let (database, long) = (server.database(), Duration::from_secs(20));
    let store = PostgresStore::builder(database.url()).connect_timeout(long).step_timeout(long);
    let store = store.build().unwrap();
    store.migrate().await.unwrap();
    store
}

// ===== counters =====

/// Three in a minute.
struct Door {
    throttle: Throttle,
    user: String,
}

impl Door {
    fn new(store: impl CounterStore, time: &ManualClock) -> Self {
        let limit = Limit::new(3, Duration::from_secs(60));
        let policy =
            ThrottlePolicy::builder().per_client_ip(None).per_identifier(Some(limit)).build().unwrap();
        // The server may be shared.
        let user = LockOwner::generate().unwrap();
        let user = user.as_bytes().map(|byte| format!("{byte:02x}")).concat();
        Self { throttle: Throttle::new(store, policy).clock(time.clock()), user }
    }

    /// How long to wait; `None` for who is let in.
    async fn knock(&self) -> Option<Duration> {
        let address = "192.0.2.7".parse().unwrap();
        match self.throttle.admit("login", Some(address), Some(&self.user)).await {
            Ok(()) => None,
            Err(Throttled::TooMany { retry_after }) => Some(retry_after.unwrap()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn knocks(&self) -> Vec<Option<u64>> {
        let mut knocks = Vec::new();
        for _ in 0..5 {
            knocks.push(self.knock().await.map(|wait| wait.as_secs()));
        }
        knocks
    }
}

/// As the limit says of its step: who is refused waits no longer than an interval after a large one, and longer by as
/// much after a small one.
async fn counters_let_in_after_a_step(store: impl CounterStore + Clone) {
    let time = time();
    let door = Door::new(store.clone(), &time);
    let full = [None, None, None, Some(20), Some(20)];
    assert_eq!(door.knocks().await, full);
    back(&time, Duration::from_secs(30));
    assert_eq!(door.knocks().await, [Some(50); 5]);
    time.advance(Duration::from_secs(30));
    assert_eq!(door.knocks().await, [Some(20); 5]);
    back(&time, HOUR);
    let one = [None, Some(20), Some(20), Some(20), Some(20)];
    assert_eq!(door.knocks().await, one);
    time.advance(Duration::from_secs(20));
    assert_eq!(door.knocks().await, one);
    time.advance(Duration::from_secs(60));
    assert_eq!(door.knocks().await, full);
    // Where nobody has asked before the step, nothing is known of it.
    let other = Door::new(store, &time);
    back(&time, HOUR);
    assert_eq!(other.knocks().await, full);
}

#[tokio::test]
async fn r139_counters_let_in_after_a_step_back_as_a_limit_says_on_redis() {
    let server = SharedServer::get();
    counters_let_in_after_a_step(server.leases()).await;
}

#[tokio::test]
async fn r139_counters_let_in_after_a_step_back_as_a_limit_says_on_postgres() {
    let server = SharedPostgres::get();
    counters_let_in_after_a_step(on_postgres(&server).await).await;
}

// ===== ends =====

/// What has ended lives again for as long as the clock says that it has not ended yet, and no longer.
async fn what_has_ended(store: impl TokenStore, time: &ManualClock) {
    let tokens = TokenService::new(store, TokenPolicy::default()).clock(time.clock());
    let options = IssueOptions::default().access_ttl(Some(HOUR)).refresh_ttl(None);
    let short = tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let lives = async || invalid(tokens.verify(short.access().expose(), None).await).is_ok();
    let end = time.now().plus(HOUR);
    time.advance(HOUR);
    assert!(!lives().await);
    back(time, HOUR);
    assert!(lives().await, "by the clock it has an hour");
    time.set(Timestamp::from_millis(end.as_millis() - 1));
    assert!(lives().await);
    time.set(end);
    assert!(!lives().await, "its end has not moved");
}

#[tokio::test]
async fn r039_an_end_stays_where_it_is_when_the_clock_steps_back_on_redis() {
    let (server, time) = (SharedServer::get(), time());
    what_has_ended(server.leases(), &time).await;
}

#[tokio::test]
async fn r039_an_end_stays_where_it_is_when_the_clock_steps_back_on_postgres() {
    let (server, time) = (SharedPostgres::get(), time());
    what_has_ended(on_postgres(&server).await, &time).await;
}

#[cfg(feature = "sqlite")]
mod on_a_file {
    use portcullis::{
        SqliteStore,
        store::{
            Expect, LeaseKey, LeaseNamespace, LeaseRecord, LeaseStore, LeaseVersion, LeaseWrite, LockState,
        },
    };

    use super::*;
    use crate::sqlite::Folder;

    const MINUTE: Duration = Duration::from_secs(60);

    async fn open(folder: &Folder, clock: Clock) -> SqliteStore {
        let builder = SqliteStore::builder(folder.file()).clock(clock);
        let builder = builder.busy_timeout(Duration::from_secs(20)).step_timeout(Duration::from_secs(40));
        let store = builder.build().unwrap();
        store.migrate().await.unwrap();
        store
    }

    #[tokio::test]
    async fn r139_counters_let_in_after_a_step_back_as_a_limit_says_on_sqlite() {
        let folder = Folder::new();
        counters_let_in_after_a_step(open(&folder, Clock::system()).await).await;
    }

    #[tokio::test]
    async fn r039_an_end_stays_where_it_is_when_the_clock_steps_back_on_sqlite() {
        let (folder, time) = (Folder::new(), time());
        let store = open(&folder, Clock::system()).await;
        what_has_ended(store, &time).await;
    }

    /// Of the engines here the only one whose time is this machine's.
    #[tokio::test]
    async fn r207_a_clock_that_is_set_back_holds_no_lock_of_a_file_for_an_hour() {
        let (folder, time) = (Folder::new(), time());
        let store = open(&folder, time.clock()).await;
        let key = LeaseKey::new(&LeaseNamespace::new("prod").unwrap(), "crm", "user");
        let record = LeaseRecord::new(LeaseVersion::new(1), time.now().plus(10 * MINUTE), vec![7]);
        let put = store.put(&key, &record, 10 * MINUTE, Expect::Absent).await.unwrap();
        assert_eq!(put, LeaseWrite::Done);
        let [first, second] = [(); 2].map(|()| LockOwner::generate().unwrap());
        let lock = store.lock(&key, &first, MINUTE).await.unwrap().unwrap();
        back(&time, HOUR);
        let found = store.get(&key).await.unwrap().unwrap();
        assert_eq!(found.remaining(), 10 * MINUTE, "never more than it was given");
        assert_eq!(store.lock(&key, &second, MINUTE).await.unwrap(), None, "it is held");
        assert_eq!(store.renew(&key, &lock, MINUTE).await.unwrap(), LockState::Held);
        // Its holder has ended without a word. From when somebody asks for it, it is held for as long as was meant.
        back(&time, HOUR);
        assert_eq!(store.lock(&key, &second, MINUTE).await.unwrap(), None);
        time.advance(MINUTE - Duration::from_millis(1));
        assert_eq!(store.lock(&key, &second, MINUTE).await.unwrap(), None);
        time.advance(Duration::from_millis(1));
        let taken = store.lock(&key, &second, MINUTE).await.unwrap().unwrap();
        assert!(taken.fence() > lock.fence());
        assert_eq!(store.renew(&key, &lock, MINUTE).await.unwrap(), LockState::Lost);
    }
}

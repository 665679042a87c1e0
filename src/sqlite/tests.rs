//! Writes at the moment between a raised epoch and its marks, which nobody outside sees. The rest is in `tests/it/sqlite`.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use rusqlite::Connection;

use super::{SqliteStore, ends, queue::Queue, store::Place};
use crate::{
    TokenPolicy, TokenService,
    clock::{ManualClock, Timestamp},
    event::RevokeReason,
    identity::Subject,
    random,
    store::{
        Epoch, Insertion, LiveLimit, LoginColumns, LoginRecord, Purge, Rekey, Revocation, Rotation,
        StoreErrorKind, TokenStore,
    },
    text::TokenId,
    token::IssueOptions,
};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A file of its own for each test, removed with it.
struct Kept(PathBuf);

impl Kept {
    fn new() -> Self {
        let name = random::bytes::<16>().unwrap().map(|byte| format!("{byte:02x}")).concat();
        let folder = std::env::temp_dir().join(format!("portcullis-{name}"));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    async fn open(&self) -> SqliteStore {
        let store = SqliteStore::builder(self.0.join("kept.db")).step_timeout(Duration::from_secs(60));
        let store = store.build().unwrap();
        store.migrate().await.unwrap();
        store
    }

    fn change(&self, sql: &str) {
        let other = Connection::open(self.0.join("kept.db")).unwrap();
        other.busy_timeout(Duration::from_secs(30)).unwrap();
        assert!(other.execute(sql, []).unwrap() > 0);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// A new login in the store.
async fn login(store: &SqliteStore, user: &str) -> LoginRecord {
    let time = ManualClock::new(NOW);
    let tokens = TokenService::new(store.clone(), TokenPolicy::default()).clock(time.clock());
    let issued = tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap();
    issued.record().clone()
}

fn another(record: &LoginRecord, id: &str) -> LoginRecord {
    let mut columns = LoginColumns::from(record);
    columns.id = TokenId::parse(id).unwrap();
    columns.into()
}

fn limited(limit: u32) -> Insertion {
    Insertion { limit: LiveLimit::Refuse(limit), ..Insertion::new(Epoch::from_number(1), NOW) }
}

#[tokio::test]
async fn r060_between_a_raised_epoch_and_its_marks_nothing_lives() {
    let kept = Kept::new();
    let store = kept.open().await;
    for (number, raise) in [
        "update portcullis_subjects set epoch = epoch + 1",
        "update portcullis_state set everyone = everyone + 1",
    ]
    .into_iter()
    .enumerate()
    {
        let record = login(&store, &format!("user {number}")).await;
        let rotation = || Rotation {
            generation: record.generation,
            access: record.access.clone(),
            refresh: record.access.clone(),
            nonce: record.lineage.clone(),
            now: NOW,
            access_expires: Timestamp::NEVER,
            refresh_expires: Timestamp::NEVER,
        };
        let rekey = || Rekey {
            generation: record.generation + 1,
            access: record.access.clone(),
            refresh: record.refresh.clone(),
            lineage: record.lineage.clone(),
            now: NOW,
            access_expires: Timestamp::NEVER,
            refresh_expires: Timestamp::NEVER,
        };
        let next = another(&record, &format!("another{number:010}"));
        let refused = store.insert(next.clone(), limited(1)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::LimitReached);
        assert!(store.rotate(&record.id, rotation()).await.unwrap());
        kept.change(raise);
        let late = Rotation { generation: 1, ..rotation() };
        assert!(!store.rotate(&record.id, late).await.unwrap(), "{raise}");
        assert!(!store.rekey(&record.id, rekey()).await.unwrap(), "{raise}");
        store.insert(next, limited(1)).await.unwrap();
    }
}

#[tokio::test]
async fn r022_a_limit_counts_to_the_millisecond_and_removes_its_subjects_own() {
    let kept = Kept::new();
    let store = kept.open().await;
    let (record, foreign, over) =
        (login(&store, "ada").await, login(&store, "bob").await, login(&store, "ada").await);
    let ended = Revocation::new(NOW, RevokeReason::Logout);
    for record in [&foreign, &over] {
        assert!(store.revoke(&record.id, ended).await.unwrap());
    }
    let end = record.purgeable_from();
    let mut insertion = limited(1);
    insertion.now = Timestamp::from_millis(end.as_millis() - 1);
    // However long ago something has to have ended: what lives is not removed.
    insertion.purge_before = Timestamp::from_millis(i64::MAX - 1);
    let refused = store.insert(another(&record, "00000000000000001"), insertion.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::LimitReached);
    insertion.limit = LiveLimit::Refuse(2);
    let inserted = store.insert(another(&record, "00000000000000002"), insertion.clone()).await.unwrap();
    assert_eq!(inserted.purged.iter().map(|record| record.id).collect::<Vec<_>>(), [over.id]);
    assert!(store.find(&record.id).wait().await.unwrap().is_some());
    assert!(store.find(&foreign.id).wait().await.unwrap().is_some(), "somebody else's stays");
    // From its end on it takes no place.
    (insertion.now, insertion.purge_before, insertion.limit) = (end, NOW, LiveLimit::Refuse(1));
    store.insert(another(&record, "00000000000000003"), insertion).await.unwrap();
}

#[tokio::test]
async fn r060_what_was_issued_since_is_not_marked_with_everyone() {
    let kept = Kept::new();
    let store = kept.open().await;
    let record = login(&store, "ada").await;
    let everyone = Revocation::new(NOW, RevokeReason::Everyone);
    let mark = async || {
        let page = store.write(Place::Awaited, move |db| ends::mark_page(db, "", everyone)).await.unwrap();
        (page.marked, page.last)
    };
    assert_eq!(mark().await, (0, None));
    kept.change("update portcullis_state set everyone = everyone + 1");
    assert_eq!(mark().await, (1, None));
    assert_eq!(store.find(&record.id).wait().await.unwrap().unwrap().record.revoked(), Some(everyone));
}

#[tokio::test]
async fn r060_a_pair_of_a_login_that_has_ended_is_not_confirmed() {
    let kept = Kept::new();
    let store = kept.open().await;
    let record = login(&store, "ada").await;
    kept.change("update portcullis_logins set confirmed_at = 9223372036854775807");
    assert!(store.revoke(&record.id, Revocation::new(NOW, RevokeReason::Logout)).await.unwrap());
    store.confirm(&record.id, 0, NOW).wait().await.unwrap();
    assert!(!store.find(&record.id).wait().await.unwrap().unwrap().record.is_confirmed());
}

#[tokio::test]
async fn r060_what_ended_first_goes_first() {
    let kept = Kept::new();
    let store = kept.open().await;
    let record = login(&store, "ada").await;
    let ids = ["00000000000000003", "00000000000000001", "00000000000000004", "00000000000000002"];
    for (id, second) in ids.into_iter().zip(1..) {
        let login = another(&record, id);
        store.insert(login.clone(), Insertion::new(Epoch::from_number(1), NOW)).await.unwrap();
        let at = NOW.plus(Duration::from_secs(second));
        assert!(store.revoke(&login.id, Revocation::new(at, RevokeReason::Logout)).await.unwrap());
    }
    for id in ids {
        let purge = Purge::new(None, NOW.plus(Duration::from_secs(60)), 1);
        assert_eq!(store.purge(&purge).await.unwrap()[0].id.as_str(), id);
    }
}

/// A loop of logins and logouts must not make each login dearer than the one before.
#[tokio::test]
async fn r022_only_the_living_are_looked_at() {
    let kept = Kept::new();
    let store = kept.open().await;
    let plans = store.read(|db| {
        let sql = db.sql();
        let mut plans = Vec::new();
        for text in [&sql.live, &sql.revoke_of] {
            let mut plan = db.prepare(&format!("explain query plan {text}"))?;
            let count = plan.parameter_count();
            let mut rows = plan.query(rusqlite::params_from_iter((0..count).map(|_| "x")))?;
            let mut lines = String::new();
            while let Some(row) = rows.next()? {
                lines.push_str(&row.get::<_, String>(3)?);
                lines.push('\n');
            }
            plans.push(lines);
        }
        Ok(plans)
    });
    for plan in plans.await.unwrap() {
        assert!(plan.contains("USING INDEX portcullis_logins_living"), "{plan}");
    }
}

/// What waits behind a step that panics is done all the same, though nobody comes after it.
#[tokio::test]
async fn r060_a_panic_leaves_nobody_waiting() {
    type Job = Box<dyn FnOnce() + Send>;
    let queue: Arc<Queue<Job>> = Queue::new(1, 8);
    let work = || {
        |queue: &Queue<Job>| {
            let jobs = queue.take(1);
            let goes_on = !jobs.is_empty();
            jobs.into_iter().for_each(|job| job());
            goes_on
        }
    };
    let (begin, begun) = mpsc::channel::<()>();
    let (done, is_done) = mpsc::channel();
    let first: Job = Box::new(move || {
        begun.recv().unwrap();
        panic!("a step of the test panics");
    });
    let second: Job = Box::new(move || done.send(()).unwrap());
    for job in [first, second] {
        queue.push(job, queue.try_room().unwrap(), work).unwrap();
    }
    begin.send(()).unwrap();
    assert_eq!(is_done.recv_timeout(Duration::from_secs(20)), Ok(()));
    queue.close();
}

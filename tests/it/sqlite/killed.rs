//! A process that is killed in the middle of its writes: what it had told is there.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use portcullis::{
    SqliteStore,
    clock::Timestamp,
    credential::Channel,
    store::{OnceKey, OnceStore, OnceValue, TokenStore},
    text::TokenId,
    token::RefreshRequest,
};

use super::{Folder, login, service, stranger};

/// Tells a started process which file it writes to.
const FILE: &str = "PORTCULLIS_TEST_SQLITE_FILE";

/// No test by itself: what a started process does until it is killed. What it prints has been acknowledged.
#[test]
fn child() {
    let Some(file) = env::var_os(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::builder(PathBuf::from(file)).build().unwrap();
        store.migrate().await.unwrap();
        let tokens = service(&store);
        let one_after_another = async |name: &str| {
            for number in 0_u64.. {
                let issued = login(&tokens, name).await;
                let id = issued.record().id();
                println!("\ntold: login {id}");
                let refresh = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
                tokens.refresh(refresh).await.unwrap();
                println!("\ntold: refresh {id}");
                if number.is_multiple_of(3) {
                    tokens.revoke(&id).await.unwrap();
                    println!("\ntold: revoke {id}");
                }
                let key = OnceKey::new("test", &[id.as_bytes()]);
                let (mark, now) = (OnceValue::mark(), issued.record().created());
                assert!(store.put(&key, &mark, Timestamp::NEVER, now).await.unwrap());
                println!("\ntold: mark {id}");
            }
        };
        futures_util::future::join_all(["ada", "bob", "eve"].map(one_after_another)).await;
    });
}

#[tokio::test]
async fn r060_what_a_killed_process_has_told_is_there() {
    let folder = Folder::new();
    let mut told = Vec::new();
    for round in 1..=5 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "sqlite::killed::child", "--nocapture", "--test-threads=1"])
            .env(FILE, folder.file())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = |told: &mut Vec<(String, TokenId)>| {
            let Some(Ok(line)) = lines.next() else { return false };
            if let Some((what, id)) = line.strip_prefix("told: ").and_then(|line| line.split_once(' ')) {
                told.extend(TokenId::parse(id).map(|id| (what.to_owned(), id)));
            }
            true
        };
        while told.len() < round * 60 {
            assert!(next(&mut told), "it ended by itself");
        }
        // In the middle of whatever it does. What it had told by then is still in the pipe.
        child.kill().unwrap();
        child.wait().unwrap();
        while next(&mut told) {}
    }
    // Nobody has put anything right but the engine.
    let store = folder.store();
    for (what, id) in &told {
        let record = store.find(id).wait().await.unwrap().expect("it was told").record;
        match what.as_str() {
            "login" => {}
            "refresh" => assert_eq!(record.generation(), 1),
            "revoke" => assert!(record.revoked().is_some()),
            "mark" => {
                let key = OnceKey::new("test", &[id.as_bytes()]);
                let mark = OnceValue::mark();
                assert!(!store.put(&key, &mark, Timestamp::NEVER, record.created()).await.unwrap());
            }
            other => panic!("{other}"),
        }
    }
    let answer = stranger(&folder.file())
        .query_row("pragma integrity_check", [], |row| row.get::<_, String>(0))
        .unwrap();
    assert_eq!(answer, "ok");
}

//! The arithmetic of the scripts, whose numbers are doubles.

use std::time::Duration;

use ::redis::AsyncCommands;
use portcullis::{
    clock::Timestamp,
    event::RevokeReason,
    identity::Subject,
    secret::SecretBytes,
    store::{
        CounterKey, CounterState, CounterStore, Epoch, Insertion, Keep, Limit, LoginColumns, Purge,
        Revocation, SubjectRevocation, TokenStore,
    },
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{BOTH, client, digest, find, handles, id, insert, login, now};
use crate::servers::SharedServer;

/// Doubles cannot tell many of these apart.
#[tokio::test]
async fn r060_moments_are_compared_to_the_last_of_their_64_bits() {
    let mut numbers =
        vec![0, 1, 9, 10, 999, 1_000, i64::MAX - 1, i64::MAX, 9_999_999_999_999_999, 10_000_000_000_000_000];
    numbers
        .extend([53, 60, 62].into_iter().flat_map(|power| (-2..3).map(move |near| (1_i64 << power) + near)));
    numbers.extend(numbers.clone().into_iter().map(|number: i64| -number));
    numbers.push(i64::MIN);
    numbers.dedup();
    let script = "
local results = {}
for _, one in ipairs(ARGV) do
  for _, other in ipairs(ARGV) do
    results[#results + 1] = (below(one, other) and 1 or 0) + (later(one, other) == one and 2 or 0) + (sooner(one, other) == one and 4 or 0)
  end
end
return results";
    let script = format!("{}{script}", include_str!("../../../src/redis/lua/logins.lua"));
    for program in BOTH {
        let server = SharedServer::of(program);
        let mut client = client(server.url()).await;
        let mut eval = ::redis::cmd("EVAL");
        let results: Vec<u8> = eval.arg(&script).arg(0).arg(&numbers).query_async(&mut client).await.unwrap();
        let mut results = results.into_iter();
        for one in &numbers {
            for other in &numbers {
                let expected = u8::from(one < other)
                    + 2 * u8::from(one.max(other) == one)
                    + 4 * u8::from(one.min(other) == one);
                assert_eq!(results.next(), Some(expected), "{one} and {other} on {program:?}");
            }
        }
    }
}

#[tokio::test]
async fn r060_an_epoch_is_raised_from_any_of_its_64_bits_to_the_next() {
    for program in BOTH {
        let server = SharedServer::of(program);
        let ([store, _], _) = handles(&server);
        for (place, first) in
            [0, 1 << 53, i64::MAX as u64, (1 << 63) - 2, 1 << 63, u64::MAX].into_iter().enumerate()
        {
            let (subject, name) = (Subject::local(format!("{first}")), format!("e{place}"));
            let first = Epoch::from_number(first);
            let insertion = Insertion::new(first, now());
            let inserted = store.insert(login(&name, subject.clone()).into(), insertion).await.unwrap();
            assert_eq!(inserted.record.id(), id(&name));
            assert_eq!(find(&store, &id(&name)).await.unwrap().epoch, Some(first));
            let revocation = Revocation::new(now(), RevokeReason::Logout);
            // Everyone's is raised by being older than the era, twice as well as once, and in truth when it is next written.
            store.revoke_everyone(revocation).await.unwrap();
            store.revoke_everyone(revocation).await.unwrap();
            assert_eq!(find(&store, &id(&name)).await.unwrap().epoch, Some(first.next()));
            let all = SubjectRevocation::new(revocation, Keep::Nothing);
            assert_eq!(store.revoke_subject(&subject, all).await.unwrap(), Some(Vec::new()));
            assert_eq!(find(&store, &id(&name)).await.unwrap().epoch, Some(first.next().next()));
        }
    }
}

/// One event at this many milliseconds after the first, or before.
type Events = Vec<i64>;

#[test]
fn r060_a_counter_counts_as_a_limit_does_step_by_step() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limits = prop_oneof![
        (1..20_u32, 1..200_000_u64),
        (1..5_u32, 1..3_000_000_000_000_u64),
        Just((u32::MAX, 1)),
        Just((3, 7)),
    ];
    let jumps = prop::collection::vec(prop_oneof![Just(0), 0..5_000_i64, -90_000..90_000_i64], 1..40);
    for program in BOTH {
        let server = SharedServer::of(program);
        let ([store, _], _) = handles(&server);
        let check = |((count, millis), jumps): ((u32, u64), Events)| {
            let limit = Limit::new(count, Duration::from_millis(millis));
            let (key, mut state) = (CounterKey::new("test", &[b"x"]), CounterState::UNSEEN);
            let mut moment = now().as_millis();
            runtime.block_on(async {
                store.forget(&key).await.unwrap();
                for jump in jumps {
                    moment += jump;
                    let at = Timestamp::from_millis(moment);
                    let expected = limit.step(state, at);
                    let hit = store.hit(&key, limit, at).wait().await.unwrap();
                    prop_assert_eq!(hit.is_allowed(), expected.is_ok());
                    match expected {
                        Ok(next) => state = next,
                        Err(wait) => prop_assert_eq!(hit.retry_after(), wait),
                    }
                }
                Ok(())
            })
        };
        TestRunner::default().run(&(limits.clone(), jumps.clone()), check).unwrap();
    }
}

#[tokio::test]
async fn r060_a_counter_goes_by_itself_and_one_of_no_place_is_not_asked_for() {
    let server = SharedServer::get();
    let ([store, _], prefix) = handles(&server);
    let (key, limit) = (CounterKey::new("test", &[b"x"]), Limit::per_minute(2));
    for _ in 0..3 {
        let _hit = store.hit(&key, limit, now()).wait().await.unwrap();
    }
    let mut client = client(server.url()).await;
    let names: Vec<String> = client.keys(format!("{{{prefix}}}:counter:*")).await.unwrap();
    let left: i64 = client.pttl(&names[0]).await.unwrap();
    assert!(
        names.len() == 1 && (90_000..=120_000).contains(&left),
        "as long as it says something, and a minute: {left}"
    );
    let none = store.hit(&key, Limit::per_minute(0), now());
    assert!(matches!(none, portcullis::maybe_ready::MaybeReady::Now(Ok(hit)) if !hit.is_allowed()));
}

/// The files of a step, as the store puts them together.
macro_rules! step {
    ($($file:literal)+) => {
        concat!("#!lua\n" $(, include_str!(concat!("../../../src/redis/lua/", $file)))+)
    };
}

/// Taken as the store takes it, but with arguments that no service would give.
async fn take(url: &str, prefix: &str, code: &str, login: &str, args: &[&str]) -> i64 {
    let (at, id) = (format!("{{{prefix}}}:"), id(login).to_string());
    let mut eval = ::redis::cmd("EVAL");
    eval.arg(code).arg(1).arg(format!("{at}login:{id}")).arg(at).arg(id).arg(args);
    eval.query_async(&mut client(url).await).await.unwrap()
}

/// Between the end of everybody's logins and the mark on each, or where the subject's epoch was lost.
#[tokio::test]
async fn r060_no_new_secrets_are_kept_for_a_login_whose_epoch_is_not_its_subjects() {
    let rotate = (
        step!("logins.lua" "rotate.lua"),
        ["0", "1", "access", "refresh", "nonce", "1", "2", "3"].as_slice(),
    );
    let rekey = (
        step!("logins.lua" "rekeyed.lua" "rekey.lua"),
        ["0", "1", "access", "refresh", "lineage", "1", "2", "3"].as_slice(),
    );
    for program in BOTH {
        let server = SharedServer::of(program);
        for (code, args) in [rotate, rekey] {
            let ([store, _], prefix) = handles(&server);
            let mut refreshed = login("a", Subject::local("ada"));
            (refreshed.refresh, refreshed.previous) = (Some(digest(2)), Some(digest(3)));
            refreshed.nonce = Some(SecretBytes::new([4; 32]));
            let key = format!("{{{prefix}}}:login:{}", insert(&store, refreshed).await);
            let mut client = client(server.url()).await;
            let subject: Vec<String> = client.keys(format!("{{{prefix}}}:subject:*")).await.unwrap();
            let era = format!("{{{prefix}}}:era");
            let before: String = client.get(&era).await.unwrap();
            let _done: () = client.set(&era, "another").await.unwrap();
            assert_eq!(take(server.url(), &prefix, code, "a", args).await, 0);
            let _done: () = client.del(&era).await.unwrap();
            assert_eq!(take(server.url(), &prefix, code, "a", args).await, 0);
            let _done: () = client.set(&era, before).await.unwrap();
            let _done: () = client.hset(&subject[0], "epoch", "6").await.unwrap();
            assert_eq!(take(server.url(), &prefix, code, "a", args).await, 0);
            assert_eq!(find(&store, &id("a")).await.unwrap().record.generation(), 0);
            let _done: () = client.hset(&subject[0], "epoch", "7").await.unwrap();
            assert_eq!(take(server.url(), &prefix, code, "a", args).await, 1, "with its own it is taken");
            let left: [Option<Vec<u8>>; 3] = client.hmget(&key, &["r", "p", "n"]).await.unwrap();
            let expected = if code == rotate.0 {
                [Some(b"refresh".to_vec()), Some(digest(2).to_bytes()), Some(b"nonce".to_vec())]
            } else {
                [Some(b"refresh".to_vec()), None, None]
            };
            assert_eq!(left, expected, "of what was before, a rekey leaves nothing");
        }
    }
}

#[tokio::test]
async fn r060_a_touch_writes_the_digest_under_the_newest_key() {
    let server = SharedServer::get();
    let ([store, _], prefix) = handles(&server);
    insert(&store, login("a", Subject::local("ada"))).await;
    let long = i64::MAX.to_string();
    let code = step!("logins.lua" "touch.lua");
    let mut digest = String::from("\u{1}\0");
    digest.push_str(&"x".repeat(32));
    let touch = ["0", &long, "5", "", "", &digest, "0"];
    assert_eq!(take(server.url(), &prefix, code, "a", &touch).await, 1);
    let touched = LoginColumns::from(&*find(&store, &id("a")).await.unwrap().record);
    assert_eq!(touched.access.to_bytes(), digest.as_bytes());
    assert_eq!(touched.last_seen, Timestamp::from_millis(5));
}

#[tokio::test]
async fn r060_the_first_use_of_a_pair_is_not_noted_on_a_login_that_has_ended() {
    let server = SharedServer::get();
    let ([store, _], _) = handles(&server);
    for (name, ends) in [("a", false), ("b", true)] {
        let mut login = login(name, Subject::local("ada"));
        login.confirmed_at = Timestamp::NEVER;
        let id = insert(&store, login).await;
        if ends {
            assert!(store.revoke(&id, Revocation::new(now(), RevokeReason::Logout)).await.unwrap());
        }
        store.confirm(&id, 0, Timestamp::from_millis(5)).wait().await.unwrap();
        let confirmed = LoginColumns::from(&*find(&store, &id).await.unwrap().record).confirmed_at;
        assert_eq!(confirmed != Timestamp::NEVER, !ends);
    }
}

/// A change of credentials that keeps one login, while everybody's end.
#[tokio::test]
async fn r060_no_login_is_kept_whose_epoch_is_not_its_subjects() {
    let server = SharedServer::get();
    let ([store, _], prefix) = handles(&server);
    let at = format!("{{{prefix}}}:");
    let kept = insert(&store, login("a", Subject::local("ada"))).await.to_string();
    let mut client = client(server.url()).await;
    let subjects: Vec<String> = client.keys(format!("{at}subject:*")).await.unwrap();
    let name = subjects[0].strip_prefix(&format!("{at}subject:")).unwrap();
    let revoke = async || -> Option<Vec<String>> {
        let mut client = super::client(server.url()).await;
        let mut eval = ::redis::cmd("EVAL");
        eval.arg(step!("logins.lua" "rekeyed.lua" "revoke_subject.lua"))
            .arg(1)
            .arg(&subjects[0])
            .arg(&at)
            .arg(name);
        eval.arg(&["1", "logout", &kept, "0", "1", "access", "refresh", "lineage", "1", "2", "3"]);
        eval.query_async(&mut client).await.unwrap()
    };
    let before = store_era(&server, &at, None).await;
    store_era(&server, &at, Some("another")).await;
    assert_eq!(revoke().await, None);
    store_era(&server, &at, Some(&before)).await;
    assert_eq!(
        find(&store, &id("a")).await.unwrap().epoch,
        Some(Epoch::from_number(7)),
        "nothing was changed"
    );
    assert_eq!(revoke().await, Some(Vec::new()));
    let epochs: [String; 2] = [
        client.hget(&subjects[0], "epoch").await.unwrap(),
        client.hget(format!("{at}login:{kept}"), "e").await.unwrap(),
    ];
    assert_eq!(epochs, ["8", "8"], "it has the raised one");
}

/// The era, and another one in its place.
async fn store_era(server: &SharedServer, at: &str, new: Option<&str>) -> String {
    let mut client = client(server.url()).await;
    let era = format!("{at}era");
    let before = client.get(&era).await.unwrap();
    if let Some(new) = new {
        let _done: () = client.set(&era, new).await.unwrap();
    }
    before
}

/// Who logs in again while everybody's logins are being marked.
#[tokio::test]
async fn r060_a_login_of_the_new_era_is_not_marked_with_those_of_the_old() {
    let server = SharedServer::get();
    let ([store, _], prefix) = handles(&server);
    let at = format!("{{{prefix}}}:");
    insert(&store, login("old", Subject::local("ada"))).await;
    store_era(&server, &at, Some("another")).await;
    for (name, user) in [("new", "ada"), ("newer", "bob")] {
        insert(&store, login(name, Subject::local(user))).await;
    }
    let mut eval = ::redis::cmd("EVAL");
    eval.arg(step!("logins.lua" "mark_dead.lua")).arg(1).arg(format!("{at}logins")).arg(&at);
    eval.arg(&["-", "10", "5", "everyone"]);
    let marked: (u64, String, u64) = eval.query_async(&mut client(server.url()).await).await.unwrap();
    assert_eq!(marked, (3, id("old").to_string(), 1));
    for (name, ended) in [("old", true), ("new", false), ("newer", false)] {
        assert_eq!(find(&store, &id(name)).await.unwrap().record.revoked().is_some(), ended, "{name}");
    }
}

/// The index has doubles; the login has what decides.
#[tokio::test]
async fn r060_no_login_is_purged_a_millisecond_early_however_far_its_end() {
    let server = SharedServer::get();
    let ([store, _], _) = handles(&server);
    let end = Timestamp::from_millis((1 << 53) + 1);
    let mut late = login("late", Subject::local("ada"));
    (late.access_expires, late.absolute_expires) = (end, end);
    insert(&store, late).await;
    for subject in [None, Some(Subject::local("ada"))] {
        let purge = Purge::new(subject, Timestamp::from_millis(1 << 53), 9);
        assert!(store.purge(&purge).await.unwrap().is_empty());
    }
    assert_eq!(store.purge(&Purge::new(None, end, 9)).await.unwrap().len(), 1);
}

//! The arithmetic of the scripts, whose numbers are doubles.

use std::time::Duration;

use portcullis::{
    clock::Timestamp,
    event::RevokeReason,
    identity::Subject,
    store::{
        CounterKey, CounterState, CounterStore, Epoch, Insertion, Keep, Limit, Revocation, SubjectRevocation,
        TokenStore,
    },
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{BOTH, client, find, handles, id, login, now};
use crate::servers::SharedServer;

/// Doubles cannot tell many of these apart.
#[tokio::test]
async fn r060_moments_are_compared_to_the_last_of_their_64_bits() {
    let mut numbers = vec![0, 1, 9, 10, 999, 1_000, i64::MAX - 1, i64::MAX, 9_999_999_999_999_999, 10_000_000_000_000_000];
    numbers.extend([53, 60, 62].into_iter().flat_map(|power| (-2..3).map(move |near| (1_i64 << power) + near)));
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
                let expected = u8::from(one < other) + 2 * u8::from(one.max(other) == one) + 4 * u8::from(one.min(other) == one);
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
        for (place, first) in [0, 1 << 53, i64::MAX as u64, (1 << 63) - 2, 1 << 63, u64::MAX].into_iter().enumerate() {
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
    let server = SharedServer::of(BOTH[0]);
    let ([store, _], _) = handles(&server);
    let (key, limit) = (CounterKey::new("test", &[b"x"]), Limit::per_minute(2));
    for _ in 0..3 {
        let _hit = store.hit(&key, limit, now()).wait().await.unwrap();
    }
    let mut client = client(server.url()).await;
    let names: Vec<String> = ::redis::cmd("KEYS").arg("*:counter:*").query_async(&mut client).await.unwrap();
    for name in names {
        let left: i64 = ::redis::cmd("PTTL").arg(name).query_async(&mut client).await.unwrap();
        assert!(left > 0, "nothing counts for ever");
    }
    let none = store.hit(&key, Limit::per_minute(0), now());
    assert!(matches!(none, portcullis::maybe_ready::MaybeReady::Now(Ok(hit)) if !hit.is_allowed()));
}

//! Values that are put and taken.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Barrier;

use super::bench::{Bench, LATER, LONG, key, value};
use crate::{
    clock::Timestamp,
    store::{OnceKey, OnceStore, OnceValue},
};

pub(super) async fn r060_a_value_is_taken_once(bench: &Bench) {
    let (mine, other) = (key("a"), key("b"));
    assert_eq!(bench.take(&mine, bench.now).await, None, "never put");
    assert!(bench.put(&mine, b"first", bench.at(LONG), bench.now).await);
    assert!(bench.put(&other, b"other", bench.at(LONG), bench.now).await);
    assert_eq!(bench.take(&mine, bench.now).await.as_deref(), Some(&b"first"[..]));
    assert_eq!(bench.take(&mine, bench.now).await, None, "taken");
    assert!(bench.one.take(&mine, bench.now).await.unwrap().is_none());
    assert_eq!(bench.take(&other, bench.now).await.as_deref(), Some(&b"other"[..]));
    assert!(bench.put(&mine, b"second", bench.at(LONG), bench.now).await, "what was taken may be put again");
    assert_eq!(bench.take(&mine, bench.now).await.as_deref(), Some(&b"second"[..]));
}

pub(super) async fn r060_a_value_that_is_there_is_not_replaced(bench: &Bench) {
    let key = key("a");
    assert!(bench.put(&key, b"first", bench.at(LONG), bench.now).await);
    // Nor does it get another end.
    for end in [bench.at(2 * LONG), bench.at(1), Timestamp::NEVER, bench.now] {
        assert!(!bench.two.put(&key, &value(b"second"), end, bench.now).await.unwrap());
        assert!(!bench.put(&key, b"first", end, bench.now).await, "the same once more");
    }
    assert_eq!(bench.take(&key, bench.at(LONG - 1)).await.as_deref(), Some(&b"first"[..]));
    assert!(bench.put(&key, b"first", bench.at(LONG), bench.now).await);
    assert!(!bench.put(&key, b"second", bench.at(2 * LONG), bench.now).await);
    assert_eq!(bench.take(&key, bench.at(LONG)).await, None, "its own end");
}

/// To the millisecond, by the caller's clock.
pub(super) async fn r060_a_value_is_gone_from_its_exact_end_on(bench: &Bench) {
    let end = bench.at(LONG);
    for (name, millis, there) in [("a", -1, true), ("b", 0, false), ("c", 1, false)] {
        assert!(bench.put(&key(name), b"value", end, bench.now).await);
        let taken = bench.take(&key(name), bench.at(LONG + millis)).await;
        assert_eq!(taken.is_some(), there, "{millis} ms after its end");
    }
    // A mark whose end has come is as if it had never been.
    for (name, millis, first) in [("d", -1, false), ("e", 0, true), ("f", 1, true)] {
        assert!(bench.put(&key(name), b"old", end, bench.now).await);
        let again = bench.put(&key(name), b"new", bench.at(2 * LONG), bench.at(LONG + millis)).await;
        assert_eq!(again, first, "{millis} ms after the end");
        let kept = if first { &b"new"[..] } else { &b"old"[..] };
        assert_eq!(bench.take(&key(name), bench.at(LONG - 1)).await.as_deref(), Some(kept));
    }
    // One whose end has come already is not kept, and counts as done where there was none.
    for end in [bench.now, bench.at(-1), bench.at(-LONG), Timestamp::from_millis(0)] {
        assert!(bench.put(&key("g"), b"value", end, bench.now).await);
        assert_eq!(bench.take(&key("g"), bench.now).await, None);
        assert!(bench.put(&key("g"), b"value", end, bench.now).await);
    }
}

pub(super) async fn r060_a_value_without_an_end_stays(bench: &Bench) {
    assert!(bench.put(&key("a"), b"value", Timestamp::NEVER, bench.now).await);
    assert!(bench.put(&key("b"), b"value", Timestamp::NEVER, bench.now).await);
    assert_eq!(bench.one.purge_once(bench.now.plus(LATER), 100).await.unwrap(), 0);
    assert!(!bench.put(&key("a"), b"other", Timestamp::NEVER, bench.now.plus(LATER)).await);
    assert_eq!(bench.take(&key("a"), bench.now.plus(LATER)).await.as_deref(), Some(&b"value"[..]));
    let last = Timestamp::from_millis(i64::MAX - 1);
    assert_eq!(bench.take(&key("b"), last).await.as_deref(), Some(&b"value"[..]));
}

pub(super) async fn r060_values_are_any_bytes_up_to_their_bound(bench: &Bench) {
    let all: Vec<u8> = (0..=255).collect();
    let values = [vec![], vec![0], b"\r\n:'\"\0".to_vec(), all, vec![0xff; OnceValue::MAX]];
    for (number, bytes) in values.iter().enumerate() {
        let key = key(&number.to_string());
        assert!(bench.put(&key, bytes, bench.at(LONG), bench.now).await);
        assert!(bench.take(&key, bench.now).await.as_ref() == Some(bytes), "value {number}");
    }
    let mark = key("mark");
    assert!(bench.one.put(&mark, &OnceValue::mark(), bench.at(LONG), bench.now).await.unwrap());
    assert!(!bench.one.put(&mark, &OnceValue::mark(), bench.at(LONG), bench.now).await.unwrap());
}

pub(super) async fn r060_keys_of_other_purposes_and_parts_are_other_values(bench: &Bench) {
    let keys = [
        OnceKey::new("test", &[b"a", b"b"]),
        OnceKey::new("test", &[b"b", b"a"]),
        OnceKey::new("test", &[b"ab"]),
        OnceKey::new("test", &[b"A", b"b"]),
        OnceKey::new("test", &[b"a", b"b", b""]),
        OnceKey::new("other", &[b"a", b"b"]),
    ];
    for (number, key) in keys.iter().enumerate() {
        assert!(bench.put(key, number.to_string().as_bytes(), bench.at(LONG), bench.now).await);
    }
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(bench.take(key, bench.now).await, Some(number.to_string().into_bytes()));
    }
}

/// So many at once, on both handles; how many say that it was they.
async fn at_once<F>(bench: &Bench, job: impl Fn(Arc<dyn OnceStore>) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let start = Arc::new(Barrier::new(50));
    let tasks = (0..50).map(|number| {
        let (job, start) = (job(bench.handle(number)), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            job.await
        })
    });
    let results = join_all(tasks.collect::<Vec<_>>()).await;
    results.into_iter().filter(|won| *won.as_ref().unwrap()).count()
}

pub(super) async fn r060_of_fifty_consumers_at_once_one_gets_the_value(bench: &Bench) {
    let now = bench.now;
    for round in 0..20 {
        let key = key(&round.to_string());
        assert!(bench.put(&key, b"value", bench.at(LONG), now).await);
        let takers = at_once(bench, |store| async move { store.take(&key, now).await.unwrap().is_some() });
        assert_eq!(takers.await, 1, "round {round}");
    }
}

pub(super) async fn r060_of_fifty_marks_at_once_one_is_first(bench: &Bench) {
    let (now, end) = (bench.now, bench.at(LONG));
    for round in 0..20 {
        let key = key(&round.to_string());
        // Every other round over one that has ended.
        if round % 2 == 1 {
            assert!(bench.put(&key, b"old", bench.at(-1), bench.at(-2)).await);
        }
        let marks =
            at_once(
                bench,
                |store| async move { store.put(&key, &OnceValue::mark(), end, now).await.unwrap() },
            );
        assert_eq!(marks.await, 1, "round {round}");
    }
}

/// As many are taken as were put, however they meet.
pub(super) async fn r060_a_value_is_taken_by_one_while_others_put_it_again(bench: &Bench) {
    let (now, end, key) = (bench.now, bench.at(LONG), key("a"));
    let tasks = (0..8_usize).map(|number| {
        let store = bench.handle(number / 2);
        tokio::spawn(async move {
            let mut done = 0;
            for _ in 0..50 {
                done += usize::from(if number % 2 == 0 {
                    store.put(&key, &value(b"value"), end, now).await.unwrap()
                } else {
                    store.take(&key, now).await.unwrap().is_some()
                });
            }
            (number % 2, done)
        })
    });
    let (mut put, mut taken) = (0, 0);
    for result in join_all(tasks.collect::<Vec<_>>()).await {
        let (side, done) = result.unwrap();
        *(if side == 0 { &mut put } else { &mut taken }) += done;
    }
    taken += usize::from(bench.take(&key, now).await.is_some());
    assert_eq!(put, taken);
}

pub(super) async fn r060_ended_values_are_purged_in_batches(bench: &Bench) {
    let (soon, late) = (bench.at(LONG), bench.at(2 * LONG));
    for number in 0..25 {
        assert!(bench.put(&key(&format!("soon {number}")), b"value", soon, bench.now).await);
        assert!(bench.put(&key(&format!("late {number}")), b"value", late, bench.now).await);
    }
    let purge = async |millis, limit| bench.two.purge_once(bench.at(millis), limit).await.unwrap();
    assert_eq!(purge(LONG - 1, 100).await, 0, "not before their end");
    let mut removed = 0;
    for _ in 0..4 {
        let batch = purge(LONG, 10).await;
        assert!(batch <= 10);
        removed += batch;
    }
    // An engine may remove them by itself.
    assert!(removed == 25 || removed == 0, "{removed}");
    for number in 0..25 {
        let taken = bench.take(&key(&format!("late {number}")), bench.at(LONG)).await;
        assert!(taken.is_some(), "what has not ended stays");
        assert_eq!(bench.take(&key(&format!("soon {number}")), bench.at(LONG)).await, None);
    }
    assert_eq!(purge(3 * LONG, 100).await, 0, "nothing is left");
}

//! How long the last of many tasks waits after the token that all of them wait for is there:
//! `cargo bench --bench token_wait`
//!
//! Ten thousand tasks on two workers wait for one fetch. Compared with a bare broadcast to as many tasks, which
//! wakes them and hands out nothing. Rounds of both are interleaved, so that whatever slows the machine down
//! slows both. Printed are medians over the rounds, in microseconds from the end of the fetch, and the ratio of
//! the last ones.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::Full;
use portcullis::{
    TokenPipeline,
    http_client::HttpClient,
    pipeline::{AccessToken, TokenFn},
    provider::{Ask, TokenProvider},
};
use tokio::sync::{Notify, Semaphore};
use tower::service_fn;

const TASKS: usize = 10_000;
const ROUNDS: usize = 41;

/// Spawns the tasks, waits until all of them wait, lets go, and waits until all are awake. Median and last of the
/// times from the start on, which is when whatever wakes them begins.
async fn herd<F>(
    wait: impl Fn() -> F,
    let_go: impl FnOnce(),
    start: &OnceLock<Instant>,
) -> (Duration, Duration)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (polled, origin) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (wait, polled) = (wait(), Arc::clone(&polled));
            tokio::spawn(async move {
                polled.fetch_add(1, Ordering::Relaxed);
                wait.await;
                origin.elapsed()
            })
        })
        .collect();
    while polled.load(Ordering::Relaxed) < TASKS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The last one may still be on its way from there to where it waits.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let_go();
    let mut times = Vec::with_capacity(TASKS);
    for task in tasks {
        times.push(task.await.expect("it does not panic"));
    }
    times.sort_unstable();
    let start = start.get().expect("it began").saturating_duration_since(origin);
    (times[TASKS / 2].saturating_sub(start), times[TASKS - 1].saturating_sub(start))
}

async fn broadcast() -> (Duration, Duration) {
    let (notify, start) = (Arc::new(Notify::new()), Arc::new(OnceLock::new()));
    let waiting = Arc::clone(&notify);
    let wait = move || {
        let notify = Arc::clone(&waiting);
        async move { notify.notified().await }
    };
    let starting = Arc::clone(&start);
    let let_go = move || {
        tokio::spawn(async move {
            starting.set(Instant::now()).expect("set once");
            notify.notify_waiters();
        });
    };
    herd(wait, let_go, &start).await
}

async fn lease() -> (Duration, Duration) {
    let (gate, start) = (Arc::new(Semaphore::new(0)), Arc::new(OnceLock::new()));
    let (opened, starting) = (Arc::clone(&gate), Arc::clone(&start));
    let step = TokenFn::new("only", move |_| {
        let (gate, start) = (Arc::clone(&opened), Arc::clone(&starting));
        async move {
            let _permit = gate.acquire().await.expect("it is not closed");
            start.set(Instant::now()).expect("there is one fetch");
            AccessToken::new("0123456789012345678901234567890123456789")
        }
    });
    let http = HttpClient::new(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let pipeline = TokenPipeline::builder("bench").http(http).step(step).build().expect("a pipeline");
    let provider = pipeline.provider();
    let wait = move || {
        let lease = provider.lease(&Ask::new(&Extensions::new())).wait();
        async move { drop(lease.await.expect("a token")) }
    };
    herd(wait, || gate.add_permits(1), &start).await
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn main() {
    // `cargo test --benches` and `cargo nextest` ask for a list or a run of tests; there are none here.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let (mut bare, mut ours) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for round in 0..=ROUNDS {
        let (broadcast, lease) = runtime.block_on(async {
            tokio::spawn(async { (broadcast().await, lease().await) }).await.expect("it does not panic")
        });
        // The first round warms up.
        if round > 0 {
            bare.0.push(broadcast.0);
            bare.1.push(broadcast.1);
            ours.0.push(lease.0);
            ours.1.push(lease.1);
        }
    }
    let ratio = median(ours.1.clone()) / median(bare.1.clone());
    println!("{TASKS} tasks that wait for one token, microseconds from the end of its fetch");
    println!("{:<28} {:>9} {:>9}", "", "median", "last");
    println!("{:<28} {:>9.0} {:>9.0}", "a bare broadcast", median(bare.0), median(bare.1));
    println!("{:<28} {:>9.0} {:>9.0}", "a token, one fetch", median(ours.0), median(ours.1));
    println!("the last one: {ratio:.2} times the broadcast's");
}

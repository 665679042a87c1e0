//! Many at once: real threads, and ten thousand who wait for one token.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::Extensions;
use portcullis::{
    TokenPipeline,
    maybe_ready::MaybeReady,
    pipeline::{AccessToken, Fetch, PipelineProvider, TokenFetcher},
    provider::{Ask, Lease, TokenError, TokenErrorKind, TokenProvider},
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::idp::{Idp, Leased};

/// What all steps of a run have in common: a clock of their own, which ticks with every exchange that begins.
#[derive(Default)]
struct Ticks {
    last: AtomicU64,
    exchanges: AtomicUsize,
}

/// A step whose token says when its exchange began, and what it was made from: `<tick>` or `<tick>.<parent's>`.
struct Ticking {
    name: &'static str,
    needs: Vec<String>,
    ticks: Arc<Ticks>,
    under_way: AtomicUsize,
}

impl Ticking {
    fn new(name: &'static str, needs: Option<&str>, ticks: &Arc<Ticks>) -> Self {
        let needs = needs.into_iter().map(str::to_owned).collect();
        Self { name, needs, ticks: Arc::clone(ticks), under_way: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl TokenFetcher for Ticking {
    fn name(&self) -> &str {
        self.name
    }

    fn depends_on(&self) -> &[String] {
        &self.needs
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<AccessToken, TokenError> {
        assert_eq!(self.under_way.fetch_add(1, Ordering::SeqCst), 0, "one exchange of a step at a time");
        let tick = self.ticks.last.fetch_add(1, Ordering::SeqCst) + 1;
        let exchange = self.ticks.exchanges.fetch_add(1, Ordering::SeqCst);
        for _ in 0..exchange % 4 {
            tokio::task::yield_now().await;
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if exchange % 17 == 13 {
            return Err(TokenError::new(TokenErrorKind::Transport));
        }
        let parent = match self.needs.first() {
            Some(parent) => format!(".{}", fetch.token(parent)?.value().expose()),
            None => String::new(),
        };
        Ok(AccessToken::new(format!("{tick}{parent}"))?.with_lifetime(Duration::from_secs(3600)))
    }
}

/// The ticks of user, app and device.
fn ticks(lease: &Lease) -> [u64; 3] {
    let text = lease.value().to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let ticks: Vec<u64> = text.split('.').map(|tick| tick.parse().unwrap()).collect();
    ticks.try_into().unwrap()
}

/// Every one of these holds at every moment, whatever the others do:
/// what is handed out after an invalidation has returned was begun after it was called; a refused token never
/// comes back; a renewal's token was begun after the call; a step has one exchange at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r206_threads_that_lease_reject_drop_and_renew_never_see_an_old_token() {
    let shared = Arc::new(Ticks::default());
    let builder = TokenPipeline::builder("threads")
        .http(Idp::counting().client())
        .rejection_cooldown(Duration::ZERO)
        .step(Ticking::new("device", None, &shared))
        .step(Ticking::new("app", Some("device"), &shared))
        .step(Ticking::new("user", Some("app"), &shared));
    let pipeline = builder.build().unwrap();
    let mut tasks = JoinSet::new();
    for worker in 0..8_u64 {
        let (pipeline, shared) = (pipeline.clone(), Arc::clone(&shared));
        tasks.spawn(async move {
            let provider = pipeline.provider();
            for round in 0..400_u64 {
                let now = || shared.last.load(Ordering::SeqCst);
                match (worker * 7 + round * 13) % 11 {
                    0 => {
                        let before = now();
                        pipeline.invalidate("device").unwrap();
                        let Some(lease) = lease(&provider).await else { continue };
                        assert!(
                            ticks(&lease).iter().all(|tick| *tick > before),
                            "{:?} {before}",
                            ticks(&lease)
                        );
                    }
                    1 => {
                        let before = now();
                        pipeline.invalidate("app").unwrap();
                        let Some(lease) = lease(&provider).await else { continue };
                        assert!(ticks(&lease)[..2].iter().all(|tick| *tick > before));
                    }
                    2 => {
                        let before = now();
                        let Ok(token) = pipeline.refresh().await else { continue };
                        let user = token.value().expose().split('.').next().unwrap().parse::<u64>().unwrap();
                        assert!(user > before);
                    }
                    3 if round % 4 == 0 => {
                        let before = now();
                        let Ok(token) = pipeline.force_refresh().await else { continue };
                        let ticks =
                            token.value().expose().split('.').map(|tick| tick.parse::<u64>().unwrap());
                        assert!(ticks.into_iter().all(|tick| tick > before));
                    }
                    4 | 5 => {
                        let Some(rejected) = lease(&provider).await else { continue };
                        if let Ok(Some(newer)) = provider.newer_than(&rejected).wait().await {
                            assert!(newer.generation() > rejected.generation());
                            assert!(ticks(&newer)[0] > ticks(&rejected)[0]);
                        }
                        let Some(again) = lease(&provider).await else { continue };
                        assert!(again.generation() > rejected.generation());
                    }
                    _ => {
                        let Some(lease) = lease(&provider).await else { continue };
                        let [user, app, device] = ticks(&lease);
                        assert!(user > app && app > device);
                    }
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(shared.exchanges.load(Ordering::SeqCst) > 500);
}

/// Failures are part of the game; while the endpoint is left alone there is nothing to see.
async fn lease(provider: &PipelineProvider) -> Option<Arc<Lease>> {
    loop {
        match provider.leased().await {
            Ok(lease) => return Some(lease),
            Err(error) if error.kind() == TokenErrorKind::Transport => match error.retry_after() {
                Some(_) => return None,
                None => tokio::task::yield_now().await,
            },
            Err(error) => panic!("{error}"),
        }
    }
}

/// The fetch ends when the permit comes.
fn gated() -> (PipelineProvider, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, fetches) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, counted) = (Arc::clone(&gate), Arc::clone(&fetches));
    let step = portcullis::pipeline::TokenFn::new("only", move |_| {
        let (gate, fetches) = (Arc::clone(&opened), Arc::clone(&counted));
        async move {
            fetches.fetch_add(1, Ordering::SeqCst);
            let _permit = gate.acquire().await.unwrap();
            AccessToken::new("t")
        }
    });
    let builder = TokenPipeline::builder("herd").http(Idp::counting().client()).step(step);
    (builder.build().unwrap().provider(), gate, fetches)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r111_ten_thousand_who_wait_share_one_fetch() {
    let (provider, gate, fetches) = gated();
    let waiting = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..10_000)
        .map(|_| {
            let (lease, waiting) = (provider.leased(), Arc::clone(&waiting));
            tokio::spawn(async move {
                waiting.fetch_add(1, Ordering::SeqCst);
                lease.await.unwrap().generation()
            })
        })
        .collect();
    while waiting.load(Ordering::SeqCst) < 10_000 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    assert!(matches!(provider.lease(&Ask::new(&Extensions::new())), MaybeReady::Now(Ok(_))));
}

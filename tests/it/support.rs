//! Fixtures: a clock, a store that can be slow or down, an event log, answers taken apart.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use http_body_util::{BodyExt, Full};
use portcullis::{
    AuthLayer, TokenPolicy, TokenService,
    clock::{ManualClock, Timestamp},
    credential::Channel,
    event::{Event, Observer, Reporter},
    identity::{AuthContext, Subject},
    inbound::AuthLayerBuilder,
    maybe_ready::MaybeReady,
    problem::{ProblemReply, Reason, Rejection},
    store::{
        Data, Epoch, Found, Inserted, Insertion, ListQuery, LoginRecord, MemoryStore, Purge, Rekey,
        Revocation, Rotation, StoreError, StoreErrorKind, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
    token::{IssueOptions, Issued, RefreshRequest},
    verify::Refusal,
};
use tokio::sync::{Barrier, Semaphore};
use tower::{Layer, ServiceExt, service_fn};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// ===== events =====

/// What was reported so far.
pub(crate) struct Events {
    log: Log,
    reporter: Reporter,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Event>>>);

impl Events {
    fn new() -> Self {
        let log = Log::default();
        Self { reporter: Reporter::default().observer(log.clone()), log }
    }

    /// For another service or layer that reports to the same place.
    pub(crate) fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.reporter.flush();
        self.log.0.lock().unwrap().clone()
    }

    /// What is not the trace of honest work: logins, refreshes and logouts leave one event each.
    pub(crate) fn incidents(&self) -> Vec<Event> {
        const HONEST: [&str; 4] =
            ["authn_token_created", "token_refreshed", "session_renewed", "authn_token_revoked"];
        self.all().into_iter().filter(|event| !HONEST.contains(&event.name())).collect()
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.all().iter().filter(|event| event.name() == name).count()
    }
}

impl Observer for Log {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

// ===== store =====

/// How a [`ProbeStore`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// At once.
    Now,
    /// After a turn of the executor, as a store on a network does.
    Later,
    /// With an error, at once.
    Down,
    /// With an error, after a turn.
    DownLater,
    /// At once, but every conditional write finds that somebody was faster.
    AlwaysLate,
    /// At once, with the epoch of a subject whose logins were all ended.
    NextEpoch,
    /// At once, without the subject's epoch.
    NoEpoch,
    /// Reads as ever; every write fails, after a turn.
    ReadOnly,
    /// Reads panic, after a turn.
    Broken,
}

/// A memory store that counts and can be slow or down.
#[derive(Clone)]
pub(crate) struct ProbeStore {
    pub(crate) memory: MemoryStore,
    probe: Arc<Probe>,
}

#[derive(Default)]
struct Probe {
    mode: AtomicU8,
    finds: AtomicUsize,
    writes: AtomicUsize,
    /// Touches that changed a record.
    touches: AtomicUsize,
    /// What touches of a slow store wait for.
    gate: Mutex<Option<Arc<Semaphore>>>,
    /// What answers of a slow store wait for, once it has read.
    answers: Mutex<Option<Arc<Semaphore>>>,
    /// Lets a whole crowd read before the first of them goes on; and how many reads still pass it.
    crowd: Mutex<Option<(Arc<Barrier>, usize)>>,
}

impl ProbeStore {
    pub(crate) fn new() -> Self {
        Self { memory: MemoryStore::new(), probe: Arc::default() }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.probe.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// The next `size` reads wait for one another; later ones do not.
    pub(crate) fn gather(&self, size: usize) {
        *self.probe.crowd.lock().unwrap() = Some((Arc::new(Barrier::new(size)), size));
    }

    fn barrier(&self) -> Option<Arc<Barrier>> {
        let mut crowd = self.probe.crowd.lock().unwrap();
        let (barrier, left) = crowd.as_mut()?;
        *left = left.checked_sub(1)?;
        Some(Arc::clone(barrier))
    }

    fn mode(&self) -> Mode {
        match self.probe.mode.load(Ordering::SeqCst) {
            0 => Mode::Now,
            1 => Mode::Later,
            2 => Mode::Down,
            3 => Mode::DownLater,
            4 => Mode::AlwaysLate,
            5 => Mode::NextEpoch,
            6 => Mode::NoEpoch,
            7 => Mode::ReadOnly,
            _ => Mode::Broken,
        }
    }

    pub(crate) fn finds(&self) -> usize {
        self.probe.finds.load(Ordering::SeqCst)
    }

    pub(crate) fn touches(&self) -> usize {
        self.probe.touches.load(Ordering::SeqCst)
    }

    /// From now on touches of a slow store wait until permits are added.
    pub(crate) fn hold_touches(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.probe.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// From now on a slow store that has read a login waits with its answer until permits are added.
    pub(crate) fn hold_answers(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.probe.answers.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    pub(crate) fn writes(&self) -> usize {
        self.probe.writes.load(Ordering::SeqCst)
    }

    /// The record as it rests: the same allocation as long as nothing was written.
    pub(crate) async fn record(&self, id: &TokenId) -> Arc<LoginRecord> {
        self.memory.find(id).wait().await.unwrap().unwrap().record
    }

    async fn write(&self) -> Result<(), StoreError> {
        if matches!(self.mode(), Mode::Later | Mode::DownLater | Mode::ReadOnly) {
            tokio::task::yield_now().await;
        }
        if matches!(self.mode(), Mode::Down | Mode::DownLater | Mode::ReadOnly) {
            return Err(down());
        }
        self.probe.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn down() -> StoreError {
    StoreError::unavailable("planted-store-trouble")
}

#[async_trait]
impl TokenStore for ProbeStore {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        self.probe.finds.fetch_add(1, Ordering::SeqCst);
        let (memory, id) = (self.memory.clone(), *id);
        if let Some(barrier) = self.barrier() {
            return MaybeReady::later(async move {
                let found = memory.find(&id).wait().await;
                barrier.wait().await;
                found
            });
        }
        match self.mode() {
            Mode::Now | Mode::AlwaysLate | Mode::ReadOnly => memory.find(&id),
            mode @ (Mode::NextEpoch | Mode::NoEpoch) => MaybeReady::later(async move {
                let found = memory.find(&id).wait().await?;
                Ok(found.map(|mut found| {
                    found.epoch = found.epoch.filter(|_| mode == Mode::NextEpoch).map(Epoch::next);
                    found
                }))
            }),
            Mode::Down => MaybeReady::Now(Err(down())),
            Mode::Later => {
                let gate = self.probe.answers.lock().unwrap().clone();
                MaybeReady::later(async move {
                    tokio::task::yield_now().await;
                    let found = memory.find(&id).wait().await;
                    if let Some(gate) = gate {
                        let _open = gate.acquire().await.expect("the gate is never closed");
                    }
                    found
                })
            }
            Mode::DownLater => MaybeReady::later(async {
                tokio::task::yield_now().await;
                Err(down())
            }),
            Mode::Broken => MaybeReady::later(async {
                tokio::task::yield_now().await;
                panic!("planted");
            }),
        }
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        self.write().await?;
        self.memory.insert(record, insertion).await
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        self.write().await?;
        if self.mode() == Mode::AlwaysLate {
            return Ok(false);
        }
        self.memory.rotate(id, rotation).await
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        self.write().await?;
        self.memory.grace_hit(id, generation, cap).await
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        let (this, id) = (self.clone(), *id);
        match self.mode() {
            Mode::Now | Mode::AlwaysLate | Mode::NextEpoch | Mode::NoEpoch => {
                self.probe.writes.fetch_add(1, Ordering::SeqCst);
                self.memory.confirm(&id, generation, now)
            }
            Mode::Down => MaybeReady::Now(Err(down())),
            _ => MaybeReady::later(async move {
                this.write().await?;
                this.memory.confirm(&id, generation, now).wait().await
            }),
        }
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        self.write().await?;
        self.memory.revoke(id, revocation).await
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        let (this, id) = (self.clone(), *id);
        match self.mode() {
            Mode::Now | Mode::NextEpoch | Mode::NoEpoch => {
                let touched = self.memory.touch(&id, touch);
                if matches!(touched, MaybeReady::Now(Ok(true))) {
                    self.probe.touches.fetch_add(1, Ordering::SeqCst);
                }
                touched
            }
            Mode::AlwaysLate => MaybeReady::Now(Ok(false)),
            Mode::Down => MaybeReady::Now(Err(down())),
            _ => MaybeReady::later(async move {
                this.write().await?;
                let gate = this.probe.gate.lock().unwrap().clone();
                if let Some(gate) = gate {
                    let _open = gate.acquire().await.expect("the gate is never closed");
                }
                let touched = this.memory.touch(&id, touch).wait().await;
                if matches!(touched, Ok(true)) {
                    this.probe.touches.fetch_add(1, Ordering::SeqCst);
                }
                touched
            }),
        }
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        self.write().await?;
        if self.mode() == Mode::AlwaysLate {
            return Ok(false);
        }
        self.memory.rekey(id, rekey).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        self.write().await?;
        if self.mode() == Mode::AlwaysLate {
            return Ok(false);
        }
        self.memory.save_data(id, version, data).await
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        self.write().await?;
        self.memory.set_label(id, label).await
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        self.write().await?;
        self.memory.revoke_subject(subject, what).await
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        self.write().await?;
        self.memory.revoke_everyone(revocation).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        if matches!(self.mode(), Mode::Down | Mode::DownLater) {
            return Err(down());
        }
        self.memory.list(query).await
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        self.write().await?;
        self.memory.purge(purge).await
    }

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        self.write().await?;
        self.memory.wipe_nonces(settled_before).await
    }
}

#[test]
fn a_probe_that_is_down_says_so() {
    assert_eq!(down().kind(), StoreErrorKind::Unavailable);
}

// ===== tokens =====

pub(crate) struct Fixture {
    pub(crate) time: ManualClock,
    pub(crate) store: ProbeStore,
    pub(crate) events: Events,
    pub(crate) tokens: TokenService,
}

pub(crate) fn fixture() -> Fixture {
    fixture_with(TokenPolicy::default())
}

pub(crate) fn fixture_with(policy: TokenPolicy) -> Fixture {
    let (time, store, events) = (ManualClock::new(START), ProbeStore::new(), Events::new());
    let tokens = TokenService::new(store.clone(), policy).clock(time.clock()).reporter(events.reporter());
    Fixture { time, store, events, tokens }
}

impl Fixture {
    pub(crate) async fn login(&self, user: &str) -> Issued {
        self.tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap()
    }

    pub(crate) async fn cookie_login(&self, user: &str) -> Issued {
        self.tokens.issue_for_cookie(Subject::local(user), IssueOptions::default()).await.unwrap()
    }

    pub(crate) async fn refresh(&self, text: &str) -> Result<Issued, Reason> {
        invalid(self.tokens.refresh(RefreshRequest::new(text, Channel::Header)).await)
    }

    pub(crate) async fn verify(&self, text: &str) -> Result<(), Reason> {
        invalid(self.tokens.verify(text, None).await).map(|_| ())
    }

    /// A layer whose clock is this fixture's.
    pub(crate) fn layer(&self) -> AuthLayerBuilder<Subject> {
        AuthLayer::new(self.tokens.clone()).clock(self.time.clock())
    }
}

/// The outcome without the third: a test that meets "could not check" here has failed.
#[track_caller]
pub(crate) fn invalid<T>(outcome: Result<T, Refusal>) -> Result<T, Reason> {
    outcome.map_err(|refusal| match refusal {
        Refusal::Invalid(reason) => reason,
        Refusal::Unavailable(error) => panic!("could not check: {error}"),
    })
}

pub(crate) fn refresh_text(issued: &Issued) -> String {
    issued.refresh().expect("a refresh token").expose().to_owned()
}

// ===== requests =====

pub(crate) type Body = Full<Bytes>;

pub(crate) fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let mut builder = Request::builder();
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::default()).unwrap()
}

pub(crate) fn bearer(text: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Bearer {text}"))
}

/// An answer taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) rejection: Option<Rejection>,
}

impl Answer {
    pub(crate) async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
            rejection: parts.extensions.get().cloned(),
        }
    }

    pub(crate) fn challenges(&self) -> Vec<&str> {
        self.headers.get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.rejection.as_ref().map(Rejection::reason)
    }

    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("a problem body");
        body["code"].as_str().expect("a code").to_owned()
    }
}

/// Sends a request through the layer to a handler that answers `<user> <channel> <scheme>`, or `anonymous`.
pub(crate) async fn ask(builder: AuthLayerBuilder<Subject>, request: Request<Body>) -> Answer {
    ask_layer(&builder.build().expect("a valid layer"), request).await
}

pub(crate) async fn ask_layer(layer: &AuthLayer<Subject, ProblemReply>, request: Request<Body>) -> Answer {
    let service = layer.layer(service_fn(|request: Request<Body>| async move {
        let context = request.extensions().get::<AuthContext>().expect("the layer's extension");
        let text = match context.auth::<Subject>().expect("the layer's identity") {
            None => "anonymous".to_owned(),
            Some(auth) => {
                let channel = auth.evidence().channel().as_str();
                format!("{} {channel} {}", auth.user().id(), auth.scheme())
            }
        };
        Ok::<_, Infallible>(Response::new(Body::from(text)))
    }));
    Answer::of(service.oneshot(request).await.unwrap()).await
}

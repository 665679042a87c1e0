//! Pipelines that share their tokens: each is a process of its own, as far as it knows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures_util::future::join_all;
use portcullis::{
    TokenPipeline,
    clock::{Clock, PausedClock},
    keyring::{Key, KeyRing},
    pipeline::{
        AccessToken, ClientAuth, PasswordGrant, RefreshTokenGrant, SharedLeases, StaticToken, TokenFn,
        TokenPipelineBuilder,
    },
    provider::{TokenErrorKind, TokenEvent, TokenProvider},
    secret::Secret,
    store::{LeaseStore, LockOwner, MemoryLeases},
};

use super::faulty::{Fault, FaultyLeases};
use crate::{
    idp::{Call, Idp, Leased, Reply, settle, status, step, token},
    support::{START, secs},
};

/// One store, one key, one server.
struct Site {
    clock: Clock,
    memory: MemoryLeases,
    ring: KeyRing,
    idp: Idp,
}

/// A process: a pipeline with a handle of its own, and how each of its tokens was had.
struct Process {
    pipeline: TokenPipeline,
    store: FaultyLeases,
    had: Arc<Mutex<Vec<String>>>,
    /// Seconds that an exchange has taken, that others were waited for, and that the token lives.
    times: Arc<Mutex<Vec<[u64; 3]>>>,
}

impl Site {
    fn new(idp: Idp) -> Self {
        let clock = PausedClock::starting_at(START);
        let memory = MemoryLeases::with_clock(clock.clone());
        Self { clock, memory, ring: KeyRing::new(Key::generate().unwrap()), idp }
    }

    fn counting() -> Self {
        Self::new(Idp::counting())
    }

    fn process(&self, steps: impl FnOnce(TokenPipelineBuilder) -> TokenPipelineBuilder) -> Process {
        let store = FaultyLeases::new(self.memory.clone());
        let shared = SharedLeases::sealed("shop", store.clone(), self.ring.clone());
        let had: Arc<Mutex<Vec<String>>> = Arc::default();
        let times: Arc<Mutex<Vec<[u64; 3]>>> = Arc::default();
        let (noted, timed, clock) = (Arc::clone(&had), Arc::clone(&times), self.clock.clone());
        let note = move |event: &TokenEvent<'_>| {
            if let TokenEvent::Fetched { step, kind, took, waited, life, ends, .. } = event {
                noted.lock().unwrap().push(format!("{step} {}", kind.as_str()));
                timed.lock().unwrap().push([*took, *waited, *life].map(|span| span.as_secs()));
                assert_eq!(*ends, clock.now().plus(*life));
            }
        };
        let builder = self.idp.pipeline_at(self.clock.clone()).on_event(note);
        let shared = shared.clock(self.clock.clone()).build().unwrap();
        Process { pipeline: steps(builder.shared(shared)).build().unwrap(), store, had, times }
    }

    fn asked(&self) -> Vec<String> {
        self.idp.names()
    }

    fn asked_since(&self, before: usize) -> Vec<String> {
        self.idp.names()[before..].to_vec()
    }
}

impl Process {
    async fn token(&self) -> String {
        self.pipeline.token().await.unwrap().value().expose().to_owned()
    }

    async fn fails(&self) -> TokenErrorKind {
        self.pipeline.token().await.unwrap_err().kind()
    }

    /// What the API's refusal of the present token leads to.
    async fn refused(&self) -> String {
        let provider = self.pipeline.provider();
        let rejected = provider.leased().await.unwrap();
        let newer = provider.newer_than(&rejected).wait().await.unwrap().unwrap();
        newer.value().to_str().unwrap().trim_start_matches("Bearer ").to_owned()
    }

    fn had(&self) -> Vec<String> {
        std::mem::take(&mut self.had.lock().unwrap())
    }
}

fn one(builder: TokenPipelineBuilder) -> TokenPipelineBuilder {
    builder.step(step("app"))
}

/// app -> user
fn chain(builder: TokenPipelineBuilder) -> TokenPipelineBuilder {
    builder.step(step("app")).step(step("user").header_from("x-app", "app"))
}

fn user(builder: TokenPipelineBuilder) -> TokenPipelineBuilder {
    let client = ClientAuth::public("me");
    builder.step(PasswordGrant::new("user", "https://idp.test/v1/user", client, "ada", "word"))
}

/// A server whose refresh tokens, `r1` the first, work once. Another one, or the same again, is refused.
fn rotating() -> Idp {
    let live = Mutex::new("r0".to_owned());
    Idp::new(move |call, number| {
        let form: HashMap<String, String> =
            form_urlencoded::parse(call.body.as_bytes()).into_owned().collect();
        let mut live = live.lock().unwrap();
        if form.get("refresh_token").is_some_and(|refresh| *refresh != *live) {
            return status(400, r#"{"error":"invalid_grant"}"#);
        }
        *live = format!("r{number}");
        Reply::After(
            secs(1),
            format!(r#"{{"access_token":"t{number}","expires_in":3600,"refresh_token":"r{number}"}}"#),
        )
    })
}

/// `password`, or the refresh token that was sent.
fn sent(idp: &Idp) -> Vec<String> {
    let grant = |call: &Call| {
        let form: HashMap<String, String> =
            form_urlencoded::parse(call.body.as_bytes()).into_owned().collect();
        form.get("refresh_token").unwrap_or(&form["grant_type"]).clone()
    };
    idp.calls().iter().map(grant).collect()
}

// ===== taking over =====

#[tokio::test(start_paused = true)]
async fn r207_processes_that_begin_together_fetch_each_step_once() {
    let site = Site::new(Idp::new(|call, number| {
        Reply::After(secs(1), token(&format!("{}-{number}", call.name())))
    }));
    let processes: Vec<Process> = (0..5).map(|_| site.process(chain)).collect();
    let tokens = join_all(processes.iter().map(Process::token)).await;
    assert_eq!(tokens, ["user-1"; 5]);
    assert_eq!(site.asked(), ["app", "user"]);
    let kinds: Vec<Vec<String>> = processes.iter().map(Process::had).collect();
    let fetched = kinds.iter().flatten().filter(|had| had.ends_with(" fetch")).count();
    assert_eq!(fetched, 2, "{kinds:?}");
    assert!(kinds.iter().flatten().all(|had| had.ends_with(" fetch") || had.ends_with(" shared")));
    // Two seconds in all: what one process has fetched the others have waited for.
    for process in &processes {
        let times = process.times.lock().unwrap();
        let [took, waited]: [u64; 2] =
            std::array::from_fn(|index| times.iter().map(|times| times[index]).sum());
        assert!(took + waited >= 1 && took <= 2 && waited <= 2, "{times:?}");
        assert!(times.iter().all(|[.., life]| (3598..=3600).contains(life)), "{times:?}");
    }
    let took: u64 = processes
        .iter()
        .flat_map(|process| process.times.lock().unwrap().clone())
        .map(|times| times[0])
        .sum();
    assert_eq!(took, 2);
}

#[tokio::test(start_paused = true)]
async fn r102_a_shared_token_is_taken_over_without_those_that_it_was_made_from() {
    let site = Site::counting();
    site.process(chain).token().await;
    let late = site.process(chain);
    assert_eq!(late.token().await, "user-1");
    assert_eq!((late.had(), site.asked().len()), (vec!["user shared".to_owned()], 2));
    // Nor is one asked for when the earlier one has ended.
    let short = |builder: TokenPipelineBuilder| {
        builder.step(step("app").ttl(secs(60))).step(step("user").header_from("x-app", "app"))
    };
    let site = Site::counting();
    site.process(short).token().await;
    tokio::time::advance(secs(600)).await;
    assert_eq!(site.process(short).token().await, "user-1");
    assert_eq!(site.asked(), ["app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r092_the_windows_of_a_token_that_is_taken_over_are_those_of_its_whole_life() {
    let site = Site::counting();
    let first = site.process(one);
    first.token().await;
    tokio::time::advance(secs(3000)).await;
    // Ten minutes are left: it is renewed ahead, here as there, once.
    let late = site.process(one);
    assert_eq!(late.token().await, "app-1");
    assert_eq!(late.token().await, "app-1");
    settle().await;
    assert_eq!((late.token().await.as_str(), first.token().await.as_str()), ("app-2", "app-1"));
    settle().await;
    assert_eq!(first.token().await, "app-2");
    assert_eq!(site.asked(), ["app"; 2]);
    assert_eq!((late.had(), first.had()), (words("app shared, app fetch"), words("app fetch, app shared")));
    // What is too old to be sent is not taken over.
    let site = Site::counting();
    let margin = |builder: TokenPipelineBuilder| builder.step(step("app").ttl(secs(60)));
    site.process(margin).token().await;
    tokio::time::advance(secs(53)).await;
    assert_eq!(site.process(margin).token().await, "app-1", "seven seconds are more than a tenth");
    tokio::time::advance(secs(2)).await;
    assert_eq!(site.process(margin).token().await, "app-2");
}

fn words(text: &str) -> Vec<String> {
    text.split(", ").map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn r092_when_its_endpoint_wants_a_token_renewed_counts_from_its_fetch() {
    let site = Site::new(Idp::new(|_, number| {
        Reply::Json(format!(r#"{{"access_token":"t{number}","expires_in":7200,"refresh_in":1000}}"#))
    }));
    site.process(one).token().await;
    tokio::time::advance(secs(600)).await;
    let late = site.process(one);
    for (wait, expected) in [(0, "t1"), (399, "t1"), (1, "t1"), (0, "t2")] {
        tokio::time::advance(secs(wait)).await;
        assert_eq!(late.token().await, expected, "{wait}");
        settle().await;
    }
}

/// Somebody has stored a newer one that ends sooner.
#[tokio::test(start_paused = true)]
async fn r092_a_renewal_ahead_takes_over_only_what_lives_longer() {
    let site = Site::counting();
    let here = site.process(one);
    here.token().await;
    let short = site.process(|builder| builder.step(step("app").ttl(secs(100))));
    short.token().await;
    tokio::time::advance(secs(2700)).await;
    short.pipeline.force_refresh().await.unwrap();
    here.token().await;
    settle().await;
    assert_eq!((here.token().await.as_str(), here.had()), ("app-3", words("app fetch, app fetch")));
}

// ===== refused tokens =====

#[tokio::test(start_paused = true)]
async fn r207_a_token_that_all_were_refused_is_fetched_once() {
    let site = Site::counting();
    let processes: Vec<Process> = (0..4).map(|_| site.process(one)).collect();
    for process in &processes {
        assert_eq!(process.token().await, "app-1");
    }
    let at_once = join_all(processes[..3].iter().map(Process::refused)).await;
    assert_eq!(at_once, ["app-2"; 3]);
    // Hours later, one that has not been used since.
    tokio::time::advance(secs(2000)).await;
    assert_eq!(processes[3].refused().await, "app-2");
    assert_eq!(site.asked(), ["app"; 2]);
}

#[tokio::test(start_paused = true)]
async fn r207_what_was_made_from_a_refused_token_is_not_taken_over() {
    let site = Site::counting();
    let builder = |builder: TokenPipelineBuilder| chain(builder).refresh_from("app");
    let (one, two) = (site.process(builder), site.process(builder));
    assert_eq!((one.token().await.as_str(), two.token().await.as_str()), ("user-1", "user-1"));
    assert_eq!(one.refused().await, "user-2");
    assert_eq!(site.asked_since(2), ["app", "user"]);
    // Its own report comes late: both new tokens are there.
    tokio::time::advance(secs(60)).await;
    assert_eq!(two.refused().await, "user-2");
    assert_eq!(site.asked().len(), 4, "{:?}", two.had());
}

/// It has never had the tokens that the refused one was made from: what it knows of them is the version of the last.
#[tokio::test(start_paused = true)]
async fn r207_earlier_tokens_that_were_never_seen_are_fetched_anew_for_a_refused_one() {
    let (mut asked, from) = (Vec::new(), ["user", "app", "device"]);
    for root in from {
        let site = Site::counting();
        let builder = |builder: TokenPipelineBuilder| {
            let (device, app) = (step("device"), step("app").header_from("x-device", "device"));
            builder.step(device).step(app).step(step("user").header_from("x-app", "app")).refresh_from(root)
        };
        site.process(builder).token().await;
        tokio::time::advance(secs(60)).await;
        let late = site.process(builder);
        assert_eq!(late.token().await, "user-1");
        assert_eq!(late.refused().await, "user-2");
        asked.push(site.asked_since(3));
    }
    assert_eq!(asked, [words("user"), words("app, user"), words("device, app, user")]);
}

#[tokio::test(start_paused = true)]
async fn r111_an_earlier_token_that_was_taken_over_can_be_to_blame() {
    // The server forgets the first `app` token.
    let site = Site::new(Idp::new(|call, number| {
        if call.headers.get("x-app").is_some_and(|app| app == "app-1") {
            return status(401, "");
        }
        Reply::Json(token(&format!("{}-{number}", call.name())))
    }));
    site.process(one).token().await;
    let late = site.process(chain);
    assert_eq!(late.token().await, "user-2");
    assert_eq!(site.asked(), ["app", "user", "app", "user"]);
    assert_eq!(late.had(), ["app shared", "app fetch", "user fetch"]);
}

// ===== dropped and renewed tokens =====

#[tokio::test(start_paused = true)]
async fn r107_what_was_invalidated_is_not_taken_over_again() {
    for (dropped, expected) in [("user", vec!["user"]), ("app", vec!["app", "user"])] {
        let site = Site::counting();
        let (here, there) = (site.process(chain), site.process(chain));
        here.token().await;
        there.token().await;
        tokio::time::advance(secs(10)).await;
        here.pipeline.invalidate(dropped).unwrap();
        assert_eq!(here.token().await, "user-2", "{dropped}");
        assert_eq!(site.asked_since(2), expected);
        // Nobody has told the others, and they need not know.
        assert_eq!(there.token().await, "user-1");
        assert_eq!(there.refused().await, "user-2");
        assert_eq!(site.asked().len(), 2 + expected.len());
    }
}

#[tokio::test(start_paused = true)]
async fn r107_what_was_invalidated_before_it_was_seen_is_not_taken_over() {
    let site = Site::counting();
    site.process(chain).token().await;
    tokio::time::advance(secs(10)).await;
    for (dropped, expected) in [("user", vec!["user"]), ("app", vec!["app", "user"])] {
        let asked = site.asked().len();
        let late = site.process(chain);
        late.pipeline.invalidate(dropped).unwrap();
        late.token().await;
        assert_eq!(site.asked_since(asked), expected, "{dropped}");
        tokio::time::advance(secs(10)).await;
    }
    // Also what was made from a token that is not shared, and has no version to go by.
    let keyed = |builder: TokenPipelineBuilder| {
        builder.step(StaticToken::new("key", "planted-key")).step(step("user").header_from("x-key", "key"))
    };
    let site = Site::counting();
    site.process(keyed).token().await;
    tokio::time::advance(secs(10)).await;
    let late = site.process(keyed);
    late.pipeline.invalidate("key").unwrap();
    assert_eq!(late.token().await, "user-2");
}

#[tokio::test(start_paused = true)]
async fn r107_a_forced_refresh_takes_nothing_over_that_was_there_before() {
    let site = Site::counting();
    let (here, there) = (site.process(chain), site.process(chain));
    here.token().await;
    there.token().await;
    tokio::time::advance(secs(10)).await;
    assert_eq!(here.pipeline.force_refresh().await.unwrap().value().expose(), "user-2");
    assert_eq!(site.asked_since(2), ["app", "user"]);
    tokio::time::advance(secs(10)).await;
    // Newer than what it has, and yet from before it was asked for.
    assert_eq!(there.pipeline.force_refresh().await.unwrap().value().expose(), "user-3");
    assert_eq!(site.asked_since(4), ["app", "user"]);
    assert_eq!(there.pipeline.refresh().await.unwrap().value().expose(), "user-4");
    assert_eq!(site.asked_since(6), ["user"]);
    assert_eq!(here.token().await, "user-2", "until it ends or is refused");
}

#[tokio::test(start_paused = true)]
async fn r112_a_refresh_uses_a_shared_refresh_token_and_a_forced_one_does_not() {
    let site = Site::new(rotating());
    let (here, there) = (site.process(user), site.process(user));
    here.token().await;
    there.token().await;
    tokio::time::advance(secs(10)).await;
    here.pipeline.refresh().await.unwrap();
    tokio::time::advance(secs(10)).await;
    assert_eq!(there.pipeline.refresh().await.unwrap().value().expose(), "t3");
    assert_eq!(sent(&site.idp), ["password", "r1", "r2"], "the newest, whoever has it");
    here.pipeline.force_refresh().await.unwrap();
    assert_eq!(sent(&site.idp)[3..], ["password"]);
}

/// A token that others make meanwhile is newer, and yet not made from what is renewed.
#[tokio::test(start_paused = true)]
async fn r110_a_refresh_of_an_earlier_step_takes_over_nothing_that_was_made_from_the_old_one() {
    let site = Site::new(Idp::new(|call, number| match (call.name(), number) {
        ("app", 2) => Reply::After(secs(2), token("app-2")),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    }));
    let here = site.process(|builder| chain(builder).refresh_from("app"));
    let there = site.process(chain);
    here.token().await;
    there.token().await;
    let renewing = tokio::spawn({
        let pipeline = here.pipeline.clone();
        async move { pipeline.refresh().await.unwrap().value().expose().to_owned() }
    });
    tokio::time::sleep(secs(1)).await;
    assert_eq!(there.pipeline.refresh().await.unwrap().value().expose(), "user-2");
    assert_eq!(renewing.await.unwrap(), "user-3");
    assert_eq!(site.idp.calls().last().unwrap().headers["x-app"], "app-2");
}

#[tokio::test(start_paused = true)]
async fn r110_what_is_made_from_a_renewed_token_is_not_refreshed() {
    let site = Site::new(rotating());
    let keyed = |builder: TokenPipelineBuilder| {
        let (url, client) = ("https://idp.test/v1/user", ClientAuth::public("me"));
        let user = PasswordGrant::new("user", url, client, "ada", "word").header_from("x-key", "key");
        builder.step(StaticToken::new("key", "planted-key")).step(user).refresh_from("key")
    };
    let here = site.process(keyed);
    here.token().await;
    tokio::time::advance(secs(10)).await;
    here.pipeline.refresh().await.unwrap();
    assert_eq!(sent(&site.idp), ["password"; 2]);
}

#[tokio::test(start_paused = true)]
async fn r107_a_bound_token_is_made_from_the_earlier_ones_of_this_process_or_later_ones() {
    let site = Site::counting();
    let bound = |builder: TokenPipelineBuilder| chain(builder).bind_to_parents();
    let (here, there) = (site.process(bound), site.process(bound));
    assert_eq!((here.token().await.as_str(), there.token().await.as_str()), ("user-1", "user-1"));
    assert_eq!(there.had(), ["app shared", "user shared"], "the earlier one first");
    tokio::time::advance(secs(10)).await;
    here.pipeline.force_refresh().await.unwrap();
    assert_eq!(there.token().await, "user-1", "its own earlier token is as good as before");
    // With its own gone, so is what was made from it; and nothing is taken over that is older than that.
    tokio::time::advance(secs(10)).await;
    there.pipeline.invalidate("app").unwrap();
    let asked = site.asked().len();
    assert_eq!(there.token().await, "user-3");
    assert_eq!(site.asked_since(asked), ["app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r107_a_new_earlier_token_and_what_was_made_from_it_are_both_taken_over() {
    let site = Site::counting();
    let bound = |builder: TokenPipelineBuilder| {
        let app = step("app").ttl(secs(100));
        builder.step(app).step(step("user").header_from("x-app", "app")).bind_to_parents()
    };
    let (here, there) = (site.process(bound), site.process(bound));
    here.token().await;
    there.token().await;
    tokio::time::advance(secs(200)).await;
    // A bound token goes with its parent, though not before somebody needs a new one.
    assert_eq!(here.refused().await, "user-2");
    assert_eq!(site.asked_since(2), ["app", "user"]);
    assert_eq!(there.refused().await, "user-2");
    assert_eq!(site.asked().len(), 4);
}

/// As a release had it whose step needed no earlier token.
#[tokio::test(start_paused = true)]
async fn r107_a_bound_token_is_made_from_as_many_tokens_as_its_step_names() {
    let site = Site::counting();
    let older = site.process(|builder| builder.step(step("app")).step(step("user")).bind_to_parents());
    older.pipeline.invalidate("app").unwrap();
    older.token().await;
    let here = site.process(|builder| chain(builder).bind_to_parents());
    assert_eq!(here.token().await, "user-2");
}

#[tokio::test(start_paused = true)]
async fn r107_a_token_that_is_dropped_while_it_is_fetched_for_all_is_fetched_once_more() {
    let site = Site::new(Idp::new(|call, number| {
        Reply::After(secs(1), token(&format!("{}-{number}", call.name())))
    }));
    let here = site.process(one);
    let waiting = tokio::spawn({
        let pipeline = here.pipeline.clone();
        async move { pipeline.token().await.unwrap().value().expose().to_owned() }
    });
    tokio::time::sleep(secs(1) / 2).await;
    here.pipeline.invalidate("app").unwrap();
    assert_eq!(waiting.await.unwrap(), "app-2");
    assert_eq!(here.had(), ["app fetch"], "the first has not landed");
    assert_eq!(site.process(one).token().await, "app-2");
}

// ===== what works once =====

#[tokio::test(start_paused = true)]
async fn r207_processes_redeem_each_refresh_token_once() {
    let site = Site::new(rotating());
    let processes: Vec<Process> = (0..4).map(|_| site.process(user)).collect();
    for round in 1..6 {
        let tokens = join_all(processes.iter().map(Process::token)).await;
        assert_eq!(tokens, vec![format!("t{round}"); 4]);
        tokio::time::advance(secs(3600)).await;
    }
    assert_eq!(sent(&site.idp), ["password", "r1", "r2", "r3", "r4"]);
}

#[tokio::test(start_paused = true)]
async fn r207_without_the_store_no_shared_refresh_token_is_redeemed() {
    let site = Site::new(rotating());
    let (here, there) = (site.process(user), site.process(user));
    here.token().await;
    there.token().await;
    here.store.set(Fault::Down);
    tokio::time::advance(secs(3600)).await;
    assert_eq!(here.fails().await, TokenErrorKind::Store);
    assert_eq!(there.token().await, "t2");
    here.store.set(Fault::None);
    tokio::time::advance(secs(60)).await;
    assert_eq!(here.token().await, "t2");
    assert_eq!(sent(&site.idp), ["password", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn r101_without_the_store_each_process_fetches_its_own() {
    let site = Site::counting();
    let (here, there) = (site.process(chain), site.process(chain));
    here.store.set(Fault::Down);
    assert_eq!((here.token().await.as_str(), there.token().await.as_str()), ("user-1", "user-2"));
    here.store.set(Fault::None);
    tokio::time::advance(secs(3600)).await;
    assert_eq!((here.token().await.as_str(), there.token().await.as_str()), ("user-3", "user-3"));
    assert_eq!(site.asked().len(), 6);
}

/// Else the others would take over what is made from a token that they cannot compare with theirs.
#[tokio::test(start_paused = true)]
async fn r207_what_is_made_from_a_token_that_could_not_be_shared_is_not_shared_where_that_matters() {
    let site = Site::counting();
    let bound = |builder: TokenPipelineBuilder| chain(builder).bind_to_parents();
    let (here, there) = (site.process(bound), site.process(bound));
    here.store.set(Fault::Puts);
    assert_eq!(here.token().await, "user-1");
    here.store.set(Fault::None);
    here.pipeline.invalidate("user").unwrap();
    assert_eq!(here.token().await, "user-2");
    assert_eq!(there.token().await, "user-3");
    assert_eq!(there.had(), ["app fetch", "user fetch"]);
    // Nor between two that both could not share theirs.
    let other = site.process(bound);
    other.store.set(Fault::Down);
    assert_eq!(other.token().await, "user-4");
    other.store.set(Fault::None);
    here.pipeline.invalidate("user").unwrap();
    assert_eq!(here.token().await, "user-5");
    other.pipeline.invalidate("user").unwrap();
    assert_eq!(other.token().await, "user-6");
}

/// A refresh token that every process is configured with is as good for one use as any.
#[tokio::test(start_paused = true)]
async fn r207_a_refresh_token_to_begin_with_is_redeemed_by_one_process() {
    let site = Site::new(rotating());
    let seeded = |builder: TokenPipelineBuilder| {
        let (url, client) = ("https://idp.test/v1/user", ClientAuth::public("me"));
        builder.step(RefreshTokenGrant::new("user", url, client, "r0"))
    };
    let lonely = site.process(seeded);
    lonely.store.set(Fault::Down);
    assert_eq!(lonely.fails().await, TokenErrorKind::Store);
    assert!(sent(&site.idp).is_empty(), "not without the store");
    let processes: Vec<Process> = (0..4).map(|_| site.process(seeded)).collect();
    assert_eq!(join_all(processes.iter().map(Process::token)).await, ["t1"; 4]);
    tokio::time::advance(secs(3600)).await;
    assert_eq!(join_all(processes.iter().map(Process::token)).await, ["t2"; 4]);
    lonely.store.set(Fault::None);
    tokio::time::advance(secs(60)).await;
    assert_eq!(lonely.token().await, "t2");
    assert_eq!(sent(&site.idp), ["r0", "r1"]);
    // It has taken the token over and still has the `r0` that it began with: whatever is wanted, it sends the newest.
    tokio::time::advance(secs(10)).await;
    assert_eq!(lonely.pipeline.force_refresh().await.unwrap().value().expose(), "t3");
    tokio::time::advance(secs(10)).await;
    processes[0].pipeline.invalidate("user").unwrap();
    assert_eq!(processes[0].token().await, "t4");
    assert_eq!(sent(&site.idp), ["r0", "r1", "r2", "r3"]);
}

/// The login has ended, and somebody has made a new one by hand.
#[tokio::test(start_paused = true)]
async fn r207_a_new_refresh_token_to_begin_with_is_sent_when_the_shared_one_is_refused() {
    let site = Site::new(rotating());
    let seeded = |seed: &'static str| {
        move |builder: TokenPipelineBuilder| {
            let (url, client) = ("https://idp.test/v1/user", ClientAuth::public("me"));
            builder.step(RefreshTokenGrant::new("user", url, client, seed))
        }
    };
    let old = site.process(seeded("r0"));
    assert_eq!(old.token().await, "t1");
    old.pipeline.shutdown().await;
    // Another client's grant, as far as the store knows: `r1` is spent.
    site.idp
        .pipeline()
        .step(RefreshTokenGrant::new("user", "https://idp.test/v1/user", ClientAuth::public("me"), "r1"))
        .build()
        .unwrap()
        .token()
        .await
        .unwrap();
    tokio::time::advance(secs(3600)).await;
    assert_eq!(site.process(seeded("r2")).token().await, "t4");
    assert_eq!(sent(&site.idp), ["r0", "r1", "r1", "r2"]);
    // And where there is no other, the refused one is sent once in one attempt.
    let site = Site::new(rotating());
    let alone = site.process(seeded("r0"));
    alone.token().await;
    let other = site.idp.pipeline_at(site.clock.clone());
    let grant = RefreshTokenGrant::new("user", "https://idp.test/v1/user", ClientAuth::public("me"), "r1");
    other.step(grant).build().unwrap().token().await.unwrap();
    tokio::time::advance(secs(3600)).await;
    assert_eq!(alone.fails().await, TokenErrorKind::Refused);
    assert_eq!(sent(&site.idp), ["r0", "r1", "r1"]);
    assert_eq!(alone.fails().await, TokenErrorKind::Refused);
    assert_eq!(sent(&site.idp), ["r0", "r1", "r1", "r1"]);
}

/// Its earlier token could not be shared, so that nothing that is bound to it can be: a fetch of one's own would spend
/// what the others have, too.
#[tokio::test(start_paused = true)]
async fn r207_a_bound_refresh_token_to_begin_with_is_not_sent_where_its_parent_could_not_be_shared() {
    for fault in [Fault::Down, Fault::Puts] {
        let site = Site::new(rotating());
        let bound = |builder: TokenPipelineBuilder| {
            let (url, client) = ("https://idp.test/v1/user", ClientAuth::public("me"));
            let user = RefreshTokenGrant::new("user", url, client, "r0").depends_on("app");
            builder
                .step(TokenFn::new("app", |_| async { AccessToken::new("app") }))
                .step(user)
                .bind_to_parents()
        };
        let here = site.process(bound);
        here.store.set(fault);
        assert_eq!(here.fails().await, TokenErrorKind::Store, "{fault:?}");
        assert!(sent(&site.idp).is_empty(), "{fault:?}");
    }
}

/// Somebody holds the lock for longer than an ordinary fetch is waited for.
#[tokio::test(start_paused = true)]
async fn r207_a_refresh_token_to_begin_with_is_not_sent_without_the_lock() {
    let site = Site::new(rotating());
    let seeded = |builder: TokenPipelineBuilder| {
        let (url, client) = ("https://idp.test/v1/user", ClientAuth::public("me"));
        builder.fetch_timeout(secs(10)).step(RefreshTokenGrant::new("user", url, client, "r0"))
    };
    let here = site.process(seeded);
    here.store.set(Fault::NoLocks);
    assert_eq!(here.fails().await, TokenErrorKind::Busy);
    assert!(sent(&site.idp).is_empty());
}

/// Who has redeemed it must store what came of it before anybody uses that.
#[tokio::test(start_paused = true)]
async fn r207_what_a_refresh_token_to_begin_with_has_brought_is_stored_before_it_is_used() {
    let site = Site::new(rotating());
    let seeded = |builder: TokenPipelineBuilder| {
        let (url, client) = ("https://idp.test/v1/user", ClientAuth::public("me"));
        builder.step(RefreshTokenGrant::new("user", url, client, "r0"))
    };
    let here = site.process(seeded);
    here.store.set(Fault::Puts);
    assert_eq!(here.fails().await, TokenErrorKind::Unsaved);
    here.store.set(Fault::None);
    tokio::time::advance(secs(10)).await;
    assert_eq!(here.token().await, "t1");
    assert_eq!(site.process(seeded).token().await, "t1");
    assert_eq!(sent(&site.idp), ["r0"]);
}

/// A refused refresh token has cost time: the lock is made to last before the next one is sent, or nothing is.
#[tokio::test(start_paused = true)]
async fn r207_a_refresh_token_to_begin_with_is_not_sent_under_a_lock_that_may_have_ended() {
    let site = Site::new(Idp::new(|call, _| {
        if call.body.contains("refresh_token=r9") {
            return Reply::After(secs(8), r#"{"error":"invalid_grant"}"#.to_owned());
        }
        Reply::Json(r#"{"access_token":"t1","expires_in":3600,"refresh_token":"r1"}"#.to_owned())
    }));
    let seeded = |builder: TokenPipelineBuilder| {
        let (url, client) = ("https://idp.test/v1/user", ClientAuth::public("me"));
        builder.fetch_timeout(secs(10)).step(RefreshTokenGrant::new("user", url, client, "r0"))
    };
    let here = site.process(seeded);
    // The shared one, `r9`, is refused.
    let shared = SharedLeases::sealed("shop", site.memory.clone(), site.ring.clone());
    let shared = shared.clock(site.clock.clone()).build().unwrap();
    let ended = AccessToken::new("t0").unwrap().with_lifetime(secs(1)).with_refresh(Secret::new("r9"));
    shared.publish(&shared.key("test", "user"), ended).await.unwrap();
    tokio::time::advance(secs(10)).await;
    here.store.set(Fault::Renewals);
    assert_eq!(here.fails().await, TokenErrorKind::Store);
    assert_eq!(sent(&site.idp), ["r9"]);
    here.store.set(Fault::None);
    tokio::time::advance(secs(10)).await;
    assert_eq!(here.token().await, "t1");
    assert_eq!(sent(&site.idp), ["r9", "r9", "r0"]);
}

/// A process has died with the lock: longer than a fetch of one's own may take.
#[tokio::test(start_paused = true)]
async fn r207_a_lock_that_nobody_releases_is_waited_for() {
    let site = Site::new(rotating());
    let quick = |builder: TokenPipelineBuilder| user(builder).fetch_timeout(secs(2));
    let here = site.process(quick);
    here.token().await;
    tokio::time::advance(secs(3600)).await;
    let shared = SharedLeases::sealed("shop", site.memory.clone(), site.ring.clone()).build().unwrap();
    let owner = LockOwner::generate().unwrap();
    site.memory.lock(&shared.key("test", "user"), &owner, secs(6)).await.unwrap().unwrap();
    assert_eq!(here.token().await, "t2");
    assert_eq!(sent(&site.idp), ["password", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn r207_a_shutdown_waits_until_the_successor_of_a_refresh_token_is_stored() {
    let site = Site::new(rotating());
    let here = site.process(user);
    here.token().await;
    tokio::time::advance(secs(3600)).await;
    let waiting = tokio::spawn({
        let pipeline = here.pipeline.clone();
        async move { pipeline.token().await.unwrap().value().expose().to_owned() }
    });
    tokio::time::sleep(secs(1) / 2).await;
    assert_eq!(sent(&site.idp).len(), 2, "it is under way");
    here.pipeline.shutdown().await;
    assert_eq!(waiting.await.unwrap(), "t2");
    assert_eq!(site.process(user).token().await, "t2");
    assert_eq!(sent(&site.idp), ["password", "r1"]);
}

// ===== settings =====

#[tokio::test(start_paused = true)]
async fn r101_what_every_process_has_at_hand_is_not_shared() {
    let site = Site::counting();
    let fixed = |builder: TokenPipelineBuilder| {
        let key = StaticToken::new("key", "planted-key");
        builder.step(key).step(step("user").header_from("x-key", "key")).bind_to_parents()
    };
    let (here, there) = (site.process(fixed), site.process(fixed));
    assert_eq!((here.token().await.as_str(), there.token().await.as_str()), ("user-1", "user-1"));
    assert_eq!(there.had(), ["key fetch", "user shared"]);
    let shared = SharedLeases::sealed("shop", site.memory.clone(), site.ring.clone());
    let shared = shared.clock(site.clock.clone()).build().unwrap();
    for (step, expected) in [("key", false), ("user", true)] {
        assert_eq!(site.memory.exists(&shared.key("test", step)).await.unwrap(), expected, "{step}");
    }
}

#[tokio::test]
async fn r115_pipelines_of_other_names_or_namespaces_share_nothing() {
    let idp = Idp::counting();
    let clock = PausedClock::starting_at(START);
    let memory = MemoryLeases::with_clock(clock.clone());
    for (namespace, name) in [("shop", "a"), ("shop", "b"), ("bank", "a")] {
        let shared = SharedLeases::in_memory(namespace, &memory).clock(clock.clone()).build().unwrap();
        let builder = TokenPipeline::builder(name).http(idp.client()).clock(clock.clone());
        builder.step(step("app")).shared(shared).build().unwrap().token().await.unwrap();
    }
    assert_eq!(idp.names(), ["app"; 3]);
}

#[tokio::test]
async fn r102_shared_tokens_have_the_clock_of_their_pipeline() {
    let idp = Idp::counting();
    let clock = PausedClock::starting_at(START);
    let shared = SharedLeases::in_memory("shop", &MemoryLeases::new()).build().unwrap();
    let builder = || one(TokenPipeline::builder("test").http(idp.client()).shared(shared.clone()));
    let error = builder().clock(clock).build().unwrap_err();
    assert_eq!(error.to_string(), "invalid configuration: shared = \"clock\": must be the pipeline's");
    builder().build().unwrap();
}

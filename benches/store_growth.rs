//! How the cost of a login grows with their number, and the throughput with the threads:
//! `cargo bench --bench store_growth`
//!
//! Tokens are drawn at random from all of them. Rounds of the small and the large store are interleaved; printed
//! are medians over the rounds.
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)] // a bench that meets an error has failed

use std::{
    convert::Infallible,
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use portcullis::{
    AuthLayer, MemoryStore, TokenPolicy, TokenService,
    credential::Channel,
    identity::Subject,
    text::TokenId,
    token::{IssueOptions, RefreshRequest},
};
use tower::{Layer, Service, service_fn};

const ROUNDS: usize = 21;
const CALLS: usize = 20_000;
const SMALL: usize = 1_000;
const LARGE: usize = 1_000_000;

/// A store with logins, and what belongs to each of them.
struct Population {
    tokens: TokenService,
    headers: Vec<String>,
    refresh: Vec<String>,
    ids: Vec<TokenId>,
    random: u64,
}

impl Population {
    fn new(size: usize) -> Self {
        let tokens = TokenService::new(MemoryStore::with_capacity(2 * LARGE), TokenPolicy::default());
        let mut population =
            Self { tokens, headers: Vec::new(), refresh: Vec::new(), ids: Vec::new(), random: 0x9E37_79B9 };
        for number in 0..size {
            let subject = Subject::local(format!("user-{number:011}"));
            let login = population.tokens.issue_for_header(subject, IssueOptions::default());
            let login = login.now_or_never().unwrap().unwrap();
            population.headers.push(format!("Bearer {}", login.access().expose()));
            population.refresh.push(login.refresh().unwrap().expose().to_owned());
            population.ids.push(login.record().id());
        }
        population
    }

    /// xorshift64: even enough to draw from, and much cheaper than what is measured.
    fn draw(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % self.ids.len() as u64) as usize
    }

    /// The whole wrapped service, from the request to the answer.
    fn verify(&mut self, calls: usize) -> Duration {
        let layer = AuthLayer::new(self.tokens.clone()).build().unwrap();
        let mut service = layer.layer(service_fn(|_: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        }));
        // Copied before the clock starts: a request's head is warm, wherever its token was drawn from.
        let headers: Vec<HeaderValue> = (0..calls)
            .map(|_| {
                let place = self.draw();
                HeaderValue::from_str(&self.headers[place]).unwrap()
            })
            .collect();
        let started = Instant::now();
        for header in headers {
            let request = Request::builder().header(AUTHORIZATION, header).body(()).unwrap();
            let response = service.call(request).now_or_never().unwrap().unwrap();
            assert!(black_box(response).status().is_success());
        }
        started.elapsed()
    }

    fn refresh(&mut self, calls: usize) -> Duration {
        let started = Instant::now();
        for _ in 0..calls {
            let place = self.draw();
            let request = RefreshRequest::new(&self.refresh[place], Channel::Header);
            let next = self.tokens.refresh(request).now_or_never().unwrap().unwrap();
            self.refresh[place] = next.refresh().unwrap().expose().to_owned();
            self.headers[place] = format!("Bearer {}", next.access().expose());
        }
        started.elapsed()
    }

    /// Ends logins. A new one takes the place of each, so that the store keeps its size; the time of that is not
    /// counted.
    fn revoke(&mut self, calls: usize) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..calls {
            let place = self.draw();
            let id = self.ids[place];
            let started = Instant::now();
            self.tokens.revoke(&id).now_or_never().unwrap().unwrap();
            spent += started.elapsed();
            let subject = Subject::local(format!("user-{place:011}"));
            let login = self.tokens.issue_for_header(subject.clone(), IssueOptions::default());
            let login = login.now_or_never().unwrap().unwrap();
            assert_eq!(self.tokens.purge_subject(&subject, 2).now_or_never().unwrap().unwrap(), 1);
            self.headers[place] = format!("Bearer {}", login.access().expose());
            self.refresh[place] = login.refresh().unwrap().expose().to_owned();
            self.ids[place] = login.record().id();
        }
        spent
    }
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

type Work = fn(&mut Population, usize) -> Duration;

fn grows(name: &str, small: &mut Population, large: &mut Population, work: Work, calls: usize) {
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        few.push(work(small, calls).as_nanos() as f64 / calls as f64);
        many.push(work(large, calls).as_nanos() as f64 / calls as f64);
    }
    let (few, many) = (median(few), median(many));
    println!("{name:>10} {few:>8.0} {many:>10.0} {:>7.2}", many / few);
}

/// Verifications a second by one thread and by two, each with tokens of its own. The one is a thread like the two:
/// the allocator treats the first thread of a process differently.
fn scales(population: &Population) {
    let mut halves = [0, 1].map(|number| Population {
        tokens: population.tokens.clone(),
        headers: population.headers.iter().skip(number).step_by(2).cloned().collect(),
        refresh: Vec::new(),
        ids: population.ids.iter().skip(number).step_by(2).copied().collect(),
        random: 0x1234_5678 + number as u64,
    });
    let ratios = (0..ROUNDS).map(|_| {
        let one = verify_at_once(&mut halves[..1]);
        let both = verify_at_once(&mut halves);
        2.0 * one.as_secs_f64() / both.as_secs_f64()
    });
    println!("two threads verify {:.2} times as much as one", median(ratios.collect()));
}

/// A thread for each population; the time of the slowest.
fn verify_at_once(populations: &mut [Population]) -> Duration {
    let barrier = &Barrier::new(populations.len());
    thread::scope(|scope| {
        let started = populations.iter_mut().map(|population| {
            scope.spawn(move || {
                barrier.wait();
                population.verify(5 * CALLS)
            })
        });
        let threads: Vec<_> = started.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    })
}

fn main() {
    let (mut small, mut large) = (Population::new(SMALL), Population::new(LARGE));
    println!(
        "{:>10} {:>8} {:>10} {:>7}  nanoseconds, medians of {ROUNDS} rounds",
        "", "10^3", "10^6", "ratio"
    );
    grows("verify", &mut small, &mut large, Population::verify, CALLS);
    grows("refresh", &mut small, &mut large, Population::refresh, CALLS / 4);
    grows("revoke", &mut small, &mut large, Population::revoke, CALLS / 4);
    scales(&large);
}

//! Servers that answer as they are told: one in this process, and one on a real socket.
#![cfg_attr(not(feature = "retry"), allow(dead_code))] // tests of the retry look at everything

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body_util::BodyExt;
use portcullis::clock::{Clock, PausedClock, Timestamp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Service, util::BoxCloneService};

use crate::support::{Body, START};

/// What comes of one request.
pub(crate) type Outcome = Result<Response<Body>, io::Error>;

/// A service that answers by the number of the request, counted from zero, and remembers what it was sent. It follows
/// tokio's paused time.
#[derive(Clone)]
pub(crate) struct Scripted {
    answer: Arc<dyn Fn(usize) -> Outcome + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
    clock: Clock,
}

#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) head: request::Parts,
    pub(crate) body: Bytes,
}

impl Scripted {
    pub(crate) fn new(answer: impl Fn(usize) -> Outcome + Send + Sync + 'static) -> Self {
        let clock = PausedClock::starting_at(START);
        Self { answer: Arc::new(answer), seen: Arc::default(), clock }
    }

    /// These statuses, and the last of them for ever.
    pub(crate) fn statuses(statuses: &[u16]) -> Self {
        let statuses = statuses.to_vec();
        Self::new(move |number| Ok(status(statuses[number.min(statuses.len() - 1)])))
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The times between the requests.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.seen().windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect()
    }

    pub(crate) fn service(&self) -> BoxCloneService<Request<Body>, Response<Body>, io::Error> {
        let this = self.clone();
        BoxCloneService::new(tower::service_fn(move |request: Request<Body>| {
            let this = this.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("never fails").to_bytes();
                let number = {
                    let mut seen = this.seen.lock().unwrap();
                    seen.push(Seen { at: this.clock.now(), head, body });
                    seen.len() - 1
                };
                // A turn of the executor, as a network takes.
                tokio::task::yield_now().await;
                (this.answer)(number)
            }
        }))
    }
}

pub(crate) fn status(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Body::from(format!("body of {status}"))).unwrap()
}

/// A server on a real socket. Each answer is written as it is, on a connection of its own, and `None` hangs up without
/// one; the last answer is given for ever.
pub(crate) struct RawServer {
    pub(crate) origin: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl RawServer {
    /// Serves until the runtime of the test ends.
    pub(crate) async fn start(answers: &[Option<&str>]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let answers: Vec<Option<String>> = answers.iter().map(|answer| answer.map(answer_text)).collect();
        tokio::spawn(serve(listener, answers, Arc::clone(&heads)));
        Self { origin, heads }
    }

    /// The heads of the requests, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

/// `503 Busy|Retry-After: 1|the body`.
fn answer_text(text: &str) -> String {
    let mut parts: Vec<&str> = text.split('|').collect();
    let body = parts.pop().unwrap();
    let length = body.len();
    let head = parts.join("\r\n");
    format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

async fn serve(listener: TcpListener, answers: Vec<Option<String>>, heads: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let head = head(&mut stream).await;
        let number = {
            let mut heads = heads.lock().unwrap();
            heads.push(head);
            heads.len() - 1
        };
        if let Some(answer) = &answers[number.min(answers.len() - 1)] {
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0; 1024];
        match stream.read(&mut byte).await {
            Ok(count) if count > 0 => read.extend_from_slice(&byte[..count]),
            _ => break,
        }
    }
    String::from_utf8(read).unwrap().to_ascii_lowercase()
}

/// A service is asked by hand.
pub(crate) fn poll_ready<S: Service<Request<Body>>>(
    service: &mut S,
    cx: &mut std::task::Context<'_>,
) -> std::task::Poll<Result<(), S::Error>> {
    service.poll_ready(cx)
}

//! Bodies that are sent twice, and answers that are thrown away, over real sockets.

use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, State},
    response::IntoResponse,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use portcullis::{
    TokenInjectLayer,
    clock::PausedClock,
    outbound::{AuthOutcome, Cloned, Rebox, Replay, Tee},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    stock::{Stock, get, layer, status},
    support::{Body, START},
};

type Boxed = UnsyncBoxBody<Bytes, Infallible>;

/// Chunks that come through a channel, as long as somebody sends them.
struct Streamed(mpsc::Receiver<Frame<Bytes>>);

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

/// So many chunks of this size, one after the other, of unknown number.
fn streamed(chunks: usize, size: usize) -> Boxed {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        for number in 0..chunks {
            let chunk = vec![b'a' + u8::try_from(number % 26).unwrap(); size];
            if send.send(Frame::data(chunk.into())).await.is_err() {
                return;
            }
        }
        let end = HeaderMap::from_iter([(HeaderName::from_static("x-end"), HeaderValue::from_static("z"))]);
        let _ = send.send(Frame::trailers(end)).await;
    });
    Boxed::new(Streamed(receive))
}

/// What an API has received of one request.
#[derive(Debug, Clone, PartialEq)]
struct Received {
    token: String,
    length: Option<String>,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

/// How an API treats a request with the first token.
#[derive(Clone, Copy, PartialEq)]
enum Refusal {
    /// After it has read the body.
    Late,
    /// After the first megabyte of it: by then the client has sent more than a replay keeps.
    Early,
}

#[derive(Clone)]
struct Api {
    refusal: Refusal,
    received: Arc<Mutex<Vec<Received>>>,
    peers: Arc<Mutex<HashSet<SocketAddr>>>,
    refused: Arc<AtomicUsize>,
}

impl Api {
    async fn serve(refusal: Refusal) -> (Self, String) {
        let api = Self { refusal, received: Arc::default(), peers: Arc::default(), refused: Arc::default() };
        let router = Router::new().fallback(Self::answer).with_state(api.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        (api, format!("http://{address}"))
    }

    async fn answer(
        State(api): State<Self>,
        ConnectInfo(peer): ConnectInfo<SocketAddr>,
        request: axum::extract::Request,
    ) -> axum::response::Response {
        api.peers.lock().unwrap().insert(peer);
        let (head, mut body) = request.into_parts();
        let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let (token, length) = (header("authorization").unwrap_or_default(), header("content-length"));
        let refuse = token == "Bearer t-1";
        if refuse {
            api.refused.fetch_add(1, Ordering::SeqCst);
        }
        if refuse && api.refusal == Refusal::Early {
            let mut read = 0;
            while read < 1024 * 1024 {
                let frame = body.frame().await.unwrap().unwrap();
                read += frame.data_ref().map_or(0, Bytes::len);
            }
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        api.received.lock().unwrap().push(Received { token, length, body: body.to_bytes(), trailers });
        if refuse {
            // In several pieces, so that there is something left to be read when the head is there.
            let (send, receive) = mpsc::channel(1);
            tokio::spawn(async move {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                    let _ =
                        send.send(Frame::data(Bytes::from_static(b"{\"error\":\"invalid_token\"}"))).await;
                }
            });
            let mut response = axum::body::Body::new(Streamed(receive)).into_response();
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            return response;
        }
        "done".into_response()
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn client<B>() -> Client<HttpConnector, B>
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

async fn send<B, R>(
    layer: TokenInjectLayer<R>,
    client: Client<HttpConnector, B>,
    request: Request<B>,
) -> (u16, &'static str)
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
    R: Replay<B>,
{
    let response = layer.layer(client).oneshot(request).await.unwrap();
    let outcome = response.extensions().get::<AuthOutcome>().map_or("none", AuthOutcome::name);
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    (status, outcome)
}

fn to(api: &str, stock: &Stock) -> portcullis::outbound::TokenInjectLayerBuilder {
    TokenInjectLayer::new(stock.clone()).danger_allow_http_on_loopback().allow_origin(api)
}

fn put<B>(api: &str, body: B) -> Request<B> {
    Request::put(format!("{api}/upload")).header("trailer", "x-end").body(body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r117_a_streaming_body_arrives_twice_with_its_trailers() {
    let (api, uri) = Api::serve(Refusal::Late).await;
    let stock = Stock::new();
    let layer = to(&uri, &stock).replay(Tee::new()).build().unwrap();
    assert_eq!(send(layer, client(), put(&uri, streamed(30, 2_000))).await, (200, "repeated"));
    let received = api.received();
    let [first, second] = &received[..] else { panic!("{}", received.len()) };
    assert_eq!((&*first.token, &*second.token), ("Bearer t-1", "Bearer t-2"));
    assert_eq!((first.body.len(), &first.length), (60_000, &None));
    assert_eq!(
        (&first.body, &first.length, &first.trailers),
        (&second.body, &second.length, &second.trailers)
    );
    assert_eq!(second.trailers.as_ref().unwrap()["x-end"], "z");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r117_a_declared_length_stays_declared() {
    let (api, uri) = Api::serve(Refusal::Late).await;
    let stock = Stock::new();
    let layer = to(&uri, &stock).replay(Tee::new()).build().unwrap();
    let body = || Full::<Bytes>::from("payload").boxed_unsync();
    assert_eq!(send(layer, client(), put(&uri, body())).await, (200, "repeated"));
    for received in api.received() {
        assert_eq!((received.length.as_deref(), &received.body[..]), (Some("7"), &b"payload"[..]));
    }

    let (api, uri) = Api::serve(Refusal::Late).await;
    let layer = to(&uri, &Stock::new()).replay(Cloned).build().unwrap();
    assert_eq!(send(layer, client(), put(&uri, Full::<Bytes>::from("payload"))).await, (200, "repeated"));
    assert_eq!(api.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r117_a_body_past_the_limit_arrives_whole_and_once() {
    let (api, uri) = Api::serve(Refusal::Late).await;
    let stock = Stock::new();
    let layer = to(&uri, &stock).replay(Tee::new().limit(60_001)).build().unwrap();
    let upload = async || send(layer.clone(), client(), put(&uri, streamed(31, 2_000))).await;
    // Nobody waits for a token that is of no use to this request.
    stock.state().stuck = true;
    assert_eq!(upload().await, (401, "not_repeatable"));
    assert_eq!(api.received()[0].body.len(), 62_000);
    assert_eq!(stock.state().rejected, [1], "the next one has a newer token");
    stock.renew();
    assert_eq!(upload().await, (200, "none"));
    assert_eq!(api.received()[1].body.len(), 62_000);
}

/// Answers a request with the first token as soon as it has its head, reads nothing more of it and leaves the
/// connection open; reads any other request to its end.
struct EarlyServer {
    origin: String,
    /// Token and bytes of the body, one for each request.
    requests: Arc<Mutex<Vec<(String, usize)>>>,
}

impl EarlyServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<(String, usize)>>> = Arc::default();
        let log = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Self::serve(stream, Arc::clone(&log)));
            }
        });
        Self { origin, requests }
    }

    async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<(String, usize)>>>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let value = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(str::to_owned)
        };
        let token = value("authorization").unwrap_or_default();
        if token == "bearer t-1" {
            log.lock().unwrap().push((token.clone(), 0));
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\ntoo bad").await.unwrap();
            // Open until the runtime of the test ends, and never read.
            std::future::pending::<()>().await;
        }
        let length = value("content-length").map(|length| length.parse::<usize>().unwrap());
        let (mut read, mut end, mut buffer) = (0, Vec::new(), vec![0; 64 * 1024]);
        while length.map_or(!end.ends_with(b"x-end: z\r\n\r\n"), |length| read < length) {
            let count = stream.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "the whole body");
            read += count;
            end.extend_from_slice(&buffer[..count]);
            end.drain(..end.len().saturating_sub(64));
        }
        log.lock().unwrap().push((token, read));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_an_early_401_to_a_large_upload_is_the_answer_and_the_next_call_is_fine() {
    const BYTES: usize = 10 * 1024 * 1024;

    let declared = || Full::from(vec![b'x'; BYTES]).boxed_unsync();
    let unknown = || streamed(BYTES / (64 * 1024), 64 * 1024);
    for (name, body) in [("declared", &declared as &dyn Fn() -> Boxed), ("unknown", &unknown)] {
        let server = EarlyServer::start().await;
        let stock = Stock::new();
        let layer = to(&server.origin, &stock).replay(Tee::new()).build().unwrap();
        let client = client();
        let response = layer.layer(client.clone()).oneshot(put(&server.origin, body())).await.unwrap();
        let outcome = response.extensions().get::<AuthOutcome>().map(AuthOutcome::name);
        assert_eq!((response.status().as_u16(), outcome), (401, Some("not_repeatable")), "{name}");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "too bad");
        assert_eq!(stock.state().rejected, [1], "{name}");
        assert_eq!(send(layer, client, put(&server.origin, body())).await, (200, "none"), "{name}");
        let requests = server.requests.lock().unwrap().clone();
        assert_eq!(requests.len(), 2, "{name}: the refused one was sent once");
        assert_eq!(requests[0], ("bearer t-1".to_owned(), 0));
        assert!(requests[1].0 == "bearer t-2" && requests[1].1 >= BYTES, "{name}: {:?}", requests[1]);
    }
}

/// A server that refuses and closes what it will not read: its answer may get lost on the way, and it is one request
/// all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_an_upload_that_is_cut_off_is_not_sent_again() {
    let (api, uri) = Api::serve(Refusal::Early).await;
    let stock = Stock::new();
    let layer = to(&uri, &stock).replay(Tee::new()).build().unwrap();
    match layer.layer(client()).oneshot(put(&uri, streamed(160, 64 * 1024))).await {
        Ok(response) => {
            assert_eq!((response.status(), &stock.state().rejected[..]), (StatusCode::UNAUTHORIZED, &[1][..]))
        }
        Err(error) => {
            assert!(matches!(error, portcullis::outbound::InjectError::Inner(_)), "{error:?}");
            assert!(stock.state().rejected.is_empty(), "nobody has said anything about the token");
        }
    }
    assert_eq!(api.refused.load(Ordering::SeqCst), 1);
}

/// As an axum service sends on what it was sent.
#[cfg(feature = "axum")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r117_an_axum_body_is_repeated_too() {
    let (api, uri) = Api::serve(Refusal::Late).await;
    let layer = to(&uri, &Stock::new()).replay(Tee::new()).build().unwrap();
    let body = axum::body::Body::new(streamed(3, 100));
    assert_eq!(send(layer, client(), put(&uri, body)).await, (200, "repeated"));
    assert_eq!(api.received()[1].body.len(), 300);
}

/// Every body of the crates we know that can hold another one.
#[test]
fn r117_boxed_bodies_can_be_read_along() {
    fn reboxes<B: Rebox>() {}

    reboxes::<UnsyncBoxBody<Bytes, std::io::Error>>();
    reboxes::<http_body_util::combinators::BoxBody<Bytes, Infallible>>();
    #[cfg(feature = "axum")]
    reboxes::<axum::body::Body>();
}

/// An answer may overtake the end of its request, and a transport may never let go of a body.
#[tokio::test(start_paused = true)]
async fn r117_a_body_that_is_away_is_waited_for_but_not_for_long() {
    for (held, outcome, waited) in [(0, "repeated", 0), (200, "repeated", 200), (300, "not_repeatable", 250)]
    {
        let inner = service_fn(move |request: Request<Boxed>| async move {
            let refused = request.headers()["authorization"] == "Bearer t-1";
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(held)).await;
                drop(request);
            });
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(status(if refused { 401 } else { 200 }))
        });
        let layer = layer(Stock::new()).replay(Tee::new()).build().unwrap();
        let clock = PausedClock::starting_at(START);
        let request = Request::post("https://api.test/").body(Full::from("payload").boxed_unsync());
        let response = layer.layer(inner).oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.extensions().get::<AuthOutcome>().unwrap().name(), outcome, "{held}");
        assert_eq!(clock.now().since(START), Duration::from_millis(waited), "{held}");
    }
}

// ===== the rejected answer =====

/// One connection, and nobody to open another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r117_the_repeat_goes_over_the_connection_that_brought_the_rejection() {
    for _ in 0..20 {
        let (api, uri) = Api::serve(Refusal::Late).await;
        let stream = TcpStream::connect(uri.strip_prefix("http://").unwrap()).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let sender = Arc::new(tokio::sync::Mutex::new(sender));
        let inner = service_fn(move |request: Request<Body>| {
            let sender = Arc::clone(&sender);
            async move {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                sender.send_request(request).await
            }
        });
        let layer = to(&uri, &Stock::new()).replay(Cloned).build().unwrap();
        let response = layer.layer(inner).oneshot(put(&uri, Body::from("payload"))).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!((api.received().len(), api.peers.lock().unwrap().len()), (2, 1));
    }
}

/// A body that notes how much of it is read.
struct Watched {
    chunks: usize,
    declared: bool,
    stalls: bool,
    read: Arc<AtomicUsize>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.chunks == 0 {
            return if self.stalls { Poll::Pending } else { Poll::Ready(None) };
        }
        self.chunks -= 1;
        self.read.fetch_add(1024, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(vec![0; 1024].into()))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.declared { SizeHint::with_exact(self.chunks as u64 * 1024) } else { SizeHint::new() }
    }
}

#[tokio::test(start_paused = true)]
async fn r117_of_the_rejected_answer_little_is_read_and_not_for_long() {
    for (chunks, declared, stalls, expected, millis) in [
        (0, true, false, 0, 0),
        (10, false, false, 10, 0),
        (10, true, false, 10, 0),
        (16, true, false, 16, 0),
        (17, true, false, 0, 0),
        (17, false, false, 17, 0),
        (1_000, false, false, 17, 0),
        (3, false, true, 3, 100),
    ] {
        let read = Arc::new(AtomicUsize::new(0));
        let log = Arc::clone(&read);
        let inner = service_fn(move |request: Request<Body>| {
            let refuse = request.headers()["authorization"] == "Bearer t-1";
            let body = match refuse {
                true => Watched { chunks, declared, stalls, read: Arc::clone(&log) }.boxed_unsync(),
                false => Full::<Bytes>::from("done").boxed_unsync(),
            };
            let code = if refuse { 401 } else { 200 };
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()))
        });
        let started = portcullis::clock::PausedClock::starting_at(crate::support::START);
        let service = layer(Stock::new()).build().unwrap().layer(inner);
        assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
        let case = (chunks, declared, stalls);
        assert_eq!(read.load(Ordering::SeqCst), expected * 1024, "{case:?}");
        let passed = started.now().since(crate::support::START);
        assert!(
            passed.abs_diff(Duration::from_millis(millis)) <= Duration::from_millis(2),
            "{case:?}: {passed:?}"
        );
    }
}

/// An answer that is returned is returned whole.
#[tokio::test]
async fn r117_a_rejection_that_is_the_answer_has_its_body() {
    let stock = Stock::new();
    stock.state().exhausted = true;
    let inner = service_fn(|_: Request<Body>| std::future::ready(Ok::<_, Infallible>(status(401))));
    let response = layer(stock).build().unwrap().layer(inner).oneshot(get()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "answer");
}

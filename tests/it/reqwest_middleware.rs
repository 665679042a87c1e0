//! The token layer as a middleware of reqwest-middleware, over real sockets.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use http::Extensions;
use portcullis::{
    ReqwestError, TokenInjectLayer, TokenMiddleware,
    outbound::{AuthOutcome, EmptyOnly, FinalUri, InjectError, InjectOptions, Replay, Tee},
    provider::{StaticBearer, TokenErrorKind},
    same_origin_redirects,
};
use reqwest::{Body, Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use tokio::net::TcpListener;

use crate::{
    reqwest_peer::{Peer, layer, shown, streamed},
    stock::Stock,
};

fn with<R: Replay<Body>>(layer: TokenInjectLayer<R>) -> TokenMiddleware<R> {
    TokenMiddleware::new(layer).assume_no_foreign_redirects()
}

fn staying() -> ClientBuilder {
    ClientBuilder::new(Client::builder().no_proxy().redirect(same_origin_redirects()).build().unwrap())
}

/// reqwest's own policy follows ten redirects, to wherever.
fn following() -> ClientBuilder {
    ClientBuilder::new(Client::builder().no_proxy().build().unwrap())
}

fn client<R: Replay<Body>>(layer: TokenInjectLayer<R>) -> ClientWithMiddleware {
    staying().with(with(layer)).build()
}

fn outcome(response: &Response) -> Option<&'static str> {
    response.extensions().get::<AuthOutcome>().map(AuthOutcome::name)
}

/// What a middleware has failed with.
fn own<E: fmt::Display + fmt::Debug + Send + Sync + 'static>(error: Error) -> E {
    let Error::Middleware(error) = error else { panic!("{error:?}") };
    error.downcast().unwrap()
}

/// Counts in the extensions, and remembers the count that it found.
#[derive(Clone, Default)]
struct Count(Arc<Mutex<Vec<u64>>>);

#[async_trait]
impl Middleware for Count {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let count = extensions.get::<u64>().copied().unwrap_or(0);
        self.0.lock().unwrap().push(count);
        extensions.insert(count + 1);
        next.run(request, extensions).await
    }
}

/// Sends a request as often as it has to, and lets something happen between.
struct Retry(Box<dyn Fn() + Send + Sync>);

#[async_trait]
impl Middleware for Retry {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let again = request.try_clone().unwrap();
        let response = next.clone().run(request, extensions).await?;
        if response.status() != 404 {
            return Ok(response);
        }
        (self.0)();
        next.run(again, extensions).await
    }
}

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

#[async_trait]
impl Middleware for Broken {
    async fn handle(&self, _: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        Err(Error::middleware(Self))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_middleware_sends_the_token_and_repeats_once_after_a_401() {
    let (api, at) = Peer::start().await;
    let stock = Stock::new();
    let client = client(layer(stock.clone(), &at).build().unwrap());
    let response = client.get(format!("{at}/fine?a=b")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), outcome(&response)), (200, None));
    assert_eq!(response.url().as_str(), format!("{at}/fine?a=b"));
    assert_eq!(response.text().await.unwrap(), "done");
    api.refuse("t-1");
    let response = client.get(format!("{at}/late")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), outcome(&response)), (200, Some("repeated")));
    assert_eq!(
        (response.url().as_str(), response.extensions().get::<FinalUri>().unwrap().uri().path()),
        (format!("{at}/late").as_str(), "/late")
    );
    api.state().refuses_all = true;
    let response = client.get(format!("{at}/no")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), outcome(&response)), (401, Some("rejected_again")));
    assert_eq!(
        api.seen("authorization"),
        ["/fine Bearer t-1", "/late Bearer t-1", "/late Bearer t-2", "/no Bearer t-2", "/no Bearer t-3",]
    );
    assert_eq!(stock.state().rejected, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_middleware_repeats_bytes_and_streams_whole() {
    for (body, kept, repeated) in [
        (Body::from("0123456789"), true, true),
        (streamed(&["01234", "56789"]), true, true),
        (Body::from("0123456789"), false, false),
        (streamed(&["01234", "567890"]), true, false),
    ] {
        let (api, at) = Peer::start().await;
        api.refuse("t-1");
        let stock = Stock::new();
        let layer = layer(stock.clone(), &at);
        let client = match kept {
            true => client(layer.replay(Tee::new().limit(10)).build().unwrap()),
            false => client(layer.build().unwrap()),
        };
        let response = client.post(&at).body(body).send().await.unwrap();
        let expected = if repeated { (200, Some("repeated")) } else { (401, Some("not_repeatable")) };
        assert_eq!((response.status().as_u16(), outcome(&response)), expected);
        let state = api.state();
        assert_eq!(state.seen.len(), if repeated { 2 } else { 1 });
        assert!(state.seen.iter().all(|seen| seen.body.starts_with(b"0123456789")));
        let stock = stock.state();
        assert_eq!((&stock.rejected[..], &stock.repeatable[..]), (&[1][..], &[kept][..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r116_reqwest_middleware_takes_options_from_the_extensions_of_a_request() {
    let (api, at) = Peer::start().await;
    let stock = Stock::new();
    let client = client(layer(stock.clone(), &at).exclude_paths(["/open"]).build().unwrap());
    let call =
        async |path: &str, options| client.get(format!("{at}{path}")).with_extension(options).send().await;
    assert_eq!(call("/skip", InjectOptions::new().skip()).await.unwrap().status(), 200);
    let error = call("/open", InjectOptions::new().require()).await.unwrap_err();
    assert!(matches!(own(error), InjectError::NoRule));
    api.refuse("t-1");
    let response = call("/once", InjectOptions::new().never_repeat()).await.unwrap();
    assert_eq!((response.status().as_u16(), outcome(&response)), (401, Some("not_repeatable")));
    assert_eq!(api.seen("authorization"), ["/skip -", "/once Bearer t-1"]);
    assert_eq!(stock.state().repeatable, [false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_middleware_shares_extensions_with_the_others() {
    let (api, at) = Peer::start().await;
    api.refuse("t-1");
    let (before, behind) = (Count::default(), Count::default());
    let layer = layer(Stock::new(), &at).build().unwrap();
    let client = staying().with(before.clone()).with(with(layer)).with(behind.clone()).build();
    let mut extensions = Extensions::new();
    let get = |path: &str| client.get(format!("{at}{path}")).build().unwrap();
    client.execute_with_extensions(get("/"), &mut extensions).await.unwrap();
    assert_eq!((&before.0.lock().unwrap()[..], &behind.0.lock().unwrap()[..]), (&[0][..], &[1, 2][..]));
    assert_eq!(extensions.get(), Some(&3_u64), "what is written behind is there before");

    // Whoever gives up has what was there.
    let mut extensions = Extensions::new();
    let call = client.execute_with_extensions(get("/never"), &mut extensions);
    assert!(tokio::time::timeout(Duration::from_millis(30), call).await.is_err());
    assert_eq!(extensions.get(), Some(&1_u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_middleware_behind_a_retry_each_attempt_has_the_token_of_its_time() {
    let (api, at) = Peer::start().await;
    api.redirect("/", 404, "/");
    let stock = Stock::new();
    let renew = {
        let stock = stock.clone();
        Retry(Box::new(move || stock.renew()))
    };
    let client = staying().with(renew).with(with(layer(stock, &at).build().unwrap())).build();
    assert_eq!(client.get(&at).send().await.unwrap().status(), 404);
    assert_eq!(api.seen("authorization"), ["/ Bearer t-1", "/ Bearer t-2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_middleware_errors_come_out_as_they_are_and_ours_have_a_type() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (api, at) = Peer::start().await;
    let own_layer =
        || layer(StaticBearer::new("planted").unwrap(), &at).allow_origin(&nobody).build().unwrap();
    let error = client(own_layer()).get(&nobody).send().await.unwrap_err();
    assert!(error.is_connect() && matches!(error, Error::Reqwest(_)), "{error:?}");
    assert!(!shown(&error).contains("planted"));

    let timed =
        client(own_layer()).get(format!("{at}/never")).timeout(Duration::from_millis(30)).send().await;
    assert!(timed.unwrap_err().is_timeout());

    let broken = staying().with(with(own_layer())).with(Broken).build();
    let _: Broken = own(broken.get(&at).send().await.unwrap_err());

    let stock = Stock::new();
    stock.state().errors.push(TokenErrorKind::Refused);
    let error = client(layer(stock, &at).build().unwrap())
        .get(format!("{at}/?key=planted"))
        .send()
        .await
        .unwrap_err();
    assert!(!shown(&error).contains("planted"));
    assert!(matches!(own(error), InjectError::Token(error) if error.kind() == TokenErrorKind::Refused));
    assert!(api.state().seen.is_empty());
}

// ===== redirects =====

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_reqwest_middleware_sends_no_token_where_a_redirect_could_carry_it() {
    for name in ["authorization", "x-user-token"] {
        let (api, at) = Peer::start().await;
        let (other, elsewhere) = Peer::start().await;
        let stock = Stock::named(name.parse().unwrap(), "t");
        let layer = layer(stock.clone(), &at).build().unwrap();
        let client = following().with(TokenMiddleware::<EmptyOnly>::new(layer)).build();
        let error: ReqwestError = own(client.get(format!("{at}/?key=planted")).send().await.unwrap_err());
        assert_eq!(error.header().unwrap(), name);
        assert!(!shown(&error).contains("planted"));
        assert!(api.state().seen.is_empty() && stock.state().repeatable.is_empty(), "no token was asked for");

        // What gets none of our tokens is somebody else's business.
        assert_eq!(client.get(&elsewhere).bearer_auth("own").send().await.unwrap().status(), 200);
        assert_eq!(other.seen("authorization"), ["/ Bearer own"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_reqwest_middleware_tokens_stay_with_their_origin() {
    let (api, at) = Peer::start().await;
    let (evil, elsewhere) = Peer::start().await;
    api.redirect("/old", 307, "/new");
    api.redirect("/away", 307, format!("{elsewhere}/trap"));
    evil.state().refuses_all = true;
    api.state().refused.insert("Bearer t-1".to_owned());
    let stock = Stock::named("x-user-token".parse().unwrap(), "t");
    let own_layer = || layer(stock.clone(), &at).replay(Tee::new()).build().unwrap();
    let staying = client(own_layer());
    let response = staying.put(format!("{at}/old")).body("bytes").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), outcome(&response), response.url().path()),
        (200, Some("repeated"), "/new")
    );
    assert_eq!(
        api.seen("x-user-token"),
        ["/old Bearer t-1", "/new Bearer t-1", "/old Bearer t-2", "/new Bearer t-2",]
    );
    assert_eq!(api.state().seen[3].body, "bytes");
    assert_eq!(staying.get(format!("{at}/away")).send().await.unwrap().status(), 307);
    assert!(evil.state().seen.is_empty());

    // Where the promise about a client is not kept, what answers elsewhere is no word about the token.
    let stock = Stock::new();
    let following = following().with(with(layer(stock.clone(), &at).build().unwrap())).build();
    let response = following.get(format!("{at}/away")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), outcome(&response)), (401, Some("foreign")));
    assert_eq!(response.url().as_str(), format!("{elsewhere}/trap"));
    assert_eq!(evil.seen("authorization"), ["/trap -"]);
    assert!(stock.state().rejected.is_empty());
}

//! The outbound layer: which requests carry a token, and which are left alone.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use portcullis::{
    TokenInjectLayer,
    outbound::{ExistingHeader, FinalUri, InjectError, InjectOptions, TokenInjectLayerBuilder},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    idp::{Idp, step},
    support::Body,
};

fn layer(idp: &Idp) -> TokenInjectLayerBuilder {
    TokenInjectLayer::new(idp.pipeline().step(step("user")).build().unwrap().provider())
}

/// The token that the service below was sent, if any.
async fn sent(layer: TokenInjectLayerBuilder, request: Request<Body>) -> Result<String, InjectError> {
    let inner = service_fn(async |request: Request<Body>| {
        let token = request.headers().get("authorization").map_or("-", |value| value.to_str().unwrap());
        Ok::<_, Infallible>(Response::new(Body::from(token.to_owned())))
    });
    let response = layer.build().unwrap().layer(inner).oneshot(request).await?;
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn r121_a_path_alone_goes_to_the_default_origin() {
    for (default, expected) in [
        (None, "-"),
        (Some("https://api.test"), "Bearer user-1"),
        (Some("https://API.test:443"), "Bearer user-1"),
        (Some("https://other.test"), "-"),
        (Some("http://api.test"), "-"),
        (Some("https://api.test:444"), "-"),
    ] {
        let idp = Idp::counting();
        let layer = || {
            let layer = layer(&idp).allow_origin("https://b.test").allow_origin("https://api.test");
            if let Some(default) = default { layer.default_origin(default) } else { layer }
        };
        assert_eq!(sent(layer(), get("/package.Service/Method")).await.unwrap(), expected, "{default:?}");
        assert_eq!(idp.names().is_empty(), expected == "-", "{default:?}");
        // With an authority, the default has no say.
        assert_eq!(sent(layer(), get("https://evil.test/")).await.unwrap(), "-");
        let connect = Request::connect("api.test:443").body(Body::default()).unwrap();
        assert_eq!(sent(layer(), connect).await.unwrap(), "-");
    }
    for text in ["api.test", "/", "", "https://api.test/path"] {
        let error = layer(&Idp::counting()).allow_origin("https://api.test").default_origin(text).build();
        assert_eq!(error.unwrap_err().faults()[0].field(), "default_origin", "{text}");
    }
}

/// A client that follows redirects below the layer leaves off the token on its way to another origin.
#[tokio::test(start_paused = true)]
async fn r205_a_401_from_where_a_redirect_led_is_not_about_our_token() {
    for (last, fetches) in [
        ("https://evil.test/", 1),
        ("https://b.test/", 1),
        ("http://api.test/", 1),
        ("https://api.test/elsewhere", 2),
    ] {
        let idp = Idp::counting();
        let layer = layer(&idp).allow_origin("https://b.test").allow_origin("https://api.test");
        let inner = service_fn(move |_: Request<Body>| async move {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response.extensions_mut().insert(FinalUri::new(last.parse().unwrap()));
            Ok::<_, Infallible>(response)
        });
        let service = layer.build().unwrap().layer(inner);
        assert_eq!(service.oneshot(get("https://api.test/")).await.unwrap().status(), 401);
        assert_eq!(idp.names().len(), fetches, "{last}");
    }
}

// ===== what is left alone =====

#[tokio::test(start_paused = true)]
async fn r120_excluded_paths_get_no_token_and_cause_no_fetch() {
    let idp = Idp::counting();
    let layer = || {
        layer(&idp)
            .allow_origin("https://api.test")
            .exclude_paths(["/health", "/public/**"])
            .exclude_paths(["/users/*/avatar"])
    };
    for (path, excluded) in [
        ("/health", true),
        ("/health?a=/x", true),
        ("/h%65alth", true),
        ("/public/", true),
        ("/public/a/b.css?v=1", true),
        ("/users/7/avatar", true),
        ("/health/", false),
        ("/Health", false),
        ("/healthy", false),
        ("/x/health", false),
        ("/public", false),
        ("/users/7/8/avatar", false),
        // Nobody knows what such a path is; it is not excluded.
        ("/public/../admin", false),
        ("/public/%2e%2e/admin", false),
        ("//health", false),
        ("/public/a%2fb", false),
    ] {
        let before = idp.names().len();
        let token = sent(layer(), get(&format!("https://api.test{path}"))).await.unwrap();
        assert_eq!(token == "-", excluded, "{path}");
        assert_eq!(idp.names().len() == before, excluded, "{path}");
    }
    for pattern in ["health", "/a//b", "/a**", "/a?b", "/%61"] {
        let error = layer().exclude_paths([pattern]).build().unwrap_err();
        assert_eq!(error.faults()[0].field(), "exclude_paths", "{pattern}");
    }
}

fn with(options: InjectOptions, uri: &str) -> Request<Body> {
    let mut request = get(uri);
    request.extensions_mut().insert(options);
    request
}

#[tokio::test(start_paused = true)]
async fn r116_options_of_a_request_decide_whether_it_gets_a_token() {
    let new = InjectOptions::new;
    for (options, uri, expected) in [
        (new(), "https://api.test/", Ok("Bearer user-1")),
        (new(), "https://other.test/", Ok("-")),
        (new().skip(), "https://api.test/", Ok("-")),
        (new().skip(), "https://other.test/", Ok("-")),
        (new().require(), "https://api.test/", Ok("Bearer user-1")),
        (new().require(), "https://other.test/", Err(())),
        (new().require(), "https://api.test/health", Err(())),
        (new().require(), "/path", Err(())),
        (new().never_repeat(), "https://other.test/", Ok("-")),
        (new().existing_header(ExistingHeader::Replace), "https://other.test/", Ok("-")),
    ] {
        let idp = Idp::counting();
        let layer = layer(&idp).allow_origin("https://api.test").exclude_paths(["/health"]);
        let answer = sent(layer, with(options, uri)).await;
        match (&answer, expected) {
            (Ok(token), Ok(expected)) => assert_eq!(token, expected, "{options:?} {uri}"),
            (Err(InjectError::NoRule), Err(())) => {}
            _ => panic!("{options:?} {uri}: {answer:?}"),
        }
        assert_eq!(idp.names().is_empty(), expected != Ok("Bearer user-1"));
    }
}

#[tokio::test(start_paused = true)]
async fn r116_a_header_that_is_there_stays_or_is_replaced_by_layer_and_by_request() {
    use ExistingHeader::{Keep, Replace};

    for (by_layer, by_request, expected) in [
        (None, None, "mine"),
        (Some(Keep), None, "mine"),
        (Some(Replace), None, "Bearer user-1"),
        (None, Some(Replace), "Bearer user-1"),
        (Some(Replace), Some(Keep), "mine"),
        (Some(Keep), Some(Keep), "mine"),
    ] {
        let idp = Idp::counting();
        let layer = layer(&idp).allow_origin("https://api.test");
        let layer = by_layer.into_iter().fold(layer, TokenInjectLayerBuilder::existing_header);
        // A header of its own is enough for who requires one.
        let options = InjectOptions::new().require();
        let mut request =
            with(by_request.into_iter().fold(options, InjectOptions::existing_header), "https://api.test/");
        request.headers_mut().append("authorization", http::HeaderValue::from_static("mine"));
        request.headers_mut().append("authorization", http::HeaderValue::from_static("mine, too"));
        assert_eq!(sent(layer, request).await.unwrap(), expected, "{by_layer:?} {by_request:?}");
        assert_eq!(idp.names().is_empty(), expected == "mine");
    }
}

/// A layer inside reads the options of the same request.
#[tokio::test(start_paused = true)]
async fn r116_options_stay_with_the_request_on_both_sendings() {
    let idp = Idp::counting();
    let (calls, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<Body>| {
        let options = request.extensions().get::<InjectOptions>().copied();
        let headers = request.headers().get_all("authorization").iter().count();
        calls.send((options, headers)).unwrap();
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let options = InjectOptions::new().require().existing_header(ExistingHeader::Replace);
    let mut request = with(options, "https://api.test/");
    request.headers_mut().insert("authorization", http::HeaderValue::from_static("mine"));
    let service = layer(&idp).allow_origin("https://api.test").build().unwrap().layer(inner);
    service.oneshot(request).await.unwrap();
    for _ in 0..2 {
        assert_eq!(seen.recv().await.unwrap(), (Some(options), 1));
    }
}

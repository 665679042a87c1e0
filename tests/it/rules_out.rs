//! The outbound layer: which requests carry a token, and which are left alone.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use portcullis::{
    TokenInjectLayer,
    outbound::{FinalUri, InjectError, TokenInjectLayerBuilder},
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

//! The layer that logs requests and answers.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::{clock::ManualClock, redact::Redaction, request_log::RequestLogLayer};
use tower::{Layer, ServiceExt, service_fn};

use crate::{log::Log, support::START};

fn request() -> Request<Full<Bytes>> {
    let mut api_key = HeaderValue::from_static("planted-marked");
    api_key.set_sensitive(true);
    Request::post("https://ada:planted@api.test/orders?page=2&access_token=planted&authkey=planted")
        .header("authorization", "Bearer planted")
        .header("cookie", "token=planted")
        .header("x-customer", "planted")
        .header("x-marked", api_key)
        .header("x-auth-key", "planted")
        .header("ocp-apim-subscription-key", "planted")
        .header("x-unknown", "planted")
        .header("x-region", "eu")
        .header("accept", "text/html")
        .body(Full::from("planted"))
        .unwrap()
}

#[tokio::test]
async fn r126_a_request_and_its_answer_are_logged_without_their_secrets() {
    let log = Log::default();
    let _guard = log.listen();
    let clock = ManualClock::new(START);
    let inside = clock.clone();
    let redaction = Redaction::new().and_names(["X-Customer"]).and_shown_headers(["X-Region", "X-Customer"]);
    let service = RequestLogLayer::new(redaction).clock(clock.clock()).layer(service_fn(
        move |request: Request<Full<Bytes>>| {
            inside.advance(Duration::from_millis(250));
            // What the layer hides, the service gets.
            assert_eq!(request.headers()["authorization"], "Bearer planted");
            assert_eq!(request.uri().query(), Some("page=2&access_token=planted&authkey=planted"));
            let answer = Response::builder()
                .status(StatusCode::FOUND)
                .header("location", "https://app.test/cb?code=planted&page=3")
                .header("set-cookie", "token=planted")
                .header("etag", "abc")
                .header("x-api-echo", "planted")
                .body(Full::<Bytes>::from("planted"));
            std::future::ready(Ok::<_, io::Error>(answer.unwrap()))
        },
    ));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.headers()["set-cookie"], "token=planted");

    let text = log.text();
    assert!(!text.contains("planted") && !text.contains("ada"), "{text}");
    for shown in [
        "method=POST",
        "uri=https://api.test/orders?page=2&access_token=[redacted]&authkey=[redacted]",
        r#""accept": "text/html""#,
        r#""authorization": [redacted]"#,
        r#""x-customer": [redacted]"#,
        r#""x-marked": [redacted]"#,
        r#""x-auth-key": [redacted]"#,
        r#""ocp-apim-subscription-key": [redacted]"#,
        r#""x-unknown": [redacted]"#,
        r#""x-region": "eu""#,
        "status=302",
        "millis=250",
        "https://app.test/cb?code=[redacted]&page=3",
        r#""etag": "abc""#,
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
}

#[tokio::test]
async fn r126_of_an_error_only_that_there_was_one_is_logged() {
    let log = Log::default();
    let _guard = log.listen();
    let redaction = Redaction::new().and_names(["X-Customer"]);
    let service = RequestLogLayer::new(redaction).layer(service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Err::<Response<Full<Bytes>>, _>(io::Error::other("planted")))
    }));
    let error = service.oneshot(request()).await.unwrap_err();
    assert_eq!(error.to_string(), "planted");
    let text = log.text();
    assert!(text.contains("no answer") && !text.contains("planted"), "{text}");
}

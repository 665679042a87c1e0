//! Bodies that are no good: each gets its answer, and nobody is asked and nothing written.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis::{
    flow::{DeviceRenameService, DeviceRevokeService, LoginService, RefreshService},
    problem::Reason,
};
use tower::Layer;

use super::{FORM, JSON, PASSWORD, flow, post, send, send_from};
use crate::support::bearer;

const PROBLEM: (&str, &str) = ("content-type", "application/problem+json");

/// Headers, body, status and reason.
type Case = (Vec<(&'static str, &'static str)>, Vec<u8>, u16, Reason);

/// Bodies that no service takes, whatever fields it wants.
fn malformed() -> Vec<Case> {
    let json = |body: &str| (vec![JSON], body.as_bytes().to_vec(), 400, Reason::MalformedBody);
    let form = |body: &[u8]| (vec![FORM], body.to_vec(), 400, Reason::MalformedBody);
    let twice = |kind, body: &str| (vec![kind], body.as_bytes().to_vec(), 400, Reason::DuplicateField);
    let unread = |headers: &[(&'static str, &'static str)]| {
        (headers.to_vec(), b"{\"a\":1}".to_vec(), 415, Reason::UnsupportedContent)
    };
    let deep = format!("{{\"a\":{}", "[".repeat(16_000));
    vec![
        json("{"),
        json("[]"),
        json("[\"username\"]"),
        json("\"text\""),
        json("null"),
        json("1"),
        json("{} {}"),
        json("{\"a\":1,}"),
        json("{a:1}"),
        json("{'a':1}"),
        json("\u{feff}{}"),
        json("{\"a\":\"\\ud800\"}"),
        json("{\"a\":\"\n\"}"),
        json(&deep),
        (vec![JSON], b"{\"a\":\"\xff\"}".to_vec(), 400, Reason::MalformedBody),
        form(b"a=%"),
        form(b"a=%4"),
        form(b"a=%zz"),
        form(b"%%=a"),
        form(b"a=%ff"),
        form(b"a=\xff"),
        form(b"a=%c0%80"),
        twice(JSON, r#"{"x":1,"x":1}"#),
        twice(JSON, r#"{"password":"a","password":"b"}"#),
        twice(JSON, r#"{"password":"a","p\u0061ssword":"b"}"#),
        twice(JSON, r#"{"id":"a","id":null}"#),
        twice(FORM, "password=a&password=b"),
        twice(FORM, "password=a&p%61ssword=b"),
        twice(FORM, "x&x="),
        unread(&[]),
        unread(&[("content-type", "text/plain")]),
        unread(&[("content-type", "text/json")]),
        unread(&[("content-type", "application/jsonp")]),
        unread(&[("content-type", "application/ld+json")]),
        unread(&[("content-type", "multipart/form-data; boundary=x")]),
        unread(&[("content-type", "")]),
        unread(&[("content-type", "application/json, application/json")]),
        unread(&[JSON, JSON]),
        unread(&[JSON, FORM]),
        unread(&[PROBLEM]),
        unread(&[JSON, ("content-encoding", "gzip")]),
        unread(&[JSON, ("content-encoding", "identity"), ("content-encoding", "br")]),
        (vec![JSON], vec![b' '; 16 * 1024 + 1], 413, Reason::TooLong),
        (vec![FORM], vec![b'a'; 64 * 1024], 413, Reason::TooLong),
    ]
}

#[tokio::test]
async fn r040_a_body_that_is_no_good_is_refused_and_nobody_is_asked() {
    let flow = flow();
    let tokens = &flow.fixture.tokens;
    let issued = flow.fixture.login("ada").await;
    let (name, value) = bearer(issued.access().expose());
    let token = (name.as_str(), value.as_str());
    let layer = flow.fixture.layer().build().unwrap();
    let login = flow.login().build().unwrap();
    let refresh = RefreshService::new(tokens.clone()).build().unwrap();
    let rename = layer.layer(DeviceRenameService::new(tokens.clone()));
    let revoke = layer.layer(DeviceRevokeService::new(tokens.clone()).build().unwrap());
    let writes = flow.fixture.store.writes();
    for (headers, body, status, reason) in malformed() {
        let send = async |service: u8| {
            let headers = [&headers[..], &[token]].concat();
            let body = crate::support::Body::from(body.clone());
            let ip = "192.0.2.7";
            match service {
                0 => send_from(&login, ip, Method::POST, "/", &headers, body).await,
                1 => send_from(&refresh, ip, Method::POST, "/", &headers, body).await,
                2 => send_from(&rename, ip, Method::POST, "/", &headers, body).await,
                _ => send_from(&revoke, ip, Method::POST, "/", &headers, body).await,
            }
        };
        for service in 0..4 {
            let answer = send(service).await;
            let body = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(answer.status, status, "service {service}: {headers:?} {body}");
            assert_eq!(answer.reason(), Some(reason), "service {service}: {headers:?} {body}");
            assert!(answer.challenges().is_empty());
            let code = match status {
                413 => "content_too_large",
                415 => "unsupported_media_type",
                _ => "invalid_request",
            };
            assert_eq!(answer.code(), code);
        }
    }
    assert_eq!(flow.users.asked(), (0, 0));
    assert_eq!(flow.fixture.store.writes(), writes);
    flow.fixture.verify(issued.access().expose()).await.unwrap();
}

#[tokio::test]
async fn r040_fields_that_are_missing_or_of_another_type_are_400() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    let json_bodies = [
        r#"{}"#,
        r#"{"username":"ada"}"#,
        r#"{"password":"x"}"#,
        r#"{"username":"","password":"x"}"#,
        r#"{"username":"ada","password":""}"#,
        r#"{"username":null,"password":"x"}"#,
        r#"{"username":1,"password":"x"}"#,
        r#"{"username":"ada","password":1.5}"#,
        r#"{"username":["ada"],"password":"x"}"#,
        r#"{"username":"ada","password":{"$ne":""}}"#,
        r#"{"username":"ada","password":true}"#,
        r#"{"username":"ada","password":"x","device":1}"#,
        r#"{"username":"ada","password":"x","device":[]}"#,
        r#"{"username":"ada","password":"x","remember":"perhaps"}"#,
        r#"{"username":"ada","password":"x","remember":0}"#,
        r#"{"Username":"ada","password":"x"}"#,
        r#"{"user":{"username":"ada","password":"x"}}"#,
    ];
    let form_bodies =
        ["", "username=ada", "username=ada&password=", "username&password=x", "username[]=ada&password=x"];
    let all = json_bodies.map(|body| (JSON, body)).into_iter().chain(form_bodies.map(|body| (FORM, body)));
    // Read to its end without a look inside, however deep it goes.
    let deep = format!("{{\"username\":\"ada\",\"x\":{}{}}}", "[".repeat(8_000), "]".repeat(8_000));
    for (kind, body) in all.chain([(JSON, deep.as_str())]) {
        let answer = post(&login, &[kind], body).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (400, Some(Reason::MissingField)), "{body}");
    }
    assert_eq!((flow.users.asked(), flow.store_calls()), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn r040_types_and_texts_that_are_good_are_taken() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    let json = format!(r#" {{"username":"ada","pass\u0077ord":"{PASSWORD}"}} "#);
    let form = format!("username=%61da&password={PASSWORD}");
    let cases = [
        ("application/json", &json),
        ("Application/JSON; charset=utf-8", &json),
        ("application/json ;charset=UTF-8", &json),
        ("application/x-www-form-urlencoded", &form),
        ("APPLICATION/x-www-form-urlencoded;charset=UTF-8", &form),
    ];
    for (content_type, body) in cases {
        let headers = [("content-type", content_type), ("content-encoding", "identity")];
        assert_eq!(post(&login, &headers, body).await.status, 200, "{content_type}");
    }
    // To the last byte that is allowed.
    let full = format!("{json}{}", " ".repeat(16 * 1024 - json.len()));
    assert_eq!(post(&login, &[JSON], &full).await.status, 200);
}

/// What cannot be in a password is in the documentation of nobody: it arrives as it was typed.
#[tokio::test]
async fn a_password_arrives_as_it_was_typed() {
    struct Typed(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

    #[async_trait::async_trait]
    impl portcullis::flow::Accounts for Typed {
        type Account = ();

        async fn find(&self, name: &str, _: Option<&str>) -> Result<Option<()>, portcullis::error::BoxError> {
            self.0.lock().unwrap().push(name.to_owned());
            Ok(None)
        }

        async fn check(
            &self,
            _: Option<&()>,
            password: &portcullis::secret::Secret,
        ) -> Result<bool, portcullis::error::BoxError> {
            self.0.lock().unwrap().push(password.expose().to_owned());
            Ok(true)
        }

        fn is_active(&self, _: &()) -> bool {
            true
        }

        fn subject(&self, _: &()) -> portcullis::identity::Subject {
            portcullis::identity::Subject::local("x")
        }
    }

    let typed = std::sync::Arc::default();
    let login =
        LoginService::new(flow().fixture.tokens, Typed(std::sync::Arc::clone(&typed))).build().unwrap();
    for text in [" a ", "\0", "\u{fffd}", "pä\u{308}ss", "\u{1f511}+%41&=", "a\r\nb"] {
        let json = serde_json::json!({ "username": text, "password": text }).to_string();
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = format!("username={encoded}&password={encoded}");
        for (kind, body) in [(JSON, json), (FORM, form)] {
            // Right for nobody: without an account the answer to the check does not count.
            assert_eq!(post(&login, &[kind], &body).await.status, 401);
            assert_eq!(std::mem::take(&mut *typed.lock().unwrap()), [text, text]);
        }
    }
    assert_eq!(post(&login, &[FORM], "username=a+b&password=%2B").await.status, 401);
    assert_eq!(*typed.lock().unwrap(), ["a b", "+"]);
}

#[tokio::test]
async fn r040_other_methods_are_405_and_name_the_right_one() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let answer = send(&login, method.clone(), "/?username=ada&password=x", &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert_eq!(answer.headers["allow"], "POST");
    }
    assert_eq!(flow.users.asked(), (0, 0));
}

/// Nothing in a URL is a credential.
#[tokio::test]
async fn sec_a06_names_passwords_and_tokens_in_the_url_are_not_read() {
    let flow = flow();
    let issued = flow.fixture.login("ada").await;
    let login = flow.login().build().unwrap();
    let uri = format!("/?username=ada&password={PASSWORD}");
    assert_eq!(send(&login, Method::POST, &uri, &[FORM], "").await.status, 400);
    assert_eq!(send(&login, Method::POST, &uri, &[JSON], "{}").await.status, 400);
    assert_eq!(flow.users.asked(), (0, 0));

    let refresh = RefreshService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
    let refresh = refresh.build().unwrap();
    let calls = flow.store_calls();
    let uri = format!("/?refresh_token={}", issued.refresh().unwrap().expose());
    for (headers, body) in [(&[][..], ""), (&[JSON][..], "{}"), (&[FORM][..], "a=b")] {
        let answer = send(&refresh, Method::POST, &uri, headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (400, Some(Reason::MissingField)));
    }
    assert_eq!(flow.store_calls(), calls);
}

// ===== bodies in pieces =====

/// Yields what it is given, and counts how often it was asked.
struct Pieces {
    pieces: Vec<Result<Frame<Bytes>, &'static str>>,
    asked: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    least: u64,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Poll::Ready(if self.pieces.is_empty() { None } else { Some(self.pieces.remove(0)) })
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.least);
        hint
    }
}

#[tokio::test]
async fn r040_bodies_in_pieces_are_read_up_to_the_limit() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    let data = |text: &str| Ok(Frame::data(Bytes::from(text.to_owned())));
    let asked = std::sync::Arc::default();
    let send = async |pieces, least, headers: &[(&str, &str)]| {
        let body = Pieces { pieces, asked: std::sync::Arc::clone(&asked), least };
        let answer = send_from(&login, "192.0.2.7", Method::POST, "/", headers, body).await;
        (answer.status.as_u16(), asked.swap(0, std::sync::atomic::Ordering::SeqCst))
    };
    let whole = vec![
        data("username=a"),
        data(""),
        data("da&password="),
        data(PASSWORD),
        Ok(Frame::trailers(HeaderMap::new())),
    ];
    assert_eq!(send(whole, 0, &[FORM]).await, (200, 6));
    assert_eq!(send(vec![data("username="), Err("gone")], 0, &[FORM]).await, (400, 2));
    let long = vec![data(&"a".repeat(10_000)), data(&"b".repeat(6_385)), data("never read")];
    assert_eq!(send(long, 0, &[FORM]).await, (413, 2));
    // What is announced as too long, or of another type, is not read at all.
    assert_eq!(send(vec![data("a=b")], 16_385, &[FORM]).await, (413, 0));
    assert_eq!(send(vec![data("a=b")], 0, &[FORM, ("content-length", "16385")]).await, (413, 0));
    assert_eq!(send(vec![data("a=b")], 0, &[("content-type", "text/plain")]).await, (415, 0));
}

//! Requests that need no credential.

use std::convert::Infallible;

use http::{Method, Request, Response};
use portcullis::{
    AuthLayer,
    identity::{AuthContext, Subject},
    problem::Reason,
};
use tower::{Layer, ServiceExt, service_fn};

use super::{MODES, get, to};
use crate::support::{Body, Mode, ask, bearer, fixture};

#[tokio::test]
async fn r011_excluded_paths_are_neither_read_nor_verified() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let (name, good) = bearer(issued.access().expose());
        let layer = || {
            let layer = fixture.layer().cookie("token").refuse_foreign_schemes();
            layer.exclude(["/health", "/login"]).exclude(["/static/**"]).reporter(fixture.events.reporter())
        };
        let before = fixture.events.all().len();
        for path in ["/health", "/health?x=/secret", "/login", "/static/", "/static/a/b.css", "/static/%61"] {
            for headers in [
                &[][..],
                &[(name.as_str(), good.as_str())],
                &[("authorization", "Bearer junk")],
                &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
                &[("authorization", "Basic dTpw")],
                &[("cookie", "__Host-token=a; __Host-token=b")],
            ] {
                for method in [Method::GET, Method::POST] {
                    let answer = ask(layer(), to(method, path, headers)).await;
                    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "anonymous"), "{path}");
                    assert!(!answer.headers.contains_key("vary"), "it depends on no credential");
                }
            }
        }
        fixture.store.set(Mode::Down);
        assert_eq!(ask(layer(), get("/health", &[(&name, &good)])).await.status, 200);
        assert_eq!(fixture.store.finds(), 0);
        assert_eq!(fixture.events.all().len(), before, "nothing was decided");

        fixture.store.set(mode);
        for path in ["/", "/health/", "/healthz", "/Health", "/static", "/login/x", "/x/health"] {
            assert_eq!(ask(layer(), get(path, &[])).await.status, 401, "{path}");
            assert_eq!(ask(layer(), get(path, &[(&name, &good)])).await.body, "ada header Bearer", "{path}");
        }
    }
    let error = fixture().layer().exclude(["health", "/a/**/b"]).exclude(["/%61"]).build().unwrap_err();
    assert_eq!(error.faults().len(), 3, "{error}");
    assert!(error.faults().iter().all(|fault| fault.field() == "exclude"));
}

#[tokio::test]
async fn sec_i06_no_spelling_makes_a_path_exempt() {
    let fixture = fixture();
    let layer = fixture.layer().exclude(["/health", "/static/**"]).build().unwrap();
    for path in [
        "/admin?/health",
        "/admin?path=/static/x",
        "/static/../admin",
        "/static/..;/admin",
        "/static/%2e%2e/admin",
        "/static/%2E%2E%2Fadmin",
        "/static/..%2fadmin",
        "/static/..%5cadmin",
        "/static/%252e%252e/admin",
        "/static//admin",
        "//static/x",
        "/./health",
        "/health/.",
        "/health%00",
        "/health%0a",
        "/health%23",
        "/health%3f",
        "/health;a=b",
        "/HEALTH",
        "/%48ealth",
        "/health%20",
        "/static/%ff",
        "/static/%",
        "/static/%zz",
        "/admin/health",
    ] {
        let answer = crate::support::ask_layer(&layer, get(path, &[])).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::Absent)), "{path}");
    }
    for headers in
        [[("x-original-url", "/health")], [("x-rewrite-url", "/health")], [("user-agent", "probe")]]
    {
        assert_eq!(crate::support::ask_layer(&layer, get("/admin", &headers)).await.status, 401);
    }
    assert_eq!(crate::support::ask_layer(&layer, get("/%68ealth", &[])).await.status, 200, "decoded once");
}

#[tokio::test]
async fn preflights_pass_as_anonymous_and_no_other_options_do() {
    let fixture = fixture();
    let (origin, asks) = (("origin", "https://a.test"), ("access-control-request-method", "PUT"));
    let send = async |open: bool, method: Method, headers: &[(&str, &str)]| {
        let layer = fixture.layer().cookie("token");
        let layer = if open { layer.allow_preflight() } else { layer };
        ask(layer, to(method, "/orders", headers)).await
    };
    let junk = ("authorization", "Bearer junk");
    for headers in [&[origin, asks][..], &[origin, asks, junk]] {
        assert_eq!(send(true, Method::OPTIONS, headers).await.body, "anonymous");
        assert_eq!(send(false, Method::OPTIONS, headers).await.status, 401);
        for method in [Method::GET, Method::POST, Method::PUT, Method::HEAD] {
            assert_eq!(send(true, method, headers).await.status, 401);
        }
    }
    for headers in [
        &[][..],
        &[origin],
        &[asks],
        &[origin, origin, asks],
        &[origin, asks, asks],
        &[origin, ("access-control-request-headers", "x")],
    ] {
        assert_eq!(send(true, Method::OPTIONS, headers).await.status, 401, "{headers:?}");
    }
    assert_eq!(fixture.store.finds(), 0);
}

#[tokio::test]
async fn an_exempt_request_is_nobodys_for_every_identity_type() {
    let fixture = fixture();
    let layer: AuthLayer<Subject> = fixture.layer().exclude(["/open"]).build().unwrap();
    let service = layer.layer(service_fn(|request: Request<Body>| async move {
        let context = request.extensions().get::<AuthContext>().expect("one extension");
        assert!(context.is_anonymous() && context.subject().is_none() && context.watch().is_none());
        assert!(context.auth::<Subject>().unwrap().is_none() && context.auth::<String>().is_err());
        Ok::<_, Infallible>(Response::new(Body::default()))
    }));
    assert_eq!(service.oneshot(get("/open", &[])).await.unwrap().status(), 200);
}

//! `Auth<I>`, `Option<Auth<I>>` and `Require<P>` in axum handlers.

use axum::{Router, body::Body, routing::get};
use http::Request;
use portcullis::{
    Auth, Require, identity::Subject, inbound::Permission, problem::Reason, token::IssueOptions,
};
use tower::ServiceExt;

use crate::support::{Answer, Fixture, bearer, fixture};

struct BetaTester;

impl Permission for BetaTester {
    type Identity = Subject;
    const SCOPE: Option<&'static str> = Some("beta");

    fn granted(auth: &Auth<Subject>) -> bool {
        auth.record().is_ok_and(|login| login.context().get("beta").is_some_and(|beta| beta == true))
    }
}

fn routes() -> Router {
    Router::new()
        .route("/me", get(async |auth: Auth<Subject>| auth.user().id().to_owned()))
        .route(
            "/guest",
            get(async |auth: Option<Auth<Subject>>| {
                auth.map_or_else(|| "guest".to_owned(), |auth| auth.user().id().to_owned())
            }),
        )
        .route("/beta", get(async |_: Require<BetaTester>| "welcome"))
        .route("/open", get(async || "open"))
        .route("/wrong", get(async |auth: Auth<String>| auth.user().clone()))
        .route("/wrong-guest", get(async |auth: Option<Auth<String>>| auth.is_none().to_string()))
}

async fn ask(router: Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

async fn beta_login(fixture: &Fixture, beta: bool) -> (String, String) {
    let mut context = serde_json::Map::new();
    context.insert("beta".to_owned(), beta.into());
    let options = IssueOptions::default().context(context);
    let issued = fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    bearer(issued.access().expose())
}

#[tokio::test]
async fn r029_extractors_give_the_caller_and_tell_401_from_403() {
    let fixture = fixture();
    let (name, beta) = beta_login(&fixture, true).await;
    let (_, plain) = beta_login(&fixture, false).await;
    for optional in [false, true] {
        let layer = if optional { fixture.layer().optional() } else { fixture.layer() };
        let router = routes().layer(layer.realm("r").build().unwrap());
        let send = async |path: &str, value: Option<&String>| {
            let headers: Vec<_> = value.map(|value| (name.as_str(), value.as_str())).into_iter().collect();
            ask(router.clone(), path, &headers).await
        };
        assert_eq!(send("/me", Some(&plain)).await.body, "ada");
        assert_eq!(send("/guest", Some(&plain)).await.body, "ada");
        assert_eq!(send("/beta", Some(&beta)).await.body, "welcome");

        let refused = send("/beta", Some(&plain)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"));
        assert_eq!(refused.reason(), Some(Reason::NotPermitted));
        assert_eq!(refused.challenges(), [r#"Bearer realm="r", error="insufficient_scope", scope="beta""#]);

        for path in ["/me", "/beta"] {
            let anonymous = send(path, None).await;
            assert_eq!(
                (anonymous.status.as_u16(), anonymous.code().as_str()),
                (401, "missing_credential"),
                "{path}"
            );
            assert_eq!(anonymous.challenges(), [r#"Bearer realm="r""#, r#"Token realm="r""#]);
        }
        let guest = send("/guest", None).await;
        let open = send("/open", None).await;
        if optional {
            assert_eq!((guest.body.as_str(), open.body.as_str()), ("guest", "open"));
        } else {
            assert_eq!((guest.status.as_u16(), open.status.as_u16()), (401, 401));
        }
        let invalid = send("/guest", Some(&"Bearer junk".to_owned())).await;
        assert_eq!((invalid.status.as_u16(), invalid.code().as_str()), (401, "invalid_token"));
    }
}

#[tokio::test]
async fn sec_i04_without_the_layer_a_handler_that_needs_a_caller_is_a_loud_500() {
    for path in ["/me", "/guest", "/beta"] {
        let answer = ask(routes(), path, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "auth_layer_missing"), "{path}");
        assert!(answer.body.contains("AuthLayer"), "{}", answer.body);
    }
    assert_eq!(ask(routes(), "/open", &[]).await.body, "open");

    // A layer with another identity type is no layer for this handler; it never reads as "nobody".
    let fixture = fixture();
    let (name, value) = beta_login(&fixture, true).await;
    for path in ["/wrong", "/wrong-guest"] {
        for headers in [&[(name.as_str(), value.as_str())][..], &[]] {
            let router = routes().layer(fixture.layer().optional().build().unwrap());
            let answer = ask(router, path, headers).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (500, "auth_layer_missing"),
                "{path}"
            );
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
    }
}

#[tokio::test]
async fn sec_i04_a_route_under_a_required_layer_has_no_way_in_without_a_caller() {
    let fixture = fixture();
    let router = || routes().layer(fixture.layer().cookie("token").build().unwrap());
    for path in ["/me", "/guest", "/beta", "/open", "/nowhere"] {
        for headers in [
            &[][..],
            &[("authorization", "Basic dTpw")],
            &[("authorization", "Bearer junk")],
            &[("authorization", "Bearer")],
            &[("cookie", "__Host-token=junk")],
            &[("cookie", "token=junk")],
        ] {
            let status = ask(router(), path, headers).await.status.as_u16();
            assert!(matches!(status, 400 | 401), "{path} {headers:?}: {status}");
        }
    }
}

//! Sessions by copies.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use portcullis::{
    AuthLayer,
    cookie::CookieSettings,
    identity::Subject,
    problem::Reason,
    session::{Session, SessionLayer, SessionPolicy, Sessions},
    store::Change,
    token::IssueOptions,
};
use tower::{Layer, ServiceExt, service_fn};

use super::{Node, Nodes, nodes, policy, turns};
use crate::support::{Answer, Body, invalid};

fn sessions(node: &Node) -> Sessions {
    Sessions::new(node.cached.clone(), SessionPolicy::default()).clock(node.time.clock())
}

/// Sends a cookie to a handler that does one thing with its session.
async fn visit(node: &Node, cookie: Option<&str>, what: &'static str) -> Answer {
    let service =
        SessionLayer::new(&sessions(node)).layer(service_fn(move |request: Request<Body>| async move {
            let session = request.extensions().get::<Session>().unwrap().clone();
            let text = match what {
                "login" => {
                    session.login(Subject::local("ada"), IssueOptions::default()).await.unwrap();
                    String::new()
                }
                "shop" => session.insert("cart", "book").await.map(|()| String::new()).unwrap(),
                "logout" => session.logout().await.map(|()| String::new()).unwrap(),
                "cart" => session.get::<String>("cart").await.unwrap().unwrap_or_default(),
                _ => {
                    let subject = session.subject().await.unwrap();
                    subject.map_or_else(|| "nobody".to_owned(), |subject| subject.id().to_owned())
                }
            };
            Ok::<_, Infallible>(Response::new(Body::from(text)))
        }));
    let request = Request::builder().method("POST").header("sec-fetch-site", "same-origin");
    let request = match cookie {
        Some(cookie) => request.header("cookie", cookie),
        None => request,
    };
    Answer::of(service.oneshot(request.body(Body::default()).unwrap()).await.unwrap()).await
}

/// Opens a session at node a; gives the cookie.
async fn cookie(nodes: &Nodes, what: &'static str) -> String {
    let answer = visit(&nodes.a, None, what).await;
    let line = answer.headers["set-cookie"].to_str().unwrap();
    line.split(';').next().unwrap().to_owned()
}

fn id(cookie: &str) -> portcullis::text::TokenId {
    let (_, value) = cookie.split_once('=').unwrap();
    portcullis::text::TokenId::parse(&value["pcs_a".len()..][..17]).unwrap()
}

#[tokio::test]
async fn r203_a_session_is_opened_by_a_copy_and_ended_by_the_feed() {
    let nodes = nodes();
    let say = nodes.b.listen().await;
    let cookie = cookie(&nodes, "login").await;
    assert_eq!(visit(&nodes.b, Some(&cookie), "who").await.body, "ada");
    let finds = nodes.store.finds();
    assert_eq!(visit(&nodes.b, Some(&cookie), "who").await.body, "ada");
    assert_eq!(nodes.store.finds(), finds);
    visit(&nodes.a, Some(&cookie), "logout").await;
    assert_eq!(visit(&nodes.b, Some(&cookie), "who").await.body, "ada", "nobody has told yet");
    say.send(Change::Login(id(&cookie))).unwrap();
    turns().await;
    assert_eq!(visit(&nodes.b, Some(&cookie), "who").await.body, "nobody");
}

/// The copy has the old secret: the store is asked before anybody is sent away.
#[tokio::test]
async fn r203_a_session_with_a_new_cookie_is_found_where_an_old_copy_is_kept() {
    let nodes = nodes();
    let old = cookie(&nodes, "login").await;
    assert_eq!(visit(&nodes.b, Some(&old), "who").await.body, "ada");
    let tokens = portcullis::TokenService::new(
        nodes.a.cached.clone(),
        policy().brand("pcs").refresh_ttl(None).build().unwrap(),
    )
    .clock(nodes.time.clock());
    let new = invalid(tokens.rekey(&id(&old)).await).unwrap();
    let new = format!("__Host-session={}", new.access().expose());
    assert_eq!(visit(&nodes.b, Some(&new), "who").await.body, "ada");
    assert_eq!(visit(&nodes.b, Some(&old), "who").await.body, "nobody");
}

/// Data that another node has saved is seen when this one is told; a change is made to what is there.
#[tokio::test]
async fn r203_data_by_an_old_copy_loses_nothing() {
    let nodes = nodes();
    let say = nodes.b.listen().await;
    let cookie = cookie(&nodes, "login").await;
    assert_eq!(visit(&nodes.b, Some(&cookie), "cart").await.body, "");
    assert_eq!(visit(&nodes.a, Some(&cookie), "shop").await.status, StatusCode::OK);
    assert_eq!(visit(&nodes.a, Some(&cookie), "cart").await.body, "book");
    assert_eq!(visit(&nodes.b, Some(&cookie), "cart").await.body, "");
    say.send(Change::Login(id(&cookie))).unwrap();
    turns().await;
    assert_eq!(visit(&nodes.b, Some(&cookie), "cart").await.body, "book");
}

/// A guest is nobody for a guard, and it costs no read to know it.
#[tokio::test]
async fn r203_a_session_of_nobody_is_refused_by_its_copy() {
    let nodes = nodes();
    let cookie = cookie(&nodes, "shop").await;
    let guard = AuthLayer::new(sessions(&nodes.b)).without_header().cookie(CookieSettings::new("session"));
    let guard = guard.clock(nodes.time.clock()).build().unwrap();
    let mut reads = Vec::new();
    for _ in 0..3 {
        let finds = nodes.store.finds();
        let service = guard.layer(service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::default()))
        }));
        let request = Request::builder().header("cookie", &cookie).body(Body::default()).unwrap();
        let answer = Answer::of(service.oneshot(request).await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::Absent)));
        reads.push(nodes.store.finds() - finds);
    }
    assert_eq!(reads, [1, 0, 0]);
}

//! Requests that need no credential, and where a cookie is believed or a person is sent to a login.

use std::{convert::Infallible, sync::Arc};

use http::{Method, Request, Response};
use portcullis::{
    AuthLayer,
    csrf::CsrfPolicy,
    identity::{AuthContext, Subject},
    inbound::AuthLayerBuilder,
    problem::{ProblemReply, Reason, Rejection, RejectionKind},
    redirect::RedirectPolicy,
    scope::Scope,
    token::{IssueOptions, Issued},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Answer, Body, Fixture, Mode, ask, bearer, fixture, request};

const MODES: [Mode; 2] = [Mode::Now, Mode::Later];

fn to(method: Method, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = request(headers);
    (*request.method_mut(), *request.uri_mut()) = (method, uri.parse().expect("a URI"));
    request
}

fn get(uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    to(Method::GET, uri, headers)
}

fn cookie(issued: &Issued) -> String {
    format!("__Host-token={}", issued.access().expose())
}

// ===== excluded paths =====

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

// ===== preflights =====

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

// ===== cookies of other pages =====

#[tokio::test]
async fn r008_the_policy_of_cookies_can_be_replaced() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let cookie = cookie(&fixture.cookie_login("ada").await);
        let send = async |policy: Option<CsrfPolicy>, headers: &[(&str, &str)]| {
            let layer = fixture.layer().cookie("token");
            let layer = match policy {
                Some(policy) => layer.csrf(policy),
                None => layer,
            };
            let headers = [headers, &[("cookie", cookie.as_str()), ("host", "api.test")]].concat();
            ask(layer, to(Method::POST, "/orders", &headers)).await.status.as_u16()
        };
        let app = || Some(CsrfPolicy::new().allow_origin("https://app.test"));
        let from = |site, origin| [("sec-fetch-site", site), ("origin", origin)];
        assert_eq!(send(None, &from("cross-site", "https://app.test")).await, 403);
        assert_eq!(send(app(), &from("cross-site", "https://app.test")).await, 200);
        assert_eq!(send(app(), &from("cross-site", "https://evil.test")).await, 403);
        assert_eq!(send(app(), &[("sec-fetch-site", "same-site")]).await, 403);
        assert_eq!(
            send(Some(CsrfPolicy::new().allow_same_site()), &[("sec-fetch-site", "same-site")]).await,
            200
        );
        assert_eq!(send(app(), &[("origin", "https://app.test")]).await, 200);
        assert_eq!(send(app(), &[]).await, 403);
    }
    let fault = fixture().layer().csrf(CsrfPolicy::new().allow_origin("*")).build().unwrap_err();
    assert_eq!(fault.faults()[0].field(), "allow_origin");
}

/// Site, method, origin and the kind of credential, against rules written down a second time.
#[tokio::test]
async fn sec_j01_a_cookie_is_believed_where_the_browser_vouches_for_it_and_a_header_always() {
    let fixture = fixture();
    let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("bob").await);
    let (name, good) = bearer(header.access().expose());
    let cookie = cookie(&cookie_login);
    let layer = fixture.layer().cookie("token").build().unwrap();
    let ours = "https://api.test";
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
        let safe = matches!(method, Method::GET | Method::HEAD);
        for site in
            [None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site"), Some("?")]
        {
            for origin in [None, Some(ours), Some("https://evil.test"), Some("null")] {
                let mut plain = vec![("host", "api.test")];
                plain.extend(site.map(|site| ("sec-fetch-site", site)));
                plain.extend(origin.map(|origin| ("origin", origin)));
                let trusted = match site {
                    Some(site) => matches!(site, "same-origin" | "none"),
                    None => origin == Some(ours),
                };
                let send = async |more: &[(&str, &str)]| {
                    let headers = [plain.as_slice(), more].concat();
                    crate::support::ask_layer(&layer, to(method.clone(), "/", &headers)).await
                };
                let case = format!("{method} {site:?} {origin:?}");
                let with_cookie = send(&[("cookie", &cookie)]).await;
                if safe || trusted {
                    assert_eq!(with_cookie.body, "bob cookie Cookie", "{case}");
                } else {
                    assert_eq!(
                        (with_cookie.status.as_u16(), with_cookie.code().as_str()),
                        (403, "csrf"),
                        "{case}"
                    );
                    assert!(with_cookie.challenges().is_empty());
                }
                // The header is the one in use, so its cookie does not matter; a foreign scheme is not in use.
                assert_eq!(send(&[(&name, &good)]).await.body, "ada header Bearer", "{case}");
                assert_eq!(send(&[(&name, &good), ("cookie", &cookie)]).await.body, "ada header Bearer");
                let foreign = send(&[("authorization", "Basic dTpw"), ("cookie", &cookie)]).await;
                assert_eq!(foreign.status, with_cookie.status, "{case}");
                assert_eq!(send(&[]).await.status, 401, "nobody to protect: {case}");
            }
        }
    }
}

#[tokio::test]
async fn sec_j03_a_websocket_with_a_cookie_must_come_from_a_page_of_ours() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("bob").await);
        let (name, good) = bearer(header.access().expose());
        let cookie = cookie(&cookie_login);
        let layer = fixture.layer().cookie("token").build().unwrap();
        let dial = async |more: &[(&str, &str)]| {
            let handshake = [("host", "api.test"), ("upgrade", "websocket"), ("connection", "Upgrade")];
            let headers = [&handshake, more].concat();
            crate::support::ask_layer(&layer, get("/socket", &headers)).await.status.as_u16()
        };
        let before = fixture.store.finds();
        for foreign in [
            &[][..],
            &[("origin", "https://evil.test")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://api.test")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(dial(&[foreign, &[("cookie", &cookie)]].concat()).await, 403, "{foreign:?}");
        }
        assert_eq!(fixture.store.finds(), before);
        for own in [[("origin", "https://api.test")], [("sec-fetch-site", "same-origin")]] {
            assert_eq!(dial(&[&own[..], &[("cookie", &cookie)]].concat()).await, 200, "{own:?}");
        }
        assert_eq!(dial(&[(&name, &good), ("origin", "https://evil.test")]).await, 200);
    }
}

// ===== the way to a login =====

const NAVIGATIONS: [&[(&str, &str)]; 3] = [
    &[("sec-fetch-mode", "navigate")],
    &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
    &[("sec-fetch-mode", "navigate"), ("accept", "*/*")],
];

#[tokio::test]
async fn sec_a10_only_a_person_who_opens_a_page_is_sent_to_the_login() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let (name, good) = bearer(issued.access().expose());
        let plain = || fixture.layer().cookie("token");
        let layer = || plain().redirect_to(RedirectPolicy::to("/login"));
        let with = |headers: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]| {
            get("/orders?page=2&x=/y", &[headers, more].concat())
        };
        for navigation in NAVIGATIONS {
            for (more, reason) in [
                (&[][..], Reason::Absent),
                (&[("authorization", "Bearer junk")], Reason::Unclaimed),
                (&[("cookie", "__Host-token=junk")], Reason::Unclaimed),
            ] {
                let answer = ask(layer(), with(navigation, more)).await;
                assert_eq!(answer.status, 303);
                assert_eq!(answer.headers["location"], "/login?next=%2Forders%3Fpage%3D2%26x%3D%2Fy");
                assert_eq!(answer.headers["cache-control"], "no-store");
                assert!(answer.challenges().is_empty() && answer.body.is_empty());
                assert_eq!(answer.reason(), Some(reason), "the cause stays with the answer");
                assert!(!answer.headers.contains_key("set-cookie"));
                // By default nobody is redirected.
                assert_eq!(ask(plain(), with(navigation, more)).await.status, 401);
            }
            // What no login would mend.
            let garbled = ask(layer(), with(navigation, &[("authorization", "Bearer a b")])).await;
            assert_eq!((garbled.status.as_u16(), garbled.headers.contains_key("location")), (400, false));
            let no_page = [navigation, &[("cookie", "__Host-token=junk")]].concat();
            assert_eq!(ask(layer(), to(Method::POST, "/orders", &no_page)).await.status, 403);
            fixture.store.set(Mode::Down);
            let headers = [navigation, &[(name.as_str(), good.as_str())]].concat();
            let down = ask(layer(), get("/orders", &headers)).await;
            assert_eq!((down.status.as_u16(), down.headers.contains_key("location")), (503, false));
            fixture.store.set(mode);
            assert_eq!(ask(layer(), get("/orders", &headers)).await.body, "ada header Bearer");
        }
        for script in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json")],
            &[("sec-fetch-mode", "cors"), ("accept", "text/html")],
            &[("sec-fetch-mode", "websocket")],
        ] {
            let answer = ask(layer(), with(script, &[])).await;
            assert_eq!((answer.status.as_u16(), answer.challenges().len()), (401, 3), "{script:?}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(ask(layer(), to(method, "/orders", NAVIGATIONS[0])).await.status, 401);
        }
        // A target that would lead elsewhere is not handed on.
        let answer = ask(layer(), get("//evil.test/x", NAVIGATIONS[0])).await;
        assert_eq!(answer.headers["location"], "/login");
        // Where guests are welcome, they are not sent away.
        assert_eq!(ask(layer().optional(), with(NAVIGATIONS[0], &[])).await.body, "anonymous");
    }
    let error = fixture().layer().redirect_to(RedirectPolicy::to("login")).build().unwrap_err();
    assert_eq!(error.faults()[0].field(), "redirect_to");
}

#[tokio::test]
async fn a_redirect_passes_through_the_maker_of_answers() {
    let fixture = fixture();
    let layer = fixture
        .layer()
        .redirect_to(RedirectPolicy::to("https://id.test/login").parameter("back"))
        .reject_with(|why: &Rejection, answer: Response<bytes::Bytes>| {
            answer.map(|_| Body::from(format!("{:?}", why.kind())))
        })
        .build()
        .unwrap();
    let service = layer
        .layer(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) }));
    let answer = Answer::of(service.oneshot(get("/a", NAVIGATIONS[0])).await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (303, "MissingCredential"));
    assert_eq!(answer.headers["location"], "https://id.test/login?back=%2Fa");
    assert_eq!(answer.rejection.unwrap().kind(), RejectionKind::MissingCredential);
}

// ===== one rule for two sources, and places that are none =====

#[tokio::test]
async fn sec_a05_an_invalid_header_is_not_rescued_by_a_valid_cookie() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (stale, good) = (fixture.login("eve").await, fixture.cookie_login("ada").await);
        fixture.tokens.revoke(&stale.record().id()).await.unwrap();
        let (name, stale) = bearer(stale.access().expose());
        let cookie = cookie(&good);
        let layer = || fixture.layer().cookie("token");
        let both = [(name.as_str(), stale.as_str()), ("cookie", cookie.as_str())];
        for optional in [false, true] {
            let before = fixture.store.finds();
            let layer = if optional { layer().optional() } else { layer() };
            let answer = ask(layer, request(&both)).await;
            assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::Revoked)));
            assert_eq!(fixture.store.finds() - before, 1, "asked once, and nobody else was asked");
        }
        let before = fixture.store.finds();
        let two = [("authorization", stale.as_str()), ("authorization", stale.as_str()), both[1]];
        assert_eq!(ask(layer(), request(&two)).await.status, 400);
        assert_eq!(fixture.store.finds(), before);
    }
}

#[tokio::test]
async fn sec_a06_a_token_in_the_query_or_in_a_form_is_none() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let text = issued.access().expose();
    let form = ("content-type", "application/x-www-form-urlencoded");
    for uri in
        [format!("/?access_token={text}"), format!("/?token={text}"), format!("/?bearer={text}#{text}")]
    {
        assert_eq!(ask(fixture.layer(), get(&uri, &[])).await.reason(), Some(Reason::Absent));
        assert_eq!(ask(fixture.layer().optional(), get(&uri, &[])).await.body, "anonymous");
    }
    let mut post = to(Method::POST, "/", &[form]);
    *post.body_mut() = Body::from(format!("access_token={text}"));
    assert_eq!(ask(fixture.layer(), post).await.reason(), Some(Reason::Absent));
    assert_eq!(fixture.store.finds(), 0);
}

#[tokio::test]
async fn sec_a04_a_missing_right_is_403_for_a_known_caller_only() {
    for mode in MODES {
        let fixture = fixture();
        let login = async |scope: &str| {
            let options = IssueOptions::default().scope(Scope::parse(scope).unwrap());
            fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap()
        };
        let (reads, writes) = (login("orders:read").await, login("orders:read orders:write").await);
        fixture.store.set(mode);
        let send = async |optional: bool, headers: &[(&str, &str)]| {
            let layer = if optional { fixture.layer().optional() } else { fixture.layer() };
            let service = layer.build().unwrap().layer(service_fn(|request: Request<Body>| async move {
                let context = request.extensions().get::<AuthContext>().unwrap();
                let refused = match context.auth::<Subject>().unwrap() {
                    None => Some(context.missing_credential()),
                    Some(auth) if auth.scope().is_some_and(|scope| scope.contains("orders:write")) => None,
                    Some(auth) => Some(auth.insufficient_scope(Some("orders:write"))),
                };
                Ok::<_, Infallible>(match refused {
                    Some(rejection) => rejection.respond(&ProblemReply),
                    None => Response::new(Body::from("written")),
                })
            }));
            Answer::of(service.oneshot(request(headers)).await.unwrap()).await
        };
        let (name, reads) = bearer(reads.access().expose());
        let (_, writes) = bearer(writes.access().expose());
        for optional in [false, true] {
            assert_eq!(send(optional, &[(&name, &writes)]).await.body, "written");
            let denied = send(optional, &[(&name, &reads)]).await;
            assert_eq!((denied.status.as_u16(), denied.code().as_str()), (403, "insufficient_scope"));
            let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="orders:write""#;
            assert_eq!(denied.challenges(), [challenge]);
            let nobody = send(optional, &[]).await;
            assert_eq!((nobody.status.as_u16(), nobody.challenges().len()), (401, 2));
        }
    }
}

// ===== tenants =====

fn by_host(fixture: &Fixture) -> AuthLayerBuilder<Subject> {
    fixture.layer().cookie("token").tenant(|head| {
        let host = head.headers().get("host")?.to_str().ok()?;
        host.strip_suffix(".shop.test").map(str::to_owned)
    })
}

#[tokio::test]
async fn sec_i08_a_token_of_one_tenant_is_invalid_at_another() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let login = async |tenant: Option<&str>| {
            let options = IssueOptions::default();
            let options = match tenant {
                Some(tenant) => options.tenant(tenant),
                None => options,
            };
            fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap()
        };
        let logins = [
            (Some("a"), login(Some("a")).await),
            (Some("b"), login(Some("b")).await),
            (None, login(None).await),
        ];
        for (tenant, issued) in &logins {
            let (name, good) = bearer(issued.access().expose());
            for (host, at) in [("a.shop.test", Some("a")), ("b.shop.test", Some("b")), ("shop.test", None)] {
                let answer = ask(by_host(&fixture), request(&[(&name, &good), ("host", host)])).await;
                if *tenant == at {
                    assert_eq!(answer.body, "ada header Bearer", "{tenant:?} at {at:?}");
                } else {
                    assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::WrongTenant)));
                    assert_eq!(answer.code(), "invalid_token");
                }
            }
            // A service without tenants knows logins without tenants.
            let single = ask(fixture.layer(), request(&[(&name, &good), ("host", "a.shop.test")])).await;
            assert_eq!(single.status.is_success(), tenant.is_none(), "{tenant:?}");
        }
    }
}

#[tokio::test]
async fn sec_i08_the_tenant_may_come_from_a_layer_outside() {
    let fixture = fixture();
    let issued = fixture
        .tokens
        .issue_for_header(Subject::local("ada"), IssueOptions::default().tenant("a"))
        .await
        .unwrap();
    let (name, good) = bearer(issued.access().expose());
    let layer = || fixture.layer().tenant(|head| head.extensions().get::<Arc<str>>().cloned());
    for (tenant, status) in [("a", 200), ("b", 401)] {
        let mut request = request(&[(&name, &good)]);
        request.extensions_mut().insert(Arc::<str>::from(tenant));
        assert_eq!(ask(layer(), request).await.status, status);
    }
}

// ===== sessions of nobody =====

#[tokio::test]
async fn an_anonymous_session_counts_as_absent() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let nobody = Subject::anonymous("browser-1");
        let session = fixture.tokens.issue_for_cookie(nobody.clone(), IssueOptions::default()).await.unwrap();
        let in_header = fixture.tokens.issue_for_header(nobody, IssueOptions::default()).await.unwrap();
        let (ada, bob) = (fixture.cookie_login("ada").await, fixture.login("bob").await);
        let text = |issued: &Issued| issued.access().expose().to_owned();
        let one = format!("__Host-one={}", text(&session));
        let stale = format!("__Host-one={}", text(&in_header));
        let (name, good) = bearer(bob.access().expose());
        let (_, nobody) = bearer(in_header.access().expose());

        let layer = || fixture.layer().cookie("one").cookie("two");
        let headers_last = || layer().schemes(["Bearer"]);
        let alone = [("cookie", one.as_str())];
        let refused = ask(layer(), request(&alone)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "missing_credential"));
        assert!(refused.challenges().iter().all(|challenge| !challenge.contains("error=")));
        assert_eq!(ask(layer().optional(), request(&alone)).await.body, "anonymous");
        assert_eq!(ask(layer().optional(), request(&[(&name, &nobody)])).await.body, "anonymous");

        // The next name, and the next source, are asked.
        let both = format!("{one}; __Host-two={}", text(&ada));
        assert_eq!(ask(layer(), request(&[("cookie", &both)])).await.body, "ada cookie Cookie");
        assert_eq!(ask(headers_last(), request(&[alone[0], (&name, &good)])).await.body, "bob header Bearer");
        let cookie_behind = format!("__Host-one={}", text(&ada));
        let behind = ask(layer(), request(&[(&name, &nobody), ("cookie", &cookie_behind)])).await;
        assert_eq!(behind.body, "ada cookie Cookie");

        // What is invalid is not made absent by it, nor is a header asked behind an invalid cookie.
        let bad = format!("{one}; __Host-two=junk");
        for layer in [layer().optional(), headers_last().optional()] {
            let refused = ask(layer, request(&[("cookie", &bad)])).await;
            assert_eq!((refused.status.as_u16(), refused.reason()), (401, Some(Reason::Unclaimed)));
        }
        let wrong = ask(headers_last(), request(&[("cookie", &stale), (&name, &good)])).await;
        assert_eq!(wrong.reason(), Some(Reason::WrongChannel));
    }
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
